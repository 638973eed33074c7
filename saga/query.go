package saga

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/tidings-io/tidings"
)

// Instance is a record with its state decoded.
type Instance[S any] struct {
	Record
	State S
}

// Get is one instance, or ErrNotFound.
func (d *Definition[S]) Get(ctx context.Context, st Store, id string) (Instance[S], error) {
	if !validID(id) {
		return Instance[S]{}, fmt.Errorf("%w: %s/%.40q", ErrNotFound, d.name, id)
	}
	rec, err := st.Load(ctx, d.name, id)
	if err != nil {
		return Instance[S]{}, err
	}
	s, err := d.state(&rec)
	return Instance[S]{rec, s}, err
}

// All ranges over the instances of this saga that a filter selects, of all versions; the saga that
// the filter names is not looked at.
func (d *Definition[S]) All(ctx context.Context, st Store, f Filter) iter.Seq2[Instance[S], error] {
	f.Saga = d.name
	return func(yield func(Instance[S], error) bool) {
		for rec, err := range st.List(ctx, f) {
			var s S
			if err == nil {
				s, err = d.state(&rec)
			}
			if !yield(Instance[S]{rec, s}, err) {
				return
			}
		}
	}
}

// Resolution is what is done with an instance that somebody has looked at.
type Resolution uint8

const (
	// RetryStep sends the command, or the compensation, again and waits for its answer.
	RetryStep Resolution = iota
	// SkipStep takes the step, or the compensation, for done.
	SkipStep
	// Compensate undoes what was done, also after the pivot.
	Compensate
)

// ErrNotStuck: RetryStep and SkipStep are for instances that are stuck, Compensate for those that
// are stuck or running.
var ErrNotStuck = errors.New("the saga instance does not wait for a resolution")

// Resolve moves an instance on that is stuck; Compensate also one that runs, and for one that is
// compensating already it is RetryStep. The definition must be of the instance's version, have its
// steps and decode its state; where none does any more, write one that does. Without such an
// instance it is ErrNotFound.
func (d *Definition[S]) Resolve(ctx context.Context, st Store, id string, how Resolution) error {
	if !validID(id) {
		return fmt.Errorf("%w: %s/%.40q", ErrNotFound, d.name, id)
	}
	return st.Update(ctx, d.name, id, func(rec *Record) ([]Outgoing, error) {
		if err := d.resolvable(rec, how); err != nil {
			return nil, err
		}
		return d.change(ctx, rec, tidings.Event{}, func(m *move[S]) error {
			m.resolve(how)
			return nil
		})
	})
}

func (d *Definition[S]) resolvable(rec *Record, how Resolution) error {
	switch {
	case rec.Version == 0:
		return fmt.Errorf("%w: %s/%s", ErrNotFound, rec.Saga, rec.ID)
	case how > Compensate:
		return fmt.Errorf("no such resolution: %d", how)
	case rec.Version != d.version:
		return fmt.Errorf("saga %s/%s is of version %d, and this is the definition of %d",
			rec.Saga, rec.ID, rec.Version, d.version)
	case rec.Status != Stuck && (how != Compensate || rec.Status != Running):
		return fmt.Errorf("%w: %s/%s is %s", ErrNotStuck, rec.Saga, rec.ID, rec.Status)
	}
	return unknownStep(d, rec)
}

func (m *move[S]) resolve(how Resolution) {
	m.resume()
	switch {
	case how == Compensate && m.rec.Status == Running:
		m.compensate(errors.New("resolved: compensate"), true)
	case how == SkipStep && m.rec.Status == Compensating:
		m.undone()
	case how == SkipStep:
		m.complete(m.d.step(m.rec.Step))
		m.enter(m.d.index(m.rec.Step) + 1)
	default:
		m.rec.Attempt = 0
		m.resend()
	}
}
