package projection_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	"github.com/tidings-io/tidings/store/embedded"
)

func open(t *testing.T) *embedded.Store {
	s, end := memory()
	t.Cleanup(func() { end() })
	return s
}

var quiet = slog.New(slog.DiscardHandler)

// kept is an event store and checkpoints without a disk, so that a test may have a clock of its own.
type kept struct {
	eventstore.Store
	events   []eventstore.Recorded
	position int64
	broken   error
}

func (k *kept) All(_ context.Context, from int64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for i := from - 1; i < int64(len(k.events)); i++ {
			if !yield(k.events[i], nil) {
				return
			}
		}
	}
}

type keep struct {
	projection.Checkpoints[*embedded.Tx]
	*kept
}

func (k keep) Load(context.Context, projection.ID) (projection.Checkpoint, error) {
	return projection.Checkpoint{Position: k.position}, nil
}

func (k keep) Step(ctx context.Context, _ projection.ID,
	fn func(ctx context.Context, tx *embedded.Tx, from int64) (int64, error)) error {
	if k.broken != nil {
		return k.broken
	}
	to, err := fn(ctx, nil, k.position)
	if err == nil {
		k.position = to
	}
	return err
}

func TestWaitsBetweenTriesGrow(t *testing.T) {
	for what, c := range map[string]struct {
		handler, store error
		tries          int
		want           time.Duration
	}{
		"handler":             {errors.New("broke"), nil, 4, 7 * time.Second},
		"handler, for long":   {errors.New("broke"), nil, 8, 31*time.Second + 2*projection.MaxBackoff},
		"store":               {nil, errors.New("no database"), 4, 7 * time.Second},
		"permanent, no waits": {tidings.Permanent(errors.New("broke")), nil, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := &kept{events: []eventstore.Recorded{{Event: Deposited.New(Deposit{}), Position: 1}}, broken: c.store}
			ctx, cancel := context.WithCancel(t.Context())
			began, tries := time.Now(), 0
			var last time.Duration
			count := func() {
				last = time.Since(began)
				if tries++; tries == c.tries {
					cancel()
				}
			}
			p := projection.Define("p", 1, projection.On(Deposited,
				func(context.Context, *embedded.Tx, Deposit, eventstore.Recorded) error {
					count()
					return c.handler
				}))
			logger := slog.New(counting{quiet.Handler(), func() {
				if c.store != nil {
					count()
				}
			}})
			o := projection.Options{Backoff: time.Second, Retries: 100, Logger: logger}
			err := p.CatchUp(ctx, k, keep{kept: k}, o)
			if tries != c.tries || last != c.want {
				t.Errorf("%s: %d tries in %v, %v, want %d in %v", what, tries, last, err, c.tries, c.want)
			}
		})
	}
}

// forgotten has its checkpoint forgotten once, while a run reads on from it.
type forgotten struct {
	*kept
	once sync.Once
}

func (f *forgotten) All(ctx context.Context, from int64) iter.Seq2[eventstore.Recorded, error] {
	f.once.Do(func() { f.position = 0 })
	return f.kept.All(ctx, from)
}

// Or a rebuild that begins again would make tables active that lack what came before.
func TestACatchUpWhoseCheckpointIsForgottenBeginsAgain(t *testing.T) {
	k := &kept{position: 2}
	for i := range int64(3) {
		k.events = append(k.events, eventstore.Recorded{Event: Deposited.New(Deposit{}), Position: i + 1})
	}
	var handled []int64
	p := projection.Define("p", 1, projection.On(Deposited,
		func(_ context.Context, _ *embedded.Tx, _ Deposit, r eventstore.Recorded) error {
			handled = append(handled, r.Position)
			return nil
		}))
	err := p.CatchUp(t.Context(), &forgotten{kept: k}, keep{kept: k}, projection.Options{})
	if fmt.Sprint(handled) != "[1 2 3]" || err != nil {
		t.Errorf("handled %v, %v, want all", handled, err)
	}
}

// Somebody may have deleted a row of the store by hand: what is behind it is handled all the same.
func TestAnEventThatIsGoneStopsNoProjection(t *testing.T) {
	k := &kept{position: 2}
	for _, position := range []int64{1, 2, 4} {
		k.events = append(k.events, eventstore.Recorded{Event: Deposited.New(Deposit{}), Position: position})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p := projection.Define("p", 1, projection.On(Deposited,
		func(context.Context, *embedded.Tx, Deposit, eventstore.Recorded) error { return nil }))
	err := p.CatchUp(ctx, k, keep{kept: k}, projection.Options{})
	if k.position != 4 || err != nil {
		t.Errorf("reached %d, %v, want 4", k.position, err)
	}
}

// counting is told of every warning.
type counting struct {
	slog.Handler
	warned func()
}

func (c counting) Enabled(context.Context, slog.Level) bool { return true }

func (c counting) Handle(context.Context, slog.Record) error {
	c.warned()
	return nil
}

func (c counting) WithAttrs([]slog.Attr) slog.Handler { return c }

func TestErasedEventsNeedAHandler(t *testing.T) {
	s := open(t)
	sealed := eventstore.NewShredder(s, s.Keys())
	for _, name := range []string{"ann", "bob"} {
		if _, err := sealed.Append(t.Context(), "a", eventstore.Any, Deposited.New(Deposit{7}, tidings.WithSubject(name))); err != nil {
			t.Fatal(err)
		}
	}
	if err := sealed.Erase(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	var got []string
	on := projection.On(Deposited, func(_ context.Context, _ *embedded.Tx, d Deposit, r eventstore.Recorded) error {
		got = append(got, fmt.Sprint(r.Subject, d.Amount))
		return nil
	})
	err := projection.Define("p", 1, on).CatchUp(t.Context(), sealed, s.Checkpoints(), projection.Options{Logger: quiet})
	if !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("without a handler: %v", err)
	}
	erased := projection.OnErased(func(_ context.Context, _ *embedded.Tx, r eventstore.Recorded) error {
		got = append(got, r.Subject+" erased")
		return nil
	})
	err = projection.Define("q", 1, on, erased).CatchUp(t.Context(), sealed, s.Checkpoints(), projection.Options{Logger: quiet})
	if fmt.Sprint(got) != "[ann erased bob7]" || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhatAHandlerPublishesIsCausedByItsEvent(t *testing.T) {
	s := open(t)
	deposit(t.Context(), s, "a", 7)
	p := projection.Define("p", 1, projection.On(Deposited,
		func(ctx context.Context, _ *embedded.Tx, _ Deposit, r eventstore.Recorded) error {
			next := Deposited.New(Deposit{})
			tidings.Stamp(ctx, "", &next)
			if next.Causation != r.ID || next.Source != "p" {
				t.Errorf("caused by %q, from %q", next.Causation, next.Source)
			}
			return nil
		}))
	if err := p.CatchUp(t.Context(), s, s.Checkpoints(), projection.Options{}); err != nil {
		t.Error(err)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	s := open(t)
	for _, o := range []projection.Options{{Batch: -1}, {Retries: -2}, {Backoff: -1}, {Poison: 7}} {
		if err := Balances.Run(t.Context(), s, s.Checkpoints(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestADefinitionThatMakesNoSensePanics(t *testing.T) {
	on := projection.On(Deposited, func(context.Context, *embedded.Tx, Deposit, eventstore.Recorded) error { return nil })
	for what, define := range map[string]func(){
		"no name": func() { projection.Define[*embedded.Tx]("", 1) }, "a slash": func() { projection.Define[*embedded.Tx]("a/b", 1) },
		"no version": func() { projection.Define[*embedded.Tx]("a", 0) }, "twice": func() { projection.Define("a", 1, on, on) },
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
