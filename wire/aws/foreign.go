package aws

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// attrEncoding says that a body which is not text was encoded, and how.
const (
	attrEncoding = "Content-Transfer-Encoding"
	encodedBody  = "base64"
)

// What a message has of its own, as other protocols get it: the trace under the name of AWS's header over HTTP.
const (
	crossingID    = "message-id"
	crossingTime  = "timestamp"
	crossingTrace = "X-Amzn-Trace-Id"
)

// Crossing returns the message attributes, and the id, the time and the trace of the message, but for those
// that an attribute of the name gives.
func (Props) Crossing(rec *broker.QueueRecord) broker.Args {
	p, err := parseProperties(rec.Props)
	if err != nil {
		return nil
	}
	out := p.headers()
	for _, own := range []broker.Arg{{Name: crossingID, Value: formatUUID(p.id)},
		{Name: crossingTime, Value: time.UnixMilli(p.sent)}, {Name: crossingTrace, Value: p.trace},
	} {
		if _, given := p.attributes[own.Name]; !given && own.Value != "" {
			out = append(out, own)
		}
	}
	return out
}

// TopicHeaders returns the same, but for the time, which the record of a topic has itself.
func (Props) TopicHeaders(rec *broker.QueueRecord) (out []broker.Header) {
	for _, a := range (Props{}).Crossing(rec) {
		switch v := a.Value.(type) {
		case string:
			out = append(out, broker.Header{Key: a.Name, Value: []byte(v)})
		case []byte:
			out = append(out, broker.Header{Key: a.Name, Value: v})
		}
	}
	return out
}

// foreign are the properties of a record that another protocol wrote: an id that is its place in the queue,
// and what it has of properties and headers as attributes.
func (s *Server) foreign(q *broker.Queue, d *broker.Delivery, encoded bool) (p properties) {
	place := receipt{id: broker.DeliveryID{Log: d.ID.Log, Offset: d.ID.Offset}}
	p.sent, p.sender = d.Record.Time.UnixMilli(), s.config.Account
	copy(p.id[:], receiptSum(q, []byte(place.handle(q))))
	p.addAllForeign(s.b.Crossing(&d.Record), encoded)
	return p
}

// addAllForeign makes attributes of properties and headers.
func (p *properties) addAllForeign(all broker.Args, encoded bool) {
	p.attributes = map[string]messageAttribute{}
	p.noteEncoding(encoded)
	for _, a := range all {
		p.addForeign(a)
	}
}

// noteEncoding says of a body that it was encoded, if it was.
func (p *properties) noteEncoding(encoded bool) {
	if !encoded {
		return
	}
	if p.attributes == nil {
		p.attributes = map[string]messageAttribute{}
	}
	p.attributes[attrEncoding] = textAttribute("String", encodedBody)
}

// addForeign makes an attribute of a property or header, where it can be one; the first of a name counts. There
// may be more than senders of SQS can give: receivers take them.
func (p *properties) addForeign(a broker.Arg) {
	if trace, ok := a.Value.(string); ok && strings.EqualFold(a.Name, crossingTrace) && isTrace(trace) {
		p.trace = cmp.Or(p.trace, trace)
		return
	}
	out, ok := attributeOf(a.Value)
	_, there := p.attributes[a.Name]
	if ok && !there && checkAttributeName(a.Name) == nil && out.check(a.Name) == nil {
		p.attributes[a.Name] = out
	}
}

func attributeOf(v any) (a messageAttribute, ok bool) {
	switch v := v.(type) {
	case string:
		return textAttribute("String", v), true
	case []byte:
		return messageAttribute{DataType: "Binary", BinaryValue: v}, true
	case time.Time:
		return textAttribute("String", v.UTC().Format(time.RFC3339)), true
	case bool:
		return textAttribute("String", strconv.FormatBool(v)), true
	case int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64:
		return textAttribute("Number", fmt.Sprint(v)), true
	}
	return a, false
}

func textAttribute(kind, value string) messageAttribute {
	return messageAttribute{DataType: kind, StringValue: &value}
}
