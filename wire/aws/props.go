package aws

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// messageAttribute is one attribute that a sender gives a message.
type messageAttribute struct {
	DataType         string   `json:"DataType"`
	StringValue      *string  `json:"StringValue,omitempty"`
	BinaryValue      []byte   `json:"BinaryValue,omitempty"`
	StringListValues []string `json:"StringListValues,omitempty" query:"StringListValue"`
	BinaryListValues [][]byte `json:"BinaryListValues,omitempty" query:"BinaryListValue"`
}

func (a *messageAttribute) text() string {
	if a.StringValue == nil {
		return ""
	}
	return *a.StringValue
}

// properties are what a message has beside its body: broker.PropsSQS.
type properties struct {
	id         [16]byte
	sent       int64 // ms; kept when the message moves to another queue
	sender     string
	dedup      string // MessageDeduplicationId
	trace      string // AWSTraceHeader
	attributes map[string]messageAttribute
}

// The bytes of properties, see docs/format-broker.md:
//
//	format 1, message id 16, sent varint, sender, dedup, trace: strings, attributes uvarint,
//	and of each: name string, type string, value string
//
// A string is its length as uvarint and its bytes; the type says what a value is.
const propsVersion = 1

func (p *properties) append(dst []byte) []byte {
	dst = append(append(dst, propsVersion), p.id[:]...)
	dst = binary.AppendVarint(dst, p.sent)
	for _, s := range []string{p.sender, p.dedup, p.trace} {
		dst = appendText(dst, s)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.attributes)))
	if len(p.attributes) == 0 {
		return dst // sorting none takes memory too
	}
	for _, name := range slices.Sorted(maps.Keys(p.attributes)) {
		a := p.attributes[name]
		dst = appendText(appendText(dst, name), a.DataType)
		if a.binary() {
			dst = appendText(dst, string(a.BinaryValue))
		} else {
			dst = appendText(dst, a.text())
		}
	}
	return dst
}

// appendTexts writes texts by name: their number, and of each the name and the text.
func appendTexts(dst []byte, texts map[string]string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(texts)))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		dst = appendText(appendText(dst, name), texts[name])
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

var errProps = errors.New("aws: properties are damaged")

// parseProperties reads what append wrote. It copies: the bytes may be used again.
func parseProperties(b []byte) (p properties, err error) {
	r := propsReader{b: b}
	if r.byte() != propsVersion {
		return p, errProps
	}
	copy(p.id[:], r.take(16))
	p.sent = r.varint()
	p.sender, p.dedup, p.trace = r.text(), r.text(), r.text()
	for range r.count() {
		name, a := r.text(), messageAttribute{DataType: r.text()}
		if value := r.text(); a.binary() {
			a.BinaryValue = []byte(value)
		} else {
			a.StringValue = &value
		}
		if p.attributes == nil {
			p.attributes = map[string]messageAttribute{}
		}
		p.attributes[name] = a
	}
	if r.bad || len(r.b) > 0 {
		return properties{}, errProps
	}
	return p, nil
}

// propsReader reads a value part by part; what is not there spoils it.
type propsReader struct {
	b   []byte
	bad bool
}

func (r *propsReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, min(n, 16))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *propsReader) byte() byte { return r.take(1)[0] }

func (r *propsReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.take(len(r.b) + 1)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *propsReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.take(len(r.b) + 1)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is a length: never more than there are bytes.
func (r *propsReader) count() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)-n) {
		r.take(len(r.b) + 1)
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *propsReader) text() string { return string(r.take(r.count())) }

// Props lets a broker read the properties of messages of SQS: for broker.Config.Props, under
// broker.PropsSQS.
type Props struct{}

// Headers returns the message attributes: text as strings, numbers too, and binary ones as bytes.
func (Props) Headers(props []byte) broker.Args {
	p, err := parseProperties(props)
	if err != nil {
		return nil
	}
	return p.headers()
}

func (p *properties) headers() (out broker.Args) {
	for _, name := range slices.Sorted(maps.Keys(p.attributes)) {
		a := p.attributes[name]
		if a.binary() {
			out = append(out, broker.Arg{Name: name, Value: a.BinaryValue})
		} else {
			out = append(out, broker.Arg{Name: name, Value: a.text()})
		}
	}
	return out
}

// Property returns the message id as message_id, and others that Properties names, if they are text.
func (Props) Property(props []byte, name string) string {
	value, _, _ := (Props{}).Properties(props).Text(name)
	return value
}

// Properties returns what is present: message_id, timestamp, sender_id, deduplication_id, trace_header, and the message
// attributes as headers.
func (Props) Properties(props []byte) broker.Args {
	p, err := parseProperties(props)
	if err != nil {
		return nil
	}
	out := broker.Args{{Name: "message_id", Value: formatUUID(p.id)},
		{Name: "timestamp", Value: time.UnixMilli(p.sent)}}
	for _, x := range []broker.Arg{
		{Name: "sender_id", Value: p.sender}, {Name: "deduplication_id", Value: p.dedup},
		{Name: "trace_header", Value: p.trace},
	} {
		if x.Value != "" {
			out = append(out, x)
		}
	}
	if len(p.attributes) > 0 {
		out = append(out, broker.Arg{Name: "headers", Value: p.headers()})
	}
	return out
}

// Delay is 0: a message of SQS is delayed by its queue, not by an exchange.
func (Props) Delay([]byte) time.Duration { return 0 }

// Delayed returns the properties as they are.
func (Props) Delayed(props []byte) []byte { return props }

// bodyText is the body of any record as text that SQS allows. One that another protocol wrote may be
// anything: then it is base64, and an attribute says so.
func bodyText(body []byte) (text string, encoded bool) {
	if text = string(body); allowedText(text) {
		return text, false
	}
	return base64.StdEncoding.EncodeToString(body), true
}
