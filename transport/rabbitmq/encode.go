package rabbitmq

import (
	"cmp"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
)

// headerPrefix begins the headers that are attributes of CloudEvents, as in the binding of AMQP 1.0
// (section 3.1.3.1); there is none for 0-9-1.
const headerPrefix = "cloudEvents:"

// mostShortString bounds routing keys, and the properties that AMQP has for what is in headers too.
const mostShortString = 255

// encode is an event in binary mode: its payload is the body, its attributes are headers, and the
// properties that AMQP has for some of them repeat those.
func encode(e *tidings.Event, mostBytes int) (m amqp.Publishing, err error) {
	if err := check(*e); err != nil {
		return m, fmt.Errorf("rabbitmq: %w", err)
	}
	switch {
	case len(e.Payload) > mostBytes:
		return m, fmt.Errorf("rabbitmq: a payload of %d bytes, at most %d: %w", len(e.Payload), mostBytes,
			tidings.ErrTooLarge)
	case e.Kind == tidings.KindEvent && len(e.Type) > mostShortString:
		return m, fmt.Errorf("rabbitmq: a type of %d bytes, at most %d: %w", len(e.Type), mostShortString,
			tidings.ErrTooLarge)
	}
	headers := make(amqp.Table, 12)
	for name, value := range e.Attributes() {
		if name != "datacontenttype" || len(value) > mostShortString {
			headers[headerPrefix+name] = value
		}
	}
	return amqp.Publishing{
		Headers: headers, DeliveryMode: amqp.Persistent, ContentType: short(e.ContentType),
		MessageId: short(e.ID), CorrelationId: short(e.Correlation), ReplyTo: short(e.ReplyTo),
		Type: short(e.Type), Timestamp: e.Time, Body: e.Payload,
	}, nil
}

// check lets copies of foreign messages be without a type, which these never had.
func check(e tidings.Event) error {
	if e.Extensions[tidings.ExtAttempt] != "" {
		e.Type = cmp.Or(e.Type, tidings.ForeignType)
	}
	return e.Check()
}

// short leaves out what is too long for a property; the header has it.
func short(value string) string {
	if len(value) > mostShortString {
		return ""
	}
	return value
}

// headerBytes is no less than what the properties take in a frame, which is all they may have.
func headerBytes(m *amqp.Publishing) int {
	const perField, fixed = 7, 256
	n := fixed + len(m.ContentType) + len(m.MessageId) + len(m.CorrelationId) + len(m.ReplyTo) +
		len(m.Type) + len(markHeader) + perField + 8
	for name, value := range m.Headers {
		text, _ := value.(string)
		n += len(name) + len(text) + perField
	}
	return n
}

// copyOf is a delivery as it is published again, to its group alone: with the same id, source, key
// and time, and with what would be lost on that way.
func copyOf(d *tidings.Delivery, group string) tidings.Event {
	e := d.Event
	extensions := make(map[string]string, len(e.Extensions)+2)
	for name, value := range e.Extensions {
		extensions[name] = value
	}
	if e.Kind == tidings.KindEvent {
		extensions[tidings.ExtOriginTopic] = e.Topic
		e.Kind, e.Topic = tidings.KindCommand, group
	}
	if d.Attempt > 0 {
		extensions[tidings.ExtAttempt] = fmt.Sprint(d.Attempt)
	}
	e.Extensions = extensions
	return e
}
