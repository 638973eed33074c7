package aws

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
)

var errSettled = errors.New("aws: the delivery has been settled before")

type state uint8

const (
	held state = iota
	done
	lost // given back by Close
)

// settler settles one delivery. Its fields below receipt and received are guarded by the
// consumer's mutex.
type settler struct {
	c        *consumer
	receipt  string
	received time.Time

	deadline time.Time
	state    state
}

// deadline is when a message that has been hidden for d may be visible, by an answer that comes
// now: what the answer has taken to come is not known, and must not make it too late.
func deadline(now time.Time, d time.Duration) time.Time {
	return now.Add(d - min(d/20, time.Second))
}

func (s *settler) overdueLocked(now time.Time) bool { return !now.Before(s.deadline) }

// Ack has the message deleted within 20 ms and the time of a request; Commit waits for it. It waits
// itself while 100 others wait.
func (s *settler) Ack(ctx context.Context) error {
	until, err := s.settle(ctx)
	if err != nil {
		return err
	}
	err = s.c.deletes.put(ctx, change{receipt: s.receipt, until: until, done: func(err error) {
		if err != nil {
			s.c.lost.add(err)
			s.c.t.config.Logger.Warn("aws: a message is not deleted", "group", s.c.sub.Group, "err", err)
		}
	}})
	if err != nil {
		s.reopen()
	}
	return err
}

// Nack waits until SQS has made the message visible again, or will do so in whole seconds. SQS
// counts its 12 h from when the message was received: a delay that goes beyond is over then. Where it
// fails the delivery is in hand as before, unless it is tidings.ErrLost.
func (s *settler) Nack(ctx context.Context, delay time.Duration) error {
	if delay > longestDelay {
		return fmt.Errorf("aws: a delay of %v, at most %v: %w", delay, longestDelay,
			tidings.ErrUnsupported)
	}
	until, err := s.settle(ctx)
	if err != nil {
		return err
	}
	err = s.c.shows.ask(ctx, change{receipt: s.receipt, until: until,
		seconds: seconds(s.within(delay))})
	if err != nil && !errors.Is(err, tidings.ErrLost) {
		s.reopen()
	}
	return err
}

// Extend waits until SQS knows the new deadline, in whole seconds. 12 h after it was received a
// message is taken back whatever happens, and then it is tidings.ErrLost.
func (s *settler) Extend(ctx context.Context, d time.Duration) error {
	until, err := s.check(ctx)
	if err != nil {
		return err
	}
	n := seconds(max(s.within(d), time.Second))
	if err := s.c.shows.ask(ctx, change{receipt: s.receipt, until: until, seconds: n}); err != nil {
		return err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.deadline = deadline(time.Now(), time.Duration(n)*time.Second)
	if s.state == held && !s.c.closed { // it may have been given up while the answer was on its way
		s.c.held[s] = true
	}
	return nil
}

// within cuts a duration to what is left of the longest time that SQS hides a message. A second is
// for what the request takes.
func (s *settler) within(d time.Duration) time.Duration {
	left := longestVisibility - time.Since(s.received) - time.Second
	return min(d, left.Truncate(time.Second))
}

// check says whether the delivery is ours to settle, and until when.
func (s *settler) check(ctx context.Context) (until time.Time, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.checkLocked(ctx)
}

func (s *settler) checkLocked(ctx context.Context) (until time.Time, err error) {
	switch {
	case s.state == done:
		return s.deadline, errSettled
	case s.state == lost:
		return s.deadline, tidings.ErrLost
	case s.overdueLocked(time.Now()):
		delete(s.c.held, s)
		s.c.wakeLocked()
		return s.deadline, tidings.ErrLost
	}
	return s.deadline, ctx.Err()
}

func (s *settler) settle(ctx context.Context) (until time.Time, err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	until, err = s.checkLocked(ctx)
	if err != nil {
		return until, err
	}
	s.state = done
	delete(s.c.held, s)
	s.c.wakeLocked()
	return until, nil
}

// reopen takes back what could not be handed over.
func (s *settler) reopen() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.c.closed {
		s.state = held
		s.c.held[s] = true
	}
}
