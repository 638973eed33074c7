package management

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// definitionsDoc is what an import reads of a document of definitions. What RabbitMQ writes there
// and has no meaning here is passed over, and logged where somebody could miss it.
type definitionsDoc struct {
	Users            []definedUser        `json:"users"`
	Vhosts           []definedVhost       `json:"vhosts"`
	Permissions      []definedPermission  `json:"permissions"`
	TopicPermissions []definedTopicAccess `json:"topic_permissions"`
	Policies         []definedPolicy      `json:"policies"`
	Parameters       []definedParameter   `json:"parameters"`
	GlobalParameters []definedParameter   `json:"global_parameters"`
	Exchanges        []definedExchange    `json:"exchanges"`
	Queues           []definedQueue       `json:"queues"`
	Bindings         []definedBinding     `json:"bindings"`
}

// place is the virtual host that something is in, and what it is called there.
type place struct {
	Vhost *string `json:"vhost"`
	Name  string  `json:"name"`
}

type (
	definedUser struct {
		userWanted
		Name   string `json:"name"`
		Limits loose  `json:"limits"`
	}
	definedVhost struct {
		vhostWanted
		Name     string      `json:"name"`
		Limits   loose       `json:"limits"`
		Metadata vhostWanted `json:"metadata"` // where RabbitMQ 3.10 has the rest
	}
	definedPermission struct {
		place
		permissionWanted
		User string `json:"user"`
	}
	definedTopicAccess struct {
		place
		topicPermissionWanted
		User string `json:"user"`
	}
	definedPolicy struct {
		place
		policyWanted
	}
	definedParameter struct {
		place
		Component string `json:"component"`
		Value     loose  `json:"value"`
	}
	definedExchange struct {
		place
		exchangeWanted
	}
	definedQueue struct {
		place
		queueWanted
	}
	definedBinding struct {
		place
		Source      string    `json:"source"`
		Destination string    `json:"destination"`
		Kind        string    `json:"destination_type"`
		Key         string    `json:"routing_key"`
		Arguments   arguments `json:"arguments"`
	}
)

// loose is any value. A list of pairs is an object: RabbitMQ's command line exports them so.
type loose struct{ value any }

// UnmarshalJSON reads {"a": 1} and [["a", 1]].
func (l *loose) UnmarshalJSON(p []byte) error {
	if err := decodeValue(p, &l.value); err != nil {
		return err
	}
	l.value = pairsAsObject(l.value)
	return nil
}

func pairsAsObject(v any) any {
	switch v := v.(type) {
	case object:
		for name := range v {
			v[name] = pairsAsObject(v[name])
		}
	case []any:
		doc := object{}
		for _, one := range v {
			pair, ok := one.([]any)
			if !ok || len(pair) != 2 {
				return v
			}
			name, ok := pair[0].(string)
			if !ok {
				return v
			}
			doc[name] = pairsAsObject(pair[1])
		}
		return doc
	}
	return v
}

// isEmpty says whether there is nothing in it.
func (l *loose) isEmpty() bool {
	doc, ok := l.value.(object)
	return l.value == nil || ok && len(doc) == 0
}

// importDefinitions makes what a document says that is not there, in an order in which everything
// finds what it needs, and stops at the first error. It may be repeated. Users, permissions and
// policies that are there are replaced; queues and exchanges are left as they are. It acts as an
// administrator, whatever permissions the one who asks for it has.
func (s *Server) importDefinitions(r *request) (any, error) {
	var doc definitionsDoc
	if err := r.decode(&doc); err != nil {
		return nil, err
	}
	return nil, (&importing{s: s, r: r, doc: &doc}).run()
}

// importDefinitionsOfVhost does so inside of one virtual host, wherever the document says that
// something is.
func (s *Server) importDefinitionsOfVhost(r *request) (any, error) {
	var doc definitionsDoc
	if err := r.decode(&doc); err != nil {
		return nil, err
	}
	doc.Users, doc.Vhosts, doc.Permissions, doc.TopicPermissions = nil, nil, nil, nil
	vhost := amqp.VhostOf(r.namespace)
	return nil, (&importing{s: s, r: r, doc: &doc, vhost: &vhost}).run()
}

// importing is one import.
type importing struct {
	s     *Server
	r     *request
	doc   *definitionsDoc
	vhost *string // that everything is in; nil: as the document says
	done  []string
}

// kindOfDefinition is a list of the document, and how one of it is made.
type kindOfDefinition struct {
	one, many string
	count     int
	make      func(i int) (name string, err error)
}

func (m *importing) run() error {
	d := m.doc
	for _, p := range d.GlobalParameters {
		m.ignore("global parameter", p.Name)
	}
	for _, k := range []kindOfDefinition{
		{"user", "users", len(d.Users), m.user},
		{"virtual host", "virtual hosts", len(d.Vhosts), m.vhostNumbered},
		{"permission of", "permissions", len(d.Permissions), m.permission},
		{"topic permission of", "topic permissions", len(d.TopicPermissions), m.topicPermission},
		{"policy", "policies", len(d.Policies), m.policy},
		{"parameter", "parameters", len(d.Parameters), m.parameter},
		{"exchange", "exchanges", len(d.Exchanges), m.exchange},
		{"queue", "queues", len(d.Queues), m.queue},
		{"binding", "bindings", len(d.Bindings), m.binding},
	} {
		if err := m.each(k); err != nil {
			return err
		}
	}
	m.s.config.Logger.Info("definitions imported", "what", strings.Join(m.done, ", "))
	return nil
}

// each makes one after the other. An error tells what was made before it, and stays.
func (m *importing) each(k kindOfDefinition) error {
	for i := range k.count {
		name, err := k.make(i)
		if err == nil {
			continue
		}
		p := asProblem(err)
		if i > 0 {
			m.done = append(m.done, fmt.Sprintf("%d %s", i, k.many))
		}
		p.reason = fmt.Sprintf("%s '%s': %s", k.one, name, strings.TrimSpace(p.reason))
		if len(m.done) > 0 {
			p.reason += "; imported before it: " + strings.Join(m.done, ", ")
		}
		m.s.config.Logger.Error("definitions not imported", "error", p.reason)
		return &p
	}
	if k.count > 0 {
		m.done = append(m.done, fmt.Sprintf("%d %s", k.count, k.many))
	}
	return nil
}

// ignore logs what the document says and has no meaning here.
func (m *importing) ignore(what, name string) {
	m.s.config.Logger.Warn("definitions: ignored", "what", what, "name", name)
}

// namespace is where something is imported into.
func (m *importing) namespace(p place) (string, error) {
	vhost := p.Vhost
	if m.vhost != nil {
		vhost = m.vhost
	}
	if vhost == nil {
		return "", badRequest("the document does not say in which virtual host it is: import it into " +
			"one, at /api/definitions/{vhost}")
	}
	name, ok := amqp.NamespaceOf(*vhost)
	if ok {
		_, err := m.s.b.Namespace(name)
		ok = err == nil
	}
	if !ok {
		return "", badRequest("Please create virtual host \"%s\" prior to importing definitions.", *vhost)
	}
	return name, nil
}

// direct does in a virtual host what channels do, with all rights.
func (m *importing) direct(namespace string) *amqp.Direct {
	return m.s.amqp.Direct(m.r.Context(), namespace, m.r.user).WithAllRights()
}

func (m *importing) user(i int) (string, error) {
	d := &m.doc.Users[i]
	if !d.Limits.isEmpty() {
		m.ignore("limits of a user", d.Name)
	}
	u, err := d.user(d.Name)
	if err == nil {
		_, err = m.s.b.PutUser(m.r.Context(), u)
	}
	return d.Name, err
}

// vhostNumbered makes a virtual host. One that is there stays as it is where nothing is said of it.
// Nobody is permitted anything: the document has permissions.
func (m *importing) vhostNumbered(i int) (string, error) {
	d := &m.doc.Vhosts[i]
	name, ok := amqp.NamespaceOf(d.Name)
	if !ok {
		return d.Name, badRequest("it has no name")
	}
	want := d.vhostWanted
	if want.Description == "" && want.Tags == nil && want.Type == "" {
		want = d.Metadata
	}
	if bool(d.Tracing) {
		m.ignore("tracing of a virtual host", d.Name)
	}
	if !d.Limits.isEmpty() {
		m.ignore("limits of a virtual host", d.Name)
	}
	// RabbitMQ's metadata may have its own names for types.
	want.Type = strings.TrimSuffix(strings.TrimPrefix(want.Type, "rabbit_"), "_queue")
	ns, err := want.namespace(name)
	if err != nil {
		return d.Name, err
	}
	_, missing := m.s.b.Namespace(name)
	if missing == nil && ns.Description == "" && len(ns.Tags) == 0 && ns.DefaultQueueType == "" {
		return d.Name, nil
	}
	_, err = m.s.b.PutNamespace(m.r.Context(), ns)
	return d.Name, err
}

func (m *importing) permission(i int) (string, error) {
	d := &m.doc.Permissions[i]
	if _, err := m.namespace(d.place); err != nil {
		return d.User, err
	}
	return d.User, m.s.permit(m.r, *d.Vhost, d.User, &d.permissionWanted)
}

func (m *importing) topicPermission(i int) (string, error) {
	d := &m.doc.TopicPermissions[i]
	namespace, err := m.namespace(d.place)
	if err == nil {
		_, err = m.s.permitTopic(m.r, namespace, d.User, &d.topicPermissionWanted)
	}
	return d.User, err
}

func (m *importing) policy(i int) (string, error) {
	d := &m.doc.Policies[i]
	return d.Name, m.enforce(d.place, &d.policyWanted, false)
}

// enforce leaves out settings of RabbitMQ that say how a cluster keeps copies, and a policy that has
// no others.
func (m *importing) enforce(at place, want *policyWanted, operator bool) error {
	p, err := want.policy()
	if err != nil {
		return err
	}
	if p.Namespace, err = m.namespace(at); err != nil {
		return err
	}
	p.Name, p.Operator = at.Name, operator
	p.Definition = slices.DeleteFunc(p.Definition, func(a broker.Arg) bool {
		ofClusters := strings.HasPrefix(a.Name, "ha-") || strings.HasPrefix(a.Name, "federation-")
		if ofClusters {
			m.ignore("setting "+a.Name+" of a policy", at.Name)
		}
		return ofClusters
	})
	if len(p.Definition) == 0 && len(*want.Definition) > 0 {
		m.ignore("policy without other settings", at.Name)
		return nil
	}
	_, err = m.s.enforce(m.r.Context(), p)
	return err
}

// parameter makes an operator policy; of other parameters there are none here.
func (m *importing) parameter(i int) (string, error) {
	d := &m.doc.Parameters[i]
	if d.Component != operatorPolicyComponent {
		m.ignore("parameter "+d.Component, d.Name)
		return d.Name, nil
	}
	var want policyWanted
	text, err := json.Marshal(d.Value.value)
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		return d.Name, badRequest("the value is no policy: %v", err)
	}
	return d.Name, m.enforce(d.place, &want, true)
}

// exchange leaves one that is there as it is.
func (m *importing) exchange(i int) (string, error) {
	d := &m.doc.Exchanges[i]
	namespace, err := m.namespace(d.place)
	if err != nil {
		return d.Name, err
	}
	_, missing := m.s.b.Exchange(namespace, d.Name)
	return d.Name, m.declared("exchange", d.Name, missing == nil,
		m.direct(namespace).DeclareExchange(d.spec(d.Name)))
}

// queue leaves one that is there as it is.
func (m *importing) queue(i int) (string, error) {
	d := &m.doc.Queues[i]
	namespace, err := m.namespace(d.place)
	if err != nil {
		return d.Name, err
	}
	if d.Name == "" {
		return d.Name, badRequest("it has no name")
	}
	_, missing := m.s.b.Queue(namespace, d.Name)
	if missing != nil && amqp.IsStream(broker.Args(d.Arguments)) {
		_, missing = m.s.b.Topic(namespace, d.Name)
	}
	return d.Name, m.declared("queue", d.Name, missing == nil, m.direct(namespace).DeclareQueue(d.spec(d.Name)))
}

// declared passes over the refusal to declare again, in another way, what was there.
func (m *importing) declared(what, name string, there bool, err error) error {
	var refused *amqp.Error
	if !there || !errors.As(err, &refused) {
		return err
	}
	m.s.config.Logger.Warn("definitions: left as it is", "what", what, "name", name, "difference", refused.Text)
	return nil
}

func (m *importing) binding(i int) (string, error) {
	d := &m.doc.Bindings[i]
	name := fmt.Sprintf("%s to %s", d.Source, d.Destination)
	namespace, err := m.namespace(d.place)
	if err != nil {
		return name, err
	}
	b := broker.Binding{Source: d.Source, Key: d.Key, Args: broker.Args(d.Arguments),
		Destination: broker.Name{Kind: broker.KindExchange, Name: d.Destination}}
	switch d.Kind {
	case "queue":
		if b.Source == "" { // every queue has it
			return name, nil
		}
		b.Destination.Kind = broker.KindQueue
	case "exchange":
	default:
		return name, badRequest("destination_type must be queue or exchange")
	}
	return name, m.direct(namespace).Bind(b)
}
