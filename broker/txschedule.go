package broker

import (
	"math"
	"time"
)

// txHold is what is to be published later of a record.
type txHold struct {
	at    int64 // ms
	now   int64 // when it came, ms
	props []byte
	by    []txHeld
}

// txHeld is an exchange whose schedule takes the record.
type txHeld struct {
	x     *Exchange
	at    int64  // ms; 0: as the hold says
	props []byte // where at is not 0
	taken bool
	opens int64 // when it could be due
}

// txTaken is a record that leaves a schedule because its time has come.
type txTaken struct {
	s   *schedule
	c   *class
	off Offset
	// publish is which of the Tx's it becomes; -1: none, it is lost. Only for the schedule of a
	// queue, where no relay makes more of them.
	publish int
	gone    bool // it was purged meanwhile
}

// PublishAt is Publish at a later time: the record waits, and goes into the queues that
// x leads to at that moment. Its Confirm says that it is on disk as it waits, if x is
// durable; then it is published exactly once, also over restarts, and a while later
// where the broker does not run at its time. With a time that is not in the future it is
// Publish, but for an exchange that would hold it back: that does not.
//
// Records of an exchange that are due at the same millisecond are published in the order
// of their PublishAt. One that has a time to live begins it when it is published.
func (t *Tx) PublishAt(x *Exchange, rec QueueRecord, at time.Time) int {
	rec.Once = nil
	i := t.Publish(x, rec)
	p := &t.publishes[len(t.publishes)-1]
	p.at = max(millisOf(at), 1)
	p.hold = &txHold{at: p.at, props: rec.Props, by: []txHeld{{x: x}}}
	return i
}

// millisOf is a time in ms, not before it, and as far as that goes.
func millisOf(at time.Time) int64 {
	if at.Year() > 9999 {
		return math.MaxInt64 >> 1
	}
	return at.Add(time.Millisecond - 1).UnixMilli()
}

// hold is what becomes of the record that was routed last and that exchanges hold back.
func (r *routing) hold(now int64) *txHold {
	if len(r.held) == 0 {
		return nil
	}
	h := &txHold{at: now + r.reader.Delay(r.rec.Props).Milliseconds(), now: now,
		props: r.reader.Delayed(r.rec.Props)}
	for _, x := range r.held {
		h.by = append(h.by, txHeld{x: x})
	}
	return h
}

// publishDue publishes a record whose time has come, and takes it out of its schedule.
func (t *Tx) publishDue(s *schedule, d *dueRecord) {
	t.taken = append(t.taken, txTaken{s: s, c: d.c, off: d.off, publish: len(t.publishes)})
	switch {
	case d.lost:
		t.taken[len(t.taken)-1].publish = -1
	case s.x.only != nil:
		t.publishes = append(t.publishes,
			txPublish{rec: d.rec, to: []*Queue{s.x.only}, result: -1, due: true})
	default:
		t.publishes = append(t.publishes, txPublish{x: s.x, rec: d.rec, result: -1, due: true})
	}
}

// heldSize is at most what schedules take of the record.
func (p *txPublish) heldSize() int {
	if p.hold == nil {
		return 0
	}
	size := p.rec.scheduledBound() + len(p.hold.props) + appendOverhead
	return len(p.hold.by) * (size + newClassBytes)
}

// newClassBytes is at most what a class takes that is made for the record.
const newClassBytes = 2 << 10

// scheduleLocks adds the locks of all schedules that the Tx touches.
func (c *commit) scheduleLocks() {
	add := func(s *schedule) {
		if n := len(c.logs); n == 0 || c.logs[n-1].mu != &s.mu {
			c.logs = append(c.logs, logLock{s.order, &s.mu})
		}
	}
	for i := range c.tx.taken {
		add(c.tx.taken[i].s)
	}
	for i := range c.tx.publishes {
		if h := c.tx.publishes[i].hold; h != nil {
			for k := range h.by {
				add(&h.by[k].x.schedule)
			}
		}
	}
}

// stageHold puts a record into schedules, and reports whether one took it.
func (c *commit) stageHold(p *txPublish, r *Routed) (taken bool) {
	if p.hold == nil {
		return false
	}
	rec := p.rec
	for i := range p.hold.by {
		h := &p.hold.by[i]
		s := &h.x.schedule
		due := h.at
		if rec.Props = h.props; due == 0 {
			due, rec.Props = p.hold.at, p.hold.props
		}
		if s.dead {
			continue
		}
		taken = true
		if c.stagedBefore(p, h.ledger(), r) {
			continue
		}
		h.taken = true
		h.opens = s.appendLocked(c.work, &rec, p.hold.now, due)
		c.stageOnce(p, h.ledger(), noOffset)
	}
	return taken
}

// applyLocked has the schedules come when the record could be due.
func (h *txHold) applyLocked(confirm Confirm) {
	if h == nil {
		return
	}
	for i := range h.by {
		if s := &h.by[i].x.schedule; h.by[i].taken {
			s.lastSeq = max(s.lastSeq, confirm.seq)
			s.alarmLocked(h.by[i].opens)
		}
	}
}

// stageTaken settles what is published now, and lets the logs go of what all have.
func (c *commit) stageTaken() {
	for i := range c.tx.taken {
		if t := &c.tx.taken[i]; !t.s.dead && !t.gone {
			t.c.settleLocked(&c.work.batch, t.off)
			t.s.waiting--
		}
	}
	for i := range c.tx.taken {
		t := &c.tx.taken[i]
		if i > 0 && c.tx.taken[i-1].c == t.c || t.s.dead {
			continue
		}
		t.c.markLocked(&c.work.batch)
		t.c.trim(&c.work.batch)
	}
}
