package tidings_test

import (
	"context"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// altered is a transport that does some things otherwise.
type altered struct {
	*tidingstest.Transport
	deliver func(*tidings.Delivery)     // changes what is delivered
	commit  func(context.Context) error // nil: as ever
}

func (a altered) Subscribe(ctx context.Context, s tidings.Subscription) (tidings.Consumer, error) {
	c, err := a.Transport.Subscribe(ctx, s)
	return alteredConsumer{c, a}, err
}

type alteredConsumer struct {
	tidings.Consumer
	of altered
}

func (c alteredConsumer) Receive(ctx context.Context, max int) ([]*tidings.Delivery, error) {
	ds, err := c.Consumer.Receive(ctx, max)
	for _, d := range ds {
		c.of.deliver(d)
	}
	return ds, err
}

func (c alteredConsumer) Commit(ctx context.Context) error {
	if c.of.commit != nil {
		return c.of.commit(ctx)
	}
	return c.Consumer.Commit(ctx)
}

// extending has a delivery extended otherwise.
type extending struct {
	tidings.Settler
	extend func(context.Context, time.Duration) error
}

func (s extending) Extend(ctx context.Context, d time.Duration) error { return s.extend(ctx, d) }

func notExtended(s tidings.Settler, err error) tidings.Settler {
	return extending{s, func(context.Context, time.Duration) error { return err }}
}

// nacking has a delivery given back otherwise.
type nacking struct {
	tidings.Settler
	nack func(context.Context) error
}

func (s nacking) Nack(ctx context.Context, _ time.Duration) error { return s.nack(ctx) }
