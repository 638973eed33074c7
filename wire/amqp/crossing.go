package amqp

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidings-io/tidings/broker"
)

// The crossing: what a message is as a record of a topic, which Kafka's clients read, and what such
// a record is to a consumer of the topic as a stream. docs/crossing.md is the promise.
//
// Each property and header of a message is a header that a Kafka client can read. Where those would
// not give the same properties back, the exact bytes travel beside them, so that a message which
// comes out of a stream is the one that went in.

// Headers that only the crossing gives.
const (
	// headerExchange says that a record was published by AMQP, and to which exchange.
	headerExchange = "amqp-exchange"
	// headerExact has the properties of a message byte by byte.
	headerExact = "amqp-properties"
	// headerRoutingKey says with which key a message was published, where that is no key of a record.
	headerRoutingKey = "amqp-routing-key"
	// headerGroup is the group of a record, as AMQP 1.0 calls it.
	headerGroup = "group-id"
	// Of records that Kafka's clients sent: a key that is no routing key, a value that is null, the
	// time in milliseconds as RabbitMQ's timestamp plugin calls it, and how many headers have no
	// place in a message.
	headerKey       = "kafka-key"
	headerTombstone = "kafka-tombstone"
	headerMillis    = "timestamp_in_ms"
	headerLeftOut   = "kafka-headers-left-out"
)

// Attributes of CloudEvents have other prefixes in AMQP than in Kafka.
const (
	eventsInAMQP  = "cloudEvents:"
	eventsInAMQP2 = "cloudEvents_"
	eventsInKafka = "ce_"
)

// TopicHeaders returns the headers of the record that a message becomes in a topic.
func (Props) TopicHeaders(rec *broker.QueueRecord) []broker.Header {
	exact := withFlags(rec.Props)
	headers := []broker.Header{{Key: headerExchange, Value: []byte(rec.Exchange)}}
	p, err := parseProperties(exact)
	if err == nil && len(rec.Deaths) > 0 {
		p.addDeaths(rec)
		exact, err = p.append(nil)
	}
	if err != nil { // let in by an older version
		return append(headers, broker.Header{Key: headerExact, Value: withFlags(rec.Props)})
	}
	headers = p.appendTopicHeaders(headers)
	back := fromTopic(&broker.Record{Value: []byte{}, Headers: headers}, noLimit, nil)
	if bytes.Equal(back.Props, exact) {
		return headers
	}
	with := append(headers[:1:1], broker.Header{Key: headerExact, Value: bytes.Clone(exact)})
	return append(with, headers[1:]...)
}

// Crossing returns properties and headers by the names that TopicHeaders gives them, and where a
// message was published, if that was to an exchange with a name.
func (Props) Crossing(rec *broker.QueueRecord) (out broker.Args) {
	if rec.Exchange != "" {
		out = broker.Args{{Name: headerExchange, Value: rec.Exchange}, {Name: headerRoutingKey, Value: rec.Key}}
	}
	p, err := parseProperties(withFlags(rec.Props))
	if err != nil {
		return out
	}
	for _, n := range p.named() {
		if p.has(n.flag) && n.crosses() {
			out = append(out, broker.Arg{Name: n.topicHeader(), Value: crossingValue(n.value())})
		}
	}
	for _, f := range p.Headers {
		out = append(out, broker.Arg{Name: nameInKafka(f.Name), Value: crossingValue(f.Value)})
	}
	return out
}

// crossingValue is a value as other protocols have some: of what only tables have, its text.
func crossingValue(v any) any {
	switch v := v.(type) {
	case Timestamp:
		return time.Unix(int64(v), 0).UTC()
	case Table, []any, Decimal:
		return string(fieldText(v))
	}
	return v
}

// noLimit is more than properties can have.
const noLimit = 1 << 30

// topicHeader is the header of a property: message-id.
func (n *namedProperty) topicHeader() string { return strings.ReplaceAll(n.name, "_", "-") }

// crosses says that a property has a header of its own. Everything in a topic is persistent: the
// delivery mode says no more.
func (n *namedProperty) crosses() bool { return n.flag != hasHeaders && n.flag != hasDeliveryMode }

func (p *Properties) appendTopicHeaders(to []broker.Header) []broker.Header {
	for _, n := range p.named() {
		if p.has(n.flag) && n.crosses() {
			to = append(to, broker.Header{Key: n.topicHeader(), Value: fieldText(n.value())})
		}
	}
	for _, f := range p.Headers {
		to = append(to, broker.Header{Key: nameInKafka(f.Name), Value: fieldText(f.Value)})
	}
	return to
}

// value is what the property has, if it crosses.
func (n *namedProperty) value() any {
	switch into := n.into.(type) {
	case *string:
		return *into
	case *uint8:
		return *into
	case *Timestamp:
		return *into
	}
	return nil
}

func nameInKafka(name string) string {
	for _, prefix := range []string{eventsInAMQP, eventsInAMQP2} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return eventsInKafka + rest
		}
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

func nameInAMQP(name string) string {
	if rest, ok := strings.CutPrefix(name, eventsInKafka); ok {
		return eventsInAMQP + rest
	}
	return name
}

// fieldText is the value of a header in a topic: text as it is, numbers and booleans as they are
// written, times by RFC 3339, tables and arrays in JSON, nothing as null.
func fieldText(v any) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return append([]byte{}, v...)
	case []byte:
		return append([]byte{}, v...)
	case Timestamp:
		return v.appendText(nil)
	case float32:
		return strconv.AppendFloat(nil, float64(v), 'g', -1, 32)
	case float64:
		return strconv.AppendFloat(nil, v, 'g', -1, 64)
	}
	return appendJSON(nil, v)
}

func (t Timestamp) appendText(dst []byte) []byte {
	return time.Unix(int64(t), 0).UTC().AppendFormat(dst, time.RFC3339)
}

// fromTopic is the message that a record of a topic is, with more headers. The record's own take at
// most limit bytes, about: those that do not fit are left out and counted.
func fromTopic(rec *broker.Record, limit int, more Table) broker.QueueRecord {
	return (&crossing{rec: rec, room: limit, more: more}).message()
}

func (c *crossing) message() broker.QueueRecord {
	rec := c.rec
	c.out = broker.QueueRecord{Format: broker.PropsAMQP, Time: rec.Time, Body: rec.Value}
	if x := c.find(headerExchange); x != nil && len(x.Value) <= maxShortString {
		c.out.Exchange = string(x.Value)
		c.exchange, c.exact = x, c.find(headerExact)
	}
	c.address()
	if rec.Value == nil {
		c.more = append(c.more, Field{headerTombstone, true})
	}
	c.out.Props = c.properties()
	return c.out
}

// crossing is a record of a topic on its way to a consumer.
type crossing struct {
	rec *broker.Record
	out broker.QueueRecord
	key *string // the routing key in place of the record's
	// Headers of a record that was published by AMQP; nil: it was not, or there is none.
	exchange, exact *broker.Header
	more            Table // headers that only the crossing gives
	room            int   // for headers
	left            int   // headers that are left out
}

func (c *crossing) published() bool { return c.exchange != nil }

// find returns the first header of a name.
func (c *crossing) find(name string) *broker.Header {
	for i := range c.rec.Headers {
		if c.rec.Headers[i].Key == name {
			return &c.rec.Headers[i]
		}
	}
	return nil
}

// address makes the key the routing key, if that is not given. One of Kafka's may be anything.
func (c *crossing) address() {
	key := c.rec.Key
	if c.key != nil && key == nil {
		return
	}
	if c.key == nil && len(key) <= maxShortString && (c.published() || utf8.Valid(key)) {
		c.out.Key = string(key)
		return
	}
	if c.fits(fieldBytes + len(headerKey) + len(key)) {
		c.more = append(c.more, Field{headerKey, string(key)})
	}
}

// fits takes room for a part of the message; where there is none the part is left out.
func (c *crossing) fits(size int) bool {
	if size > c.room {
		c.left++
		return false
	}
	c.room -= size
	return true
}

func (c *crossing) properties() []byte {
	if c.exact != nil && len(c.exact.Value) <= c.room {
		if _, err := indexProperties(c.exact.Value); err == nil {
			return withHeaders(c.exact.Value, c.more)
		}
	}
	p := Properties{present: hasDeliveryMode, DeliveryMode: persistent}
	c.take(&p)
	if !c.published() && !c.rec.Time.IsZero() {
		if !p.has(hasTimestamp) {
			p.Timestamp, p.present = Timestamp(c.rec.Time.Unix()), p.present|hasTimestamp
		}
		c.more = append(c.more, Field{headerMillis, c.rec.Time.UnixMilli()})
	}
	if c.left > 0 {
		c.more = append(c.more, Field{headerLeftOut, int64(c.left)})
	}
	out, err := p.append(nil)
	if err != nil { // everything was looked at before
		out = []byte{0, 0}
	}
	return withHeaders(out, c.more)
}

// take turns the record's headers into properties, where they are some, and into headers.
func (c *crossing) take(p *Properties) {
	named := p.named()
	for i := range c.rec.Headers {
		h := &c.rec.Headers[i]
		switch {
		case h == c.exchange || h == c.exact:
		case 1+len(h.Value) <= c.room && p.takeNamed(named, h):
			c.room -= 1 + len(h.Value)
		default:
			c.header(p, h)
		}
	}
}

// takeNamed sets the property that a header is; the first of a name counts, if it fits.
func (p *Properties) takeNamed(named []namedProperty, h *broker.Header) bool {
	for i := range named {
		n := &named[i]
		if !n.crosses() || p.has(n.flag) || h.Key != n.topicHeader() || !n.setText(h.Value) {
			continue
		}
		p.present |= n.flag
		return true
	}
	return false
}

// setText takes the value of a property from a header; false: it has no place there.
func (n *namedProperty) setText(text []byte) bool {
	if text == nil || len(text) > maxShortString {
		return false
	}
	switch into := n.into.(type) {
	case *string:
		*into = string(text)
	case *uint8:
		v, err := strconv.ParseUint(string(text), 10, 8)
		if err != nil {
			return false
		}
		*into = uint8(v)
	case *Timestamp:
		at, err := time.Parse(time.RFC3339, string(text))
		if err != nil {
			return false
		}
		*into = Timestamp(at.Unix())
	}
	return true
}

// fieldBytes is what a header takes beside its name and value.
const fieldBytes = 1 + 1 + 4

func (c *crossing) header(p *Properties, h *broker.Header) {
	name := nameInAMQP(h.Key)
	if len(name) > maxShortString {
		c.left++
		return
	}
	if !c.fits(fieldBytes + len(name) + len(h.Value)) {
		return
	}
	f := Field{Name: name}
	if h.Value != nil {
		f.Value = string(h.Value)
	}
	p.Headers = append(p.Headers, f)
	p.present |= hasHeaders
}

// withHeaders adds headers to properties, and leaves all else in them as it is. Where one is there
// already, the new one is instead.
func withHeaders(props []byte, more Table) []byte {
	if len(more) == 0 {
		return props
	}
	x, err := indexProperties(props)
	if err != nil {
		return props
	}
	if raw := x.headers(); raw != nil {
		for _, f := range more {
			if _, there := raw.find(f.Name); there {
				return withHeadersAnew(props, more)
			}
		}
	}
	fields, err := appendTable(nil, more)
	if err != nil {
		return props
	}
	const lengthBytes = 4
	at := int(x.starts[2]) // headers are the third property
	out := make([]byte, 0, len(props)+len(fields))
	out = append(out, props[:at]...)
	start := len(out)
	if span := x.span(hasHeaders); span != nil {
		out = append(append(out, span...), fields[lengthBytes:]...)
		endLongstr(out, start)
		at += len(span)
	} else {
		out = append(out, fields...)
		out[0] |= byte(hasHeaders >> 8)
	}
	return append(out, props[at:]...)
}

func withHeadersAnew(props []byte, more Table) []byte {
	p, err := parseProperties(props)
	if err != nil {
		return props
	}
	for _, f := range more {
		p.Headers = append(p.Headers.without(f.Name), f)
	}
	out, err := p.append(nil)
	if err != nil {
		return props
	}
	return out
}
