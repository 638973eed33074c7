package tidingstest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

// SagaScenario tells in a test what a saga does when something happens. Its methods are called by
// one goroutine, and end the test where what they say is not so.
type SagaScenario[S any] struct {
	t     testing.TB
	s     *Scenario
	def   *saga.Definition[S]
	store *noting
	last  tidings.Event // that the saga has sent
}

// Saga begins a scenario of a saga, with its instances and whatever it sends in memory. Other
// versions, or sagas that listen too, are others.
//
//	tidingstest.Saga(t, checkout).
//		When(OrderPlaced.New(Placed{Order: "o-1"})).
//		ThenSends(Reserve.New(Reservation{Order: "o-1"})).
//		Answer(Reserved.New(Reservation{Order: "o-1"})).
//		ThenSends(Charge.New(Payment{Order: "o-1"})).
//		Advance(time.Hour). // its deadline, in a bubble of testing/synctest
//		ThenSends(Release.New(Reservation{Order: "o-1"})).
//		ThenStatus(saga.Compensating)
//
// What is told of an instance is told of the one that was begun or moved last.
func Saga[S any](t testing.TB, def *saga.Definition[S], others ...saga.Machine) *SagaScenario[S] {
	broker := NewTransport()
	store := &noting{Sagas: NewSagas(broker), name: def.Name()}
	service := tidings.NewService("test", broker, silent()).Subscribe(
		tidings.Policy{}, saga.Routes(store, append(others, def)...)...)
	return &SagaScenario[S]{t: t, s: Handle(t, broker, service), def: def, store: store}
}

// noting notes which instance was updated last.
type noting struct {
	*Sagas
	name string

	mu sync.Mutex
	id string
}

// Update is that of saga.Store.
func (n *noting) Update(ctx context.Context, name, id string,
	fn func(*saga.Record) ([]saga.Outgoing, error)) error {
	there := false
	err := n.Sagas.Update(ctx, name, id, func(rec *saga.Record) ([]saga.Outgoing, error) {
		out, err := fn(rec)
		there = rec.Version != 0
		return out, err
	})
	if err == nil && there && name == n.name {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.id = id
	}
	return err
}

func (n *noting) current() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}

// Start begins an instance without an event. It is an error of the scenario where there is one.
func (s *SagaScenario[S]) Start(id string, state S) *SagaScenario[S] {
	s.t.Helper()
	s.s.look()
	s.s.reset()
	begun, err := s.def.Start(s.t.Context(), s.store, id, state)
	if err == nil && !begun {
		s.t.Fatalf("start: instance %q is there already", id)
	}
	return s.did(err)
}

// Given is what has happened before: events that the saga has handled without an error. What it
// sent is forgotten.
func (s *SagaScenario[S]) Given(events ...tidings.Event) *SagaScenario[S] {
	s.t.Helper()
	s.When(events...)
	s.good("given")
	s.s.reset()
	return s
}

// When has the saga handle events as they come from anybody: they find their instance by its key,
// or by saga.By. After an error it handles no more of them.
func (s *SagaScenario[S]) When(events ...tidings.Event) *SagaScenario[S] {
	s.t.Helper()
	s.s.When(events...)
	return s.did(nil)
}

// Answer is When for events as the handler of the last command publishes them, which leads them to
// its instance whatever their keys.
func (s *SagaScenario[S]) Answer(events ...tidings.Event) *SagaScenario[S] {
	s.t.Helper()
	if s.last.ID == "" {
		s.t.Fatalf("answer: the saga has sent no command")
	}
	ctx := tidings.Handling(s.t.Context(), "other", "other", &s.last)
	stamped := make([]tidings.Event, len(events))
	for i, e := range events {
		tidings.Stamp(ctx, "", &e)
		stamped[i] = e
	}
	return s.When(stamped...)
}

// Advance lets time pass, and with it deadlines and pauses, in their order. It needs the virtual
// time of a bubble of testing/synctest.
func (s *SagaScenario[S]) Advance(d time.Duration) *SagaScenario[S] {
	s.t.Helper()
	if time.Now().Year() > 2015 { // bubbles begin in 2000
		s.t.Fatalf("Advance waits for the real clock: run the scenario in testing/synctest")
	}
	s.s.Advance(d)
	return s.did(nil)
}

// Resolve is saga.Definition.Resolve of the instance.
func (s *SagaScenario[S]) Resolve(how saga.Resolution) *SagaScenario[S] {
	s.t.Helper()
	s.s.look()
	s.s.reset()
	return s.did(s.def.Resolve(s.t.Context(), s.store, s.store.current(), how))
}

// did notes what has been sent by now, and an error.
func (s *SagaScenario[S]) did(err error) *SagaScenario[S] {
	s.s.out = append(s.s.out, s.s.look()...)
	if err != nil {
		s.s.err = err
	}
	if n := len(s.s.out); n > 0 {
		s.last = s.s.out[n-1]
	}
	return s
}

// ThenSends wants the events to have been sent since the last Start, When, Answer or Resolve, no
// other ones, in this order; without events nothing. They are equal when kind, topic, type, key and
// data are, as for Scenario.Then. Timers do not count.
func (s *SagaScenario[S]) ThenSends(want ...tidings.Event) *SagaScenario[S] {
	s.t.Helper()
	s.good("then sends")
	s.s.compare("sent", s.s.out, want)
	s.s.reset()
	return s
}

// ThenStatus wants a status of the instance.
func (s *SagaScenario[S]) ThenStatus(want saga.Status) *SagaScenario[S] {
	s.t.Helper()
	if in := s.Instance(); in.Status != want {
		s.t.Fatalf("status of %s\ngot  %s\nwant %s%s", in.ID, in.Status, want, history(in.Record))
	}
	return s
}

// ThenStep wants the instance to wait for the answer of a step, or for that of its compensation.
// "" is none: it has ended.
func (s *SagaScenario[S]) ThenStep(want string) *SagaScenario[S] {
	s.t.Helper()
	if in := s.Instance(); in.Step != want {
		s.t.Fatalf("step of %s\ngot  %q\nwant %q%s", in.ID, in.Step, want, history(in.Record))
	}
	return s
}

// ThenState wants a state of the instance. States are equal when their JSON is.
func (s *SagaScenario[S]) ThenState(want S) *SagaScenario[S] {
	s.t.Helper()
	in := s.Instance()
	if diff := differ(s.json(in.State), s.json(want)); diff != "" {
		s.t.Fatalf("state of %s (- missing, + not wanted)\n%s", in.ID, diff)
	}
	return s
}

func (s *SagaScenario[S]) json(state S) []string {
	s.t.Helper()
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		s.t.Fatalf("state: %v", err)
	}
	return strings.Split(string(text), "\n")
}

// ThenError wants what was done last to have failed with an error that errors.Is target.
func (s *SagaScenario[S]) ThenError(target error) *SagaScenario[S] {
	s.t.Helper()
	s.s.ThenError(target)
	return s
}

// Instance is the one that was begun or moved last, for what no Then asks.
func (s *SagaScenario[S]) Instance() saga.Instance[S] {
	s.t.Helper()
	s.good("then")
	in, err := s.def.Get(s.t.Context(), s.store, s.store.current())
	if err != nil {
		s.t.Fatalf("no instance: %v", err)
	}
	return in
}

// good wants no error that no ThenError has asked for.
func (s *SagaScenario[S]) good(what string) {
	s.t.Helper()
	if s.s.err != nil {
		s.t.Fatalf("%s: the saga failed: %v", what, s.s.err)
	}
}

// history is what happened to an instance, a line for each transition.
func history(rec saga.Record) string {
	var b strings.Builder
	b.WriteString("\nits history")
	for _, h := range rec.History {
		fmt.Fprintf(&b, "\n  %s %s %s", h.To, h.Step, h.What)
		if h.Err != "" {
			fmt.Fprintf(&b, ": %s", h.Err)
		}
	}
	return b.String()
}
