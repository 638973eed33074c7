package saga_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

// halted is an instance of version 1 that waits for its charge, and then gets e where nobody knows
// its version. After that there is its definition again.
func halted(t *testing.T, e func(w *world) tidings.Event) (*world, tidings.Event) {
	t.Helper()
	w := begun(t)
	w.answer(reserved.New(order{"o"}))
	came := e(w)
	w.routes = saga.Routes(w, define(2))
	if err := w.handle(came); !tidings.IsPermanent(err) {
		t.Errorf("got %v, want a permanent error: what came is kept among the dead letters", err)
	}
	equal(t, "without its version", w.now("o"), "stuck charge 1")
	w.routes = saga.Routes(w, define(1), define(2))
	return w, came
}

// deadlineOf is the timer of the present step, taken from those that are under way.
func deadlineOf(w *world) tidings.Event {
	i := w.next(time.Now().Add(time.Hour))
	for w.timers[i].At.Before(time.Now().Add(time.Hour)) { // of the step before
		w.timers = slices.Delete(w.timers, i, i+1)
		i = w.next(time.Now().Add(time.Hour))
	}
	e := w.timers[i].Event
	w.timers = slices.Delete(w.timers, i, i+1)
	return e
}

func TestAFailureThatCameWithoutADefinitionFailsItsStepWhenItIsRedriven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, failure := halted(t, func(w *world) tidings.Event {
			e, cause := declined.New(order{"o"}), w.last()
			tidings.Stamp(tidings.Handling(t.Context(), "pay", "pay", &cause), "", &e)
			return e
		})
		w.deliver(failure)
		equal(t, "redriven", w.now("o"), "compensating reserve 1")
		w.deliver(failure)
		equal(t, "and once more", w.now("o"), "compensating reserve 1")
	})
}

func TestADeadlineThatCameWithoutADefinitionEndsItsStepWhenItIsRedriven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, timer := halted(t, deadlineOf)
		w.deliver(timer)
		equal(t, "redriven", w.now("o"), "compensating reserve 1")
		equal(t, "sent", w.types(), "stock.reserve pay.charge pay.refund stock.release")
	})
}

// Whatever halted it, an answer to somebody else for example, the instance goes on waiting, and so
// does its deadline.
func TestADeadlineEndsTheStepOfAnInstanceThatWasHaltedBySomethingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, late := halted(t, func(*world) tidings.Event { return reserved.New(order{"o"}) })
		w.deliver(late)
		w.wait(time.Hour)
		equal(t, "after the deadline", w.now("o"), "compensating reserve 1")
	})
}

// That it was stuck on the way is another matter.
func TestWhatIsCompensatedSaysWhyTheSagaFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.answer(reserved.New(order{"o"}))
		w.answer(declined.New(order{"o"}))
		w.wait(24 * time.Hour)
		equal(t, "now", w.now("o"), "stuck reserve 11")
		w.answer(released.New(order{"o"}))
		equal(t, "published", string(w.last().Payload), `{"Order":"o: no money"}`)
	})
}
