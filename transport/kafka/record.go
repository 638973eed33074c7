package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers of a record. Those of CloudEvents are of the Kafka protocol binding 1.0.2, section 3.
const (
	attributePrefix   = "ce_"
	contentTypeHeader = "content-type"
	// notBeforeHeader is when a delayed retry is due, in milliseconds since 1970. It is no
	// attribute of the event: it says something to the consumer of the address.
	notBeforeHeader = "tidings-notbefore"
)

// encode makes the record of an event, for the topic where it belongs.
func encode(e *tidings.Event) (*kgo.Record, error) {
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	if e.Kind == tidings.KindEvent {
		if err := checkTopic(e.Topic); err != nil {
			return nil, err
		}
		return encodeFor(e, e.Topic), nil
	}
	if err := checkGroup(e.Topic); err != nil {
		return nil, err
	}
	return encodeFor(e, address(e.Topic)), nil
}

// encodeFor makes a record in binary mode. Its time is left to the producer, since retention
// counts from there: an old event that is published again must not expire at once.
func encodeFor(e *tidings.Event, topic string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Value: e.Payload}
	if e.Key != "" {
		r.Key = []byte(e.Key)
	}
	for name, value := range e.Attributes() {
		if name = attributePrefix + name; name == attributePrefix+"datacontenttype" {
			name = contentTypeHeader // section 3.2.1
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r
}

// checkExtension refuses the name of what is a field of Event: its value would be another's.
func checkExtension(name, value string) error {
	var probe tidings.Event
	if err := probe.SetAttribute(name, value); err != nil {
		return fmt.Errorf("kafka: extension: %w", err)
	}
	if _, ok := probe.Extensions[name]; !ok {
		return fmt.Errorf("kafka: extension %q is an attribute of its own", name)
	}
	return nil
}

// encodedSize is at least what a record takes in a batch, and the batch around it.
func encodedSize(r *kgo.Record) int {
	const batch, record, field = 61, 32, 5
	n := batch + record + 2*field + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += 2*field + len(h.Key) + len(h.Value)
	}
	return n
}

// received is a record as an event.
type received struct {
	event     tidings.Event
	attempt   int       // 0 where nobody counted
	notBefore time.Time // zero for at once
}

// decode reads a record of a topic, or of the address of a group: binary and structured mode; any
// other record is a foreign event, and one that is a malformed CloudEvent too, with the reason.
func decode(r *kgo.Record, group string) received {
	e, err := readEvent(r)
	if err != nil {
		e = foreign(r)
		e.Extensions[tidings.ExtMalformed] = err.Error()
	}
	if e.Key == "" {
		e.Key = string(r.Key)
	}
	if r.Topic != address(group) {
		e.Kind, e.Topic = tidings.KindEvent, r.Topic
		strip(&e) // only an address is where they mean something
		return received{event: e}
	}
	return readAddressed(r, e, group)
}

// readAddressed restores what an event was before it travelled through the address of a group.
func readAddressed(r *kgo.Record, e tidings.Event, group string) received {
	in := received{event: e}
	if origin, ok := in.event.Extensions[tidings.ExtOriginTopic]; ok {
		in.event.Kind, in.event.Topic = tidings.KindEvent, origin
	} else {
		in.event.Kind, in.event.Topic = max(in.event.Kind, tidings.KindCommand), group
	}
	if n, err := strconv.Atoi(in.event.Extensions[tidings.ExtAttempt]); err == nil && n > 0 {
		in.attempt = n + 1
	}
	strip(&in.event)
	if ms, err := strconv.ParseInt(header(r, notBeforeHeader), 10, 64); err == nil {
		in.notBefore = time.UnixMilli(ms)
	}
	return in
}

// strip takes off what travelled with an event for the transport alone.
func strip(e *tidings.Event) {
	delete(e.Extensions, tidings.ExtOriginTopic)
	delete(e.Extensions, tidings.ExtAttempt)
	if len(e.Extensions) == 0 {
		e.Extensions = nil
	}
}

// readEvent reads a CloudEvent; a record that is none is foreign.
func readEvent(r *kgo.Record) (tidings.Event, error) {
	if tidings.IsStructured(header(r, contentTypeHeader)) {
		var e tidings.Event
		if err := e.UnmarshalJSON(r.Value); err != nil {
			return e, fmt.Errorf("structured mode: %w", err)
		}
		return e, nil
	}
	if header(r, attributePrefix+"specversion") != "" {
		return readBinary(r)
	}
	return foreign(r), nil
}

func readBinary(r *kgo.Record) (tidings.Event, error) {
	e := tidings.Event{Payload: r.Value}
	for _, h := range r.Headers {
		name, ok := strings.CutPrefix(h.Key, attributePrefix)
		switch {
		case ok:
			if err := e.SetAttribute(name, string(h.Value)); err != nil {
				return e, err
			}
		case h.Key == contentTypeHeader:
			e.ContentType = string(h.Value)
		}
	}
	// Copies of foreign events travel through addresses without the type that they never had.
	typed := e.Type != "" || strings.HasSuffix(r.Topic, addressSuffix)
	if e.ID == "" || e.Source == "" || !typed {
		return e, errors.New("a cloudevent needs id, source and type")
	}
	return e, nil
}

// foreign is a record that is no CloudEvent: its id is the same whenever it is delivered, and its
// headers are extensions where their names allow it.
func foreign(r *kgo.Record) tidings.Event {
	e := tidings.Event{
		ID:          fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset),
		Source:      "kafka:" + r.Topic,
		Time:        r.Timestamp.UTC(),
		ContentType: header(r, contentTypeHeader),
		Key:         string(r.Key),
		Extensions:  map[string]string{},
		Payload:     r.Value,
	}
	for _, h := range r.Headers {
		name := strings.TrimPrefix(h.Key, attributePrefix)
		if name != tidings.ExtMalformed && checkExtension(name, string(h.Value)) == nil {
			e.Extensions[name] = string(h.Value)
		}
	}
	return e
}

// header is the last of a name, since later ones are of who came later.
func header(r *kgo.Record, name string) string {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == name {
			return string(r.Headers[i].Value)
		}
	}
	return ""
}
