package management

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/listener"
)

// guard refuses what a foreign web page could make a browser send: a browser that knows the
// password sends it along, so the browser's own words decide first:
// Host must name this machine, and the page be one of this server.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		switch {
		case !(listener.Hosts{AllowRemote: s.config.AllowRemote, Names: s.config.Hosts}).Knows(r.Host):
			s.writeProblem(w, problem{http.StatusForbidden, "forbidden_host",
				"this server does not answer to the host name " + listener.HostOnly(r.Host)})
		case !listener.OwnOrigin(r):
			s.writeProblem(w, problem{http.StatusForbidden, "forbidden_origin",
				"requests from pages of another origin are refused"})
		default:
			next.ServeHTTP(w, r)
		}
	})
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
