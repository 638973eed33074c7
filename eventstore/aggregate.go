package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
)

// Aggregate folds a stream of events into an S, a plain struct. Declare one package variable for
// each. It is safe for use by many goroutines.
type Aggregate[S any] struct {
	name    string
	apply   map[string]func(*S, tidings.Event) error
	unknown bool // events without an Apply are passed over
	erased  func(*S, Recorded)
	snaps   snapshotting
	log     *slog.Logger
}

// Option configures an Aggregate.
type Option[S any] func(*Aggregate[S])

// Define declares an aggregate. The stream of one is its name, a hyphen, and an id. Define panics
// where the name is empty or has a hyphen, or two options are for one type of event, which the
// first run of the program shows.
func Define[S any](name string, opts ...Option[S]) *Aggregate[S] {
	if name == "" || strings.Contains(name, "-") {
		panic(fmt.Sprintf("eventstore: an aggregate needs a name without a hyphen, got %q", name))
	}
	a := &Aggregate[S]{name: name, apply: map[string]func(*S, tidings.Event) error{}}
	for _, o := range opts {
		o(a)
	}
	return a
}

// Apply says how an event of a type, and of the older ones that it reads, changes the state. fn
// must depend on nothing else, and cannot fail: what happened has happened.
func Apply[S, T any](t *tidings.Type[T], fn func(state *S, data T)) Option[S] {
	apply := func(s *S, e tidings.Event) error {
		data, err := t.Decode(e)
		if err == nil {
			fn(s, data)
		}
		return err
	}
	return func(a *Aggregate[S]) {
		for _, name := range tidings.On(t, nil).Types {
			if a.apply[name] != nil {
				panic(fmt.Sprintf("eventstore: aggregate %s applies %s twice", a.name, name))
			}
			a.apply[name] = apply
		}
	}
}

// IgnoreUnknown passes over events that there is no Apply for. Without it they are ErrUnknown: a
// state that leaves out what it does not understand decides wrongly, and says nothing.
func IgnoreUnknown[S any]() Option[S] { return func(a *Aggregate[S]) { a.unknown = true } }

// SkipErased passes over events whose data has been erased. Without it, and without OnErased, they
// are ErrErased.
func SkipErased[S any]() Option[S] { return OnErased(func(*S, Recorded) {}) }

// OnErased says how an event without its data changes the state.
func OnErased[S any](fn func(state *S, r Recorded)) Option[S] {
	return func(a *Aggregate[S]) { a.erased = fn }
}

// WithLogger sets where a snapshot that could not be saved or read is told of; default:
// slog.Default.
func WithLogger[S any](l *slog.Logger) Option[S] { return func(a *Aggregate[S]) { a.log = l } }

// Stream is the name of the stream of one aggregate.
func (a *Aggregate[S]) Stream(id string) string { return a.name + "-" + id }

// Decide is what a command means: given the state, the events to record, or an error. It may be
// called several times, and must only decide.
type Decide[S any] func(state S) ([]tidings.Event, error)

// Update loads the state, lets decide say what happens, and appends that at the loaded version,
// all over again while others append in between, until ctx ends. It returns the state and version
// with the new events. With an error of decide nothing is recorded; with no events neither, and
// that is no error. In a transaction of a store the append, and a conflict, come with its commit.
func (a *Aggregate[S]) Update(ctx context.Context, in Streams, id string, decide Decide[S]) (
	S, int64, error) {
	for {
		f, err := a.load(ctx, in, id, loading{})
		if err != nil {
			return f.state, f.version, err
		}
		a.save(ctx, in, id, &f)
		err = a.decide(ctx, in, id, &f, decide)
		if !errors.Is(err, ErrConflict) {
			return f.state, f.version, err
		}
		if ended := ctx.Err(); ended != nil {
			return f.state, f.version,
				fmt.Errorf("update %s: %w, last %w", a.Stream(id), ended, err)
		}
	}
}

// decide is one attempt of Update.
func (a *Aggregate[S]) decide(ctx context.Context, in Streams, id string, f *fold[S],
	decide Decide[S]) error {
	events, err := decide(f.state)
	if err != nil || len(events) == 0 {
		return err
	}
	version, err := in.Append(ctx, a.Stream(id), Expect(f.version), events...)
	if err != nil {
		return err
	}
	first := version - int64(len(events)) + 1
	for i, e := range events {
		r := Recorded{Event: e, Stream: a.Stream(id), Version: first + int64(i)}
		if err := a.step(f, r); err != nil {
			return fmt.Errorf("%w (the events are recorded)", err)
		}
	}
	return nil
}

// Load folds a stream. The version is 0 where it does not exist. AtVersion and AsOf stop early.
func (a *Aggregate[S]) Load(ctx context.Context, in Streams, id string, opts ...LoadOption) (
	state S, version int64, err error) {
	var l loading
	for _, o := range opts {
		o(&l)
	}
	f, err := a.load(ctx, in, id, l)
	return f.state, f.version, err
}

// fold is a state on its way through a stream.
type fold[S any] struct {
	state   S
	version int64
	latest  time.Time // of all events so far: Time may go back
	keys    []string  // that sealed some of them
	saved   int64     // version of the last snapshot, 0 for none
}

func (a *Aggregate[S]) load(ctx context.Context, in Streams, id string, l loading) (
	fold[S], error) {
	f, err := a.begin(ctx, in, a.Stream(id), l)
	if err != nil {
		return f, err
	}
	for r, err := range in.Read(ctx, a.Stream(id), f.version+1) {
		if err != nil {
			return f, fmt.Errorf("load %s: %w", a.Stream(id), err)
		}
		if l.past(r) {
			break
		}
		if err := a.step(&f, r); err != nil {
			return f, err
		}
	}
	return f, nil
}

// step makes one event part of a fold.
func (a *Aggregate[S]) step(f *fold[S], r Recorded) error {
	if err := a.change(&f.state, r); err != nil {
		return fmt.Errorf("stream %s, version %d: %w", r.Stream, r.Version, err)
	}
	f.version = r.Version
	if r.Time.After(f.latest) {
		f.latest = r.Time
	}
	if !r.Erased { // or there is nothing of it in the state
		f.sealedBy(r.Sealed)
	}
	return nil
}

func (a *Aggregate[S]) change(s *S, r Recorded) error {
	apply := a.apply[r.Type]
	switch {
	case r.Erased && a.erased != nil:
		a.erased(s, r)
		return nil
	case apply == nil && a.unknown:
		return nil
	case apply == nil:
		return fmt.Errorf("%w %s: aggregate %s has no Apply for it", ErrUnknown, r.Type, a.name)
	case r.Erased:
		return fmt.Errorf("the data of event %s is %w: see SkipErased", r.ID, ErrErased)
	case r.Extensions[sealedName] != "":
		return fmt.Errorf("event %s is sealed: read it through its Shredder", r.ID)
	}
	return apply(s, r.Event)
}
