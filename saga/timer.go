package saga

import (
	"errors"
	"time"

	"github.com/tidings-io/tidings"
)

// tick is the data of a timer: which wait of which instance it ends.
type tick struct {
	ID   string
	Wait int
	What ticking
	Step string // for people
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
	t := tick{m.rec.ID, m.rec.Wait, what, m.rec.Step}
	m.put(timerType(m.rec.Saga).New(t), m.now.Add(d))
}

// tick ends a wait, unless it has ended otherwise.
func (m *move[S]) tick(t tick) error {
	if t.Wait != m.rec.Wait || m.rec.gaveUp() {
		return errUnmoved
	}
	m.resume()
	switch {
	case t.What == retry:
		m.resend()
	case m.rec.Status == Compensating:
		m.again("deadline", errDeadline)
	default:
		m.fail(errDeadline, true)
	}
	return nil
}
