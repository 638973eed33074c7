package aws

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/tidings-io/tidings"
)

// Transport is a tidings.Transport over SNS and SQS. It is safe for use by many goroutines, and has
// none of its own beside those of its consumers.
type Transport struct {
	closed atomic.Bool
	config *Config
	sqs    *sqs.Client
	sns    *sns.Client
	places *places
}

var _ tidings.Transport = (*Transport)(nil)

// New is a transport. It sends nothing yet: what is wrong with keys or the endpoint shows with the
// first use.
func New(c Config) (*Transport, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	t := &Transport{config: &c, sqs: sqs.NewFromConfig(c.AWS), sns: sns.NewFromConfig(c.AWS)}
	t.places = newPlaces(t)
	return t, nil
}

// Close ends the use of the transport, as that of others: what is asked of it afterwards is
// tidings.ErrClosed. Consumers are closed before. It waits for nothing, and the connections belong to
// Config.AWS.
func (t *Transport) Close(context.Context) error {
	t.closed.Store(true)
	return nil
}

const (
	longestDelay = longestVisibility // of Nack
	longestWait  = 15 * time.Minute  // of a command, by DelaySeconds
	dedupWindow  = 5 * time.Minute
)

// Capabilities: attempts are counted, delays go up to 12 h, and nothing can be replayed. With FIFO
// there is order by key, and events are known by their ids for 5 minutes.
func (t *Transport) Capabilities() tidings.Capabilities {
	c := tidings.Capabilities{
		Attempts:  true,
		Temporary: true,
		MaxDelay:  longestDelay,
		MaxBytes:  mostTopicBytes,
	}
	if t.config.FIFO {
		c.Order, c.DedupWindow = tidings.OrderKey, dedupWindow
	}
	return c
}

// Declare makes the group's queue, its topics, and raw subscriptions of the queue. What is there
// stays as it is: a subscription keeps its filter policy, and may be one with SNS's envelope.
func (t *Transport) Declare(ctx context.Context, sub tidings.Subscription) error {
	if t.closed.Load() {
		return tidings.ErrClosed
	}
	if sub.Temporary {
		return fmt.Errorf("aws: declare %q: a temporary group lives with its consumer: %w", sub.Group,
			tidings.ErrUnsupported)
	}
	if err := supported(sub); err != nil {
		return err
	}
	_, err := t.places.declare(ctx, sub)
	return err
}

// Subscribe declares the group and reads it.
func (t *Transport) Subscribe(
	ctx context.Context, sub tidings.Subscription) (tidings.Consumer, error) {
	if t.closed.Load() {
		return nil, tidings.ErrClosed
	}
	if err := supported(sub); err != nil {
		return nil, err
	}
	g, err := t.places.declare(ctx, sub)
	if err != nil {
		return nil, err
	}
	return newConsumer(t, sub, g), nil
}

func supported(sub tidings.Subscription) error {
	switch {
	case sub.From == tidings.Earliest:
		return fmt.Errorf("aws: a new group cannot read the past: %w", tidings.ErrUnsupported)
	case sub.Window < 0:
		return fmt.Errorf("aws: a window of %d", sub.Window)
	}
	return nil
}

// Publish returns when SNS or SQS has answered for every event, in requests of up to ten. With FIFO
// each request has at most one event of a key, and behind an event that failed no other of its key
// is sent.
func (t *Transport) Publish(ctx context.Context, events ...tidings.Event) error {
	return t.publish(ctx, 0, events)
}

// PublishAt is for commands and replies up to 15 minutes ahead, where queues are not FIFO; all else
// is tidings.ErrUnsupported, and nothing is published then: SNS has no delays.
func (t *Transport) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	delay := time.Until(at)
	if delay <= 0 {
		return t.Publish(ctx, events...)
	}
	for i := range events {
		if events[i].Kind == tidings.KindEvent || t.config.FIFO || delay > longestWait {
			return fmt.Errorf("aws: publish in %v: only commands to standard queues can wait, up to %v: %w",
				delay, longestWait, tidings.ErrUnsupported)
		}
	}
	return t.publish(ctx, delay, events)
}

// seconds are whole ones, so that nothing comes too early.
func seconds(d time.Duration) int32 {
	return int32((max(d, 0) + time.Second - 1) / time.Second)
}
