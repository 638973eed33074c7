package console

import (
	"mime"
	"net"
	"net/http"
	"strings"
)

// guard refuses what a foreign web page could make a browser send. The API has
// no passwords, so the browser's own words decide:
//
//   - Host must name this machine. A page whose DNS name was rebound to
//     127.0.0.1 still sends its own name there.
//   - Origin, if sent, must be this server. Browsers send it with every
//     request that may change something and with every cross-origin fetch.
//   - Sec-Fetch-Site must not say cross-site or same-site (another port of
//     localhost is same-site). Following a link here is allowed.
//   - A change must carry application/json, which no HTML form can send and
//     which makes a browser ask first (it is told no).
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if p := s.refuse(r); p != nil {
			writeProblem(w, *p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) refuse(r *http.Request) *problem {
	switch {
	case !s.knowsHost(r.Host):
		return &problem{status: http.StatusForbidden, Problem: Problem{
			Code:    "forbidden_host",
			Message: "this server does not answer to the host name " + quote(hostOnly(r.Host)),
			Hint:    "use 127.0.0.1 or localhost, or add the name to the server's admin hosts",
		}}
	case !ownOrigin(r):
		return &problem{status: http.StatusForbidden, Problem: Problem{
			Code:    "forbidden_origin",
			Message: "requests from pages of another origin are refused",
		}}
	case changes(r) && !isJSON(r):
		return &problem{status: http.StatusUnsupportedMediaType, Problem: Problem{
			Code:    "content_type",
			Message: "a request that changes something needs Content-Type: application/json",
			Hint:    "curl -H 'Content-Type: application/json' ...",
		}}
	}
	return nil
}

// knowsHost: a loopback name always; any address if the server may be reached
// from elsewhere (a DNS name can be rebound, an address cannot); configured names.
func (s *Server) knowsHost(hostport string) bool {
	host := hostOnly(hostport)
	if isLoopbackName(host) {
		return true
	}
	if s.c.AllowRemote && net.ParseIP(host) != nil {
		return true
	}
	for _, name := range s.c.Hosts {
		if strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

func ownOrigin(r *http.Request) bool {
	if origins := r.Header.Values("Origin"); len(origins) > 0 {
		if len(origins) > 1 || !strings.EqualFold(origins[0], "http://"+r.Host) {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return !changes(r) && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

func isJSON(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}
