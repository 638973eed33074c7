package saga

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
)

// Extension is the extension attribute that names the saga and the instance of a command, as
// "name/id"; what is published while the command is handled inherits it.
const Extension = tidings.ExtSaga

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
	event string // id of what moves it
	now   time.Time
	out   []Outgoing
}

func (d *Definition[S]) move(ctx context.Context, rec *Record, s S, event string) *move[S] {
	return &move[S]{d: d, ctx: ctx, rec: rec, state: s, event: event, now: time.Now().UTC()}
}

// begin makes a record that is not there yet a running instance.
func (d *Definition[S]) begin(ctx context.Context, rec *Record, s S, event string) ([]Outgoing, error) {
	m := d.move(ctx, rec, s, event)
	rec.Version, rec.Status, rec.Started = d.version, Running, m.now
	m.note("started", nil)
	m.enter(0)
	return m.commit()
}

// commit is what the transition leaves: the state in the record, and what is sent.
func (m *move[S]) commit() (out []Outgoing, err error) {
	m.rec.State, err = json.Marshal(m.state)
	if err != nil {
		return nil, fmt.Errorf("state of saga %s/%s: %w", m.rec.Saga, m.rec.ID, err)
	}
	m.rec.Updated = m.now
	for i := range m.out {
		if err := m.out[i].Event.Err(); err != nil {
			return nil, tidings.Permanent(fmt.Errorf("saga %s/%s: %w", m.rec.Saga, m.rec.ID, err))
		}
	}
	return m.out, nil
}

// enter goes to step i and on through those that wait for nothing.
func (m *move[S]) enter(i int) {
	for ; i < len(m.d.steps); i++ {
		st := m.d.steps[i]
		m.rec.Step, m.rec.Attempt = st.name, 1
		m.send(st)
		if len(st.answers) > 0 {
			return
		}
		m.complete(st)
	}
	m.end(Completed)
}

// send sends the command of a step and sets its deadline.
func (m *move[S]) send(st *StepDef[S]) {
	m.emit(st.do(m.state), "do/"+st.name)
	m.note("sent", nil)
	if len(st.answers) > 0 && st.within > 0 {
		m.timer(deadline, st.within)
	}
}

func (m *move[S]) complete(st *StepDef[S]) {
	m.rec.Done = append(m.rec.Done, st.name)
	m.note("done", nil)
}

// end is the last transition of an instance.
func (m *move[S]) end(s Status) {
	if s == Compensated && m.d.compensated != nil {
		m.emit(m.d.compensated(m.state, m.rec.Reason), "compensated")
	}
	m.turn(s, "ended", nil)
	m.rec.Step, m.rec.Attempt, m.rec.Undo = "", 0, nil
}

// fail ends the step that is waited for: it is tried again after the pivot, and before it what was
// done is compensated. A step whose outcome nobody knows is compensated with the others.
func (m *move[S]) fail(cause error, unknown bool) {
	if m.pastPivot() {
		m.again("failed", cause)
		return
	}
	m.note("failed", cause)
	m.compensate(cause.Error(), unknown)
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
func (m *move[S]) compensate(reason string, present bool) {
	m.rec.Reason, m.rec.Undo = reason, nil
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
		m.rec.Step, m.rec.Attempt = st.name, 1
		m.sendUndo(st)
		if len(st.undone) > 0 {
			return
		}
		m.rec.Undo = m.rec.Undo[:last]
	}
	m.end(Compensated)
}

func (m *move[S]) sendUndo(st *StepDef[S]) {
	m.emit(st.undo(m.state), "undo/"+st.name)
	m.note("undo sent", nil)
	if len(st.undone) > 0 {
		within := st.within
		if within <= 0 {
			within = undoWithin
		}
		m.timer(deadline, within)
	}
}

// again sets the next attempt, or gives up until somebody resolves it.
func (m *move[S]) again(what string, cause error) {
	st := m.d.step(m.rec.Step)
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
	m.rec.StuckIn, m.rec.Reason = m.rec.Status, cause.Error()
	m.turn(Stuck, "stuck", cause)
}

// resend sends what is waited for once more, under the same id.
func (m *move[S]) resend() {
	m.rec.Attempt++
	st := m.d.step(m.rec.Step)
	if m.rec.Status == Compensating {
		m.sendUndo(st)
		return
	}
	m.send(st)
}

// emit sends an event under an id that only depends on the instance and on what it is for.
func (m *move[S]) emit(e tidings.Event, what string) {
	e.ID = m.id(what)
	if e.Extensions[Extension] == "" {
		extensions := map[string]string{Extension: m.rec.Saga + "/" + m.rec.ID}
		for name, value := range e.Extensions {
			extensions[name] = value
		}
		e.Extensions = extensions
	}
	m.put(e, time.Time{})
}

func (m *move[S]) put(e tidings.Event, at time.Time) {
	tidings.Stamp(m.ctx, "", &e)
	if e.Source == "" {
		e.Source = m.rec.Saga
	}
	m.out = append(m.out, Outgoing{e, at})
}

// id is a UUIDv8 (RFC 9562, section 5.8) of the instance and a purpose.
func (m *move[S]) id(what string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s/%d:%s/%s", len(m.rec.Saga), m.rec.Saga, len(m.rec.ID), m.rec.ID, what))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	s := hex.EncodeToString(sum[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func (m *move[S]) note(what string, err error) { m.turn(m.rec.Status, what, err) }

// turn enters a transition into the history.
func (m *move[S]) turn(to Status, what string, err error) {
	t := Transition{At: m.now, Step: m.rec.Step, From: m.rec.Status, To: to, What: what, Event: m.event}
	if err != nil {
		t.Err = err.Error()
	}
	m.rec.Status = to
	m.rec.History = append(m.rec.History, t)
	if more := len(m.rec.History) - MaxHistory; more > 0 {
		m.rec.History = append([]Transition(nil), m.rec.History[more:]...)
		m.rec.Forgotten += more
	}
}
