package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tidings-io/tidings"
)

const (
	undoWithin = time.Minute // how long a compensation waits where the step has no deadline
	firstPause = time.Second
	longPause  = 5 * time.Minute
)

// move is one transition under way: the record as it becomes, and what is to be sent.
type move[S any] struct {
	d     *Definition[S]
	ctx   context.Context
	rec   *Record
	state S
	event tidings.Event // what moves it, none for a person or a program
	now   time.Time
	out   []Outgoing
	err   error // of something that cannot be sent
}

func (d *Definition[S]) move(ctx context.Context, rec *Record, s S, e tidings.Event) *move[S] {
	return &move[S]{d: d, ctx: ctx, rec: rec, state: s, event: e, now: time.Now().UTC()}
}

// begin makes a record that is not there yet a running instance.
func (d *Definition[S]) begin(ctx context.Context, rec *Record, s S, e tidings.Event) (
	[]Outgoing, error) {
	m := d.move(ctx, rec, s, e)
	rec.Version, rec.Status, rec.Started = d.version, Running, m.now
	m.note("started", nil)
	if err := m.keep(); err != nil {
		return nil, err
	}
	m.enter(0)
	return m.commit()
}

// keep has the steps see the state as it will be read back, so that a field that its JSON loses is
// not there from the beginning, in every test.
func (m *move[S]) keep() error {
	if err := m.save(); err != nil {
		return err
	}
	s, err := m.d.state(m.rec)
	if err != nil {
		// Not with %w: what is stored is not broken.
		return tidings.Permanent(fmt.Errorf("its JSON does not read back: %v", err))
	}
	m.state = s
	return nil
}

func (m *move[S]) save() error {
	text, err := json.Marshal(m.state)
	if err != nil {
		err = fmt.Errorf("state of saga %s/%s: %w", m.rec.Saga, m.rec.ID, err)
		return tidings.Permanent(err)
	}
	m.rec.State = text
	return nil
}

// commit is what the transition leaves: the state in the record, and what is sent.
func (m *move[S]) commit() ([]Outgoing, error) {
	if err := m.save(); err != nil {
		return nil, err
	}
	if m.err != nil {
		return nil, tidings.Permanent(fmt.Errorf("saga %s/%s: %w", m.rec.Saga, m.rec.ID, m.err))
	}
	m.rec.Updated = m.now
	return m.out, nil
}

// enter goes to step i and on through those that wait for nothing.
func (m *move[S]) enter(i int) {
	for ; i < len(m.d.steps); i++ {
		st := m.d.steps[i]
		m.rec.Step, m.rec.Attempt, m.rec.Failed = st.name, 1, 0
		if m.send(st) {
			return
		}
		m.complete(st)
	}
	m.end(Completed)
}

// send sends the command of a step and sets its deadline. It says whether there is something to
// wait for.
func (m *move[S]) send(st *StepDef[S]) bool {
	m.emit(st.do(m.state), purpose{step: st.name, failed: m.rec.Failed})
	m.note("sent", nil)
	return m.wait(len(st.answers) > 0, st.within)
}

// wait begins the next wait, if there is one, with its deadline, if it has one.
func (m *move[S]) wait(forAnswers bool, within time.Duration) bool {
	m.rec.Wait++
	if forAnswers && within > 0 {
		m.timer(deadline, within)
	}
	return forAnswers
}

func (m *move[S]) complete(st *StepDef[S]) {
	m.rec.Done = append(m.rec.Done, st.name)
	m.note("done", nil)
}

// end is the last transition of an instance.
func (m *move[S]) end(s Status) {
	if s == Compensated && m.d.compensated != nil {
		m.emit(m.d.compensated(m.state, m.rec.Cause), purpose{})
	}
	m.turn(s, "ended", nil)
	m.rec.Step, m.rec.Attempt, m.rec.Failed, m.rec.Undo = "", 0, 0, nil
}

// fail ends the step that is waited for: it is tried again after the pivot, and before it what was
// done is compensated. A step whose outcome nobody knows is compensated with the others, and is
// tried again by the same command; one that has failed, by a new one, or whoever has handled it
// would take it for done.
func (m *move[S]) fail(cause error, unknown bool) {
	switch {
	case !m.pastPivot():
		m.note("failed", cause)
		m.compensate(cause, unknown)
	case unknown:
		m.again("deadline", cause)
	default:
		m.rec.Failed++
		m.again("failed", cause)
	}
}

func (m *move[S]) pastPivot() bool {
	for _, name := range m.rec.Done {
		if st := m.d.step(name); st != nil && st.pivot {
			return true
		}
	}
	return false
}

// compensate begins to undo what was done, and the present step where it may have been.
func (m *move[S]) compensate(cause error, present bool) {
	m.rec.Cause, m.rec.Undo = reason(cause), nil
	m.rec.Reason = m.rec.Cause
	names := m.rec.Done
	if present {
		names = append(names[:len(names):len(names)], m.rec.Step)
	}
	for _, name := range names {
		if st := m.d.step(name); st != nil && st.undo != nil {
			m.rec.Undo = append(m.rec.Undo, name)
		}
	}
	m.turn(Compensating, "compensating", nil)
	m.undoNext()
}

// undoNext sends compensations up to the first that waits for an answer.
func (m *move[S]) undoNext() {
	for len(m.rec.Undo) > 0 {
		last := len(m.rec.Undo) - 1
		st := m.d.step(m.rec.Undo[last])
		m.rec.Step, m.rec.Attempt, m.rec.Failed = st.name, 1, 0
		if m.sendUndo(st) {
			return
		}
		m.rec.Undo = m.rec.Undo[:last]
	}
	m.end(Compensated)
}

// sendUndo is send for a compensation, which never waits for ever.
func (m *move[S]) sendUndo(st *StepDef[S]) bool {
	m.emit(st.undo(m.state), purpose{step: st.name, undo: true})
	m.note("undo sent", nil)
	within := st.within
	if within <= 0 {
		within = undoWithin
	}
	return m.wait(len(st.undone) > 0, within)
}

// again sets the next attempt, or gives up until somebody resolves it.
func (m *move[S]) again(what string, cause error) {
	st := m.d.step(m.rec.Step)
	m.rec.Wait++
	if m.rec.Attempt > st.retries {
		m.stuck(fmt.Errorf("%s after %d attempts: %w", what, m.rec.Attempt, cause))
		return
	}
	m.note(what, cause)
	m.timer(retry, pause(m.rec.Attempt))
}

func pause(attempt int) time.Duration {
	if attempt > 9 { // 2^9 s is longer than the longest
		return longPause
	}
	return min(firstPause<<(attempt-1), longPause)
}

func (m *move[S]) stuck(cause error) {
	m.rec.StuckIn, m.rec.Reason = m.rec.Status, reason(cause)
	m.turn(Stuck, "stuck", cause)
}

// resend sends what is waited for once more. A definition in which it is not waited for any more
// goes on.
func (m *move[S]) resend() {
	m.rec.Attempt++
	st := m.d.step(m.rec.Step)
	switch {
	case m.rec.Status == Compensating:
		if !m.sendUndo(st) {
			m.undone()
		}
	case !m.send(st):
		m.complete(st)
		m.enter(m.d.index(st.name) + 1)
	}
}

// emit sends an event under an id that only depends on the instance and on what it is for, and from
// one source, whoever makes the transition: id and source are what tells it from others.
func (m *move[S]) emit(e tidings.Event, p purpose) {
	e.ID = p.id(m.rec)
	if e.Extensions[Extension] == "" {
		e.Extensions = maps.Clone(e.Extensions)
		if e.Extensions == nil {
			e.Extensions = map[string]string{}
		}
		e.Extensions[Extension] = p.text(m.rec)
	}
	m.put(e, time.Time{})
}

// put keeps everything that an instance sends in one conversation.
func (m *move[S]) put(e tidings.Event, at time.Time) {
	if e.Correlation == "" {
		e.Correlation = m.rec.Correlation
	}
	tidings.Stamp(m.ctx, m.rec.Saga, &e)
	if m.rec.Correlation == "" {
		m.rec.Correlation = e.Correlation
	}
	err := e.Check()
	if err == nil && e.Topic == "" {
		err = errors.New("an event needs a topic")
	}
	if err != nil && m.err == nil {
		m.err = fmt.Errorf("step %q: %w", m.rec.Step, err)
	}
	m.out = append(m.out, Outgoing{e, at})
}

func (m *move[S]) note(what string, err error) { m.turn(m.rec.Status, what, err) }

func (m *move[S]) turn(to Status, what string, err error) {
	m.rec.note(Transition{At: m.now, To: to, What: what, Event: m.event.ID, Source: m.event.Source},
		err)
}
