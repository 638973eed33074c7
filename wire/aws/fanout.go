package aws

import (
	"cmp"
	"crypto/rand"
	"iter"
	"maps"
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
		if p.fifo() && n.sequence == 0 { // AMQP has published it
			n.number(p, t.config.Now())
			n.group, n.dedup = cmp.Or(n.group, broker.KeyGroup([]byte(rec.Key)), broker.KeyGroup([]byte(p.name()))), formatUUID(n.id)
		}
		archive := t.archiveOf(p)
		if archive != nil && !yield(broker.Relayed{Topic: archive, Record: n.archived()}) {
			return
		}
		f := fanout{t: t.Topics, topic: p, notice: &n, rec: rec}
		for _, s := range p.subscriptions() {
			if archive != nil && s.held(&n) {
				continue // it gets it out of the archive
			}
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
	replayed  bool                       // out of an archive
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
			key := cmp.Or(f.notice.group, f.notice.key)
			return broker.Relayed{Topic: topic, Record: f.crossed(s, message, key)}, true
		}
	case protocolAMQP:
		name, key, keyed := strings.Cut(s.Endpoint, "#")
		if !keyed {
			key = f.topic.name()
		}
		if x, err := f.t.b.Exchange("", name); err == nil {
			made = broker.Relayed{Exchange: x, Record: f.crossed(s, message, key)}
			made.Record.Exchange = name
			return made, true
		}
	}
	return f.dead(s, f.content(s, message))
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

// content is what a subscription gets: raw with the attributes of the message, or else the document alone.
type content struct {
	attributes map[string]messageAttribute
	body       []byte
}

func (f *fanout) content(s *subscription, message string) content {
	if s.raw {
		return content{f.notice.attributes, []byte(message)}
	}
	return content{body: f.document(s, message)}
}

// crossed is a record for another protocol. It has the id which the publisher was told, and bytes that came
// from one as they are.
func (f *fanout) crossed(s *subscription, message, key string) broker.QueueRecord {
	c := f.content(s, message)
	if s.raw && f.notice.bytes != nil {
		c = content{maps.Clone(c.attributes), f.notice.bytes}
		delete(c.attributes, attrEncoding)
	}
	rec, p := f.keyed(c, key)
	p.id = f.notice.id
	rec.Props = p.append(nil)
	return rec
}

// keyed is a record of a content, for wherever it goes, and its properties. It has an id of its own.
func (f *fanout) keyed(c content, key string) (broker.QueueRecord, properties) {
	p := f.notice.properties
	p.attributes, p.dedup = c.attributes, ""
	_, _ = rand.Read(p.id[:]) // never fails
	return broker.QueueRecord{Exchange: f.topic.name(), Key: key, Group: f.notice.group, Expires: f.rec.Expires,
		Format: broker.PropsSQS, Body: c.body}, p
}

// into is a content for a queue. A FIFO one takes it once, as those that are sent to it; to a standard one
// the groups of a FIFO topic are nothing.
func (f *fanout) into(q *broker.Queue, c content) broker.Relayed {
	rec, p := f.keyed(c, q.Name().Name)
	switch r := rulesOf(q); {
	case r.fifo:
		p.dedup = f.notice.dedup
		rec.Once = r.once(rec.Group, &p)
	case f.topic.fifo():
		rec.Group = ""
	}
	rec.Props = p.append(nil)
	return broker.Relayed{Queue: q, Record: rec}
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
	n.TopicARN, n.Replayed = f.t.topicARN(f.topic.name()), f.replayed
	d := f.topic.declared()
	if !f.topic.fifo() {
		f.t.sign(n, d.attribute(attrSignature))
	}
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
	many := len(f.notice.attributes) > maxAttributes && !f.notice.foreign
	if s.raw && (many || message == "" || !allowedText(message)) {
		return f.dead(s, content{body: f.document(s, message)})
	}
	name, _ := queueInARN(s.Endpoint)
	q, c := f.t.queueNamed(name), f.content(s, message)
	if q == nil || len(c.body)+sizeOf(c.attributes) > numberOf(q, attrSize) {
		return f.dead(s, c)
	}
	return f.into(q, c), true
}

// queueNamed finds a queue of SQS; nil: there is none.
func (t *Topics) queueNamed(name string) *broker.Queue {
	q, err := t.b.Queue("", name)
	if err != nil || !isOurs(q) {
		return nil
	}
	return q
}

// dead leads to the queue for dead letters, or nowhere. It takes all of them: that of two subscriptions may
// be the same.
func (f *fanout) dead(s *subscription, c content) (made broker.Relayed, ok bool) {
	if s.dead != "" {
		if q := f.t.queueNamed(s.dead); q != nil {
			made = f.into(q, c)
			made.Record.Once = nil
			return made, true
		}
	}
	f.t.lost.Add(1)
	f.t.config.Logger.Debug("a notification is lost", "subscription", f.t.subscriptionARN(s))
	return made, false
}
