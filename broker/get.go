package broker

import (
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// Get takes one record without a subscription; ok is false where none is ready on
// disk. It must be settled, with no subscription. Kinds: NotFound, Denied, Corrupt,
// Closed, Storage.
func (q *Queue) Get(owner any) (d Delivery, ok bool, err error) {
	const op = "get"
	if q.b.closed.Load() {
		return d, false, storeError(op, q.String(), storage.ErrClosed)
	}
	if err := q.checkOwner(op, owner); err != nil {
		return d, false, err
	}
	for {
		a, ready, err := q.lease()
		if err != nil || a.lane == nil {
			return d, false, err
		}
		var buf storage.Buffer // its memory is the delivery's: not given back
		got, _, gone, err := q.read(nil, &buf, []assignment{a})
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

// lease takes the next record that is ready; no lane: there is none.
func (q *Queue) lease() (a assignment, ready int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return a, 0, &Error{Kind: NotFound, Op: "get", Name: q.String()}
	}
	q.usedLocked()
	l := q.headLocked()
	if l == nil {
		return a, 0, nil
	}
	r := l.take()
	q.leased++
	q.counts.Delivered++
	return assignment{lane: l, off: r.off, deliveries: r.deliveries, at: q.b.nowMillis()}, q.readyLocked(), nil
}

// Browse reads records that wait in the queue without taking them, from the first
// on that is ready, at most max of them. Kinds: NotFound, Corrupt, Closed, Storage.
func (q *Queue) Browse(max int) ([]Delivery, error) {
	var found []Delivery
	for _, a := range q.waiting(max) {
		var buf storage.Buffer
		var err error
		if found, _, _, err = q.read(found, &buf, []assignment{a}); err != nil {
			return found, err
		}
	}
	return found, nil
}

// waiting lists what is ready, in the order in which it would be handed out.
func (q *Queue) waiting(max int) (as []assignment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.b.nowMillis()
	for _, l := range q.lanes {
		back := slices.Clone(l.back)
		for len(as) < max && len(back) > 0 {
			r := back.pop()
			as = append(as, assignment{lane: l, off: r.off, deliveries: r.deliveries, at: now})
		}
		_, durable, _ := l.log.Bounds()
		for o := l.next; o < durable && len(as) < max; o++ {
			as = append(as, assignment{lane: l, off: o, at: now})
		}
	}
	return as
}
