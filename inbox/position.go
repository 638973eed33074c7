package inbox

import (
	"context"
	"fmt"

	"github.com/tidings-io/tidings"
)

// OnPosition is On that remembers an offset for each lane instead of each event: a table that does
// not grow. The events of a lane are handled one after the other, and a failing one holds back its
// lane. A service whose transport has no Positions, or whose policy steps aside, does not start.
//
// Deliveries that come through the group's own address, such as redriven dead letters, may have no
// position; these are remembered by id. Where a service dies after it has put an event among the
// dead letters and before the broker knows, the event is handled at its position and, when it is
// redriven, once more: On has no such gap.
func OnPosition[Tx, T any](s Store[Tx], t *tidings.Type[T],
	fn func(ctx context.Context, tx Tx, m tidings.Msg[T]) error) tidings.Route {
	r := tidings.On(t, func(ctx context.Context, m tidings.Msg[T]) error { return once(ctx, s, m, fn) })
	byID := r.Handler
	r.ByLane = true
	r.Needs = needPositions
	r.Handler = tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
		if d.Offset < 0 || d.Lane == "" {
			return byID.Handle(ctx, d)
		}
		return advance(ctx, s, t, d, fn)
	})
	return r
}

func advance[Tx, T any](ctx context.Context, s Store[Tx], t *tidings.Type[T], d *tidings.Delivery,
	fn func(ctx context.Context, tx Tx, m tidings.Msg[T]) error) error {
	group, err := groupOf(ctx)
	if err != nil {
		return err
	}
	v, err := t.Decode(d.Event)
	if err != nil {
		return err
	}
	m := tidings.Msg[T]{Event: d.Event, Data: v, Attempt: d.Attempt}
	_, err = s.Advance(ctx, group, d.Lane, d.Offset, func(ctx context.Context, tx Tx) error {
		return fn(ctx, tx, m)
	})
	return err
}

func needPositions(p tidings.Policy, c tidings.Capabilities) error {
	switch {
	case !c.Positions:
		return fmt.Errorf("inbox.OnPosition needs Capabilities.Positions: %w", tidings.ErrUnsupported)
	case p.StepAside:
		return fmt.Errorf("inbox.OnPosition keeps the order of lanes, and Policy.StepAside gives it up: %w",
			tidings.ErrUnsupported)
	default:
		return nil
	}
}
