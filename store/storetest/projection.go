package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
)

// Projected is what the suite of projections needs: an event store, checkpoints, and a text for
// each key in the database of the checkpoints, all empty.
type Projected[Tx any] struct {
	Store       eventstore.Store
	Checkpoints projection.Checkpoints[Tx]
	// Append adds to the text of a key in a transaction.
	Append func(ctx context.Context, tx Tx, key, text string) error
	// Text is the committed text of a key, "" for none.
	Text func(ctx context.Context, key string) (string, error)
}

// Projection tests what package projection promises, on the checkpoints of a store. open opens all
// that it needs, empty; the test closes it by t.Cleanup.
func Projection[Tx any](t *testing.T, open func(t *testing.T) Projected[Tx]) {
	for name, test := range map[string]func(*testing.T, Projected[Tx]){
		"a step saves its position with its rows or nothing":     testStep[Tx],
		"a projection is the fold of all events":                 testProject[Tx],
		"runs of one projection take turns":                      testTurns[Tx],
		"a projection is the fold of what its checkpoint covers": testPrefix[Tx],
		"a handler that fails is called again":                   testRetry[Tx],
		"poison stops a projection behind what came before":      testPoison[Tx],
		"poison is skipped and recorded if asked":                testSkip[Tx],
		"a rebuild swaps when it has caught up":                  testRebuild[Tx],
		"status tells how far a projection is behind":            testStatus[Tx],
		"what is forgotten begins again":                         testForget[Tx],
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// texts appends the text of each note to one key.
func texts[Tx any](p Projected[Tx], version int, before func(n Note) error) *projection.Projection[Tx] {
	return projection.Define("texts", version, projection.On(Noted,
		func(ctx context.Context, tx Tx, n Note, r eventstore.Recorded) error {
			if err := before(n); err != nil {
				return errors.Join(err, p.Append(ctx, tx, key(version), "not committed"))
			}
			return p.Append(ctx, tx, key(version), n.Text+";")
		}))
}

func key(version int) string { return fmt.Sprint("v", version) }

func pass(Note) error { return nil }

func quiet() projection.Options {
	return projection.Options{Backoff: time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
}

func (p Projected[Tx]) notes(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		appendTo(t, p.Store, fmt.Sprint("s", i%3), eventstore.Any, note(fmt.Sprint(i)))
	}
}

// fold is the text of notes from..to.
func noteFold(from, to int) string {
	var s strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&s, "%d;", i)
	}
	return s.String()
}

func (p Projected[Tx]) want(t *testing.T, version int, text string, position int64) {
	t.Helper()
	got, err := p.Text(t.Context(), key(version))
	if err != nil || got != text {
		t.Errorf("text %q, %v, want %q", got, err, text)
	}
	at, err := p.Checkpoints.Load(t.Context(), projection.ID{Name: "texts", Version: version})
	if err != nil || at.Position != position {
		t.Errorf("checkpoint %+v, %v, want %d", at, err, position)
	}
}

func testStep[Tx any](t *testing.T, p Projected[Tx]) {
	id := projection.ID{Name: "texts", Version: 1}
	broke := errors.New("broke")
	for _, c := range []struct {
		to  int64
		err error
	}{{5, nil}, {6, broke}, {5, nil}, {7, nil}} {
		var from int64
		err := p.Checkpoints.Step(t.Context(), id,
			func(ctx context.Context, tx Tx, at int64) (int64, error) {
				from = at
				return c.to, errors.Join(p.Append(ctx, tx, key(1), fmt.Sprint(c.to, ";")), c.err)
			})
		if !errors.Is(err, c.err) || from > 5 {
			t.Errorf("step to %d: from %d, %v", c.to, from, err)
		}
	}
	p.want(t, 1, "5;5;7;", 7)
	at, err := p.Checkpoints.Load(t.Context(), id)
	if err != nil || time.Since(at.Saved).Abs() > time.Minute {
		t.Errorf("saved %v, %v", at.Saved, err)
	}
	p.want(t, 2, "", 0)
}

func testProject[Tx any](t *testing.T, p Projected[Tx]) {
	p.notes(t, 0, 25)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := quiet()
	o.Batch = 10
	live := make(chan struct{})
	run := make(chan error)
	pr := texts(p, 1, func(n Note) error {
		if n.Text == "24" {
			close(live)
		}
		if n.Text == "29" {
			cancel() // within the transaction: it is not committed
		}
		return nil
	})
	go func() { run <- pr.Run(ctx, p.Store, p.Checkpoints, o) }()
	<-live
	p.notes(t, 25, 30)
	if err := <-run; err != nil {
		t.Errorf("run: %v, want nil when its context ends", err)
	}
	if v, err := p.Checkpoints.Active(t.Context(), "texts"); v != 1 || err != nil {
		t.Errorf("active %d, %v", v, err)
	}
	if err := texts(p, 1, pass).CatchUp(t.Context(), p.Store, p.Checkpoints, o); err != nil {
		t.Error(err)
	}
	p.want(t, 1, noteFold(0, 30), 30)
}

func testTurns[Tx any](t *testing.T, p Projected[Tx]) {
	var group sync.WaitGroup
	for i := range 3 {
		group.Go(func() {
			o := quiet()
			o.Batch = 1 + 3*i
			p.follow(t, o, 60)
		})
	}
	p.notes(t, 0, 60)
	group.Wait()
	p.want(t, 1, noteFold(0, 60), 60)
}

// follow catches up until a position.
func (p Projected[Tx]) follow(t *testing.T, o projection.Options, to int64) {
	pr := texts(p, 1, pass)
	for {
		if err := pr.CatchUp(t.Context(), p.Store, p.Checkpoints, o); err != nil {
			t.Error(err)
			return
		}
		at, err := p.Checkpoints.Load(t.Context(), pr.ID())
		if err != nil || at.Position == to {
			if err != nil {
				t.Error(err)
			}
			return
		}
		for range p.Store.Follow(t.Context(), at.Position+1) {
			break
		}
	}
}

// unreliable fails at random: before a step, in it, or after it, when its answer is lost.
type unreliable[Tx any] struct {
	projection.Checkpoints[Tx]
	rng *rand.Rand
}

var errUnreliable = errors.New("connection lost")

func (u *unreliable[Tx]) Step(ctx context.Context, id projection.ID,
	fn func(ctx context.Context, tx Tx, from int64) (int64, error)) error {
	luck := u.rng.IntN(6)
	if luck == 0 {
		return errUnreliable
	}
	err := u.Checkpoints.Step(ctx, id, func(ctx context.Context, tx Tx, from int64) (int64, error) {
		to, err := fn(ctx, tx, from)
		if luck == 1 {
			err = errUnreliable
		}
		return to, err
	})
	if luck == 2 && err == nil {
		err = errUnreliable
	}
	return err
}

// testPrefix looks at rows and checkpoint together, in one transaction, while a run goes on that
// fails at random.
func testPrefix[Tx any](t *testing.T, p Projected[Tx]) {
	p.notes(t, 0, 40)
	o := quiet()
	o.Batch = 3
	u := &unreliable[Tx]{p.Checkpoints, rand.New(rand.NewPCG(1, 13))}
	pr := texts(p, 1, func(Note) error {
		if u.rng.IntN(10) == 0 {
			return errors.New("bad luck")
		}
		return nil
	})
	o.Retries = 100
	done := make(chan error)
	go func() { done <- pr.CatchUp(t.Context(), p.Store, u, o) }()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			running = false
		default:
		}
		at, text := p.look(t, pr.ID())
		if want := noteFold(0, int(at)); text != want {
			t.Fatalf("at %d: %q", at, text)
		}
	}
	p.want(t, 1, noteFold(0, 40), 40)
}

// look is the checkpoint and the text that go with each other: the text is read between two looks
// at the same checkpoint.
func (p Projected[Tx]) look(t *testing.T, id projection.ID) (int64, string) {
	t.Helper()
	for {
		before, err1 := p.Checkpoints.Load(t.Context(), id)
		text, err2 := p.Text(t.Context(), key(id.Version))
		after, err3 := p.Checkpoints.Load(t.Context(), id)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if before.Position == after.Position {
			return after.Position, text
		}
	}
}

func testRetry[Tx any](t *testing.T, p Projected[Tx]) {
	p.notes(t, 0, 10)
	var calls, panics atomic.Int32
	pr := texts(p, 1, func(n Note) error {
		if n.Text == "5" && calls.Add(1) < 4 {
			return errors.New("not yet")
		}
		if n.Text == "7" && panics.Add(1) < 3 {
			panic("not yet")
		}
		return nil
	})
	if err := pr.CatchUp(t.Context(), p.Store, p.Checkpoints, quiet()); err != nil {
		t.Error(err)
	}
	p.want(t, 1, noteFold(0, 10), 10)
}

func testPoison[Tx any](t *testing.T, p Projected[Tx]) {
	p.notes(t, 0, 10)
	broke := errors.New("broke")
	for _, c := range []struct {
		err     error
		retries int
		calls   int32
	}{{broke, 2, 4}, {tidings.Permanent(broke), 2, 1}, {broke, projection.NoRetries, 1}} {
		var calls atomic.Int32
		o := quiet()
		o.Retries = c.retries
		pr := texts(p, 1, func(n Note) error {
			if n.Text == "6" {
				calls.Add(1)
				return c.err
			}
			return nil
		})
		err := pr.Run(t.Context(), p.Store, p.Checkpoints, o)
		poison, ok := errors.AsType[*projection.PoisonError](err)
		if !ok || !errors.Is(err, broke) || poison.Event.Position != 7 ||
			poison.Event.Stream != "s0" {
			t.Errorf("got %v", err)
		}
		p.want(t, 1, noteFold(0, 6), 6)
		if calls.Load() < c.calls {
			t.Errorf("%d calls, want %d", calls.Load(), c.calls)
		}
	}
	if err := texts(p, 1, pass).CatchUp(t.Context(), p.Store, p.Checkpoints, quiet()); err != nil {
		t.Error(err) // a mended handler goes on
	}
	p.want(t, 1, noteFold(0, 10), 10)
}

func testSkip[Tx any](t *testing.T, p Projected[Tx]) {
	p.notes(t, 0, 10)
	o := quiet()
	o.Poison, o.Retries = projection.Skip, 1
	pr := texts(p, 1, func(n Note) error {
		if n.Text == "0" || n.Text == "6" || n.Text == "7" {
			return errors.New("broke \x00\xff" + strings.Repeat("ü", projection.MaxReason))
		}
		return nil
	})
	if err := pr.CatchUp(t.Context(), p.Store, p.Checkpoints, o); err != nil {
		t.Fatal(err)
	}
	p.want(t, 1, "1;2;3;4;5;8;9;", 10)
	got, err := p.Checkpoints.Skipped(t.Context(), pr.ID(), 2, 10)
	if err != nil || len(got) != 2 || got[0].Position != 7 || got[1].Position != 8 {
		t.Fatalf("skipped %+v, %v", got, err)
	}
	if s := got[0]; s.Stream != "s0" || s.Event == "" || !strings.HasPrefix(s.Reason, "broke ??ü") ||
		time.Since(s.At).Abs() > time.Minute {
		t.Errorf("skipped %+v", s)
	}
	got, err = p.Checkpoints.Skipped(t.Context(), pr.ID(), 0, 1)
	if len(got) != 1 || got[0].Position != 1 || err != nil {
		t.Errorf("the first: %+v, %v", got, err)
	}
	status, err := pr.Status(t.Context(), p.Store, p.Checkpoints)
	if err != nil || status.Skipped != 3 {
		t.Errorf("status %+v, %v", status, err)
	}
}

func testRebuild[Tx any](t *testing.T, p Projected[Tx]) {
	p.notes(t, 0, 20)
	if err := texts(p, 1, pass).Rebuild(t.Context(), p.Store, p.Checkpoints, quiet()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	old := make(chan error)
	go func() { old <- texts(p, 1, pass).Run(ctx, p.Store, p.Checkpoints, quiet()) }()
	o := quiet()
	o.Batch = 4
	next := texts(p, 2, pass)
	active := func(want int, built error) {
		t.Helper()
		got, err := p.Checkpoints.Active(t.Context(), "texts")
		if got != want || err != nil || built != nil {
			t.Errorf("active %d, %v, %v, want %d", got, err, built, want)
		}
	}
	active(1, next.CatchUp(t.Context(), p.Store, p.Checkpoints, o))
	active(2, next.Rebuild(t.Context(), p.Store, p.Checkpoints, o))
	p.want(t, 2, noteFold(0, 20), 20)
	p.notes(t, 20, 22) // the old one goes on
	p.follow(t, quiet(), 22)
	cancel()
	if err := <-old; err != nil {
		t.Error(err)
	}
	p.want(t, 1, noteFold(0, 22), 22)
}

func testStatus[Tx any](t *testing.T, p Projected[Tx]) {
	pr := texts(p, 1, pass)
	status := func() projection.Status {
		t.Helper()
		s, err := pr.Status(t.Context(), p.Store, p.Checkpoints)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if got, want := status(), (projection.Status{ID: pr.ID()}); got != want {
		t.Errorf("of nothing: %+v", got)
	}
	p.notes(t, 0, 3)
	time.Sleep(20 * time.Millisecond) // times have milliseconds
	got := status()
	if got.Behind < 10*time.Millisecond || got.Behind > time.Minute {
		t.Errorf("behind: %v", got.Behind)
	}
	if got.Lag != 3 || got.Head != 3 || got.Position != 0 {
		t.Errorf("before: %+v", got)
	}
	if err := pr.Rebuild(t.Context(), p.Store, p.Checkpoints, quiet()); err != nil {
		t.Fatal(err)
	}
	want := projection.Status{ID: pr.ID(), Active: 1, Position: 3, Head: 3}
	if got := status(); got != want {
		t.Errorf("after: %+v", got)
	}
}

func testForget[Tx any](t *testing.T, p Projected[Tx]) {
	p.notes(t, 0, 3)
	o := quiet()
	o.Poison, o.Retries = projection.Skip, projection.NoRetries
	pr := texts(p, 1, func(n Note) error {
		if n.Text == "1" {
			return errors.New("broke")
		}
		return nil
	})
	if err := pr.Rebuild(t.Context(), p.Store, p.Checkpoints, o); err != nil {
		t.Fatal(err)
	}
	if err := p.Checkpoints.Forget(t.Context(), pr.ID()); err == nil {
		t.Error("the active version was forgotten")
	}
	next := projection.ID{Name: "texts", Version: 2}
	if err := p.Checkpoints.Activate(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Checkpoints.Forget(t.Context(), pr.ID()); err != nil {
			t.Error(err)
		}
	}
	p.want(t, 1, "0;2;", 0)
	if got, err := p.Checkpoints.Skipped(t.Context(), pr.ID(), 0, 10); len(got) != 0 || err != nil {
		t.Errorf("skipped %+v, %v", got, err)
	}
}
