package tidings

import (
	"container/heap"
	"context"
	"slices"
	"time"
)

// alarm is what a dispatcher has to do at a time: let go of held items, complete batches, half
// open the breaker. One goroutine waits for the earliest of them. Guarded by the dispatcher's
// mutex.
type alarm struct {
	held    heldItems
	batches []*batch      // being collected: one for a batch route
	armed   time.Time     // when the goroutine looks next; zero never
	wake    chan struct{} // tells it that there is something earlier
}

func (a *alarm) hold(it *item) {
	heap.Push(&a.held, it)
	a.poke(it.due)
}

// release takes an item out before it is due.
func (a *alarm) release(it *item) { heap.Remove(&a.held, it.heap) }

func (a *alarm) collect(b *batch) {
	a.batches = append(a.batches, b)
	a.poke(b.due)
}

func (a *alarm) collected(b *batch) {
	a.batches = slices.DeleteFunc(a.batches, func(o *batch) bool { return o == b })
}

// poke makes sure that the goroutine looks at a time.
func (a *alarm) poke(at time.Time) {
	if a.armed.IsZero() || at.Before(a.armed) {
		a.armed = at
		nudge(a.wake)
	}
}

// ring does what is due and says when there is more.
func (d *dispatcher) ring() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for len(d.alarm.held) > 0 && !d.alarm.held[0].due.After(now) {
		d.enterLocked(heap.Pop(&d.alarm.held).(*item))
	}
	for _, b := range slices.Clone(d.alarm.batches) {
		if !b.due.After(now) {
			d.completeLocked(b)
		}
	}
	d.wakeLocked()
	d.roomLocked()
	d.alarm.armed = d.alarm.next(d.breaker.until, now)
	return d.alarm.armed
}

func (a *alarm) next(breaker, now time.Time) (at time.Time) {
	if breaker.After(now) {
		at = breaker
	}
	if len(a.held) > 0 {
		at = earliest(at, a.held[0].due)
	}
	for _, b := range a.batches {
		at = earliest(at, b.due)
	}
	return at
}

// earliest is the earlier of two times, of which zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// each calls tick when it is due, as it says itself, or when woken, until ctx ends.
func each(ctx context.Context, wake <-chan struct{}, tick func() time.Time) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-timer.C:
		}
		if next := tick(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
}

// nudge wakes who listens to a channel of one place, now or when he comes to listen.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// heldItems is a heap by due time.
type heldItems []*item

func (h heldItems) Len() int           { return len(h) }
func (h heldItems) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h heldItems) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heap, h[j].heap = i, j
}

// Push is heap.Interface's.
func (h *heldItems) Push(x any) {
	it := x.(*item)
	it.heap = len(*h)
	*h = append(*h, it)
}

// Pop is heap.Interface's.
func (h *heldItems) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}
