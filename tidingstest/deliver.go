package tidingstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// ErrNoRoute: none of the routes takes the event.
var ErrNoRoute = errors.New("no route takes the event")

// Deliver runs the handler that takes an event among routes, once, without a broker, and returns
// its error. The context is that of a handling of the event, as a service makes it, by group and
// service "test". A batch handler gets a batch of one.
func Deliver(ctx context.Context, e tidings.Event, routes ...tidings.Route) error {
	i := routeOf(e, routes)
	if i < 0 {
		return fmt.Errorf("%s %s of type %s: %w", e.Kind, e.Topic, e.Type, ErrNoRoute)
	}
	d := &tidings.Delivery{Event: clone(e), Offset: -1, Attempt: 1, Settler: unsettled{}}
	ctx = tidings.Handling(ctx, "test", "test", &d.Event)
	if h := routes[i].Handler; h != nil {
		return h.Handle(ctx, d)
	}
	err := routes[i].Batch.HandleBatch(ctx, []*tidings.Delivery{d})
	if part, ok := errors.AsType[*tidings.BatchError](err); ok {
		return part.Failed[0]
	}
	return err
}

// routeOf is the index of the route that takes an event: the one that names its type, or else one
// of its topic that names none; -1 where there is none.
func routeOf(e tidings.Event, routes []tidings.Route) int {
	rest := -1
	for i, r := range routes {
		switch {
		case r.Kind != e.Kind || r.Topic != e.Topic:
		case slices.Contains(r.Types, e.Type):
			return i
		case len(r.Types) == 0 && rest < 0:
			rest = i
		}
	}
	return rest
}

var errHandlerSettles = errors.New("a handler does not settle: the service does")

// unsettled is a delivery that nobody may settle.
type unsettled struct{}

func (unsettled) Ack(context.Context) error                   { return errHandlerSettles }
func (unsettled) Nack(context.Context, time.Duration) error   { return errHandlerSettles }
func (unsettled) Extend(context.Context, time.Duration) error { return nil }
