package aws

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

// A subscription over HTTP has a durable queue, its outbox, in which its notifications wait; a Deliverer
// takes them from there.

// Deliver begins to send notifications over HTTP, and goes on with replays, until Close. Call it once, when the
// broker is open and before a Server listens.
func (t *Topics) Deliver() error {
	d, err := notify.NewDeliverer(t.b, notify.Config{DeadLetter: t.deadLetter, Ended: t.finish,
		Transport: t.config.Transport, Logger: t.config.Logger})
	if err != nil {
		return err
	}
	t.deliverer = d
	if err := t.restoreArchives(); err != nil {
		return err
	}
	for _, p := range t.all() {
		if err := t.dropExpired(t.life, p); err != nil {
			return err
		}
		for _, s := range p.subscriptions() {
			t.startReplay(s)
			if !s.posts() {
				continue
			}
			if err := t.deliver(t.life, s); err != nil {
				t.config.Logger.Error("a subscription gets nothing", "subscription", t.subscriptionARN(s), "error", err)
			}
		}
	}
	return t.dropOrphans()
}

// dropOrphans deletes outboxes that a crash has left without a subscription. One that cannot be read has its own:
// another version may.
func (t *Topics) dropOrphans() error {
	known := map[string]bool{}
	for key := range t.b.Facts(factSpace).All(factSubscriptions) {
		_, id, _ := strings.Cut(key[len(factSubscriptions):], "/")
		known[notify.QueueName(id)] = true
	}
	for _, q := range t.b.Queues("") {
		name := q.Name().Name
		id, ok := strings.CutPrefix(name, notify.QueueName(""))
		if !ok || known[name] || !subscriptionID.MatchString(id) {
			continue
		}
		if _, err := t.b.DeleteQueue(t.life, q, broker.DeleteOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// Close ends what Deliver began: it waits for replays, which go on after the next Deliver, and for posts that are
// under way. When ctx ends before that, they are cut, and it returns ctx's error. Call it after Close of the
// Server, and before that of the broker.
func (t *Topics) Close(ctx context.Context) error {
	t.end()
	t.work.Wait()
	if t.deliverer == nil {
		return nil
	}
	return t.deliverer.Close(ctx)
}

// outbox is the name of the subscription's.
func (s *subscription) outbox() string { return notify.QueueName(s.id) }

// deliver has the outbox of a subscription, which it makes where there is none, delivered in the way that
// holds now.
func (t *Topics) deliver(ctx context.Context, s *subscription) error {
	endpoint, err := notify.ParseEndpoint(s.Protocol, s.Endpoint)
	if err != nil {
		return err
	}
	if s.Ended && t.outboxOf(s) == nil {
		return nil // all of it is delivered
	}
	if _, _, err := t.b.DeclareQueue(ctx, notify.QueueSpec(s.id)); err != nil {
		return err
	}
	if t.deliverer == nil {
		return nil
	}
	own, _ := notify.ParseSubscriptionPolicy(s.Attributes[attrDelivery]) // it was checked; none says nothing
	d := s.topic.declared()
	return t.deliverer.Set(notify.Subscription{ID: s.id, ARN: t.subscriptionARN(s),
		TopicARN: t.topicARN(s.topic.name()), Endpoint: endpoint, Policy: own.Effective(d.delivery()).Policy(),
		DeadLetters: s.dead, Ends: s.Ended})
}

// deliverAll tells all subscriptions of a topic that its policy is another one.
func (t *Topics) deliverAll(ctx context.Context, p *topic) error {
	for _, s := range p.subscriptions() {
		if s.posts() {
			if err := t.deliver(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// shown is the endpoint without a password.
func (s *subscription) shown() string {
	if endpoint, err := notify.ParseEndpoint(s.Protocol, s.Endpoint); err == nil {
		return endpoint.Shown()
	}
	return s.Endpoint
}

// outboxOf is the queue; nil: there is none.
func (t *Topics) outboxOf(s *subscription) *broker.Queue {
	q, err := t.b.Queue("", s.outbox())
	if err != nil {
		return nil
	}
	return q
}

// dropOutbox ends the delivery for a subscription that is gone. What a failure leaves, the next Deliver
// deletes.
func (t *Topics) dropOutbox(s *subscription) {
	if !s.posts() {
		return
	}
	if t.deliverer != nil {
		t.deliverer.Remove(s.id)
	}
	if q := t.outboxOf(s); q != nil {
		if _, err := t.b.DeleteQueue(t.life, q, broker.DeleteOptions{}); err != nil {
			t.config.Logger.Warn("the queue of a deleted subscription is left over", "queue", q.String(), "error", err)
		}
	}
}

// toOutbox leads to the outbox of a subscription.
func (f *fanout) toOutbox(s *subscription, message string) (made broker.Relayed, ok bool) {
	q := f.t.outboxOf(s)
	if q == nil {
		return f.dead(s, f.content(s, message))
	}
	p := notify.Post{Type: notify.Message, MessageID: formatUUID(f.notice.id), Raw: s.raw}
	if s.raw {
		p.Body, p.Attributes = []byte(message), f.notice.document("").Attributes
	} else {
		p.Body = f.document(s, message)
	}
	made = broker.Relayed{Queue: q, Record: p.Record()}
	made.Record.Exchange, made.Record.Key = f.topic.name(), s.outbox()
	return made, true
}

// ask sends a token to the endpoint of a subscription, in one commit with the subscription.
func (t *Topics) ask(c *call, s *subscription) error {
	if err := t.deliver(c.ctx, s); err != nil {
		return err
	}
	return t.keepAsking(c, s, notify.SubscriptionConfirmation)
}

func (t *Topics) keepAsking(c *call, s *subscription, kind notify.Type) error {
	s.Token, s.TokenTime = newToken(), t.now()
	q := t.outboxOf(s)
	if q == nil {
		return noSubscription() // an AMQP client has deleted the outbox
	}
	return t.keep(c, s, func(tx *broker.Tx) { tx.Move(q, t.question(s, kind)) })
}

// question is the document with which an endpoint is asked for confirmation.
func (t *Topics) question(s *subscription, kind notify.Type) broker.QueueRecord {
	arn := t.topicARN(s.topic.name())
	n := &notify.Notification{Type: kind, MessageID: requestID(), TopicARN: arn, Time: t.config.Now(),
		Message: notify.Confirmation(kind, arn, t.subscriptionARN(s)), Token: s.Token,
		SubscribeURL: t.actionURL("ConfirmSubscription", "TopicArn", arn, "Token", s.Token)}
	d := s.topic.declared()
	t.sign(n, d.attribute(attrSignature))
	p := notify.Post{Type: kind, MessageID: n.MessageID, Body: n.Envelope().Document("")}
	return p.Record()
}

// endPosting ends a subscription that somebody has confirmed: what waits is delivered, and at last how to
// take the end back.
func (t *Topics) endPosting(c *call, was *subscription) error {
	is := *was
	is.Ended = true
	if _, _, err := t.b.DeclareQueue(c.ctx, notify.QueueSpec(is.id)); err != nil {
		return err
	}
	if err := t.keepAsking(c, &is, notify.UnsubscribeConfirmation); err != nil {
		return err
	}
	// Only now: the Deliverer ends with an outbox that is empty.
	if err := t.deliver(c.ctx, &is); err != nil {
		return err
	}
	return t.dropExpired(c.ctx, was.topic)
}

// dropExpired forgets subscriptions that cannot be confirmed any more: nobody did, or they are over.
func (t *Topics) dropExpired(ctx context.Context, p *topic) error {
	tx := t.b.Begin()
	var gone []*subscription
	for _, s := range p.subscriptions() {
		if !s.active() && t.expired(s) {
			tx.DeleteFact(factSpace, s.factKey())
			gone = append(gone, s)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := commit(ctx, tx); err != nil {
		return err
	}
	for _, s := range gone {
		p.drop(s)
		t.dropOutbox(s)
	}
	return nil
}

func (t *Topics) expired(s *subscription) bool {
	return t.now() > s.TokenTime+tokenLife.Milliseconds()
}

// finish deletes the outbox of a subscription that is over, once it is empty. The Deliverer calls it. While it waited
// for its turn somebody may have taken the end back and ended it again: then that has still to be told.
func (t *Topics) finish(id string) {
	done, err := t.take(t.life)
	if err != nil {
		return // the next Deliver does it
	}
	defer done()
	for _, p := range t.all() {
		if s := p.find(id); s != nil && s.Ended && t.delivered(s) {
			t.dropOutbox(s)
		}
	}
}

// delivered says that nothing is left in the outbox of a subscription.
func (t *Topics) delivered(s *subscription) bool {
	q := t.outboxOf(s)
	return q == nil || notify.Empty(q)
}

// deadLetter is where a notification goes that its endpoint did not take, and as what.
func (t *Topics) deadLetter(l *notify.Letter) (*broker.Queue, broker.QueueRecord) {
	q := t.queueNamed(l.Subscription.DeadLetters)
	if q == nil {
		t.lost.Add(1)
		return nil, broker.QueueRecord{}
	}
	p := properties{sent: l.Time.UnixMilli(), sender: t.config.Account}
	_, _ = rand.Read(p.id[:]) // never fails
	given := l.Attributes()
	if len(given) > maxAttributes {
		given = l.Post.Attributes
	}
	p.attributes = map[string]messageAttribute{}
	for name, a := range given {
		if len(p.attributes) < maxAttributes {
			p.attributes[name] = attributeFrom(a)
		}
	}
	return q, broker.QueueRecord{Key: l.Subscription.DeadLetters, Time: t.config.Now(),
		Format: broker.PropsSQS, Props: p.append(nil), Body: l.Post.Body}
}

// attributeFrom is an attribute of a document as one of a message.
func attributeFrom(a notify.Attribute) messageAttribute {
	out := messageAttribute{DataType: a.Type}
	if out.binary() {
		out.BinaryValue, _ = base64.StdEncoding.DecodeString(a.Value) // it was written so
	} else {
		out.StringValue = &a.Value
	}
	return out
}
