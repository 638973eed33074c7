package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// A record of a queue has the properties of AMQP 0-9-1, so that clients of AMQP read it, and those
// of SQS by the crossing of docs/crossing.md: attributes of CloudEvents are headers
// "cloudEvents:<name>", and the properties content-type, delivery-mode, correlation-id, reply-to,
// message-id, timestamp and type say again what clients look for there.
//
// The bits of the flags that stand before the properties, in the order of these, as section 4.2.6.1
// of the specification has them.
const (
	hasContentType     = 1 << 15
	hasContentEncoding = 1 << 14
	hasHeaders         = 1 << 13
	hasDeliveryMode    = 1 << 12
	hasPriority        = 1 << 11
	hasCorrelation     = 1 << 10
	hasReplyTo         = 1 << 9
	hasMessageID       = 1 << 7
	hasTimestamp       = 1 << 6
	hasType            = 1 << 5
	hasMoreFlags       = 1

	persistent     = 2
	maxShortString = 255
	amqpPrefix     = "cloudEvents:"
)

// properties appends an event's, and more attributes behind its own.
func (s *scratch) properties(e *tidings.Event, more ...[2]string) []byte {
	at := len(s.text)
	s.text = append(s.text, 0, 0)
	flags := uint16(hasHeaders | hasDeliveryMode)
	short := func(flag uint16, text string) {
		if text != "" && len(text) <= maxShortString {
			flags |= flag
			s.text = append(append(s.text, byte(len(text))), text...)
		}
	}
	short(hasContentType, e.ContentType)
	s.table(e, more)
	s.text = append(s.text, persistent)
	short(hasCorrelation, e.Correlation)
	short(hasReplyTo, e.ReplyTo)
	short(hasMessageID, e.ID)
	if !e.Time.IsZero() && e.Time.Unix() >= 0 {
		flags |= hasTimestamp
		s.text = binary.BigEndian.AppendUint64(s.text, uint64(e.Time.Unix()))
	}
	short(hasType, e.Type)
	binary.BigEndian.PutUint16(s.text[at:], flags)
	return s.text[at:len(s.text):len(s.text)]
}

// table appends attributes as a table of headers.
func (s *scratch) table(e *tidings.Event, more [][2]string) {
	at := len(s.text)
	s.text = append(s.text, 0, 0, 0, 0)
	for name, value := range e.Attributes() {
		if name != "datacontenttype" || len(value) > maxShortString {
			s.header(name, value)
		}
	}
	for _, m := range more {
		s.header(m[0], m[1])
	}
	binary.BigEndian.PutUint32(s.text[at:], uint32(len(s.text)-at-4))
}

func (s *scratch) header(name, value string) {
	s.text = append(s.text, byte(len(amqpPrefix)+len(name)))
	s.text = append(append(s.text, amqpPrefix...), name...)
	s.text = binary.BigEndian.AppendUint32(append(s.text, 'S'), uint32(len(value)))
	s.text = append(s.text, value...)
}

// recordOf is a record of a queue as one of a topic: headers by the names that they have there.
func recordOf(in *broker.Queue, q *broker.QueueRecord) (rec broker.Record, err error) {
	rec = broker.Record{Value: q.Body, Time: q.Time}
	switch {
	case q.Format != broker.PropsAMQP:
		for _, a := range in.Crossing(q) {
			rec.Headers = append(rec.Headers, broker.Header{Key: a.Name, Value: textOf(a.Value)})
		}
	case len(q.Props) > 0:
		rec.Headers, err = headersOf(q.Props)
	}
	return rec, err
}

func textOf(v any) []byte {
	switch v := v.(type) {
	case []byte:
		return v
	case time.Time:
		return v.AppendFormat(nil, time.RFC3339Nano)
	case nil:
		return nil
	}
	return fmt.Append(nil, v)
}

// headersOf reads the content type and the headers.
func headersOf(props []byte) (headers []broker.Header, err error) {
	r := propertyReader{rest: props}
	flags := binary.BigEndian.Uint16(r.take(2))
	for more := flags; more&hasMoreFlags != 0 && !r.bad; {
		more = binary.BigEndian.Uint16(r.take(2))
	}
	if flags&hasContentType != 0 {
		headers = append(headers, broker.Header{Key: contentTypeHeader, Value: r.short()})
	}
	if flags&hasContentEncoding != 0 {
		r.short()
	}
	if flags&hasHeaders != 0 {
		headers = r.table(headers)
	}
	if r.bad {
		return nil, errors.New("its properties end early, or have a value of an unknown type")
	}
	return headers, nil
}

// propertyReader takes fields from the front. After the first that does not fit it is bad, and
// gives zeros.
type propertyReader struct {
	rest []byte
	bad  bool
}

var zeros [8]byte

func (r *propertyReader) take(n int) []byte {
	if n > len(r.rest) || n < 0 {
		r.bad, r.rest = true, nil
		return zeros[:min(max(n, 0), len(zeros))]
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *propertyReader) short() []byte { return r.take(int(r.take(1)[0])) }

func (r *propertyReader) long() []byte { return r.take(int(binary.BigEndian.Uint32(r.take(4)))) }

// table reads headers; those that are lists or tables have no place in an event.
func (r *propertyReader) table(to []broker.Header) []broker.Header {
	in := propertyReader{rest: r.long()}
	for len(in.rest) > 0 && !in.bad {
		name := topicName(in.short())
		if value, ok := in.value(); ok {
			to = append(to, broker.Header{Key: name, Value: value})
		}
	}
	r.bad = r.bad || in.bad
	return to
}

// topicName is the name that a header has in a topic.
func topicName(name []byte) string {
	for _, prefix := range []string{amqpPrefix, "cloudEvents_", "ce-"} {
		if attribute, ok := strings.CutPrefix(string(name), prefix); ok {
			return headerName(attribute)
		}
	}
	return string(name)
}

// value reads one of any type as text; ok is false of what has none.
func (r *propertyReader) value() (text []byte, ok bool) {
	switch kind := r.take(1)[0]; kind {
	case 'S', 'x':
		return r.long(), true
	case 't':
		return strconv.AppendBool(nil, r.take(1)[0] != 0), true
	case 'T':
		at := time.Unix(int64(binary.BigEndian.Uint64(r.take(8))), 0).UTC()
		return at.AppendFormat(nil, time.RFC3339), true
	case 'A', 'F':
		r.long()
	case 'D':
		r.take(5)
	case 'f':
		r.take(4)
	case 'd':
		r.take(8)
	case 'V':
	default:
		n, ok := r.integer(kind)
		return strconv.AppendInt(nil, n, 10), ok
	}
	return nil, false
}

func (r *propertyReader) integer(kind byte) (n int64, ok bool) {
	switch kind {
	case 'b':
		return int64(int8(r.take(1)[0])), true
	case 'B':
		return int64(r.take(1)[0]), true
	case 's':
		return int64(int16(binary.BigEndian.Uint16(r.take(2)))), true
	case 'u':
		return int64(binary.BigEndian.Uint16(r.take(2))), true
	case 'I':
		return int64(int32(binary.BigEndian.Uint32(r.take(4)))), true
	case 'i':
		return int64(binary.BigEndian.Uint32(r.take(4))), true
	case 'l':
		return int64(binary.BigEndian.Uint64(r.take(8))), true
	}
	r.bad = true
	return 0, false
}
