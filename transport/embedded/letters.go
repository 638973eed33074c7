package embedded

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// letters is what comes to a group's address, for one of its consumers. One goroutine receives
// from the queue when the consumer has room, one batch at a time.
type letters struct {
	c    *consumer
	q    *broker.Queue
	stop context.CancelFunc
	loop sync.WaitGroup
	more chan struct{} // look whether some are wanted; capacity 1

	// Guarded by the group's mutex.
	wanted bool // the consumer has room, and there were none
	ahead  []*letter
	inHand map[*letter]struct{}
	failed error
	acks   []broker.Confirm // of settlements that may not be on disk yet
}

// letter is a delivery by the address. It is leased until its Deadline.
type letter struct {
	tidings.Delivery
	c      *consumer
	id     broker.DeliveryID
	before int       // attempts before it came here
	until  time.Time // when its lease is over; guarded by the group's mutex
}

// aheadMost is how many are received ahead, wait is how long the broker keeps a receive waiting
// before it is asked again.
const (
	aheadMost  = 64
	letterWait = time.Hour
)

func (l *letters) open(c *consumer, q *broker.Queue) {
	l.c, l.q = c, q
	l.inHand, l.more = map[*letter]struct{}{}, make(chan struct{}, 1)
	ctx, end := context.WithCancel(context.Background())
	l.stop = end
	l.loop.Go(func() { l.receive(ctx) })
}

// receive fills ahead whenever something is wanted.
func (l *letters) receive(ctx context.Context) {
	var r reading
	options := broker.ReceiveOptions{Max: min(aheadMost, l.c.window), Lease: l.c.t.c.Lease,
		Wait: letterWait, Owner: l.q.Spec().Owner}
	for l.await(ctx) {
		got, err := l.q.Receive(ctx, options)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !errors.Is(err, broker.Corrupt):
			l.fail(failure(err))
			return
		case err != nil: // the record that is named was passed over
			l.c.t.c.Logger.Error("a record of a group's address cannot be read", "error", err)
		}
		l.put(&r, got)
	}
}

// await waits until something is wanted; false: the consumer is closed. What its consumer has no
// room for is given back after half of the lease, for others to have.
func (l *letters) await(ctx context.Context) bool {
	for !l.wants() {
		patience := time.NewTimer(l.c.t.c.Lease / 2)
		select {
		case <-l.more:
		case <-patience.C:
			l.giveBack()
		case <-ctx.Done():
		}
		patience.Stop()
		if ctx.Err() != nil {
			return false
		}
	}
	return ctx.Err() == nil
}

func (l *letters) wants() bool {
	l.c.g.mu.Lock()
	defer l.c.g.mu.Unlock()
	return l.wanted && len(l.ahead) == 0
}

func (l *letters) giveBack() {
	l.c.g.mu.Lock()
	defer l.c.g.mu.Unlock()
	for _, x := range l.ahead {
		_ = l.q.Extend(x.id, 0) // where it fails the record is not this consumer's any more
	}
	l.ahead = nil
}

func (l *letters) fail(err error) {
	l.c.g.mu.Lock()
	l.failed = err
	l.c.g.mu.Unlock()
	ring(l.c.wake)
}

func (l *letters) put(r *reading, got []broker.Delivery) {
	deadline := time.Now().Add(l.c.t.c.Lease)
	ahead := make([]*letter, len(got))
	for i := range got {
		x := &letter{c: l.c, id: got[i].ID}
		x.Event, x.before = r.received(l.q, &got[i])
		x.Offset, x.Deadline, x.until, x.Settler = -1, deadline, deadline, x
		x.Attempt = x.before + int(got[i].Receives)
		ahead[i] = x
	}
	l.c.g.mu.Lock()
	l.ahead, l.wanted = ahead, len(ahead) == 0 && l.wanted
	l.c.g.mu.Unlock()
	if len(got) > 0 {
		ring(l.c.wake)
	}
}

// takeLocked hands over at most n of them. One that has waited long has its lease renewed, or is
// not handed over.
func (l *letters) takeLocked(got []*tidings.Delivery, n int) ([]*tidings.Delivery, error) {
	if l.failed != nil {
		return got, l.failed
	}
	for ; n > 0 && len(l.ahead) > 0; l.ahead = l.ahead[1:] {
		x := l.ahead[0]
		lease := l.c.t.c.Lease
		if time.Until(x.Deadline) < lease/2 {
			if l.q.Extend(x.id, lease) != nil {
				continue
			}
			x.Deadline = time.Now().Add(lease)
			x.until = x.Deadline
		}
		l.inHand[x] = struct{}{}
		l.c.inHand++
		got = append(got, &x.Delivery)
		n--
	}
	if l.wanted = n > 0; l.wanted {
		ring(l.more)
	}
	return got, nil
}

// expireLocked takes what is overdue out of the consumer's hands: it is not his any more, and he need
// not settle it.
func (l *letters) expireLocked(now time.Time) {
	for x := range l.inHand {
		if !x.until.After(now) {
			delete(l.inHand, x)
			l.c.freeLocked()
		}
	}
}

// firstOverdueLocked is when the first of those in hands is; zero for never.
func (l *letters) firstOverdueLocked() (at time.Time) {
	for x := range l.inHand {
		if at.IsZero() || x.until.Before(at) {
			at = x.until
		}
	}
	return at
}

// close ends the goroutine, and gives back what is in hands and ahead.
func (l *letters) close() {
	if l.c == nil {
		return
	}
	l.stop()
	l.loop.Wait()
	l.c.g.mu.Lock()
	for x := range l.inHand {
		l.ahead = append(l.ahead, x)
	}
	l.inHand = nil
	l.c.g.mu.Unlock()
	l.giveBack()
}

// end removes the address of a temporary group.
func (l *letters) end(ctx context.Context) error {
	if l.c == nil || !l.c.g.temporary {
		return nil
	}
	_, err := l.c.t.b.DeleteQueue(ctx, l.q, broker.DeleteOptions{Owner: l.c})
	if errors.Is(err, broker.NotFound) {
		return nil
	}
	return failure(err)
}

// commit waits for the disk.
func (l *letters) commit(ctx context.Context) error {
	if l.c == nil {
		return nil
	}
	l.c.g.mu.Lock()
	acks := l.acks
	l.acks = nil
	l.c.g.mu.Unlock()
	for i := range acks {
		if err := acks[i].Wait(ctx); err != nil {
			l.c.g.mu.Lock()
			l.acks = append(l.acks, acks[i:]...)
			l.c.g.mu.Unlock()
			return failure(err)
		}
	}
	return nil
}

// settledLocked keeps a confirm for commit.
func (l *letters) settledLocked(confirm broker.Confirm) {
	if len(l.acks) == cap(l.acks) {
		l.acks = slices.DeleteFunc(l.acks, broker.Confirm.Done)
	}
	l.acks = append(l.acks, confirm)
}

// end takes it out of its consumer's hands.
func (x *letter) end() error {
	x.c.g.mu.Lock()
	defer x.c.g.mu.Unlock()
	l := &x.c.letters
	if _, ok := l.inHand[x]; !ok {
		return lost(&x.Delivery)
	}
	delete(l.inHand, x)
	x.c.freeLocked()
	return nil
}

// Ack takes the record out of the queue, whoever has it by now: it was handled.
func (x *letter) Ack(ctx context.Context) error {
	if err := x.end(); err != nil {
		return err
	}
	tx := x.c.t.b.Begin()
	tx.Discard(x.c.letters.q, x.id)
	return x.commit(ctx, tx)
}

func (x *letter) commit(ctx context.Context, tx *broker.Tx) error {
	defer tx.Release()
	confirm, err := tx.Commit(ctx)
	if err != nil {
		return failure(err)
	}
	x.c.g.mu.Lock()
	x.c.letters.settledLocked(confirm)
	x.c.g.mu.Unlock()
	return nil
}

// Nack gives the record back to its place, or replaces it by one that comes later.
func (x *letter) Nack(ctx context.Context, delay time.Duration) error {
	if err := x.end(); err != nil {
		return err
	}
	q := x.c.letters.q
	if delay <= 0 {
		return x.lease(0)
	}
	if err := x.lease(x.c.t.c.Lease); err != nil {
		return err
	}
	var s scratch
	tx := x.c.t.b.Begin()
	if err := x.c.t.publishAt(tx, s.message(q.Name().Name, &x.Event, x.Attempt), time.Now().Add(delay)); err != nil {
		return err
	}
	tx.Discard(q, x.id)
	return x.commit(ctx, tx)
}

// Extend moves the deadline.
func (x *letter) Extend(_ context.Context, d time.Duration) error {
	if err := x.lease(d); err != nil {
		return err
	}
	x.c.g.mu.Lock()
	defer x.c.g.mu.Unlock()
	x.until = time.Now().Add(d)
	return nil
}

func (x *letter) lease(d time.Duration) error {
	err := x.c.letters.q.Extend(x.id, d)
	if errors.Is(err, broker.NotFound) {
		return lost(&x.Delivery)
	}
	return failure(err)
}
