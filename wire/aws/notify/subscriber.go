package notify

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// subscriber is a subscription that is being delivered to.
type subscriber struct {
	d       *Deliverer
	q       *broker.Queue
	helpers int         // guarded by the deliverer's mutex
	failing atomic.Bool // the last post was in vain, and not by its own fault

	life  context.Context // of receiving; ends with the subscription, or the deliverer
	leave context.CancelFunc

	mu    sync.Mutex // guards what is below
	now   Subscription
	round context.Context // of one wait for messages
	again context.CancelFunc
	next  time.Time // when the next post may begin, where the policy bounds them
}

func newSubscriber(d *Deliverer, q *broker.Queue, now Subscription) *subscriber {
	s := &subscriber{d: d, q: q, now: now}
	s.life, s.leave = context.WithCancel(d.receiving)
	s.round, s.again = context.WithCancel(s.life)
	return s
}

func (s *subscriber) change(now Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
	s.lookLocked()
}

// lookLocked lets serve look again at what there is to do.
func (s *subscriber) lookLocked() {
	s.again()
	s.round, s.again = context.WithCancel(s.life)
}

// left is when a helper has nothing to do any more: what it did may have been the last.
func (s *subscriber) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Ends {
		s.lookLocked()
	}
}

func (s *subscriber) current() (Subscription, context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.round
}

// idleWait is how long one wait for messages takes.
const idleWait = time.Hour

// serve delivers until the subscription, its queue or the deliverer ends.
func (s *subscriber) serve() {
	defer s.leave()
	for s.life.Err() == nil {
		now, round := s.current()
		if now.Ends && Empty(s.q) {
			s.over(now.ID)
			if s.d.retire(s) {
				return
			}
			continue
		}
		got, err := s.receive(round, idleWait)
		if err != nil && round.Err() == nil && !s.rest(err) {
			return
		}
		s.deliver(got)
	}
}

// assist helps while there is more, and while help is of use.
func (s *subscriber) assist() {
	defer s.d.helped(s)
	defer s.left()
	for !s.failing.Load() {
		got, err := s.receive(s.life, 0)
		if err != nil || len(got) == 0 {
			return
		}
		s.deliver(got)
	}
}

// receive takes one message, and asks for help where there are more. The lease is longer than a post can
// take, with the wait for its turn where the policy bounds posts.
func (s *subscriber) receive(ctx context.Context, wait time.Duration) ([]broker.Delivery, error) {
	l := s.d.config.Limits
	got, err := s.q.Receive(ctx, broker.ReceiveOptions{Max: 1, Wait: wait,
		Lease: l.Timeout + time.Duration(l.PerEndpoint)*time.Second + leaseMargin})
	if len(got) > 0 && !s.failing.Load() && s.q.Stats().Ready > 0 {
		s.d.help(s)
	}
	return got, err
}

const leaseMargin = 15 * time.Second

// rest waits after an error that may not last; false: it does.
func (s *subscriber) rest(err error) bool {
	switch broker.KindOf(err) {
	case broker.NotFound, broker.Closed, broker.Storage:
		return false
	case broker.Full: // so many wait for a retry that no more can be leased
	default:
		s.d.config.Logger.Error("messages of a subscription cannot be read", "queue", s.q.String(), "error", err)
	}
	return sleep(s.life, errorPause) == nil
}

const errorPause = time.Second

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pace waits until the policy allows the next post.
func (s *subscriber) pace(perSecond int) error {
	if perSecond == 0 {
		return nil
	}
	s.mu.Lock()
	now := time.Now()
	if s.next.Before(now) {
		s.next = now
	}
	at := s.next
	s.next = s.next.Add(time.Second / time.Duration(perSecond))
	s.mu.Unlock()
	return sleep(s.life, at.Sub(now))
}

func (s *subscriber) deliver(got []broker.Delivery) {
	for i := range got {
		s.deliverOne(&got[i])
	}
}

// deliverOne posts a message and settles what comes of it.
func (s *subscriber) deliverOne(m *broker.Delivery) {
	now, _ := s.current()
	p, err := ParsePost(&m.Record)
	if err != nil {
		s.d.config.Logger.Warn("a record is dropped", "queue", s.q.String(), "error", err)
		s.d.counts.dropped.Add(1)
		s.done(m)
		return
	}
	if s.pace(now.Policy.PerSecond) != nil {
		s.giveBack(m, 0)
		return
	}
	s.d.counts.posting.Add(1)
	failure := s.d.post(&now, p)
	s.d.counts.posting.Add(-1)
	s.failing.Store(failure != nil && !failure.Final)
	if failure == nil {
		s.d.counts.delivered.Add(1)
		s.done(m)
		return
	}
	s.failed(m, &Letter{Subscription: now, Post: p, Time: m.Record.Time, Failure: failure})
}

// failed waits for the next retry or, where there is none, ends the message.
func (s *subscriber) failed(m *broker.Delivery, l *Letter) {
	if l.Failure.cut {
		s.giveBack(m, 0)
		return
	}
	s.d.counts.failed.Add(1)
	delay, again := l.Subscription.Policy.Retry.Delay(int(m.Receives))
	if again && !l.Failure.Final {
		s.giveBack(m, delay)
		return
	}
	s.bury(m, l)
}

// giveBack lets a message be received again after a while. Where the lease is over already, it is.
func (s *subscriber) giveBack(m *broker.Delivery, d time.Duration) { _ = s.q.Extend(m.ID, d) }

// done settles a message. That nobody waits for the disk costs a power cut a message twice.
func (s *subscriber) done(m *broker.Delivery) bool {
	tx := s.d.b.Begin()
	tx.Discard(s.q, m.ID)
	// With the context of posts: one that is done is to be settled, also while the deliverer closes.
	_, err := tx.Commit(s.d.posts)
	if err != nil {
		s.d.config.Logger.Error("a message of a subscription cannot be settled, and will come again",
			"queue", s.q.String(), "error", err)
	}
	return err == nil
}

// Empty says that nothing is left to deliver in the queue of a subscription.
func Empty(q *broker.Queue) bool {
	n := q.Stats()
	return n.Ready+n.Leased+n.Delayed == 0
}

func (s *subscriber) over(id string) {
	if s.d.config.Ended != nil {
		s.d.config.Ended(id)
	}
}
