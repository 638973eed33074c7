package shop

import "github.com/tidings-io/tidings"

// Item is so many of one thing.
type Item struct {
	SKU   string `json:"sku"`
	Count int    `json:"count"`
}

// Order is what a customer wants. It is in the events about it, so that nobody has to ask back.
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Items    []Item `json:"items"`
	Total    int64  `json:"total"` // in cents
}

// About is an event that says no more than what it is about.
type About struct {
	Order    string `json:"order"`
	Customer string `json:"customer"`
	Reason   string `json:"reason,omitempty"`
}

// Moved is a customer with a new address.
type Moved struct {
	Customer string `json:"customer"`
	Address  string `json:"address"`
}

// Parcel is on its way.
type Parcel struct {
	Order    string `json:"order"`
	Customer string `json:"customer"`
	Address  string `json:"address"`
}

func orderKey(o Order) string   { return o.ID }
func aboutKey(a About) string   { return a.Order }
func parcelKey(p Parcel) string { return p.Order }

// Facts. Those about one order have its number as their key, so that they stay in order.
var (
	OrderPlaced    = tidings.Define("orders", "shop.order.placed.v1", tidings.KeyBy(orderKey))
	OrderSubmitted = tidings.Define("orders", "shop.order.submitted.v1", tidings.KeyBy(orderKey))
	OrderCompleted = tidings.Define("orders", "shop.order.completed.v1", tidings.KeyBy(aboutKey))
	OrderRejected  = tidings.Define("orders", "shop.order.rejected.v1", tidings.KeyBy(aboutKey))

	PaymentTaken    = tidings.Define("payments", "shop.payment.taken.v1", tidings.KeyBy(orderKey))
	PaymentRefused  = tidings.Define("payments", "shop.payment.refused.v1", tidings.KeyBy(aboutKey))
	PaymentRefunded = tidings.Define("payments", "shop.payment.refunded.v1", tidings.KeyBy(aboutKey))

	StockReserved = tidings.Define("stock", "shop.stock.reserved.v1", tidings.KeyBy(orderKey))
	StockReleased = tidings.Define("stock", "shop.stock.released.v1", tidings.KeyBy(aboutKey))
	OutOfStock    = tidings.Define("stock", "shop.stock.out.v1", tidings.KeyBy(orderKey))

	ParcelSent = tidings.Define("parcels", "shop.parcel.sent.v1", tidings.KeyBy(parcelKey))

	CustomerMoved = tidings.Define("customers", "shop.customer.moved.v1",
		tidings.KeyBy(func(m Moved) string { return m.Customer }))
)

// Commands, each to the one service that can do it.
var (
	PlaceOrder     = tidings.DefineCommand("order", "shop.order.place.v1", tidings.KeyBy(orderKey))
	SubmitOrder    = tidings.DefineCommand("order", "shop.order.submit.v1", tidings.KeyBy(orderKey))
	ReserveStock   = tidings.DefineCommand("inventory", "shop.stock.reserve.v1", tidings.KeyBy(orderKey))
	ReleaseStock   = tidings.DefineCommand("inventory", "shop.stock.release.v1", tidings.KeyBy(orderKey))
	ChargeCustomer = tidings.DefineCommand("payment", "shop.payment.charge.v1", tidings.KeyBy(orderKey))
	SendParcel     = tidings.DefineCommand("shipping", "shop.parcel.send.v1", tidings.KeyBy(orderKey))
)

// orchestrated says whether an event answers a saga, which decides what comes next: then those who
// would react by themselves do not.
func orchestrated(e *tidings.Event) bool { return e.Extensions[tidings.ExtSaga] != "" }
