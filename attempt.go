package tidings

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// work is the life of a worker.
func (s *subscription) work() {
	defer s.disp.leave()
	for it := s.disp.next(); it != nil; it = s.disp.next() {
		if it.batch != nil {
			s.handleBatch(it.batch)
			continue
		}
		if s.disp.finish(it, s.handle(it)) {
			s.breakerClosed()
		}
	}
}

// handle makes one attempt, where there is one to make, and does what follows from it.
func (s *subscription) handle(it *item) step {
	switch {
	case s.taken(it):
		return step{how: dropped}
	case it.dead != nil:
		return s.deadLetter(it)
	case it.route == nil:
		return s.unknown(it)
	case s.policy.Ack == BeforeHandle && !s.acknowledged(it):
		return step{how: dropped}
	}
	begun := s.service.observer.begin()
	err := s.attempt(it)
	s.service.observer.handled(s.name, it.d, begun, err)
	if err != nil && !s.cutOff(it) && s.disp.failed(it, err) {
		s.breakerOpened(err)
	}
	return s.settle(it, err)
}

// attempt calls the handler once.
func (s *subscription) attempt(it *item) error {
	it.d.Attempt = it.first + it.tries
	it.tries++
	life := s.lifeOf(it)
	if !it.d.Deadline.IsZero() {
		var cancel context.CancelCauseFunc
		life, cancel = context.WithCancelCause(life)
		defer cancel(nil)
		s.disp.guard(it, cancel)
	}
	came := it.d.Event
	err := s.bounded(s.handling(life, &it.d.Event), func(ctx context.Context) error {
		return it.route.handler.Handle(ctx, it.d)
	})
	if err != nil { // of what succeeded nobody needs it, but perhaps who still reads from its context
		it.d.Event = came
	}
	return err
}

// cutOff says whether an attempt was ended from outside: because the broker took the event back, or
// because the drain was over. It has not failed then.
func (s *subscription) cutOff(it *item) bool { return it.lost.Load() || s.base.Err() != nil }

// lifeOf ends with the reading that has received an item, unless the broker has nothing more to do
// with it.
func (s *subscription) lifeOf(it *item) context.Context {
	if s.policy.Ack == BeforeHandle {
		return s.base
	}
	return it.from.ctx
}

// handling is the context of the handling of e, nil for several, under the policy's timeout.
func (s *subscription) handling(life context.Context, e *Event) *attemptContext {
	c := &attemptContext{parent: life, late: s.slow,
		hop: hop{service: s.service.name, group: s.name, event: e, publisher: s.service}}
	if e != nil {
		c.hop.correlation, c.hop.traceParent, c.hop.traceState = e.Correlation, e.TraceParent, e.TraceState
	}
	if s.policy.Timeout != NoTimeout {
		c.deadline = time.Now().Add(s.policy.Timeout)
	}
	return c
}

// bounded calls a handler with a context that ends with the call; that it panicked is its error.
func (s *subscription) bounded(ctx *attemptContext, call func(context.Context) error) (err error) {
	defer ctx.end()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v", p)
			log := s.log
			if e := ctx.hop.event; e != nil { // of a batch there is none
				log = log.With("id", e.ID, "type", e.Type)
			}
			log.Error("handler panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return readable(call(ctx))
}

// readable is an error that has a text: that of a nil pointer may have none, and would end the process
// wherever it is written.
func readable(err error) (safe error) {
	defer func() {
		if p := recover(); p != nil {
			safe = fmt.Errorf("handler returned a %T whose text cannot be read: %v", err, p)
		}
	}()
	if err != nil {
		_ = err.Error()
	}
	return err
}

// acknowledged tells the broker that an event is done, and waits until it knows.
func (s *subscription) acknowledged(it *item) bool {
	s.disp.settling(it)
	err := it.d.Ack(s.root)
	if err == nil {
		err = it.from.Commit(s.base)
	}
	if err != nil {
		s.troubled("acknowledge before handling", it.d, err)
	}
	return err == nil
}

// ack settles what was handled. Where the broker does not take that the event comes again, as at
// least once allows.
func (s *subscription) ack(it *item) {
	if it.lost.Load() {
		return
	}
	if !it.d.Deadline.IsZero() {
		s.disp.settling(it)
	}
	if err := it.d.Ack(s.root); err != nil {
		s.troubled("acknowledge", it.d, err)
	}
}

// unknown does with an event that no route takes what the policy says.
func (s *subscription) unknown(it *item) step {
	if s.policy.Unknown == FailUnknown {
		s.fail(fmt.Errorf("group %s: %w", s.name, unknown(it.d)))
		return step{stays: true, delay: Forever} // what is behind it shall not pass it
	}
	s.service.observer.skipped(s.name, it.d)
	s.ack(it)
	return step{how: skipped}
}

// troubled tells of an error that nobody can be told otherwise.
func (s *subscription) troubled(what string, d *Delivery, err error) {
	if errors.Is(err, ErrLost) || errors.Is(err, ErrClosed) {
		s.log.Debug(what, "id", d.ID, "type", d.Type, "err", err)
		return
	}
	s.disp.note(fmt.Errorf("%s: %w", what, err))
	s.log.Warn(what, "id", d.ID, "type", d.Type, "key", d.Key, "err", err)
}

func (s *subscription) breakerClosed() {
	s.log.Info("circuit breaker closed")
	s.service.observer.closed(s.name)
}

func (s *subscription) breakerOpened(err error) {
	s.log.Warn("circuit breaker opened", "for", s.policy.Breaker.Pause, "err", err)
	s.service.observer.opened(s.name, s.policy.Breaker.Pause)
}
