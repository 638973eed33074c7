package tidings_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// The events and commands of the examples: one package variable for each.

type Placed struct {
	Order string
	Total int64
}

type Invoice struct{ Order string }

var (
	OrderPlaced = tidings.Define("orders", "shop.order.placed.v1",
		tidings.KeyBy(func(p Placed) string { return p.Order }))
	SendInvoice = tidings.DefineCommand[Invoice]("billing", "shop.invoice.send.v1")
	InvoiceSent = tidings.Define[Invoice]("invoices", "shop.invoice.sent.v1")
)

// start runs a service until stop, which waits for its end.
func start(s *tidings.Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	<-s.Ready()
	return func() {
		cancel()
		if err := <-over; err != nil {
			fmt.Println(err)
		}
	}
}

// done is closed by handlers of the examples, so that nothing waits for time.
type done chan struct{}

// A service handles the events of a topic, those of one key in their order.
func Example() {
	broker := tidingstest.NewTransport() // or a transport to Kafka, RabbitMQ, AWS, the broker inside
	handled := make(done)
	billing := tidings.NewService("billing", broker)
	billing.Subscribe(tidings.Policy{}, tidings.On(OrderPlaced,
		func(ctx context.Context, m tidings.Msg[Placed]) error {
			fmt.Println("bill", m.Data.Order, m.Data.Total)
			close(handled)
			return nil
		}))
	stop := start(billing)

	shop := tidings.NewService("shop", broker)
	if err := shop.Publish(context.Background(), OrderPlaced.New(Placed{"o-1", 990})); err != nil {
		fmt.Println(err) // not durable
	}
	<-handled
	stop()
	// Output: bill o-1 990
}

func ExampleDefine() {
	paid := tidings.Define("payments", "shop.payment.received.v1",
		tidings.KeyBy(func(p Placed) string { return p.Order }))
	e := paid.New(Placed{"o-1", 990})
	fmt.Println(e.Topic, e.Type, e.Key, string(e.Payload))
	// Output: payments shop.payment.received.v1 o-1 {"Order":"o-1","Total":990}
}

// Readers of the new type read the old one.
func ExampleUpcast() {
	type placed2 struct {
		Order    string
		Total    int64
		Currency string
	}
	second := tidings.Define("orders", "shop.order.placed.v2", tidings.Upcast(OrderPlaced,
		func(p Placed) (placed2, error) { return placed2{p.Order, p.Total, "EUR"}, nil }))
	p, err := second.Decode(OrderPlaced.New(Placed{"o-1", 990}))
	fmt.Println(p, err)
	// Output: {o-1 990 EUR} <nil>
}

// A command goes to the one group that it is addressed to.
func ExampleHandle() {
	broker := tidingstest.NewTransport()
	handled := make(done)
	stop := start(tidings.NewService("billing", broker).Subscribe(tidings.Policy{}, tidings.Handle(SendInvoice,
		func(ctx context.Context, m tidings.Msg[Invoice]) error {
			fmt.Println("send the invoice of", m.Data.Order, "as", tidings.Group(ctx))
			close(handled)
			return nil
		})))
	shop := tidings.NewService("shop", broker)
	if err := shop.Publish(context.Background(), SendInvoice.New(Invoice{"o-1"})); err != nil {
		fmt.Println(err)
	}
	<-handled
	stop()
	// Output: send the invoice of o-1 as billing
}

func ExampleOnBatch() {
	broker := tidingstest.NewTransport()
	handled := make(done)
	stop := start(tidings.NewService("report", broker).Subscribe(tidings.Policy{}, tidings.OnBatch(OrderPlaced, 3,
		func(ctx context.Context, ms []tidings.Msg[Placed]) error {
			sum := int64(0)
			for _, m := range ms {
				sum += m.Data.Total
			}
			fmt.Println(len(ms), "orders,", sum)
			close(handled)
			return nil // or a *BatchError for those that failed
		})))
	shop := tidings.NewService("shop", broker)
	err := shop.Publish(context.Background(), OrderPlaced.New(Placed{"o-1", 990}),
		OrderPlaced.New(Placed{"o-2", 10}), OrderPlaced.New(Placed{"o-3", 500}))
	if err != nil {
		fmt.Println(err)
	}
	<-handled
	stop()
	// Output: 3 orders, 1500
}

// OnAny takes what no other route does, as it is.
func ExampleOnAny() {
	broker := tidingstest.NewTransport()
	handled := make(done)
	stop := start(tidings.NewService("audit", broker).Subscribe(tidings.Policy{}, tidings.OnAny("orders",
		func(ctx context.Context, d *tidings.Delivery) error {
			fmt.Println(d.Source, d.Type, string(d.Payload))
			close(handled)
			return nil
		})))
	shop := tidings.NewService("shop", broker)
	if err := shop.Publish(context.Background(), OrderPlaced.New(Placed{"o-1", 990})); err != nil {
		fmt.Println(err)
	}
	<-handled
	stop()
	// Output: shop shop.order.placed.v1 {"Order":"o-1","Total":990}
}

// What a handler publishes names the event that it handles as its cause.
func ExampleService_Publish() {
	broker := tidingstest.NewTransport()
	handled := make(done)
	billing := tidings.NewService("billing", broker)
	billing.Subscribe(tidings.Policy{}, tidings.On(OrderPlaced,
		func(ctx context.Context, m tidings.Msg[Placed]) error {
			defer close(handled)
			// With an id derived from the cause it is the same event if the handler runs again.
			sent := InvoiceSent.New(Invoice{m.Data.Order}, tidings.WithID(tidings.DerivedID("sent", m.ID)))
			return billing.Publish(ctx, sent)
		}))
	stop := start(billing)
	shop := tidings.NewService("shop", broker)
	if err := shop.Publish(context.Background(), OrderPlaced.New(Placed{"o-1", 990}, tidings.WithID("e-1"))); err != nil {
		fmt.Println(err)
	}
	<-handled
	stop()
	e := broker.Published("invoices")[0]
	fmt.Println(e.Source, "because of", e.Causation, "in conversation", e.Correlation)
	// Output: billing because of e-1 in conversation e-1
}

func ExampleService_PublishAt() {
	broker := tidingstest.NewTransport()
	shop := tidings.NewService("shop", broker)
	at := time.Now().Add(24 * time.Hour)
	if err := shop.PublishAt(context.Background(), at, SendInvoice.New(Invoice{"o-1"})); err != nil {
		fmt.Println(err)
	}
	for _, s := range broker.Scheduled() {
		fmt.Println(s.Event.Type, s.At.Equal(at))
	}
	// Output: shop.invoice.send.v1 true
}

// Equal keys are handled in order; one that fails waits for its next attempt and holds its key.
func ExamplePolicy() {
	broker := tidingstest.NewTransport()
	handled := make(done)
	stop := start(tidings.NewService("billing", broker).Subscribe(
		tidings.Policy{
			Concurrency: 32,
			Timeout:     5 * time.Second,
			Immediate:   tidings.NoRetries,
			Delays:      []time.Duration{time.Millisecond, time.Minute},
		},
		tidings.On(OrderPlaced, func(ctx context.Context, m tidings.Msg[Placed]) error {
			fmt.Println("attempt", m.Attempt)
			if m.Attempt == 1 {
				return errors.New("not now")
			}
			close(handled)
			return nil
		})))
	shop := tidings.NewService("shop", broker)
	if err := shop.Publish(context.Background(), OrderPlaced.New(Placed{"o-1", 990})); err != nil {
		fmt.Println(err)
	}
	<-handled
	stop()
	// Output:
	// attempt 1
	// attempt 2
}

// What will fail again is not tried again.
func ExamplePermanent() {
	broker := tidingstest.NewTransport()
	dead := make(done)
	stop := start(tidings.NewService("billing", broker, tidings.WithObserver(tidings.Observer{
		DeadLettered: func(tidings.DeadLettered) { close(dead) },
	})).Subscribe(tidings.Policy{}, tidings.On(OrderPlaced, func(ctx context.Context, m tidings.Msg[Placed]) error {
		return tidings.Permanent(fmt.Errorf("a total of %d", m.Data.Total))
	})))
	shop := tidings.NewService("shop", broker)
	if err := shop.Publish(context.Background(), OrderPlaced.New(Placed{"o-1", -1})); err != nil {
		fmt.Println(err)
	}
	<-dead
	stop()
	for _, e := range broker.DeadLetters("billing") {
		fmt.Println(e.Key, e.Extensions[tidings.ExtDeadReason], "after", e.Extensions[tidings.ExtDeadAttempts])
	}
	// Output: o-1 a total of -1 after 1
}

// A handler knows better when it makes sense to try again.
func ExampleRetryAfter() {
	busy := errors.New("429 too many requests")
	err := tidings.RetryAfter(busy, 20*time.Second) // as the Retry-After header said
	d, ok := tidings.RetryDelay(err)
	fmt.Println(err, d, ok, errors.Is(err, busy))
	// Output: 429 too many requests 20s true true
}

func ExampleRequest() {
	broker := tidingstest.NewTransport()
	ask := tidings.DefineCommand[Placed]("pricing", "shop.price.ask.v1")
	told := tidings.Define[int64]("prices", "shop.price.told.v1")
	stopServer := start(tidings.NewService("pricing", broker).Subscribe(tidings.Policy{}, tidings.Replier(ask, told,
		func(ctx context.Context, m tidings.Msg[Placed]) (int64, error) {
			if m.Data.Total < 0 {
				return 0, tidings.Permanent(errors.New("less than nothing"))
			}
			return m.Data.Total * 119 / 100, nil
		})))
	shop := tidings.NewService("shop", broker)
	stop := start(shop)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	price, err := tidings.Request(ctx, shop, ask.New(Placed{"o-1", 1000}), told)
	fmt.Println(price, err)
	_, err = tidings.Request(ctx, shop, ask.New(Placed{"o-2", -1}), told)
	if failure, ok := errors.AsType[*tidings.RemoteError](err); ok {
		fmt.Println(failure.Group, "gave up:", failure.Reason)
	}
	stop()
	stopServer()
	// Output:
	// 1190 <nil>
	// pricing gave up: less than nothing
}

// Dead letters are handled again when the reason for their death is gone.
func ExampleRedrive() {
	broker := tidingstest.NewTransport()
	handled, dead := make(done), make(done)
	repaired := false
	stop := start(tidings.NewService("billing", broker, tidings.WithObserver(tidings.Observer{
		DeadLettered: func(tidings.DeadLettered) { close(dead) },
	})).Subscribe(tidings.Policy{}, tidings.On(OrderPlaced, func(ctx context.Context, m tidings.Msg[Placed]) error {
		if !repaired {
			return tidings.Permanent(errors.New("no such customer"))
		}
		fmt.Println("bill", m.Data.Order, "of", m.Topic)
		close(handled)
		return nil
	})))
	shop := tidings.NewService("shop", broker)
	if err := shop.Publish(context.Background(), OrderPlaced.New(Placed{"o-1", 990})); err != nil {
		fmt.Println(err)
	}
	<-dead
	repaired = true
	n, err := tidings.Redrive(context.Background(), broker, "billing", tidings.RedriveWait(10*time.Millisecond))
	<-handled
	fmt.Println(n, err)
	stop()
	// Output:
	// bill o-1 of orders
	// 1 <nil>
}

// Middleware sees every attempt.
func ExampleWithMiddleware() {
	broker := tidingstest.NewTransport()
	handled := make(done)
	names := func(h tidings.Handler) tidings.Handler {
		return tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
			err := h.Handle(ctx, d)
			fmt.Println(d.Type, err)
			close(handled)
			return err
		})
	}
	stop := start(tidings.NewService("billing", broker, tidings.WithMiddleware(names)).Subscribe(tidings.Policy{},
		tidings.On(OrderPlaced, func(context.Context, tidings.Msg[Placed]) error { return nil })))
	shop := tidings.NewService("shop", broker)
	if err := shop.Publish(context.Background(), OrderPlaced.New(Placed{"o-1", 990})); err != nil {
		fmt.Println(err)
	}
	<-handled
	stop()
	// Output: shop.order.placed.v1 <nil>
}

// What a service does is seen by its health and told by its topology.
func ExampleService_Health() {
	billing := tidings.NewService("billing", tidingstest.NewTransport()).Produces(InvoiceSent).Subscribe(
		tidings.Policy{}, tidings.On(OrderPlaced, func(context.Context, tidings.Msg[Placed]) error { return nil }))
	stop := start(billing)
	h := billing.Health()
	fmt.Println(h.OK(), h.Subscriptions[0].Group, h.Subscriptions[0].State, h.Subscriptions[0].InHand)
	top := billing.Topology()
	fmt.Println(top.Receives[0].Topic, top.Receives[0].Types, top.Receives[0].DeadLetters, top.Sends[0].Topic())
	stop()
	// Output:
	// true billing receiving 0
	// orders [shop.order.placed.v1] billing.dlq invoices
}
