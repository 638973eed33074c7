package management

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// namespaceNamed is the namespace of the virtual host in the path.
func (s *Server) namespaceNamed(r *request) (string, error) {
	name, ok := amqp.NamespaceOf(r.PathValue("v"))
	if !ok {
		return "", errNotFound
	}
	if _, err := s.b.Namespace(name); err != nil {
		return name, errNotFound
	}
	return name, nil
}

func (s *Server) vhosts(r *request) (any, error) {
	list := []object{}
	for _, ns := range s.b.Namespaces() {
		if r.is(monitor) || s.mayEnter(r, ns.Name) {
			list = append(list, s.showVhost(&ns))
		}
	}
	return list, nil
}

func (s *Server) vhost(r *request) (any, error) {
	name, err := s.namespaceNamed(r)
	if err != nil {
		return nil, err
	}
	ns, err := s.b.Namespace(name)
	if err != nil {
		return nil, errNotFound
	}
	return s.showVhost(&ns), nil
}

func (s *Server) showVhost(ns *broker.Namespace) object {
	totals := s.totalsOf(ns.Name)
	doc := totals.lengths()
	description, kind := ns.Description, ns.DefaultQueueType
	if ns.Name == "" && description == "" {
		description = "Default virtual host"
	}
	if kind == "" {
		kind = "classic"
	}
	for name, v := range (object{
		"name": amqp.VhostOf(ns.Name), "description": description, "tags": tagsOf(ns.Tags),
		"default_queue_type": kind, "tracing": false,
		"metadata": object{"description": description, "tags": tagsOf(ns.Tags),
			"default_queue_type": kind},
		"cluster_state": object{s.nodeName(): "running"}, "message_stats": totals.stats(),
	}) {
		doc[name] = v
	}
	return doc
}

// putVhost makes a virtual host, or changes what is said of it. Who makes one may do everything in
// it.
func (s *Server) putVhost(r *request) (any, error) {
	var want vhostWanted
	if err := r.decode(&want); err != nil {
		return nil, err
	}
	name, ok := amqp.NamespaceOf(r.PathValue("v"))
	switch {
	case !ok:
		return nil, errNotFound
	case bool(want.Tracing):
		return nil, notBuilt(noTracing)
	}
	ns, err := want.namespace(name)
	if err != nil {
		return nil, err
	}
	made, err := s.b.PutNamespace(r.Context(), ns)
	if err == nil && made {
		_, err = s.b.SetPermission(r.Context(), broker.Permission{Namespace: name, User: r.user.Name,
			Configure: ".*", Write: ".*", Read: ".*"})
		if errors.Is(err, broker.NotFound) {
			err = nil // the listener's own function knows the user, and the broker does not
		}
	}
	return createdUnless(!made, err)
}

// vhostWanted is the body of a request for a virtual host.
type vhostWanted struct {
	Description string `json:"description"`
	Tags        words  `json:"tags"`
	Type        string `json:"default_queue_type"`
	Tracing     truth  `json:"tracing"`
}

func (w *vhostWanted) namespace(name string) (ns broker.Namespace, err error) {
	ns = broker.Namespace{Name: name, Description: w.Description, Tags: w.Tags}
	switch w.Type {
	case "", "undefined":
	case "classic", "quorum", "stream":
		ns.DefaultQueueType = w.Type
	default:
		return ns, badRequest("Unsupported default queue type: %s", w.Type)
	}
	return ns, nil
}

// deleteVhost ends the connections to it too: they watch it.
func (s *Server) deleteVhost(r *request) (any, error) {
	name, err := s.namespaceNamed(r)
	if err != nil {
		return nil, err
	}
	return nil, missing(s.b.DeleteNamespace(r.Context(), name))
}

// words is a list of strings, or one string with commas between them.
type words []string

// UnmarshalJSON reads ["a", "b"] and "a,b".
func (w *words) UnmarshalJSON(p []byte) error {
	var list []string
	if json.Unmarshal(p, &list) != nil {
		var one string
		if err := json.Unmarshal(p, &one); err != nil {
			return fmt.Errorf("%s is no list of words", p)
		}
		list = strings.Split(one, ",")
	}
	*w = words{} // also where there are none: it was given
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			*w = append(*w, s)
		}
	}
	return nil
}
