package saga_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

// An answer that does not decode says nothing about the step: it is among the dead letters, and the
// step waits, for its deadline too.
func TestAnAnswerThatDoesNotDecodeIsADeadLetterAndMovesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := begun(t)
		w.answer(reserved.New(order{"o"}))
		poison := charged.New(order{"o"})
		poison.Payload = []byte("{")
		if err := w.handle(poison); !tidings.IsPermanent(err) {
			t.Errorf("got %v, want a permanent error", err)
		}
		equal(t, "now", w.now("o"), "running charge 1")
		w.wait(time.Hour)
		equal(t, "after its deadline", w.now("o"), "compensating reserve 1")
	})
}

func TestOlderTypesThatReadersTakeBeginAndAnswerInstances(t *testing.T) {
	bubble(t, func(t *testing.T) {
		newer := func(old *tidings.Type[order], name string) *tidings.Type[order] {
			return tidings.Define(old.Topic(), name, tidings.KeyBy(key),
				tidings.Upcast(old, func(o order) (order, error) { return o, nil }))
		}
		d := saga.New[checkout]("checkout", 1)
		saga.StartOn(d, newer(placed, "placed.v2"), func(m tidings.Msg[order]) (string, checkout) {
			return m.Data.Order, checkout{Order: m.Data.Order}
		})
		d.Step("reserve", sends(reserve)).Done(newer(reserved, "reserved.v2")).
			Undo(sends(release), newer(released, "released.v2"))
		d.Step("charge", sends(charge), saga.On(newer(charged, "charged.v2"),
			func(*checkout, tidings.Msg[order]) error { return errors.New("no") }))
		w := newWorld(t, d)
		for _, e := range []*tidings.Type[order]{placed, reserved, charged, released} {
			w.deliver(e.New(order{"o"}))
		}
		equal(t, "now", w.rec("o").Status, saga.Compensated)
	})
}

// Two sagas take the same event, and one cannot read it.
func TestAnEventIsTakenByEverySagaThatListens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		number := tidings.Define[int](placed.Topic(), placed.Name())
		other := saga.New[int]("counter", 1)
		saga.StartOn(other, number, func(m tidings.Msg[int]) (string, int) { return "n", m.Data })
		third := saga.New[checkout]("the third", 1)
		saga.StartOn(third, placed, func(m tidings.Msg[order]) (string, checkout) {
			return m.Data.Order, checkout{}
		})
		w := newWorld(t, define(1), other, third)
		if err := w.handle(placed.New(order{"o"})); !tidings.IsPermanent(err) {
			t.Errorf("got %v, want the permanent error of one", err)
		}
		equal(t, "one", w.now("o"), "running reserve 1")
		if _, err := w.Load(t.Context(), "the third", "o"); err != nil {
			t.Error(err)
		}
	})
}

// Versions may tell instances by different things.
func TestEachVersionFindsItsInstancesByItsOwnWords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var versions []*saga.Definition[checkout]
		for v, prefix := range []string{"old ", "new "} {
			d := saga.New[checkout]("checkout", v+1)
			d.Step("charge", sends(charge), saga.By(charged,
				func(m tidings.Msg[order]) string { return prefix + m.Data.Order },
				saga.On(charged, func(*checkout, tidings.Msg[order]) error { return nil })))
			versions = append(versions, d)
		}
		w := newWorld(t, versions[0], versions[1])
		w.start(versions[0], "old o")
		w.start(versions[1], "new o")
		w.start(versions[0], "new p") // of the old one, by the name of the other
		w.deliver(charged.New(order{"o"}))
		equal(t, "old", w.rec("old o").Status, saga.Completed)
		equal(t, "new", w.rec("new o").Status, saga.Completed)
		w.deliver(charged.New(order{"p"}))
		equal(t, "other", w.rec("new p").Status, saga.Running)
	})
}

func TestAnInstanceWhoseStateDoesNotDecodeIsStuckUntilADefinitionReadsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		numbers := saga.New[int]("checkout", 1)
		numbers.Step("reserve", func(int) tidings.Event { return reserve.New(order{"o"}) }).Done(reserved)
		w := newWorld(t, numbers)
		if _, err := numbers.Start(t.Context(), w, "o", 7); err != nil {
			t.Fatal(err)
		}
		w.routes = saga.Routes(w, define(1))
		answer := reserved.New(order{"o"})
		for range 2 {
			if err := w.handle(answer); !tidings.IsPermanent(err) {
				t.Errorf("got %v, want a permanent error", err)
			}
		}
		before := w.rec("o")
		equal(t, "now", []any{w.now("o"), len(before.History)}, []any{"stuck reserve 1", 3})
		if err := define(1).Resolve(t.Context(), w, "o", saga.RetryStep); err == nil {
			t.Error("it was resolved by a definition that cannot read it")
		}
		equal(t, "after that", w.rec("o"), before)
		w.routes = saga.Routes(w, numbers)
		w.deliver(answer)
		equal(t, "redriven", w.rec("o").Status, saga.Completed)
	})
}

func TestAPanicOfAStepLeavesTheInstanceAsItWas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[checkout]("checkout", 1)
		panics := true
		d.Step("a", sends(charge)).Done(charged)
		d.Step("b", func(s checkout) tidings.Event {
			if panics {
				panic("oops")
			}
			return ship.New(order{s.Order})
		}).Done(shipped)
		w := newWorld(t, d)
		w.start(d, "o")
		before, answer := w.rec("o"), charged.New(order{"o"})
		func() {
			defer func() { _ = recover() }() // as a service does
			w.deliver(answer)
		}()
		equal(t, "after the panic", w.rec("o"), before)
		panics = false
		w.deliver(answer)
		equal(t, "again", w.now("o"), "running b 1")
	})
}

type forgetful struct {
	Order  string
	secret string
}

// A field that is not in the JSON is not there for the first step either.
func TestStepsSeeTheStateAsItsJSONGivesItBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[forgetful]("checkout", 1)
		sends := func(s forgetful) tidings.Event { return charge.New(order{s.Order + s.secret}) }
		d.Step("a", sends, saga.On(charged, func(s *forgetful, _ tidings.Msg[order]) error {
			s.secret = "!"
			return nil
		}))
		d.Step("b", sends)
		w := newWorld(t, d)
		if _, err := d.Start(t.Context(), w, "o", forgetful{"o", "?"}); err != nil {
			t.Fatal(err)
		}
		w.deliver(charged.New(order{"o"}))
		for _, e := range w.sent {
			equal(t, "sent", string(e.Payload), `{"Order":"o"}`)
		}
	})
}

// Nor is it there for the compensations after a failure that has set it.
func TestCompensationsSeeTheStateAsItsJSONGivesItBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[forgetful]("checkout", 1)
		d.Step("a", func(s forgetful) tidings.Event { return charge.New(order{s.Order}) },
			saga.On(declined, func(s *forgetful, _ tidings.Msg[order]) error {
				s.secret = "!"
				return errors.New("no")
			}))
		d.Compensated(func(s forgetful, _ string) tidings.Event {
			return rejected.New(order{s.Order + s.secret})
		})
		w := newWorld(t, d)
		if _, err := d.Start(t.Context(), w, "o", forgetful{"o", ""}); err != nil {
			t.Fatal(err)
		}
		w.deliver(declined.New(order{"o"}))
		equal(t, "sent", string(w.last().Payload), `{"Order":"o"}`)
	})
}

type oneWay struct{ Order string }

func (oneWay) MarshalJSON() ([]byte, error) { return []byte("7"), nil }

func TestAStateThatDoesNotReadBackIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[oneWay]("checkout", 1)
		d.Step("a", func(oneWay) tidings.Event { return charge.New(order{"o"}) })
		w := newWorld(t, d)
		if begun, err := d.Start(t.Context(), w, "o", oneWay{}); begun || !tidings.IsPermanent(err) {
			t.Errorf("begun %v, %v", begun, err)
		}
		if _, err := w.Load(t.Context(), "checkout", "o"); !errors.Is(err, saga.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestAStepThatMakesNoEventIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[checkout]("checkout", 1)
		d.Step("a", func(checkout) tidings.Event { return tidings.Event{} })
		if _, err := d.Start(t.Context(), newWorld(t, d), "o", checkout{}); !tidings.IsPermanent(err) {
			t.Errorf("got %v, want a permanent error", err)
		}
	})
}

func TestAnIDIsAnyTextThatIsNotEmpty(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, id := range []string{"a/b", "/", "a#do:reserve", "#", "ü", "a b", "1"} {
			w := begun(t)
			w.deliver(placed.New(order{id}))
			w.answer(reserved.New(order{"not " + id}))
			equal(t, id, w.now(id), "running charge 1")
		}
		w := begun(t)
		for _, id := range []string{"", "a\x00b", "\xff", strings.Repeat("x", saga.MaxID+1)} {
			if _, err := define(1).Start(t.Context(), w, id, checkout{}); !tidings.IsPermanent(err) {
				t.Errorf("start %.9q: %v, want a permanent error", id, err)
			}
			if _, err := define(1).Get(t.Context(), w, id); !errors.Is(err, saga.ErrNotFound) {
				t.Errorf("get %.9q: %v, want ErrNotFound", id, err)
			}
			err := define(1).Resolve(t.Context(), w, id, saga.RetryStep)
			if !errors.Is(err, saga.ErrNotFound) {
				t.Errorf("resolve %.9q: %v, want ErrNotFound", id, err)
			}
		}
		if err := w.handle(placed.New(order{""})); !tidings.IsPermanent(err) {
			t.Errorf("got %v, want a permanent error", err)
		}
		w.deliver(reserved.New(order{""})) // of nobody
		err := define(1).Resolve(t.Context(), w, "nobody", saga.RetryStep)
		if !errors.Is(err, saga.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestAnInstanceWithoutStepsIsCompletedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := saga.New[checkout]("checkout", 1)
		w := newWorld(t, d)
		w.start(d, "o")
		equal(t, "now", w.rec("o").Status, saga.Completed)
	})
}

// A pivot fails like any other step until it is done, also as the last.
func TestAPivotThatFailsIsCompensated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, fails := range []bool{true, false} {
			d := saga.New[checkout]("checkout", 1)
			d.Step("reserve", sends(reserve)).Undo(sends(release))
			d.Step("charge", sends(charge)).Done(charged).Fails(declined).Pivot()
			w := newWorld(t, d)
			w.start(d, "o")
			if fails {
				w.answer(declined.New(order{"o"}))
				equal(t, "sent", w.types(), "stock.reserve pay.charge stock.release")
				equal(t, "failed", w.rec("o").Status, saga.Compensated)
			} else {
				w.answer(charged.New(order{"o"}))
				equal(t, "done", w.rec("o").Status, saga.Completed)
			}
		}
	})
}

func TestWhatAnInstanceKeepsIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		size := 0
		d := saga.New[checkout]("checkout", 1)
		d.Step("charge", sends(charge)).Pivot()
		d.Step("ship", sends(ship), saga.On(lost, func(*checkout, tidings.Msg[order]) error {
			return errors.New(strings.Repeat("x", size))
		})).Retries(saga.MaxHistory)
		w := newWorld(t, d)
		w.start(d, "o")
		for i := range saga.MaxHistory/2 + 5 { // each is a failure and a command
			w.deliver(lost.New(order{"o"}, tidings.WithID(fmt.Sprint(i))))
			w.wait(time.Hour)
		}
		rec := w.rec("o")
		equal(t, "history", len(rec.History), saga.MaxHistory)
		equal(t, "forgotten", rec.Forgotten > 0, true)
		size = 4 * saga.MaxReason
		w.deliver(lost.New(order{"o"}))
		history := w.rec("o").History
		equal(t, "text", len(history[len(history)-1].Err), saga.MaxReason)
	})
}
