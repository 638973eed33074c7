package aws

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
)

// Admin answers POST /SERVICE/ACTION, /sqs/SendMessage, for who administers the broker: a document of JSON in
// and one out, or an error as of the JSON protocol, for every service, whatever protocol that has. It asks
// for no signature: who mounts it guards it. Lists of subscriptions have the ARNs of those that nobody has
// confirmed too, and every subscription can be ended.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{service}/{action}", func(w http.ResponseWriter, r *http.Request) {
		r.Host = s.Addr().String() // where clients find queues, and not who asks here
		s.respond(w, r, door{codec: adminCodec{}, check: func(*http.Request, []byte) error { return nil }, inside: true})
	})
	return mux
}

// adminCodec is JSON, with service and action in the path.
type adminCodec struct{ jsonCodec }

func (adminCodec) open(r *http.Request, body []byte, limits *Limits) (ask, error) {
	a := ask{service: services[0], action: r.PathValue("action")}
	v, err := serviceNamed(r.PathValue("service"))
	if err != nil {
		return a, err
	}
	a.service = v
	return a, a.takeDocument(body, limits)
}

func serviceNamed(name string) (*service, error) {
	i := slices.IndexFunc(services, func(v *service) bool { return v.name == name })
	if i < 0 {
		return nil, errorf(invalidAction, "There is no service %s.", short(name))
	}
	return services[i], nil
}

// Do makes an action in this process, as Admin does over HTTP: in is written as JSON, and out is filled with
// what the answer is in JSON. Its errors are *Error.
func (s *Server) Do(ctx context.Context, service, action string, in, out any) error {
	v, err := serviceNamed(service)
	if err != nil {
		return err
	}
	err = s.doInside(ctx, v, action, in, out)
	if err != nil {
		return errorBy(v.kinds, err)
	}
	return nil
}

func (s *Server) doInside(ctx context.Context, v *service, action string, in, out any) error {
	act, refused := v.find(action)
	if refused != nil {
		return refused
	}
	given, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request := act.input()
	if err := decodeJSON(given, request); err != nil {
		return err
	}
	answer, err := act.do(s, &call{ctx: ctx, host: s.Addr().String(), sender: s.config.Account, inside: true}, request)
	if err != nil {
		return err
	}
	told, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(told, out)
}
