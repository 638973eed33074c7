package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/examples/shop"
	"github.com/tidings-io/tidings/transport/embedded"
)

// A demo sells for as long as somebody may look at it, and no longer: what it has sold stays in
// memory.
const (
	demoEvery  = 500 * time.Millisecond
	demoOrders = 20_000
	demoTells  = 10 * time.Second
)

// demo is the shop of examples/shop on the broker of a node, with customers.
type demo struct {
	transport *embedded.Transport
	buyer     *tidings.Service
	out       io.Writer
	stop      context.CancelFunc
	ended     chan error
}

// startDemo opens the shop. Close ends it, before its broker.
func startDemo(ctx context.Context, n *node, out io.Writer) (*demo, error) {
	t := embedded.New(n.b, embedded.Config{Logger: n.log})
	parts, err := shop.Inside(ctx, n.b, t, tidings.WithLogger(n.log))
	if err != nil {
		return nil, errors.Join(err, t.Close(ctx))
	}
	d := &demo{transport: t, out: out, buyer: tidings.NewService("buyer", t, tidings.WithLogger(n.log)),
		ended: make(chan error, 3)}
	ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() { d.ended <- shop.RunAll(ctx, parts...) }()
	go func() { d.ended <- d.buyer.Run(ctx) }()
	go func() { d.ended <- d.sell(ctx) }()
	return d, nil
}

// Close ends the services when their handlers have finished.
func (d *demo) Close(ctx context.Context) error {
	d.stop()
	var errs []error
	for range cap(d.ended) {
		select {
		case err := <-d.ended:
			errs = append(errs, err)
		case <-ctx.Done():
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
	return errors.Join(append(errs, d.transport.Close(ctx))...)
}

// sell has customers buy, and tells how the shop does.
func (d *demo) sell(ctx context.Context) error {
	customers := shop.NewCustomers(strconv.FormatInt(time.Now().Unix(), 36)+"-", uint64(time.Now().UnixNano()))
	bought := make(chan error, 1)
	go func() { bought <- customers.Buy(ctx, d.buyer, demoEvery, demoOrders) }()
	tick := time.NewTicker(demoTells)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			<-bought
			return nil
		case <-tick.C:
			if b, err := shop.Open(ctx, d.buyer); err == nil {
				d.tell(b)
			}
		}
	}
}

func (d *demo) tell(b shop.Books) {
	fmt.Fprintf(d.out, "  demo   %d orders completed, %d rejected, %d open    revenue %d.%02d\n",
		b.Completed, b.Rejected, b.Page.Open, b.Revenue/100, b.Revenue%100)
}
