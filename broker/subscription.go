package broker

import (
	"slices"
	"sync/atomic"

	"github.com/tidings-io/tidings/storage"
)

// SubscribeOptions are settled when a subscription begins.
type SubscribeOptions struct {
	// Wake receives when there is something to Take, or the subscription has ended.
	// Many may share one. Give it a capacity of 1.
	Wake chan<- struct{}
	// Owner must be the queue's, where that has one.
	Owner any
	// Exclusive allows no other subscription beside this one.
	Exclusive bool
	// AutoAccept settles records as they are taken: at most once.
	AutoAccept bool
	// Priority: while a subscription of a higher one has credit it gets everything.
	Priority int
	// Credits bound what is taken and not settled; records are handed out only while
	// each of them has room. They may be shared. Ignored with AutoAccept.
	Credits []*Credit
}

// Credit bounds deliveries that are not settled yet, for one subscription or for
// several together. The zero value is without bound.
type Credit struct {
	limit, used atomic.Int64
}

// SetLimit sets the bound; 0: none. It takes nothing back.
func (c *Credit) SetLimit(n int) { c.limit.Store(int64(n)) }

func (c *Credit) acquire() bool {
	for {
		used, limit := c.used.Load(), c.limit.Load()
		if limit > 0 && used >= limit {
			return false
		}
		if c.used.CompareAndSwap(used, used+1) {
			return true
		}
	}
}

func (c *Credit) release() { c.used.Add(-1) }

// Subscription is one consumer of a queue. Records are assigned to subscriptions
// in turn, and wait in the subscription until its owner takes them: an owner that
// does not take keeps at most assignWindow of them from others.
type Subscription struct {
	q    *Queue
	opts SubscribeOptions

	// Guarded by Queue.mu.
	assigned assignments
	stopped  bool // gets nothing more
	ended    bool

	// buf belongs to the one goroutine that takes, and so does buried: some of what it
	// was to take had expired.
	buf    storage.Buffer
	buried bool
	turn   uint64 // of the queue's count of bytes, when the last run was taken
}

// assignWindow bounds what is assigned to a subscription and not taken.
const assignWindow = 256

// assignment is a record that was given to a subscription and not yet read.
type assignment struct {
	lane       *lane
	off        Offset
	deliveries uint32 // before this one
	size       bodySize
	// at is when, in ms: a record that expires later, while it waits to be taken, is
	// delivered all the same, since it was a consumer's turn.
	at int64
}

// assignments is a queue that grows with its use.
type assignments struct {
	items []assignment
	first int
}

func (a *assignments) len() int { return len(a.items) - a.first }

func (a *assignments) push(x assignment) {
	if a.first >= assignWindow {
		a.items = append(a.items[:0], a.items[a.first:]...)
		a.first = 0
	}
	a.items = append(a.items, x)
}

// takeRun moves the first of them, and those that lie behind it in its lane, to
// dst as far as they fit.
func (a *assignments) takeRun(dst []assignment) (n int) {
	rest := a.items[a.first:]
	for n < len(dst) && n < len(rest) &&
		(n == 0 || rest[n].lane == rest[0].lane && rest[n].off == rest[n-1].off+1) {
		dst[n] = rest[n]
		n++
	}
	a.first += n
	return n
}

// untake puts back to the front what was taken and not read.
func (a *assignments) untake(left []assignment) {
	if len(left) > 0 {
		a.items, a.first = slices.Concat(left, a.items[a.first:]), 0
	}
}

// all takes everything.
func (a *assignments) all() []assignment {
	rest := a.items[a.first:]
	a.items, a.first = nil, 0
	return rest
}

// Subscribe begins a subscription. Kinds: NotFound, Denied (the queue has another
// owner), Conflict (an exclusive subscription is there, or was asked for beside
// others), Closed.
func (q *Queue) Subscribe(o SubscribeOptions) (*Subscription, error) {
	const op = "subscribe"
	if q.b.closed.Load() {
		return nil, storeError(op, q.String(), storage.ErrClosed)
	}
	if err := q.checkOwner(op, o.Owner); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return nil, &Error{Kind: NotFound, Op: op, Name: q.String()}
	}
	if len(q.subs) > 0 && (o.Exclusive || q.subs[0].opts.Exclusive) {
		return nil, fail(Conflict, op, q.String(), "an exclusive subscription allows no other")
	}
	s := &Subscription{q: q, opts: o}
	at := slices.IndexFunc(q.subs, func(x *Subscription) bool { return x.opts.Priority < o.Priority })
	if at < 0 {
		at = len(q.subs)
	}
	q.subs = slices.Insert(q.subs, at, s)
	q.usedLocked()
	q.dispatchLocked()
	return s, nil
}

func (q *Queue) checkOwner(op string, owner any) error {
	if q.spec.Owner != nil && q.spec.Owner != owner {
		return fail(Denied, op, q.String(), "the queue belongs to another connection")
	}
	return nil
}

// Queue returns the queue it is of.
func (s *Subscription) Queue() *Queue { return s.q }

// Ended reports whether the queue was deleted: nothing more will come.
func (s *Subscription) Ended() bool {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	return s.ended
}

// Stop has nothing more assigned to the subscription, and what was not taken goes back. It keeps its
// place until Close: of a queue that is SingleActive nobody else gets anything before. So what it has
// can be given back before another one begins.
func (s *Subscription) Stop() {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	if s.stopped || s.ended {
		return
	}
	s.stopped = true
	for _, a := range s.assigned.all() {
		s.giveBackLocked(a)
	}
	s.q.dispatchLocked()
}

// Close ends the subscription. What was assigned and not taken goes to others;
// what was taken stays leased until it is settled. The last one to go deletes a
// queue that is AutoDelete: last reports that, and Broker.DeleteQueue does it.
func (s *Subscription) Close() (last bool) {
	q := s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended = true
	at := slices.Index(q.subs, s)
	q.subs = slices.Delete(q.subs, at, at+1)
	for _, a := range s.assigned.all() {
		s.giveBackLocked(a)
	}
	q.dispatchLocked()
	q.lookLocked()
	q.usedLocked()
	return q.spec.AutoDelete && len(q.subs) == 0
}

// giveBackLocked returns a record that was assigned and never taken.
func (s *Subscription) giveBackLocked(a assignment) {
	s.releaseCredit()
	s.q.leased--
	s.q.unassignLocked(a)
}

// unassignLocked puts a record back that nobody has read.
func (q *Queue) unassignLocked(a assignment) {
	if a.lane.dropDiscarded(a.off) {
		a.lane.letGo(a.off)
		q.uncountLocked(a.size)
		return
	}
	a.lane.giveBack(returnedRecord{a.off, a.deliveries, a.size})
}

func (s *Subscription) releaseCredit() {
	if !s.opts.AutoAccept {
		for _, c := range s.opts.Credits {
			c.release()
		}
	}
}

// acquire takes credit for one more record.
func (s *Subscription) acquire() bool {
	if s.stopped || s.assigned.len() >= assignWindow {
		return false
	}
	if s.opts.AutoAccept {
		return true
	}
	for i, c := range s.opts.Credits {
		if !c.acquire() {
			for _, d := range s.opts.Credits[:i] {
				d.release()
			}
			return false
		}
	}
	return true
}

// Rest lets go of the room that the last Take needed, and what it gave is no longer
// valid. For the goroutine that takes.
func (s *Subscription) Rest() {
	s.buf.Release()
	s.buf = storage.Buffer{}
}

// Buried reports whether Take, since the last call, has left out records whose time
// had run out. Their credit is free again: where it is shared, Kick the others. For
// the goroutine that takes.
func (s *Subscription) Buried() bool {
	was := s.buried
	s.buried = false
	return was
}

// Kick hands out again: call it when a shared Credit has room that this
// subscription's queue does not know of.
func (s *Subscription) Kick() {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	s.q.dispatchLocked()
}
