package tidings

import (
	"errors"
	"fmt"
	"time"
)

// Policy is how a subscription works, and what happens when a handler fails. The zero value keeps
// the order of each key, tries three times at once and five times later, and then puts the event
// aside among the dead letters.
type Policy struct {
	// Group names the subscription's group; "" is the name of the service. Commands always go to
	// the group that is their address. A group has one policy in a service: subscriptions of the
	// same group and policy are one, different policies need different groups.
	Group string
	// From is where a new group begins.
	From Start

	// Ack says when the broker is told that an event is done.
	Ack AckMode
	// Concurrency is how many handlers run at once, never two for one key; 0 is 16. Events without
	// a key have no order.
	Concurrency int
	// Window is how many events the subscription holds at most, those that wait for a held key
	// included; when it is full nothing more is received. 0 is 64 for each of Concurrency, at
	// least 1,024.
	Window int
	// Timeout bounds one attempt, by its context; 0 is 30 s, NoTimeout none.
	Timeout time.Duration

	// Immediate is how often a failed event is tried again at once; 0 is 2, NoRetries never.
	Immediate int
	// Delays are the pauses before further attempts; nil is 1 s, 5 s, 30 s, 2 min, 10 min, an
	// empty slice none. During a pause the key of the event is held: what comes behind it waits,
	// other keys go on.
	Delays []time.Duration
	// StepAside gives the order up for throughput: an event that waits for its next attempt lets
	// others of its key pass. When it comes back it is not tried at once any more: a RetryAfter
	// spends what was left of Immediate.
	StepAside bool
	// DeadLetter is the group that takes what failed for good; "" is "<group>.dlq".
	DeadLetter string
	// Unknown is what happens to an event of a type that no route takes.
	Unknown Unknown

	// Breaker stops receiving while everything fails.
	Breaker Breaker
}

// NoTimeout is a Policy.Timeout without bound.
const NoTimeout time.Duration = -1

const (
	// NoRetries is a Policy.Immediate of none.
	NoRetries = -1
	// NoBreaker is a Breaker.Failures that never opens.
	NoBreaker = -1
)

// AckMode chooses the guarantee of delivery.
type AckMode uint8

const (
	// AfterHandle: at least once. A crash hands an event out again.
	AfterHandle AckMode = iota
	// BeforeHandle: at most once. The broker is told, and has said so, before the handler runs;
	// a crash loses what was in hand, and nothing is tried again after a failure.
	BeforeHandle
)

// Unknown is what happens to events that no route takes.
type Unknown uint8

const (
	// SkipUnknown acknowledges and counts them: a topic may have more types than a reader needs.
	SkipUnknown Unknown = iota
	// DeadLetterUnknown puts them among the dead letters.
	DeadLetterUnknown
	// FailUnknown ends Run with an error and leaves the event where it is.
	FailUnknown
)

// Breaker is a circuit breaker: after so many failed attempts with none between that succeeded it
// opens, and nothing new is handled for a while; then one event is tried, and closes it or opens
// it again. Attempts that it holds back are not counted against any event. Permanent failures are
// about one event and not counted against the breaker.
type Breaker struct {
	// Failures in a row that open it; 0 is 50, NoBreaker never.
	Failures int
	// Pause is how long it stays open; 0 is 10 s.
	Pause time.Duration
}

// defaultDelays are Policy.Delays where it is nil.
var defaultDelays = []time.Duration{
	time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

const (
	defaultConcurrency = 16
	defaultTimeout     = 30 * time.Second
	defaultImmediate   = 2
	minWindow          = 1024
	windowPerHandler   = 64
	defaultFailures    = 50
	defaultPause       = 10 * time.Second
)

// complete is the policy with its defaults spelled out.
func (p Policy) complete() Policy {
	p.Concurrency = orDefault(p.Concurrency, defaultConcurrency)
	p.Window = orDefault(p.Window, max(minWindow, windowPerHandler*p.Concurrency))
	p.Timeout = orDefault(p.Timeout, defaultTimeout)
	p.Immediate = max(0, orDefault(p.Immediate, defaultImmediate))
	if p.Delays == nil {
		p.Delays = defaultDelays
	}
	p.Breaker.Failures = orDefault(p.Breaker.Failures, defaultFailures)
	p.Breaker.Pause = orDefault(p.Breaker.Pause, defaultPause)
	return p
}

func orDefault[N int | time.Duration](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return n
}

// check refuses what makes no sense, and what a transport cannot do.
func (p Policy) check(c Capabilities) error {
	switch {
	case p.Concurrency < 0 || p.Window < 0 || p.Breaker.Pause < 0:
		return errors.New("a concurrency, window or pause is negative")
	case p.Immediate < NoRetries || p.Breaker.Failures < NoBreaker || p.Timeout < NoTimeout:
		return errors.New("a number of retries or failures, or a timeout, is below the value for none")
	case p.Unknown > FailUnknown || p.Ack > BeforeHandle || p.From > Earliest:
		return errors.New("a mode has no such value")
	case p.From == Earliest && !c.Replay:
		return fmt.Errorf("begin with the earliest: %w", ErrUnsupported)
	}
	for _, d := range p.Delays {
		if d < 0 {
			return fmt.Errorf("a delay of %v is negative", d)
		}
		if p.StepAside && d > c.MaxDelay {
			return fmt.Errorf("step aside for %v, longer than %v: %w", d, c.MaxDelay, ErrUnsupported)
		}
	}
	return nil
}
