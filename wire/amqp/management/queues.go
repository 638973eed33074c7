package management

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// direct acts for the sender of a request, in the virtual host of its path.
func (s *Server) direct(r *request) *amqp.Direct {
	return s.amqp.Direct(r.Context(), r.namespace, r.user)
}

func (s *Server) queues(r *request) (any, error) {
	list := []object{}
	for _, namespace := range s.visible(r) {
		list = append(list, s.queuesOf(namespace)...)
	}
	return list, nil
}

// queuesOf lists queues and streams by name.
func (s *Server) queuesOf(namespace string) (list []object) {
	for _, q := range s.b.Queues(namespace) {
		list = append(list, s.showQueue(q))
	}
	for _, t := range s.streams(namespace) {
		list = append(list, s.showStream(t))
	}
	slices.SortFunc(list, func(a, b object) int { return compare(a["name"], b["name"]) })
	return list
}

// queueNamed is the queue in the path.
func (s *Server) queueNamed(r *request) (*broker.Queue, error) {
	q, err := s.b.Queue(r.namespace, r.PathValue("q"))
	if err != nil {
		return nil, errNotFound
	}
	return q, nil
}

func (s *Server) queue(r *request) (any, error) {
	q, t, err := s.someQueue(r)
	if err != nil {
		return nil, err
	}
	var doc object
	var name broker.Name
	if q != nil {
		doc, name = s.showQueue(q), q.Name()
	} else {
		doc, name = s.showStream(t), t.Name()
	}
	here := func(c *amqp.ConnectionInfo) bool { return c.Namespace == name.Namespace }
	doc["consumer_details"] = slices.DeleteFunc(s.eachChannel(here, s.showConsumers), func(x object) bool {
		return x["queue"].(object)["name"] != name.Name
	})
	return doc, nil
}

func (s *Server) showQueue(q *broker.Queue) object {
	spec, stats := q.Spec(), totals(q.Stats())
	kind, _, _ := spec.Args.Text("x-queue-type")
	doc := stats.lengths()
	for name, v := range (object{
		"name": spec.Name, "vhost": amqp.VhostOf(spec.Namespace), "type": cmp.Or(kind, "classic"),
		"node": s.nodeName(), "state": "running", "durable": spec.Durable, "auto_delete": spec.AutoDelete,
		"exclusive": spec.Owner != nil, "arguments": showArgs(spec.Args), "message_bytes": stats.Bytes,
		"consumers": stats.Subscriptions, "message_stats": stats.stats(),
		"policy": nil, "operator_policy": nil, "effective_policy_definition": object{},
	}) {
		doc[name] = v
	}
	showApplied(doc, q.Policies())
	if owner := amqp.ConnectionOf(spec.Owner); owner != "" {
		doc["owner_pid_details"] = ownerOf(owner)
	}
	return doc
}

// ownerOf takes the client's address out of a connection's name.
func ownerOf(connection string) object {
	doc := object{"name": connection}
	client, _, _ := strings.Cut(connection, " -> ")
	if a, err := netip.ParseAddrPort(client); err == nil {
		doc["peer_host"], doc["peer_port"] = a.Addr().String(), int(a.Port())
	}
	return doc
}

// queueWanted is the body of a request for a queue.
type queueWanted struct {
	Durable    truth     `json:"durable"`
	AutoDelete truth     `json:"auto_delete"`
	Arguments  arguments `json:"arguments"`
}

func (w *queueWanted) spec(name string) broker.QueueSpec {
	return broker.QueueSpec{Name: name, Durable: bool(w.Durable), AutoDelete: bool(w.AutoDelete),
		Args: broker.Args(w.Arguments)}
}

// putQueue answers with 201 if the queue is new, and 204 if it was there.
func (s *Server) putQueue(r *request) (any, error) {
	var want queueWanted
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	_, missing := s.queueNamed(r)
	_, noStream := s.streamNamed(r)
	err := s.direct(r).DeclareQueue(want.spec(r.PathValue("q")))
	if _, isStream := s.queueNamed(r); isStream != nil { // it may be one by the virtual host's choice
		missing = noStream
	}
	return createdUnless(missing == nil, err)
}

// createdUnless is the answer to a declaration of what was there before, or was not.
func createdUnless(there bool, err error) (any, error) {
	if err != nil || there {
		return nil, err
	}
	return created(""), nil
}

func (s *Server) deleteQueue(r *request) (any, error) {
	if _, _, err := s.someQueue(r); err != nil {
		return nil, err
	}
	query := r.URL.Query()
	return nil, s.direct(r).DeleteQueue(r.PathValue("q"), broker.DeleteOptions{
		IfEmpty: query.Get("if-empty") == "true", IfUnused: query.Get("if-unused") == "true"})
}

func (s *Server) purge(r *request) (any, error) {
	if _, _, err := s.someQueue(r); err != nil {
		return nil, err
	}
	return nil, s.direct(r).Purge(r.PathValue("q"))
}
