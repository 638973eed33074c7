package saga

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidings-io/tidings"
)

// arrival is an event that may answer an instance.
type arrival struct {
	tidings.Event
	id string // of the instance
	// named says that the event has the extension, which says what the command was for, too, that
	// it answers. Otherwise its key or By tells the instance.
	named   bool
	purpose purpose
}

// errUnmoved: what came is late, or for nobody. It never leaves this package.
var errUnmoved = errors.New("unmoved")

// brokenError is why an instance cannot be moved by the definitions that there are.
type brokenError struct{ error }

func (b *brokenError) Unwrap() error { return b.error }

func (d *Definition[S]) types() (all []tidings.Described) {
	for _, s := range d.starts {
		all = append(all, s.typ)
	}
	for _, st := range d.steps {
		for _, a := range st.answers {
			all = append(all, a.typ)
		}
		all = append(all, st.undone...)
	}
	return all
}

func (d *Definition[S]) startsOn(typ string) bool { return d.startBy(typ) != nil }

func (d *Definition[S]) startBy(typ string) *start[S] {
	for i := range d.starts {
		if slices.Contains(d.starts[i].names, typ) {
			return &d.starts[i]
		}
	}
	return nil
}

func (d *Definition[S]) begins(e tidings.Event) (
	id string, begin func(context.Context, *Record) ([]Outgoing, error), err error) {
	id, state, err := d.startBy(e.Type).fn(e)
	return id, func(ctx context.Context, rec *Record) ([]Outgoing, error) {
		return d.begin(ctx, rec, state, e)
	}, err
}

// idsOf are the instances that an event may be for which does not say it itself. Which of them
// wait for it their steps know.
func (d *Definition[S]) idsOf(e tidings.Event) ([]string, error) {
	ids := []string{e.Key}
	for _, st := range d.steps {
		if a := st.answer(e.Type); a != nil {
			id, err := a.instance(e)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (a *Answer[S]) instance(e tidings.Event) (string, error) {
	if a.id == nil {
		return e.Key, nil
	}
	return a.id(e)
}

// answered moves an instance by an event that its step, or its compensation, waits for. What is
// late or repeated moves nothing.
func (d *Definition[S]) answered(ctx context.Context, rec *Record, in arrival) ([]Outgoing, error) {
	st := d.step(rec.Step)
	switch undoing := rec.is(Compensating); {
	case d.isOfAnother(in, purpose{step: rec.Step, undo: undoing}):
		return nil, nil
	case !undoing:
		return d.stepAnswered(ctx, rec, st, in)
	case !st.isUndone(in.Type) || !in.named && in.id != in.Key:
		return nil, nil
	}
	return d.change(ctx, rec, in.Event, func(m *move[S]) error {
		m.resume()
		m.undone()
		return nil
	})
}

// is says what an instance does, also where it is stuck.
func (rec *Record) is(s Status) bool {
	return rec.Status == s || rec.Status == Stuck && rec.StuckIn == s
}

// isOfAnother says whether an event answers another command than the present one: one that takes
// its type too.
func (d *Definition[S]) isOfAnother(in arrival, present purpose) bool {
	p := in.purpose
	st := d.step(p.step)
	if st == nil || p.step == present.step && p.undo == present.undo {
		return false
	}
	return p.undo && st.isUndone(in.Type) || !p.undo && st.answer(in.Type) != nil
}

func (d *Definition[S]) stepAnswered(ctx context.Context, rec *Record, st *StepDef[S],
	in arrival) ([]Outgoing, error) {
	a := st.answer(in.Type)
	if a == nil {
		return nil, nil
	}
	if !in.named {
		if id, err := a.instance(in.Event); err != nil || id != in.id {
			return nil, err
		}
	}
	apply, err := a.decode(in.Event)
	if err != nil {
		return nil, fmt.Errorf("answer to step %s of saga %s/%s: %w", st.name, rec.Saga, rec.ID,
			err)
	}
	return d.change(ctx, rec, in.Event, func(m *move[S]) error {
		return m.answer(st, apply(&m.state), in.purpose)
	})
}

// answer ends a step, or its attempt. What was waited for moves an instance that has given up, too;
// a failure does not, nor one of a command that has failed before.
func (m *move[S]) answer(st *StepDef[S], failure error, p purpose) error {
	old := p.step == st.name && p.failed != m.rec.Failed
	if failure != nil && (old || m.rec.gaveUp()) {
		return errUnmoved
	}
	if err := m.keep(); err != nil {
		return err
	}
	m.resume()
	if failure != nil {
		m.fail(failure, false)
		return nil
	}
	m.complete(st)
	m.enter(m.d.index(st.name) + 1)
	return nil
}

func (m *move[S]) undone() {
	m.note("undone", nil)
	m.rec.Undo = m.rec.Undo[:len(m.rec.Undo)-1]
	m.undoNext()
}

// resume is the end of being stuck.
func (m *move[S]) resume() {
	if m.rec.Status == Stuck {
		m.turn(m.rec.StuckIn, "resumed", nil)
		m.rec.StuckIn, m.rec.Reason = "", m.rec.Cause
	}
}

func (d *Definition[S]) ticked(ctx context.Context, rec *Record, t tick, e tidings.Event) (
	[]Outgoing, error) {
	return d.change(ctx, rec, e, func(m *move[S]) error { return m.tick(t) })
}

// change makes a transition, or none where fn says so.
func (d *Definition[S]) change(ctx context.Context, rec *Record, e tidings.Event,
	fn func(*move[S]) error) ([]Outgoing, error) {
	s, err := d.state(rec)
	if err != nil {
		return nil, err
	}
	m := d.move(ctx, rec, s, e)
	switch err := fn(m); {
	case errors.Is(err, errUnmoved):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return m.commit()
}
