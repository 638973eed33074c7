package broker

import (
	"encoding/binary"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// Outcome is what becomes of a delivery.
type Outcome uint8

// The outcomes.
const (
	Accept  Outcome = iota + 1 // the record is done with
	Requeue                    // it goes back to its place in the queue
	Reject                     // it is dead-lettered, or done with where nothing asks for it
)

// Routed says where a published record went.
type Routed struct {
	Queues int // and topics that took it, now or when its original was published
	// Offset is where the last of the queues has it that took it; -1: none did, or it is to be ready
	// later. Of an exchange with ExchangeSpec.Once it is as of Original.
	Offset  Offset
	Refused bool // a queue was full, or it is too large for a topic, which refuses it
	Delayed bool // it is to be published later: where it will go is not known
	// Original is what it is a duplicate of, for its exchange or in the last of the queues where it is
	// one; nil: it is none. Confirm is then that of the original.
	Original *Original
	Confirm  Confirm
}

// txPublish is one record on its way into queues and topics.
type txPublish struct {
	x      *Exchange // nil: of Move
	rec    QueueRecord
	to     []*Queue
	room   [1]*Queue // of to: most records go to one queue
	topics []*Topic
	relays []*Exchange  // that it reaches too
	parts  []*Partition // of the topics that have a place for it
	result int          // -1: nobody asks
	from   *Queue       // it is a dead letter of this one
	at     int64        // ms, when PublishAt is to publish it; 0: it is no PublishAt
	hold   *txHold      // nil: it goes into queues and topics now, and nowhere else
	before *duplicate   // of what its exchange has had; nil: it is none
	// refused: a topic has no place for it. due: it comes from the schedule of x; purged: it
	// was there, and goes nowhere. whole: it reaches all that it was routed to, or Commit does
	// nothing. relayed: a relay made it of the publish before it that is not.
	refused, due, purged, whole, relayed bool
	reason                               DeathReason // where from is set
}

// txSettle ends one delivery.
type txSettle struct {
	q       *Queue
	sub     *Subscription // whose credit it took; nil for Get and for what was never delivered
	id      DeliveryID
	outcome Outcome
	reason  DeathReason
	hole    bool  // a repair gave it up
	discard bool  // whoever has it, see Tx.Discard
	leased  bool  // discard it while its lease holds
	over    bool  // it did not
	body    int64 // length of the body of what comes back, in a queue that is bounded by bytes; else -1
}

// Publish adds one record for the queues and topics that x routes it to; its properties and
// body must stay untouched until Commit. It returns the index for Routed.
func (t *Tx) Publish(x *Exchange, rec QueueRecord) int {
	t.routed = append(t.routed, Routed{})
	t.publishes = append(t.publishes, txPublish{x: x, rec: rec, result: len(t.routed) - 1})
	return len(t.routed) - 1
}

// Move adds one record for one queue, past every exchange: what it says of where it was
// published stays as it is. Unlike a publish it is all or nothing: where the queue is gone
// or refuses more, Commit does nothing, with kind NotFound or Full.
func (t *Tx) Move(q *Queue, rec QueueRecord) {
	t.moves = true
	t.publishes = append(t.publishes, txPublish{rec: rec, to: []*Queue{q}, result: -1, whole: true})
}

// publishWhole is Publish of a record that all queues take which x leads it to, or Commit does
// nothing, with kind NotFound or Full.
func (t *Tx) publishWhole(x *Exchange, rec QueueRecord) {
	t.moves = true
	t.publishes = append(t.publishes, txPublish{x: x, rec: rec, result: -1, whole: true})
}

// PublishRelayed adds a record that goes where a relay would have led it, at a time of the
// caller's choosing. Unlike what a relay returns it is all or nothing: where a queue is gone or
// refuses more, Commit does nothing, with kind NotFound or Full. A topic that has no place for
// it, or is gone, takes nothing. A queue takes it although it has had it, see QueueRecord.Once.
func (t *Tx) PublishRelayed(made Relayed) {
	switch {
	case made.Queue != nil:
		t.Move(made.Queue, made.Record)
	case made.Exchange != nil:
		t.publishWhole(made.Exchange, made.Record)
	default:
		t.publishes = append(t.publishes,
			txPublish{rec: made.Record, topics: []*Topic{made.Topic}, result: -1})
	}
}

// Settle ends a delivery of a queue, taken by a subscription or, if that is nil, by
// Get. Each may be settled once: it is for the caller to know what is in its hands. A
// Tx takes 8192 of them.
func (t *Tx) Settle(q *Queue, s *Subscription, id DeliveryID, o Outcome) {
	t.settles = append(t.settles, txSettle{q: q, sub: s, id: id, outcome: o, reason: Rejected, body: -1})
}

// bury settles a record that was handed out and must not be delivered.
func (t *Tx) bury(q *Queue, l lost) {
	s := txSettle{q: q, id: l.id, outcome: Reject, reason: l.reason, hole: l.hole}
	if l.reason == 0 {
		s.outcome = Accept
	}
	t.settles = append(t.settles, s)
}

// Routed returns the outcome of the publish with this index, after Commit.
func (t *Tx) Routed(i int) Routed { return t.routed[i] }

// prepareQueues finds, under no lock of a queue, where everything goes: what is
// rejected and has an exchange for its dead letters becomes a publish.
func (t *Tx) prepareQueues(now int64) error {
	for i := range t.settles {
		if err := t.prepareSettle(&t.settles[i], now); err != nil {
			return err
		}
	}
	if len(t.publishes) == 0 {
		return nil
	}
	return t.routeAll(now)
}

// routeAll finds where all that is published goes.
func (t *Tx) routeAll(now int64) error {
	for i := range t.publishes {
		if g := t.publishes[i].rec.Group; len(g) > MaxGroup {
			return fail(Invalid, "publish", "", "a group has %d bytes, want at most %d", len(g), MaxGroup)
		}
	}
	if err := t.findDuplicates(); err != nil {
		return err
	}
	topics := t.route(now)
	more, err := t.relay(now)
	if err != nil {
		return err
	}
	for i := range t.publishes {
		for _, q := range t.publishes[i].to {
			q.measureIfRefuses()
		}
	}
	if err := t.loadLedgers(); err != nil {
		return err
	}
	if topics || more {
		return t.gatherTopics(now)
	}
	return nil
}

// route finds the queues and topics of each publish, and says whether there are topics.
func (t *Tx) route(now int64) (topics bool) {
	t.b.cat.mu.RLock()
	defer t.b.cat.mu.RUnlock()
	r := t.b.newRouting()
	for i := range t.publishes {
		p := &t.publishes[i]
		if p.rec.Time.IsZero() {
			p.rec.Time = timeOf(now)
		}
		if p.x == nil { // its place is known
			topics = topics || len(p.topics) > 0
			continue
		}
		if p.before != nil {
			p.to, p.hold = p.room[:0], nil
			continue
		}
		if p.at > now {
			p.hold.now = now
			continue
		}
		r.due = p.due || p.at > 0
		t.routeLocked(r, p, now)
		topics = topics || len(p.topics) > 0
	}
	return topics
}

// routeLocked finds what one publish reaches.
func (t *Tx) routeLocked(r *routing, p *txPublish, now int64) {
	p.to = r.queuesLocked(p.room[:0], p.x, &p.rec)
	p.hold = r.hold(now)
	if len(r.logs) > 0 {
		p.topics = slices.Clone(r.logs)
	}
	if len(r.late) > 0 {
		p.relays = slices.Clone(r.late)
	}
	p.breakCycle()
	p.delay(now)
}

// breakCycle lets a dead letter reach no queue that it has come from by itself.
func (p *txPublish) breakCycle() {
	if p.result < 0 && !p.due {
		p.to = slices.DeleteFunc(p.to, func(q *Queue) bool { return p.rec.cycles(q.name.Name) })
	}
}

func (t *Tx) prepareSettle(s *txSettle, now int64) error {
	in := s.q.settings.Load()
	if limit := in.DeliveryLimit; s.outcome == Requeue && limit != nil && int64(s.id.Receive) > *limit {
		s.outcome, s.reason = Reject, DeliveryLimit
	}
	if s.outcome == Requeue && in.MaxLengthBytes != nil {
		s.body = s.q.bodyOf(s.id)
	}
	if s.outcome != Reject || !in.DeadLetters || s.q.discarded(s.id) {
		return nil
	}
	rec, ok, err := s.q.deadLetter(s, in, now)
	if err != nil || !ok {
		return err
	}
	x, err := t.b.Exchange(s.q.name.Namespace, in.DeadLetterTo)
	if err != nil {
		return nil // an exchange that is not there takes no dead letters
	}
	t.publishes = append(t.publishes, txPublish{x: x, rec: rec, result: -1, from: s.q, reason: s.reason})
	return nil
}

// queueLocks adds the locks of all queues that the Tx touches.
func (c *commit) queueLocks() {
	add := func(q *Queue) {
		if n := len(c.logs); n == 0 || c.logs[n-1].mu != &q.mu { // mostly it is one queue
			c.logs = append(c.logs, logLock{q.order, &q.mu})
		}
	}
	for i := range c.tx.settles {
		add(c.tx.settles[i].q)
	}
	for i := range c.tx.publishes {
		for _, q := range c.tx.publishes[i].to {
			add(q)
		}
	}
	c.ledgerLocks()
	c.scheduleLocks()
}

// checkMoves refuses what has a move to a queue that is gone, or has no room for all that
// comes before it.
func (c *commit) checkMoves() error {
	var coming map[*Queue]room
	for i := range c.tx.publishes {
		p := &c.tx.publishes[i]
		body := int64(len(p.rec.Body))
		for _, q := range p.to {
			refused := q.refusesBehindLocked(coming[q], body)
			switch {
			case p.due: // it goes where it can
			case p.whole && q.dead:
				return &Error{Kind: NotFound, Op: "move", Name: q.String()}
			case p.whole && refused:
				return fail(Full, "move", q.String(), "the queue is full, and refuses more")
			}
			if refused || q.settings.Load().Overflow == DropHead {
				continue // it takes no room
			}
			if coming == nil {
				coming = map[*Queue]room{}
			}
			before := coming[q]
			coming[q] = room{before.records + 1, before.bytes + body}
		}
	}
	return nil
}

// stageQueues puts publishes and settles into the storage batch. All that cannot
// fail changes in memory at once: after it only the store can refuse, and only when
// it is lost or closing.
func (c *commit) stageQueues() {
	c.news = c.b.newQueueNews(c.tx)
	for i := 0; i < len(c.tx.publishes); {
		i = c.stageRelayed(i)
	}
	for i := range c.tx.settles {
		c.stageSettle(&c.tx.settles[i])
		c.news.settled(&c.tx.settles[i])
	}
	c.stageTrims()
	c.stageTaken()
}

// stageRelayed stages a publish with what relays made of it, which is told as one, and
// returns the index of the next.
func (c *commit) stageRelayed(i int) (next int) {
	p := &c.tx.publishes[i]
	if p.purged {
		return i + 1
	}
	r := c.stagePublish(p)
	topics := p.tookLocked()
	for next = i + 1; next < len(c.tx.publishes) && c.tx.publishes[next].relayed; next++ {
		made := &c.tx.publishes[next]
		also := c.stagePublish(made)
		topics = append(topics, made.tookLocked()...)
		r.Queues += also.Queues
		r.Refused, r.Delayed = r.Refused || also.Refused, r.Delayed || also.Delayed
		r.Confirm = r.Confirm.later(also.Confirm)
	}
	c.news.published(p, topics, &r)
	if p.result >= 0 {
		c.tx.routed[p.result] = r
	}
	return next
}

func (c *commit) stagePublish(p *txPublish) Routed {
	w := c.work
	w.scratch = w.scratch[:0]
	if p.before != nil {
		return c.stageDuplicate(p)
	}
	r := p.reachedLocked()
	p.to = slices.DeleteFunc(p.to, func(q *Queue) bool { return q.dead })
	for _, q := range p.to {
		if c.stagedBefore(p, q.ledger, &r) {
			r.Queues++
			continue
		}
		if !p.wasDelayed() && q.refusesLocked(int64(len(p.rec.Body))) {
			r.Refused = true
			if s := q.settings.Load(); s.Overflow == RejectDeadLetter && s.DeadLetters {
				c.tx.refused = append(c.tx.refused, refusedRecord{q, p.rec})
			}
			continue
		}
		if len(w.scratch) == 0 {
			w.scratch = p.rec.appendTo(w.scratch, c.b.start)
		}
		l := q.lane(p.rec.Priority)
		w.batch.Append(l.log, storage.Entry{Count: 1, Time: p.rec.Time.UnixMilli(), Bytes: w.scratch})
		if p.rec.Transient && l.durable {
			l.noteTransientLocked(&w.batch)
		}
		q.publishedSizeLocked(l, l.end, int64(len(p.rec.Body)))
		r.Offset = l.end
		c.stageOnce(p, q.ledger, l.end)
		q.publishedGroupLocked(&w.batch, l, &p.rec)
		l.end++
		q.expiring = q.expiring || !p.rec.Expires.IsZero() ||
			p.mayBeOld() && q.settings.Load().Retention > 0
		q.counts.Published++
		c.news.take(q)
		r.Queues++
	}
	r.Delayed = c.stageHold(p, &r)
	c.stageOnceByExchange(p, &r)
	return r
}

// wasDelayed says that the record comes from the schedule of the queue itself, which has taken
// it for good when it was published.
func (p *txPublish) wasDelayed() bool { return p.due && p.x == nil }

// mayBeOld says that the record may have been published before those in front of it.
func (p *txPublish) mayBeOld() bool { return p.x == nil || p.from != nil }

// room is what comes before a record of the same Tx, in its queue.
type room struct{ records, bytes int64 }

// refusesLocked says whether the queue is full and refuses a new record.
func (q *Queue) refusesLocked(body int64) bool { return q.refusesBehindLocked(room{}, body) }

// refusesBehindLocked says whether it will be when others have come.
func (q *Queue) refusesBehindLocked(coming room, body int64) bool {
	s := q.settings.Load()
	if s.Overflow == DropHead {
		return false
	}
	return s.MaxLength != nil && q.readyLocked()+coming.records >= *s.MaxLength ||
		s.MaxLengthBytes != nil && q.sizes.ready+coming.bytes+body > *s.MaxLengthBytes
}

func (c *commit) stageSettle(s *txSettle) {
	q := s.q
	if q.dead {
		return
	}
	l := q.laneOf(s.id.Log)
	switch {
	case l == nil:
		return
	case s.discard:
		c.stageDiscard(s)
		return
	case c.settledReceived(s, l):
		return
	case s.outcome == Requeue:
		if q.countsDeliveries() && l.received[s.id.Offset] == nil {
			c.work.batch.Put(deliveriesKey(l.log.ID(), s.id.Offset), deliveriesValue(s.id.Receive))
		}
		return
	case s.hole:
		q.counts.Lost++
	case s.reason == 0: // it was gone before
	case s.outcome == Accept:
		q.counts.Accepted++
	case s.reason == Expired:
		q.counts.Expired++
	case s.reason == MaxLength:
		q.counts.Dropped++
	default:
		q.counts.Rejected++
	}
	l.settleLocked(&c.work.batch, s.id.Offset)
	if s.id.Receive > 1 && q.counted && q.spec.Durable {
		c.work.batch.Delete(deliveriesKey(l.log.ID(), s.id.Offset))
	}
}

// countsDeliveries says whether the queue must know over a restart how often each
// record was delivered.
func (q *Queue) countsDeliveries() bool {
	return q.spec.Durable && q.settings.Load().DeliveryLimit != nil
}

func (q *Queue) laneOf(log storage.LogID) *lane {
	for _, l := range q.lanes {
		if l.log.ID() == log {
			return l
		}
	}
	return nil
}

// settleLocked puts an offset into the settled set, side by side ones in one
// operation: the last waits for markLocked.
func (l *lane) settleLocked(batch *storage.Batch, off Offset) {
	if l.settling.to != off || l.settling.from == off {
		l.markLocked(batch)
		l.settling.from = off
	}
	l.settling.to = off + 1
}

func (l *lane) markLocked(batch *storage.Batch) {
	s := l.settling
	l.settling = offsets{}
	switch {
	case s.from == s.to:
	case l.durable:
		batch.Mark(l.settled, s.from, s.to)
	default:
		l.settled.Add(s.from, s.to)
	}
}

// offsets is from <= o < to.
type offsets struct{ from, to Offset }

// trimEvery is after how many settled records a durable lane is trimmed, while more
// wait: what leaves the log soon never costs a segment file.
const trimEvery = 128

// stageTrims lets the logs go of what all have settled. The set of a durable lane
// shows what is on disk, so a record that was settled last goes with a later trim.
func (c *commit) stageTrims() {
	for i := range c.tx.settles {
		q := c.tx.settles[i].q
		if i > 0 && c.tx.settles[i-1].q == q || q.dead {
			continue
		}
		for _, l := range q.lanes {
			l.markLocked(&c.work.batch)
			l.trim(&c.work.batch)
		}
	}
}

func (l *lane) trim(batch *storage.Batch) {
	floor := min(l.settled.Floor(), l.end)
	if gone := floor - l.trimmed; gone >= trimEvery || gone > 0 && (!l.durable || floor == l.next) {
		batch.Trim(l.log, floor)
		l.trimmed = floor
	}
}

// applyQueues gives back what was requeued, frees credit, and hands out. It returns the confirm
// of the whole.
func (c *commit) applyQueues(confirm Confirm) (all Confirm) {
	all = confirm
	c.news.tell(c.b, confirm.seq)
	for i := range c.tx.settles {
		s := &c.tx.settles[i]
		if s.sub != nil {
			s.sub.releaseCredit()
		}
		if s.q.dead || s.discard {
			continue
		}
		s.q.leased--
		switch l := s.q.laneOf(s.id.Log); {
		case l == nil:
		case s.outcome == Requeue:
			s.q.returnLocked(l, returnedRecord{off: s.id.Offset, deliveries: s.id.Receive}, s.body)
			s.q.lookLocked() // it may be too much, or too old
		default:
			l.letGo(s.id.Offset)
		}
	}
	for i := range c.tx.settles {
		if q := c.tx.settles[i].q; i == 0 || c.tx.settles[i-1].q != q {
			q.dispatchLocked()
		}
	}
	for i := range c.tx.publishes {
		p := &c.tx.publishes[i]
		for _, q := range p.to {
			q.publishedLocked(confirm)
		}
		p.onceAddedLocked(confirm)
		p.hold.applyLocked(confirm)
		if p.result >= 0 {
			r := &c.tx.routed[p.result]
			r.Confirm = r.Confirm.later(confirm)
			all = all.later(r.Confirm)
		}
	}
	return all
}

// publishedLocked hands out what a queue in memory got, and has the deliver loop
// do it for one on disk.
func (q *Queue) publishedLocked(confirm Confirm) {
	if !confirm.Done() {
		q.announceLocked(confirm.seq)
		return
	}
	q.dispatchLocked()
	if q.bounded() {
		q.announceLocked(confirm.seq) // for what is too much
	}
}

func deliveriesValue(n uint32) []byte { return binary.AppendUvarint([]byte{valueVersion}, uint64(n)) }
