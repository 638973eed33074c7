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
	from      tidings.Start
	end       func(context.Context) error
	publishes *tidings.Service
}

func newOurs(t tidings.Transport, from tidings.Start, end func(context.Context) error) *ours {
	return &ours{transport: t, from: from, end: end,
		publishes: tidings.NewService("bench", t, tidings.WithLogger(quiet))}
}

// quiet keeps lines about groups that come and go out of the figures.
var quiet = slog.New(slog.DiscardHandler)

// oursEmbedded has its broker in the process.
func oursEmbedded(_ context.Context, dir string, partitions int) (side, error) {
	b, err := broker.Open(dir, broker.Config{})
	if err != nil {
		return nil, err
	}
	t := embedded.New(b, embedded.Config{Partitions: partitions})
	return newOurs(t, tidings.Earliest, func(ctx context.Context) error {
		return errors.Join(t.Close(ctx), b.Close())
	}), nil
}

// oursKafka compresses as little as its peer.
func oursKafka(_ context.Context, addr string, partitions int) (side, error) {
	t, err := kafka.New(kafka.Config{Seeds: []string{addr}, Partitions: partitions,
		Compression: "none", Logger: quiet})
	if err != nil {
		return nil, err
	}
	return newOurs(t, tidings.Earliest, t.Close), nil
}

// oursAMQP has the kind of queue that its peer declares.
func oursAMQP(ctx context.Context, addr string, _ int) (side, error) {
	t, err := rabbitmq.Open(ctx, rabbitmq.Config{
		URL: amqpURL(addr), QueueType: rabbitmq.Classic})
	if err != nil {
		return nil, err
	}
	return newOurs(t, tidings.Latest, t.Close), nil
}

func (l *ours) declare(ctx context.Context, topic string, groups ...string) error {
	for _, g := range groups {
		err := l.transport.Declare(ctx, tidings.Subscription{
			Group: g, Topics: []string{topic}, From: l.from})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *ours) publisher(topic string) publisher {
	placed := tidings.Define[order](topic, eventType)
	return func(ctx context.Context, key string, o order) error {
		return l.publishes.Publish(ctx, placed.New(o, tidings.WithKey(key)))
	}
}

// fillBatch is how many events fill publishes in a call.
const fillBatch = 500

func (l *ours) fill(ctx context.Context, topic string, keyed bool, n int) error {
	placed := tidings.Define[order](topic, eventType)
	for from := 0; from < n; from += fillBatch {
		var events []tidings.Event
		for i := from; i < min(n, from+fillBatch); i++ {
			o := newOrder(i)
			events = append(events, placed.New(o, tidings.WithKey(keyOf(&o, keyed))))
		}
		if err := l.publishes.Publish(ctx, events...); err != nil {
			return err
		}
	}
	return nil
}

// handle runs a service, which commits before it returns.
func (l *ours) handle(ctx context.Context, topic, group string, h how, fn handler) (
	time.Time, error) {
	placed := tidings.Define[order](topic, eventType)
	s := tidings.NewService(group, l.transport, tidings.WithLogger(quiet)).Subscribe(
		tidings.Policy{From: l.from, Concurrency: h.atOnce},
		tidings.On(placed, func(ctx context.Context, m tidings.Msg[order]) error {
			return fn(ctx, m.Data)
		}))
	err := s.Run(ctx)
	return time.Now(), err
}

func (l *ours) close(ctx context.Context) error { return l.end(ctx) }
