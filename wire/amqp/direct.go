package amqp

import (
	"context"
	"slices"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Direct does what a channel of a client does, without a socket: a face beside this one asks for
// it by HTTP, say, and gets the same checks and the same words. It is for one goroutine.
//
// Errors are of type *Error where a client would have had its channel or connection closed with
// it, and otherwise those of the broker and of the context.
type Direct struct{ ch *channel }

// Direct acts for a user, with the permissions that he has in a namespace, as long as ctx lasts.
func (s *Server) Direct(ctx context.Context, namespace string, user broker.User) *Direct {
	c := &conn{s: s, ctx: ctx, namespace: namespace, user: user.Name,
		anyUserID: slices.Contains(user.Tags, tagImpersonator), owned: map[*broker.Queue]bool{}}
	c.tx.c = c
	c.out.ended = true // answers go nowhere
	return &Direct{newChannel(c, 1)}
}

// WithAllRights makes d do anything, whatever permissions its user has, and give queues names that only the
// server gives: for who puts back what an administrator has written down.
func (d *Direct) WithAllRights() *Direct {
	d.ch.c.allRights = true
	return d
}

// DeclareQueue declares a queue of a name, durability, auto-delete and arguments; the rest of the
// spec does not matter. One that is there must have been declared the same.
func (d *Direct) DeclareQueue(q broker.QueueSpec) error {
	return d.do(&queueDeclare{queue: q.Name, durable: q.Durable, autoDelete: q.AutoDelete,
		arguments: toTable(q.Args)})
}

// DeleteQueue deletes a queue; one that is not there is no error.
func (d *Direct) DeleteQueue(name string, o broker.DeleteOptions) error {
	return d.do(&queueDelete{queue: name, ifUnused: o.IfUnused, ifEmpty: o.IfEmpty})
}

// Purge removes the messages that wait in a queue.
func (d *Direct) Purge(queue string) error { return d.do(&queuePurge{queue: queue}) }

// DeclareExchange declares an exchange. One that is there must have been declared the same.
func (d *Direct) DeclareExchange(x broker.ExchangeSpec) error {
	return d.do(&exchangeDeclare{exchange: x.Name, kind: x.Type, durable: x.Durable,
		autoDelete: x.AutoDelete, internal: x.Internal, arguments: toTable(x.Args)})
}

// DeleteExchange deletes an exchange; one that is not there is no error.
func (d *Direct) DeleteExchange(name string, ifUnused bool) error {
	return d.do(&exchangeDelete{exchange: name, ifUnused: ifUnused})
}

// Bind makes a binding; one that is there already is no error.
func (d *Direct) Bind(b broker.Binding) error {
	if b.Destination.Kind != broker.KindExchange {
		return d.do(&queueBind{queue: b.Destination.Name, exchange: b.Source, routingKey: b.Key,
			arguments: toTable(b.Args)})
	}
	return d.do(&exchangeBind{destination: b.Destination.Name, source: b.Source, routingKey: b.Key,
		arguments: toTable(b.Args)})
}

// Unbind ends a binding; one that is not there is no error.
func (d *Direct) Unbind(b broker.Binding) error {
	if b.Destination.Kind != broker.KindExchange {
		return d.do(&queueUnbind{queue: b.Destination.Name, exchange: b.Source, routingKey: b.Key,
			arguments: toTable(b.Args)})
	}
	return d.do(&exchangeUnbind{destination: b.Destination.Name, source: b.Source, routingKey: b.Key,
		arguments: toTable(b.Args)})
}

// do acts on a method that a client could have sent: one that cannot travel is refused.
func (d *Direct) do(m method) error {
	if _, err := appendMethod(nil, d.ch.id, m); err != nil {
		return err
	}
	return d.ch.method(m)
}

// Message is a message as it lies in a queue.
type Message struct {
	Exchange, Key string
	Redelivered   bool
	Remaining     int64 // that wait behind it
	// Properties are those that it has, by their names in the specification: content_type,
	// headers (which are Args), delivery_mode and priority (uint8), timestamp (time.Time).
	Properties broker.Args
	Body       []byte
}

// Publish publishes a message, and returns when every queue that took it has it on disk; routed is
// whether one did, or an exchange delays it. Numbers among the properties may be of any width; a
// timestamp may be a time or seconds since 1970; properties that AMQP does not know are left out.
func (d *Direct) Publish(m Message) (routed bool, err error) {
	p, err := d.publishing(m)
	if err != nil {
		return false, err
	}
	rec, err := d.ch.record(p)
	if err != nil {
		return false, err
	}
	if p.direct != nil {
		return p.direct.reply(&published{rec: rec}), nil
	}
	tx := d.ch.c.s.broker.Begin()
	at := tx.Publish(p.x, rec)
	confirm, err := tx.Commit(d.ch.c.ctx)
	if err == nil {
		err = confirm.Wait(d.ch.c.ctx)
	}
	if err != nil {
		return false, failed(err)
	}
	r := tx.Routed(at)
	if r.Refused {
		return false, errorf(replyPreconditionFailed, "Unable to publish message. Check queue limits.")
	}
	return r.Queues > 0 || r.Delayed, nil
}

func (d *Direct) publishing(m Message) (*publishing, error) {
	props, err := propertiesOf(m.Properties)
	if err != nil {
		return nil, err
	}
	raw, err := props.append(nil)
	if err != nil {
		return nil, err
	}
	limit := d.ch.c.s.config.Limits.MessageBytes
	if uint64(len(m.Body)) > limit {
		return nil, errorf(replyPreconditionFailed,
			"message size %d is larger than configured max size %d", len(m.Body), limit)
	}
	begin := &basicPublish{exchange: m.Exchange, routingKey: m.Key}
	if _, err := appendMethod(nil, d.ch.id, begin); err != nil {
		return nil, err
	}
	if err := d.ch.beginPublish(begin); err != nil {
		return nil, err
	}
	p := d.ch.publish
	d.ch.publish = nil
	p.props, p.body = raw, m.Body
	return p, nil
}

// Get takes up to count messages out of a queue, no more after size bytes of bodies, and settles
// all of them with one outcome.
func (d *Direct) Get(queue string, count, size int, then broker.Outcome) ([]Message, error) {
	q, t, err := d.ch.findFor(broker.ToRead, queue)
	if err != nil {
		return nil, err
	}
	if q == nil {
		return nil, noGet(t)
	}
	c := d.ch.c
	var all []Message
	tx := c.s.broker.Begin()
	for len(all) < count && size > 0 {
		got, ok, gerr := q.Get(c.ctx, c)
		if err = gerr; err != nil || !ok {
			break
		}
		tx.Settle(q, nil, got.ID, then)
		all = append(all, messageOf(q, &got))
		size -= len(got.Record.Body)
	}
	settled, serr := tx.Commit(c.s.life) // also when ctx has ended: they must not stay leased
	if serr == nil {
		serr = settled.Wait(c.ctx)
	}
	if err == nil {
		err = serr
	}
	if err != nil {
		return nil, queueFailed(q, err)
	}
	return all, nil
}

func messageOf(q *broker.Queue, d *broker.Delivery) Message {
	m := Message{Exchange: d.Record.Exchange, Key: d.Record.Key, Redelivered: d.Deliveries > 0,
		Remaining: d.Ready, Body: d.Record.Body}
	if p, err := parseProperties(propsOf(q, d)); err == nil { // others were let in by an older version
		m.Properties = p.args()
	}
	return m
}

// namedProperty is a property by its name; into points to its field.
type namedProperty struct {
	name string
	flag propertyFlag
	into any
}

func (p *Properties) named() []namedProperty {
	return []namedProperty{
		{"content_type", hasContentType, &p.ContentType},
		{"content_encoding", hasContentEncoding, &p.ContentEncoding},
		{"headers", hasHeaders, &p.Headers},
		{"delivery_mode", hasDeliveryMode, &p.DeliveryMode},
		{"priority", hasPriority, &p.Priority},
		{"correlation_id", hasCorrelationID, &p.CorrelationID},
		{"reply_to", hasReplyTo, &p.ReplyTo},
		{"expiration", hasExpiration, &p.Expiration},
		{"message_id", hasMessageID, &p.MessageID},
		{"timestamp", hasTimestamp, &p.Timestamp},
		{"type", hasType, &p.Type},
		{"user_id", hasUserID, &p.UserID},
		{"app_id", hasAppID, &p.AppID},
		{"cluster_id", hasClusterID, &p.ClusterID},
	}
}

// args are the properties that are present, in the order in which they travel.
func (p *Properties) args() (args broker.Args) {
	for _, n := range p.named() {
		if !p.has(n.flag) {
			continue
		}
		switch v := n.into.(type) {
		case *string:
			args = append(args, broker.Arg{Name: n.name, Value: *v})
		case *uint8:
			args = append(args, broker.Arg{Name: n.name, Value: *v})
		case *Timestamp:
			args = append(args, broker.Arg{Name: n.name, Value: time.Unix(int64(*v), 0).UTC()})
		case *Table:
			args = append(args, broker.Arg{Name: n.name, Value: toArgs(*v)})
		}
	}
	return args
}

func propertiesOf(args broker.Args) (p Properties, err error) {
	for _, n := range p.named() {
		v, there := args.Get(n.name)
		if !there || v == nil {
			continue
		}
		if !n.set(args) {
			return p, errorf(replyPreconditionFailed, "property '%s' has a value of type '%s'",
				n.name, typeName(v))
		}
		p.present |= n.flag
	}
	return p, nil
}

// set takes the value of the property's name; false: it is of the wrong type.
func (n *namedProperty) set(args broker.Args) (ok bool) {
	v, _ := args.Get(n.name)
	number, _, err := args.Int(n.name)
	switch into := n.into.(type) {
	case *string:
		*into, ok = v.(string)
	case *uint8:
		*into, ok = uint8(number), err == nil && number >= 0 && number <= 255
	case *Timestamp:
		at, isTime := v.(time.Time)
		if *into = Timestamp(number); isTime {
			*into = Timestamp(at.Unix())
		}
		ok = isTime || err == nil
	case *Table:
		var t broker.Args
		t, ok = v.(broker.Args)
		*into = toTable(t)
	}
	return ok
}

// toTable makes a table of the broker's arguments; toArgs is its inverse.
func toTable(args broker.Args) Table {
	if len(args) == 0 {
		return nil
	}
	t := make(Table, len(args))
	for i, a := range args {
		t[i] = Field{Name: a.Name, Value: toField(a.Value)}
	}
	return t
}

func toField(v any) any {
	switch v := v.(type) {
	case broker.Args:
		return toTable(v)
	case time.Time:
		return Timestamp(v.Unix())
	case broker.Decimal:
		return Decimal{Scale: v.Scale, Value: uint32(v.Value)}
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = toField(v[i])
		}
		return all
	}
	return v
}
