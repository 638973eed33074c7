package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/embedded"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/tidings-io/tidings/transport/rabbitmq"
)

// ours is a service of the library.
type ours struct {
	transport tidings.Transport
	format    format
	from      tidings.Start
	end       func(context.Context) error
	publishes *tidings.Service
}

func newOurs(t tidings.Transport, f format, from tidings.Start,
	end func(context.Context) error) *ours {
	return &ours{transport: t, format: f, from: from, end: end,
		publishes: tidings.NewService("bench", t, tidings.WithLogger(quiet))}
}

// quiet keeps lines about groups that come and go out of the figures.
var quiet = slog.New(slog.DiscardHandler)

// oursEmbedded has its broker in the process.
func oursEmbedded(_ context.Context, dir string, s setting) (side, error) {
	b, err := broker.Open(dir, broker.Config{})
	if err != nil {
		return nil, err
	}
	t := embedded.New(b, embedded.Config{Partitions: s.partitions})
	return newOurs(t, s.format, tidings.Earliest, func(ctx context.Context) error {
		return errors.Join(t.Close(ctx), b.Close())
	}), nil
}

// oursKafka compresses as little as its peer.
func oursKafka(_ context.Context, addr string, s setting) (side, error) {
	t, err := kafka.New(kafka.Config{Seeds: []string{addr}, Partitions: s.partitions,
		Compression: "none", Logger: quiet})
	if err != nil {
		return nil, err
	}
	return newOurs(t, s.format, tidings.Earliest, t.Close), nil
}

// oursAMQP has the kind of queue that its peer declares.
func oursAMQP(ctx context.Context, addr string, s setting) (side, error) {
	t, err := rabbitmq.Open(ctx, rabbitmq.Config{
		URL: amqpURL(addr), QueueType: rabbitmq.Classic})
	if err != nil {
		return nil, err
	}
	return newOurs(t, s.format, tidings.Latest, t.Close), nil
}

func (l *ours) declare(ctx context.Context, topic, group string) error {
	return l.transport.Declare(ctx, tidings.Subscription{
		Group: group, Topics: []string{topic}, From: l.from})
}

// placed is the event of a topic.
func (l *ours) placed(topic string) *tidings.Type[order] {
	return tidings.Define(topic, eventType, tidings.WithCodec[order](codec{l.format}))
}

// codec is a format as the library takes it.
type codec struct{ format }

func (codec) ContentType() string               { return "application/json" }
func (c codec) Encode(v any) ([]byte, error)    { return c.encode(v.(order)) }
func (c codec) Decode(data []byte, v any) error { return c.decode(data, v.(*order)) }

func (l *ours) publisher(topic string, keyed bool) publisher {
	placed := l.placed(topic)
	return func(ctx context.Context, orders ...order) error {
		events := make([]tidings.Event, len(orders))
		for i := range orders {
			events[i] = placed.New(orders[i], tidings.WithKey(keyOf(&orders[i], keyed)))
		}
		return l.publishes.Publish(ctx, events...)
	}
}

func (l *ours) bulk() (inACall, atOnce int) { return 500, 1 }

// handle runs a service, which commits before it returns.
func (l *ours) handle(ctx context.Context, topic, group string, h how, fn handler) (
	time.Time, error) {
	s := tidings.NewService(group, l.transport, tidings.WithLogger(quiet)).Subscribe(
		tidings.Policy{From: l.from, Concurrency: h.atOnce},
		tidings.On(l.placed(topic), func(ctx context.Context, m tidings.Msg[order]) error {
			return fn(ctx, m.Data)
		}))
	err := s.Run(ctx)
	return time.Now(), err
}

func (l *ours) close(ctx context.Context) error { return l.end(ctx) }
