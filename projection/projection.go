package projection

import (
	"context"
	"fmt"
	"regexp"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
)

// Projection is what becomes of events in one version of some tables. Tx is the transaction of
// their database, such as pgx.Tx or *embedded.Tx. Declare one package variable for each.
type Projection[Tx any] struct {
	id     ID
	on     map[string]Handler[Tx]
	erased func(ctx context.Context, tx Tx, r eventstore.Recorded) error
}

// ID is a projection in one of its versions.
type ID struct {
	Name    string
	Version int
}

// String is "name v1".
func (id ID) String() string { return fmt.Sprintf("%s v%d", id.Name, id.Version) }

// MaxName bounds the name of a projection, in bytes.
const MaxName = 100

var validName = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9._-]{1,%d}$`, MaxName))

// Define declares a projection. Events that no handler is for are passed over. It panics where the
// name is not 1 to MaxName letters, digits, '.', '_' and '-', the version is below 1, or two
// handlers are for one type, which the first run of the program shows.
func Define[Tx any](name string, version int, handlers ...Handler[Tx]) *Projection[Tx] {
	p := &Projection[Tx]{id: ID{name, version}, on: map[string]Handler[Tx]{}}
	if !validName.MatchString(name) || version < 1 {
		panic(fmt.Sprintf("projection: it needs a name and a version, got %q and %d", name, version))
	}
	for _, h := range handlers {
		p.add(h)
	}
	return p
}

func (p *Projection[Tx]) add(h Handler[Tx]) {
	if h.types == nil {
		p.erased = h.handle
	}
	for _, name := range h.types {
		if p.on[name].handle != nil {
			panic(fmt.Sprintf("projection: %s handles %s twice", p.id, name))
		}
		p.on[name] = h
	}
}

// ID is the name and version.
func (p *Projection[Tx]) ID() ID { return p.id }

// Handler is what becomes of some events.
type Handler[Tx any] struct {
	types  []string // nil: those that are erased
	handle func(ctx context.Context, tx Tx, r eventstore.Recorded) error
}

// On lets fn handle events of a type, and of the older ones that it reads. What fn publishes with
// ctx is caused by the event.
func On[Tx, T any](t *tidings.Type[T],
	fn func(ctx context.Context, tx Tx, data T, r eventstore.Recorded) error) Handler[Tx] {
	return Handler[Tx]{tidings.On(t, nil).Types,
		func(ctx context.Context, tx Tx, r eventstore.Recorded) error {
			data, err := t.Decode(r.Event)
			if err != nil {
				return err
			}
			return fn(ctx, tx, data, r)
		}}
}

// OnErased lets fn handle events whose data has been erased, of every type that the projection
// handles; fn may do nothing. Without it such an event is poison.
func OnErased[Tx any](
	fn func(ctx context.Context, tx Tx, r eventstore.Recorded) error) Handler[Tx] {
	return Handler[Tx]{nil, fn}
}

// handle is the effect of one event; a panic is an error.
func (p *Projection[Tx]) handle(ctx context.Context, tx Tx, r eventstore.Recorded) (err error) {
	h, ok := p.on[r.Type]
	if !ok {
		return nil
	}
	if r.Erased {
		if h.handle = p.erased; h.handle == nil {
			return tidings.Permanent(
				fmt.Errorf("its data is %w: see OnErased", eventstore.ErrErased))
		}
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return h.handle(tidings.Handling(ctx, p.id.Name, p.id.Name, &r.Event), tx, r)
}
