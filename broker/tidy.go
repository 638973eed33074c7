package broker

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// tidyBatch is how many records are buried in one commit.
const tidyBatch = 256

// bounded says whether records may leave the queue by themselves.
func (q *Queue) bounded() bool {
	s := q.settings.Load()
	return s.Overflow == DropHead && (s.MaxLength != nil || s.MaxLengthBytes != nil) ||
		s.ages() || q.expiring
}

// ages says whether all records have an end.
func (s *QueueSettings) ages() bool { return s.TTL != nil || s.Retention > 0 }

// tidy lets go of what is too much, or too old and at the head of the queue.
// Subscriptions come first: it is called after records were handed out.
func (q *Queue) tidy() {
	if !q.shorten() {
		return
	}
	for q.buryExpired() {
	}
}

// shorten lets go of what is beyond the queue's length. It is false where that cannot be
// now.
func (q *Queue) shorten() bool {
	for {
		gone := q.tooMany()
		if len(gone) == 0 {
			return true
		}
		if err := q.bury(gone); err != nil && KindOf(err) != Corrupt {
			q.retryTidy() // no room, or the end: everyone hears of that from the store
			return false
		}
	}
}

// tooMany takes what is beyond the queue's length, from its head.
func (q *Queue) tooMany() []lost {
	if q.settings.Load().MaxLengthBytes != nil {
		return q.tooLarge()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tooManyLocked()
}

func (q *Queue) tooManyLocked() (gone []lost) {
	s := q.settings.Load()
	if q.dead || q.sizes.on || s.MaxLength == nil || s.Overflow != DropHead {
		return nil
	}
	for n := q.waitingLocked() - *s.MaxLength; n > 0 && len(gone) < tidyBatch; n-- {
		l := q.frontLocked()
		if l == nil {
			break
		}
		gone = append(gone, q.loseLocked(l, MaxLength, 0))
	}
	return gone
}

// frontLocked is the lane of the next record to drop: with groups that is the oldest,
// whether it may be handed out or not.
func (q *Queue) frontLocked() *lane {
	if !q.groupedLocked() {
		return q.headLocked()
	}
	if _, ok := q.peekLocked(q.lanes[0]); ok {
		return q.lanes[0]
	}
	return nil
}

// waitingLocked is how many records are on disk and nobody's.
func (q *Queue) waitingLocked() (n int64) {
	for _, l := range q.lanes {
		_, durable, _ := l.log.Bounds()
		n += int64(max(durable-l.next, 0)) - l.skipped() + l.sortedLocked()
	}
	return n
}

// loseLocked takes the next record of a lane in order to bury it. body is the length of
// its body, where the queue counts them.
func (q *Queue) loseLocked(l *lane, why DeathReason, body int64) lost {
	r := l.takeOldest()
	q.leased++
	if q.sizes.on && r.size != uncounted {
		q.sizes.ready -= body
	}
	return lost{id: DeliveryID{l.log.ID(), r.off, r.deliveries + 1}, reason: why, body: body}
}

// buryExpired takes expired records from the head of each lane, and sets the timer
// for the next; more says that there may be further ones.
func (q *Queue) buryExpired() (more bool) {
	q.mu.Lock()
	dead, bounded := q.dead, q.settings.Load().ages() || q.expiring
	lanes := q.lanes
	q.looks++
	look := q.looks
	q.mu.Unlock()
	if dead || !bounded {
		return false
	}
	var buf storage.Buffer
	defer buf.Release()
	next := time.Time{}
	for _, l := range lanes {
		at, gone := q.expiredIn(l, &buf)
		if err := q.bury(gone); err != nil && KindOf(err) != Corrupt {
			q.retryTidy()
			return false
		}
		more = more || len(gone) == tidyBatch
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if look == q.looks { // else a record may have come that this look has not seen
		q.nextExpiry = next
		q.expiring = q.expiring && (q.leased > 0 || q.readyLocked() > 0)
		q.setTimerLocked()
	}
	return more
}

// retryAfter is when to try again what a full disk did not allow.
const retryAfter = time.Second

func (q *Queue) retryTidy() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.nextExpiry = q.b.config.Now().Add(retryAfter)
	q.setTimerLocked()
}

// setTimerLocked asks for a look when the first record expires, or the queue does, or a
// lease or wait ends.
func (q *Queue) setTimerLocked() {
	at := time.Time{}
	for _, t := range []time.Time{q.nextExpiry, q.unusedUntil, q.wantedLocked(), q.dueLocked()} {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if q.dead {
		at = time.Time{}
	}
	if q.timer = never; !at.IsZero() {
		q.timer = at.UnixMilli()
	}
	q.b.timers.set(q, at)
}

// alarmLocked has the timer loop come by a time. It may come before: then it asks anew.
func (q *Queue) alarmLocked(at time.Time) {
	if ms := at.UnixMilli(); ms < q.timer {
		q.timer = ms
		q.b.timers.set(q, at)
	}
}

// usedLocked notes that somebody uses the queue now. One that expires begins to do
// so again unless it has subscriptions.
func (q *Queue) usedLocked() {
	expires := q.settings.Load().Expires
	if expires == 0 && q.unusedUntil.IsZero() {
		return
	}
	q.unusedUntil = time.Time{}
	if expires > 0 && len(q.subs) == 0 {
		q.unusedUntil = q.b.config.Now().Add(expires)
	}
	q.setTimerLocked()
}

// timeout is the queue's turn when a timer has come.
func (q *Queue) timeout(ctx context.Context) {
	if !q.passTime() {
		return
	}
	if _, err := q.b.DeleteQueue(ctx, q, DeleteOptions{IfUnused: true}); err != nil {
		q.mu.Lock()
		q.usedLocked() // someone came meanwhile; or the store is closing, and hears of it
		q.mu.Unlock()
	}
}

// passTime does what a time has come for. It is false where the queue itself goes on.
func (q *Queue) passTime() (unused bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.b.config.Now()
	q.passTimeLocked(now)
	q.passDelaysLocked(now.UnixMilli())
	if at := q.nextExpiry; !at.IsZero() && !at.After(now) {
		q.nextExpiry = time.Time{} // the look finds the next
		q.announceLocked(0)        // one goroutine tidies: two would overwrite each other's timer
	}
	unused = !q.unusedUntil.IsZero() && !now.Before(q.unusedUntil)
	if !unused {
		q.setTimerLocked()
	}
	return unused
}

// expiredIn takes the expired records at the head of a lane; next is when the one
// behind them expires. A damaged one ends the look: whoever takes it is told.
func (q *Queue) expiredIn(l *lane, buf *storage.Buffer) (next time.Time, gone []lost) {
	for len(gone) < tidyBatch {
		q.mu.Lock()
		off, ok := q.peekLocked(l)
		q.mu.Unlock()
		if !ok {
			return next, gone
		}
		f := q.fate(l, off, buf)
		q.mu.Lock()
		again, ok := q.peekLocked(l)
		same := ok && again == off // else somebody took it meanwhile
		if same && f.leaves {
			x := q.loseLocked(l, f.why, f.body)
			x.hole = f.hole
			gone = append(gone, x)
		}
		q.mu.Unlock()
		if same && !f.leaves {
			return f.at, gone
		}
	}
	return next, gone
}

// fate is what time does to a record: it leaves now, or at a time, zero for never.
type fate struct {
	leaves bool
	why    DeathReason
	at     time.Time
	body   int64 // length of its body
	hole   bool  // a repair gave it up
}

func (q *Queue) fate(l *lane, off Offset, buf *storage.Buffer) (f fate) {
	if err := l.log.Read(buf, off, 1); err != nil {
		return f
	}
	if holeEnd(buf.Entries, 0) != off {
		return fate{leaves: true, hole: true}
	}
	rec, old, err := decodeQueueRecord(buf.Entries[0].Bytes, q.b.start)
	if err != nil {
		return f
	}
	ms, expires := q.expiry(&rec)
	if !old {
		f.body = int64(len(rec.Body))
	}
	switch {
	case old:
		f.leaves = true
	case expires && ms <= q.b.nowMillis():
		f.leaves, f.why = true, Expired
	case expires:
		f.at = timeOf(ms)
	}
	return f
}

// peekLocked is the next record of a lane, if it is on disk.
func (q *Queue) peekLocked(l *lane) (off Offset, ok bool) {
	if q.dead {
		return 0, false
	}
	if l.groups != nil {
		off, ok = l.oldestLocked()
		return off, ok && q.mayHandLocked(l, off)
	}
	if len(l.back) > 0 && l.back.top().off < l.next {
		return l.back.top().off, true
	}
	return l.next, l.next < q.readable(l)
}

// trimQueues lets go of what the last settles left in the logs: a settle trims only
// what was settled on disk before it.
func (b *Broker) trimQueues() error {
	b.cat.mu.RLock()
	queues := slices.Collect(maps.Values(b.cat.queues))
	b.cat.mu.RUnlock()
	for _, q := range queues {
		if err := q.trim(); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) trim() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return nil
	}
	if q.ledger != nil {
		if err := q.ledger.tidy(q.b.store, q.b.nowMillis()); err != nil {
			return err
		}
	}
	var batch storage.Batch
	for _, l := range q.lanes {
		l.trim(&batch)
	}
	if batch.Empty() {
		return nil
	}
	_, err := q.b.store.Submit(&batch)
	return err
}

// timers wakes queues at a time: when their first record expires, or they do; or
// schedules, when a record may be due. One goroutine for all of a kind.
type timers[Q comparable] struct {
	mu   sync.Mutex
	heap timerHeap[Q]
	byQ  map[Q]*timer[Q]
	wake chan struct{} // capacity 1: the first timer has changed
}

type timer[Q comparable] struct {
	q     Q
	at    time.Time
	index int
}

func newTimers[Q comparable]() *timers[Q] {
	return &timers[Q]{byQ: map[Q]*timer[Q]{}, wake: make(chan struct{}, 1)}
}

// set makes the queue be looked at then; the zero time: not at all.
func (t *timers[Q]) set(q Q, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.byQ[q]
	switch {
	case x == nil && at.IsZero():
		return
	case x == nil:
		x = &timer[Q]{q: q, at: at}
		t.byQ[q] = x
		heap.Push(&t.heap, x)
	case at.IsZero():
		heap.Remove(&t.heap, x.index)
		delete(t.byQ, q)
	default:
		x.at = at
		heap.Fix(&t.heap, x.index)
	}
	ring(t.wake)
}

// due takes the queues whose time has come; next is the first of the others.
func (t *timers[Q]) due(now time.Time) (qs []Q, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.heap) > 0 && !t.heap[0].at.After(now) {
		x := heap.Pop(&t.heap).(*timer[Q])
		delete(t.byQ, x.q)
		qs = append(qs, x.q)
	}
	if len(t.heap) > 0 {
		next = t.heap[0].at
	}
	return qs, next
}

// longestWait bounds a wait for a time: the wall clock may be set, or stand while the
// machine sleeps.
const longestWait = time.Minute

// runTimers gives each its turn when its time has come.
func runTimers[Q comparable](b *Broker, t *timers[Q], turn func(Q, context.Context)) {
	ctx := b.life
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		now := b.config.Now()
		qs, next := t.due(now)
		for _, q := range qs {
			turn(q, ctx)
		}
		if len(qs) > 0 {
			continue
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = min(next.Sub(now), longestWait)
		}
		alarm.Reset(wait)
		select {
		case <-alarm.C:
		case <-t.wake:
		case <-ctx.Done():
			return
		case <-b.store.Failed():
			return
		}
	}
}

type timerHeap[Q comparable] []*timer[Q]

func (h timerHeap[Q]) Len() int           { return len(h) }
func (h timerHeap[Q]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap[Q]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap[Q]) Push(x any) {
	t := x.(*timer[Q])
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap[Q]) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
