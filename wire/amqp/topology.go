package amqp

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
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
		if m.queue, err = ch.queueName(m.queue); err != nil {
			return true, err
		}
		if m.routingKey == "" && m.queue == ch.lastQueue && m.exchange == "" {
			m.routingKey = m.queue
		}
		return true, ch.bind(m.noWait, &queueBindOk{}, ch.binding(broker.KindQueue, m.queue, m.exchange,
			m.routingKey, m.arguments))
	case *queueUnbind:
		if m.queue, err = ch.queueName(m.queue); err != nil {
			return true, err
		}
		return true, ch.unbind(false, &queueUnbindOk{}, ch.binding(broker.KindQueue, m.queue, m.exchange,
			m.routingKey, m.arguments))
	}
	return false, nil
}

func noExchange(name string) error {
	return errorf(replyNotFound, "no exchange '%s' in vhost '/'", name)
}

func noQueue(name string) error { return errorf(replyNotFound, "no queue '%s' in vhost '/'", name) }

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

// queue finds the queue that a method names.
func (ch *channel) queue(name string) (*broker.Queue, error) {
	name, err := ch.queueName(name)
	if err != nil {
		return nil, err
	}
	q, err := ch.c.s.broker.Queue(ch.c.namespace, name)
	if err != nil {
		return nil, noQueue(name)
	}
	if owner := q.Spec().Owner; owner != nil && owner != any(ch.c) {
		return nil, locked(q)
	}
	return q, nil
}

func locked(q *broker.Queue) error {
	return errorf(replyResourceLocked, "cannot obtain exclusive access to locked queue '%s' in vhost '/'. "+
		"It could be originally declared on another connection or the exclusive property value does not "+
		"match that of the original declaration.", q.Name().Name)
}

// queueFailed is an error of the broker about a queue that was found.
func queueFailed(q *broker.Queue, err error) error {
	switch {
	case errors.Is(err, broker.NotFound):
		return noQueue(q.Name().Name)
	case errors.Is(err, broker.Denied):
		return locked(q)
	}
	return failed(err)
}

func (ch *channel) declareExchange(m *exchangeDeclare) error {
	if m.passive {
		if _, err := ch.c.s.broker.Exchange(ch.c.namespace, m.exchange); err != nil {
			return noExchange(m.exchange)
		}
		return ch.answerUnless(m.noWait, &exchangeDeclareOk{})
	}
	spec := broker.ExchangeSpec{Namespace: ch.c.namespace, Name: m.exchange, Type: m.kind, Durable: m.durable,
		AutoDelete: m.autoDelete, Internal: m.internal, Args: toArgs(m.arguments)}
	spec.Alternate, _, _ = spec.Args.Text("alternate-exchange")
	if old, err := ch.c.s.broker.Exchange(ch.c.namespace, m.exchange); err == nil {
		if err := sameExchange(old.Spec(), spec); err != nil {
			return err
		}
		return ch.answerUnless(m.noWait, &exchangeDeclareOk{})
	}
	if m.exchange == "" || strings.HasPrefix(m.exchange, "amq.") {
		return reserved("exchange", m.exchange)
	}
	_, _, err := ch.c.s.broker.DeclareExchange(ch.c.ctx, spec)
	if errors.Is(err, broker.Unsupported) {
		return errorf(replyPreconditionFailed, "invalid exchange type '%s'", m.kind)
	}
	if err != nil {
		return failed(err)
	}
	return ch.answerUnless(m.noWait, &exchangeDeclareOk{})
}

func reserved(what, name string) error {
	if name == "" {
		return errorf(replyAccessRefused, "operation not permitted on the default exchange")
	}
	return errorf(replyAccessRefused, "%s name '%s' contains reserved prefix 'amq.*'", what, name)
}

func (ch *channel) deleteExchange(m *exchangeDelete) error {
	if m.exchange == "" {
		return reserved("exchange", "")
	}
	if strings.HasPrefix(m.exchange, "amq.") {
		return reserved("exchange", m.exchange)
	}
	if x, err := ch.c.s.broker.Exchange(ch.c.namespace, m.exchange); err == nil {
		err := ch.c.s.broker.DeleteExchange(ch.c.ctx, x, m.ifUnused)
		switch {
		case errors.Is(err, broker.ErrInUse):
			return errorf(replyPreconditionFailed, "exchange '%s' in vhost '/' in use", m.exchange)
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

// bindable looks for both ends of a binding, as RabbitMQ does, in its order.
func (ch *channel) bindable(bd *broker.Binding) error {
	b, to := ch.c.s.broker, bd.Destination
	if to.Kind == broker.KindQueue {
		if _, err := ch.queue(to.Name); err != nil {
			return err
		}
	} else if _, err := b.Exchange(to.Namespace, to.Name); err != nil {
		return noExchange(to.Name)
	}
	if _, err := b.Exchange(bd.Namespace, bd.Source); err != nil {
		return noExchange(bd.Source)
	}
	if bd.Source == "" || to.Kind == broker.KindExchange && to.Name == "" {
		return reserved("exchange", "")
	}
	return nil
}

func (ch *channel) bind(noWait bool, ok method, bd broker.Binding) error {
	if err := ch.bindable(&bd); err != nil {
		return err
	}
	if err := ch.c.s.broker.Bind(ch.c.ctx, bd); err != nil {
		if errors.Is(err, broker.Invalid) {
			return errorf(replyPreconditionFailed, "%v", err)
		}
		return failed(err)
	}
	return ch.answerUnless(noWait, ok)
}

// unbind ends a binding. One that is not there, or one of its ends, is no error.
func (ch *channel) unbind(noWait bool, ok method, bd broker.Binding) error {
	if bd.Source == "" {
		return reserved("exchange", "")
	}
	if err := ch.c.s.broker.Unbind(ch.c.ctx, bd); err != nil {
		return failed(err)
	}
	return ch.answerUnless(noWait, ok)
}

func (ch *channel) declareQueue(m *queueDeclare) error {
	if token, ok := strings.CutPrefix(m.queue, directReplyTo+"."); ok {
		return ch.declareReply(m, token)
	}
	if m.passive {
		return ch.declarePassive(m)
	}
	spec := broker.QueueSpec{Namespace: ch.c.namespace, Name: m.queue, AutoDelete: m.autoDelete,
		Durable: m.durable && !m.exclusive, Args: toArgs(m.arguments)}
	if m.exclusive {
		spec.Owner = ch.c
	}
	if m.queue == "" {
		spec.Name = generatedName("amq.gen-")
	}
	old, err := ch.c.s.broker.Queue(ch.c.namespace, spec.Name)
	if err == nil {
		return ch.redeclare(m, old, &spec)
	}
	if strings.HasPrefix(m.queue, "amq.") {
		return reserved("queue", m.queue)
	}
	if spec.Settings, err = settingsOf(spec.Name, spec.Args); err != nil {
		return err
	}
	q, created, err := ch.c.s.broker.DeclareQueue(ch.c.ctx, spec)
	switch {
	case errors.Is(err, broker.Denied):
		return locked(q)
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

func (ch *channel) declarePassive(m *queueDeclare) error {
	q, err := ch.queue(m.queue)
	if err != nil {
		return err
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
	n := int64(0)
	if _, gone := ch.c.s.broker.Queue(ch.c.namespace, name); gone == nil {
		q, err := ch.queue(name)
		if err != nil {
			return err
		}
		own := ch.c.out.detach(q)
		n, err = ch.c.s.broker.DeleteQueue(ch.c.ctx, q,
			broker.DeleteOptions{IfUnused: m.ifUnused, IfEmpty: m.ifEmpty, Owner: ch.c})
		defer ch.c.out.attach(own) // they hear that the queue is gone behind delete-ok
		switch {
		case errors.Is(err, broker.ErrInUse):
			return errorf(replyPreconditionFailed, "queue '%s' in vhost '/' in use", name)
		case errors.Is(err, broker.ErrNotEmpty):
			return errorf(replyPreconditionFailed, "queue '%s' in vhost '/' not empty", name)
		case err != nil && !errors.Is(err, broker.NotFound):
			return queueFailed(q, err)
		}
		delete(ch.c.owned, q)
	}
	return ch.answerUnless(m.noWait, &queueDeleteOk{messageCount: uint32(n)})
}

func (ch *channel) purgeQueue(m *queuePurge) error {
	q, err := ch.queue(m.queue)
	if err != nil {
		return err
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
