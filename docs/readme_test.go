package docs_test

import (
	"context"
	"testing"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/embedded"
)

// page {
func serve(ctx context.Context) error {
	b, err := broker.Open("./data", broker.Config{}) // durable, no listener
	if err != nil {
		return err
	}
	defer b.Close()
	transport := embedded.New(b, embedded.Config{}) // or kafka.New, rabbitmq.Open, aws.New
	defer transport.Close(context.WithoutCancel(ctx))

	shop := tidings.NewService("shop", transport)
	shop.Subscribe(tidings.Policy{}, tidings.On(OrderPlaced, sendInvoice)) // order by key, retries, dead letters
	go placeOrders(ctx, shop)
	return shop.Run(ctx) // until ctx ends; what a crash interrupts is handled after the next start
}

func placeOrders(ctx context.Context, shop *tidings.Service) {
	<-shop.Ready()
	err := shop.Publish(ctx, OrderPlaced.New(Placed{Order: "o-1", Total: 990}))
	report(err) // nil: it is on disk
}

// page }

var invoiced = make(chan string, 1)

func sendInvoice(_ context.Context, m tidings.Msg[Placed]) error {
	invoiced <- m.Data.Order
	return nil
}

func report(err error) {
	if err != nil {
		invoiced <- err.Error()
	}
}

func TestTheServiceOfTheReadmeRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx) }()
	select {
	case got := <-invoiced:
		if got != "o-1" {
			t.Errorf("got %q", got)
		}
	case err := <-ended:
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
