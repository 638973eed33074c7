package tidings

import (
	"sync/atomic"
	"time"
)

// State is what a subscription is doing.
type State string

const (
	// Starting: not subscribed yet.
	Starting State = "starting"
	// Receiving: all is well.
	Receiving State = "receiving"
	// Stalled: the window is full of events that wait for held keys; nothing is received until
	// one of those goes on.
	Stalled State = "stalled"
	// Broken: the circuit breaker is open.
	Broken State = "breaker open"
	// Reconnecting: the transport failed, and is subscribed again soon.
	Reconnecting State = "reconnecting"
	// Draining: nothing is received any more, handlers finish.
	Draining State = "draining"
	// Stopped: Run has ended for it.
	Stopped State = "stopped"
)

// Health is how a service does.
type Health struct {
	Service string
	// Ready: subscribed, and not stopped yet.
	Ready         bool
	Subscriptions []SubscriptionHealth
}

// OK says whether every subscription does what it should: one that is stalled, whose breaker is
// open or that has lost its broker does not.
func (h Health) OK() bool {
	for _, s := range h.Subscriptions {
		if s.State != Receiving {
			return false
		}
	}
	return h.Ready
}

// SubscriptionHealth is how a group of a service does.
type SubscriptionHealth struct {
	Group  string
	Topics []string
	State  State

	InHand  int // deliveries that are not settled
	Window  int // how many there may be
	Running int // of them with a handler
	Held    int // of them waiting for their next attempt; each holds its key

	Counts
	LastError   string // the last one, "" for none
	LastErrorAt time.Time
}

// Counts are how many of what there was since the service was made.
type Counts struct {
	Received     uint64 // deliveries
	Handled      uint64 // with success
	Failed       uint64 // attempts
	DeadLettered uint64
	Skipped      uint64 // of a type that no route takes
	Aside        uint64 // given back to be tried later
	Abandoned    uint64 // failed for good without a dead letter: at most once
	Lost         uint64 // taken back by the broker
}

func (c *Counts) add(how outcome) {
	switch how {
	case succeeded:
		c.Handled++
	case failed:
		c.Abandoned++
	case skipped:
		c.Skipped++
	case deadLettered:
		c.DeadLettered++
	case aside:
		c.Aside++
	}
}

// trouble is the last error. Guarded by the dispatcher's mutex.
type trouble struct {
	err error
	at  time.Time
}

func (t *trouble) set(err error) { t.err, t.at = err, time.Now() }

// note remembers an error for Health.
func (d *dispatcher) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble.set(err)
}

// status is a State that many read.
type status struct{ v atomic.Value }

func (s *status) set(state State) { s.v.Store(state) }

func (s *status) get() State {
	if state, ok := s.v.Load().(State); ok {
		return state
	}
	return Starting
}

func (s *subscription) health() SubscriptionHealth {
	h := SubscriptionHealth{Group: s.name, Topics: s.topics, State: s.state.get(),
		Window: s.policy.Window}
	d := s.disp
	d.mu.Lock()
	defer d.mu.Unlock()
	h.InHand, h.Running, h.Held, h.Counts = d.hand.len, d.running, len(d.alarm.held), d.counts
	if d.trouble.err != nil {
		h.LastError, h.LastErrorAt = d.trouble.err.Error(), d.trouble.at
	}
	if h.State == Receiving {
		h.State = d.stateLocked()
	}
	return h
}

func (d *dispatcher) stateLocked() State {
	switch {
	case d.breaker.opened():
		return Broken
	case d.hand.len >= d.window && d.running == 0 && d.ready.len() == 0 && len(d.alarm.batches) == 0:
		return Stalled
	default:
		return Receiving
	}
}
