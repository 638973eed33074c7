package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
)

// InboxHarness is a store of inboxes with nothing in it, and the user's side of its database.
type InboxHarness[Tx any] struct {
	Store    inbox.Store[Tx]
	Database Database[Tx]
	// Workers is how many handlers the tests run at once, 0 for 16.
	Workers int
}

// Inbox tests a store. open is called for each test.
func Inbox[Tx any](t *testing.T, open func(t *testing.T) InboxHarness[Tx]) {
	tests := []struct {
		name string
		test func(*testing.T, InboxHarness[Tx])
	}{
		{"a duplicate that comes later is done without a call", onceDuplicate[Tx]},
		{"a handler that fails leaves nothing", onceFails[Tx]},
		{"a handler that panics leaves nothing", oncePanics[Tx]},
		{"of two that come at the same time one has the effect, and the other returns behind it", onceTwo[Tx]},
		{"a name that cannot be kept is refused for good", onceNames[Tx]},
		{"2,000 ids x 4 deliveries with 30 % failing attempts are exactly 2,000 effects", onceStorm[Tx]},
		{"a position only moves up", advanceUp[Tx]},
		{"a position stays where the handler fails", advanceFails[Tx]},
		{"a position is moved once by many at the same time", advanceStorm[Tx]},
		{"prune forgets what is older, in bounded steps", prune[Tx]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.test(t, open(t)) })
	}
}

// effect is a handler that counts.
func (h InboxHarness[Tx]) effect(name string) func(context.Context, Tx) error {
	return func(ctx context.Context, tx Tx) error {
		_, err := h.Database.Count(ctx, tx, name)
		return err
	}
}

func (h InboxHarness[Tx]) failing(name string) func(context.Context, Tx) error {
	return func(ctx context.Context, tx Tx) error {
		if err := h.effect(name)(ctx, tx); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", errFault)
	}
}

func (h InboxHarness[Tx]) once(t testing.TB, group, id string, already bool) {
	t.Helper()
	got, err := h.Store.Once(t.Context(), group, id, h.effect(group+"/"+id))
	if err != nil || got != already {
		t.Fatalf("once %s %s: already %v, %v; want %v", group, id, got, err, already)
	}
}

func (h InboxHarness[Tx]) want(t testing.TB, want map[string]int64) {
	t.Helper()
	if got := counts(t, h.Database); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("effects\ngot  %v\nwant %v", got, want)
	}
}

func onceDuplicate[Tx any](t *testing.T, h InboxHarness[Tx]) {
	h.once(t, "billing", "a", false)
	h.once(t, "billing", "a", true)
	h.once(t, "billing", "b", false)
	h.once(t, "shipping", "a", false)
	h.want(t, map[string]int64{"billing/a": 1, "billing/b": 1, "shipping/a": 1})
}

func onceFails[Tx any](t *testing.T, h InboxHarness[Tx]) {
	already, err := h.Store.Once(t.Context(), "g", "a", h.failing("g/a"))
	if already || err == nil || !strings.HasPrefix(err.Error(), "wrapped: ") {
		t.Fatalf("already %v, %v; want the handler's own error", already, err)
	}
	h.want(t, map[string]int64{})
	h.once(t, "g", "a", false)
	h.want(t, map[string]int64{"g/a": 1})
}

func oncePanics[Tx any](t *testing.T, h InboxHarness[Tx]) {
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v, want the handler's own panic", got)
			}
		}()
		_, _ = h.Store.Once(t.Context(), "g", "a", func(ctx context.Context, tx Tx) error {
			check(t, "effect", h.effect("g/a")(ctx, tx))
			panic("boom")
		})
	}()
	h.once(t, "g", "a", false)
	h.want(t, map[string]int64{"g/a": 1})
}

func onceTwo[Tx any](t *testing.T, h InboxHarness[Tx]) {
	for id, outcome := range map[string]error{"commits": nil, "fails": errFault} {
		inside, release := make(chan struct{}), make(chan struct{})
		var enter sync.Once // a store may call again what it could not commit
		var first, second error
		var already [2]bool
		var both sync.WaitGroup
		both.Go(func() {
			already[0], first = h.Store.Once(t.Context(), "g", id, func(ctx context.Context, tx Tx) error {
				enter.Do(func() { close(inside) })
				<-release
				return errors.Join(outcome, h.effect(id)(ctx, tx))
			})
		})
		<-inside
		both.Go(func() {
			already[1], second = h.Store.Once(t.Context(), "g", id, h.effect(id))
			if second == nil && counts(t, h.Database)[id] != 1 {
				t.Errorf("%s: the second has returned, and there is no effect", id)
			}
		})
		close(release)
		both.Wait()
		// A store that calls again may find that the second has done what the first could not.
		effect := first == nil && already[0] != already[1]
		nothing := outcome != nil && errors.Is(first, outcome) && !already[0] && !already[1]
		if second != nil || !effect && !nothing {
			t.Errorf("%s: first %v, second %v, already %v", id, first, second, already)
		}
	}
	h.want(t, map[string]int64{"commits": 1, "fails": 1})
}

func onceNames[Tx any](t *testing.T, h InboxHarness[Tx]) {
	long := strings.Repeat("x", inbox.MaxName)
	for _, id := range []string{long, "Grüße 'quoted' \""} {
		for _, want := range []bool{false, true} {
			already, err := h.Store.Once(t.Context(), "g", id, h.effect("kept"))
			if already != want || err != nil {
				t.Errorf("id %.10q: already %v, %v", id, already, err)
			}
		}
	}
	for _, id := range []string{"", long + "x", "a\x00b", "\xff"} {
		_, err := h.Store.Once(t.Context(), "g", id, h.effect("never"))
		if !tidings.IsPermanent(err) {
			t.Errorf("id %.10q: %v, want a permanent error", id, err)
		}
	}
	if n := counts(t, h.Database)["never"]; n != 0 {
		t.Errorf("%d effects of ids that are refused", n)
	}
}

// onceStorm is the measured case: attempts fail after their write, as attempts do.
func onceStorm[Tx any](t *testing.T, h InboxHarness[Tx]) {
	const ids, deliveries = 2000, 4
	work := make(chan int, ids*deliveries)
	for range deliveries {
		for _, id := range rand.Perm(ids) {
			work <- id
		}
	}
	close(work)
	var attempts, failed, skipped atomic.Int64
	h.work(t, func() {
		for id := range work {
			name := fmt.Sprintf("id-%d", id)
			for done := false; !done; {
				attempts.Add(1)
				fn := h.effect(name)
				if rand.IntN(10) < 3 {
					fn = h.failing(name)
				}
				already, err := h.Store.Once(t.Context(), "g", name, fn)
				if done = err == nil; !done {
					failed.Add(1)
				}
				if already {
					skipped.Add(1)
				}
			}
		}
	})
	all := counts(t, h.Database)
	for name, n := range all {
		if n != 1 {
			t.Errorf("%d effects of %s", n, name)
		}
	}
	t.Logf("%d attempts, %d failed, %d duplicates skipped, %d effects",
		attempts.Load(), failed.Load(), skipped.Load(), len(all))
	if len(all) != ids || skipped.Load() != ids*(deliveries-1) || failed.Load() < ids/10 {
		t.Errorf("%d effects and %d duplicates skipped, want %d and %d", len(all), skipped.Load(), ids, ids*(deliveries-1))
	}
}

// work runs fn in all workers and waits.
func (h InboxHarness[Tx]) work(t testing.TB, fn func()) {
	t.Helper()
	workers := h.Workers
	if workers == 0 {
		workers = 16
	}
	var all sync.WaitGroup
	for range workers {
		all.Go(fn)
	}
	all.Wait()
}

func (h InboxHarness[Tx]) advance(t testing.TB, lane string, offset int64, already bool) {
	t.Helper()
	got, err := h.Store.Advance(t.Context(), "g", lane, offset,
		h.effect(fmt.Sprintf("%s@%d", lane, offset)))
	if err != nil || got != already {
		t.Fatalf("advance %s to %d: already %v, %v; want %v", lane, offset, got, err, already)
	}
}

func advanceUp[Tx any](t *testing.T, h InboxHarness[Tx]) {
	h.advance(t, "orders/0", 0, false)
	h.advance(t, "orders/0", 0, true)
	h.advance(t, "orders/0", 7, false)
	h.advance(t, "orders/0", 3, true)
	h.advance(t, "orders/1", 3, false)
	h.advance(t, "orders/0", 8, false)
	h.want(t, map[string]int64{"orders/0@0": 1, "orders/0@7": 1, "orders/0@8": 1, "orders/1@3": 1})
	if _, err := h.Store.Advance(t.Context(), "g", "orders/0", -1, h.effect("never")); err == nil {
		t.Error("a delivery without a position is taken")
	}
}

func advanceFails[Tx any](t *testing.T, h InboxHarness[Tx]) {
	h.advance(t, "l", 1, false)
	if already, err := h.Store.Advance(t.Context(), "g", "l", 2, h.failing("l@2")); err == nil || already {
		t.Fatalf("already %v, %v", already, err)
	}
	h.advance(t, "l", 2, false)
	h.want(t, map[string]int64{"l@1": 1, "l@2": 1})
}

func advanceStorm[Tx any](t *testing.T, h InboxHarness[Tx]) {
	var first, already atomic.Int64
	h.work(t, func() {
		for offset := range int64(20) {
			was, err := h.Store.Advance(t.Context(), "g", "l", offset, h.effect("l"))
			switch {
			case err != nil:
				t.Errorf("advance: %v", err)
			case was:
				already.Add(1)
			default:
				first.Add(1)
			}
		}
	})
	// Who comes late to an offset finds the lane further on.
	if n := counts(t, h.Database)["l"]; n != first.Load() || n == 0 || n > 20 || already.Load() == 0 {
		t.Errorf("%d effects, %d first, %d already", n, first.Load(), already.Load())
	}
}

func prune[Tx any](t *testing.T, h InboxHarness[Tx]) {
	const rows = 1205 // more than a step
	nothing := func(context.Context, Tx) error { return nil }
	ids := make(chan string, rows)
	for i := range rows {
		ids <- fmt.Sprint(i)
	}
	close(ids)
	h.work(t, func() {
		for id := range ids {
			if _, err := h.Store.Once(t.Context(), "g", id, nothing); err != nil {
				t.Error(err)
			}
		}
	})
	h.advance(t, "l", 5, false)
	if n, err := h.Store.Prune(t.Context(), time.Hour); n != 0 || err != nil {
		t.Fatalf("pruned %d that are young: %v", n, err)
	}
	if _, err := h.Store.Prune(t.Context(), 0); err == nil {
		t.Error("pruned without an age")
	}
	pruned := 0
	eventually(t, "all ids are pruned", func() bool {
		n, err := h.Store.Prune(t.Context(), time.Millisecond)
		check(t, "prune", err)
		pruned += n
		return pruned == rows
	})
	h.once(t, "g", "1", false)
	h.advance(t, "l", 5, true)
}
