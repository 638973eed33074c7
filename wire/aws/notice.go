package aws

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws/filter"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

// notice is what was published to a topic.
type notice struct {
	properties        // of a FIFO topic, with MessageDeduplicationId or what is in its place
	group      string // MessageGroupId
	sequence   uint64 // of a FIFO topic
	subject    string
	texts      map[string]string // of MessageStructure json, by protocol
	message    string            // for the others

	// Of what came from another protocol:
	foreign bool
	key     string // the routing key
	bytes   []byte // that message encodes; nil: it is text
}

// The bytes of a notice, see docs/format-broker.md, without the message, which is the body of the record:
//
//	format 1, properties: string, sequence uvarint, subject: string, texts uvarint, and of each:
//	protocol string, text string
const noticeVersion = 1

// record is the notice on its way to a topic.
func (n *notice) record() broker.QueueRecord {
	props := appendText([]byte{noticeVersion}, string(n.properties.append(nil)))
	props = binary.AppendUvarint(props, n.sequence)
	props = appendTexts(appendText(props, n.subject), n.texts)
	return broker.QueueRecord{Group: n.group, Format: broker.PropsNotice, Props: props, Body: []byte(n.message)}
}

// readNotice reads what reached a topic: what record wrote, or what came from another protocol.
func (t *Topics) readNotice(rec *broker.QueueRecord) (n notice, err error) {
	n.message, n.group = string(rec.Body), rec.Group
	if rec.Format != broker.PropsNotice {
		t.readForeign(rec, &n)
		return n, nil
	}
	r := propsReader{b: rec.Props}
	if r.byte() != noticeVersion {
		return n, errProps
	}
	if n.properties, err = parseProperties([]byte(r.text())); err != nil {
		return n, err
	}
	n.sequence, n.subject = r.uvarint(), r.text()
	for range r.count() {
		if n.texts == nil {
			n.texts = map[string]string{}
		}
		protocol := r.text()
		n.texts[protocol] = r.text()
	}
	if r.bad || len(r.b) > 0 {
		return n, errProps
	}
	return n, nil
}

// readForeign reads what SNS has not published: unless it is from SQS it gets an id, and what it has of
// properties and headers as attributes. A body that is not text becomes base64.
func (t *Topics) readForeign(rec *broker.QueueRecord, n *notice) {
	body, encoded := bodyText(rec.Body)
	n.message, n.foreign, n.key = body, true, rec.Key
	if encoded {
		n.bytes = rec.Body
	}
	if rec.Format == broker.PropsSQS {
		if p, err := parseProperties(rec.Props); err == nil {
			p.noteEncoding(encoded)
			n.properties = p
			return
		}
	}
	n.sent, n.sender = t.now(), t.config.Account
	if !rec.Time.IsZero() {
		n.sent = rec.Time.UnixMilli()
	}
	_, _ = rand.Read(n.id[:]) // never fails
	n.addAllForeign(t.b.Crossing(rec), encoded)
}

// text is the message for a protocol.
func (n *notice) text(protocol string) string {
	if text, ok := n.texts[protocol]; ok {
		return text
	}
	return n.message
}

// value is an attribute as documents have it.
func (a *messageAttribute) value() string {
	if a.binary() {
		return base64.StdEncoding.EncodeToString(a.BinaryValue)
	}
	return a.text()
}

// filtered is the notice as filter policies see it.
func (n *notice) filtered(message string) *filter.Message {
	attributes := make(map[string]filter.Attribute, len(n.attributes))
	for name, a := range n.attributes {
		attributes[name] = filter.Attribute{Type: a.DataType, Value: a.value()}
	}
	return filter.NewMessage(attributes, message)
}

// document is the notice as subscribers get it that do not get raw messages.
func (n *notice) document(message string) *notify.Notification {
	out := &notify.Notification{Type: notify.Message, MessageID: formatUUID(n.id), Subject: n.subject,
		SequenceNumber: n.sequenceNumber(), Message: message, Time: time.UnixMilli(n.sent)}
	if len(n.attributes) > 0 {
		out.Attributes = make(map[string]notify.Attribute, len(n.attributes))
	}
	for name, a := range n.attributes {
		out.Attributes[name] = notify.Attribute{Type: a.DataType, Value: a.value()}
	}
	return out
}
