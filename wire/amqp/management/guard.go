package management

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tidings-io/tidings/broker"
)

// guard refuses what a foreign web page could make a browser send: a browser that knows the
// password sends it along, so the browser's own words decide first.
//
//   - Host must name this machine. A page whose DNS name was rebound to 127.0.0.1 still sends its
//     own name there.
//   - Origin, if sent, must be this server. Browsers send it with every request that may change
//     something and with every cross-origin fetch.
//   - Sec-Fetch-Site must not say cross-site or same-site (another port of localhost is
//     same-site). Following a link here is allowed.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		switch {
		case !s.knowsHost(r.Host):
			s.writeProblem(w, problem{http.StatusForbidden, "forbidden_host",
				"this server does not answer to the host name " + hostOnly(r.Host)})
		case !ownOrigin(r):
			s.writeProblem(w, problem{http.StatusForbidden, "forbidden_origin",
				"requests from pages of another origin are refused"})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// knowsHost: a loopback name always; any address if the server may be reached from elsewhere (a
// DNS name can be rebound, an address cannot); configured names.
func (s *Server) knowsHost(hostport string) bool {
	host := hostOnly(hostport)
	if isLoopback(host) || s.config.AllowRemote && net.ParseIP(host) != nil {
		return true
	}
	for _, name := range s.config.Hosts {
		if strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

func ownOrigin(r *http.Request) bool {
	if origins := r.Header.Values("Origin"); len(origins) > 1 ||
		len(origins) == 1 && !strings.EqualFold(origins[0], "http://"+r.Host) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	return reads && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// login is who sends a request; false: nobody who may.
func (s *Server) login(r *http.Request) (u broker.User, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return u, false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return u, false
	}
	addr := net.TCPAddrFromAddrPort(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	if u, ok := s.amqp.Login(user, password, addr); ok {
		return u, true
	}
	s.config.Logger.Warn("management login refused", "client", r.RemoteAddr, "user", user)
	return u, false
}
