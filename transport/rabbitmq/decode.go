package rabbitmq

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
)

// decode reads a message: an event in binary or structured mode, or else a foreign message. What
// claims to be an event and is not valid is foreign, with the extension "malformed" saying why.
func (c *consumer) decode(d *amqp.Delivery) tidings.Delivery {
	e, err := c.event(d)
	if err != nil {
		e = c.foreign(d)
		e.Extensions[tidings.ExtMalformed] = err.Error()
	}
	return c.place(d, e)
}

func (c *consumer) event(d *amqp.Delivery) (e tidings.Event, err error) {
	switch {
	case tidings.IsStructured(d.ContentType):
		err = json.Unmarshal(d.Body, &e)
		return e, err
	case attribute(d.Headers, "specversion") != "":
		return binary(d)
	default:
		return c.foreign(d), nil
	}
}

// prefixes of headers that are attributes, as several libraries write them.
var prefixes = []string{headerPrefix, "cloudEvents_", "ce-", "ce_"}

func attribute(headers amqp.Table, name string) string {
	for _, prefix := range prefixes {
		if value, ok := text(headers[prefix+name]); ok {
			return value
		}
	}
	return ""
}

func binary(d *amqp.Delivery) (e tidings.Event, err error) {
	e.ContentType = d.ContentType
	for header, value := range d.Headers {
		name, ok := attributeName(header)
		if !ok {
			continue
		}
		value, ok := text(value)
		if !ok {
			return e, fmt.Errorf("header %.80q is of a type that no attribute has", header)
		}
		if err := e.SetAttribute(name, value); err != nil {
			return e, err
		}
	}
	// A delayed copy of a foreign message has no type, which that never had.
	typed := e.Type != "" || e.Extensions[tidings.ExtAttempt] != ""
	if e.ID == "" || e.Source == "" || !typed {
		return e, fmt.Errorf("a cloudevent needs id, source and type, it has %q, %q and %q",
			e.ID, e.Source, e.Type)
	}
	e.Payload = d.Body
	return e, nil
}

func attributeName(header string) (name string, ok bool) {
	for _, prefix := range prefixes {
		if name, ok = strings.CutPrefix(header, prefix); ok {
			return name, true
		}
	}
	return "", false
}

// text is a value of a header as CloudEvents writes it in text.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case bool:
		return strconv.FormatBool(v), true
	case int, int8, int16, int32, int64, byte, uint16, uint32, uint64:
		return fmt.Sprint(v), true
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), true
	default:
		return "", false
	}
}

// foreign is a message of somebody who does not speak CloudEvents. Without a message-id its id is
// new with each delivery: AMQP has nothing else that stays over redelivery, and a hash would take
// two equal messages for one.
func (c *consumer) foreign(d *amqp.Delivery) tidings.Event {
	e := tidings.Event{
		ID: cmp.Or(d.MessageId, tidings.NewID()), Source: "rabbitmq:" + cmp.Or(d.Exchange, c.queue),
		Type: d.Type, ContentType: d.ContentType, Correlation: d.CorrelationId, ReplyTo: d.ReplyTo,
		Payload: d.Body, Extensions: map[string]string{},
	}
	if !d.Timestamp.IsZero() {
		e.Time = d.Timestamp.UTC()
	}
	for name, value := range d.Headers {
		value, ok := text(value)
		if !ok {
			continue
		}
		switch name {
		case "traceparent":
			e.TraceParent = value
		case "tracestate":
			e.TraceState = value
		case tidings.ExtMalformed: // is not said by others
		default:
			var alone tidings.Event // a header does not become what CloudEvents defines
			if alone.SetAttribute(name, value) == nil && len(alone.Extensions) == 1 {
				e.Extensions[name] = value
			}
		}
	}
	return e
}

// place sets what a message tells beside its attributes: its topic and how often it has come. Only
// what came to the queue itself tells more of that than the broker does.
func (c *consumer) place(d *amqp.Delivery, e tidings.Event) tidings.Delivery {
	attempt := deliveries(d)
	if exchange := exchangeOf(d); exchange != "" {
		e.Kind, e.Topic = tidings.KindEvent, cmp.Or(c.topics[exchange], exchange)
	} else {
		c.setAddressed(&e)
		if before, err := strconv.Atoi(e.Extensions[tidings.ExtAttempt]); err == nil && before > 0 {
			attempt += before
		}
	}
	delete(e.Extensions, tidings.ExtOriginTopic)
	delete(e.Extensions, tidings.ExtAttempt)
	if len(e.Extensions) == 0 {
		e.Extensions = nil
	}
	return tidings.Delivery{Event: e, Offset: -1, Attempt: attempt}
}

// exchangeOf is where a message was published; "" is the default exchange.
func exchangeOf(d *amqp.Delivery) string {
	if !strings.HasPrefix(d.Exchange, delayPrefix) {
		return d.Exchange
	}
	if kind, name, _ := delayedTo(d.RoutingKey); kind == toExchange { // it came down from some level
		return name
	}
	return ""
}

// setAddressed is for what came to the queue itself.
func (c *consumer) setAddressed(e *tidings.Event) {
	switch origin := e.Extensions[tidings.ExtOriginTopic]; {
	case origin != "":
		e.Kind, e.Topic = tidings.KindEvent, origin
	case e.Kind == tidings.KindReply:
		e.Topic = c.group
	default:
		e.Kind, e.Topic = tidings.KindCommand, c.group
	}
}

// deliveries is how often a message has been delivered, as far as its queue tells: a quorum queue
// counts what came before, another one says only whether there was something. RabbitMQ 4.3 has two
// counts; only x-acquired-count has the deliveries that ended with their consumer.
func deliveries(d *amqp.Delivery) int {
	before := 0
	for _, name := range []string{"x-acquired-count", "x-delivery-count"} {
		if value, ok := text(d.Headers[name]); ok {
			n, _ := strconv.Atoi(value) // what is no number is not the queue's
			before = max(before, n)
		}
	}
	if before == 0 && d.Redelivered {
		before = 1
	}
	return before + 1
}
