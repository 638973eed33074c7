package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/tidings-io/tidings"
)

// theirs is a router of Watermill over one of its brokers.
type theirs struct {
	format     format
	publishes  message.Publisher
	subscriber func(group string) (message.Subscriber, error)
	init       func(topic, group string) error
	// consumers is how many subscriptions let so many handlers run at once.
	consumers func(h how) int
}

// The metadata that carries what an event of ours has in its attributes.
const (
	metaKey         = "partitionkey"
	metaType        = "type"
	metaSource      = "source"
	metaTime        = "time"
	metaContentType = "datacontenttype"
	metaCorrelation = "correlationid"
)

// theirsKafka keeps the order of partitions: each has one handler that runs. All replicas
// acknowledge, as with ours; the rest are Watermill's own settings.
func theirsKafka(_ context.Context, addr string, s setting) (side, error) {
	keyed := wkafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
		return m.Metadata.Get(metaKey), nil
	})
	config := wkafka.DefaultSaramaSyncPublisherConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	p, err := wkafka.NewPublisher(wkafka.PublisherConfig{
		Brokers: []string{addr}, Marshaler: whereKeyed{keyed}, OverwriteSaramaConfig: config},
		watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	subscriber := func(group string) (*wkafka.Subscriber, error) {
		config := wkafka.DefaultSaramaSubscriberConfig()
		config.Consumer.Offsets.Initial = sarama.OffsetOldest
		return wkafka.NewSubscriber(wkafka.SubscriberConfig{
			Brokers: []string{addr}, ConsumerGroup: group, OverwriteSaramaConfig: config,
			Unmarshaler: keyed, InitializeTopicDetails: &sarama.TopicDetail{
				NumPartitions: int32(s.partitions), ReplicationFactor: 1},
		}, watermill.NopLogger{})
	}
	return &theirs{format: s.format, publishes: p,
		subscriber: func(group string) (message.Subscriber, error) { return subscriber(group) },
		init: func(topic, group string) error {
			s, err := subscriber(group)
			if err == nil {
				err = errors.Join(s.SubscribeInitialize(topic), s.Close())
			}
			return err
		},
		consumers: func(how) int { return 1 },
	}, nil
}

// whereKeyed gives messages without a key to any partition, which the marshaler with keys does not.
type whereKeyed struct{ keyed wkafka.MarshalerUnmarshaler }

func (w whereKeyed) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	if m.Metadata.Get(metaKey) == "" {
		return wkafka.DefaultMarshaler{}.Marshal(topic, m)
	}
	return w.keyed.Marshal(topic, m)
}

// classic asks for the kind of queue that syncs before it confirms, where there are several.
var classic = amqp091.Table{"x-queue-type": "classic"}

// theirsAMQP waits for confirms and has a channel for each publisher; a consumer hands out one
// message at a time, so that several are needed for several at once, and keep no order then.
func theirsAMQP(_ context.Context, addr string, s setting) (side, error) {
	config := func(group string) wamqp.Config {
		c := wamqp.NewDurablePubSubConfig(amqpURL(addr), wamqp.GenerateQueueNameConstant(group))
		c.Publish.ConfirmDelivery, c.Publish.ChannelPoolSize = true, publishers
		c.Consume.Qos.PrefetchCount = prefetch
		c.Queue.Arguments = classic
		return c
	}
	p, err := wamqp.NewPublisher(config(""), watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	subscriber := func(group string) (*wamqp.Subscriber, error) {
		return wamqp.NewSubscriber(config(group), watermill.NopLogger{})
	}
	return &theirs{format: s.format, publishes: p,
		subscriber: func(group string) (message.Subscriber, error) { return subscriber(group) },
		init: func(topic, group string) error {
			s, err := subscriber(group)
			if err == nil {
				err = errors.Join(s.SubscribeInitialize(topic), s.Close())
			}
			return err
		},
		consumers: func(h how) int {
			if h.ordered {
				return 1
			}
			return h.atOnce
		},
	}, nil
}

// prefetch is what a consumer of Watermill's is sent ahead; its default of 1 costs a round trip
// for each message.
const prefetch = 256

func (l *theirs) declare(_ context.Context, topic, group string) error {
	return l.init(topic, group)
}

func (l *theirs) publisher(topic string, keyed bool) publisher {
	return func(ctx context.Context, orders ...order) error {
		messages := make([]*message.Message, len(orders))
		for i := range orders {
			var err error
			if messages[i], err = l.message(ctx, orders[i], keyOf(&orders[i], keyed)); err != nil {
				return err
			}
		}
		return l.publishes.Publish(topic, messages...)
	}
}

func (l *theirs) message(ctx context.Context, o order, key string) (*message.Message, error) {
	payload, err := l.format.encode(o)
	if err != nil {
		return nil, err
	}
	m := message.NewMessageWithContext(ctx, tidings.NewID(), payload)
	if key != "" {
		m.Metadata.Set(metaKey, key)
	}
	m.Metadata.Set(metaType, eventType)
	m.Metadata.Set(metaSource, "bench")
	m.Metadata.Set(metaTime, time.Now().UTC().Format(time.RFC3339Nano))
	m.Metadata.Set(metaContentType, "application/json")
	m.Metadata.Set(metaCorrelation, m.UUID)
	return m, nil
}

// bulk is of calls at once: each sends one message after the other.
func (l *theirs) bulk() (inACall, atOnce int) { return 1, publishers }

// closing is how long a router may take to close.
const closing = 200 * time.Millisecond

// handle runs a router. Acknowledgements of the last moment are lost with it, which does not count
// against it: it has settled when ctx ends.
func (l *theirs) handle(ctx context.Context, topic, group string, h how, fn handler) (
	settled time.Time, err error) {
	r, err := message.NewRouter(message.RouterConfig{CloseTimeout: closing}, watermill.NopLogger{})
	if err != nil {
		return settled, err
	}
	s, err := l.subscriber(group)
	if err != nil {
		return settled, err
	}
	closed := make(chan struct{})
	for i := range l.consumers(h) {
		r.AddConsumerHandler(fmt.Sprint(group, "-", i), topic, s, func(m *message.Message) error {
			if ctx.Err() != nil { // what it goes on with while it closes does not count
				<-closed
				return ctx.Err()
			}
			var o order
			if err := l.format.decode(m.Payload, &o); err != nil {
				return err
			}
			return fn(m.Context(), o)
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.WithoutCancel(ctx)) }()
	select {
	case <-ctx.Done():
		settled = time.Now()
		_ = r.Close() // it may be late
		close(closed)
		<-ended
		return settled, nil
	case err := <-ended:
		return settled, fmt.Errorf("router ended: %w", err)
	}
}

func (l *theirs) close(context.Context) error { return l.publishes.Close() }
