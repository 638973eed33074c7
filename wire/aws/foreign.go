package aws

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// attrEncoding says that a body which is not text was encoded.
const attrEncoding = "Content-Transfer-Encoding"

// foreign are the properties of a record that another protocol wrote: an id that is its place in the queue,
// and what it has of properties and headers as attributes.
func (s *Server) foreign(q *broker.Queue, d *broker.Delivery, encoded bool) (p properties) {
	place := receipt{id: broker.DeliveryID{Log: d.ID.Log, Offset: d.ID.Offset}}
	p.sent, p.sender = d.Record.Time.UnixMilli(), s.config.Account
	copy(p.id[:], receiptSum(q, []byte(place.handle(q))))
	p.addAllForeign(s.b.Properties(&d.Record), encoded)
	return p
}

// addAllForeign makes attributes of properties and headers.
func (p *properties) addAllForeign(all broker.Args, encoded bool) {
	p.attributes = map[string]messageAttribute{}
	if encoded {
		p.attributes[attrEncoding] = textAttribute("String", "base64")
	}
	for _, a := range all {
		if headers, nested := a.Value.(broker.Args); nested {
			for _, h := range headers {
				p.addForeign(h)
			}
		} else {
			p.addForeign(a)
		}
	}
}

// addForeign makes an attribute of a property or header, where it can be one. As many as a message can have
// are made; the first of a name counts.
func (p *properties) addForeign(a broker.Arg) {
	out, ok := attributeOf(a.Value)
	_, there := p.attributes[a.Name]
	if ok && !there && len(p.attributes) < maxAttributes && checkAttributeName(a.Name) == nil &&
		out.check(a.Name) == nil {
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
