package amqp

import (
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Props lets a broker route by the properties of this protocol: for broker.Config.Props, under
// broker.PropsAMQP.
type Props struct{}

// Headers returns the headers table.
func (Props) Headers(props []byte) broker.Args {
	x, err := indexProperties(props)
	if err != nil {
		return nil
	}
	t, err := x.headers().decode()
	if err != nil {
		return nil
	}
	return toArgs(t)
}

// Property returns one of the properties that exchanges hash by.
func (Props) Property(props []byte, name string) string {
	p, err := parseProperties(props)
	if err != nil {
		return ""
	}
	switch name {
	case "message_id":
		return p.MessageID
	case "correlation_id":
		return p.CorrelationID
	case "timestamp":
		if !p.has(hasTimestamp) {
			return ""
		}
		return strconv.FormatInt(int64(p.Timestamp), 10)
	}
	return ""
}

// Properties returns what is present, by the names in the specification.
func (Props) Properties(props []byte) broker.Args {
	p, err := parseProperties(props)
	if err != nil {
		return nil
	}
	return p.args()
}

// propsOf is the properties of a delivery. Those of a record that has never died, and needs no
// count of deliveries, are as the publisher sent them.
func propsOf(q *broker.Queue, d *broker.Delivery) []byte {
	props := ownProps(q, &d.Record)
	counted := d.Deliveries > 0 && countsDeliveries(q)
	if len(d.Record.Deaths) == 0 && !counted {
		return props
	}
	p, err := parseProperties(props)
	if err != nil {
		return props
	}
	if len(d.Record.Deaths) > 0 {
		p.addDeaths(&d.Record)
	}
	if counted {
		p.Headers = p.Headers.with("x-delivery-count", int64(d.Deliveries))
		p.present |= hasHeaders
	}
	out, err := p.append(nil)
	if err != nil {
		return props
	}
	return out
}

func ownProps(q *broker.Queue, rec *broker.QueueRecord) []byte {
	if rec.Format == broker.PropsAMQP {
		return withFlags(rec.Props)
	}
	all := q.Crossing(rec)
	if rec.Group != "" {
		all = append(all, broker.Arg{Name: headerGroup, Value: rec.Group})
	}
	return foreignProps(all)
}

// foreignProps are the properties of a record that another protocol wrote: as those of a record of a topic.
func foreignProps(all broker.Args) []byte {
	if len(all) == 0 {
		return withFlags(nil)
	}
	p := Properties{present: hasDeliveryMode, DeliveryMode: persistent}
	for _, a := range all {
		p.takeForeign(a)
	}
	if len(p.Headers) > 0 {
		p.present |= hasHeaders
	}
	out, err := p.append(nil)
	if err != nil || len(out) > foreignBytes {
		return withFlags(nil)
	}
	return out
}

// takeForeign makes a property of what has the name of one, and a header of all else.
func (p *Properties) takeForeign(a broker.Arg) {
	text, isText := a.Value.(string)
	at, isTime := a.Value.(time.Time)
	if isTime {
		text = at.UTC().Format(time.RFC3339)
	}
	name := nameInAMQP(a.Name)
	switch {
	case (isText || isTime) && p.takeNamed(p.named(), &broker.Header{Key: a.Name, Value: []byte(text)}):
		if isTime {
			p.Headers = append(p.Headers, Field{headerMillis, at.UnixMilli()})
		}
	case len(name) <= maxShortString:
		p.Headers = append(p.Headers, Field{name, toField(a.Value)})
	}
}

// foreignBytes is how large properties can become that no client of this protocol has sent: with them a
// content header fits a frame of the usual size, 128 KiB.
const foreignBytes = 128<<10 - streamFrameBytes

// FromTopic is the message that a record of a topic is, for broker.Config.FromTopic. Where it gets another
// key its own is a header.
func FromTopic(rec *broker.Record, key *string) broker.QueueRecord {
	return (&crossing{rec: rec, room: foreignBytes, key: key}).message()
}

// countsDeliveries says whether consumers of a queue are told how often a record came back: those
// of type quorum are, as in RabbitMQ, and those with a limit.
func countsDeliveries(q *broker.Queue) bool {
	return q.Spec().Type == broker.QuorumQueue || q.Settings().DeliveryLimit != nil
}

// addDeaths tells how the record left queues before. A dead letter key replaced all that it had been
// published with, and so the header CC.
func (p *Properties) addDeaths(rec *broker.QueueRecord) {
	first, last := firstDeath(rec.Deaths), &rec.Deaths[0]
	if rec.CC == nil {
		p.Headers = p.Headers.without("CC")
	}
	p.Headers = p.Headers.with("x-death", deaths(rec.Deaths)).
		withNew("x-first-death-exchange", first.Exchange).
		withNew("x-first-death-queue", first.Queue).
		withNew("x-first-death-reason", first.Reason.String()).
		with("x-last-death-exchange", last.Exchange).
		with("x-last-death-queue", last.Queue).
		with("x-last-death-reason", last.Reason.String())
	p.present = p.present&^hasExpiration | hasHeaders
}

// firstDeath is the one that began before all others.
func firstDeath(all []broker.Death) *broker.Death {
	first := &all[0]
	for i := range all {
		if all[i].Time.Before(first.Time) {
			first = &all[i]
		}
	}
	return first
}

// withFlags makes properties of none: a word of flags with nothing in it.
func withFlags(props []byte) []byte {
	if len(props) == 0 {
		return []byte{0, 0}
	}
	return props
}

// deaths is the header x-death: a table for each queue and reason, the newest first.
func deaths(all []broker.Death) []any {
	out := make([]any, len(all))
	for i := range all {
		d := &all[i]
		keys := make([]any, len(d.Keys))
		for k := range d.Keys {
			keys[k] = d.Keys[k]
		}
		t := Table{
			{"count", d.Count},
			{"reason", d.Reason.String()},
			{"queue", d.Queue},
			{"time", Timestamp(d.Time.Unix())},
			{"exchange", d.Exchange},
			{"routing-keys", keys},
		}
		if d.Expiration >= 0 {
			t = append(t, Field{"original-expiration", strconv.FormatInt(int64(d.Expiration/time.Millisecond), 10)})
		}
		out[i] = t
	}
	return out
}

// with sets a field, where it stands or at the end; without takes it out.
func (t Table) with(name string, value any) Table {
	out := make(Table, 0, len(t)+1)
	set := false
	for _, f := range t {
		if f.Name == name {
			f.Value, set = value, true
		}
		out = append(out, f)
	}
	if !set {
		out = append(out, Field{name, value})
	}
	return out
}

func (t Table) withNew(name string, value any) Table {
	if _, there := t.Get(name); there {
		return t
	}
	return t.with(name, value)
}

func (t Table) without(name string) Table {
	var out Table
	for _, f := range t {
		if f.Name != name {
			out = append(out, f)
		}
	}
	return out
}
