package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
)

type deposit struct{ Amount int64 }

type account struct {
	Balance int64
	Log     []string
}

var (
	depositedV1 = tidings.Define[int64]("accounts", "bank.deposited.v1")
	deposited   = tidings.Define("accounts", "bank.deposited.v2",
		tidings.Upcast(depositedV1, func(n int64) (deposit, error) { return deposit{n}, nil }))
	closed = tidings.Define[struct{}]("accounts", "bank.closed.v1")

	accounts = eventstore.Define("account", eventstore.Apply(deposited, credit))
)

func credit(a *account, d deposit) {
	a.Balance += d.Amount
	a.Log = append(a.Log, fmt.Sprint(d.Amount))
}

func openStore(t testing.TB) *embedded.Store {
	t.Helper()
	b, err := broker.Open("data", broker.Config{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s, err := embedded.Open(t.Context(), b, embedded.Config{Name: "bank"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func record(t testing.TB, s eventstore.Streams, stream string, events ...tidings.Event) {
	t.Helper()
	if _, err := s.Append(t.Context(), stream, eventstore.Any, events...); err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %+v\nwant %+v", what, got, want)
	}
}

func TestAnAggregateReadsOlderTypes(t *testing.T) {
	s := openStore(t)
	record(t, s, "account-1", depositedV1.New(5), deposited.New(deposit{7}))
	a, version, err := accounts.Load(t.Context(), s, "1")
	equal(t, "loaded", []any{a, version, err}, []any{account{12, []string{"5", "7"}}, int64(2), nil})
}

func TestAnUnknownTypeIsAnErrorUnlessItIsIgnored(t *testing.T) {
	s := openStore(t)
	record(t, s, "account-1", deposited.New(deposit{7}), closed.New(struct{}{}), deposited.New(deposit{1}))
	a, version, err := accounts.Load(t.Context(), s, "1")
	if !errors.Is(err, eventstore.ErrUnknown) || version != 1 || a.Balance != 7 ||
		!strings.Contains(err.Error(), "stream account-1, version 2: unknown event type bank.closed.v1") {
		t.Errorf("got %+v at %d, %v", a, version, err)
	}
	lax := eventstore.Define("account", eventstore.Apply(deposited, credit), eventstore.IgnoreUnknown[account]())
	a, version, err = lax.Load(t.Context(), s, "1")
	equal(t, "ignored", []any{a.Balance, version, err}, []any{int64(8), int64(3), nil})
}

func TestWhatDoesNotDecodeIsAnError(t *testing.T) {
	s := openStore(t)
	torn := deposited.New(deposit{})
	torn.Payload = []byte("{")
	record(t, s, "account-1", torn)
	if _, _, err := accounts.Load(t.Context(), s, "1"); !tidings.IsPermanent(err) {
		t.Errorf("got %v, want a permanent error", err)
	}
}

func TestUpdateRecordsNothingWithAnErrorOrWithoutEvents(t *testing.T) {
	s := openStore(t)
	broke := errors.New("no funds")
	_, version, err := accounts.Update(t.Context(), s, "1", func(account) ([]tidings.Event, error) {
		return []tidings.Event{deposited.New(deposit{1})}, broke
	})
	equal(t, "an error", []any{version, err}, []any{int64(0), broke})
	_, version, err = accounts.Update(t.Context(), s, "1", func(account) ([]tidings.Event, error) { return nil, nil })
	equal(t, "no events", []any{version, err}, []any{int64(0), nil})
	if head, _ := s.Head(t.Context()); head != 0 {
		t.Errorf("%d events were recorded", head)
	}
}

// interfering appends an event of its own before each of the first appends.
type interfering struct {
	eventstore.Store
	left int
}

func (s *interfering) Append(ctx context.Context, stream string, at eventstore.Expect, events ...tidings.Event) (int64, error) {
	if s.left > 0 {
		s.left--
		if _, err := s.Store.Append(ctx, stream, eventstore.Any, deposited.New(deposit{100})); err != nil {
			return 0, err
		}
	}
	return s.Store.Append(ctx, stream, at, events...)
}

func TestUpdateDecidesAgainAfterAConflict(t *testing.T) {
	s := &interfering{openStore(t), 3}
	var seen []int64
	a, version, err := accounts.Update(t.Context(), s, "1", func(a account) ([]tidings.Event, error) {
		seen = append(seen, a.Balance)
		return []tidings.Event{deposited.New(deposit{1}), deposited.New(deposit{2})}, nil
	})
	equal(t, "updated", []any{a.Balance, version, err}, []any{int64(303), int64(5), nil})
	equal(t, "decided on", seen, []int64{0, 100, 200, 300})
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	s := &interfering{openStore(t), 1000}
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := accounts.Update(ctx, s, "1", func(a account) ([]tidings.Event, error) {
		if a.Balance == 300 {
			cancel()
		}
		return []tidings.Event{deposited.New(deposit{1})}, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestHistoryIsAllThatAStreamHasBeen(t *testing.T) {
	s := openStore(t)
	record(t, s, "account-1", deposited.New(deposit{1}), deposited.New(deposit{2}), closed.New(struct{}{}))
	var got []int64
	var last error
	for m, err := range accounts.History(t.Context(), s, "1") {
		got, last = append(got, m.Version, m.State.Balance), err
	}
	equal(t, "history", got, []int64{1, 1, 2, 3, 3, 3})
	if !errors.Is(last, eventstore.ErrUnknown) {
		t.Errorf("its end: %v", last)
	}
	for range accounts.History(t.Context(), s, "1") {
		break
	}
}

func TestADefinitionThatMakesNoSensePanics(t *testing.T) {
	for what, define := range map[string]func(){
		"no name":  func() { eventstore.Define[account]("") },
		"a hyphen": func() { eventstore.Define[account]("a-b") },
		"twice": func() {
			eventstore.Define("a", eventstore.Apply(deposited, credit), eventstore.Apply(deposited, credit))
		},
		"no snapshots": func() { eventstore.SnapshotEvery[account](0, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			define()
		}()
	}
}

// forgetful keeps no snapshot and says so; only its Store has some.
type forgetful struct{ eventstore.Store }

func TestSnapshotsThatCannotBeKeptAreRefused(t *testing.T) {
	s := openStore(t)
	often := eventstore.Define("account", eventstore.Apply(deposited, credit), eventstore.SnapshotEvery[account](1, 1))
	if _, _, err := often.Load(t.Context(), forgetful{s}, "1"); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("a store without snapshots: %v", err)
	}
	type hidden struct{ balance int64 } //lint:ignore U1000 what cannot be seen is what it is about
	type left struct {
		Balance int64 `json:"-"`
	}
	type deep struct{ All []map[string]*hidden }
	type Base struct{ ID string }
	type Other struct{ ID string }
	type twice struct { // JSON takes neither
		Base
		Other
	}
	type covered struct { // JSON takes the outer one only
		*Base
		ID string
	}
	for _, err := range []error{loadOf[hidden](t, s), loadOf[left](t, s), loadOf[deep](t, s), loadOf[any](t, s),
		loadOf[struct{ F func() }](t, s), loadOf[twice](t, s), loadOf[covered](t, s), loadOf[oneWay](t, s)} {
		if err == nil || !strings.Contains(err.Error(), "JSON") {
			t.Errorf("got %v, want that JSON loses something", err)
		}
	}
	type node struct {
		Base
		Named    Other `json:"other"`
		At       time.Time
		Children []*node
		By       map[string]int
	}
	if err := loadOf[node](t, s); err != nil {
		t.Error(err)
	}
}

// oneWay has a JSON that cannot be read back.
type oneWay struct{ Balance int64 }

func (o oneWay) MarshalText() ([]byte, error) { return []byte("7"), nil }

func loadOf[S any](t *testing.T, s eventstore.Store) error {
	a := eventstore.Define("x", eventstore.SnapshotEvery[S](1, 1))
	_, _, err := a.Load(t.Context(), s, "1")
	return err
}

// breaking is a store whose snapshots are out of order.
type breaking struct {
	*embedded.Store
	load, save error
	state      []byte
}

func (s *breaking) LoadSnapshot(ctx context.Context, stream string) (eventstore.Snapshot, bool, error) {
	snap, ok, err := s.Store.LoadSnapshot(ctx, stream)
	if s.state != nil {
		snap.State = s.state
	}
	return snap, ok, errors.Join(err, s.load)
}

func (s *breaking) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	return errors.Join(s.Store.SaveSnapshot(ctx, snap), s.save)
}

func TestASnapshotThatFailsIsToldAndChangesNothing(t *testing.T) {
	s := &breaking{Store: openStore(t)}
	var told strings.Builder
	often := eventstore.Define("account", eventstore.Apply(deposited, credit), eventstore.SnapshotEvery[account](1, 1),
		eventstore.WithLogger[account](slog.New(slog.NewTextHandler(&told, nil))))
	record(t, s, "account-1", deposited.New(deposit{1}))
	for i, broken := range []breaking{{}, {load: errors.New("no disk")}, {save: errors.New("no room")}, {state: []byte("{")}} {
		s.load, s.save, s.state = broken.load, broken.save, broken.state
		told.Reset()
		a, _, err := often.Update(t.Context(), s, "1", func(account) ([]tidings.Event, error) {
			return []tidings.Event{deposited.New(deposit{1})}, nil
		})
		if a.Balance != int64(i+2) || err != nil {
			t.Errorf("%d: got %+v, %v", i, a, err)
		}
		if (told.Len() > 0) != (i > 0) {
			t.Errorf("%d: told %q", i, told.String())
		}
	}
}
