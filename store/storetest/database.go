package storetest

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Database is the user's side of a database: a table of counters, empty at first.
type Database[Tx any] interface {
	// Do calls fn in a transaction, and commits it where fn returns nil.
	Do(ctx context.Context, fn func(tx Tx) error) error
	// Count adds one to a counter in tx, and returns its value. The row stays locked until tx ends.
	Count(ctx context.Context, tx Tx, name string) (int64, error)
	// Counts are all counters, as they are committed.
	Counts(ctx context.Context) (map[string]int64, error)
}

// errFault is what tests fail with on purpose.
var errFault = errors.New("a fault of the test")

func check(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func counts[Tx any](t testing.TB, db Database[Tx]) map[string]int64 {
	t.Helper()
	all, err := db.Counts(t.Context())
	check(t, "counts", err)
	return all
}

// within bounds what is waited for; it is far more than anything takes.
const within = 2 * time.Minute

// eventually asks until the answer is yes: a database has no other sign.
func eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ask() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
