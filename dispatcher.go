package tidings

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// dispatcher keeps what a group has in hand and decides what is handled next.
//
// Equal keys are one line: its front is ready, running or held, and what is behind the front waits
// until the front is settled. So a line is handled in order, by one worker at a time, and an
// event that is held for its next attempt holds its own line only. Events without a key are
// lines of one; a route may have all of a lane in one line.
//
// The naive way, a channel and a goroutine for each key, costs a goroutine where keys are many
// and finds no end for those of keys that never come again. Here a line is its last item, in a map,
// with links from the front to it; it is gone when its last item is. Workers are started when
// something is ready and none is idle, up to the policy's Concurrency, and stay.
//
// Nothing is called and nothing waits under mu, which is held for the steps of some items.
type dispatcher struct {
	concurrency, window int
	work                func() // of a worker, until next says that it is over

	mu          sync.Mutex
	idle        *sync.Cond    // workers that wait for something ready
	resting     int           // how many of them nobody has woken
	started     int           // workers there are
	over        chan struct{} // closed when the last worker has left a dispatcher that drains
	ready       queue
	lines       map[string]*item // the last item of each key that is in hand
	hand        handList
	running     int
	draining    bool
	breaker     breaker
	alarm       alarm
	leases      leases
	roomWait    bool          // the receive loop waits for room
	room        chan struct{} // wakes it
	uncommitted bool
	settled     chan struct{} // wakes who commits
	counts      Counts
	trouble     trouble
}

// stage is where in its life an item is.
type stage uint8

const (
	waiting    stage = iota // behind another of its key
	collecting              // in a batch that is not complete
	ready                   // for the next worker
	running                 // with a worker
	held                    // until it is due
	gone                    // out of hand
)

// item is a delivery in hand. Its fields are guarded by the dispatcher's mutex, but for those of
// the first block, which do not change, and of the second, which belong to who has it running.
type item struct {
	d     *Delivery
	from  *reading
	route *bound
	key   string
	first int // number of the first attempt
	told  int // Attempt, as the broker counts

	tries   int   // attempts so far
	dead    error // why it goes to the dead letters
	refused int   // how often those could not take it

	lost atomic.Bool // the broker has taken it back; set under the mutex

	stage      stage
	settled    bool // or about to be
	trial      bool // of the breaker
	next       *item
	prev, succ *item  // in the list of what is in hand
	batch      *batch // that it is in
	due        time.Time
	heap       int // index in the alarm while held
	lease      lease
}

func newDispatcher(p Policy) *dispatcher {
	d := &dispatcher{concurrency: p.Concurrency, window: p.Window, lines: map[string]*item{},
		breaker: breaker{limit: p.Breaker}, room: make(chan struct{}, 1), over: make(chan struct{}),
		settled: make(chan struct{}, 1)}
	d.idle = sync.NewCond(&d.mu)
	d.alarm.wake, d.leases.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	return d
}

// offer takes what was received into hand.
func (d *dispatcher) offer(items []item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Received += uint64(len(items))
	now := time.Time{}
	for i := range items {
		it := &items[i]
		d.hand.push(it)
		if !it.lease.deadline.IsZero() {
			if now.IsZero() {
				now = time.Now()
			}
			d.leases.add(it, now)
		}
		d.lineLocked(it)
	}
	d.wakeLocked()
}

// lineLocked puts an item behind those of its key.
func (d *dispatcher) lineLocked(it *item) {
	if it.key == "" {
		d.enterLocked(it)
		return
	}
	last := d.lines[it.key]
	d.lines[it.key] = it
	if last == nil {
		d.enterLocked(it)
		return
	}
	last.next = it
	if last.stage == collecting && last.route == it.route && it.dead == nil {
		d.collectLocked(it)
	}
}

// enterLocked lets the front of a line go on: to a worker, or into a batch, where what is behind
// it may follow.
func (d *dispatcher) enterLocked(it *item) {
	if it.route == nil || it.route.batch == nil || it.lost.Load() || it.dead != nil {
		it.stage = ready
		d.ready.push(it)
		return
	}
	for n := it; n != nil && n.route == it.route && n.dead == nil; n = n.next {
		if d.collectLocked(n); n.stage != collecting {
			return // the batch is complete, and what is behind waits for it
		}
	}
}

// wakeLocked gets as many workers going as there is something ready for.
func (d *dispatcher) wakeLocked() {
	if d.draining {
		return
	}
	for n := d.ready.len(); n > 0; n-- {
		switch {
		case d.resting > 0:
			d.resting--
			d.idle.Signal()
		case d.started < d.concurrency:
			d.started++
			go d.work()
		default:
			return
		}
	}
}

// next is what a worker does next, its stage running; nil when nothing new begins any more.
func (d *dispatcher) next() *item {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.draining {
		if d.ready.len() > 0 && (!d.breaker.opened() || d.breaker.allows(time.Now())) {
			if it := d.beginLocked(d.ready.pop()); it != nil {
				return it
			}
			continue
		}
		d.resting++
		d.idle.Wait()
	}
	return nil
}

// beginLocked gives an item to a worker; nil where it was lost meanwhile, or all of its batch.
func (d *dispatcher) beginLocked(it *item) *item {
	if it.batch != nil {
		if it = d.beginBatchLocked(it.batch); it == nil {
			return nil
		}
	} else if it.lost.Load() {
		d.leaveLocked(it)
		return nil
	}
	it.stage, it.trial = running, d.breaker.begin()
	d.running++
	return it
}

// outcome is how an item's time in hand ended.
type outcome uint8

const (
	succeeded outcome = iota
	failed            // for good, without a dead letter
	skipped
	deadLettered
	aside   // given back to be tried later
	dropped // neither handled nor settled
)

// step is what becomes of an item after a worker had it.
type step struct {
	how   outcome
	stays bool          // to be tried again, not before delay; how has no meaning
	delay time.Duration // 0 at once
}

// finish takes an item back from its worker, and lets the next of its key go on unless it stays.
// It says whether the breaker was closed by that.
func (d *dispatcher) finish(it *item, s step) (closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !s.stays && s.how == succeeded {
		closed = d.succeededLocked()
	}
	d.stopLocked(it)
	d.stepLocked(it, s)
	return closed
}

func (d *dispatcher) stepLocked(it *item, s step) {
	switch {
	case !s.stays:
		d.counts.add(s.how)
		d.leaveLocked(it)
	case it.lost.Load(): // there is nothing to wait for
		d.enterLocked(it)
	case s.delay == 0 && it.route != nil && it.route.handler != nil:
		it.stage = ready
		d.ready.pushFront(it)
	default:
		it.stage, it.due = held, time.Now().Add(s.delay)
		d.alarm.hold(it)
	}
}

func (d *dispatcher) succeededLocked() (closed bool) {
	if !d.breaker.succeeded() {
		return false
	}
	d.wakeLocked()
	d.roomLocked()
	return true
}

// failed counts a failed attempt, against the breaker too unless it is the event's own fault.
func (d *dispatcher) failed(it *item, err error) (opened bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Failed++
	d.trouble.set(err)
	return !IsPermanent(err) && d.failedLocked(it)
}

func (d *dispatcher) failedLocked(it *item) (opened bool) {
	opened = d.breaker.failed(time.Now(), it.trial)
	if opened {
		it.trial = false
		d.alarm.poke(d.breaker.until)
	}
	return opened
}

// stopLocked notes that a worker no longer has an item.
func (d *dispatcher) stopLocked(it *item) {
	d.running--
	d.breaker.gaveUp(it.trial)
	it.trial = false
}

// leaveLocked takes an item out of hand.
func (d *dispatcher) leaveLocked(it *item) {
	d.hand.remove(it)
	d.leftLocked()
	it.stage = gone
	next := it.next
	it.next = nil // so that a long line does not keep what was handled
	switch {
	case it.key == "":
	case next == nil:
		delete(d.lines, it.key)
	case next.stage == waiting:
		d.enterLocked(next)
	}
	if d.ready.len() > 1 { // the one who finished takes the first
		d.wakeLocked()
	}
	d.roomLocked()
}

// awaitRoom waits until something may be received, and says how much.
func (d *dispatcher) awaitRoom(ctx context.Context) (free int, err error) {
	for {
		if free = d.askRoom(); free > 0 {
			return free, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-d.room:
		}
	}
}

func (d *dispatcher) askRoom() (free int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free = d.window - d.hand.len
	d.roomWait = free <= 0 || d.pausedLocked()
	if d.roomWait {
		return 0
	}
	return free
}

// roomLocked wakes the receive loop when there is room for a good part of the window, or nothing
// to do: it shall not receive one by one.
func (d *dispatcher) roomLocked() {
	free := d.window - d.hand.len
	if d.roomWait && free > 0 && !d.pausedLocked() && (free >= d.window/4 || d.ready.len() == 0) {
		d.roomWait = false
		nudge(d.room)
	}
}

// pausedLocked says whether the breaker keeps the receive loop waiting: unless something is needed
// for a trial.
func (d *dispatcher) pausedLocked() bool {
	return d.breaker.opened() && (d.ready.len() > 0 || !d.breaker.allows(time.Now()))
}

// lose drops what was received by a reading that is over.
func (d *dispatcher) lose(r *reading) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for it := d.hand.first; it != nil; it = it.succ {
		if it.from == r {
			d.loseLocked(it)
		}
	}
	d.wakeLocked()
}

// loseLocked drops an item without settling it: at once where it is not in somebody's hands.
func (d *dispatcher) loseLocked(it *item) {
	if it.lost.Load() || it.settled {
		return
	}
	it.lost.Store(true)
	d.counts.Lost++
	if it.lease.cancel != nil {
		it.lease.cancel(ErrLost)
	}
	if it.stage == held {
		d.alarm.release(it)
		d.enterLocked(it)
	}
}

// drain ends the handing out. Workers that wait go; those that handle something finish it. When
// the last has left, over is closed.
func (d *dispatcher) drain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.draining = true
	d.resting = 0
	d.idle.Broadcast()
	d.overLocked()
}

// leave is the end of a worker.
func (d *dispatcher) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.started--
	d.overLocked()
}

func (d *dispatcher) overLocked() {
	if d.draining && d.started == 0 {
		close(d.over)
	}
}
