package tidingstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// defaultWindow is how many deliveries a consumer holds at most where Window is 0.
const defaultWindow = 1024

var (
	errCrashed = errors.New("the broker has crashed")
	errSettled = errors.New("the delivery has been settled before")
)

// consumer reads for a group. Its fields are guarded by the transport's mutex.
type consumer struct {
	group  *group
	window int
	inHand int
	acks   []ack // that the broker does not know, the oldest first
	gone   error // why it reads no more
}

// ack is an acknowledgement on its way.
type ack struct {
	place  *place
	offset int64
	at     time.Time
}

// ackTime is how long an acknowledgement is on its way where nobody waits for it.
const ackTime = time.Second

func (g *group) joinLocked(window int) *consumer {
	if window <= 0 {
		window = defaultWindow
	}
	c := &consumer{group: g, window: window}
	g.consumers = append(g.consumers, c)
	return c
}

// Receive waits for deliveries. It hands out what was given back before what is new.
func (c *consumer) Receive(ctx context.Context, max int) ([]*tidings.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("receive at most %d", max)
	}
	if err := c.slow(ctx); err != nil {
		return nil, err
	}
	for {
		out, again, err := c.look(max)
		if err != nil || len(out) > 0 {
			return out, err
		}
		if err := again.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// look takes what is there, or says when to look again.
func (c *consumer) look(max int) ([]*tidings.Delivery, wait, error) {
	t := c.group.broker
	t.mu.Lock()
	defer t.mu.Unlock()
	c.group.receives++
	if c.gone == nil && t.loseLocked(c.group) {
		c.leaveLocked(fmt.Errorf("receive of %s: %w", c.group.name, ErrFault))
	}
	if c.gone != nil {
		return nil, wait{}, c.gone
	}
	now := time.Now()
	t.advanceLocked(now)
	out := c.group.takeLocked(c, now, min(max, c.window-c.inHand))
	return out, wait{t.changed, t.nextLocked()}, nil
}

// wait is for a change, or for a time unless it is zero.
type wait struct {
	changed <-chan struct{}
	at      time.Time
}

func (w wait) wait(ctx context.Context) error {
	var due <-chan time.Time
	if !w.at.IsZero() {
		timer := time.NewTimer(time.Until(w.at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-w.changed:
	case <-due:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Commit makes acknowledgements survive a crash.
func (c *consumer) Commit(ctx context.Context) error {
	t := c.group.broker
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.gone != nil {
		return c.gone
	}
	c.commitLocked(time.Now())
	return ctx.Err()
}

// Close commits and gives back the rest. A second call does nothing.
func (c *consumer) Close(context.Context) error {
	t := c.group.broker
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.gone == nil {
		c.commitLocked(time.Now())
		c.leaveLocked(tidings.ErrClosed)
	}
	c.gone = tidings.ErrClosed
	return nil
}

// commitLocked makes known what was acknowledged up to a time.
func (c *consumer) commitLocked(until time.Time) {
	n := 0
	for ; n < len(c.acks) && !c.acks[n].at.After(until); n++ {
		delete(c.acks[n].place.open, c.acks[n].offset)
	}
	c.acks = slices.Delete(c.acks, 0, n)
}

// leaveLocked takes a consumer out of its group, which gets back what it held, and with a crash or
// a loss also what it acknowledged and did not commit.
func (c *consumer) leaveLocked(why error) {
	g := c.group
	c.gone, c.acks = why, nil
	g.consumers = slices.DeleteFunc(g.consumers, func(other *consumer) bool { return other == c })
	g.returnLocked(func(h *handed) bool { return h.consumer == c })
	if g.temporary && len(g.consumers) == 0 {
		delete(g.broker.groups, g.name)
		g.broker.scheduled = slices.DeleteFunc(g.broker.scheduled,
			func(s scheduled) bool { return s.again == g })
	}
}

// settler settles one delivery.
type settler struct {
	group  *group
	place  *place
	offset int64
	handed *handed // while it is what is open at offset, the delivery is ours
	done   bool
}

// Ack says that the event is done. A crash forgets it until Commit or Close, or for a second.
func (s *settler) Ack(ctx context.Context) error {
	return s.settle(ctx, func(t *Transport) {
		switch {
		case t.dropsAckLocked(s):
			s.handed.state = forgotten
		case t.duplicatesLocked(s):
			s.place.giveBackLocked(s.offset, s.handed)
			return // it has been released
		default:
			s.handed.state = acked
			s.handed.consumer.acks = append(s.handed.consumer.acks, ack{s.place, s.offset, time.Now()})
		}
		s.place.releaseLocked(s.handed)
	})
}

// Nack gives the event to the address of its group, behind what is there.
func (s *settler) Nack(ctx context.Context, delay time.Duration) error {
	if longest := s.group.broker.caps.MaxDelay; delay > longest {
		return fmt.Errorf("nack for %s, at most %s: %w", delay, longest, tidings.ErrUnsupported)
	}
	return s.settle(ctx, func(t *Transport) {
		s.place.releaseLocked(s.handed)
		delete(s.place.open, s.offset)
		back := scheduled{at: time.Now().Add(delay), again: s.group, attempts: s.handed.attempts,
			event: s.place.lane.at(s.offset).event}
		if delay > 0 {
			t.scheduleLocked(back)
		} else {
			t.dueLocked(back)
		}
	})
}

func (s *settler) settle(ctx context.Context, do func(t *Transport)) error {
	t := s.group.broker
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := s.oursLocked(ctx); err != nil {
		return err
	}
	s.done = true
	do(t)
	t.wakeLocked()
	return nil
}

// Extend moves the deadline, where there is one.
func (s *settler) Extend(ctx context.Context, d time.Duration) error {
	t := s.group.broker
	t.mu.Lock()
	defer t.mu.Unlock()
	err := s.oursLocked(ctx)
	if err == nil && !s.handed.deadline.IsZero() {
		s.handed.deadline = time.Now().Add(d)
		s.group.deadline = earlier(s.group.deadline, s.handed.deadline)
		t.wakeLocked()
	}
	return err
}

func (s *settler) oursLocked(ctx context.Context) error {
	s.group.broker.advanceLocked(time.Now())
	switch {
	case s.done:
		return errSettled
	case s.place.open[s.offset] != s.handed:
		return tidings.ErrLost
	}
	return ctx.Err()
}
