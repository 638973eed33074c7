package aws

import (
	"net/http"
	"strings"

	"github.com/tidings-io/tidings/listener"
)

// guard refuses what a foreign web page could make a browser send. A client may reach this port under any
// name, so a name proves nothing; the browser's own words decide:
//
//   - An Origin is refused, whichever. Browsers send it with every POST, and no SDK does elsewhere.
//   - Sec-Fetch-Site must not say cross-site or same-site (another port of localhost is same-site).
//   - A GET of a page that was rebound to 127.0.0.1 says nothing of the kind, but names its own host,
//     which is one with a dot.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		switch {
		case !s.admits(r):
			http.Error(w, "requests from web pages are refused", http.StatusForbidden)
		case r.Method != http.MethodPost && r.Method != http.MethodGet: // actions are no less done by a HEAD
			h.Set("Allow", "GET, POST")
			http.Error(w, "the method is GET or POST", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) admits(r *http.Request) bool {
	if len(r.Header.Values("Origin")) > 0 || !listener.OwnSite(r) {
		return false
	}
	return r.Method == http.MethodPost || s.cannotBeRebound(listener.HostOnly(r.Host))
}

func (s *Server) cannotBeRebound(host string) bool {
	return !strings.Contains(host, ".") || (listener.Hosts{AllowRemote: true, Names: s.config.Hosts}).Knows(host)
}
