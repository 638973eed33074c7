package projection

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tidings-io/tidings/eventstore"
)

// Options say how a projection runs. The zero value is the default.
type Options struct {
	// Batch is how many events one transaction handles at most; default 100.
	Batch int
	// Retries are how often an event whose handler failed is tried again; default 5. An error
	// that is tidings.Permanent is not tried again.
	Retries int
	// Backoff is the wait before the first retry; it doubles up to MaxBackoff. Default 100 ms. It
	// is also the wait after an error of the stores, which are tried again without end.
	Backoff time.Duration
	// Poison is what becomes of an event that goes on failing; default Stop.
	Poison Poison
	// Logger hears of retries and of what is skipped; default slog.Default.
	Logger *slog.Logger
}

// NoRetries is the Retries that are none.
const NoRetries = -1

// MaxBackoff is the longest wait between two tries.
const MaxBackoff = 30 * time.Second

// Poison says what becomes of an event that goes on failing.
type Poison uint8

const (
	// Stop ends the run with a *PoisonError, and nothing of the event is kept.
	Stop Poison = iota
	// Skip passes the event over and records it: see Checkpoints.Skipped.
	Skip
)

func (o Options) withDefaults() (Options, error) {
	if o.Batch < 0 || o.Retries < NoRetries || o.Backoff < 0 || o.Poison > Skip {
		return o, fmt.Errorf("options of a projection make no sense: %+v", o)
	}
	if o.Batch == 0 {
		o.Batch = 100
	}
	if o.Retries == 0 {
		o.Retries = 5
	}
	if o.Backoff == 0 {
		o.Backoff = 100 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// PoisonError says which event stopped a projection.
type PoisonError struct {
	Projection ID
	Event      eventstore.Recorded
	Err        error
}

// Error names the projection, the event and the reason.
func (e *PoisonError) Error() string {
	return fmt.Sprintf("projection %s stopped at position %d (%s, version %d of stream %s): %v",
		e.Projection, e.Event.Position, e.Event.Type, e.Event.Version, e.Event.Stream, e.Err)
}

// Unwrap is the reason.
func (e *PoisonError) Unwrap() error { return e.Err }

// Run handles the events of a store from the checkpoint on, and goes on with what is appended,
// until ctx ends: then it returns nil. Another error is a *PoisonError, or that the options make no
// sense. Where no version of the projection is active, this one becomes it.
func (p *Projection[Tx]) Run(ctx context.Context, s eventstore.Store, c Checkpoints[Tx],
	o Options) error {
	r, err := p.runner(s, c, o)
	if err != nil {
		return err
	}
	if !r.insist(ctx, r.activateFirst) {
		return nil
	}
	defer r.tail.end()
	for ctx.Err() == nil {
		caught, err := r.advance(ctx)
		if err != nil {
			return err
		}
		r.tail.passed(r.position)
		if caught {
			r.insist(ctx, func(ctx context.Context) error { return r.tail.await(ctx, r.position) })
		}
	}
	return nil
}

// CatchUp handles the events from the checkpoint on until it has handled all that there are, and
// returns nil. It activates nothing.
func (p *Projection[Tx]) CatchUp(ctx context.Context, s eventstore.Store, c Checkpoints[Tx],
	o Options) error {
	r, err := p.runner(s, c, o)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if caught, err := r.advance(ctx); err != nil || caught {
			return err
		}
	}
	return ctx.Err()
}

// Rebuild is CatchUp that then makes this version the active one. Run it beside the old version,
// and Run when it has returned; where it is interrupted it goes on from where it was.
func (p *Projection[Tx]) Rebuild(ctx context.Context, s eventstore.Store, c Checkpoints[Tx],
	o Options) error {
	if err := p.CatchUp(ctx, s, c, o); err != nil {
		return err
	}
	return c.Activate(ctx, p.id)
}

func (p *Projection[Tx]) runner(s eventstore.Store, c Checkpoints[Tx], o Options) (
	*runner[Tx], error) {
	o, err := o.withDefaults()
	return &runner[Tx]{p: p, store: s, keep: c, tail: tail{store: s}, o: o, position: -1}, err
}
