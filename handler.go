package tidings

import (
	"context"
	"fmt"
	"time"
)

// Handler handles one delivery. With nil the event is done; an error is dealt with as the policy
// of the subscription says. The runtime settles: a Handler never calls Ack or Nack. It may change
// the fields of the event, such as a payload that it opens: the next attempt and the dead letter
// get what came. The bytes of the payload and the map of extensions are not its own.
type Handler interface {
	Handle(ctx context.Context, d *Delivery) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, d *Delivery) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, d *Delivery) error { return f(ctx, d) }

// BatchHandler handles several deliveries at once. A *BatchError says that some failed; with any
// other error all did.
type BatchHandler interface {
	HandleBatch(ctx context.Context, ds []*Delivery) error
}

// BatchHandlerFunc is a function as a BatchHandler.
type BatchHandlerFunc func(ctx context.Context, ds []*Delivery) error

// HandleBatch calls f.
func (f BatchHandlerFunc) HandleBatch(ctx context.Context, ds []*Delivery) error { return f(ctx, ds) }

// BatchError says which events of a batch failed, by their index in it; the others are done.
type BatchError struct{ Failed map[int]error }

// Error counts the events and tells one of the errors.
func (e *BatchError) Error() string {
	if e == nil {
		e = &BatchError{}
	}
	for i, err := range e.Failed {
		return fmt.Sprintf("%d events of the batch failed, among them number %d: %v", len(e.Failed), i, err)
	}
	return "no event of the batch failed"
}

// ofBatch is what the error of a batch handler says of single events: a wrapped one is about
// another batch. A nil one says that none failed.
func ofBatch(err error) (part *BatchError, some bool) {
	part, some = err.(*BatchError) //nolint:errorlint // see above
	if some && part == nil {
		part = &BatchError{}
	}
	return part, some
}

// Middleware wraps a Handler, as in net/http.
type Middleware func(Handler) Handler

// BatchMiddleware wraps a BatchHandler.
type BatchMiddleware func(BatchHandler) BatchHandler

// Route leads events to a handler. On, OnBatch, Handle and Replier make routes.
type Route struct {
	// Kind and Topic are where the events come from: a topic, or the address of commands.
	Kind  Kind
	Topic string
	// Types are the CloudEvents types that the route takes; none takes what no other route of the
	// subscription does.
	Types []string
	// Handler takes them one by one, or Batch several at once; one of the two is nil.
	Handler Handler
	Batch   BatchHandler
	// BatchMax and BatchWait bound a batch: it is handed over when it is full, or when its first
	// event has waited for so long. 0 is 100 events, and 10 ms.
	BatchMax  int
	BatchWait time.Duration
	// Describes are the declared types behind Types, for a topology.
	Describes []Described
	// ByLane keeps the events of each lane in order, as those of each key are otherwise: one after
	// the other, and a failing one holds back its lane. Where one route of a group does, all do, so
	// that the events of a key are one after the other whatever their routes.
	ByLane bool
	// Needs looks at what the route gets before anything is received; its error ends Run. nil asks
	// for nothing.
	Needs func(p Policy, c Capabilities) error

	reply Described // what a Replier answers with
}

// On leads events of a type, and older ones that it reads, to fn.
func On[T any](t *Type[T], fn func(ctx context.Context, m Msg[T]) error) Route {
	return one(t, fn)
}

// Handle leads commands of a type, and older ones that it reads, to fn.
func Handle[T any](c *Command[T], fn func(ctx context.Context, m Msg[T]) error) Route {
	return one(c, fn)
}

// OnBatch leads events of a type to fn, up to max at once. An error is that of all of them, unless
// it is a *BatchError. Events that do not decode fail by themselves and are not in the batch. One
// that is tried again takes those of its key that are behind it in the batch with it. What is
// published with the context of a batch has none of its events as its cause.
func OnBatch[T any](t *Type[T], max int, fn func(ctx context.Context, ms []Msg[T]) error) Route {
	r := route(t)
	r.BatchMax = max
	r.Batch = BatchHandlerFunc(func(ctx context.Context, ds []*Delivery) error {
		return handleBatch(ctx, t, ds, fn)
	})
	return r
}

// OnAny leads events of a topic to fn undecoded: those of the named types, or with no names all
// that no other route of the subscription takes.
func OnAny(topic string, fn func(ctx context.Context, d *Delivery) error, types ...string) Route {
	return Route{Topic: topic, Types: types, Handler: HandlerFunc(fn)}
}

func one[T any](def Definition[T], fn func(ctx context.Context, m Msg[T]) error) Route {
	r := route(def)
	r.Handler = HandlerFunc(func(ctx context.Context, d *Delivery) error {
		v, err := def.Decode(d.Event)
		if err != nil {
			return err
		}
		return fn(ctx, Msg[T]{Event: d.Event, Data: v, Attempt: d.Attempt})
	})
	return r
}

func route[T any](def Definition[T]) Route {
	r := Route{Kind: def.Kind(), Topic: def.Topic(), Types: []string{def.Name()}, Describes: []Described{def}}
	for name := range def.older() {
		r.Types = append(r.Types, name)
	}
	return r
}

func handleBatch[T any](ctx context.Context, def Definition[T], ds []*Delivery,
	fn func(ctx context.Context, ms []Msg[T]) error) error {
	failed := map[int]error{}
	ms := make([]Msg[T], 0, len(ds))
	at := make([]int, 0, len(ds)) // where each of ms is in ds
	for i, d := range ds {
		v, err := def.Decode(d.Event)
		if err != nil {
			failed[i] = err
			continue
		}
		ms = append(ms, Msg[T]{Event: d.Event, Data: v, Attempt: d.Attempt})
		at = append(at, i)
	}
	if len(ms) > 0 {
		spread(fn(ctx, ms), at, failed)
	}
	if len(failed) == 0 {
		return nil
	}
	return &BatchError{failed}
}

// spread enters the error of a batch for the deliveries that it is about.
func spread(err error, at []int, failed map[int]error) {
	part, some := ofBatch(err)
	for i, place := range at {
		switch {
		case some && part.Failed[i] != nil:
			failed[place] = part.Failed[i]
		case err != nil && !some:
			failed[place] = err
		}
	}
}
