package concepts_test

import (
	"context"
	"fmt"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// What the pages talk about.
//
// page {
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Total    int64  `json:"total"` // in cents
}

// A fact. It goes to a topic, and whoever cares reads it.
var OrderPlaced = tidings.Define("orders", "shop.order.placed.v1",
	tidings.KeyBy(func(o Order) string { return o.ID }))

// An instruction. It goes to the group "payment", and to nobody else.
var ChargeCard = tidings.DefineCommand("payment", "shop.card.charge.v1",
	tidings.KeyBy(func(o Order) string { return o.ID }))

// page }

func payment(t tidings.Transport, done chan<- string) *tidings.Service {
	// page {
	charge := func(ctx context.Context, m tidings.Msg[Order]) error {
		done <- fmt.Sprintf("payment: charge %d for %s", m.Data.Total, m.Data.ID)
		return nil
	}
	svc := tidings.NewService("payment", t)
	svc.Subscribe(tidings.Policy{}, tidings.Handle(ChargeCard, charge)) // On for events
	// page }
	return svc
}

func greets(name string, t tidings.Transport, done chan<- string) *tidings.Service {
	return tidings.NewService(name, t).Subscribe(tidings.Policy{}, tidings.On(OrderPlaced,
		func(_ context.Context, m tidings.Msg[Order]) error {
			done <- name + ": heard of " + m.Data.ID
			return nil
		}))
}

func Example_eventAndCommand() {
	t := tidingstest.NewTransport()
	done := make(chan string, 3)
	stop := running(payment(t, done), greets("mail", t, done), greets("report", t, done))
	shop := tidings.NewService("shop", t)
	o := Order{"o-1", "ann", 990}
	check(shop.Publish(context.Background(), OrderPlaced.New(o), ChargeCard.New(o)))
	for range 3 {
		fmt.Println(<-done)
	}
	stop()
	// Unordered output:
	// mail: heard of o-1
	// report: heard of o-1
	// payment: charge 990 for o-1
}
