package embedded_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/embedded"
)

// Placed is that an order was placed.
type Placed struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

var (
	OrderPlaced = tidings.Define("orders", "shop.order.placed.v1",
		tidings.KeyBy(func(p Placed) string { return p.Order }))
	Invoiced = tidings.Define[Placed]("invoices", "shop.order.invoiced.v1")
)

func Example() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "orders")
	defer os.RemoveAll(dir)
	b, err := broker.Open(dir, broker.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	t := embedded.New(b, embedded.Config{})
	defer t.Close(ctx)

	billing, err := t.Subscribe(ctx, tidings.Subscription{Group: "billing", Topics: []string{"orders"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	placed := OrderPlaced.New(Placed{Order: "o-1", Cents: 250})
	tidings.Stamp(ctx, "shop", &placed)
	if err := t.Publish(ctx, placed); err != nil { // nil: it is on disk
		fmt.Println(err)
		return
	}
	got, err := billing.Receive(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(got[0].Type, string(got[0].Payload), "attempt", got[0].Attempt)
	fmt.Println(got[0].Ack(ctx), billing.Commit(ctx), billing.Close(ctx))
	// Output:
	// shop.order.placed.v1 {"order":"o-1","cents":250} attempt 1
	// <nil> <nil> <nil>
}

// open is a transport of a broker in a directory that is removed by end.
func open(ctx context.Context) (b *broker.Broker, t *embedded.Transport, end func()) {
	dir, err := os.MkdirTemp("", "orders")
	if err != nil {
		panic(err)
	}
	if b, err = broker.Open(dir, broker.Config{}); err != nil {
		panic(err)
	}
	t = embedded.New(b, embedded.Config{Partitions: 1})
	return b, t, func() {
		t.Close(ctx)
		b.Close()
		os.RemoveAll(dir)
	}
}

func ExampleTransport_PublishAt() {
	ctx := context.Background()
	_, t, end := open(ctx)
	defer end()
	reminders, _ := t.Subscribe(ctx, tidings.Subscription{Group: "reminders", Topics: []string{"orders"}})
	due := time.Now().Add(50 * time.Millisecond)
	placed := OrderPlaced.New(Placed{Order: "o-1"})
	tidings.Stamp(ctx, "shop", &placed)
	fmt.Println(t.PublishAt(ctx, due, placed))
	got, _ := reminders.Receive(ctx, 1)
	fmt.Println(got[0].Key, "early:", time.Now().Before(due))
	// Output:
	// <nil>
	// o-1 early: false
}

// Enlist makes a publish a part of what else a transaction of the broker changes.
func ExampleTransport_Enlist() {
	ctx := context.Background()
	b, t, end := open(ctx)
	defer end()
	tx := b.Begin()
	tx.PutFact("shop", "o-1", []byte("placed"))
	placed := OrderPlaced.New(Placed{Order: "o-1"})
	tidings.Stamp(ctx, "shop", &placed)
	if err := t.Enlist(tx, placed); err != nil {
		fmt.Println(err)
		return
	}
	confirm, err := tx.Commit(ctx)
	fmt.Println(err, confirm.Wait(ctx))
	// Output: <nil> <nil>
}

// CommitWith makes what a handler changes and publishes one step with the end of its event: it happens once,
// without an inbox.
func ExampleTransport_CommitWith() {
	ctx := context.Background()
	b, t, end := open(ctx)
	defer end()
	orders, _ := t.Subscribe(ctx, tidings.Subscription{Group: "billing", Topics: []string{"orders"}})
	placed := OrderPlaced.New(Placed{Order: "o-1", Cents: 250})
	tidings.Stamp(ctx, "shop", &placed)
	t.Publish(ctx, placed)

	got, _ := orders.Receive(ctx, 1)
	tx := b.Begin()
	tx.PutFact("billing", "o-1", []byte("250"))
	invoiced := Invoiced.New(Placed{Order: "o-1", Cents: 250})
	tidings.Stamp(ctx, "billing", &invoiced)
	if err := t.Enlist(tx, invoiced); err != nil {
		fmt.Println(err)
		return
	}
	confirm, err := t.CommitWith(ctx, tx, got...)
	fmt.Println(err, confirm.Wait(ctx))
	// Output: <nil> <nil>
}
