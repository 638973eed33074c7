package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
)

// Purse is an aggregate: a plain struct, and functions that say what events do to it.
type Purse struct{ Coins int }

type Coins struct{ N int }

var (
	Earned = tidings.Define[Coins]("purses", "example.earned.v1")
	Spent  = tidings.Define[Coins]("purses", "example.spent.v1")

	Purses = eventstore.Define("purse",
		eventstore.Apply(Earned, func(p *Purse, c Coins) { p.Coins += c.N }),
		eventstore.Apply(Spent, func(p *Purse, c Coins) { p.Coins -= c.N }))
)

var ErrBroke = errors.New("not enough coins")

func earn(n int) eventstore.Decide[Purse] {
	return func(Purse) ([]tidings.Event, error) { return []tidings.Event{Earned.New(Coins{n})}, nil }
}

func spend(n int) eventstore.Decide[Purse] {
	return func(p Purse) ([]tidings.Event, error) {
		if p.Coins < n {
			return nil, ErrBroke
		}
		return []tidings.Event{Spent.New(Coins{n})}, nil
	}
}

// memory is a store whose data is in memory: give broker.Open a directory and leave FS out to
// keep it.
func memory() (*embedded.Store, func() error) {
	b, err := broker.Open("data", broker.Config{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	s, err := embedded.Open(context.Background(), b, embedded.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return s, b.Close
}

// Update decides on the state, and again when somebody else was faster.
func ExampleAggregate_Update() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	purse, version, err := Purses.Update(ctx, store, "ann", earn(10))
	fmt.Println(purse.Coins, version, err)
	purse, version, err = Purses.Update(ctx, store, "ann", spend(4))
	fmt.Println(purse.Coins, version, err)
	purse, version, err = Purses.Update(ctx, store, "ann", spend(7))
	fmt.Println(purse.Coins, version, err)
	// Output:
	// 10 1 <nil>
	// 6 2 <nil>
	// 6 2 not enough coins
}

// Load can stop early: at a version, or at a time.
func ExampleAggregate_Load() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	_, err := store.Append(ctx, Purses.Stream("ann"), eventstore.NoStream,
		Earned.New(Coins{10}, tidings.WithTime(noon)),
		Spent.New(Coins{4}, tidings.WithTime(noon.Add(time.Hour))))
	if err != nil {
		log.Fatal(err)
	}
	now, version, _ := Purses.Load(ctx, store, "ann")
	first, _, _ := Purses.Load(ctx, store, "ann", eventstore.AtVersion(1))
	then, _, _ := Purses.Load(ctx, store, "ann", eventstore.AsOf(noon.Add(59*time.Minute)))
	fmt.Println(now.Coins, "at version", version, "first", first.Coins, "at 12:59", then.Coins)
	// Output: 6 at version 2 first 10 at 12:59 10
}

// History shows every state that there was.
func ExampleAggregate_History() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	for _, decide := range []eventstore.Decide[Purse]{earn(10), spend(4), earn(1)} {
		if _, _, err := Purses.Update(ctx, store, "ann", decide); err != nil {
			log.Fatal(err)
		}
	}
	for moment, err := range Purses.History(ctx, store, "ann") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(moment.Version, moment.Type, moment.State.Coins)
	}
	// Output:
	// 1 example.earned.v1 10
	// 2 example.spent.v1 6
	// 3 example.earned.v1 7
}

// Of two who expect the same version one is told of the other.
func ExampleStore() {
	ctx := context.Background()
	var store eventstore.Store
	store, end := memory()
	defer end()
	if _, err := store.Append(ctx, "a", eventstore.NoStream, Earned.New(Coins{1}), Earned.New(Coins{2})); err != nil {
		log.Fatal(err)
	}
	_, err := store.Append(ctx, "a", 1, Spent.New(Coins{1}))
	fmt.Println(err, errors.Is(err, eventstore.ErrConflict))
	for r, err := range store.All(ctx, 1) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Position, r.Stream, r.Version, string(r.Payload))
	}
	// Output:
	// stream "a": expected version 1, it is at version 2 true
	// 1 a 1 {"N":1}
	// 2 a 2 {"N":2}
}

// Follow goes on with what is appended, until its context ends.
func ExampleStore_follow() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, end := memory()
	defer end()
	if _, err := store.Append(ctx, "a", eventstore.Any, Earned.New(Coins{1})); err != nil {
		log.Fatal(err)
	}
	for r, err := range store.Follow(ctx, 1) {
		if err != nil {
			fmt.Println("it ends with", err)
			break
		}
		fmt.Println(r.Position, string(r.Payload))
		if r.Position == 1 {
			go func() { _, _ = store.Append(ctx, "b", eventstore.Any, Earned.New(Coins{2})) }()
		} else {
			cancel()
		}
	}
	// Output:
	// 1 {"N":1}
	// 2 {"N":2}
	// it ends with context canceled
}

// With snapshots a load begins at the last one. The state must be one that JSON gives back.
func ExampleSnapshotEvery() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	purses := eventstore.Define("purse",
		eventstore.Apply(Earned, func(p *Purse, c Coins) { p.Coins += c.N }),
		eventstore.SnapshotEvery[Purse](100, 1))
	for range 101 {
		if _, _, err := purses.Update(ctx, store, "ann", earn(1)); err != nil {
			log.Fatal(err)
		}
	}
	snapshot, ok, err := store.LoadSnapshot(ctx, purses.Stream("ann"))
	fmt.Println(snapshot.Version, string(snapshot.State), ok, err)
	// Output: 100 {"Coins":100} true <nil>
}

// Erasing a subject destroys the key of its data. The event stays in its place.
func ExampleShredder() {
	ctx := context.Background()
	events, end := memory()
	defer end()
	store := eventstore.NewShredder(events, events.Keys())
	for _, name := range []string{"ann", "bob"} {
		event := Earned.New(Coins{7}, tidings.WithSubject(name))
		if _, err := store.Append(ctx, "a", eventstore.Any, event); err != nil {
			log.Fatal(err)
		}
	}
	if err := store.Erase(ctx, "ann"); err != nil {
		log.Fatal(err)
	}
	for r, err := range store.Read(ctx, "a", 1) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s %q erased=%t\n", r.Version, r.Subject, r.Payload, r.Erased)
	}
	// Output:
	// 1 ann "" erased=true
	// 2 bob "{\"N\":7}" erased=false
}

// BenchmarkLoad loads a stream of 10,000 events, without a snapshot and with one near its end.
func BenchmarkLoad(b *testing.B) {
	s := openStore(b)
	const events = 10_000
	for range events / 500 {
		var some []tidings.Event
		for range 500 {
			some = append(some, Earned.New(Coins{1}))
		}
		record(b, s, "purse-1", some...)
	}
	kept := eventstore.Define("purse", eventstore.Apply(Earned, func(p *Purse, c Coins) { p.Coins += c.N }),
		eventstore.SnapshotEvery[Purse](100, 1))
	if _, _, err := kept.Update(b.Context(), s, "1", func(Purse) ([]tidings.Event, error) { return nil, nil }); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		a    *eventstore.Aggregate[Purse]
	}{{"every event", Purses}, {"snapshot", kept}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if p, _, err := c.a.Load(b.Context(), s, "1"); err != nil || p.Coins != events {
					b.Fatal(p, err)
				}
			}
		})
	}
}
