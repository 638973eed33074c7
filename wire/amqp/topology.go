package amqp

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/tidings-io/tidings/broker"
)

// topology acts on the methods of classes exchange and queue.
func (ch *channel) topology(m method) (handled bool, err error) {
	switch m := m.(type) {
	case *exchangeDeclare:
		return true, ch.declareExchange(m)
	case *exchangeDelete:
		return true, ch.deleteExchange(m)
	case *exchangeBind:
		return true, ch.bind(m.noWait, &exchangeBindOk{}, ch.binding(broker.KindExchange, m.destination,
			m.source, m.routingKey, m.arguments))
	case *exchangeUnbind:
		return true, ch.unbind(m.noWait, &exchangeUnbindOk{}, ch.binding(broker.KindExchange, m.destination,
			m.source, m.routingKey, m.arguments))
	case *queueDeclare:
		return true, ch.declareQueue(m)
	case *queueDelete:
		return true, ch.deleteQueue(m)
	case *queuePurge:
		return true, ch.purgeQueue(m)
	case *queueBind:
		if err := ch.expand(&m.queue, &m.routingKey); err != nil {
			return true, err
		}
		return true, ch.bind(m.noWait, &queueBindOk{}, ch.binding(ch.kindOf(m.queue), m.queue, m.exchange,
			m.routingKey, m.arguments))
	case *queueUnbind:
		if err := ch.expand(&m.queue, &m.routingKey); err != nil {
			return true, err
		}
		return true, ch.unbind(false, &queueUnbindOk{}, ch.binding(ch.kindOf(m.queue), m.queue, m.exchange,
			m.routingKey, m.arguments))
	}
	return false, nil
}

func noExchange(n broker.Name) error { return errorf(replyNotFound, "no exchange %s", inVhost(n)) }

func noQueue(n broker.Name) error { return errorf(replyNotFound, "no queue %s", inVhost(n)) }

// inVhost is a name as RabbitMQ's replies tell it.
func inVhost(n broker.Name) string {
	return fmt.Sprintf("'%s' in vhost '%s'", n.Name, vhostOf(n.Namespace))
}

// vhostOf is what clients call a namespace: the default one is "/".
func vhostOf(namespace string) string {
	if namespace == "" {
		return defaultVhost
	}
	return namespace
}

const defaultVhost = "/"

func (ch *channel) exchangeName(name string) broker.Name {
	return broker.Name{Kind: broker.KindExchange, Namespace: ch.c.namespace, Name: name}
}

func (ch *channel) queueNamed(name string) broker.Name {
	return broker.Name{Kind: broker.KindQueue, Namespace: ch.c.namespace, Name: name}
}

// queueName is the queue that a name stands for: "" is the one declared last on this channel.
func (ch *channel) queueName(name string) (string, error) {
	if name == "" {
		name = ch.lastQueue
	}
	if name == "" {
		return "", errorf(replyNotFound, "no previously declared queue")
	}
	return name, nil
}

// expand completes a binding that names no queue: it is the one declared last, and where there is
// no routing key either, its name is the key.
func (ch *channel) expand(queue, key *string) (err error) {
	if *queue == "" && *key == "" {
		*key = ch.lastQueue
	}
	*queue, err = ch.queueName(*queue)
	return err
}

// queue finds the queue that a method names.
func (ch *channel) queue(name string) (*broker.Queue, error) {
	name, err := ch.queueName(name)
	if err != nil {
		return nil, err
	}
	q, err := ch.c.s.broker.Queue(ch.c.namespace, name)
	if err != nil {
		return nil, noQueue(ch.queueNamed(name))
	}
	if ch.isLocked(q) {
		return nil, locked(q.Name())
	}
	return q, nil
}

// isLocked says that a queue belongs to another connection.
func (ch *channel) isLocked(q *broker.Queue) bool {
	owner := q.Spec().Owner
	return owner != nil && owner != any(ch.c)
}

func locked(n broker.Name) error {
	return errorf(replyResourceLocked, "cannot obtain exclusive access to locked queue %s. "+
		"It could be originally declared on another connection or the exclusive property value does not "+
		"match that of the original declaration.", inVhost(n))
}

// queueFailed is an error of the broker about a queue that was found.
func queueFailed(q *broker.Queue, err error) error {
	switch {
	case errors.Is(err, broker.NotFound):
		return noQueue(q.Name())
	case errors.Is(err, broker.Denied):
		return locked(q.Name())
	}
	return failed(err)
}

func (ch *channel) declareExchange(m *exchangeDeclare) error {
	if m.exchange == "" {
		return errDefaultExchange
	}
	if m.passive {
		if _, err := ch.c.s.broker.Exchange(ch.c.namespace, m.exchange); err != nil {
			return noExchange(ch.exchangeName(m.exchange))
		}
		return ch.answerUnless(m.noWait, &exchangeDeclareOk{})
	}
	if err := ch.may(broker.ToConfigure, ch.exchangeName(m.exchange)); err != nil {
		return err
	}
	if ch.c.s.broker.Relays(m.kind) {
		return errorf(replyPreconditionFailed, "exchanges of type '%s' are not declared by AMQP", m.kind)
	}
	spec := broker.ExchangeSpec{Namespace: ch.c.namespace, Name: m.exchange, Type: m.kind, Durable: m.durable,
		AutoDelete: m.autoDelete, Internal: m.internal, Args: toArgs(m.arguments)}
	spec.Alternate, _, _ = spec.Args.Text("alternate-exchange")
	if old, err := ch.c.s.broker.Exchange(ch.c.namespace, m.exchange); err == nil {
		if err := sameExchange(old.Spec(), spec); err != nil {
			return err
		}
		if _, _, err := ch.c.s.broker.DeclareExchange(ch.c.ctx, old.Spec()); err != nil { // waits for the disk
			return failed(err)
		}
		return ch.answerUnless(m.noWait, &exchangeDeclareOk{})
	}
	if strings.HasPrefix(m.exchange, reservedPrefix) {
		return reserved("exchange", m.exchange)
	}
	if spec.Alternate != "" {
		if err := ch.mayLeadTo(ch.exchangeName(m.exchange), spec.Alternate); err != nil {
			return err
		}
	}
	_, _, err := ch.c.s.broker.DeclareExchange(ch.c.ctx, spec)
	if errors.Is(err, broker.Unsupported) {
		return errorf(replyPreconditionFailed, "unknown exchange type '%s'", routingType(&spec))
	}
	if errors.Is(err, broker.Invalid) && m.kind == delayedExchange {
		return errorf(replyPreconditionFailed,
			"Invalid argument, 'x-delayed-type' must be an existing exchange type")
	}
	if err != nil {
		return failed(err)
	}
	return ch.answerUnless(m.noWait, &exchangeDeclareOk{})
}

// errDefaultExchange: it is there, and leads to each queue by name; no more can be done with it.
var errDefaultExchange = errorf(replyAccessRefused, "operation not permitted on the default exchange")

// reservedPrefix begins the names that only the server gives.
const reservedPrefix = "amq."

func reserved(what, name string) error {
	return errorf(replyAccessRefused, "%s name '%s' contains reserved prefix 'amq.*'", what, name)
}

// routingType is the type by which an exchange routes.
func routingType(x *broker.ExchangeSpec) string {
	if kind, ok, _ := x.Args.Text("x-delayed-type"); ok && x.Type == delayedExchange {
		return kind
	}
	return x.Type
}

func (ch *channel) deleteExchange(m *exchangeDelete) error {
	if m.exchange == "" {
		return errDefaultExchange
	}
	if strings.HasPrefix(m.exchange, reservedPrefix) {
		return errorf(replyAccessRefused, "deletion of system exchange %s not allowed",
			inVhost(ch.exchangeName(m.exchange)))
	}
	if err := ch.may(broker.ToConfigure, ch.exchangeName(m.exchange)); err != nil {
		return err
	}
	if x, err := ch.c.s.broker.Exchange(ch.c.namespace, m.exchange); err == nil {
		if kind := x.Spec().Type; ch.c.s.broker.Relays(kind) {
			return errorf(replyAccessRefused, "exchange %s is of type '%s', which AMQP does not delete",
				inVhost(x.Name()), kind)
		}
		err := ch.c.s.broker.DeleteExchange(ch.c.ctx, x, m.ifUnused)
		switch {
		case errors.Is(err, broker.ErrInUse):
			return errorf(replyPreconditionFailed, "exchange %s in use", inVhost(x.Name()))
		case err != nil && !errors.Is(err, broker.NotFound):
			return failed(err)
		}
	}
	return ch.answerUnless(m.noWait, &exchangeDeleteOk{})
}

func (ch *channel) binding(kind broker.Kind, to, from, key string, args Table) broker.Binding {
	ns := ch.c.namespace
	return broker.Binding{Namespace: ns, Source: from, Key: key, Args: toArgs(args),
		Destination: broker.Name{Kind: kind, Namespace: ns, Name: to}}
}

// bindable looks at both ends of a binding, as RabbitMQ does, in its order.
func (ch *channel) bindable(bd *broker.Binding) error {
	b, to := ch.c.s.broker, bd.Destination
	if err := ch.mayBind(bd); err != nil {
		return err
	}
	switch to.Kind {
	case broker.KindQueue:
		if _, err := ch.queue(to.Name); err != nil {
			return err
		}
	case broker.KindExchange:
		if _, err := b.Exchange(to.Namespace, to.Name); err != nil {
			return noExchange(to)
		}
	}
	if _, err := b.Exchange(bd.Namespace, bd.Source); err != nil {
		return noExchange(ch.exchangeName(bd.Source))
	}
	return nil
}

func ofDefaultExchange(bd *broker.Binding) bool {
	return bd.Source == "" || bd.Destination.Kind == broker.KindExchange && bd.Destination.Name == ""
}

func (ch *channel) bind(noWait bool, ok method, bd broker.Binding) error {
	if err := ch.bindable(&bd); err != nil {
		return err
	}
	if err := ch.c.s.broker.Bind(ch.c.ctx, bd); err != nil {
		if errors.Is(err, broker.Invalid) || errors.Is(err, broker.Unsupported) {
			return errorf(replyPreconditionFailed, "%v", err)
		}
		return failed(err)
	}
	return ch.answerUnless(noWait, ok)
}

// unbind ends a binding. One that is not there, or one of its ends, is no error.
func (ch *channel) unbind(noWait bool, ok method, bd broker.Binding) error {
	if err := ch.mayBind(&bd); err != nil {
		return err
	}
	if to := bd.Destination; to.Kind == broker.KindQueue {
		if q, err := ch.c.s.broker.Queue(to.Namespace, to.Name); err == nil && ch.isLocked(q) {
			return locked(q.Name())
		}
	}
	if err := ch.c.s.broker.Unbind(ch.c.ctx, bd); err != nil {
		return failed(err)
	}
	return ch.answerUnless(noWait, ok)
}

func (ch *channel) declareQueue(m *queueDeclare) error {
	switch {
	case m.queue == directReplyTo || strings.HasPrefix(m.queue, directReplyTo+"."):
		return ch.declareReply(m)
	case m.passive:
		return ch.declarePassive(m)
	case strings.HasPrefix(m.queue, reservedPrefix) && !ch.c.allRights: // also one that is there
		return reserved("queue", m.queue)
	}
	ch.withDefaultType(m)
	spec := broker.QueueSpec{Namespace: ch.c.namespace, Name: m.queue, AutoDelete: m.autoDelete,
		Durable: m.durable && !m.exclusive, Args: toArgs(m.arguments)}
	if m.exclusive {
		spec.Owner = ch.c
	}
	if m.queue == "" {
		spec.Name = generatedName("amq.gen-")
	}
	if err := ch.may(broker.ToConfigure, ch.queueNamed(spec.Name)); err != nil {
		return err
	}
	old, err := ch.c.s.broker.Queue(ch.c.namespace, spec.Name)
	switch {
	case err == nil:
		return ch.redeclare(m, old, &spec)
	case IsStream(spec.Args) && m.queue == "":
		return errorf(replyPreconditionFailed, "Cannot declare a server-named queue for type rabbit_stream_queue")
	case IsStream(spec.Args):
		return ch.declareStream(m, spec.Args)
	}
	spec.Type = typeOf(spec.Args)
	if spec.Settings, err = settingsOf(ch.queueNamed(spec.Name), spec.Args); err != nil {
		return err
	}
	if spec.Settings.DeadLetters {
		if err := ch.mayLeadTo(ch.queueNamed(spec.Name), spec.Settings.DeadLetterTo); err != nil {
			return err
		}
	}
	q, created, err := ch.c.s.broker.DeclareQueue(ch.c.ctx, spec)
	switch {
	case errors.Is(err, broker.Denied):
		return locked(ch.queueNamed(spec.Name))
	case err != nil:
		return failed(err)
	case !created: // someone was faster
		return ch.redeclare(m, q, &spec)
	}
	if m.exclusive {
		ch.c.owned[q] = true
	}
	return ch.declared(m, q)
}

// declarePassive waits until the settlements before it are on disk: a consumer has no other way to
// know, since an ack has no answer.
func (ch *channel) declarePassive(m *queueDeclare) error {
	q, t, err := ch.find(m.queue)
	if err != nil {
		return err
	}
	if err := ch.c.tx.settled.Wait(ch.c.ctx); err != nil {
		return failed(err)
	}
	if q == nil {
		return ch.declaredStream(m, t)
	}
	return ch.declared(m, q)
}

func (ch *channel) redeclare(m *queueDeclare, old *broker.Queue, spec *broker.QueueSpec) error {
	if err := sameQueue(old.Spec(), *spec); err != nil {
		return err
	}
	q, _, err := ch.c.s.broker.DeclareQueue(ch.c.ctx, old.Spec()) // is use, and waits for the disk
	if err != nil {
		return queueFailed(old, err)
	}
	return ch.declared(m, q)
}

func (ch *channel) declared(m *queueDeclare, q *broker.Queue) error {
	ch.lastQueue = q.Name().Name
	s := q.Stats()
	return ch.answerUnless(m.noWait, &queueDeclareOk{queue: ch.lastQueue, messageCount: uint32(s.Ready),
		consumerCount: uint32(s.Subscriptions)})
}

func (ch *channel) deleteQueue(m *queueDelete) error {
	name, err := ch.queueName(m.queue)
	if err != nil {
		return err
	}
	if err := ch.may(broker.ToConfigure, ch.queueNamed(name)); err != nil {
		return err
	}
	n := int64(0)
	q, t, err := ch.find(name)
	var e *Error
	switch {
	case t != nil:
		return ch.deleteStream(m, t)
	case errors.As(err, &e) && e.Code != replyNotFound:
		return err
	case err == nil:
		own := ch.c.out.detach(q)
		n, err = ch.c.s.broker.DeleteQueue(ch.c.ctx, q,
			broker.DeleteOptions{IfUnused: m.ifUnused, IfEmpty: m.ifEmpty, Owner: ch.c})
		defer ch.c.out.attach(own) // they hear that the queue is gone behind delete-ok
		switch {
		case errors.Is(err, broker.ErrInUse):
			return errorf(replyPreconditionFailed, "queue %s in use", inVhost(q.Name()))
		case errors.Is(err, broker.ErrNotEmpty):
			return errorf(replyPreconditionFailed, "queue %s not empty", inVhost(q.Name()))
		case err != nil && !errors.Is(err, broker.NotFound):
			return queueFailed(q, err)
		}
		delete(ch.c.owned, q)
	}
	return ch.answerUnless(m.noWait, &queueDeleteOk{messageCount: uint32(n)})
}

func (ch *channel) purgeQueue(m *queuePurge) error {
	q, t, err := ch.findFor(broker.ToRead, m.queue)
	if err != nil {
		return err
	}
	if q == nil {
		return errorf(replyNotImplemented, "purge not supported by queue %s", inVhost(t.Name()))
	}
	n, err := q.Purge(ch.c.ctx, ch.c)
	if err != nil {
		return queueFailed(q, err)
	}
	return ch.answerUnless(m.noWait, &queuePurgeOk{messageCount: uint32(n)})
}

// generatedName makes a name as RabbitMQ does: a prefix and 22 characters.
func generatedName(prefix string) string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}
