package management

import (
	"cmp"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// exchangeName is how an exchange is called that a path names: paths cannot name the default one.
func exchangeName(path string) string {
	if path == "amq.default" {
		return ""
	}
	return path
}

func (s *Server) exchanges(r *request) (any, error) {
	list := []object{}
	for _, x := range eachVisible(s, r, s.b.Exchanges) {
		list = append(list, showExchange(x))
	}
	return list, nil
}

// exchangeNamed is the exchange in the path.
func (s *Server) exchangeNamed(r *request) (*broker.Exchange, error) {
	x, err := s.b.Exchange(r.namespace, exchangeName(r.PathValue("x")))
	if err != nil {
		return nil, errNotFound
	}
	return x, nil
}

func (s *Server) exchange(r *request) (any, error) {
	x, err := s.exchangeNamed(r)
	if err != nil {
		return nil, err
	}
	return showExchange(x), nil
}

func showExchange(x *broker.Exchange) object {
	spec := x.Spec()
	doc := object{"name": spec.Name, "vhost": amqp.VhostOf(spec.Namespace), "type": spec.Type,
		"durable": spec.Durable, "auto_delete": spec.AutoDelete, "internal": spec.Internal, "arguments": showArgs(spec.Args)}
	if n := x.Delayed(); n > 0 || spec.Type == "x-delayed-message" {
		doc["messages_delayed"] = n
	}
	showApplied(doc, x.Policies())
	if x.BuiltIn() {
		doc["user_who_performed_action"] = "rmq-internal"
	}
	return doc
}

// exchangeWanted is the body of a request for an exchange.
type exchangeWanted struct {
	Type       string    `json:"type"`
	Durable    truth     `json:"durable"`
	AutoDelete truth     `json:"auto_delete"`
	Internal   truth     `json:"internal"`
	Arguments  arguments `json:"arguments"`
}

func (w *exchangeWanted) spec(name string) broker.ExchangeSpec {
	return broker.ExchangeSpec{Name: name, Type: cmp.Or(w.Type, "direct"), Durable: bool(w.Durable),
		AutoDelete: bool(w.AutoDelete), Internal: bool(w.Internal), Args: broker.Args(w.Arguments)}
}

// putExchange answers with 201 if the exchange is new, and 204 if it was there.
func (s *Server) putExchange(r *request) (any, error) {
	var want exchangeWanted
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	_, missing := s.exchangeNamed(r)
	err := s.direct(r).DeclareExchange(want.spec(exchangeName(r.PathValue("x"))))
	return createdUnless(missing == nil, err)
}

func (s *Server) deleteExchange(r *request) (any, error) {
	x, err := s.exchangeNamed(r)
	if err != nil {
		return nil, err
	}
	return nil, s.direct(r).DeleteExchange(x.Name().Name, r.URL.Query().Get("if-unused") == "true")
}
