package broker

import (
	"context"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// Get takes one record without a subscription; ok is false where the queue is empty.
// It waits for records that were published before and are not on disk yet. What it
// takes must be settled, with no subscription. Kinds: NotFound, Denied, Corrupt,
// Closed, Storage.
func (q *Queue) Get(ctx context.Context, owner any) (d Delivery, ok bool, err error) {
	const op = "get"
	if err := q.checkOwner(op, owner); err != nil {
		return d, false, err
	}
	q.shorten() // a queue that is too long loses its oldest before anyone gets them
	for awaited := false; ; {
		if q.b.closed.Load() {
			return d, false, storeError(op, q.String(), storage.ErrClosed)
		}
		a, ready, turn, err := q.lease()
		if err == nil && a.lane == nil {
			if again, err := q.gather(ctx); err != nil {
				return d, false, q.opError(op, err)
			} else if again {
				continue
			}
			if seq, coming := q.coming(awaited); coming {
				awaited = true
				err := q.b.usable() // else nothing comes any more
				if err == nil {
					err = q.b.store.Await(ctx, seq)
				}
				if err != nil {
					return d, false, storeError(op, q.String(), err)
				}
				continue
			}
		}
		if err != nil || a.lane == nil {
			return d, false, err
		}
		var buf storage.Buffer // its memory is the delivery's: not given back
		as := []assignment{a}
		got, _, gone, err := q.read(nil, &buf, as)
		q.gotten(as, turn, got)
		if err == nil && len(gone) > 0 {
			err = q.bury(gone)
		}
		if err != nil {
			return d, false, err
		}
		if len(got) > 0 {
			got[0].Ready = ready
			return got[0], true, nil
		}
	}
}

// PutBack gives back what Get took, as if it had not been taken: unlike with Requeue no
// delivery is counted. For who only looked what it was.
func (q *Queue) PutBack(ids ...DeliveryID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return
	}
	for _, id := range ids {
		q.ungetLocked(id)
	}
	q.tellPutBack(len(ids))
	q.dispatchLocked()
	q.lookLocked()
}

func (q *Queue) ungetLocked(id DeliveryID) {
	if l := q.laneOf(id.Log); l != nil {
		q.leased--
		q.returnLocked(l, returnedRecord{off: id.Offset, deliveries: id.Receive - 1}, -1)
	}
}

func (q *Queue) gotten(as []assignment, turn uint64, got []Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.handedLocked(as, turn)
	q.deliveredLocked(nil, got)
}

// coming says that records are on their way to the disk, or the mark is that lets
// them be handed out, and with which frame.
func (q *Queue) coming(awaited bool) (seq storage.Seq, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lastSeq, q.comingLocked(awaited)
}

// comingLocked: where groups are, what comes may be of one that has to wait, so it is only
// awaited once.
func (q *Queue) comingLocked(awaited bool) (ok bool) {
	for _, l := range q.lanes {
		if l.groups != nil {
			ok = ok || l.markComesLocked() || !awaited && l.durableEnd() < l.end
		} else {
			ok = ok || l.next < l.end
		}
	}
	return ok && !q.dead
}

// lease takes the next record that is ready; no lane: there is none.
func (q *Queue) lease() (a assignment, ready int64, turn uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return a, 0, 0, &Error{Kind: NotFound, Op: "get", Name: q.String()}
	}
	q.usedLocked()
	l := q.headLocked()
	if l == nil {
		return a, 0, 0, nil
	}
	r := l.take()
	q.leased++
	q.headMovedLocked()
	a = assignment{lane: l, off: r.off, deliveries: r.deliveries, at: q.b.nowMillis(), size: r.size}
	return a, q.readyLocked() - q.delayedLocked(), q.sizes.turn, nil
}

// Browse reads records that wait in the queue without taking them, from the first
// on that is ready, at most max of them. Kinds: NotFound, Corrupt, Closed, Storage.
func (q *Queue) Browse(max int) (found []Delivery, err error) {
	err = q.Look(max, func(d *Delivery) bool {
		d.Record.Props, d.Record.Body = slices.Clone(d.Record.Props), slices.Clone(d.Record.Body)
		found = append(found, *d)
		return true
	})
	return found, err
}

// Look is Browse for one record after another, until each answers false: it holds no
// more than one in memory. Its properties and body are valid during the call.
func (q *Queue) Look(max int, each func(*Delivery) bool) error {
	var buf storage.Buffer
	defer buf.Release()
	var got []Delivery
	for _, a := range q.waiting(max) {
		var err error
		got, _, _, err = q.read(got[:0], &buf, []assignment{a})
		if KindOf(err) == OutOfRange {
			continue // someone took it meanwhile, and it is gone
		}
		if err != nil {
			return err
		}
		if len(got) > 0 && !each(&got[0]) {
			return nil
		}
	}
	return nil
}

// waiting lists what is ready, in the order in which it would be handed out.
func (q *Queue) waiting(max int) (as []assignment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.b.nowMillis()
	for _, l := range q.lanes {
		if l.groups != nil {
			return l.groupedWaitingLocked(max, now)
		}
		back := slices.Clone(l.back)
		for len(as) < max && len(back) > 0 {
			r := back.pop()
			as = append(as, assignment{lane: l, off: r.off, deliveries: r.deliveries, at: now})
		}
		_, durable, _ := l.log.Bounds()
		for o := l.next; o < durable && len(as) < max; o = l.settled.Next(o + 1) {
			as = append(as, assignment{lane: l, off: o, at: now})
		}
	}
	return as
}
