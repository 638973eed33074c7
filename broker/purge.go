package broker

import (
	"context"
	"math"

	"github.com/tidings-io/tidings/storage"
)

// PurgeAll removes every record that was published before it: what is ready, what Receive
// has leased or is about to, and what is delayed. It is durable on return and says how many
// these were. Only what subscriptions and Get have in their hands stays theirs, as with
// Purge: if that comes back, it is there again. And what was published with Once before it
// is new to the queue again. Kinds: NotFound, Denied, Closed, Storage.
func (q *Queue) PurgeAll(ctx context.Context, owner any) (records int64, err error) {
	const op = "purge"
	if err := q.checkOwner(op, owner); err != nil {
		return 0, err
	}
	records, seq, err := q.purgeAll()
	if err != nil {
		return 0, storeError(op, q.String(), err)
	}
	return records, q.b.settle(ctx, op, q.String(), seq)
}

func (q *Queue) purgeAll() (records int64, seq storage.Seq, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return 0, 0, storage.ErrDropped
	}
	r := removal{store: q.b.store, seq: q.b.store.Durable()}
	if g := q.ledger; g != nil {
		g.mu.Lock() // to the end: what is forgotten is what is taken
		defer g.mu.Unlock()
		g.forgetLocked(&r.batch)
	}
	q.endLeasesLocked(math.MaxInt64) // now it is ready
	records = q.purgeAwayLocked(&r)
	if q.later == nil {
		return q.purgeLocked(&r, records)
	}
	s := &q.later.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	records += s.purgeLocked(&r.batch)
	records, seq, err = q.purgeLocked(&r, records)
	s.lastSeq = max(s.lastSeq, seq)
	s.alarmLocked(q.b.nowMillis()) // to forget them
	return records, seq, err
}

// purgeAwayLocked discards what is on its way to receivers: it does not reach them.
func (q *Queue) purgeAwayLocked(r *removal) (records int64) {
	for _, x := range q.away {
		for i := range x.taken {
			if x.taken[i].lane.discardAwayLocked(&r.batch, x.taken[i].off) {
				records++
			}
			r.submitFull()
		}
	}
	for _, l := range q.lanes {
		l.markLocked(&r.batch)
	}
	return records
}

// discardAwayLocked settles a record that somebody takes at this moment.
func (l *lane) discardAwayLocked(batch *storage.Batch, off Offset) bool {
	r := l.received[off]
	if r == nil {
		r = &receivedRecord{lane: l, off: off, index: notLeased}
		l.remember(r)
	}
	if r.discarded {
		return false
	}
	r.discarded = true
	r.delete(batch)
	l.settleLocked(batch, off)
	return true
}

// purgeLocked settles all that waits in the schedule. What the loop has in its hands, to
// publish it, is found in its Tx.
func (s *schedule) purgeLocked(batch *storage.Batch) (records int64) {
	records, s.waiting = s.waiting, 0
	for _, c := range s.classes {
		if c.trimmed < c.end {
			c.purged = c.end
			c.settling = offsets{c.trimmed, c.end}
			c.markLocked(batch)
		}
	}
	return records
}

// forget takes what was purged until now out of what the loop knows, and lets the logs go
// of it: that it was is on disk.
func (s *schedule) forget() error {
	s.mu.Lock()
	purged := false
	for _, c := range s.classes {
		if c.purged > c.forgotten {
			c.forgotten, purged = c.purged, true
			c.runs.forget(c.purged)
		}
	}
	s.mu.Unlock()
	if !purged {
		return nil
	}
	return s.trim()
}

// forget takes records before an offset out.
func (h *runs) forget(to Offset) {
	h.close()
	all := h.heap
	h.heap = nil
	for _, r := range all {
		r.from = max(r.from, to)
		if r.from < r.to {
			h.push(r)
		}
	}
}

// dropPurged takes what was purged out of a Tx of the schedule loop.
func (c *commit) dropPurged() {
	for i := range c.tx.taken {
		t := &c.tx.taken[i]
		if t.gone = t.off < t.c.purged; t.gone && t.publish >= 0 {
			p := &c.tx.publishes[t.publish]
			p.to, p.purged = nil, true
		}
	}
}
