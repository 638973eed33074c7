package kafka_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/transport/kafka"
	wire "github.com/tidings-io/tidings/wire/kafka"
)

type Placed struct {
	Order string
	Total int64
}

var OrderPlaced = tidings.Define("orders", "shop.order.placed.v1",
	tidings.KeyBy(func(p Placed) string { return p.Order }))

// A service on Kafka: here a Tidings inside the program, elsewhere the brokers of a cluster.
func Example() {
	addr, stop := brokerForExamples()
	defer stop()
	ctx := context.Background()
	transport, err := kafka.New(kafka.Config{Seeds: []string{addr}})
	if err != nil {
		log.Fatal(err)
	}
	defer transport.Close(ctx)

	billing := tidings.NewService("billing", transport)
	run, drain := context.WithCancel(ctx)
	billing.Subscribe(tidings.Policy{}, tidings.On(OrderPlaced,
		func(_ context.Context, m tidings.Msg[Placed]) error {
			fmt.Println("bill", m.Data.Order, m.Data.Total)
			drain()
			return nil
		}))
	ended := make(chan error, 1)
	go func() { ended <- billing.Run(run) }()
	<-billing.Ready()

	shop := tidings.NewService("shop", transport)
	if err := shop.Publish(ctx, OrderPlaced.New(Placed{"o-1", 990})); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ended:", <-ended)
	// Output:
	// bill o-1 990
	// ended: <nil>
}

// A delivery that is settled by hand: the transport beneath services.
func ExampleTransport_Subscribe() {
	addr, stop := brokerForExamples()
	defer stop()
	ctx := context.Background()
	transport, err := kafka.New(kafka.Config{Seeds: []string{addr}})
	if err != nil {
		log.Fatal(err)
	}
	defer transport.Close(ctx)
	consumer, err := transport.Subscribe(ctx,
		tidings.Subscription{Group: "billing", Topics: []string{"orders"}})
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Close(ctx)

	if err := transport.Publish(ctx, tidings.Event{
		Topic: "orders", ID: "1", Source: "shop", Type: "shop.order.placed.v1", Key: "o-1",
		ContentType: "application/json", Payload: []byte(`{"Order":"o-1"}`),
	}); err != nil {
		log.Fatal(err)
	}
	deliveries, err := consumer.Receive(ctx, 10)
	if err != nil {
		log.Fatal(err)
	}
	d := deliveries[0]
	fmt.Println(d.Type, d.Key, string(d.Payload), d.Offset)
	if err := d.Ack(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("committed:", consumer.Commit(ctx))
	// Output:
	// shop.order.placed.v1 o-1 {"Order":"o-1"} 0
	// committed: <nil>
}

func brokerForExamples() (addr string, stop func()) {
	b, err := broker.Open("", broker.Config{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	s, err := wire.Listen(b, wire.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	return s.Addr().String(), func() {
		s.Close(context.Background())
		b.Close()
	}
}
