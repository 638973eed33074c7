package saga

import (
	"context"
	"time"

	"github.com/tidings-io/tidings"
)

func (d *Definition[S]) events() (all []tidings.Described) {
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

func (d *Definition[S]) startsOn(typ string) bool {
	for _, s := range d.starts {
		if s.typ.Name() == typ {
			return true
		}
	}
	return false
}

func (d *Definition[S]) begins(e tidings.Event) (string, func(context.Context, *Record) ([]Outgoing, error), error) {
	for _, s := range d.starts {
		if s.typ.Name() != e.Type {
			continue
		}
		id, state, err := s.fn(e)
		return id, func(ctx context.Context, rec *Record) ([]Outgoing, error) {
			return d.begin(ctx, rec, state, e.ID)
		}, err
	}
	return "", nil, nil
}

func (d *Definition[S]) idOf(e tidings.Event) (string, error) {
	for _, st := range d.steps {
		if a := st.answer(e.Type); a != nil && a.id != nil {
			return a.id(e)
		}
	}
	return "", nil
}

// answered moves an instance by an event that its step, or its compensation, waits for. What is
// late or repeated moves nothing.
func (d *Definition[S]) answered(ctx context.Context, rec *Record, e tidings.Event) ([]Outgoing, error) {
	st := d.step(rec.Step)
	if rec.Status == Compensating {
		if !st.isUndone(e.Type) {
			return nil, nil
		}
		return d.change(ctx, rec, e.ID, func(m *move[S]) { m.undone() })
	}
	a := st.answer(e.Type)
	if a == nil {
		return nil, nil
	}
	return d.change(ctx, rec, e.ID, func(m *move[S]) {
		if err := a.fn(&m.state, e); err != nil {
			m.fail(err, false)
			return
		}
		m.complete(st)
		m.enter(d.index(st.name) + 1)
	})
}

func (m *move[S]) undone() {
	m.note("undone", nil)
	m.rec.Undo = m.rec.Undo[:len(m.rec.Undo)-1]
	m.undoNext()
}

func (d *Definition[S]) ticked(ctx context.Context, rec *Record, t tick, event string) ([]Outgoing, error) {
	return d.change(ctx, rec, event, func(m *move[S]) { m.tick(t) })
}

func (d *Definition[S]) change(ctx context.Context, rec *Record, event string, fn func(*move[S])) ([]Outgoing, error) {
	s, err := d.state(rec)
	if err != nil {
		rec.halt(event, err)
		return nil, nil
	}
	m := d.move(ctx, rec, s, event)
	fn(m)
	return m.commit()
}

// halt makes an instance stuck without its definition.
func (rec *Record) halt(event string, cause error) {
	now := time.Now().UTC()
	rec.History = append(rec.History, Transition{At: now, Step: rec.Step, From: rec.Status, To: Stuck,
		What: "stuck", Event: event, Err: cause.Error()})
	rec.StuckIn, rec.Status, rec.Reason, rec.Updated = rec.Status, Stuck, cause.Error(), now
}
