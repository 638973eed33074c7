package rabbitmq

import (
	"context"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
)

// Transport is a tidings.Transport over AMQP 0-9-1. It is safe for use by many goroutines.
type Transport struct {
	config  Config
	publish *line
	consume *line
}

var _ tidings.Transport = (*Transport)(nil)

// Open connects, so that an address or password that is wrong shows here. It tries until ctx ends
// where the broker cannot be reached.
func Open(ctx context.Context, c Config) (*Transport, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	t := &Transport{config: c}
	t.publish, t.consume = newLine(&t.config, "publish"), newLine(&t.config, "consume")
	if _, err := t.publish.session(ctx); err != nil {
		t.Close(ctx)
		return nil, err
	}
	return t, nil
}

// Close ends the connections. Publishes that are not confirmed end with an error, consumers with
// tidings.ErrClosed; what they had goes back to the queues. Close consumers first. It waits for the
// broker's goodbye until ctx ends, and for 5 s where ctx has no deadline.
func (t *Transport) Close(ctx context.Context) error {
	t.publish.close(ctx)
	t.consume.close(ctx)
	return nil
}

// Capabilities: order by queue, delays and schedules of up to 19 days; quorum queues count
// deliveries.
func (t *Transport) Capabilities() tidings.Capabilities {
	return tidings.Capabilities{
		Order:       tidings.OrderQueue,
		Attempts:    t.config.QueueType == Quorum,
		Temporary:   true,
		MaxDelay:    longestDelay,
		MaxSchedule: longestDelay,
		MaxBytes:    t.config.Limits.MaxBytes,
	}
}

// Declare makes the group's queue, its topics' exchanges, and the bindings.
func (t *Transport) Declare(ctx context.Context, sub tidings.Subscription) error {
	if err := supported(sub); err != nil || sub.Temporary {
		return err
	}
	s, err := t.consume.session(ctx)
	if err == nil {
		_, err = s.declare(ctx, sub)
	}
	return err
}

// supported refuses what RabbitMQ has not.
func supported(sub tidings.Subscription) error {
	switch {
	case sub.From == tidings.Earliest:
		return fmt.Errorf("rabbitmq: a new group cannot read the past: %w", tidings.ErrUnsupported)
	case sub.Window < 0 || sub.Window > mostWindow:
		return fmt.Errorf("rabbitmq: a window of %d, at most %d: %w", sub.Window, mostWindow,
			tidings.ErrUnsupported)
	}
	return nil
}

// Publish returns when the broker has confirmed every event. Without a connection, and while the
// broker holds publishers back, it waits until ctx ends. Events of a connection that is lost before
// their confirm end in a *tidings.PublishError: publish them again.
func (t *Transport) Publish(ctx context.Context, events ...tidings.Event) error {
	return t.publishIn(ctx, 0, events)
}

// PublishAt has the broker keep the events until then; they are late by up to 100 ms and the time
// that the broker takes for at most 24 steps. Beyond Capabilities.MaxSchedule it is
// tidings.ErrUnsupported.
func (t *Transport) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	delay := max(0, time.Until(at))
	if delay > longestDelay {
		return fmt.Errorf("rabbitmq: publish in %v, at most %v: %w", delay, longestDelay,
			tidings.ErrUnsupported)
	}
	return t.publishIn(ctx, delay, events)
}

func (t *Transport) publishIn(ctx context.Context, delay time.Duration,
	events []tidings.Event) error {
	if len(events) == 0 {
		return nil
	}
	b := &batch{t: t, delay: delay, events: events, sent: make([]*pending, len(events)),
		failed: make([]error, len(events))}
	b.encode()
	b.send(ctx)
	b.wait(ctx)
	return b.err()
}
