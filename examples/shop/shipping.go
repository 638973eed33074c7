package shop

import (
	"context"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/store/embedded"
)

// Keys of the store of shipping: its copy of a customer's address, and the parcel of an order.
const (
	addressKeys = "address/"
	parcelKeys  = "parcel/"
)

// newShipping is the shipping service. It asks nobody where a customer lives: it keeps what it has
// heard (event-carried state transfer), and sends to the shop's counter until it has heard.
func newShipping(p Place) Part {
	st := p.Store
	return p.part("shipping", tidings.Policy{},
		inbox.On(st, CustomerMoved, func(_ context.Context, tx *embedded.Tx, m tidings.Msg[Moved]) error {
			return put(tx, addressKeys+m.Data.Customer, m.Data.Address)
		}),
		inbox.On(st, StockReserved, func(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
			if orchestrated(&m.Event) {
				return nil
			}
			return send(ctx, tx, m)
		}),
		inbox.Handle(st, SendParcel, send),
		books(p, "shipping", shippingBooks))
}

func send(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
	address := "the counter"
	if err := get(tx, addressKeys+m.Data.Customer, &address); err != nil {
		return err
	}
	parcel := Parcel{m.Data.ID, m.Data.Customer, address}
	if err := put(tx, parcelKeys+m.Data.ID, parcel); err != nil {
		return err
	}
	return tx.Publish(ctx, ParcelSent.New(parcel))
}
