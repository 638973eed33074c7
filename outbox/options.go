package outbox

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tidings-io/tidings"
)

// Option changes a relay. A number or time of 0 or below is the default.
type Option func(*Relay)

// Defaults of a relay.
const (
	DefaultBatch   = 256
	DefaultLease   = 5 * time.Second
	DefaultTimeout = 30 * time.Second
	DefaultDrain   = 5 * time.Second
	// DefaultLook is how long a relay waits without a sign before it looks again.
	DefaultLook = time.Second
	// FirstPause and LongestPause bound the pause before a failed event is tried again, which
	// doubles with each attempt.
	FirstPause   = 200 * time.Millisecond
	LongestPause = time.Minute
	// LongestStop bounds the pause of the relay when nothing can be published at all.
	LongestStop = 2 * time.Second
	// PruneEvery is how often a relay has kept rows pruned.
	PruneEvery = time.Minute
)

// WithName names the relay in its lease and in logs; by default host, process and a random number.
// No two relays may have the same.
func WithName(name string) Option { return func(r *Relay) { r.name = name } }

// WithLogger logs what fails; by default slog.Default.
func WithLogger(l *slog.Logger) Option { return func(r *Relay) { r.log = l } }

// WithBatch is how many rows are claimed at once.
func WithBatch(n int) Option { return func(r *Relay) { r.batch = n } }

// WithLease is how long a relay that died keeps others from taking over.
func WithLease(d time.Duration) Option { return func(r *Relay) { r.lease = d } }

// WithTimeout bounds one publish, after which it counts as failed.
func WithTimeout(d time.Duration) Option { return func(r *Relay) { r.timeout = d } }

// WithDrain is how long a publish may go on after ctx has ended, so that it is marked and not
// published again.
func WithDrain(d time.Duration) Option { return func(r *Relay) { r.drain = d } }

// WithLook is how long a relay waits without a sign before it looks again.
func WithLook(d time.Duration) Option { return func(r *Relay) { r.look = d } }

// WithPauses bounds the pause before a failed event is tried again.
func WithPauses(first, longest time.Duration) Option {
	return func(r *Relay) { r.first, r.longest = first, longest }
}

// complete fills in the defaults.
func (r *Relay) complete() {
	if r.name == "" {
		host, _ := os.Hostname() // "" is as good
		r.name = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), tidings.NewID())
	}
	positive(&r.batch, DefaultBatch)
	positive(&r.lease, DefaultLease)
	positive(&r.timeout, DefaultTimeout)
	positive(&r.drain, DefaultDrain)
	positive(&r.look, DefaultLook)
	positive(&r.first, FirstPause)
	positive(&r.longest, LongestPause)
}

func positive[N int | time.Duration](field *N, otherwise N) {
	if *field <= 0 {
		*field = otherwise
	}
}
