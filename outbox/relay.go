package outbox

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
)

// Relay publishes what is in a table: at least once, in order for each topic and key. Run one or
// several for a table; one of them works.
type Relay struct {
	source Source
	to     tidings.Publisher

	name           string
	log            *slog.Logger
	batch          int
	lease          time.Duration
	timeout, drain time.Duration
	look           time.Duration
	first, longest time.Duration

	mu      sync.Mutex
	leading bool
	trouble error // the last, nil since something was published
}

// NewRelay makes a relay from a table to a publisher, usually a transport. Run runs it.
func NewRelay(source Source, to tidings.Publisher, opts ...Option) *Relay {
	r := &Relay{source: source, to: to, log: slog.Default()}
	for _, o := range opts {
		o(r)
	}
	r.complete()
	return r
}

// Run relays until ctx ends, and then returns nil, at the latest when the publish in progress has
// ended or the time of WithDrain has passed. What fails is logged and tried again. A relay is run by
// one at a time.
func (r *Relay) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		until := time.Now().Add(r.lease)
		led, err := r.ask(ctx, until)
		switch {
		case err != nil:
			r.failed(ctx, "outbox: cannot ask for the lease", err)
		case led:
			r.turn(ctx, until)
		}
		pause(ctx, r.lease/4)
	}
	return nil
}

// Health is how a relay and its table are.
type Health struct {
	Status
	Leading bool  // this relay is the one that works
	Err     error // the last failure, nil since something was published
}

// Health asks the table. A relay is well when Oldest is small: a standby is well too, as long as
// another one works.
func (r *Relay) Health(ctx context.Context) (Health, error) {
	status, err := r.source.Status(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return Health{status, r.leading, r.trouble}, err
}

// ask asks for the lease, and not longer than a time: an answer that comes later is of no use.
func (r *Relay) ask(ctx context.Context, until time.Time) (led bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return r.source.Lead(ctx, r.name, r.lease)
}

// turn relays until ctx ends, the lease is lost or the table cannot be read.
func (r *Relay) turn(ctx context.Context, until time.Time) {
	turn, end := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() {
		defer end()
		r.keep(turn, until)
	})
	r.lead(true)
	if err := r.relay(turn); err != nil && turn.Err() == nil {
		r.failed(ctx, "outbox: begins again", err)
	}
	r.lead(false)
	end()
	keeper.Wait()
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.lease)
	defer cancel()
	if err := r.source.Resign(bye, r.name); err != nil {
		r.failed(ctx, "outbox: the lease has to run out", err)
	}
}

// keep renews the lease until ctx ends, or it is lost: taken by another, or over. Times count from
// before the question, as the table's do from after it.
func (r *Relay) keep(ctx context.Context, until time.Time) {
	for pause(ctx, min(r.lease/3, time.Until(until))) {
		asked := time.Now()
		led, err := r.ask(ctx, until)
		switch {
		case err == nil && led:
			until = asked.Add(r.lease)
		case err == nil || !time.Now().Before(until):
			r.log.WarnContext(ctx, "outbox: lost the lease", "relay", r.name, "err", err)
			return
		}
	}
}

// relay claims and publishes. A row at a time while nothing can be published, so that a broker
// that is away does not cost an update of everything that waits.
func (r *Relay) relay(ctx context.Context) error {
	waker, err := r.source.Wake(ctx)
	if err != nil {
		return err
	}
	defer waker.Close() //nolint:errcheck // what it listened for is read from the table
	var pruned time.Time
	misses, limit := 0, r.batch
	for ctx.Err() == nil {
		if time.Since(pruned) > PruneEvery {
			pruned = time.Now()
			if err := r.prune(ctx); err != nil {
				return err
			}
		}
		claim, err := r.source.Claim(ctx, limit)
		if err != nil {
			return err
		}
		if len(claim.Rows) == 0 {
			misses, limit = 0, r.batch
			if err := r.rest(ctx, waker, claim.Next); err != nil {
				return err
			}
			continue
		}
		published, err := r.publish(ctx, claim.Rows)
		if err != nil {
			return err
		}
		if published {
			misses, limit = 0, r.batch
			continue
		}
		if misses > 0 { // one key that fails alone stops nobody
			pause(ctx, growing(r.first, LongestStop, misses))
		}
		misses, limit = misses+1, 1
	}
	return nil
}

func (r *Relay) rest(ctx context.Context, waker Waker, next time.Duration) error {
	atMost := r.look
	if next > 0 {
		atMost = min(next, atMost)
	}
	return waker.Wait(ctx, atMost)
}

func (r *Relay) prune(ctx context.Context) error {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = r.source.Prune(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *Relay) lead(leading bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leading = leading
}

func (r *Relay) failed(ctx context.Context, what string, err error) {
	r.note(err)
	r.log.WarnContext(ctx, what, "relay", r.name, "err", err)
}

func (r *Relay) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = err
}

// growing is a pause that doubles with each attempt.
func growing(first, longest time.Duration, attempts int) time.Duration {
	d := first
	for ; attempts > 0 && d < longest; attempts-- {
		d *= 2
	}
	return min(d, longest)
}

// pause waits, and says whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
