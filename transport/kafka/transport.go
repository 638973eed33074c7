package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Transport is a Kafka cluster as services use it. Its zero value is of no use: see New.
type Transport struct {
	config   Config
	producer *kgo.Client
	topics   *topics
	replies  replies
	buffer   chan struct{} // holds one for each record that the producer has
	closed   atomic.Bool
}

// maxBuffered bounds what the producer has; whoever publishes more waits.
const maxBuffered = 10_000

var _ tidings.Transport = (*Transport)(nil)

// New makes a Transport. It does not connect: a cluster that cannot be reached shows when
// something is published or subscribed to.
func New(c Config) (*Transport, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	t := &Transport{
		config: c, topics: &topics{config: &c, known: map[string]int{}},
		buffer: make(chan struct{}, maxBuffered),
	}
	t.producer, err = t.client(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytesFn(t.batchBytes),
		kgo.BrokerMaxWriteBytes(int32(max(100<<20, c.MaxBytes+1<<20))),
		kgo.MaxBufferedRecords(maxBuffered), // so that Produce never waits
		kgo.ProducerLinger(0),               // batches emerge from what waits for a request in flight
	)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	t.replies.topics = t.topics
	t.topics.client, t.topics.admin = t.producer, kadm.NewClient(t.producer)
	return t, nil
}

// client makes a client of the cluster.
func (t *Transport) client(opts ...kgo.Opt) (*kgo.Client, error) {
	common, err := t.config.connection()
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(append(common, opts...), t.config.Options...)...)
}

// Capabilities are the same for every cluster: order per lane, which is a partition; the past and
// positions; temporary groups; delays up to Config.MaxDelay; nothing at a later time.
func (t *Transport) Capabilities() tidings.Capabilities {
	return tidings.Capabilities{
		Order: tidings.OrderLane, Replay: true, Positions: true, Temporary: true,
		MaxDelay: t.config.MaxDelay, MaxBytes: t.config.MaxBytes,
	}
}

// PublishAt publishes at once what is due, and is ErrUnsupported for any later time: a topic has
// no place for what nobody may read yet. An outbox has.
func (t *Transport) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	if at.After(time.Now()) {
		return fmt.Errorf("kafka: publish at a later time: %w", tidings.ErrUnsupported)
	}
	return t.Publish(ctx, events...)
}

// Declare makes the topics that are missing, that of the group's address included, and commits
// where a new group begins: at the ends of its topics as they are now, or at their starts. A topic
// in which the group has committed before keeps its offsets. A Temporary group is nothing before
// it is subscribed to.
//
// Kafka takes offsets from outside only while a group has no members. Where it has, and the
// topic is new to it, Declare joins for a moment, which rebalances the group twice.
func (t *Transport) Declare(ctx context.Context, s tidings.Subscription) error {
	if t.closed.Load() {
		return tidings.ErrClosed
	}
	if err := checkSubscription(s); err != nil {
		return err
	}
	if err := t.declareTopics(ctx, s.Topics); err != nil || s.Temporary {
		return err
	}
	if err := t.declareAddress(ctx, s.Group); err != nil {
		return err
	}
	return t.beginAt(ctx, s)
}

func checkSubscription(s tidings.Subscription) error {
	if err := checkGroup(s.Group); err != nil {
		return err
	}
	for _, topic := range s.Topics {
		if err := checkTopic(topic); err != nil {
			return err
		}
	}
	if s.Window < 0 {
		return fmt.Errorf("kafka: a window of %d", s.Window)
	}
	return nil
}

// Subscribe declares and reads. Members of a group share the partitions of its topics and of its
// address, by cooperative sticky assignment.
func (t *Transport) Subscribe(ctx context.Context, s tidings.Subscription) (tidings.Consumer, error) {
	if err := t.Declare(ctx, s); err != nil {
		return nil, err
	}
	if s.Temporary {
		return t.subscribeAlone(ctx, s)
	}
	return t.subscribeGroup(s)
}

// Close waits until what is being published is decided, or ctx ends, and closes the connections.
// Consumers are closed before.
func (t *Transport) Close(ctx context.Context) error {
	if t.closed.Swap(true) {
		return nil
	}
	err := t.producer.Flush(ctx)
	t.producer.Close()
	if err != nil {
		return fmt.Errorf("kafka: close: %w", err)
	}
	return nil
}
