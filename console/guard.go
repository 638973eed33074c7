package console

import (
	"mime"
	"net/http"

	"github.com/tidings-io/tidings/listener"
)

// guard refuses what a foreign web page could make a browser send. The API has
// no passwords, so the browser's own words decide:
//
//   - Host must name this machine, and the page be one of this server.
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
	case !(listener.Hosts{AllowRemote: s.c.AllowRemote, Names: s.c.Hosts}).Knows(r.Host):
		return &problem{status: http.StatusForbidden, Problem: Problem{
			Code:    "forbidden_host",
			Message: "this server does not answer to the host name " + quote(listener.HostOnly(r.Host)),
			Hint:    "use 127.0.0.1 or localhost, or add the name to the server's admin hosts",
		}}
	case !listener.OwnOrigin(r):
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

func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

func isJSON(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}
