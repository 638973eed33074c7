package amqp

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tidings-io/tidings/broker"
)

// What the user of a connection may do, as RabbitMQ has it: each method needs some access to the
// queues and exchanges that it names, judged by their names before they are looked for. Passive
// declarations and what belongs to a consumer already need none.

// noRights lets nothing be done.
var noRights = &broker.Rights{}

// rightsNow are the user's rights in the virtual host. They are kept until something about users,
// permissions or virtual hosts changes.
func (c *conn) rightsNow() *broker.Rights {
	if c.allRights || c.s.config.Authenticate != nil {
		return broker.AllRights // the one who decides on logins keeps no permissions
	}
	now := c.s.broker.AccessGeneration()
	if c.rights != nil && c.rights.Generation() == now {
		return c.rights
	}
	key := rightsKey{c.namespace, c.user}
	if c.rights = c.s.rights.find(now, key); c.rights != nil {
		return c.rights
	}
	r, err := c.s.broker.Rights(c.namespace, c.user, "{username}", c.user, "{vhost}", vhostOf(c.namespace))
	if err != nil {
		if !errors.Is(err, broker.NotFound) {
			c.s.config.Logger.Error("amqp permissions", "user", c.user, "error", err)
		}
		return noRights
	}
	c.rights = r
	c.s.rights.keep(key, r)
	return r
}

// sharedRights are rights of one generation that connections have asked for: what expressions are compiled
// to takes much memory, and all connections of a user have the same.
type sharedRights struct {
	mu         sync.Mutex
	generation uint64
	by         map[rightsKey]*broker.Rights
}

type rightsKey struct{ namespace, user string }

// find returns nil where nobody has asked yet.
func (s *sharedRights) find(generation uint64, k rightsKey) *broker.Rights {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		return nil
	}
	return s.by[k]
}

// keep shares rights, unless newer ones are shared already.
func (s *sharedRights) keep(k rightsKey, r *broker.Rights) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Generation() > s.generation || s.by == nil {
		s.generation, s.by = r.Generation(), map[rightsKey]*broker.Rights{}
	}
	if r.Generation() == s.generation {
		s.by[k] = r
	}
}

// may refuses what the user may not do with a queue or exchange.
func (ch *channel) may(a broker.Access, n broker.Name) error {
	if n.Kind == broker.KindExchange && n.Name == "" {
		n.Name = defaultExchangeName
	}
	if ch.c.rightsNow().May(a, n.Name) {
		return nil
	}
	kind := "queue"
	if n.Kind == broker.KindExchange {
		kind = "exchange"
	}
	return errorf(replyAccessRefused, "%v access to %s %s refused for user '%s'", a, kind, inVhost(n), ch.c.user)
}

// defaultExchangeName is what permissions call the default exchange.
const defaultExchangeName = "amq.default"

// mayTopic refuses a routing key that the user may not use with a topic exchange.
func (ch *channel) mayTopic(a broker.Access, x broker.Name, key string) error {
	if ch.c.rightsNow().MayTopic(a, x.Name, key) {
		return nil
	}
	return errorf(replyAccessRefused, "%v access to topic '%s' in exchange topic %s refused for user '%s'",
		a, key, inVhost(x), ch.c.user)
}

const topicExchange = "topic"

// mayPublish says whether the user may publish to an exchange, which need not be there. A channel
// publishes to the same one again and again, so it remembers the last verdict.
func (ch *channel) mayPublish(name string, x *broker.Exchange) error {
	generation := ch.c.s.broker.AccessGeneration()
	if x != nil && x == ch.writable && generation == ch.writableAt {
		return nil
	}
	if err := ch.may(broker.ToWrite, ch.exchangeName(name)); err != nil {
		return err
	}
	ch.writable, ch.writableAt = x, generation
	return nil
}

// mayRoute says whether the user may publish with all routing keys of a record.
func (ch *channel) mayRoute(x *broker.Exchange, rec *broker.QueueRecord) error {
	if x == nil || !ch.c.rightsNow().BindsTopics(rec.Exchange) || x.Spec().Type != topicExchange {
		return nil
	}
	for _, key := range slices.Concat([]string{rec.Key}, rec.CC, rec.BCC) {
		if err := ch.mayTopic(broker.ToWrite, x.Name(), key); err != nil {
			return err
		}
	}
	return nil
}

// mayBind says whether the user may make or end a binding.
func (ch *channel) mayBind(bd *broker.Binding) error {
	if err := ch.may(broker.ToWrite, bd.Destination); err != nil {
		return err
	}
	if ofDefaultExchange(bd) {
		return errDefaultExchange
	}
	source := ch.exchangeName(bd.Source)
	if err := ch.may(broker.ToRead, source); err != nil {
		return err
	}
	x, err := ch.c.s.broker.Exchange(source.Namespace, source.Name)
	if err != nil || x.Spec().Type != topicExchange {
		return nil // who looks for it will say that it is missing
	}
	return ch.mayTopic(broker.ToRead, source, bd.Key)
}

// mayLeadTo says whether the user may make something that passes records on to an exchange, as an
// alternate or for dead letters do: from what it reads it writes.
func (ch *channel) mayLeadTo(from broker.Name, to string) error {
	if err := ch.may(broker.ToRead, from); err != nil {
		return err
	}
	return ch.may(broker.ToWrite, ch.exchangeName(to))
}

// findFor is find for a user who may access the queue so.
func (ch *channel) findFor(a broker.Access, name string) (*broker.Queue, *broker.Topic, error) {
	name, err := ch.queueName(name)
	if err != nil {
		return nil, nil, err
	}
	if err := ch.may(a, ch.queueNamed(name)); err != nil {
		return nil, nil, err
	}
	return ch.find(name)
}

// enter takes the connection into a virtual host.
func (c *conn) enter(vhost string) error {
	namespace, ok := NamespaceOf(vhost)
	if ok { // watched before it is looked at: a deletion in between is seen
		c.vhostGone = c.s.broker.NamespaceGone(namespace)
		_, err := c.s.broker.Namespace(namespace)
		ok = err == nil
	}
	if !ok {
		return errorf(replyNotAllowed, "vhost %s not found", vhost)
	}
	c.namespace = namespace
	if c.rightsNow() == noRights {
		return errorf(replyNotAllowed, "access to vhost '%s' refused for user '%s'", vhost, c.user)
	}
	return nil
}

// VhostOf is the virtual host that clients see of a namespace: the default one is "/".
func VhostOf(namespace string) string { return vhostOf(namespace) }

// NamespaceOf is the inverse of VhostOf. No virtual host has an empty name.
func NamespaceOf(vhost string) (namespace string, ok bool) {
	if vhost == defaultVhost {
		return "", true
	}
	return vhost, vhost != ""
}

// watchDepartures ends the connections whose user or virtual host is deleted, until Close. Their own
// loops may be waiting for clients that do not read.
func (s *Server) watchDepartures() {
	for {
		next := s.broker.Departure()
		for _, c := range s.conns.All() {
			c.endIfAlone()
		}
		select {
		case <-next:
		case <-s.drain:
			return
		}
	}
}

// endIfAlone ends the connection if it is open and its user or virtual host is gone. One that opens
// meanwhile asks for itself.
func (c *conn) endIfAlone() {
	if !isClosed(c.opened) {
		return
	}
	switch {
	case isClosed(c.vhostGone):
		c.force(fmt.Sprintf("vhost '%s' is deleted", vhostOf(c.namespace)))
	case isClosed(c.userGone):
		c.force(fmt.Sprintf("user '%s' is deleted", c.user))
	}
}

// isClosed is false of nil.
func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// withDefaultType gives a declaration without a type the virtual host's, if it has one that can be
// so: only classic queues may be exclusive, transient or auto-delete.
func (ch *channel) withDefaultType(m *queueDeclare) {
	if _, set := m.arguments.Get(queueTypeArg); set {
		return
	}
	lasting := m.durable && !m.exclusive && !m.autoDelete
	if kind := defaultType(ch.c.s.broker, ch.c.namespace, lasting); kind != "" {
		m.arguments = m.arguments.with(queueTypeArg, kind)
	}
}

// defaultType is the type that a virtual host gives a queue; "": none.
func defaultType(b *broker.Broker, namespace string, lasting bool) string {
	ns, err := b.Namespace(namespace)
	if err != nil || !lasting && ns.DefaultQueueType != "classic" {
		return ""
	}
	return ns.DefaultQueueType
}

const queueTypeArg = "x-queue-type"
