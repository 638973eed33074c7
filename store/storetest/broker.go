package storetest

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
)

// log is a broker that keeps what it was given, in order, and may fail with a part of it.
type log struct {
	mu     sync.Mutex
	events []tidings.Event
	// faults is how often of 100 an event is refused; half of those are kept all the same, as when an
	// answer is lost.
	faults int
	// grown is told after each publish.
	grown chan struct{}
}

func newLog(faults int) *log { return &log{faults: faults, grown: make(chan struct{}, 1)} }

// Publish is that of tidings.Publisher.
func (l *log) Publish(ctx context.Context, events ...tidings.Event) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := &tidings.PublishError{Err: errFault}
	for i, e := range events {
		refused := rand.IntN(100) < l.faults
		if refused {
			failed.Failed = append(failed.Failed, i)
		}
		if !refused || rand.IntN(2) == 0 {
			l.events = append(l.events, e)
		}
	}
	select {
	case l.grown <- struct{}{}:
	default:
	}
	if len(failed.Failed) > 0 {
		return failed
	}
	return nil
}

func (l *log) all() []tidings.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]tidings.Event(nil), l.events...)
}

// dying is a source that is cut off from its relay, as when its process dies: nothing it is told
// from then on reaches the table, also no farewell.
type dying struct {
	outbox.Source
	dead chan struct{}
	// kill may cut it off before a batch is marked.
	kill func()
}

func (d *dying) alive() error {
	select {
	case <-d.dead:
		return errFault
	default:
		return nil
	}
}

func (d *dying) Done(ctx context.Context, seqs ...int64) error {
	d.kill()
	if err := d.alive(); err != nil {
		return err
	}
	return d.Source.Done(ctx, seqs...)
}

func (d *dying) Fail(ctx context.Context, failures ...outbox.Failure) error {
	if err := d.alive(); err != nil {
		return err
	}
	return d.Source.Fail(ctx, failures...)
}

func (d *dying) Resign(ctx context.Context, relay string) error {
	if err := d.alive(); err != nil {
		return err
	}
	return d.Source.Resign(ctx, relay)
}
