package concepts_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

var (
	ReserveStock  = tidings.DefineCommand("stock", "shop.stock.reserve.v1", byOrder)
	ReleaseStock  = tidings.DefineCommand("stock", "shop.stock.release.v1", byOrder)
	StockReserved = tidings.Define("stock.events", "shop.stock.reserved.v1", byOrder)
	StockReleased = tidings.Define("stock.events", "shop.stock.released.v1", byOrder)
	CardCharged   = tidings.Define("card.events", "shop.card.charged.v1", byOrder)
	CardDeclined  = tidings.Define("card.events", "shop.card.declined.v1", byOrder)
	OrderRejected = tidings.Define("orders", "shop.order.rejected.v1", byOrder)
	OrderAccepted = tidings.Define("orders", "shop.order.accepted.v1", byOrder)
)

var byOrder = tidings.KeyBy(func(o Order) string { return o.ID })

// page {
// checkout is the whole way of an order, in one place.
func checkout() *saga.Definition[Order] {
	c := saga.New[Order]("checkout", 1)
	saga.StartOn(c, OrderPlaced, func(m tidings.Msg[Order]) (string, Order) { return m.Data.ID, m.Data })
	c.Step("reserve", func(o Order) tidings.Event { return ReserveStock.New(o) }).
		Done(StockReserved).
		Undo(func(o Order) tidings.Event { return ReleaseStock.New(o) }, StockReleased).
		Within(time.Minute)
	c.Step("charge", func(o Order) tidings.Event { return ChargeCard.New(o) }).
		Done(CardCharged).Fails(CardDeclined).
		Within(10 * time.Minute).
		Pivot() // the point of no return: from here on nothing is undone, only tried again
	c.Step("accept", func(o Order) tidings.Event { return OrderAccepted.New(o) })
	return c.Compensated(func(o Order, reason string) tidings.Event { return OrderRejected.New(o) })
}

// page }

func orchestrator(t tidings.Transport, instances saga.Store) *tidings.Service {
	// page {
	svc := tidings.NewService("checkout", t)
	svc.Subscribe(tidings.Policy{}, saga.Routes(instances, checkout())...)
	// page }
	return svc
}

// answering is a service that answers commands with events.
func answering(name string, t tidings.Transport, answers map[*tidings.Command[Order]]*tidings.Type[Order]) *tidings.Service {
	svc := tidings.NewService(name, t)
	for command, answer := range answers {
		svc.Subscribe(tidings.Policy{}, tidings.Handle(command, func(ctx context.Context, m tidings.Msg[Order]) error {
			return svc.Publish(ctx, answer.New(m.Data))
		}))
	}
	return svc
}

func Example_orchestration() {
	t, st, end := memory()
	defer end()
	over := make(chan string, 1)
	stop := running(orchestrator(t, st.Sagas()),
		answering("stock", t, map[*tidings.Command[Order]]*tidings.Type[Order]{
			ReserveStock: StockReserved, ReleaseStock: StockReleased}),
		answering("payment", t, map[*tidings.Command[Order]]*tidings.Type[Order]{ChargeCard: CardDeclined}),
		tidings.NewService("mail", t).Subscribe(tidings.Policy{}, tidings.On(OrderRejected,
			func(_ context.Context, m tidings.Msg[Order]) error {
				over <- m.Data.ID
				return nil
			})))
	shop := tidings.NewService("shop", t)
	check(shop.Publish(context.Background(), OrderPlaced.New(Order{"o-1", "ann", 990})))
	<-over
	stop()
	fmt.Print(history(context.Background(), st.Sagas(), "o-1"))
	// Output:
	// started
	// reserve  sent
	// reserve  done
	// charge   sent
	// charge   failed: answered by shop.card.declined.v1
	// charge   compensating
	// reserve  undo sent
	// reserve  undone
	// reserve  ended
	// compensated
}

// history is what happened to one order.
//
// page {
func history(ctx context.Context, instances saga.Store, order string) (text string) {
	instance, err := checkout().Get(ctx, instances, order)
	if err != nil {
		return err.Error()
	}
	for _, h := range instance.History {
		text += line(h)
	}
	return text + string(instance.Status) + "\n"
}

// page }

func line(h saga.Transition) string {
	text := h.What
	if h.Err != "" {
		text += ": " + h.Err
	}
	if h.Step == "" {
		return text + "\n"
	}
	return fmt.Sprintf("%-8s %s\n", h.Step, text)
}
