package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/store/embedded"
)

func of(subject string, amount int64) tidings.Event {
	return deposited.New(deposit{amount}, tidings.WithSubject(subject), tidings.WithExtension("branch", "b"))
}

func TestAnErasedSubjectHasNoDataLeft(t *testing.T) {
	plain := openStore(t)
	s := eventstore.NewShredder(plain, plain.Keys())
	record(t, s, "account-1", of("ann", 1), of("bob", 2), deposited.New(deposit{4}))
	for r, err := range plain.All(t.Context(), 1) {
		if err != nil || (r.Subject != "") == bytes.Contains(r.Payload, []byte("Amount")) {
			t.Errorf("at rest: %s %s, %v", r.Subject, r.Payload, err)
		}
	}
	if err := s.Erase(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	record(t, s, "account-1", of("ann", 8))
	var got []string
	for r, err := range s.All(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %v %s", r.Subject, r.Payload, r.Erased, r.Extensions["branch"]))
		if (r.Subject != "") != (r.Sealed != "") || len(r.Extensions) > 1 {
			t.Errorf("sealed by %q, extensions %v", r.Sealed, r.Extensions)
		}
	}
	equal(t, "all", got, []string{"ann  true b", `bob {"Amount":2} false b`, ` {"Amount":4} false `, `ann {"Amount":8} false b`})
	if err := s.Erase(t.Context(), "nobody"); err != nil {
		t.Error(err)
	}
	if err := s.Erase(t.Context(), ""); err == nil {
		t.Error("nobody in particular was erased")
	}
}

func TestAnAggregateSkipsErasedEventsIfItSaysSo(t *testing.T) {
	plain := openStore(t)
	s := eventstore.NewShredder(plain, plain.Keys())
	record(t, s, "account-1", of("ann", 1), of("bob", 2))
	if a, _, err := accounts.Load(t.Context(), s, "1"); err != nil || a.Balance != 3 {
		t.Errorf("before: %+v, %v", a, err)
	}
	if _, _, err := accounts.Load(t.Context(), plain, "1"); err == nil || !strings.Contains(err.Error(), "is sealed") {
		t.Errorf("without the Shredder: %v", err)
	}
	if err := s.Erase(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := accounts.Load(t.Context(), s, "1"); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("got %v, want that it is erased", err)
	}
	skips := eventstore.Define("account", eventstore.Apply(deposited, credit), eventstore.SkipErased[account]())
	a, version, err := skips.Load(t.Context(), s, "1")
	equal(t, "skipped", []any{a.Balance, version, err}, []any{int64(2), int64(2), nil})
	counts := eventstore.Define("account", eventstore.Apply(deposited, credit),
		eventstore.OnErased(func(a *account, r eventstore.Recorded) { a.Balance += 1000 }))
	a, _, err = counts.Load(t.Context(), s, "1")
	equal(t, "counted", []any{a.Balance, err}, []any{int64(1002), nil})
}

// A snapshot has the data of several events in it, and goes with the key of any.
func TestASnapshotDoesNotOutliveItsSubjects(t *testing.T) {
	plain := openStore(t)
	s := eventstore.NewShredder(plain, plain.Keys())
	skips := eventstore.Define("account", eventstore.Apply(deposited, credit), eventstore.SkipErased[account](),
		eventstore.SnapshotEvery[account](1, 1))
	none := func(account) ([]tidings.Event, error) { return nil, nil }
	load := func() int64 {
		t.Helper()
		a, _, err := skips.Update(t.Context(), s, "1", none)
		if err != nil {
			t.Fatal(err)
		}
		return a.Balance
	}
	record(t, s, "account-1", of("ann", 1), of("bob", 2))
	load()
	snap, ok, err := plain.LoadSnapshot(t.Context(), "account-1")
	if err != nil || !ok || len(snap.Keys) != 2 || bytes.Contains(snap.State, []byte("Balance")) {
		t.Fatalf("at rest: %s %t %v", snap.State, ok, err)
	}
	if snap, ok, err = s.LoadSnapshot(t.Context(), "account-1"); !ok || err != nil || !bytes.Contains(snap.State, []byte("Balance")) {
		t.Errorf("decrypted: %s %t %v", snap.State, ok, err)
	}
	record(t, s, "account-1", of("eve", 4))
	load()
	if snap, _, _ = plain.LoadSnapshot(t.Context(), "account-1"); snap.Version != 3 || len(snap.Keys) != 3 {
		t.Errorf("a snapshot made of a snapshot: %+v", snap)
	}
	if err := s.Erase(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.LoadSnapshot(t.Context(), "account-1"); ok || err != nil {
		t.Errorf("it has outlived bob: %v", err)
	}
	if _, ok, _ := plain.LoadSnapshot(t.Context(), "account-1"); ok {
		t.Error("it is still at rest")
	}
	if err := s.SaveSnapshot(t.Context(), snap); err != nil { // of a load that was faster than the erasure
		t.Error(err)
	}
	if _, ok, _ := plain.LoadSnapshot(t.Context(), "account-1"); ok {
		t.Error("it was kept with bob in it")
	}
	equal(t, "without bob", load(), int64(5))
	if snap, ok, _ = plain.LoadSnapshot(t.Context(), "account-1"); !ok || snap.Version != 3 || len(snap.Keys) != 2 {
		t.Errorf("after the erasure of one the others have snapshots: %t %+v", ok, snap)
	}
	for i := range eventstore.MaxSnapshotKeys + 1 {
		record(t, s, "account-2", of(fmt.Sprint("s", i), 1))
	}
	if _, _, err := skips.Update(t.Context(), s, "2", none); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := plain.LoadSnapshot(t.Context(), "account-2"); ok {
		t.Error("a stream of too many subjects has a snapshot")
	}
}

func TestALostKeyIsNoErasure(t *testing.T) {
	plain, other := openStore(t), openStore(t)
	s := eventstore.NewShredder(plain, plain.Keys())
	record(t, s, "account-1", of("ann", 1))
	lost := eventstore.NewShredder(plain, other.Keys())
	for r, err := range lost.All(t.Context(), 1) {
		if err == nil || errors.Is(err, eventstore.ErrErased) || r.Erased {
			t.Errorf("got %+v, %v, want an error that is no erasure", r, err)
		}
	}
}

func TestSealedDataIsBoundToItsEvent(t *testing.T) {
	plain := openStore(t)
	s := eventstore.NewShredder(plain, plain.Keys())
	record(t, s, "a", of("ann", 1))
	for r := range plain.All(t.Context(), 1) {
		moved := r.Event
		moved.ID = "other"
		record(t, plain, "b", moved)
		if _, err := s.Append(t.Context(), "b", 1, moved); err == nil {
			t.Error("what is sealed was sealed again")
		}
	}
	for _, err := range s.Read(t.Context(), "b", 1) {
		if err == nil {
			t.Error("data of another event was taken")
		}
	}
}

func TestTheSameSealedAppendAgainIsSuccess(t *testing.T) {
	plain := openStore(t)
	s := eventstore.NewShredder(plain, plain.Keys())
	e := of("ann", 1)
	for range 2 {
		if v, err := s.Append(t.Context(), "a", eventstore.NoStream, e); v != 1 || err != nil {
			t.Errorf("version %d, %v", v, err)
		}
	}
}

func TestATransactionCanBeSealed(t *testing.T) {
	plain := openStore(t)
	s := eventstore.NewShredder(plain, plain.Keys())
	err := plain.Do(t.Context(), func(ctx context.Context, tx *embedded.Tx) error {
		for range 2 { // it reads what it has appended itself
			_, _, err := accounts.Update(ctx, s.In(tx), "1", func(account) ([]tidings.Event, error) {
				return []tidings.Event{of("ann", 3)}, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	a, version, err2 := accounts.Load(t.Context(), s, "1")
	equal(t, "loaded", []any{err, a.Balance, version, err2}, []any{nil, int64(6), int64(2), nil})
}

// toggled are keys that are there until they are erased, all at once.
type toggled struct {
	eventstore.Keys
	erased bool
}

func (k *toggled) Find(ctx context.Context, id string) (eventstore.Key, error) {
	if k.erased {
		return eventstore.Key{}, eventstore.ErrErased
	}
	return k.Keys.Find(ctx, id)
}

// recorded is a store of what was read before.
type recorded struct {
	eventstore.Store
	events []eventstore.Recorded
}

func (s recorded) All(context.Context, int64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for _, r := range s.events {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestAnErasureReachesReadersInTheMiddleOfASequence(t *testing.T) {
	plain := openStore(t)
	keys := &toggled{Keys: plain.Keys()}
	record(t, eventstore.NewShredder(plain, keys), "a", of("ann", 1), of("ann", 2), of("ann", 3))
	var rest recorded
	for r, err := range plain.All(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		rest.events = append(rest.events, r)
	}
	synctest.Test(t, func(t *testing.T) {
		var got []bool
		for r, err := range eventstore.NewShredder(rest, keys).All(t.Context(), 1) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Erased)
			keys.erased = true
			if r.Version == 2 {
				time.Sleep(eventstore.KeyAge + 1)
			}
		}
		equal(t, "erased", got, []bool{false, false, true})
	})
}
