package tidings

import (
	"context"
	"errors"
	"sync"
	"time"
)

// extensions is how many Extends of a group run at once.
const extensions = 16

// minRenew is the shortest pause before an Extend that failed is tried again.
const minRenew = 50 * time.Millisecond

// lease is the time for which a delivery is ours, where the broker bounds it.
type lease struct {
	length   time.Duration // as it was given
	deadline time.Time     // zero for no bound
	renew    time.Time     // when it is to be extended: at half of its length
	cancel   context.CancelCauseFunc
}

// leases is when to extend next; the goroutine that does is the subscription's. Guarded by the
// dispatcher's mutex.
type leases struct {
	armed time.Time
	wake  chan struct{}
}

// add begins to look after an item that has come with a deadline.
func (l *leases) add(it *item, now time.Time) {
	it.lease.length = it.lease.deadline.Sub(now)
	it.lease.renew = now.Add(it.lease.length / 2)
	l.poke(it.lease.renew)
}

// poke makes sure that the goroutine looks at a time.
func (l *leases) poke(at time.Time) {
	if l.armed.IsZero() || at.Before(l.armed) {
		l.armed = at
		nudge(l.wake)
	}
}

// guard remembers how to cancel the attempt of an item that has a lease.
func (d *dispatcher) guard(it *item, cancel context.CancelCauseFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	it.lease.cancel = cancel
	if it.lost.Load() {
		cancel(ErrLost)
	}
}

// settling notes that an item is about to be settled: from now on it is not extended, and cannot
// be lost.
func (d *dispatcher) settling(it *item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	it.settled = true
}

// ours takes settling back, where the broker did not take the settlement.
func (d *dispatcher) ours(it *item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	it.settled = false
	if it.leased() {
		d.leases.poke(it.lease.renew)
	}
}

// extend extends what is half over, also what waits behind a held key, and says when more is to
// be done.
func (d *dispatcher) extend(ctx context.Context) time.Time {
	var all sync.WaitGroup
	turn := make(chan struct{}, extensions)
	for _, it := range d.overdue() {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			d.extendOne(ctx, it)
		})
	}
	all.Wait()
	return d.nextLease()
}

// overdue are the items to extend now. While draining, only those that are being handled are.
func (d *dispatcher) overdue() (items []*item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for it := d.hand.first; it != nil; it = it.succ {
		if it.leased() && !it.lease.renew.After(now) && (!d.draining || it.stage == running) {
			items = append(items, it)
		}
	}
	return items
}

func (it *item) leased() bool {
	return !it.lease.deadline.IsZero() && !it.settled && !it.lost.Load()
}

// extendOne extends one lease. Where that fails it is tried again in what is left of it, and when
// nothing is left the delivery is lost, with those of its key behind it: they come again after it.
func (d *dispatcher) extendOne(ctx context.Context, it *item) {
	ctx, cancel := context.WithDeadline(ctx, it.lease.deadline)
	defer cancel()
	begun := time.Now()
	err := it.d.Extend(ctx, it.lease.length)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	switch {
	case it.stage == gone || it.settled:
	case err == nil:
		it.lease.deadline = begun.Add(it.lease.length)
		it.lease.renew = begun.Add(it.lease.length / 2)
	case errors.Is(err, ErrLost), !now.Before(it.lease.deadline):
		d.trouble.set(err)
		for ; it != nil; it = it.next { // what is behind it of its key must not pass it
			d.loseLocked(it)
		}
		d.wakeLocked()
	default:
		d.trouble.set(err)
		it.lease.renew = now.Add(max(it.lease.deadline.Sub(now)/2, minRenew))
	}
}

func (d *dispatcher) nextLease() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leases.armed = time.Time{}
	for it := d.hand.first; it != nil; it = it.succ {
		if it.leased() && (!d.draining || it.stage == running) {
			d.leases.armed = earliest(d.leases.armed, it.lease.renew)
		}
	}
	return d.leases.armed
}

// taken says whether a delivery without a deadline went to another consumer with its lane, which
// nothing else tells before it is settled. Begun now, it would come after what the other has handled.
func (s *subscription) taken(it *item) bool {
	if s.service.capabilities.Order != OrderLane || !it.d.Deadline.IsZero() {
		return false
	}
	if err := it.d.Extend(s.base, max(0, s.policy.Timeout)); !errors.Is(err, ErrLost) {
		return false
	}
	s.disp.mu.Lock()
	defer s.disp.mu.Unlock()
	s.disp.loseLocked(it)
	return true
}

// keeps takes what was taken out of a batch, and says whether anything is left.
func (s *subscription) keeps(b *batch) bool {
	some := false
	for _, it := range b.items {
		some = s.taken(it) || some
	}
	return !some || s.disp.resume(b)
}

// resume begins a batch again without what was lost of it.
func (d *dispatcher) resume(b *batch) (some bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	trial := b.items[0].trial
	d.stopLocked(b.items[0])
	first := d.beginBatchLocked(b)
	if first == nil {
		return false
	}
	first.trial = trial && d.breaker.begin()
	d.running++
	return true
}
