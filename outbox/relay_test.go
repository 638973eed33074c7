package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	goleak.VerifyTestMain(m)
}

var errAway = errors.New("the broker is away")

// table is a Source in memory, under the clock of a bubble.
type table struct {
	mu     sync.Mutex
	rows   []outbox.Row
	again  map[int64]time.Time
	parked map[int64]string
	failed int
	holder string
	until  time.Time
	prunes int
	broken error // of Claim
	wake   chan struct{}
}

func newTable(events ...tidings.Event) *table {
	t := &table{again: map[int64]time.Time{}, parked: map[int64]string{}, wake: make(chan struct{}, 1)}
	t.add(events...)
	return t
}

func (t *table) add(events ...tidings.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		t.rows = append(t.rows, outbox.Row{Seq: int64(len(t.rows) + 1), Event: e})
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// state is a table as a test sees it.
type state struct {
	rows, attempts, failed, prunes int // attempts of the first row
	holder                         string
	until                          time.Time
	parked                         map[int64]string
}

func (t *table) now() state {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := state{rows: len(t.rows), failed: t.failed, prunes: t.prunes, holder: t.holder, until: t.until,
		parked: maps.Clone(t.parked)}
	if s.rows > 0 {
		s.attempts = t.rows[0].Attempts
	}
	return s
}

func (t *table) Lead(_ context.Context, relay string, lease time.Duration) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder != relay && time.Now().Before(t.until) {
		return false, nil
	}
	t.holder, t.until = relay, time.Now().Add(lease)
	return true, nil
}

func (t *table) Resign(_ context.Context, relay string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == relay {
		t.until = time.Time{}
	}
	return nil
}

func (t *table) Claim(_ context.Context, max int) (claim outbox.Claim, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := map[string]bool{}
	for _, row := range t.rows {
		wait := time.Until(t.again[row.Seq])
		switch {
		case t.parked[row.Seq] != "" || len(claim.Rows) == max:
		case wait > 0:
			held[row.Event.Key] = true
			if claim.Next == 0 || wait < claim.Next {
				claim.Next = wait
			}
		case row.Event.Key == "" || !held[row.Event.Key]:
			claim.Rows = append(claim.Rows, row)
		}
	}
	return claim, t.broken
}

func (t *table) Done(_ context.Context, seqs ...int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = slices.DeleteFunc(t.rows, func(row outbox.Row) bool { return slices.Contains(seqs, row.Seq) })
	return nil
}

func (t *table) Fail(_ context.Context, failures ...outbox.Failure) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range failures {
		t.failed++
		t.again[f.Seq] = time.Now().Add(f.Again)
		if f.Park {
			t.parked[f.Seq] = f.Reason
		}
		for i := range t.rows {
			if t.rows[i].Seq == f.Seq {
				t.rows[i].Attempts++
			}
		}
	}
	return nil
}

func (t *table) Prune(context.Context) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prunes++
	return t.prunes%2 == 1, nil
}

func (t *table) Status(context.Context) (outbox.Status, error) { return outbox.Status{}, nil }

func (t *table) Wake(context.Context) (outbox.Waker, error) { return waker{t}, nil }

type waker struct{ t *table }

func (w waker) Wait(ctx context.Context, atMost time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.t.wake:
	case <-time.After(atMost):
	}
	return nil
}

func (w waker) Close() error { return nil }

// broker is a publisher that a test tells what to refuse.
type broker struct {
	mu    sync.Mutex
	calls [][]string // the ids of each call
	kept  []string
	say   func(e tidings.Event) error
	block chan struct{} // if not nil, calls wait for it or their context
}

func (b *broker) Publish(ctx context.Context, events ...tidings.Event) error {
	if b.block != nil {
		select {
		case <-b.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed *tidings.PublishError
	var ids []string
	for i, e := range events {
		ids = append(ids, e.ID)
		if err := b.answer(e); err == nil {
			b.kept = append(b.kept, e.ID)
		} else {
			if failed == nil {
				failed = &tidings.PublishError{Err: err}
			}
			failed.Failed = append(failed.Failed, i)
		}
	}
	b.calls = append(b.calls, ids)
	if failed != nil {
		return failed
	}
	return nil
}

// all are the ids that were kept, in order.
func (b *broker) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.kept)
}

func (b *broker) answer(e tidings.Event) error {
	if b.say == nil {
		return nil
	}
	return b.say(e)
}

// refuse has events refused by their ids.
func (b *broker) refuse(errs map[string]error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.say = func(e tidings.Event) error { return errs[e.ID] }
}

func event(id, key string) tidings.Event { return tidings.Event{Topic: "orders", ID: id, Key: key} }

// relaying runs a relay in a bubble while a test looks.
func relaying(t *testing.T, r *outbox.Relay, look func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- r.Run(ctx) }()
	synctest.Wait()
	look()
	stop()
	if err := <-over; err != nil {
		t.Errorf("run: %v", err)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %+v\nwant %+v", what, got, want)
	}
}

func TestNoTwoEventsOfAKeyAreInOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		src := newTable(event("a1", "a"), event("x", ""), event("a2", "a"), event("b1", "b"), event("y", ""), event("a3", "a"))
		relaying(t, outbox.NewRelay(src, b), func() {
			equal(t, "calls", b.calls, [][]string{{"a1", "x", "b1", "y"}, {"a2"}, {"a3"}})
			equal(t, "rows left", src.now().rows, 0)
		})
	})
}

func TestAnEventThatFailsHoldsBackItsKeyWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		b.refuse(map[string]error{"a1": errAway})
		src := newTable(event("a1", "a"), event("a2", "a"), event("b1", "b"))
		r := outbox.NewRelay(src, b, outbox.WithPauses(time.Second, 4*time.Second))
		relaying(t, r, func() {
			equal(t, "kept", b.all(), []string{"b1"})
			h, _ := r.Health(t.Context())
			equal(t, "leading", h.Leading, true)
			time.Sleep(16 * time.Second) // 1 + 2 + 4 + 4 + 4
			synctest.Wait()
			equal(t, "attempts", src.now().attempts, 6)
			src.add(event("c1", "c"))
			synctest.Wait()
			equal(t, "others go on at once", b.all(), []string{"b1", "c1"})
			b.refuse(nil)
			time.Sleep(4 * time.Second)
			synctest.Wait()
			equal(t, "in the end", b.all(), []string{"b1", "c1", "a1", "a2"})
			h, _ = r.Health(t.Context())
			equal(t, "trouble is over", h.Err, nil)
		})
	})
}

func TestWhatIsRefusedForGoodIsParkedAndNothingWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		b.refuse(map[string]error{"large": tidings.ErrTooLarge, "gone": fmt.Errorf("reply: %w", tidings.ErrUnroutable),
			"never": tidings.Permanent(errors.New("no")), "busy": errAway})
		src := newTable(event("large", "a"), event("a2", "a"), event("gone", ""), event("busy", "b"), event("never", "c"),
			event("good", "d"))
		src.rows[5].Err = errors.New("not JSON")
		relaying(t, outbox.NewRelay(src, b), func() {
			equal(t, "kept", b.all(), []string{"a2"})
			equal(t, "parked", src.now().parked, map[int64]string{1: "event too large", 3: "reply: no such address",
				5: "no", 6: "not JSON"})
			equal(t, "rows left", src.now().rows, 5)
		})
	})
}

func TestABrokerThatIsAwayCostsARowAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newTable()
		for i := range 10_000 {
			src.add(event(fmt.Sprint(i), ""))
		}
		b := &broker{say: func(tidings.Event) error { return errAway }}
		relaying(t, outbox.NewRelay(src, b), func() {
			time.Sleep(time.Minute)
			synctest.Wait()
			if src.now().failed < 256 || src.now().failed > 500 {
				t.Errorf("%d rows were touched within a minute", src.now().failed)
			}
			b.mu.Lock()
			b.say = nil
			b.mu.Unlock()
			time.Sleep(outbox.LongestStop + outbox.LongestPause)
			synctest.Wait()
			equal(t, "rows left when it is back", src.now().rows, 0)
		})
	})
}

func TestAPublishInProgressIsMarkedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, b := newTable(event("a", "k"), event("b", "k")), &broker{block: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- outbox.NewRelay(src, b).Run(ctx) }()
		synctest.Wait()
		stop()
		synctest.Wait()
		b.block <- struct{}{}
		equal(t, "run", <-over, nil)
		equal(t, "kept", b.all(), []string{"a"})
		equal(t, "rows left", src.now().rows, 1)
		equal(t, "lease given back", src.now().until.IsZero(), true)
	})
}

func TestAPublishThatHangsIsCutOffAfterTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, b := newTable(event("a", "k")), &broker{block: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- outbox.NewRelay(src, b).Run(ctx) }()
		synctest.Wait()
		stop()
		begin := time.Now()
		<-over
		equal(t, "took", time.Since(begin), outbox.DefaultDrain)
		equal(t, "counted as failed", src.now().failed, 0)
	})
}

func TestAPublishThatTakesTooLongCountsAsFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, b := newTable(event("a", "k")), &broker{block: make(chan struct{})}
		const timeout = 7 * time.Second
		relaying(t, outbox.NewRelay(src, b, outbox.WithTimeout(timeout)), func() {
			time.Sleep(timeout - time.Nanosecond)
			synctest.Wait()
			equal(t, "failed before", src.now().failed, 0)
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			equal(t, "failed", src.now().failed, 1)
			close(b.block)
			time.Sleep(time.Second)
			synctest.Wait()
			equal(t, "kept", b.all(), []string{"a"})
		})
	})
}

func TestAStandbyTakesOverWhenTheLeaseIsGivenBackOrRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, b := newTable(), &broker{}
		first, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- outbox.NewRelay(src, b, outbox.WithName("first")).Run(first) }()
		synctest.Wait()
		relaying(t, outbox.NewRelay(src, b, outbox.WithName("second")), func() {
			time.Sleep(time.Hour)
			equal(t, "holder", src.now().holder, "first")
			stop()
			<-over
			time.Sleep(outbox.DefaultLease/4 + time.Millisecond)
			synctest.Wait()
			equal(t, "holder", src.now().holder, "second")
			src.mu.Lock()
			src.holder, src.until = "thief", time.Now().Add(time.Minute)
			src.mu.Unlock()
			src.add(event("a", "k"))
			time.Sleep(outbox.DefaultLease)
			synctest.Wait()
			src.add(event("b", "k"))
			synctest.Wait()
			equal(t, "published under the lease of another", slices.Contains(b.all(), "b"), false)
			time.Sleep(time.Minute + outbox.DefaultLease)
			synctest.Wait()
			equal(t, "published after it", b.all(), []string{"a", "b"})
		})
	})
}

// unreachable is a table that renews no lease, as behind a network that is cut.
type unreachable struct {
	*table
	err error // nil: it does not answer
	led bool
}

func (u *unreachable) Lead(ctx context.Context, relay string, lease time.Duration) (bool, error) {
	if !u.led {
		u.led = true
		return u.table.Lead(ctx, relay, lease)
	}
	if u.err != nil {
		return false, u.err
	}
	<-ctx.Done()
	return false, ctx.Err()
}

func TestARelayThatCannotRenewItsLeaseStopsWhenItHasRunOut(t *testing.T) {
	for what, err := range map[string]error{"no answer": nil, "an error": errors.New("connection lost")} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, b := newTable(), &broker{}
				relaying(t, outbox.NewRelay(&unreachable{table: src, err: err}, b), func() {
					time.Sleep(outbox.DefaultLease - time.Nanosecond)
					src.add(event("a", "k"))
					synctest.Wait()
					equal(t, "published under the lease", b.all(), []string{"a"})
					time.Sleep(time.Nanosecond)
					synctest.Wait()
					src.add(event("b", "k"))
					time.Sleep(outbox.DefaultLease)
					synctest.Wait()
					equal(t, "published after it", b.all(), []string{"a"})
				})
			})
		})
	}
}

func TestATableThatCannotBeReadIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, b := newTable(event("a", "k")), &broker{}
		src.broken = errors.New("connection lost")
		r := outbox.NewRelay(src, b)
		relaying(t, r, func() {
			h, err := r.Health(t.Context())
			equal(t, "health", []any{h.Err, err, h.Leading}, []any{src.broken, nil, false})
			src.mu.Lock()
			src.broken = nil
			src.mu.Unlock()
			time.Sleep(outbox.DefaultLease)
			synctest.Wait()
			equal(t, "kept", b.all(), []string{"a"})
		})
	})
}

func TestKeptRowsArePrunedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newTable()
		relaying(t, outbox.NewRelay(src, &broker{}), func() {
			equal(t, "at first", src.now().prunes, 2) // until there is no more
			time.Sleep(outbox.PruneEvery + 2*outbox.DefaultLook)
			synctest.Wait()
			equal(t, "after a minute", src.now().prunes, 4)
		})
	})
}

// says is a publisher that keeps nothing and answers with one error.
type says struct{ err error }

func (s says) Publish(context.Context, ...tidings.Event) error { return s.err }

func TestAnAnswerThatMakesNoSenseIsAFailureOfAll(t *testing.T) {
	for what, err := range map[string]error{
		"without a reason":    &tidings.PublishError{Failed: []int{0}},
		"no event":            &tidings.PublishError{Err: errAway},
		"an index beyond all": &tidings.PublishError{Failed: []int{2}, Err: errAway},
		"an index below 0":    &tidings.PublishError{Failed: []int{-1}, Err: tidings.ErrTooLarge},
		"of another call":     fmt.Errorf("behind: %w", &tidings.PublishError{Failed: []int{0, 7}, Err: errAway}),
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newTable(event("a", ""))
				relaying(t, outbox.NewRelay(src, says{err}), func() {
					equal(t, "rows left", src.now().rows, 1)
					equal(t, "failures", src.now().failed, 1)
				})
			})
		})
	}
}
