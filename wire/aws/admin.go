package aws

import (
	"net/http"
	"slices"
)

// Admin answers POST /SERVICE/ACTION, /sqs/SendMessage, for who administers the broker: a document of JSON in
// and one out, or an error as of the JSON protocol, for every service, whatever protocol that has. It asks
// for no signature: who mounts it guards it.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{service}/{action}", func(w http.ResponseWriter, r *http.Request) {
		r.Host = s.Addr().String() // where clients find queues, and not who asks here
		s.respond(w, r, door{adminCodec{}, func(*http.Request, []byte) error { return nil }})
	})
	return mux
}

// adminCodec is JSON, with service and action in the path.
type adminCodec struct{ jsonCodec }

func (adminCodec) open(r *http.Request, body []byte, limits *Limits) (ask, error) {
	a := ask{service: services[0], action: r.PathValue("action")}
	name := r.PathValue("service")
	i := slices.IndexFunc(services, func(v *service) bool { return v.name == name })
	if i < 0 {
		return a, errorf(invalidAction, "There is no service %s.", short(name))
	}
	a.service = services[i]
	return a, a.takeDocument(body, limits)
}
