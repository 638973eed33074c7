package embedded

import (
	"bytes"
	"errors"
	"strings"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// A record of a topic is an event by the Kafka protocol binding of CloudEvents 1.0 in binary mode:
// each attribute is a header "ce_<name>", but for the content type of the data; the key of the
// record is the partition key, too. What is in structured mode is read as well.
const (
	attributePrefix   = "ce_"
	contentTypeHeader = "content-type"
)

// headerNames are the headers of attributes that most events have.
var headerNames = func() map[string]string {
	names := map[string]string{"datacontenttype": contentTypeHeader}
	for _, name := range []string{"specversion", "id", "source", "type", "subject", "time",
		"dataschema", "partitionkey", "correlationid", "causationid", "replyto", "traceparent",
		"tracestate", "messagekind", tidings.ExtOriginTopic, tidings.ExtAttempt} {
		names[name] = attributePrefix + name
	}
	return names
}()

func headerName(attribute string) string {
	if name, ok := headerNames[attribute]; ok {
		return name
	}
	return attributePrefix + attribute
}

// scratch is memory of records on their way to the broker. What it gave out stays valid until
// reset, also when it grows.
type scratch struct {
	text    []byte
	headers []broker.Header
}

func (s *scratch) reset() {
	clear(s.headers)
	s.text, s.headers = s.text[:0], s.headers[:0]
}

// bytes is text as bytes.
func (s *scratch) bytes(text string) []byte {
	at := len(s.text)
	s.text = append(s.text, text...)
	return s.text[at:len(s.text):len(s.text)]
}

// record is an event as a record of a topic.
func (s *scratch) record(e *tidings.Event) (rec broker.Record) {
	at := len(s.headers)
	for name, value := range e.Attributes() {
		s.headers = append(s.headers, broker.Header{Key: headerName(name), Value: s.bytes(value)})
	}
	rec.Headers = s.headers[at:len(s.headers):len(s.headers)]
	if rec.Value = e.Payload; rec.Value == nil {
		rec.Value = []byte{} // no data, which is not a tombstone
	}
	if e.Key != "" {
		rec.Key = s.bytes(e.Key)
	}
	return rec
}

// recordBound is at least what a record takes in a batch, in bytes.
func recordBound(r *broker.Record) int {
	const numbers = 48 // lengths, times and counts
	n := numbers + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value) + 8
	}
	return n
}

// batchBytes is what a batch takes beside its records.
const batchBytes = 61

// reading makes events of records. What it gives out is memory of its own.
type reading struct{ text []byte }

// event is what a record with these headers is, whose names are those of topics. A record that is
// no event is passed on as it is, with the id and source that place names.
func (r *reading) event(rec *broker.Record, place func() (id, source string)) (e tidings.Event) {
	binary, contentType := modeOf(rec.Headers)
	var err error
	switch {
	case contentType != "" && tidings.IsStructured(contentType):
		var read *tidings.Event
		read, err = structured(rec)
		e = *read
	case binary:
		err = r.binary(&e, rec)
	default:
		return foreign(rec, place, nil)
	}
	if err != nil {
		return foreign(rec, place, err)
	}
	if e.Key == "" && len(rec.Key) > 0 {
		e.Key = string(rec.Key)
	}
	return e
}

// structured reads an event from the value. It has memory of its own, since what JSON is decoded
// into is on the heap, and that of events in binary mode is not.
func structured(rec *broker.Record) (*tidings.Event, error) {
	var e tidings.Event
	err := e.UnmarshalJSON(bytes.Clone(rec.Value))
	return &e, err
}

// modeOf says whether a record may be in binary mode, and its content type where it may be in structured
// mode, which goes first: section 3 of the binding.
func modeOf(headers []broker.Header) (binary bool, contentType string) {
	for i := range headers {
		switch value := headers[i].Value; headers[i].Key {
		case attributePrefix + "specversion":
			binary = true
		case contentTypeHeader:
			n := len(structuredType)
			if contentType == "" && len(value) >= n && bytes.EqualFold(value[:n], structuredType) {
				contentType = string(value)
			}
		}
	}
	return binary, contentType
}

var structuredType = []byte(tidings.StructuredType)

// binary reads attributes from headers. All share one string.
func (r *reading) binary(e *tidings.Event, rec *broker.Record) error {
	r.text = r.text[:0]
	for i := range rec.Headers {
		r.text = append(r.text, rec.Headers[i].Value...)
	}
	text := string(r.text)
	for i := range rec.Headers {
		value := text[:len(rec.Headers[i].Value)]
		text = text[len(value):]
		name, ok := attributeOf(rec.Headers[i].Key)
		if !ok {
			continue
		}
		if err := e.SetAttribute(name, value); err != nil {
			return err
		}
	}
	// A delayed copy of a foreign record has no type, which that never had.
	typed := e.Type != "" || e.Extensions[tidings.ExtAttempt] != ""
	if e.ID == "" || e.Source == "" || !typed {
		return errors.New("a cloudevent needs id, source and type")
	}
	e.Payload = payloadOf(rec.Value)
	return nil
}

// attributeOf is the attribute that a header is.
func attributeOf(header string) (name string, ok bool) {
	if header == contentTypeHeader {
		return "datacontenttype", true
	}
	return strings.CutPrefix(header, attributePrefix)
}

func payloadOf(value []byte) []byte {
	if len(value) == 0 {
		return nil
	}
	return bytes.Clone(value)
}

// foreign is a record that is no event, or why it is none.
func foreign(rec *broker.Record, place func() (id, source string), malformed error) (
	e tidings.Event) {
	e.ID, e.Source = place()
	e.Key, e.Payload = string(rec.Key), payloadOf(rec.Value)
	for i := range rec.Headers {
		h := &rec.Headers[i]
		if h.Key == contentTypeHeader {
			e.ContentType = string(h.Value)
		} else if _, core := headerNames[h.Key]; !core && h.Key != tidings.ExtMalformed {
			extend(&e, h.Key, string(h.Value))
		}
	}
	if malformed != nil {
		extend(&e, tidings.ExtMalformed, malformed.Error())
	}
	return e
}

// extend sets an extension, if its name can be one.
func extend(e *tidings.Event, name, value string) {
	var probe tidings.Event
	if probe.SetAttribute(name, value) != nil || probe.Extensions == nil {
		return
	}
	if e.Extensions == nil {
		e.Extensions = map[string]string{}
	}
	e.Extensions[name] = value
}
