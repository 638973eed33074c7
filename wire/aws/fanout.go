package aws

import (
	"crypto/rand"
	"iter"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws/filter"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

// relay leads what is published to a topic to its subscribers: in one commit, so that all have it or none.
type relay struct{ *Topics }

// Relay renders a notice for each subscription that gets it.
func (t relay) Relay(x *broker.Exchange, rec *broker.QueueRecord) iter.Seq[broker.Relayed] {
	return func(yield func(broker.Relayed) bool) {
		p := t.of(x)
		if p == nil {
			return // it is deleted, or no topic
		}
		n, err := t.readNotice(rec)
		if err != nil {
			t.config.Logger.Error("a notification is lost", "topic", p.name(), "error", err)
			return
		}
		f := fanout{t: t.Topics, topic: p, notice: &n, rec: rec}
		for _, s := range p.subscriptions() {
			if made, ok := f.render(s); ok && !yield(made) {
				return
			}
		}
	}
}

// fanout is one notice on its way to subscriptions. What is alike for many is made once.
type fanout struct {
	t         *Topics
	topic     *topic
	rec       *broker.QueueRecord
	notice    *notice
	filtered  map[string]*filter.Message // by message, of which there may be one for each protocol
	envelopes map[string]notify.Envelope
}

// render is what a subscription gets; ok is false where it gets nothing.
func (f *fanout) render(s *subscription) (made broker.Relayed, ok bool) {
	message := f.notice.text(s.Protocol)
	if !s.active() || s.filter != nil && !s.filter.Match(f.seen(message)) {
		return made, false
	}
	switch s.Protocol {
	case protocolSQS:
		return f.toQueue(s, message)
	case protocolHTTP, protocolHTTPS:
		return f.toOutbox(s, message)
	case protocolKafka:
		if topic, err := f.t.b.Topic("", s.Endpoint); err == nil {
			made = f.made(s, message, f.notice.group)
			made.Topic = topic
			return made, true
		}
	case protocolAMQP:
		name, key, keyed := strings.Cut(s.Endpoint, "#")
		if !keyed {
			key = f.topic.name()
		}
		if x, err := f.t.b.Exchange("", name); err == nil {
			made = f.made(s, message, key)
			made.Exchange, made.Record.Exchange = x, name
			return made, true
		}
	}
	return f.dead(s, f.made(s, message, ""))
}

// seen is the notice as filter policies see it.
func (f *fanout) seen(message string) *filter.Message {
	m := f.filtered[message]
	if m == nil {
		if f.filtered == nil {
			f.filtered = map[string]*filter.Message{}
		}
		m = f.notice.filtered(message)
		f.filtered[message] = m
	}
	return m
}

// made is a record for a subscription, for wherever it goes: raw with the attributes of the message, or else the
// document alone. It has an id of its own.
func (f *fanout) made(s *subscription, message, key string) broker.Relayed {
	if s.raw {
		return f.record(f.notice.attributes, message, key)
	}
	return f.record(nil, string(f.document(s, message)), key)
}

func (f *fanout) record(attributes map[string]messageAttribute, body, key string) broker.Relayed {
	p := f.notice.properties
	p.attributes = attributes
	_, _ = rand.Read(p.id[:]) // never fails
	return broker.Relayed{Record: broker.QueueRecord{Exchange: f.topic.name(), Key: key, Expires: f.rec.Expires,
		Group: f.notice.group, Format: broker.PropsSQS, Props: p.append(nil), Body: []byte(body)}}
}

// document is what a subscription gets that does not get raw messages. It is signed once for all.
func (f *fanout) document(s *subscription, message string) []byte {
	e, there := f.envelopes[message]
	if !there {
		e = f.envelope(message)
		if f.envelopes == nil {
			f.envelopes = map[string]notify.Envelope{}
		}
		f.envelopes[message] = e
	}
	return e.Document(f.t.actionURL("Unsubscribe", "SubscriptionArn", f.t.subscriptionARN(s)))
}

func (f *fanout) envelope(message string) notify.Envelope {
	n := f.notice.document(message)
	n.TopicARN = f.t.topicARN(f.topic.name())
	d := f.topic.declared()
	f.t.sign(n, d.attribute(attrSignature))
	return n.Envelope()
}

// sign signs a document, if there is a key: one is made with the first topic.
func (t *Topics) sign(n *notify.Notification, version string) {
	signer := t.signer.Load()
	if signer == nil {
		return
	}
	n.SignatureVersion, n.SigningCertURL = version, *t.url.Load()+signer.Path()
	if err := signer.Sign(n); err != nil {
		t.config.Logger.Error("a notification is not signed", "error", err)
	}
}

// actionURL is where a GET does something: SNS escapes nothing in it.
func (t *Topics) actionURL(action string, pairs ...string) string {
	u := *t.url.Load() + "/?Action=" + action
	for i := 0; i+1 < len(pairs); i += 2 {
		u += "&" + pairs[i] + "=" + pairs[i+1]
	}
	return u
}

// toQueue leads to a queue of SQS. What that cannot have, as SQS bounds it, is a dead letter, as a document.
func (f *fanout) toQueue(s *subscription, message string) (made broker.Relayed, ok bool) {
	name, _ := queueInARN(s.Endpoint)
	q := f.t.queueNamed(name)
	if s.raw && (len(f.notice.attributes) > maxAttributes || message == "" || !allowedText(message)) {
		return f.dead(s, f.record(nil, string(f.document(s, message)), name))
	}
	made = f.made(s, message, name)
	if q == nil || !fits(q, f.notice, made.Record.Body, s.raw) {
		return f.dead(s, made)
	}
	made.Queue = q
	return made, true
}

// queueNamed finds a queue of SQS; nil: there is none.
func (t *Topics) queueNamed(name string) *broker.Queue {
	q, err := t.b.Queue("", name)
	if err != nil || !isOurs(q) {
		return nil
	}
	return q
}

// fits says whether a message is as small as a queue wants it.
func fits(q *broker.Queue, n *notice, body []byte, raw bool) bool {
	size := len(body)
	if raw {
		size += sizeOf(n.attributes)
	}
	if size <= attributes[attrSize].min {
		return true
	}
	d := declaredOf(q)
	return size <= d.number(attrSize)
}

// dead leads to the queue for dead letters, or nowhere.
func (f *fanout) dead(s *subscription, made broker.Relayed) (broker.Relayed, bool) {
	if s.dead != "" {
		if q := f.t.queueNamed(s.dead); q != nil {
			made.Queue, made.Record.Key = q, s.dead
			return made, true
		}
	}
	f.t.lost.Add(1)
	f.t.config.Logger.Debug("a notification is lost", "subscription", f.t.subscriptionARN(s))
	return broker.Relayed{}, false
}
