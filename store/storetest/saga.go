package storetest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

// Sagas is a store of sagas under test.
type Sagas struct {
	Store saga.Store
	// Transport is where what transitions send arrives.
	Transport tidings.Transport
	// Reopen is the store as the next process finds it; nil where nothing survives.
	Reopen func() saga.Store
}

// RunSagas proves the promises of saga.Store; open gives each test a store of its own.
func RunSagas(t *testing.T, open func(t *testing.T) Sagas) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *sagaTest)
	}{
		{"ARecordComesBackAsItWas", aRecordComesBack},
		{"WithAnErrorNothingIsChangedOrSent", withAnErrorNothing},
		{"ARecordWithoutAVersionIsNotMade", noVersion},
		{"UpdatesOfOneInstanceComeOneAfterTheOther", updatesInTurn},
		{"WhatATransitionSendsComesWithIt", sendsComeWithIt},
		{"WhatIsSentAgainUnderItsIDComesAgain", sentAgain},
		{"APanicLeavesNothing", aPanicLeavesNothing},
		{"TimersComeAtTheirTime", timersComeAtTheirTime},
		{"AListHasWhatItsFilterSelects", listFilters},
		{"AListIsWholeHoweverLongItIs", listIsWhole},
		{"PruneDeletesWhatEndedBefore", pruneDeletes},
		{"ACheckoutRunsToItsEnd", checkoutRuns},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			test.run(t, &sagaTest{Sagas: open(t), t: t, ctx: ctx})
		})
	}
}

const patience = 30 * time.Second

type sagaTest struct {
	Sagas
	t   *testing.T
	ctx context.Context
}

// put makes an instance, or changes it.
func (s *sagaTest) put(id string, change func(*saga.Record)) {
	s.t.Helper()
	err := s.Store.Update(s.ctx, "s", id, func(rec *saga.Record) ([]saga.Outgoing, error) {
		rec.Version, rec.Status = 1, saga.Running
		rec.State = json.RawMessage(`{}`)
		change(rec)
		return nil, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sagaTest) load(st saga.Store, id string) saga.Record {
	s.t.Helper()
	rec, err := st.Load(s.ctx, "s", id)
	if err != nil {
		s.t.Fatal(err)
	}
	return rec
}

func (s *sagaTest) missing(id string) {
	s.t.Helper()
	if rec, err := s.Store.Load(s.ctx, "s", id); !errors.Is(err, saga.ErrNotFound) {
		s.t.Errorf("got %+v, %v, want ErrNotFound", rec, err)
	}
}

func aRecordComesBack(t *testing.T, s *sagaTest) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789000000, time.UTC)
	want := saga.Record{Saga: "s", ID: "an id/with ü", Version: 3, Status: saga.Stuck, Step: "b", Attempt: 2,
		Done: []string{"a"}, Undo: []string{"a", "b"}, StuckIn: saga.Running, Reason: "why", Cause: "what",
		State: json.RawMessage(`{"N":1}`), Forgotten: 7, Started: at, Updated: at.Add(time.Hour),
		Failed: 4, Wait: 9, Correlation: "c",
		History: []saga.Transition{{At: at, Step: "a", From: saga.Running, To: saga.Stuck,
			What: "stuck", Event: "e", Source: "s", Err: "x"}}}
	s.put(want.ID, func(rec *saga.Record) { *rec = want })
	stores := []saga.Store{s.Store}
	if s.Reopen != nil {
		stores = append(stores, s.Reopen())
	}
	for _, st := range stores {
		if got := s.load(st, want.ID); !reflect.DeepEqual(got, want) {
			t.Errorf("\ngot  %+v\nwant %+v", got, want)
		}
	}
	s.missing("other")
}

func withAnErrorNothing(t *testing.T, s *sagaTest) {
	inbox := s.subscribe("handler")
	oops := errors.New("oops")
	for _, id := range []string{"new", "there"} {
		if id == "there" {
			s.put(id, func(rec *saga.Record) { rec.Step = "before" })
		}
		err := s.Store.Update(s.ctx, "s", id, func(rec *saga.Record) ([]saga.Outgoing, error) {
			rec.Version, rec.Step = 1, "after"
			return []saga.Outgoing{{Event: work("never")}}, oops
		})
		if !errors.Is(err, oops) {
			t.Errorf("got %v, want the error of the function", err)
		}
	}
	s.missing("new")
	if got := s.load(s.Store, "there").Step; got != "before" {
		t.Errorf("got %q, want before", got)
	}
	s.send("last")
	s.wants(inbox, "last")
}

func noVersion(t *testing.T, s *sagaTest) {
	err := s.Store.Update(s.ctx, "s", "id", func(rec *saga.Record) ([]saga.Outgoing, error) {
		if want := (saga.Record{Saga: "s", ID: "id"}); !reflect.DeepEqual(*rec, want) {
			t.Errorf("a new record\ngot  %+v\nwant %+v", *rec, want)
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.missing("id")
}

func updatesInTurn(t *testing.T, s *sagaTest) {
	const writers, each = 8, 20
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if err := s.count(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if got := s.load(s.Store, "counted").Attempt; got != writers*each {
		t.Errorf("got %d, want %d", got, writers*each)
	}
}

func (s *sagaTest) count() error {
	return s.Store.Update(s.ctx, "s", "counted", func(rec *saga.Record) ([]saga.Outgoing, error) {
		rec.Version, rec.State = 1, json.RawMessage("0")
		rec.Attempt++
		return nil, nil
	})
}

func sendsComeWithIt(t *testing.T, s *sagaTest) {
	inbox := s.subscribe("handler")
	for i := range 5 {
		s.send(strconv.Itoa(i))
	}
	s.wants(inbox, "0", "1", "2", "3", "4")
}

// sentAgain is a command whose answer did not come: it waits, or is published, when it is sent again.
func sentAgain(t *testing.T, s *sagaTest) {
	inbox := s.subscribe("handler")
	again := saga.Outgoing{Event: work("again")}
	for range 3 {
		s.transition(again)
		s.wants(inbox, "again")
	}
}

func aPanicLeavesNothing(t *testing.T, s *sagaTest) {
	func() {
		defer func() { _ = recover() }()
		_ = s.Store.Update(s.ctx, "s", "id", func(*saga.Record) ([]saga.Outgoing, error) { panic("oops") })
		t.Error("the panic was swallowed")
	}()
	s.missing("id")
	s.put("id", func(rec *saga.Record) { rec.Step = "after" })
	if got := s.load(s.Store, "id").Step; got != "after" {
		t.Errorf("got %q, want after", got)
	}
}

func timersComeAtTheirTime(t *testing.T, s *sagaTest) {
	inbox := s.subscribe("handler")
	due := time.Now().Add(700 * time.Millisecond)
	s.transition(saga.Outgoing{Event: work("late"), At: due}, saga.Outgoing{Event: work("soon")})
	s.wants(inbox, "soon", "late")
	if early := time.Until(due); early > 20*time.Millisecond {
		t.Errorf("it came %v before its time", early)
	}
}

func listFilters(t *testing.T, s *sagaTest) {
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, status := range []saga.Status{saga.Running, saga.Stuck, saga.Completed, saga.Running} {
		s.put(strconv.Itoa(i), func(rec *saga.Record) {
			rec.Status, rec.Updated = status, base.Add(time.Duration(i)*time.Hour)
		})
	}
	for _, test := range []struct {
		filter saga.Filter
		want   []string
	}{
		{saga.Filter{}, []string{"3", "2", "1", "0"}},
		{saga.Filter{Saga: "s", Limit: 2}, []string{"3", "2"}},
		{saga.Filter{Saga: "another"}, nil},
		{saga.Filter{Status: []saga.Status{saga.Running}}, []string{"3", "0"}},
		{saga.Filter{Status: []saga.Status{saga.Stuck, saga.Completed}, Limit: 9}, []string{"2", "1"}},
		{saga.Filter{Before: base.Add(time.Hour)}, []string{"0"}},
	} {
		if got := s.list(test.filter); !slices.Equal(got, test.want) {
			t.Errorf("%+v\ngot  %v\nwant %v", test.filter, got, test.want)
		}
	}
}

func (s *sagaTest) list(f saga.Filter) (ids []string) {
	s.t.Helper()
	for rec, err := range s.Store.List(s.ctx, f) {
		if err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, rec.ID)
	}
	return ids
}

// listIsWhole has many instances of the same times, of two sagas.
func listIsWhole(t *testing.T, s *sagaTest) {
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const n = 240
	for i := range n {
		s.put(strconv.Itoa(i), func(rec *saga.Record) {
			rec.Status = saga.Running
			rec.Updated = base.Add(time.Duration(i/100) * time.Nanosecond)
		})
	}
	for _, limit := range []int{0, 1, 100, 101, n - 1} {
		got := s.list(saga.Filter{Limit: limit, Status: []saga.Status{saga.Running}})
		slices.Sort(got)
		if want := cmp.Or(limit, n); len(slices.Compact(got)) != want {
			t.Errorf("limit %d: got %d of them, want %d", limit, len(got), want)
		}
	}
	if got := s.list(saga.Filter{Before: base.Add(time.Nanosecond)}); len(got) != 100 {
		t.Errorf("got %d of before a nanosecond, want 100", len(got))
	}
	for range s.Store.List(s.ctx, saga.Filter{}) {
		break // who stops early gets no more
	}
}

func pruneDeletes(t *testing.T, s *sagaTest) {
	now := time.Now().UTC()
	for i, status := range []saga.Status{saga.Completed, saga.Compensated, saga.Running, saga.Stuck, saga.Completed} {
		s.put(strconv.Itoa(i), func(rec *saga.Record) {
			rec.Status, rec.Updated = status, now.Add(time.Duration(i-4)*time.Hour)
		})
	}
	n, err := s.Store.Prune(s.ctx, now.Add(-time.Minute))
	if n != 2 || err != nil {
		t.Errorf("got %d, %v, want 2", n, err)
	}
	if got := s.list(saga.Filter{}); !slices.Equal(got, []string{"4", "3", "2"}) {
		t.Errorf("left are %v, want 4, 3, 2", got)
	}
}

var worked = tidings.DefineCommand("handler", "test.work", tidings.KeyBy(func(s string) string { return "k" }))

func work(what string) tidings.Event {
	e := worked.New(what)
	e.Source = "test"
	return e
}

func (s *sagaTest) send(what string) {
	s.t.Helper()
	s.transition(saga.Outgoing{Event: work(what)})
}

func (s *sagaTest) transition(out ...saga.Outgoing) {
	s.t.Helper()
	err := s.Store.Update(s.ctx, "s", "sender", func(rec *saga.Record) ([]saga.Outgoing, error) {
		rec.Version, rec.State = 1, json.RawMessage("0")
		return out, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sagaTest) subscribe(group string) tidings.Consumer {
	s.t.Helper()
	c, err := s.Transport.Subscribe(s.ctx, tidings.Subscription{Group: group})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close(context.WithoutCancel(s.ctx)) })
	return c
}

func (s *sagaTest) wants(c tidings.Consumer, want ...string) {
	s.t.Helper()
	var got []string
	for len(got) < len(want) {
		ds, err := c.Receive(s.ctx, 1)
		if err != nil {
			s.t.Fatalf("got %v, then %v, want %v", got, err, want)
		}
		for _, d := range ds {
			what, err := worked.Decode(d.Event)
			if err == nil {
				err = d.Ack(s.ctx)
			}
			if err != nil {
				s.t.Fatal(err)
			}
			got = append(got, what)
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("got %v, want %v", got, want)
	}
}

// checkoutRuns has a whole saga run over the store and its transport.
func checkoutRuns(t *testing.T, s *sagaTest) {
	def, answer := checkout()
	ctx, stop := context.WithCancel(s.ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, routes := range [][]tidings.Route{saga.Routes(s.Store, def), {answer(s.Transport)}} {
		for _, r := range routes {
			running.Go(func() { serve(ctx, t, s.Transport, r) })
		}
	}
	if _, err := def.Start(s.ctx, s.Store, "one", 1); err != nil {
		t.Fatal(err)
	}
	for {
		in, err := def.Get(s.ctx, s.Store, "one")
		if err != nil {
			t.Fatal(err)
		}
		if in.Status == saga.Completed && in.State == 1+10 {
			return
		}
		select { // a store has no signal of its own
		case <-s.ctx.Done():
			t.Fatalf("it did not end: %+v", in)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func checkout() (*saga.Definition[int], func(tidings.Publisher) tidings.Route) {
	ask := tidings.DefineCommand[int]("storetest-answerer", "test.ask")
	answered := tidings.DefineCommand[int]("storetest-saga", "test.answered")
	def := saga.New[int]("storetest-checkout", 1)
	def.Step("ask", func(n int) tidings.Event { return ask.New(n) },
		saga.On(answered, func(n *int, m tidings.Msg[int]) error { *n += m.Data; return nil }))
	return def, func(p tidings.Publisher) tidings.Route {
		return tidings.Handle(ask, func(ctx context.Context, m tidings.Msg[int]) error {
			e := answered.New(10)
			tidings.Stamp(ctx, "answerer", &e)
			return p.Publish(ctx, e)
		})
	}
}

// serve handles what comes to the address of a route, until ctx ends.
func serve(ctx context.Context, t *testing.T, tr tidings.Transport, r tidings.Route) {
	c, err := tr.Subscribe(ctx, tidings.Subscription{Group: r.Topic})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close(context.WithoutCancel(ctx))
	for {
		ds, err := c.Receive(ctx, 10)
		if err != nil {
			return
		}
		for _, d := range ds {
			if err := r.Handler.Handle(tidings.Handling(ctx, "storetest", r.Topic, &d.Event), d); err != nil {
				t.Error(fmt.Errorf("%s: %w", d.Type, err))
			}
			d.Ack(ctx)
		}
	}
}
