package tidings

import (
	"runtime/debug"
	"time"
)

// Observer is told what a service does, for metrics and traces. Every field may be nil, and costs
// nothing then. The functions are called by the goroutine that does the thing, many at once, and
// must not block. Deliveries are to be read during the call only. That one panics is logged, and has
// no other effect.
type Observer struct {
	// Received tells how many deliveries a group has got at once.
	Received func(group string, n int)
	// Handled follows each attempt, failed or not; for a batch it follows for each event.
	Handled func(Handled)
	// Retried follows a failed attempt after which there is another.
	Retried func(Retried)
	// DeadLettered follows when the dead letters have the event.
	DeadLettered func(DeadLettered)
	// Skipped tells of an event that no route takes.
	Skipped func(group string, d *Delivery)
	// BreakerOpened and BreakerClosed tell of the circuit breaker of a group.
	BreakerOpened func(group string, pause time.Duration)
	BreakerClosed func(group string)
	// Published follows each publish of the service, with the events as they were stamped.
	Published func(Published)
}

// Handled is an attempt.
type Handled struct {
	Group    string
	Delivery *Delivery
	Took     time.Duration
	Err      error // nil where it succeeded
}

// Retried is an attempt that will be made.
type Retried struct {
	Group    string
	Delivery *Delivery
	After    time.Duration // 0 at once; during a pause its key is held, or it steps aside
	Err      error         // of the attempt before
}

// DeadLettered is an event that was put among the dead letters.
type DeadLettered struct {
	Group    string
	Delivery *Delivery
	Letters  string // the group that has it now
	Err      error  // of the last attempt
}

// Published is a publish.
type Published struct {
	Events []Event
	At     time.Time // of PublishAt; zero for now
	Took   time.Duration
	Err    error
}

// and is an observer that tells both.
func (o Observer) and(p Observer) Observer {
	return Observer{
		Received:      both2(o.Received, p.Received),
		Handled:       both(o.Handled, p.Handled),
		Retried:       both(o.Retried, p.Retried),
		DeadLettered:  both(o.DeadLettered, p.DeadLettered),
		Skipped:       both2(o.Skipped, p.Skipped),
		BreakerOpened: both2(o.BreakerOpened, p.BreakerOpened),
		BreakerClosed: both(o.BreakerClosed, p.BreakerClosed),
		Published:     both(o.Published, p.Published),
	}
}

func both[T any](first, second func(T)) func(T) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(v T) { first(v); second(v) }
}

func both2[T, U any](first, second func(T, U)) func(T, U) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(v T, w U) { first(v, w); second(v, w) }
}

// guarded is an observer whose panics are logged by a service.
func (o Observer) guarded(s *Service) Observer {
	return Observer{
		Received:      guarded2(s, o.Received),
		Handled:       guarded(s, o.Handled),
		Retried:       guarded(s, o.Retried),
		DeadLettered:  guarded(s, o.DeadLettered),
		Skipped:       guarded2(s, o.Skipped),
		BreakerOpened: guarded2(s, o.BreakerOpened),
		BreakerClosed: guarded(s, o.BreakerClosed),
		Published:     guarded(s, o.Published),
	}
}

func guarded[T any](s *Service, f func(T)) func(T) {
	if f == nil {
		return nil
	}
	return func(v T) { defer s.recovered(); f(v) }
}

func guarded2[T, U any](s *Service, f func(T, U)) func(T, U) {
	if f == nil {
		return nil
	}
	return func(v T, w U) { defer s.recovered(); f(v, w) }
}

// recovered ends the panic of an observer.
func (s *Service) recovered() {
	if p := recover(); p != nil {
		s.log.Error("observer panicked", "service", s.name, "panic", p, "stack", string(debug.Stack()))
	}
}

// begin is the time of now where somebody measures.
func (o *Observer) begin() (t time.Time) {
	if o.Handled != nil || o.Published != nil {
		t = time.Now()
	}
	return t
}

func (o *Observer) received(group string, n int) {
	if o.Received != nil {
		o.Received(group, n)
	}
}

func (o *Observer) handled(group string, d *Delivery, begun time.Time, err error) {
	if o.Handled != nil {
		o.Handled(Handled{group, d, time.Since(begun), err})
	}
}

func (o *Observer) retried(group string, d *Delivery, after time.Duration, err error) {
	if o.Retried != nil {
		o.Retried(Retried{group, d, after, err})
	}
}

func (o *Observer) deadLettered(group string, d *Delivery, letters string, err error) {
	if o.DeadLettered != nil {
		o.DeadLettered(DeadLettered{group, d, letters, err})
	}
}

func (o *Observer) skipped(group string, d *Delivery) {
	if o.Skipped != nil {
		o.Skipped(group, d)
	}
}

func (o *Observer) opened(group string, pause time.Duration) {
	if o.BreakerOpened != nil {
		o.BreakerOpened(group, pause)
	}
}

func (o *Observer) closed(group string) {
	if o.BreakerClosed != nil {
		o.BreakerClosed(group)
	}
}

func (o *Observer) published(events []Event, at, begun time.Time, err error) {
	if o.Published != nil {
		o.Published(Published{events, at, time.Since(begun), err})
	}
}
