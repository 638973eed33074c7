package amqp

import (
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// publishing is a basic.publish on its way in: method, header, bodies.
type publishing struct {
	basicPublish
	x      *broker.Exchange
	head   bool // the header has come
	size   uint64
	props  []byte
	body   []byte
	owned  bool // props are a copy
	direct *consumer
}

// beginPublish takes the method. What is wrong with it closes the channel now, before the content.
func (ch *channel) beginPublish(m *basicPublish) error {
	if m.immediate {
		return errorf(replyNotImplemented, "immediate=true")
	}
	x, err := ch.c.s.broker.Exchange(ch.c.namespace, m.exchange)
	if err := ch.mayPublish(m.exchange, x); err != nil {
		return err
	}
	p := &publishing{basicPublish: *m}
	if p.direct = ch.c.s.replies.find(m.exchange, m.routingKey); p.direct == nil {
		if err != nil {
			return noExchange(ch.exchangeName(m.exchange))
		}
		if x.Spec().Internal {
			return errorf(replyAccessRefused, "cannot publish to internal exchange %s", inVhost(x.Name()))
		}
		p.x = x
	}
	ch.publish = p
	return nil
}

func (ch *channel) takeHeader(payload []byte) error {
	p := ch.publish
	if p == nil || p.head {
		return errorf(replyUnexpectedFrame, "expected method frame, got content header frame instead")
	}
	h, err := parseContentHeader(payload)
	if err != nil {
		return causedBy(p.id(), err)
	}
	if limit := ch.c.s.config.Limits.MessageBytes; h.bodySize > limit {
		return causedBy(p.id(), errorf(replyPreconditionFailed,
			"message size %d is larger than configured max size %d", h.bodySize, limit))
	}
	p.head, p.size, p.props = true, h.bodySize, h.properties
	if p.size == 0 {
		return ch.complete()
	}
	ch.c.partial++
	return nil
}

func (ch *channel) takeBody(payload []byte) error {
	p := ch.publish
	if p == nil || !p.head {
		return errorf(replyUnexpectedFrame, "expected method frame, got content body frame instead")
	}
	if uint64(len(p.body)+len(payload)) > p.size {
		return causedBy(p.id(), errorf(replyFrameError, "content body of %d octets where %d were announced",
			len(p.body)+len(payload), p.size))
	}
	if len(p.body) == 0 && uint64(len(payload)) == p.size {
		p.body = payload // stands in the read buffer until the next commit
	} else {
		p.body = append(p.body, payload...)
	}
	if uint64(len(p.body)) < p.size {
		return nil
	}
	ch.c.partial--
	return ch.complete()
}

// keepPartial copies what lies in the read buffer and belongs to publishes that go on, before the
// buffer is read into again.
func (c *conn) keepPartial() {
	if c.partial == 0 {
		return
	}
	for _, ch := range c.open {
		if p := ch.publish; p != nil && p.head && !p.owned {
			p.props, p.owned = append([]byte(nil), p.props...), true
		}
	}
}

// complete is a publish with all its content.
func (ch *channel) complete() error {
	p := ch.publish
	ch.publish = nil
	rec, err := ch.record(p)
	if err != nil {
		return causedBy(p.id(), err)
	}
	tag := uint64(0)
	if ch.confirming {
		ch.published++
		tag = ch.published
	}
	item := published{ch: ch, tag: tag, mandatory: p.mandatory, x: p.x, rec: rec, direct: p.direct}
	if ch.txn != nil {
		return causedBy(p.id(), ch.txn.publish(item, ch.c.s.config.Limits.TxBytes))
	}
	return ch.c.tx.publish(item)
}

// record makes the queue's record of a publish.
func (ch *channel) record(p *publishing) (rec broker.QueueRecord, err error) {
	x, err := indexProperties(p.props)
	if err != nil {
		return rec, err
	}
	rec = broker.QueueRecord{Exchange: p.exchange, Key: p.routingKey, Props: p.props, Body: p.body}
	if user := x.userID(); user != nil && string(user) != ch.c.user && !ch.c.anyUserID {
		return rec, errorf(replyPreconditionFailed,
			"user_id property set to '%s' but authenticated user was '%s'", user, ch.c.user)
	}
	if reply := x.replyTo(); string(reply) == directReplyTo {
		if rec.Props, err = ch.c.s.replies.address(ch, p.props); err != nil {
			return rec, err
		}
	}
	if err := describeRecord(&rec, &x); err != nil {
		return rec, err
	}
	return rec, ch.mayRoute(p.x, &rec)
}

// describeRecord takes from a record's properties what the engine needs of them.
func describeRecord(rec *broker.QueueRecord, x *propertyIndex) (err error) {
	rec.Format = broker.PropsAMQP
	rec.Priority, rec.Transient = x.priority(), x.deliveryMode() != persistent
	if x.flags&hasExpiration != 0 {
		rec.Time = time.Now()
		if rec.Expires, err = expiresAt(rec.Time, string(x.expiration())); err != nil {
			return err
		}
	}
	return addressFurther(rec, x.headers())
}

// expiresAt reads the expiration property: milliseconds in decimal.
func expiresAt(now time.Time, text string) (time.Time, error) {
	ms, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return time.Time{}, errorf(replyPreconditionFailed, "invalid expiration '%s': not an integer", text)
	case ms < 0 || ms > maxMillis:
		return time.Time{}, errorf(replyPreconditionFailed, "invalid expiration '%s': out of range", text)
	}
	return now.Add(time.Duration(ms) * time.Millisecond), nil
}

// maxMillis is RabbitMQ's: a century is enough for a timer.
const maxMillis = 4294967295

// addressFurther takes the routing keys in the headers CC and BCC. BCC is taken out: who gets the
// message must not see it.
func addressFurther(rec *broker.QueueRecord, headers rawTable) (err error) {
	if headers == nil {
		return nil
	}
	if rec.CC, err = furtherKeys(headers, "CC"); err != nil {
		return err
	}
	if rec.BCC, err = furtherKeys(headers, "BCC"); err != nil || rec.BCC == nil {
		return err
	}
	p, err := parseProperties(rec.Props)
	if err != nil {
		return err
	}
	p.Headers = p.Headers.without("BCC")
	rec.Props, err = p.append(nil)
	return err
}

func furtherKeys(headers rawTable, name string) (keys []string, err error) {
	v, ok := headers.find(name)
	if !ok {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok && v != nil {
		return nil, errorf(replyPreconditionFailed, "'%s' header must be a list of strings", name)
	}
	for _, x := range list {
		key, ok := x.(string)
		if !ok {
			return nil, errorf(replyPreconditionFailed, "'%s' header must be a list of strings", name)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
