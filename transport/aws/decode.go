package aws

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/tidings-io/tidings"
)

// received is a message without what SQS and SNS put around it.
type received struct {
	id         string
	body       []byte
	attributes map[string]string
	topic      string // its name in SNS; "" unknown
	group      string // the message group; "" none
	sent       time.Time
}

// delivery reads a message: an event in structured or binary mode, or else a foreign message. What
// claims to be an event and is not valid is foreign, with the extension "malformed" saying why.
func (c *consumer) delivery(m *sqstypes.Message) *tidings.Delivery {
	r := unpack(m)
	e, err := c.event(r)
	if err != nil {
		e = c.foreign(r)
		e.Extensions[tidings.ExtMalformed] = err.Error()
	}
	d := &tidings.Delivery{Event: e, Offset: -1}
	c.place(r, &d.Event)
	if r.published() {
		delete(d.Extensions, tidings.ExtAttempt) // nobody but SQS counts those
	}
	d.Attempt = attempts(m, &d.Event)
	if len(d.Extensions) == 0 {
		d.Extensions = nil
	}
	return d
}

// unpack takes a message out of SNS's envelope, where it is in one.
func unpack(m *sqstypes.Message) *received {
	r := &received{id: sdk.ToString(m.MessageId), body: []byte(sdk.ToString(m.Body)),
		attributes: map[string]string{}, group: m.Attributes["MessageGroupId"]}
	if ms, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64); err == nil {
		r.sent = time.UnixMilli(ms).UTC()
	}
	for name, value := range m.MessageAttributes {
		if value.StringValue != nil {
			r.attributes[name] = *value.StringValue
		} else {
			r.attributes[name] = textOf(value.BinaryValue)
		}
	}
	if len(m.MessageAttributes) == 0 {
		r.open()
	}
	if r.attributes[attrEncoding] == "base64" {
		if plain, err := base64.StdEncoding.DecodeString(string(r.body)); err == nil {
			r.body = plain
		}
	}
	return r
}

// textOf is UTF-8, as all attributes of events must be: a message that cannot be published again
// could not be a dead letter, and would hold its key for ever.
func textOf(value []byte) string { return strings.ToValidUTF8(string(value), "?") }

// attrEncoding is what Tidings gives bodies that were not text when AMQP or Kafka took them.
const attrEncoding = "Content-Transfer-Encoding"

// envelope is the document that SNS puts around a message unless delivery is raw.
type envelope struct {
	Type, MessageID, TopicArn, Message string
	Timestamp                          time.Time
	MessageAttributes                  map[string]struct{ Type, Value string }
}

// open takes off SNS's envelope. The id in it stays the same where SNS delivers twice.
func (r *received) open() {
	if !bytes.Contains(r.body, []byte(`"TopicArn"`)) {
		return
	}
	var around envelope
	err := json.Unmarshal(r.body, &around)
	if err != nil || around.Type != "Notification" || around.TopicArn == "" || around.MessageID == "" {
		return
	}
	r.id, r.topic, r.sent = around.MessageID, bareName(around.TopicArn), around.Timestamp.UTC()
	r.body = []byte(around.Message)
	for name, a := range around.MessageAttributes {
		r.attributes[name] = a.Value
		plain, err := base64.StdEncoding.DecodeString(a.Value)
		if err == nil && strings.HasPrefix(a.Type, "Binary") {
			r.attributes[name] = textOf(plain)
		}
	}
}

func (c *consumer) event(r *received) (e tidings.Event, err error) {
	switch {
	case tidings.IsStructured(r.attributes[attrContentType]), isEvent(r.body):
		err = json.Unmarshal(r.body, &e)
		return e, err
	case r.attribute("specversion") != "":
		return r.binary()
	default:
		return c.foreign(r), nil
	}
}

// isEvent says whether a body is a document with a specversion of CloudEvents: many programs send
// structured mode without saying so.
func isEvent(body []byte) bool {
	if !bytes.Contains(body, []byte(`"specversion"`)) {
		return false
	}
	var claim struct {
		SpecVersion json.RawMessage `json:"specversion"`
	}
	return json.Unmarshal(body, &claim) == nil && claim.SpecVersion != nil
}

// prefixes of message attributes that are attributes of CloudEvents, as several libraries write
// them. SQS has no colon in names.
var prefixes = []string{"ce_", "ce-", "cloudEvents_"}

func (r *received) attribute(name string) string {
	for _, prefix := range prefixes {
		if value, ok := r.attributes[prefix+name]; ok {
			return value
		}
	}
	return ""
}

func (r *received) binary() (e tidings.Event, err error) {
	e.ContentType = r.attributes[attrContentType]
	for full, value := range r.attributes {
		for _, prefix := range prefixes {
			if name, ok := strings.CutPrefix(full, prefix); ok {
				if err := e.SetAttribute(name, value); err != nil {
					return e, err
				}
			}
		}
	}
	if e.ID == "" || e.Source == "" || e.Type == "" {
		return e, fmt.Errorf("a cloudevent needs id, source and type, it has %q, %q and %q",
			e.ID, e.Source, e.Type)
	}
	e.Payload = r.body
	return e, nil
}

// foreign is a message of somebody who does not speak CloudEvents. Its id is that of SNS or SQS.
func (c *consumer) foreign(r *received) tidings.Event {
	e := tidings.Event{ID: r.id, Time: r.sent, Payload: r.body, Extensions: map[string]string{},
		ContentType: r.attributes[attrContentType], Type: r.attributes[attrType],
		Key: r.attributes[attrKey], Correlation: r.attributes["correlation-id"],
		TraceParent: r.attributes["traceparent"], TraceState: r.attributes["tracestate"]}
	if e.Key == "" && c.t.config.FIFO {
		e.Key = r.group
	}
	for name, value := range r.attributes {
		own := name == attrTopic || name == attrKey || name == tidings.ExtMalformed
		if !own && checkExtension(name, value) == nil {
			e.Extensions[name] = value
		}
	}
	if topic, ok := c.topic(r); ok {
		e.Source = "aws:" + topic
	} else {
		e.Source = "aws:" + c.sub.Group
	}
	return e
}

// topic is the topic that a message came through, as far as that can be told.
func (c *consumer) topic(r *received) (topic string, ok bool) {
	if topic, ok = c.group.topics[r.topic]; ok {
		return topic, true
	}
	for _, topic := range c.sub.Topics {
		if topic == r.attributes[attrTopic] || len(c.sub.Topics) == 1 {
			return topic, true
		}
	}
	return "", false
}

// published says whether a message tells that it came through a topic. With raw delivery it is the
// publisher who does: Transport does always.
func (r *received) published() bool { return r.topic != "" || r.attributes[attrTopic] != "" }

// place sets where an event was sent. What came through none of the topics, as far as one can tell,
// was sent to the group alone, and only that tells where it came from before.
func (c *consumer) place(r *received, e *tidings.Event) {
	origin := e.Extensions[tidings.ExtOriginTopic]
	delete(e.Extensions, tidings.ExtOriginTopic)
	topic, ok := c.topic(r)
	switch {
	case ok && r.published():
		e.Kind, e.Topic = tidings.KindEvent, topic
	case origin != "":
		e.Kind, e.Topic = tidings.KindEvent, origin
	case e.Kind == tidings.KindEvent && ok:
		e.Topic = topic
	case e.Kind == tidings.KindReply:
		e.Topic = c.sub.Group
	default:
		e.Kind, e.Topic = tidings.KindCommand, c.sub.Group
	}
}

// attempts are those that SQS has counted, and those of the copies before.
func attempts(m *sqstypes.Message, e *tidings.Event) int {
	n, err := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if err != nil {
		n = 0
	}
	if before, err := strconv.Atoi(e.Extensions[tidings.ExtAttempt]); err == nil && before > 0 {
		n += before
	}
	delete(e.Extensions, tidings.ExtAttempt)
	return n
}
