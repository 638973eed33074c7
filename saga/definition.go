package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidings-io/tidings"
)

// Definition is a saga over the state S, which is kept as JSON. It is declared once, before it is
// used, and not changed after.
type Definition[S any] struct {
	name        string
	version     int
	starts      []start[S]
	steps       []*StepDef[S]
	compensated func(s S, reason string) tidings.Event
}

type start[S any] struct {
	typ   tidings.Described
	names []string
	fn    func(tidings.Event) (id string, s S, err error)
}

// New begins the definition of a saga. Instances stay with the version that they began with: a
// changed definition gets a higher version, and old ones run beside it until their instances have
// ended. It panics where the name is empty or the version below 1.
func New[S any](name string, version int) *Definition[S] {
	if name == "" || version < 1 {
		panic(fmt.Sprintf("saga: a definition needs a name and a version from 1, got %q and %d",
			name, version))
	}
	return &Definition[S]{name: name, version: version}
}

// StartOn begins an instance for an event of type t, in the state and under the id that fn tells: 1
// to MaxID bytes of UTF-8 without byte 0, or the event is among the dead letters. A second event
// with the id of an instance, ended or not, is ignored. The event that begins an instance does not
// answer it too.
func StartOn[S, T any](d *Definition[S], t tidings.Definition[T],
	fn func(m tidings.Msg[T]) (id string, s S)) {
	d.starts = append(d.starts, start[S]{t, tidings.Names(t), func(e tidings.Event) (
		id string, s S, err error) {
		data, err := t.Decode(e)
		if err != nil {
			return "", s, err
		}
		id, s = fn(tidings.Msg[T]{Event: e, Data: data})
		return id, s, nil
	}})
}

// Compensated is what is published when the last compensation is done. reason is the error that the
// saga failed with.
func (d *Definition[S]) Compensated(fn func(s S, reason string) tidings.Event) *Definition[S] {
	d.compensated = fn
	return d
}

// Step declares the next step: do makes its command or event, whose id, and source where it has
// none, the saga sets. The name, without a '#', stays as long as there are instances. Without
// answers (Done, Fails, On) the step is done when its event is committed. An answer that comes
// before its step is ignored.
func (d *Definition[S]) Step(name string, do func(s S) tidings.Event,
	answers ...Answer[S]) *StepDef[S] {
	if name == "" || strings.Contains(name, "#") || do == nil || d.step(name) != nil {
		panic(fmt.Sprintf("saga %s: a step needs a function and a name of its own without '#', "+
			"got %q", d.name, name))
	}
	st := &StepDef[S]{name: name, do: do, retries: DefaultRetries}
	st.answers = append(st.answers, answers...)
	d.steps = append(d.steps, st)
	return st
}

func (d *Definition[S]) step(name string) *StepDef[S] {
	for _, st := range d.steps {
		if st.name == name {
			return st
		}
	}
	return nil
}

func (d *Definition[S]) index(name string) int {
	for i, st := range d.steps {
		if st.name == name {
			return i
		}
	}
	return -1
}

// Name is the saga's name.
func (d *Definition[S]) Name() string { return d.name }

// Version is the version of this definition.
func (d *Definition[S]) Version() int { return d.version }

// Steps are the names of the steps, in order.
func (d *Definition[S]) Steps() []string {
	names := make([]string, len(d.steps))
	for i, st := range d.steps {
		names[i] = st.name
	}
	return names
}

// DefaultRetries is how often a command is sent again, where it is tried again at all.
const DefaultRetries = 10

// StepDef is a step as it is being declared.
type StepDef[S any] struct {
	name     string
	do, undo func(s S) tidings.Event
	answers  []Answer[S]
	undone   []tidings.Described
	undoneBy []string // names of those types
	within   time.Duration
	retries  int
	pivot    bool
}

// Answer is an event that a step waits for, and what it does.
type Answer[S any] struct {
	typ    tidings.Described
	names  []string
	id     func(tidings.Event) (string, error) // nil: the key
	decode func(tidings.Event) (apply func(*S) error, err error)
}

// On is an answer with data: fn may change the state, which is kept in any case. Nil completes the
// step, an error fails it: then the step is taken for not done. An answer that does not decode
// moves nothing; it is among the dead letters, and the step waits.
func On[S, T any](t tidings.Definition[T], fn func(s *S, m tidings.Msg[T]) error) Answer[S] {
	return Answer[S]{typ: t, names: tidings.Names(t), decode: func(e tidings.Event) (
		func(*S) error, error) {
		data, err := t.Decode(e)
		if err != nil {
			return nil, err
		}
		return func(s *S) error { return fn(s, tidings.Msg[T]{Event: e, Data: data}) }, nil
	}}
}

// plain is an answer whose data nobody looks at.
func plain[S any](t tidings.Described, outcome func(typ string) error) Answer[S] {
	return Answer[S]{typ: t, names: tidings.Names(t), decode: func(e tidings.Event) (
		func(*S) error, error) {
		return func(*S) error { return outcome(e.Type) }, nil
	}}
}

// By says which instance an answer belongs to, for events that carry neither "sagaid" nor the id as
// their key.
func By[S, T any](t tidings.Definition[T], id func(m tidings.Msg[T]) string,
	a Answer[S]) Answer[S] {
	a.id = func(e tidings.Event) (string, error) {
		data, err := t.Decode(e)
		if err != nil {
			return "", err
		}
		return id(tidings.Msg[T]{Event: e, Data: data}), nil
	}
	return a
}

// Done completes the step on any of these, without touching the state.
func (st *StepDef[S]) Done(types ...tidings.Described) *StepDef[S] {
	for _, t := range types {
		st.answers = append(st.answers, plain[S](t, func(string) error { return nil }))
	}
	return st
}

// Fails fails the step on any of these.
func (st *StepDef[S]) Fails(types ...tidings.Described) *StepDef[S] {
	for _, t := range types {
		st.answers = append(st.answers, plain[S](t, func(typ string) error {
			return fmt.Errorf("answered by %s", typ)
		}))
	}
	return st
}

// Undo is the compensation, for when a later step fails. Where undone types are named it is sent
// again until one of them comes; otherwise it is done when it is committed.
func (st *StepDef[S]) Undo(fn func(s S) tidings.Event, undone ...tidings.Described) *StepDef[S] {
	st.undo, st.undone, st.undoneBy = fn, undone, nil
	for _, t := range undone {
		st.undoneBy = append(st.undoneBy, tidings.Names(t)...)
	}
	return st
}

// Within is the deadline of the step, durable: when it passes the step fails. Nobody knows then
// whether it was done, so before the pivot its own compensation is sent with the others; without
// one, what it did stays. A step without a deadline waits for ever. It is how long a compensation
// waits for its answer too, 0 is a minute there.
func (st *StepDef[S]) Within(d time.Duration) *StepDef[S] {
	st.within = d
	return st
}

// Retries is how often the command is sent again after the pivot, and the compensation, before the
// instance is stuck; the pauses grow from a second to five minutes.
func (st *StepDef[S]) Retries(n int) *StepDef[S] {
	st.retries = n
	return st
}

// Pivot marks the point of no return: once this step is done, later ones are tried again and
// nothing is compensated, but by Resolve. Until it is done it fails like any other.
func (st *StepDef[S]) Pivot() *StepDef[S] {
	st.pivot = true
	return st
}

func (st *StepDef[S]) answer(typ string) *Answer[S] {
	for i := range st.answers {
		if slices.Contains(st.answers[i].names, typ) {
			return &st.answers[i]
		}
	}
	return nil
}

func (st *StepDef[S]) isUndone(typ string) bool { return slices.Contains(st.undoneBy, typ) }

// Start begins an instance without an event; false says that there is one with this id already. An
// id is 1 to MaxID bytes of UTF-8 without byte 0.
func (d *Definition[S]) Start(ctx context.Context, st Store, id string, s S) (
	begun bool, err error) {
	if !validID(id) {
		return false, errID(d.name, id)
	}
	err = st.Update(ctx, d.name, id, func(rec *Record) ([]Outgoing, error) {
		begun = rec.Version == 0
		if !begun {
			return nil, nil
		}
		return d.begin(ctx, rec, s, tidings.Event{})
	})
	return begun && err == nil, err
}

// MaxID bounds the id of an instance, in bytes.
const MaxID = 1024

func validID(id string) bool {
	return id != "" && len(id) <= MaxID && utf8.ValidString(id) && strings.IndexByte(id, 0) < 0
}

func errID(saga, id string) error {
	return tidings.Permanent(fmt.Errorf("saga %s: the id %.40q of %d bytes is not 1 to %d bytes "+
		"of UTF-8 without byte 0", saga, id, len(id), MaxID))
}

func (d *Definition[S]) state(rec *Record) (s S, err error) {
	if err = json.Unmarshal(rec.State, &s); err != nil {
		err = &brokenError{fmt.Errorf("state of saga %s/%s: %w", rec.Saga, rec.ID, err)}
	}
	return s, err
}
