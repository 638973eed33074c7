package storetest

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
)

// Tally is the state of the suites' aggregates.
type Tally struct {
	Notes int
	Text  string
}

func (a *Tally) add(n Note) {
	a.Notes++
	a.Text += n.Text
}

var (
	tallies = eventstore.Define("tally", eventstore.Apply(Noted, (*Tally).add))
	cached  = eventstore.Define("tally", eventstore.Apply(Noted, (*Tally).add),
		eventstore.SnapshotEvery[Tally](3, 1))
	always = eventstore.Define("tally", eventstore.Apply(Noted, (*Tally).add),
		eventstore.SnapshotEvery[Tally](1, 1), eventstore.WithLogger[Tally](slog.New(slog.DiscardHandler)))
	changed = eventstore.Define("tally",
		eventstore.Apply(Noted, func(a *Tally, n Note) { a.Notes += 10 }),
		eventstore.SnapshotEvery[Tally](3, 2))
)

func say(texts ...string) eventstore.Decide[Tally] {
	return func(Tally) (events []tidings.Event, err error) {
		for _, text := range texts {
			events = append(events, note(text))
		}
		return events, nil
	}
}

func testUpdates(t *testing.T, s eventstore.Store) {
	const workers, each = 5, 10
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				_, _, err := tallies.Update(t.Context(), s, "1", func(a Tally) ([]tidings.Event, error) {
					return []tidings.Event{note(fmt.Sprintf("%d,", a.Notes))}, nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	var want strings.Builder
	for i := range workers * each {
		fmt.Fprintf(&want, "%d,", i)
	}
	got, version, err := tallies.Load(t.Context(), s, "1")
	if err != nil || version != workers*each || got.Text != want.String() {
		t.Errorf("got %+v, version %d, %v", got, version, err)
	}
}

// snapshots skips a test where a store has none.
func snapshots(t *testing.T, s eventstore.Store) eventstore.Snapshots {
	t.Helper()
	kept, ok := s.(eventstore.Snapshots)
	if !ok {
		t.Skip("the store keeps no snapshots")
	}
	return kept
}

func testSnapshots(t *testing.T, s eventstore.Store) {
	kept := snapshots(t, s)
	for i := range 10 {
		before, _, err := cached.Load(t.Context(), s, "1")
		if err != nil || before.Notes != i {
			t.Fatalf("loaded %+v, %v, want %d notes", before, err, i)
		}
		_, version, err := cached.Update(t.Context(), s, "1", say("x"))
		if version != int64(i+1) || err != nil {
			t.Fatalf("version %d, %v", version, err)
		}
	}
	snap, ok, err := kept.LoadSnapshot(t.Context(), "tally-1")
	if !ok || err != nil || snap.Version != 9 || snap.Stream != "tally-1" {
		t.Fatalf("snapshot %+v %t %v, want one of version 9", snap, ok, err)
	}
	with, v1, err1 := cached.Load(t.Context(), s, "1")
	if err := kept.DropSnapshot(t.Context(), "tally-1"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := kept.LoadSnapshot(t.Context(), "tally-1"); ok || err != nil {
		t.Errorf("a dropped snapshot is there: %v", err)
	}
	without, v2, err2 := cached.Load(t.Context(), s, "1")
	if with != without || v1 != v2 || err1 != nil || err2 != nil || with.Notes != 10 {
		t.Errorf("with %+v %d %v, without %+v %d %v", with, v1, err1, without, v2, err2)
	}
	if err := kept.DropSnapshot(t.Context(), "none"); err != nil {
		t.Error(err)
	}
}

// testSnapshotsInTime falsifies the snapshot, so that a load that used it would show.
func testSnapshotsInTime(t *testing.T, s eventstore.Store) {
	kept := snapshots(t, s)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, minute := range []int{0, 5, 1, 2, 3, 8} { // times may go back
		at := tidings.WithTime(noon.Add(time.Duration(minute) * time.Minute))
		appendTo(t, s, "tally-1", eventstore.Expect(i), Noted.New(Note{fmt.Sprint(i)}, at))
	}
	if _, _, err := cached.Update(t.Context(), s, "1", say()); err != nil {
		t.Fatal(err)
	}
	snap, ok, err := kept.LoadSnapshot(t.Context(), "tally-1")
	if err != nil || !ok || snap.Version != 6 || !snap.Latest.Equal(noon.Add(8*time.Minute)) {
		t.Fatalf("snapshot %+v %t %v", snap, ok, err)
	}
	snap.Version, snap.Latest = 5, noon.Add(5*time.Minute)
	snap.State = []byte(`{"Notes":-1,"Text":"snapshot"}`)
	if err := kept.DropSnapshot(t.Context(), "tally-1"); err != nil {
		t.Fatal(err)
	}
	if err := kept.SaveSnapshot(t.Context(), snap); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		opt  eventstore.LoadOption
		want string
	}{
		{"version 4", eventstore.AtVersion(4), "0123"},
		{"version 0", eventstore.AtVersion(0), ""},
		{"version 5", eventstore.AtVersion(5), "snapshot"},
		{"version 9", eventstore.AtVersion(9), "snapshot5"},
		{"12:04", eventstore.AsOf(noon.Add(4 * time.Minute)), "0"},
		{"12:05", eventstore.AsOf(noon.Add(5 * time.Minute)), "snapshot"},
		{"11:59", eventstore.AsOf(noon.Add(-time.Minute)), ""},
		{"12:09", eventstore.AsOf(noon.Add(9 * time.Minute)), "snapshot5"},
	} {
		got, _, err := cached.Load(t.Context(), s, "1", c.opt)
		if err != nil || got.Text != c.want {
			t.Errorf("as of %s: got %q, %v, want %q", c.what, got.Text, err, c.want)
		}
	}
}

func testSchema(t *testing.T, s eventstore.Store) {
	kept := snapshots(t, s)
	appendTo(t, s, "tally-1", 0, note("a"), note("b"), note("c"))
	for _, c := range []struct {
		a    *eventstore.Aggregate[Tally]
		want int
	}{{cached, 3}, {changed, 30}, {cached, 3}} {
		got, _, err := c.a.Update(t.Context(), s, "1", say())
		if err != nil || got.Notes != c.want {
			t.Errorf("got %+v, %v, want %d notes", got, err, c.want)
		}
		snap, ok, err := kept.LoadSnapshot(t.Context(), "tally-1")
		want := fmt.Sprintf(`"Notes":%d,`, c.want)
		if err != nil || !ok || !strings.Contains(string(snap.State), want) {
			t.Errorf("snapshot %s %t %v", snap.State, ok, err)
		}
	}
}
