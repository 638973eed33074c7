package shop

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/store/embedded"
)

// progress is what the order service knows of an order.
type progress struct {
	Order  Order
	Status string // "open", "completed" or "rejected"
}

const (
	open      = "open"
	completed = "completed"
	rejected  = "rejected"
)

// newOrder is the order service: it takes orders, runs the saga of those that were submitted, and
// notes how each ended.
func newOrder(p Place) Part {
	st := p.Store
	routes := []tidings.Route{
		inbox.Handle(st, PlaceOrder, func(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
			return take(ctx, tx, m.Data, OrderPlaced)
		}),
		inbox.Handle(st, SubmitOrder, func(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
			return take(ctx, tx, m.Data, OrderSubmitted)
		}),
		inbox.On(st, ParcelSent, func(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Parcel]) error {
			if orchestrated(&m.Event) {
				return nil
			}
			return tx.Publish(ctx, OrderCompleted.New(About{Order: m.Data.Order, Customer: m.Data.Customer}))
		}),
		inbox.On(st, PaymentRefused, reject),
		inbox.On(st, PaymentRefunded, reject),
		inbox.On(st, OrderCompleted, end(completed)),
		inbox.On(st, OrderRejected, end(rejected)),
		books(p, "order", orderBooks),
	}
	part := p.part("order", tidings.Policy{}, routes...)
	part.Subscribe(tidings.Policy{Group: "checkout"}, saga.Routes(st.Sagas(), checkout())...)
	return part
}

// take begins an order, once for each number.
func take(ctx context.Context, tx *embedded.Tx, o Order, event *tidings.Type[Order]) error {
	if _, known := tx.Get(o.ID); known {
		return nil
	}
	if o.ID == "" || o.Total <= 0 || len(o.Items) == 0 {
		return tidings.Permanent(errors.New("an order has a number, a total and items"))
	}
	if err := put(tx, o.ID, progress{o, open}); err != nil {
		return err
	}
	return tx.Publish(ctx, event.New(o))
}

// reject answers a payment that is not there, unless a saga decides.
func reject(ctx context.Context, tx *embedded.Tx, m tidings.Msg[About]) error {
	if orchestrated(&m.Event) {
		return nil
	}
	return tx.Publish(ctx, OrderRejected.New(m.Data))
}

// end notes how an order ended.
func end(status string) func(context.Context, *embedded.Tx, tidings.Msg[About]) error {
	return func(_ context.Context, tx *embedded.Tx, m tidings.Msg[About]) error {
		var now progress
		if err := get(tx, m.Data.Order, &now); err != nil {
			return err
		}
		now.Status = status
		return put(tx, m.Data.Order, now)
	}
}

// checkout is the saga of an order that was submitted. The charge is the point of no return: what
// is paid is sent.
func checkout() *saga.Definition[Order] {
	d := saga.New[Order]("checkout", 1)
	saga.StartOn(d, OrderSubmitted, func(m tidings.Msg[Order]) (string, Order) { return m.Data.ID, m.Data })
	d.Step("reserve", func(o Order) tidings.Event { return ReserveStock.New(o) }).
		Done(StockReserved).Fails(OutOfStock).
		Undo(func(o Order) tidings.Event { return ReleaseStock.New(o) }, StockReleased)
	d.Step("charge", func(o Order) tidings.Event { return ChargeCustomer.New(o) }).
		Done(PaymentTaken).Fails(PaymentRefused).Pivot()
	d.Step("send", func(o Order) tidings.Event { return SendParcel.New(o) }).
		Done(ParcelSent).Within(time.Minute)
	d.Step("complete", func(o Order) tidings.Event {
		return OrderCompleted.New(About{Order: o.ID, Customer: o.Customer})
	})
	return d.Compensated(func(o Order, reason string) tidings.Event {
		return OrderRejected.New(About{Order: o.ID, Customer: o.Customer, Reason: reason})
	})
}

// put and get keep values as JSON.
func put(tx *embedded.Tx, key string, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		tx.Put(key, text)
	}
	return err
}

// get leaves v alone where there is no value.
func get(tx *embedded.Tx, key string, v any) error {
	text, ok := tx.Get(key)
	if !ok {
		return nil
	}
	return json.Unmarshal(text, v)
}
