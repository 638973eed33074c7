package saga_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

type order struct{ Order string }

type checkout struct{ Order, Payment string }

func key(o order) string { return o.Order }

func event(name string) *tidings.Type[order] {
	return tidings.Define(strings.SplitN(name, ".", 2)[0], "shop."+name, tidings.KeyBy(key))
}

func command(name string) *tidings.Command[order] {
	return tidings.DefineCommand(strings.SplitN(name, ".", 2)[0], "shop."+name, tidings.KeyBy(key))
}

var (
	placed    = event("orders.placed")
	reserve   = command("stock.reserve")
	reserved  = event("stock.reserved")
	soldOut   = event("stock.soldout")
	release   = command("stock.release")
	released  = event("stock.released")
	charge    = command("pay.charge")
	charged   = event("pay.charged")
	declined  = event("pay.declined")
	refund    = command("pay.refund")
	ship      = command("ship.ship")
	shipped   = event("ship.shipped")
	lost      = event("ship.lost")
	confirmed = event("orders.confirmed")
	rejected  = event("orders.rejected")
)

func sends(c interface {
	New(order, ...tidings.EventOption) tidings.Event
}) func(checkout) tidings.Event {
	return func(s checkout) tidings.Event { return c.New(order{s.Order}) }
}

// define is a checkout: reserve, charge, then the pivot: ship, confirm.
func define(version int) *saga.Definition[checkout] { return reserving(version, time.Minute) }

// reserving is a checkout whose first step has a deadline.
func reserving(version int, within time.Duration) *saga.Definition[checkout] {
	d := saga.New[checkout]("checkout", version)
	saga.StartOn(d, placed, func(m tidings.Msg[order]) (string, checkout) {
		return m.Data.Order, checkout{Order: m.Data.Order}
	})
	d.Step("reserve", sends(reserve)).Done(reserved).Fails(soldOut).
		Undo(sends(release), released).Within(within)
	d.Step("charge", sends(charge),
		saga.On(charged, func(s *checkout, m tidings.Msg[order]) error { s.Payment = m.ID; return nil }),
		saga.On(declined, func(*checkout, tidings.Msg[order]) error { return errors.New("no money") })).
		Undo(sends(refund)).Within(time.Hour).Pivot()
	d.Step("ship", sends(ship)).Done(shipped).Fails(lost).Within(time.Hour).Retries(3)
	d.Step("confirm", sends(confirmed))
	return d.Compensated(func(s checkout, reason string) tidings.Event {
		return rejected.New(order{s.Order + ": " + reason})
	})
}

func begun(t *testing.T) *world {
	w := newWorld(t, define(1))
	w.deliver(placed.New(order{"o"}))
	return w
}

func TestStepsRunInOrderEachAfterTheAnswerToTheLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		equal(t, "first", w.now("o"), "running reserve 1")
		w.answer(reserved.New(order{"o"}))
		equal(t, "second", w.now("o"), "running charge 1")
		paid := w.answer(charged.New(order{"o"}))
		w.answer(shipped.New(order{"o"}))
		equal(t, "sent", w.types(), "stock.reserve pay.charge ship.ship orders.confirmed")
		equal(t, "ended", w.now("o"), "completed  0")
		got, err := define(1).Get(t.Context(), w, "o")
		equal(t, "state", got.State, checkout{"o", paid.ID})
		equal(t, "error", err, nil)
		equal(t, "done", got.Done, []string{"reserve", "charge", "ship", "confirm"})
		w.wait(24 * time.Hour) // timers of steps that are done do nothing
		equal(t, "after all timers", w.rec("o").Status, saga.Completed)
	})
}

func TestWhenAStepFailsWhatWasDoneIsUndoneInReverse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[checkout]("checkout", 1)
		for _, name := range []string{"a", "b", "c"} {
			d.Step(name, sends(command(name+".do"))).
				Done(event(name + ".done")).Fails(event(name + ".fail")).
				Undo(sends(command(name + ".undo")))
		}
		w := newWorld(t, d)
		if _, err := d.Start(t.Context(), w, "o", checkout{Order: "o"}); err != nil {
			t.Fatal(err)
		}
		w.answer(event("a.done").New(order{"o"}))
		w.answer(event("b.done").New(order{"o"}))
		w.answer(event("c.fail").New(order{"o"}))
		equal(t, "sent", w.types(), "a.do b.do c.do b.undo a.undo")
		equal(t, "now", w.rec("o").Status, saga.Compensated)
		equal(t, "why", w.rec("o").Reason, "answered by shop.c.fail")
	})
}

func TestACompensationIsSentAgainUntilItIsAnsweredOrStuck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.answer(reserved.New(order{"o"}))
		w.answer(declined.New(order{"o"}))
		first := w.sent[len(w.sent)-1]
		equal(t, "undo", w.now("o"), "compensating reserve 1")
		w.wait(time.Minute + 2*time.Second)
		again := w.sent[len(w.sent)-1]
		equal(t, "again", []any{w.now("o"), again.Type, again.ID},
			[]any{"compensating reserve 2", release.Name(), first.ID})
		w.wait(24 * time.Hour)
		equal(t, "at last", w.rec("o").Status, saga.Stuck)
		equal(t, "sent", strings.Count(w.types(), "stock.release"), 1+saga.DefaultRetries)

		if err := define(1).Resolve(t.Context(), w, "o", saga.RetryStep); err != nil {
			t.Fatal(err)
		}
		equal(t, "resolved", w.now("o"), "compensating reserve 1")
		w.answer(released.New(order{"o"}))
		equal(t, "sent", w.types(), "stock.release orders.rejected")
		equal(t, "ended", w.rec("o").Status, saga.Compensated)
	})
}

// A step that ended by its deadline may have been done all the same, so its own compensation is
// sent too.
func TestAStepThatEndedByItsDeadlineIsUndoneToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.wait(59 * time.Second)
		equal(t, "before", w.now("o"), "running reserve 1")
		w.wait(time.Second)
		equal(t, "after", w.now("o"), "compensating reserve 1")
		w.answer(reserved.New(order{"o"})) // late
		equal(t, "late", w.now("o"), "compensating reserve 1")
		w.answer(released.New(order{"o"}))
		equal(t, "sent", w.types(), "stock.reserve stock.release orders.rejected")
	})
}

func TestAfterThePivotStepsAreTriedAgainAndNothingIsCompensated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.answer(reserved.New(order{"o"}))
		w.answer(charged.New(order{"o"}))
		w.answer(lost.New(order{"o"}))
		equal(t, "failed", w.now("o"), "running ship 1")
		w.wait(time.Second)
		equal(t, "again", w.now("o"), "running ship 2")
		w.wait(24 * time.Hour)
		equal(t, "sent", w.types(), "stock.reserve pay.charge"+strings.Repeat(" ship.ship", 4))
		equal(t, "at last", w.now("o"), "stuck ship 4")
		w.deliver(lost.New(order{"o"}))
		equal(t, "a late failure of a stuck one", w.now("o"), "stuck ship 4")

		if err := define(1).Resolve(t.Context(), w, "o", saga.SkipStep); err != nil {
			t.Fatal(err)
		}
		equal(t, "sent", w.types(), "orders.confirmed")
		equal(t, "resolved", w.rec("o").Status, saga.Completed)
	})
}

func TestEachAnswerMovesAnInstanceAtMostOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.deliver(placed.New(order{"o"}))
		answer := w.answer(reserved.New(order{"o"}))
		w.deliver(answer)
		w.answer(charged.New(order{"o"}))
		w.deliver(answer)
		equal(t, "sent", w.types(), "stock.reserve pay.charge ship.ship")
	})
}

func TestACommandHasTheSameIDHoweverOftenItIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, two := begun(t), begun(t)
		equal(t, "of one instance", one.sent[0].ID, two.sent[0].ID)
		one.deliver(placed.New(order{"other"}))
		if one.sent[0].ID == one.sent[1].ID {
			t.Error("two instances send commands under one id")
		}
	})
}

// An answer finds its instance by "sagaid", which events inherit however many hops later; without
// it, by its key, unless By says otherwise.
func TestAnAnswerFindsItsInstance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		hop := event("x.hop").New(order{"x"})
		cause := w.sent[0]
		tidings.Stamp(tidings.Handling(t.Context(), "a", "a", &cause), "", &hop)
		far := reserved.New(order{"not o"})
		tidings.Stamp(tidings.Handling(t.Context(), "b", "b", &hop), "", &far)
		equal(t, "correlation", far.Correlation, cause.Correlation)
		w.deliver(far)
		equal(t, "after two hops", w.now("o"), "running charge 1")
		w.deliver(charged.New(order{"o"}))
		equal(t, "by its key", w.now("o"), "running ship 1")
	})
}

func TestByNamesTheInstanceOfAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[checkout]("checkout", 1)
		answer := saga.By(charged, func(m tidings.Msg[order]) string { return "of " + m.Data.Order },
			saga.On(charged, func(*checkout, tidings.Msg[order]) error { return nil }))
		d.Step("charge", sends(charge), answer)
		w := newWorld(t, d)
		if _, err := d.Start(t.Context(), w, "of p", checkout{}); err != nil {
			t.Fatal(err)
		}
		w.deliver(charged.New(order{"p"}))
		equal(t, "now", w.rec("of p").Status, saga.Completed)
	})
}

// Instances stay with the version that they began with; one whose version nobody knows is stuck.
func TestVersionsRunSideBySide(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		v2 := saga.New[checkout]("checkout", 2)
		saga.StartOn(v2, placed, func(m tidings.Msg[order]) (string, checkout) {
			return m.Data.Order, checkout{Order: m.Data.Order}
		})
		v2.Step("charge first", sends(charge)).Done(charged)
		v2.Step("reserve", sends(reserve)).Done(reserved)

		w.routes = saga.Routes(w, define(1), v2)
		w.deliver(placed.New(order{"new"}))
		equal(t, "new", w.now("new"), "running charge first 1")
		w.deliver(reserved.New(order{"o"}))
		equal(t, "old", w.now("o"), "running charge 1")

		w.routes = saga.Routes(w, v2)
		answer := charged.New(order{"o"})
		if err := w.handle(answer); !tidings.IsPermanent(err) {
			t.Errorf("got %v, want a permanent error: the answer is kept among the dead letters", err)
		}
		equal(t, "without its version", w.now("o"), "stuck charge 1")
		equal(t, "why", w.rec("o").Reason, "no definition of version 1 is registered")
		if err := v2.Resolve(t.Context(), w, "o", saga.RetryStep); err == nil {
			t.Error("an instance was resolved by the definition of another version")
		}

		w.routes = saga.Routes(w, define(1), v2)
		w.deliver(answer)
		equal(t, "redriven, with its version", w.now("o"), "running ship 1")
	})
}

func TestTheHistoryTellsEveryTransition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.answer(soldOut.New(order{"o"}))
		var lines []string
		for _, h := range w.rec("o").History {
			lines = append(lines, strings.Join([]string{h.Step, h.What, string(h.To), h.Err}, "/"))
		}
		equal(t, "history", lines, []string{"/started/running/", "reserve/sent/running/",
			"reserve/failed/running/answered by shop.stock.soldout", "reserve/compensating/compensating/",
			"reserve/ended/compensated/"})
	})
}

func TestAllListsTheInstancesThatAFilterSelects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.deliver(placed.New(order{"p"}))
		w.answer(soldOut.New(order{"p"}))
		var ids []string
		running := saga.Filter{Status: []saga.Status{saga.Running}}
		for in, err := range define(1).All(t.Context(), w, running) {
			equal(t, "error", err, nil)
			ids = append(ids, in.ID+in.State.Order)
		}
		equal(t, "running", ids, []string{"oo"})
	})
}

func TestARunningInstanceCanBeCompensatedByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.answer(reserved.New(order{"o"}))
		for _, how := range []saga.Resolution{saga.RetryStep, saga.SkipStep} {
			if err := define(1).Resolve(t.Context(), w, "o", how); !errors.Is(err, saga.ErrNotStuck) {
				t.Errorf("got %v", err)
			}
		}
		if err := define(1).Resolve(t.Context(), w, "o", saga.Compensate); err != nil {
			t.Fatal(err)
		}
		equal(t, "now", w.now("o"), "compensating reserve 1")
		equal(t, "sent", w.types(), "stock.reserve pay.charge pay.refund stock.release")
	})
}
