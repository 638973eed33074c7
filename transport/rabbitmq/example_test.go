package rabbitmq_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/transport/rabbitmq"
	"github.com/tidings-io/tidings/wire/amqp"
)

type placed struct{ Order string }

var orderPlaced = tidings.Define("orders", "shop.order.placed.v1",
	tidings.KeyBy(func(p placed) string { return p.Order }))

// A service is told where its broker is, and nothing else of it.
func Example() {
	url, stop := startBroker() // such as amqp://billing:password@rabbit.example.com/
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: url})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close(context.WithoutCancel(ctx))

	svc := tidings.NewService("billing", t)
	billed := make(chan string, 1)
	svc.Subscribe(tidings.Policy{}, tidings.On(orderPlaced,
		func(_ context.Context, m tidings.Msg[placed]) error {
			billed <- m.Data.Order
			return nil
		}))
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	<-svc.Ready()
	if err := svc.Publish(ctx, orderPlaced.New(placed{Order: "o-1"})); err != nil {
		log.Fatal(err)
	}
	fmt.Println("bill", <-billed)
	cancel() // Run drains, and returns
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
	// Output: bill o-1
}

// The same without a service: consumers, deliveries and their settlement.
func ExampleTransport_Subscribe() {
	url, stop := startBroker()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: url})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close(ctx)
	c, err := t.Subscribe(ctx, tidings.Subscription{Group: "billing", Topics: []string{"orders"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(ctx)

	e := orderPlaced.New(placed{Order: "o-1"})
	tidings.Stamp(ctx, "shop", &e)
	if err := t.Publish(ctx, e); err != nil { // nil: the broker has confirmed it
		log.Fatal(err)
	}
	for attempt := range 2 {
		ds, err := c.Receive(ctx, 1)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(ds[0].Payload), "attempt", ds[0].Attempt)
		if attempt == 0 {
			err = ds[0].Nack(ctx, 100*time.Millisecond)
		} else {
			err = ds[0].Ack(ctx)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// {"Order":"o-1"} attempt 1
	// {"Order":"o-1"} attempt 2
}

// startBroker starts a Tidings in the program.
func startBroker() (url string, stop func()) {
	b, err := broker.Open("example", broker.Config{FS: vfs.NewMem(), FromTopic: amqp.FromTopic,
		Props: map[broker.PropsFormat]broker.PropsReader{broker.PropsAMQP: amqp.Props{}}})
	if err != nil {
		log.Fatal(err)
	}
	s, err := amqp.Listen(b, amqp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	return "amqp://guest:guest@" + s.Addr().String() + "/", func() {
		s.Close(context.Background())
		b.Close()
	}
}
