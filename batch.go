package tidings

import (
	"context"
	"slices"
	"time"
)

const (
	defaultBatchMax  = 100
	defaultBatchWait = 10 * time.Millisecond
)

type batchLimit struct {
	max  int
	wait time.Duration
}

func limitOf(r Route) batchLimit {
	return batchLimit{orDefault(r.BatchMax, defaultBatchMax), orDefault(r.BatchWait, defaultBatchWait)}
}

// batch is what a batch handler gets at once. Events of one key may be in it one behind the other;
// where one of them fails and is tried again, so are those behind it, so that the last time each
// was handled is in order.
type batch struct {
	route *bound
	items []*item
	due   time.Time // complete or not
}

// collectLocked puts an item into the batch that its route collects.
func (d *dispatcher) collectLocked(it *item) {
	r := it.route
	if r.open == nil {
		r.open = &batch{route: r, due: time.Now().Add(r.limit.wait)}
		d.alarm.collect(r.open)
	}
	b := r.open
	it.stage, it.batch = collecting, b
	b.items = append(b.items, it)
	if len(b.items) >= r.limit.max {
		d.completeLocked(b)
	}
}

// completeLocked lets a batch be handled as it is. Its first item stands for it in the queue.
func (d *dispatcher) completeLocked(b *batch) {
	b.route.open = nil
	d.alarm.collected(b)
	for _, it := range b.items {
		it.stage = ready
	}
	d.ready.push(b.items[0])
}

// beginBatchLocked gives a batch to a worker, without what was lost; nil where that is all of it.
func (d *dispatcher) beginBatchLocked(b *batch) *item {
	kept := b.items[:0]
	for _, it := range b.items {
		if it.lost.Load() {
			it.batch = nil
			d.leaveLocked(it)
			continue
		}
		it.stage = running
		kept = append(kept, it)
	}
	clear(b.items[len(kept):])
	b.items = kept
	if len(kept) == 0 {
		return nil
	}
	return kept[0]
}

// handleBatch makes one attempt for all of a batch.
func (s *subscription) handleBatch(b *batch) {
	if !s.keeps(b) {
		return
	}
	if s.policy.Ack == BeforeHandle && !s.allAcknowledged(b) {
		s.disp.finishBatch(b, drops(len(b.items)))
		return
	}
	begun := s.service.observer.begin()
	errs := s.attemptBatch(b)
	for i, it := range b.items {
		s.service.observer.handled(s.name, it.d, begun, errs[i])
	}
	if !s.cutOff(b.items[0]) {
		if err := s.disp.failedBatch(b, errs); err != nil {
			s.breakerOpened(err)
		}
	}
	if s.disp.finishBatch(b, s.settleBatch(b, errs)) {
		s.breakerClosed()
	}
}

// allAcknowledged tells the broker that all of a batch is done, and waits until it knows.
func (s *subscription) allAcknowledged(b *batch) bool {
	for _, it := range b.items[1:] {
		s.disp.settling(it)
		if err := it.d.Ack(s.root); err != nil {
			s.troubled("acknowledge before handling", it.d, err)
			return false
		}
	}
	return s.acknowledged(b.items[0])
}

func drops(n int) []step {
	steps := make([]step, n)
	for i := range steps {
		steps[i].how = dropped
	}
	return steps
}

// attemptBatch calls the handler once, and says what it made of each item.
func (s *subscription) attemptBatch(b *batch) []error {
	ds, came := make([]*Delivery, len(b.items)), make([]Event, len(b.items))
	for i, it := range b.items {
		it.d.Attempt = it.first + it.tries
		it.tries++
		ds[i], came[i] = it.d, it.d.Event
	}
	err := s.bounded(s.handling(s.lifeOf(b.items[0]), nil), func(ctx context.Context) error {
		return b.route.batch.HandleBatch(ctx, ds)
	})
	errs := make([]error, len(ds))
	part, some := ofBatch(err)
	for i, it := range b.items {
		it.d.Event = came[i]
		if errs[i] = err; some {
			errs[i] = readable(part.Failed[i])
		}
	}
	return errs
}

// failedBatch counts the failures; for the breaker a batch is one attempt, and failed where
// nothing of it succeeded. It returns what opened it.
func (d *dispatcher) failedBatch(b *batch, errs []error) error {
	var last error
	some := false
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, err := range errs {
		switch {
		case err == nil:
			some = true
		default:
			d.counts.Failed++
			d.trouble.set(err)
			if !IsPermanent(err) {
				last = err
			}
		}
	}
	if some || last == nil || !d.failedLocked(b.items[0]) {
		return nil
	}
	return last
}

// settleBatch is settle for each item. What is behind an event of its key that stays, stays too.
func (s *subscription) settleBatch(b *batch, errs []error) []step {
	steps := make([]step, len(errs))
	blocked := map[string]bool{}
	for i, it := range b.items {
		if it.key != "" && blocked[it.key] {
			steps[i] = step{stays: true}
			continue
		}
		steps[i] = s.settle(it, errs[i])
		blocked[it.key] = steps[i].stays
	}
	return steps
}

// finishBatch takes a batch back from its worker. What is behind an item of its key that stays
// waits for it.
func (d *dispatcher) finishBatch(b *batch, steps []step) (closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(steps, step{how: succeeded}) {
		closed = d.succeededLocked()
	}
	d.stopLocked(b.items[0])
	blocked := map[string]bool{}
	for i, it := range b.items {
		it.batch = nil
		if it.key != "" && blocked[it.key] {
			it.stage = waiting
			continue
		}
		d.stepLocked(it, steps[i])
		blocked[it.key] = steps[i].stays
	}
	d.wakeLocked()
	return closed
}
