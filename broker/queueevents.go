package broker

import (
	"slices"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// QueueObserver is an Observer that does not always want to hear what records do in
// queues: while WantsQueues is false, no QueuePublished, DeadLettered, QueueDelivered,
// QueueSettled or QueuePurged is made. Queue.Stats counts all of it anyway.
type QueueObserver interface {
	Observer
	WantsQueues() bool
}

// QueuePublished says that records were published to an exchange, and which queues and
// topics took them, or took what relays made of them: where none did and they are not
// Delayed, they went nowhere. One event stands for records side by side in one commit that went the same way.
type QueuePublished struct {
	Exchange *Exchange // nil: moved there, past every exchange
	Queues   []*Queue
	Topics   []*Topic // a Published says where in them
	Refused  bool     // a further queue was full or a topic's batches too small, and refused them
	Delayed  bool     // an exchange holds them back: at their time they are published again
	Count    int
	Bytes    int // of bodies and properties, once
	Time     time.Time
}

// DeadLettered says that records left a queue without being accepted and were published
// to its dead letter exchange, as QueuePublished. That they left is a QueueSettled of its
// own, except for records that the queue was too full to take.
type DeadLettered struct {
	From   *Queue
	Reason DeathReason
	QueuePublished
}

// QueueDelivered says that a consumer has taken records, one event for each Take. It
// comes behind the QueuePublished of the same records.
type QueueDelivered struct {
	Queue        *Queue
	Subscription *Subscription // nil: by Get
	Count        int
	Redelivered  int // of them
	Bytes        int // of bodies and properties
	Time         time.Time
	// Missed is how many such events before this one were left out: a consumer is not
	// held back by an observer that is behind.
	Missed int
}

// QueueSettled says what became of deliveries, and of records that left a queue by
// themselves: one event for each queue and commit, or PutBack, which counts as Requeued.
type QueueSettled struct {
	Queue                      *Queue
	Accepted, Requeued         int
	Rejected, Expired, Dropped int // Rejected also by the delivery limit; Dropped: beyond the length
	Time                       time.Time
}

// QueuePurged says that the records that waited in a queue are gone.
type QueuePurged struct {
	Queue   *Queue
	Records int64
}

// QueueDeclared says that a queue is there.
type QueueDeclared struct{ Queue *Queue }

// QueueDeleted says that a queue is gone, with the records that were ready.
type QueueDeleted struct {
	Queue   *Queue
	Records int64
}

func (*QueuePublished) event() {}
func (*DeadLettered) event()   {}
func (*QueueDelivered) event() {}
func (*QueueSettled) event()   {}
func (*QueuePurged) event()    {}
func (*QueueDeclared) event()  {}
func (*QueueDeleted) event()   {}

// hearsQueues says whether somebody wants to hear what records do in queues.
func (b *Broker) hearsQueues() bool {
	return b.feed != nil && (b.feed.queues == nil || b.feed.queues.WantsQueues())
}

// queueNews gathers what one commit has to tell of queues, in the order of its changes. A
// nil one gathers nothing: that is all it costs where nobody listens.
type queueNews struct {
	at     time.Time
	events []Event
	took   []*Queue // by the record that is being staged
}

func (b *Broker) newQueueNews(t *Tx) *queueNews {
	if len(t.publishes)+len(t.settles) == 0 || !b.hearsQueues() {
		return nil
	}
	return &queueNews{at: timeOf(b.nowMillis())}
}

// take notes that a queue takes the record that is being staged.
func (n *queueNews) take(q *Queue) {
	if n != nil {
		n.took = append(n.took, q)
	}
}

// published tells of a record that was staged.
func (n *queueNews) published(p *txPublish, topics []*Topic, r *Routed) {
	if n == nil || r.Original != nil && len(n.took)+len(topics) == 0 {
		return // a duplicate is no news
	}
	e := QueuePublished{Exchange: p.x, Topics: topics, Refused: r.Refused, Delayed: r.Delayed,
		Count: 1, Bytes: len(p.rec.Props) + len(p.rec.Body), Time: n.at}
	if !n.joins(p, &e) {
		e.Queues = slices.Clone(n.took)
		n.events = append(n.events, p.event(e))
	}
	n.took = n.took[:0]
}

func (p *txPublish) event(e QueuePublished) Event {
	if p.from == nil {
		return &e
	}
	return &DeadLettered{From: p.from, Reason: p.reason, QueuePublished: e}
}

// joins adds a record to the last event, where that is of one that went the same way.
func (n *queueNews) joins(p *txPublish, e *QueuePublished) bool {
	if len(n.events) == 0 {
		return false
	}
	var last *QueuePublished
	switch l := n.events[len(n.events)-1].(type) {
	case *QueuePublished:
		if p.from == nil {
			last = l
		}
	case *DeadLettered:
		if p.from == l.From && p.reason == l.Reason {
			last = &l.QueuePublished
		}
	}
	if last == nil || last.Exchange != e.Exchange || last.Refused != e.Refused ||
		last.Delayed != e.Delayed || !slices.Equal(last.Queues, n.took) ||
		!slices.Equal(last.Topics, e.Topics) {
		return false
	}
	last.Count++
	last.Bytes += e.Bytes
	return true
}

// settled tells of a settle that was staged.
func (n *queueNews) settled(s *txSettle) {
	if n == nil || s.q.dead {
		return
	}
	e := n.settledOf(s.q)
	switch {
	case s.outcome == Requeue:
		e.Requeued++
	case s.reason == 0: // it was gone before
	case s.outcome == Accept:
		e.Accepted++
	case s.reason == Expired:
		e.Expired++
	case s.reason == MaxLength:
		e.Dropped++
	default:
		e.Rejected++
	}
}

// settledOf is the event of a queue: settles of one queue mostly stand side by side.
func (n *queueNews) settledOf(q *Queue) *QueueSettled {
	if len(n.events) > 0 {
		if e, ok := n.events[len(n.events)-1].(*QueueSettled); ok && e.Queue == q {
			return e
		}
	}
	e := &QueueSettled{Queue: q, Time: n.at}
	n.events = append(n.events, e)
	return e
}

// tell hands over what was gathered, to be told once seq is durable. The locks of the
// queues are held: they keep the order.
func (n *queueNews) tell(b *Broker, seq storage.Seq) {
	if n == nil {
		return
	}
	for _, e := range n.events {
		b.feed.push(seq, e, nil)
	}
}

// tellDeliveredLocked reports what was taken, unless the observer is behind.
func (q *Queue) tellDeliveredLocked(s *Subscription, got []Delivery) {
	if len(got) == 0 || !q.b.hearsQueues() {
		return
	}
	e := &QueueDelivered{Queue: q, Subscription: s, Count: len(got), Time: timeOf(q.b.nowMillis())}
	for i := range got {
		e.Bytes += len(got[i].Record.Props) + len(got[i].Record.Body)
		if got[i].Deliveries > 0 {
			e.Redelivered++
		}
	}
	q.b.feed.pushDelivered(e)
}

// tellPutBack reports what was given back as if it had not been taken.
func (q *Queue) tellPutBack(records int) {
	if records > 0 && q.b.hearsQueues() {
		q.b.tell(0, &QueueSettled{Queue: q, Requeued: records, Time: timeOf(q.b.nowMillis())})
	}
}

// tellPurged reports a purge.
func (q *Queue) tellPurged(seq storage.Seq, records int64) {
	if q.b.hearsQueues() {
		q.b.tell(seq, &QueuePurged{Queue: q, Records: records})
	}
}
