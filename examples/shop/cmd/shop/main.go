// Command shop runs the services of the example: all of them on a broker inside the program, or one
// of them on a broker elsewhere.
//
//	shop                                                     all, on a broker in ./.shop, with customers
//	shop -service payment -broker kafka://localhost:9092     one, beside others on the same broker
//	shop -service buyer   -broker amqp://localhost:5672      customers, and the books at the end
//
// Brokers: kafka://host:port, amqp://user:password@host:port/vhost, http://host:port for AWS's
// services at that endpoint. Each service keeps its state in a directory of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/examples/shop"
	"github.com/tidings-io/tidings/transport/embedded"
)

type options struct {
	service, broker, data string
	orders                int
	every                 time.Duration
	seed                  uint64
	out                   io.Writer
}

func main() {
	o := options{out: os.Stdout}
	flag.StringVar(&o.service, "service", "all", "order, payment, inventory, shipping, notification, buyer, or all in one program")
	flag.StringVar(&o.broker, "broker", "", "address of the broker, for one service")
	flag.StringVar(&o.data, "data", ".shop", "directory of the services' own state")
	flag.IntVar(&o.orders, "orders", 0, "how many orders customers place; 0 is without end")
	flag.DurationVar(&o.every, "every", 200*time.Millisecond, "how often somebody buys")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the customers' random choices")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	switch {
	case o.service == "all" && o.broker == "":
		return runInside(ctx, o)
	case o.service == "all":
		return errors.New("-service all is for the broker inside the program: start each service with -broker")
	case o.broker == "":
		return errors.New("-service needs the address of a -broker, such as kafka://localhost:9092")
	}
	t, closeTransport, err := connect(ctx, o.broker)
	if err != nil {
		return err
	}
	defer closeTransport()
	if o.service == "buyer" {
		return buy(ctx, o, t)
	}
	return runOne(ctx, o, t)
}

// runOne runs a service whose state is on a broker of its own.
func runOne(ctx context.Context, o options, t tidings.Transport) error {
	b, err := openBroker(filepath.Join(o.data, o.service))
	if err != nil {
		return err
	}
	defer b.Close()
	place, err := shop.Apart(ctx, o.service, b, t)
	if err != nil {
		return err
	}
	defer closing(ctx, place.Close)
	part := shop.New(o.service, place)
	if part == nil {
		return fmt.Errorf("there is no service %q: there are %v and buyer", o.service, shop.Names)
	}
	go announce(ctx, o, part.Service)
	return part.Run(ctx)
}

func openBroker(dir string) (*broker.Broker, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return broker.Open(dir, broker.Config{})
}

func announce(ctx context.Context, o options, s *tidings.Service) {
	select {
	case <-s.Ready():
		fmt.Fprintf(o.out, "%s: ready\n", s.Name())
	case <-ctx.Done():
	}
}

// runInside runs all services and the customers on one broker in the program.
func runInside(ctx context.Context, o options) error {
	b, err := openBroker(o.data)
	if err != nil {
		return err
	}
	defer b.Close()
	t := embedded.New(b, embedded.Config{})
	defer closing(ctx, t.Close)
	parts, err := shop.Inside(ctx, b, t)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- shop.RunAll(ctx, parts...)
	}()
	err = buy(ctx, o, t)
	stop()
	return errors.Join(err, <-ended)
}

// closing closes within a time, whatever ended before.
func closing(ctx context.Context, fn func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := fn(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "shop: close:", err)
	}
}
