package shop

import (
	"context"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/store/embedded"
)

// Stocked is how many of each thing there are to begin with.
const Stocked = 500

// Keys of the inventory's store: what is left of a thing, and what is reserved for an order.
const (
	leftKeys     = "left/"
	reservedKeys = "reserved/"
)

// newInventory is the inventory service: it reserves what is in stock for an order, and takes it
// back where the order comes to nothing.
func newInventory(p Place) Part {
	st := p.Store
	return p.part("inventory", tidings.Policy{},
		inbox.On(st, PaymentTaken, func(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
			if orchestrated(&m.Event) {
				return nil
			}
			return reserve(ctx, tx, m)
		}),
		inbox.Handle(st, ReserveStock, reserve),
		inbox.Handle(st, ReleaseStock, release),
		books(p, "inventory", inventoryBooks))
}

// reserve takes all items of an order out of the stock, or none.
func reserve(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
	o := m.Data
	for _, it := range o.Items {
		left, err := leftOf(tx, it.SKU)
		if err != nil {
			return err
		}
		if left < it.Count {
			return tx.Publish(ctx, OutOfStock.New(o))
		}
	}
	if err := move(tx, o.Items, -1); err != nil {
		return err
	}
	if err := put(tx, reservedKeys+o.ID, o.Items); err != nil {
		return err
	}
	return tx.Publish(ctx, StockReserved.New(o))
}

// release puts back what is reserved for an order; that there is nothing is no error, because a
// compensation may come for a step that was never done.
func release(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
	var items []Item
	if err := get(tx, reservedKeys+m.Data.ID, &items); err != nil {
		return err
	}
	if err := move(tx, items, +1); err != nil {
		return err
	}
	tx.Delete(reservedKeys + m.Data.ID)
	return tx.Publish(ctx, StockReleased.New(About{Order: m.Data.ID, Customer: m.Data.Customer}))
}

func move(tx *embedded.Tx, items []Item, sign int) error {
	for _, it := range items {
		left, err := leftOf(tx, it.SKU)
		if err != nil {
			return err
		}
		if err := put(tx, leftKeys+it.SKU, left+sign*it.Count); err != nil {
			return err
		}
	}
	return nil
}

func leftOf(tx *embedded.Tx, sku string) (int, error) {
	left := Stocked
	err := get(tx, leftKeys+sku, &left)
	return left, err
}
