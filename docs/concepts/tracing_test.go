package concepts_test

import (
	"context"
	"fmt"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/otel"
	"github.com/tidings-io/tidings/tidingstest"
)

// page {
// traced is a service whose publishes and attempts are spans, and which measures itself.
func traced(name string, t tidings.Transport) (*tidings.Service, error) {
	telemetry, err := otel.New(otel.Config{System: "kafka"}) // the program's providers
	if err != nil {
		return nil, err
	}
	return tidings.NewService(name, t, telemetry.Options()...), nil
}

// page }

func Example_tracing() {
	t := tidingstest.NewTransport()
	shop, err := traced("shop", t)
	check(err)
	heard := make(chan string, 1)
	stop := running(append(shopFloor(t), tidings.NewService("mail", t).Subscribe(tidings.Policy{},
		tidings.On(ParcelSent, func(_ context.Context, m tidings.Msg[Order]) error {
			heard <- m.Correlation
			return nil
		})))...)
	ctx := context.Background()
	// page {
	// The request of a user begins a conversation, with an id of its own if it has one.
	ctx = tidings.WithCorrelation(ctx, "request-7")
	err = shop.Publish(ctx, OrderPlaced.New(Order{"o-1", "ann", 990}))
	// page }
	check(err)
	fmt.Println(<-heard)
	stop()
	for _, e := range t.Published() {
		fmt.Println(e.Type, e.Correlation)
	}
	// Output:
	// request-7
	// shop.order.placed.v1 request-7
	// shop.payment.taken.v1 request-7
	// shop.parcel.sent.v1 request-7
}
