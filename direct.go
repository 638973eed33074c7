package tidings

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Handle handles one event as if a broker had delivered it to the service, once, whether or not
// the service runs: with its route, middleware, timeout and context. The error is the handler's;
// nothing is tried again and nothing put among the dead letters. A batch handler gets a batch of
// one. Where several groups of the service read the event, it is handled for each. The error is
// ErrNoRoute where no route takes it, and that of Run where Run would refuse the subscriptions.
//
// It is for tests, and for what comes another way, such as a webhook. Order and what a broker
// keeps are the caller's business then.
func (s *Service) Handle(ctx context.Context, e Event) error {
	groups, err := s.plan()
	if err != nil {
		return fmt.Errorf("service %s: %w", s.name, err)
	}
	var errs []error
	taken := false
	for _, g := range groups {
		if b := g.lookup(&e); b != nil {
			taken = true
			errs = append(errs, newSubscription(s, g).direct(ctx, b, e))
		}
	}
	if !taken {
		return fmt.Errorf("%s to %s of type %q: %w", e.Kind, e.Topic, e.Type, ErrNoRoute)
	}
	return errors.Join(errs...)
}

// direct makes one attempt for an event that no broker delivered.
func (s *subscription) direct(ctx context.Context, b *bound, e Event) error {
	d := &Delivery{Event: e, Offset: -1, Attempt: 1, Settler: undelivered{}}
	if b.handler != nil {
		return s.bounded(s.handling(ctx, &d.Event), func(ctx context.Context) error {
			return b.handler.Handle(ctx, d)
		})
	}
	err := s.bounded(s.handling(ctx, nil), func(ctx context.Context) error {
		return b.batch.HandleBatch(ctx, []*Delivery{d})
	})
	if part, some := ofBatch(err); some {
		return readable(part.Failed[0])
	}
	return err
}

// undelivered settles what came from no broker, which nobody has to know.
type undelivered struct{}

func (undelivered) Ack(context.Context) error                   { return nil }
func (undelivered) Nack(context.Context, time.Duration) error   { return nil }
func (undelivered) Extend(context.Context, time.Duration) error { return nil }
