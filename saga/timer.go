package saga

import (
	"errors"
	"time"

	"github.com/tidings-io/tidings"
)

// tick is the data of a timer: which wait of which instance it ends.
type tick struct {
	ID      string
	Step    string
	Status  Status
	Attempt int
	What    ticking
}

type ticking string

const (
	deadline ticking = "deadline" // the answer has not come in time
	retry    ticking = "retry"    // the pause before the next attempt is over
)

var errDeadline = errors.New("no answer in time")

// Address is the group that the timers of a saga are commands to.
func Address(saga string) string { return saga + ".saga" }

func timerType(saga string) *tidings.Command[tick] {
	return tidings.DefineCommand(Address(saga), "tidings.saga.timer.v1",
		tidings.KeyBy(func(t tick) string { return t.ID }))
}

// timer has the present wait ended after d.
func (m *move[S]) timer(what ticking, d time.Duration) {
	t := tick{m.rec.ID, m.rec.Step, m.rec.Status, m.rec.Attempt, what}
	m.put(timerType(m.rec.Saga).New(t), m.now.Add(d))
}

// tick ends a wait, unless it has ended otherwise.
func (m *move[S]) tick(t tick) {
	if t.Step != m.rec.Step || t.Status != m.rec.Status || t.Attempt != m.rec.Attempt {
		return
	}
	switch {
	case t.What == retry:
		m.resend()
	case m.rec.Status == Compensating:
		m.again("deadline", errDeadline)
	default:
		m.fail(errDeadline, true)
	}
}
