package saga_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

// answerTo delivers e as the handler of a command would publish it.
func (w *world) answerTo(cause tidings.Event, e tidings.Event) tidings.Event {
	w.t.Helper()
	tidings.Stamp(tidings.Handling(w.t.Context(), "other", "other", &cause), "", &e)
	w.deliver(e)
	return e
}

// last is what was sent last.
func (w *world) last() tidings.Event { return w.sent[len(w.sent)-1] }

func (w *world) start(d *saga.Definition[checkout], id string) {
	w.t.Helper()
	if _, err := d.Start(w.t.Context(), w, id, checkout{Order: id}); err != nil {
		w.t.Fatal(err)
	}
}

// pastPivot is a saga whose first step is the pivot, and whose second may be tried again.
func pastPivot() *saga.Definition[checkout] {
	d := saga.New[checkout]("checkout", 1)
	d.Step("charge", sends(charge)).Pivot()
	d.Step("ship", sends(ship)).Done(shipped).Fails(lost).Within(time.Hour).Retries(2)
	return d
}

// A handler with an inbox takes a command that it has answered for done: after a failure it gets a
// new one. After a deadline nobody knows, and it gets the same one.
func TestAfterAFailureACommandIsANewOneAndAfterADeadlineTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, pastPivot())
		w.start(pastPivot(), "o")
		first := w.last().ID
		w.wait(time.Hour + time.Second)
		equal(t, "after the deadline", []any{w.now("o"), w.last().ID}, []any{"running ship 2", first})
		w.answer(lost.New(order{"o"}))
		w.wait(2 * time.Second)
		equal(t, "after the failure", w.now("o"), "running ship 3")
		if w.last().ID == first {
			t.Error("the command that failed was sent again")
		}
	})
}

func TestAFailureOfAnEarlierCommandDoesNotFailTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, pastPivot())
		w.start(pastPivot(), "o")
		command := w.last()
		failure := w.answerTo(command, lost.New(order{"o"}))
		w.deliver(failure)
		w.wait(time.Second)
		equal(t, "again", w.now("o"), "running ship 2")
		w.deliver(failure)                        // the same event once more
		w.answerTo(command, lost.New(order{"o"})) // of a handler that was called twice
		equal(t, "failures", w.rec("o").Failed, 1)
		w.wait(10 * time.Second)
		equal(t, "sent", w.types(), "pay.charge ship.ship ship.ship")
		w.answerTo(command, shipped.New(order{"o"})) // it was shipped after all
		equal(t, "now", w.rec("o").Status, saga.Completed)
	})
}

// same is a saga of two steps that are answered by one type, and undone by it too.
func same() *saga.Definition[checkout] {
	d := saga.New[checkout]("checkout", 1)
	for _, name := range []string{"a", "b"} {
		d.Step(name, sends(command(name+".do"))).Done(shipped).Fails(lost).
			Undo(sends(command(name+".undo")), shipped)
	}
	return d
}

func TestAnAnswerOfATypeThatStepsShareIsForTheStepWhoseCommandItAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, same())
		w.start(same(), "o")
		first := w.last()
		answer := w.answerTo(first, shipped.New(order{"o"}))
		equal(t, "second", w.now("o"), "running b 1")
		second := w.last()
		w.deliver(answer)
		w.answerTo(first, shipped.New(order{"o"}))
		equal(t, "late answers to the first", w.now("o"), "running b 1")
		w.answerTo(second, lost.New(order{"o"}))
		equal(t, "undoing", w.now("o"), "compensating a 1")
		w.answerTo(first, shipped.New(order{"o"}))
		w.answerTo(second, shipped.New(order{"o"}))
		equal(t, "late answers to both", w.now("o"), "compensating a 1")
		w.answer(shipped.New(order{"o"}))
		equal(t, "undone", w.rec("o").Status, saga.Compensated)
	})
}

// A later step may wait for what the command of an earlier one sets off, many hops later.
func TestAnAnswerMayComeFromTheCommandOfAnEarlierStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.answer(reserved.New(order{"o"}))
		cause := w.last()
		w.answerTo(cause, charged.New(order{"o"}))
		w.answerTo(cause, shipped.New(order{"o"}))
		equal(t, "now", w.rec("o").Status, saga.Completed)
	})
}

func TestTheEventThatBeginsAnInstanceDoesNotAnswerItToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[checkout]("checkout", 1)
		saga.StartOn(d, placed, func(m tidings.Msg[order]) (string, checkout) {
			return m.Data.Order, checkout{Order: m.Data.Order}
		})
		d.Step("a", sends(charge)).Done(placed)
		w := newWorld(t, d)
		e := placed.New(order{"o"})
		w.deliver(e)
		w.deliver(e)
		equal(t, "begun", w.now("o"), "running a 1")
		w.deliver(placed.New(order{"o"}))
		equal(t, "answered by another", w.rec("o").Status, saga.Completed)
	})
}

// The deadline of an attempt that ended otherwise is still under way when the step waits again.
func TestAnOldDeadlineDoesNotEndALaterWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := pastPivot()
		w := newWorld(t, d)
		w.start(d, "o")
		for range 3 {
			w.answer(lost.New(order{"o"}))
			w.wait(5 * time.Second)
		}
		equal(t, "stuck", w.now("o"), "stuck ship 3")
		if err := d.Resolve(t.Context(), w, "o", saga.RetryStep); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Hour - time.Second)
		equal(t, "before its own deadline", w.now("o"), "running ship 1")
		w.wait(2 * time.Second)
		equal(t, "behind it", w.now("o"), "running ship 2")
	})
}

// Whoever has handled a command does not answer it twice, so an answer must not be lost on one that
// is stuck.
func TestAStuckInstanceIsResumedByTheAnswerThatWasWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, pastPivot())
		w.start(pastPivot(), "o")
		w.wait(24 * time.Hour)
		equal(t, "stuck", w.now("o"), "stuck ship 3")
		w.answer(shipped.New(order{"o"}))
		equal(t, "now", w.rec("o").Status, saga.Completed)

		w = begun(t)
		w.answer(soldOut.New(order{"o"}))
		w.deliver(placed.New(order{"p"}))
		w.answer(reserved.New(order{"p"}))
		w.answer(declined.New(order{"p"}))
		w.wait(24 * time.Hour)
		equal(t, "stuck", w.now("p"), "stuck reserve 11")
		w.answer(released.New(order{"p"}))
		equal(t, "now", w.rec("p").Status, saga.Compensated)
	})
}

// An id and a source tell an event from others, so both stay, whoever makes the transition: a
// program, a service, or somebody who resolves it.
func TestACommandHasOneSourceAndOneConversation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := pastPivot()
		w := newWorld(t, d)
		w.start(d, "o")
		w.wait(2 * time.Hour)
		w.wait(24 * time.Hour)
		if err := d.Resolve(t.Context(), w, "o", saga.RetryStep); err != nil {
			t.Fatal(err)
		}
		conversation := w.sent[0].Correlation
		for _, e := range w.sent {
			equal(t, "source and conversation", []string{e.Source, e.Correlation},
				[]string{"checkout", conversation})
		}
		equal(t, "sent", w.types(), "pay.charge"+strings.Repeat(" ship.ship", 4))
	})
}
