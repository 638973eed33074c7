package transporttest

import (
	"context"
	"time"

	"github.com/tidings-io/tidings"
)

// Short names, for the many funcs.
type (
	events     = []tidings.Event
	deliveries = []*tidings.Delivery
)

// changed is a transport with some of its behaviour replaced. A nil func leaves it as it is.
type changed struct {
	tidings.Transport
	caps      func(*tidings.Capabilities)
	publish   func(ctx context.Context, next tidings.Publisher, es events) error
	publishAt func(ctx context.Context, next tidings.Publisher, at time.Time, es events) error
	declare   func(ctx context.Context, next tidings.Transport, s tidings.Subscription) error
	subscribe func(s *tidings.Subscription)
	receive   func(ctx context.Context, next tidings.Consumer, max int) (deliveries, error)
	commit    func(ctx context.Context, next tidings.Consumer) error
	close     func(ctx context.Context, next tidings.Consumer) error
	delivery  func(d *tidings.Delivery)
}

func (c *changed) Capabilities() tidings.Capabilities {
	caps := c.Transport.Capabilities()
	if c.caps != nil {
		c.caps(&caps)
	}
	return caps
}

func (c *changed) Publish(ctx context.Context, events ...tidings.Event) error {
	if c.publish != nil {
		return c.publish(ctx, c.Transport, events)
	}
	return c.Transport.Publish(ctx, events...)
}

func (c *changed) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	if c.publishAt != nil {
		return c.publishAt(ctx, c.Transport, at, events)
	}
	return c.Transport.PublishAt(ctx, at, events...)
}

func (c *changed) Declare(ctx context.Context, s tidings.Subscription) error {
	if c.subscribe != nil {
		c.subscribe(&s)
	}
	if c.declare != nil {
		return c.declare(ctx, c.Transport, s)
	}
	return c.Transport.Declare(ctx, s)
}

func (c *changed) Subscribe(ctx context.Context, s tidings.Subscription) (tidings.Consumer, error) {
	if c.subscribe != nil {
		c.subscribe(&s)
	}
	inner, err := c.Transport.Subscribe(ctx, s)
	if err != nil {
		return nil, err
	}
	return &changedConsumer{inner, c}, nil
}

type changedConsumer struct {
	tidings.Consumer
	c *changed
}

func (c *changedConsumer) Receive(ctx context.Context, max int) (ds deliveries, err error) {
	if c.c.receive != nil {
		ds, err = c.c.receive(ctx, c.Consumer, max)
	} else {
		ds, err = c.Consumer.Receive(ctx, max)
	}
	for _, d := range ds {
		if c.c.delivery != nil {
			c.c.delivery(d)
		}
	}
	return ds, err
}

func (c *changedConsumer) Commit(ctx context.Context) error {
	if c.c.commit != nil {
		return c.c.commit(ctx, c.Consumer)
	}
	return c.Consumer.Commit(ctx)
}

func (c *changedConsumer) Close(ctx context.Context) error {
	if c.c.close != nil {
		return c.c.close(ctx, c.Consumer)
	}
	return c.Consumer.Close(ctx)
}

// settles is a Settler with some of its behaviour replaced.
type settles struct {
	tidings.Settler
	ack    func(ctx context.Context, next tidings.Settler) error
	nack   func(ctx context.Context, next tidings.Settler, delay time.Duration) error
	extend func(ctx context.Context, next tidings.Settler, d time.Duration) error
}

func (s *settles) Ack(ctx context.Context) error {
	if s.ack != nil {
		return s.ack(ctx, s.Settler)
	}
	return s.Settler.Ack(ctx)
}

func (s *settles) Nack(ctx context.Context, delay time.Duration) error {
	if s.nack != nil {
		return s.nack(ctx, s.Settler, delay)
	}
	return s.Settler.Nack(ctx, delay)
}

func (s *settles) Extend(ctx context.Context, d time.Duration) error {
	if s.extend != nil {
		return s.extend(ctx, s.Settler, d)
	}
	return s.Settler.Extend(ctx, d)
}
