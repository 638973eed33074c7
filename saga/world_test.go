package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

// world is a store that keeps what instances send, and hands events to their routes.
type world struct {
	t      *testing.T
	mu     sync.Mutex
	recs   map[string][]byte // as JSON, so that nothing is shared
	timers []saga.Outgoing
	sent   []tidings.Event // what was sent at once, in order
	routes []tidings.Route
}

func newWorld(t *testing.T, machines ...saga.Machine) *world {
	w := &world{t: t, recs: map[string][]byte{}}
	w.routes = saga.Routes(w, machines...)
	return w
}

func (w *world) Update(_ context.Context, name, id string,
	fn func(*saga.Record) ([]saga.Outgoing, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rec := saga.Record{Saga: name, ID: id}
	if text := w.recs[name+"/"+id]; text != nil {
		if err := json.Unmarshal(text, &rec); err != nil {
			return err
		}
	}
	out, err := fn(&rec)
	if err != nil || rec.Version == 0 {
		return err
	}
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	w.recs[name+"/"+id] = text
	for _, o := range out {
		if o.At.IsZero() {
			w.sent = append(w.sent, o.Event)
		} else {
			w.timers = append(w.timers, o)
		}
	}
	return nil
}

func (w *world) Load(_ context.Context, name, id string) (rec saga.Record, err error) {
	text := w.recs[name+"/"+id]
	if text == nil {
		return rec, saga.ErrNotFound
	}
	return rec, json.Unmarshal(text, &rec)
}

func (w *world) List(_ context.Context, f saga.Filter) iter.Seq2[saga.Record, error] {
	return func(yield func(saga.Record, error) bool) {
		for _, text := range w.recs {
			var rec saga.Record
			err := json.Unmarshal(text, &rec)
			if f.Takes(&rec) && !yield(rec, err) {
				return
			}
		}
	}
}

func (w *world) Prune(context.Context, time.Time) (int, error) { return 0, errors.ErrUnsupported }

// deliver hands an event to the routes that take it.
func (w *world) deliver(e tidings.Event) {
	w.t.Helper()
	if err := w.handle(e); err != nil {
		w.t.Fatalf("%s: %v", e.Type, err)
	}
}

// handle is deliver for events that may fail.
func (w *world) handle(e tidings.Event) error {
	w.t.Helper()
	taken := false
	for _, r := range w.routes {
		if r.Kind != e.Kind || r.Topic != e.Topic || !slices.Contains(r.Types, e.Type) {
			continue
		}
		taken = true
		ctx := tidings.Handling(w.t.Context(), "shop", "shop", &e)
		if err := r.Handler.Handle(ctx, &tidings.Delivery{Event: e}); err != nil {
			return err
		}
	}
	if !taken {
		w.t.Fatalf("no route takes %s", e.Type)
	}
	return nil
}

// answer delivers e as the handler of the last command would publish it.
func (w *world) answer(e tidings.Event) tidings.Event {
	w.t.Helper()
	cause := w.sent[len(w.sent)-1]
	tidings.Stamp(tidings.Handling(w.t.Context(), "other", "other", &cause), "", &e)
	w.deliver(e)
	return e
}

// wait lets time pass and delivers the timers that are due, in their order.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	until := time.Now().Add(d)
	for {
		i := w.next(until)
		if i < 0 {
			break
		}
		due := w.timers[i]
		w.timers = slices.Delete(w.timers, i, i+1)
		time.Sleep(time.Until(due.At)) // of the bubble's clock
		w.deliver(due.Event)
	}
	time.Sleep(time.Until(until))
}

func (w *world) next(until time.Time) int {
	first := -1
	for i, o := range w.timers {
		if !o.At.After(until) && (first < 0 || o.At.Before(w.timers[first].At)) {
			first = i
		}
	}
	return first
}

// types are the types of what was sent since the last look, without their common prefix.
func (w *world) types() string {
	var all []string
	for _, e := range w.sent {
		all = append(all, strings.TrimPrefix(e.Type, "shop."))
	}
	w.sent = w.sent[:0:0]
	return strings.Join(all, " ")
}

func (w *world) rec(id string) saga.Record {
	w.t.Helper()
	rec, err := w.Load(w.t.Context(), "checkout", id)
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

// now is the status, the step and the attempt of an instance.
func (w *world) now(id string) string {
	rec := w.rec(id)
	return strings.TrimSpace(fmt.Sprintf("%s %s %d", rec.Status, rec.Step, rec.Attempt))
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %+v\nwant %+v", what, got, want)
	}
}

func bubble(t *testing.T, fn func(t *testing.T)) { synctest.Test(t, fn) }
