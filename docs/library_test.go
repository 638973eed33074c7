package docs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/asyncapi"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/codec/avro"
	"github.com/tidings-io/tidings/otel"
	"github.com/tidings-io/tidings/tidingstest"
	"github.com/tidings-io/tidings/transport/aws"
	"github.com/tidings-io/tidings/transport/embedded"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/tidings-io/tidings/transport/rabbitmq"
)

// page {
type Placed struct {
	Order string `json:"order"`
	Total int64  `json:"total"` // in cents
}

var OrderPlaced = tidings.Define("orders", "shop.order.placed.v1",
	tidings.KeyBy(func(p Placed) string { return p.Order }))

func run(ctx context.Context, dir string) error {
	b, err := broker.Open(dir, broker.Config{}) // a durable broker, in this program
	if err != nil {
		return err
	}
	defer b.Close()
	transport := embedded.New(b, embedded.Config{})
	defer transport.Close(context.WithoutCancel(ctx))

	billing := tidings.NewService("billing", transport)
	billing.Subscribe(tidings.Policy{}, tidings.On(OrderPlaced,
		func(ctx context.Context, m tidings.Msg[Placed]) error {
			return bill(ctx, m.Data)
		}))
	go sell(ctx, billing)
	return billing.Run(ctx) // until ctx ends, then drains
}

func sell(ctx context.Context, svc *tidings.Service) {
	<-svc.Ready()
	err := svc.Publish(ctx, OrderPlaced.New(Placed{Order: "o-1", Total: 990}))
	if err != nil {
		log.Print(err) // it may not be kept: publish it again, with the same id
	}
}

// page }

// bill is what the first service does.
var bill func(context.Context, Placed) error

func Example_firstService() {
	dir, err := os.MkdirTemp("", "library")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(context.Background())
	bill = func(_ context.Context, p Placed) error {
		fmt.Println("bill", p.Order, p.Total)
		stop()
		return nil
	}
	fmt.Println(run(ctx, dir))
	// Output:
	// bill o-1 990
	// <nil>
}

// open is a transport to each broker.
func open(ctx context.Context, which string, b *broker.Broker, account sdk.Config) (tidings.Transport, error) {
	switch which {
	case "kafka":
		// page {
		transport, err := kafka.New(kafka.Config{Seeds: []string{"localhost:9092"}})
		// page }
		return transport, err
	case "rabbitmq":
		// page {
		transport, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: "amqp://guest:guest@localhost:5672/"})
		// page }
		return transport, err
	case "aws":
		// page {
		transport, err := aws.New(aws.Config{AWS: account, FIFO: true}) // account: config.LoadDefaultConfig
		// page }
		return transport, err
	}
	return embedded.New(b, embedded.Config{}), nil
}

var _ = open

type placedV1 struct{ Order string }

var schema = `{"type":"record","name":"Placed","fields":[{"name":"Order","type":"string"},{"name":"Total","type":"long"}]}`

// page {
var (
	orderPlacedV1 = tidings.Define[placedV1]("orders", "shop.order.placed.v1")

	// Readers of v2 read v1 too, so that readers can be deployed before writers.
	orderPlacedV2 = tidings.Define("orders", "shop.order.placed.v2",
		tidings.KeyBy(func(p Placed) string { return p.Order }),
		tidings.WithCodec[Placed](avro.MustNew(schema), tidings.JSON), // writes Avro, reads JSON too
		tidings.Upcast(orderPlacedV1, func(p placedV1) (Placed, error) { return Placed{Order: p.Order}, nil }))
)

// page }

func TestOlderTypesAreRead(t *testing.T) {
	got, err := orderPlacedV2.Decode(orderPlacedV1.New(placedV1{"o-1"}))
	if err != nil || got != (Placed{"o-1", 0}) {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = orderPlacedV2.Decode(orderPlacedV2.New(Placed{"o-1", 7}))
	if err != nil || got != (Placed{"o-1", 7}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// page {
// logged says how long each attempt took. Middleware is a function around a handler, as in net/http.
func logged(next tidings.Handler) tidings.Handler {
	return tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
		begun := time.Now()
		err := next.Handle(ctx, d)
		slog.InfoContext(ctx, "handled", "type", d.Type, "id", d.ID, "took", time.Since(begun), "err", err)
		return err
	})
}

func newBilling(t tidings.Transport) *tidings.Service {
	svc := tidings.NewService("billing", t, tidings.WithMiddleware(logged), tidings.WithDrain(10*time.Second))
	return svc.Produces(InvoiceSent).Subscribe(tidings.Policy{}, tidings.On(OrderPlaced,
		func(ctx context.Context, m tidings.Msg[Placed]) error {
			if m.Data.Total < 0 {
				return tidings.Permanent(errors.New("less than nothing"))
			}
			id := tidings.WithID(tidings.DerivedID("invoice", m.ID)) // the same if this runs again
			return svc.Publish(ctx, InvoiceSent.New(Placed{m.Data.Order, m.Data.Total}, id))
		}))
}

// page }

var InvoiceSent = tidings.Define("invoices", "shop.invoice.sent.v1",
	tidings.KeyBy(func(p Placed) string { return p.Order }))

// page {
func TestBillingSendsAnInvoice(t *testing.T) {
	broker := tidingstest.NewTransport()
	tidingstest.Handle(t, broker, newBilling(broker)).
		When(OrderPlaced.New(Placed{"o-1", 990})).
		Then(InvoiceSent.New(Placed{"o-1", 990}))
}

// A service as it runs, on a broker that loses acknowledgements and delivers twice; time is virtual.
func TestNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport(tidingstest.WithFaults(
			tidingstest.Faults{Seed: 1, DropAcks: 0.2, Duplicate: 0.2, FailPublish: 0.1}))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		svc := newBilling(broker)
		go func() { ended <- svc.Run(ctx) }()
		<-svc.Ready()
		for i := range 100 {
			e := OrderPlaced.New(Placed{fmt.Sprint("o-", i), 990})
			for svc.Publish(ctx, e) != nil { // again, with the same id
			}
		}
		time.Sleep(time.Hour) // passes at once, with all leases and delays in it
		stop()
		if err := <-ended; err != nil || broker.Pending("billing") != 0 {
			t.Errorf("%v, %d are left", err, broker.Pending("billing"))
		}
	})
}

// page }

// page {
// health answers 503 while a subscription is stalled, broken or without its broker.
func health(svc *tidings.Service) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := svc.Health()
		if !h.OK() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		for _, s := range h.Subscriptions {
			fmt.Fprintf(w, "%s: %s, %d in hand, %d held, %d handled, %d dead letters, last error %q\n",
				s.Group, s.State, s.InHand, s.Held, s.Handled, s.DeadLettered, s.LastError)
		}
	}
}

// page }

var _ = health

// page {
func observed(t tidings.Transport) (*tidings.Service, error) {
	telemetry, err := otel.New(otel.Config{System: "kafka"}) // spans and metrics of the global providers
	if err != nil {
		return nil, err
	}
	return tidings.NewService("billing", t, telemetry.Options()...), nil
}

func describe(w io.Writer, svc *tidings.Service) error {
	return asyncapi.Write(w, asyncapi.Info{Version: "1.4.0"}, svc)
}

// page }

func Example_observed() {
	svc, err := observed(tidingstest.NewTransport())
	if err == nil {
		err = describe(io.Discard, svc.Subscribe(tidings.Policy{}, tidings.On(OrderPlaced, nil)))
	}
	fmt.Fprintln(os.Stdout, err)
	// Output: <nil>
}
