package management

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// allBindings lists every binding of a namespace, the implicit ones of the default exchange among
// them, by source, destination and key.
func (s *Server) allBindings(namespace string) (all []broker.Binding) {
	for _, q := range s.b.Queues(namespace) {
		all = append(all, implicit(q.Name()))
	}
	for _, t := range s.streams(namespace) {
		all = append(all, implicit(t.Name()))
	}
	for _, x := range s.b.Exchanges(namespace) {
		all = append(all, x.Bindings()...)
	}
	slices.SortFunc(all, func(a, b broker.Binding) int {
		to, other := a.Destination, b.Destination
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(to.Kind, other.Kind),
			cmp.Compare(to.Name, other.Name), cmp.Compare(a.Key, b.Key),
			cmp.Compare(propertiesKey(&a), propertiesKey(&b)))
	})
	return all
}

// implicit is the binding that every queue has: from the default exchange, by its name.
func implicit(to broker.Name) broker.Binding {
	return broker.Binding{Namespace: to.Namespace, Destination: to, Key: to.Name}
}

func (s *Server) bindingsThat(r *request, keep func(*broker.Binding) bool) []broker.Binding {
	return slices.DeleteFunc(s.allBindings(r.namespace), func(b broker.Binding) bool { return !keep(&b) })
}

func showBindings(all []broker.Binding) []object {
	list := make([]object, len(all))
	for i := range all {
		list[i] = showBinding(&all[i])
	}
	return list
}

func showBinding(b *broker.Binding) object {
	kind := "queue" // a stream is one
	if b.Destination.Kind == broker.KindExchange {
		kind = "exchange"
	}
	return object{"source": b.Source, "vhost": amqp.VhostOf(b.Namespace), "destination": b.Destination.Name,
		"destination_type": kind, "routing_key": b.Key, "arguments": showArgs(b.Args),
		"properties_key": propertiesKey(b)}
}

// propertiesKey tells the bindings between two things apart, as the last part of a path: the
// routing key, escaped, or ~ for an empty one, and with arguments behind another ~ a hash of them.
func propertiesKey(b *broker.Binding) string {
	key := "~"
	if b.Key != "" {
		key = strings.ReplaceAll(url.QueryEscape(b.Key), "~", "%7E")
	}
	if len(b.Args) == 0 {
		return key
	}
	doc, _ := json.Marshal(showArgs(b.Args)) // of values that JSON has
	sum := md5.Sum(doc)
	return key + "~" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *Server) bindings(r *request) (any, error) {
	return showBindings(eachVisible(s, r, s.allBindings)), nil
}

func (s *Server) bindingsFrom(r *request) (any, error) {
	x, err := s.exchangeNamed(r)
	if err != nil {
		return nil, err
	}
	return showBindings(s.bindingsThat(r, func(b *broker.Binding) bool {
		return b.Source == x.Name().Name
	})), nil
}

func (s *Server) bindingsTo(r *request) (any, error) {
	x, err := s.exchangeNamed(r)
	if err != nil {
		return nil, err
	}
	return showBindings(s.bindingsThat(r, func(b *broker.Binding) bool {
		return b.Destination == x.Name()
	})), nil
}

func (s *Server) bindingsOfQueue(r *request) (any, error) {
	q, t, err := s.someQueue(r)
	if err != nil {
		return nil, err
	}
	var all []broker.Binding
	if q != nil {
		all = append([]broker.Binding{implicit(q.Name())}, q.Bindings()...)
	} else {
		all = append([]broker.Binding{implicit(t.Name())}, t.Bindings()...)
	}
	slices.SortFunc(all[1:], func(a, b broker.Binding) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Key, b.Key))
	})
	return showBindings(all), nil
}

// ends are what the path says a binding leads from and to; both must be there.
func (s *Server) ends(r *request) (b broker.Binding, err error) {
	x, err := s.exchangeNamed(r)
	if err != nil {
		return b, err
	}
	to := broker.Name{Kind: broker.KindExchange, Namespace: r.namespace,
		Name: exchangeName(r.PathValue("to"))}
	if strings.HasPrefix(r.route.path, toQueue) {
		to.Kind, to.Name = broker.KindQueue, r.PathValue("to")
		if _, err = s.b.Queue(to.Namespace, to.Name); err != nil {
			to.Kind = broker.KindTopic
			_, err = s.b.Topic(to.Namespace, to.Name)
		}
	} else {
		_, err = s.b.Exchange(to.Namespace, to.Name)
	}
	if err != nil {
		return b, errNotFound
	}
	return broker.Binding{Namespace: r.namespace, Source: x.Name().Name, Destination: to}, nil
}

func (s *Server) between(r *request) ([]broker.Binding, error) {
	ends, err := s.ends(r)
	if err != nil {
		return nil, err
	}
	return s.bindingsThat(r, func(b *broker.Binding) bool {
		return b.Source == ends.Source && b.Destination == ends.Destination
	}), nil
}

func (s *Server) bindingsBetween(r *request) (any, error) {
	all, err := s.between(r)
	if err != nil {
		return nil, err
	}
	return showBindings(all), nil
}

// bind answers with the path of the binding in Location.
func (s *Server) bind(r *request) (any, error) {
	b, err := s.ends(r)
	if err != nil {
		return nil, err
	}
	var want struct {
		Key       string    `json:"routing_key"`
		Arguments arguments `json:"arguments"`
	}
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	b.Key, b.Args = want.Key, broker.Args(want.Arguments)
	if err := s.direct(r).Bind(b); err != nil {
		return nil, err
	}
	parent := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	return created(parent + "/" + url.PathEscape(propertiesKey(&b))), nil
}

// bindingNamed is the binding that the path names.
func (s *Server) bindingNamed(r *request) (*broker.Binding, error) {
	all, err := s.between(r)
	if err != nil {
		return nil, err
	}
	props := r.PathValue("props")
	for i := range all {
		b := &all[i]
		if props == propertiesKey(b) || props == b.Key && len(b.Args) == 0 { // some do not escape twice
			return b, nil
		}
	}
	return nil, errNotFound
}

func (s *Server) binding(r *request) (any, error) {
	b, err := s.bindingNamed(r)
	if err != nil {
		return nil, err
	}
	return showBinding(b), nil
}

func (s *Server) unbind(r *request) (any, error) {
	b, err := s.bindingNamed(r)
	if err != nil {
		return nil, err
	}
	return nil, s.direct(r).Unbind(*b)
}
