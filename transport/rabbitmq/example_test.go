package rabbitmq_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/rabbitmq"
)

type placed struct{ Order string }

var orderPlaced = tidings.Define("orders", "shop.order.placed.v1",
	tidings.KeyBy(func(p placed) string { return p.Order }))

// Publishes an event and reads it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: os.Getenv("AMQP_URL")})
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
	ds, err := c.Receive(ctx, 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range ds {
		p, err := orderPlaced.Decode(d.Event)
		fmt.Println(p.Order, err)
		if err := d.Ack(ctx); err != nil {
			log.Fatal(err)
		}
	}
}
