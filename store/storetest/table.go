package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/tidings-io/tidings/eventstore"
)

// TableHarness is an event store in a database, empty, and the user's side of it.
type TableHarness[Tx any] struct {
	Table    eventstore.Table[Tx]
	Database Database[Tx]
}

// Table tests what package eventstore promises of a store in a transaction of the user's. open is
// called for each test.
func Table[Tx any](t *testing.T, open func(t *testing.T) TableHarness[Tx]) {
	for _, test := range []struct {
		name string
		test func(*testing.T, TableHarness[Tx])
	}{
		{"what is appended exists if and only if the transaction commits", tableCommits[Tx]},
		{"after a conflict the transaction can go on", tableConflict[Tx]},
		{"a transaction reads what it has appended", tableReads[Tx]},
		{"transactions that fail leave no gap", tableStorm[Tx]},
		{"transactions that update two aggregates in any order do not fail each other", tableCross[Tx]},
	} {
		t.Run(test.name, func(t *testing.T) { test.test(t, open(t)) })
	}
}

func tableCommits[Tx any](t *testing.T, h TableHarness[Tx]) {
	for _, outcome := range []error{errFault, nil, errFault, nil} {
		err := h.Database.Do(t.Context(), func(tx Tx) error {
			_, err := h.Table.In(tx).Append(t.Context(), "a", eventstore.Any, note("x"), note("y"))
			_, counted := h.Database.Count(t.Context(), tx, "n")
			return errors.Join(err, counted, outcome)
		})
		if !errors.Is(err, outcome) {
			t.Fatal(err)
		}
	}
	want := []string{"a/1@1 x", "a/2@2 y", "a/3@3 x", "a/4@4 y"}
	same(t, "all", places(t, h.Table.All(t.Context(), 1)), want)
	if n := counts(t, h.Database)["n"]; n != 2 {
		t.Errorf("counted %d, want 2", n)
	}
}

func tableConflict[Tx any](t *testing.T, h TableHarness[Tx]) {
	first := note("1")
	appendTo(t, h.Table, "a", eventstore.NoStream, first)
	err := h.Database.Do(t.Context(), func(tx Tx) error {
		in := h.Table.In(tx)
		_, err := in.Append(t.Context(), "a", eventstore.NoStream, note("x"), note("y"))
		if c, ok := errors.AsType[*eventstore.ConflictError](err); !ok || c.Actual != 1 {
			return fmt.Errorf("got %w", err)
		}
		if v, err := in.Append(t.Context(), "a", eventstore.NoStream, first); v != 1 || err != nil {
			return fmt.Errorf("the same again: %d, %w", v, err)
		}
		v, err := in.Append(t.Context(), "a", 1, note("2"))
		if v != 2 {
			return fmt.Errorf("version %d, %w", v, err)
		}
		return err
	})
	check(t, "transaction", err)
	appendTo(t, h.Table, "b", eventstore.NoStream, note("3"))
	want := []string{"a/1@1 1", "a/2@2 2", "b/1@3 3"}
	same(t, "all", places(t, h.Table.All(t.Context(), 1)), want)
}

func tableReads[Tx any](t *testing.T, h TableHarness[Tx]) {
	err := h.Database.Do(t.Context(), func(tx Tx) error {
		for range 4 {
			if _, _, err := cached.Update(t.Context(), h.Table.In(tx), "1", say("x")); err != nil {
				return err
			}
		}
		return nil
	})
	check(t, "transaction", err)
	got, version, err := cached.Load(t.Context(), h.Table, "1")
	if got.Text != "xxxx" || version != 4 || err != nil {
		t.Errorf("loaded %+v at %d, %v", got, version, err)
	}
}

func tableStorm[Tx any](t *testing.T, h TableHarness[Tx]) {
	const writers, each = 6, 15
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 14))
			for done := 0; done < each; {
				fails := rng.IntN(3) == 0
				err := h.Database.Do(t.Context(), func(tx Tx) error {
					stream := fmt.Sprint("s", rng.IntN(3))
					_, err := h.Table.In(tx).Append(t.Context(), stream, eventstore.Any, note("x"))
					if err == nil && fails {
						err = errFault
					}
					return err
				})
				switch {
				case err == nil:
					done++
				case !fails || !errors.Is(err, errFault):
					t.Error(err)
					return
				}
			}
		})
	}
	followAll(t, h.Table, 1, writers*each)
	group.Wait()
	if head, err := h.Table.Head(t.Context()); head != writers*each || err != nil {
		t.Errorf("head %d, %v, want %d", head, err, writers*each)
	}
}

// tableCross has transactions save snapshots of what others update, too.
func tableCross[Tx any](t *testing.T, h TableHarness[Tx]) {
	const writers, each = 6, 8
	var group sync.WaitGroup
	for w := range writers {
		ids := []string{"1", "2"}
		if w%2 == 0 {
			slices.Reverse(ids)
		}
		group.Go(func() {
			for range each {
				err := h.Database.Do(t.Context(), func(tx Tx) (err error) {
					for _, id := range ids {
						_, _, failed := always.Update(t.Context(), h.Table.In(tx), id, say("x"))
						err = errors.Join(err, failed)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, id := range []string{"1", "2"} {
		got, _, err := always.Load(t.Context(), h.Table, id)
		if err != nil || got.Notes != writers*each {
			t.Errorf("%s has %d notes, %v, want %d", id, got.Notes, err, writers*each)
		}
	}
}
