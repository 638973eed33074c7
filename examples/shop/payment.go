package shop

import (
	"context"
	"errors"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/store/embedded"
)

// Opening is what every customer has to begin with, in cents.
const Opening = 100_000

// Entry is a change of an account by an order.
type Entry struct {
	Order  string `json:"order"`
	Amount int64  `json:"amount"`
}

// What happened to an account. Its events are in the store of the payment service, and nowhere else.
var (
	AccountOpened   = tidings.Define[int64]("accounts", "shop.account.opened.v1")
	AccountCharged  = tidings.Define[Entry]("accounts", "shop.account.charged.v1")
	AccountRefunded = tidings.Define[Entry]("accounts", "shop.account.refunded.v1")
)

// Account is what the events of an account come to.
type Account struct {
	Opened  bool
	Balance int64
}

// Accounts fold the events of a customer.
var Accounts = eventstore.Define("account",
	eventstore.Apply(AccountOpened, func(a *Account, amount int64) { a.Opened, a.Balance = true, amount }),
	eventstore.Apply(AccountCharged, func(a *Account, e Entry) { a.Balance -= e.Amount }),
	eventstore.Apply(AccountRefunded, func(a *Account, e Entry) { a.Balance += e.Amount }))

// errFunds: the account has less than the order costs.
var errFunds = errors.New("insufficient funds")

// newPayment is the payment service: it charges an account for an order, and gives the money back
// where there is nothing to send.
func newPayment(p Place) Part {
	st := p.Store
	return p.part("payment", tidings.Policy{},
		inbox.On(st, OrderPlaced, charge),
		inbox.Handle(st, ChargeCustomer, charge),
		inbox.On(st, OutOfStock, func(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
			if orchestrated(&m.Event) {
				return nil
			}
			return refund(ctx, tx, m.Data)
		}),
		books(p, "payment", paymentBooks))
}

// charge takes the total of an order from the account of its customer, or says that it cannot.
func charge(ctx context.Context, tx *embedded.Tx, m tidings.Msg[Order]) error {
	o := m.Data
	_, _, err := Accounts.Update(ctx, tx, o.Customer, func(a Account) ([]tidings.Event, error) {
		var events []tidings.Event
		if !a.Opened {
			a.Balance = Opening
			events = append(events, AccountOpened.New(Opening))
		}
		if a.Balance < o.Total {
			return nil, errFunds
		}
		return append(events, AccountCharged.New(Entry{o.ID, o.Total})), nil
	})
	switch {
	case errors.Is(err, errFunds):
		return tx.Publish(ctx, PaymentRefused.New(About{o.ID, o.Customer, err.Error()}))
	case err != nil:
		return err
	}
	return tx.Publish(ctx, PaymentTaken.New(o))
}

func refund(ctx context.Context, tx *embedded.Tx, o Order) error {
	_, _, err := Accounts.Update(ctx, tx, o.Customer, func(Account) ([]tidings.Event, error) {
		return []tidings.Event{AccountRefunded.New(Entry{o.ID, o.Total})}, nil
	})
	if err != nil {
		return err
	}
	return tx.Publish(ctx, PaymentRefunded.New(About{o.ID, o.Customer, "out of stock"}))
}
