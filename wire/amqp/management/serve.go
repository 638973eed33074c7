package management

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// handler answers what is not foreign. It is not an http.ServeMux, which takes the segment %2F,
// the virtual host, for the end of a path.
func (s *Server) handler() http.Handler {
	return s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, find(r))
	}))
}

// find returns the route of a request, whose path values it sets; nil: there is none.
func find(r *http.Request) *route {
	path, err := segments(r.URL.EscapedPath())
	if err != nil {
		return nil
	}
	for i, pattern := range patterns {
		if match(pattern, path) {
			setValues(r, pattern, path)
			return &routes[i]
		}
	}
	return nil
}

// patterns are the paths of routes, taken apart.
var patterns = func() (all [][]string) {
	for i := range routes {
		pattern, _ := segments(routes[i].path) // nothing in them is escaped
		all = append(all, pattern)
	}
	return all
}()

// segments takes a path apart. A slash at its end does not matter: clients send either.
func segments(path string) (parts []string, err error) {
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if part, err = url.PathUnescape(part); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// match compares segment by segment: {x} is any one that is not empty, a last ... any number.
func match(pattern, path []string) bool {
	for i, want := range pattern {
		switch {
		case want == "...":
			return true
		case i >= len(path) || path[i] == "":
			return false
		case want != path[i] && want[0] != '{':
			return false
		}
	}
	return len(pattern) == len(path)
}

func setValues(r *http.Request, pattern, path []string) {
	for i, want := range pattern {
		if name, ok := strings.CutPrefix(want, "{"); ok {
			r.SetPathValue(strings.TrimSuffix(name, "}"), path[i])
		}
	}
}

// serve answers one request: who sends it, what it wants, its body, the answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt *route) {
	user, ok := s.login(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="RabbitMQ Management"`)
		s.writeProblem(w, problem{http.StatusUnauthorized, "not_authorized", "Login failed"})
		return
	}
	req := &request{Request: r, route: rt, user: user}
	h, err := s.handlerFor(req)
	if err != nil {
		s.writeProblem(w, asProblem(err))
		return
	}
	body, free, err := s.bodies.Take(w, r)
	defer free()
	if err != nil {
		s.writeProblem(w, asProblem(err))
		return
	}
	req.body = body
	s.answer(w, req, h)
}

// handlerFor is what answers the request, if its sender may send it.
func (s *Server) handlerFor(r *request) (handler, error) {
	h, err := r.route.handler(r.Request)
	if r.route == nil {
		return nil, err
	}
	if refused := s.admit(r.route, r.Method, &r.user); refused != nil {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	return h, s.enter(r)
}

func (rt *route) handler(r *http.Request) (h handler, err error) {
	if rt == nil {
		return nil, errNotFound
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h = rt.get
	case http.MethodPut:
		h = rt.put
	case http.MethodPost:
		h = rt.post
	case http.MethodDelete:
		h = rt.delete
	}
	switch {
	case h == nil && rt.unbuilt != "":
		return nil, notBuilt(rt.unbuilt)
	case h == nil:
		return nil, errMethod
	}
	return h, nil
}

func (s *Server) answer(w http.ResponseWriter, r *request, h handler) {
	doc, err := h(s, r)
	if err == nil {
		doc, err = view(r.URL.Query(), doc)
	}
	if err != nil {
		s.writeProblem(w, asProblem(err))
		return
	}
	s.setWriteDeadline(w)
	switch doc := doc.(type) {
	case nil:
		w.WriteHeader(http.StatusNoContent)
	case created:
		if doc != "" {
			w.Header().Set("Location", string(doc))
		}
		w.WriteHeader(http.StatusCreated)
	case unhealthy:
		s.write(w, http.StatusServiceUnavailable, object(doc))
	default:
		s.write(w, http.StatusOK, doc)
	}
}

// setWriteDeadline bounds how long a client may take to read an answer.
func (s *Server) setWriteDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.config.Limits.AnswerTime))
}

func (s *Server) writeProblem(w http.ResponseWriter, p problem) {
	s.write(w, p.status, object{"error": p.word, "reason": p.reason})
}

func (s *Server) write(w http.ResponseWriter, status int, doc any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	s.setWriteDeadline(w)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil { // the client has gone
		s.config.Logger.Debug("management answer not written", "error", err)
	}
}
