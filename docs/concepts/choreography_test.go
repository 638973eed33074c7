package concepts_test

import (
	"context"
	"fmt"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

var (
	PaymentTaken = tidings.Define("payments", "shop.payment.taken.v1",
		tidings.KeyBy(func(o Order) string { return o.ID }))
	ParcelSent = tidings.Define("parcels", "shop.parcel.sent.v1",
		tidings.KeyBy(func(o Order) string { return o.ID }))
)

// reactor is a service that answers one event with another.
//
// page {
func reactor(name string, t tidings.Transport, hears, says *tidings.Type[Order]) *tidings.Service {
	svc := tidings.NewService(name, t)
	return svc.Subscribe(tidings.Policy{}, tidings.On(hears,
		func(ctx context.Context, m tidings.Msg[Order]) error {
			// ctx carries the conversation, and m as the cause of what is published.
			return svc.Publish(ctx, says.New(m.Data, tidings.WithID(tidings.DerivedID(name, m.ID))))
		}))
}

// Nobody knows the whole way: payment hears of orders, shipping of payments.
func shopFloor(t tidings.Transport) []*tidings.Service {
	return []*tidings.Service{
		reactor("payment", t, OrderPlaced, PaymentTaken),
		reactor("shipping", t, PaymentTaken, ParcelSent),
	}
}

// page }

func Example_choreography() {
	t := tidingstest.NewTransport()
	sent := make(chan string, 1)
	mail := tidings.NewService("mail", t).Subscribe(tidings.Policy{}, tidings.On(ParcelSent,
		func(_ context.Context, m tidings.Msg[Order]) error {
			sent <- m.Data.ID
			return nil
		}))
	stop := running(append(shopFloor(t), mail)...)
	shop := tidings.NewService("shop", t)
	check(shop.Publish(context.Background(), OrderPlaced.New(Order{"o-1", "ann", 990})))
	<-sent
	stop()
	fmt.Print(wayOf(t.Published()))
	// Output:
	// shop.order.placed.v1 by shop
	// shop.payment.taken.v1 by payment, because of shop.order.placed.v1
	// shop.parcel.sent.v1 by shipping, because of shop.payment.taken.v1
}

// wayOf makes the flow visible, from the events alone.
//
// page {
func wayOf(events []tidings.Event) (text string) {
	types := map[string]string{}
	for _, e := range events {
		types[e.ID] = e.Type
		text += e.Type + " by " + e.Source
		if cause := types[e.Causation]; cause != "" {
			text += ", because of " + cause
		}
		text += "\n"
	}
	return text
}

// page }
