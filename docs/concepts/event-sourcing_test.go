package concepts_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	store "github.com/tidings-io/tidings/store/embedded"
)

// page {
type Amount struct{ Cents int64 }

var (
	Deposited = tidings.Define[Amount]("accounts", "bank.deposited.v1")
	Withdrawn = tidings.Define[Amount]("accounts", "bank.withdrawn.v1")
)

// Account is what the events of an account come to: a struct, and functions that only add up.
type Account struct{ Balance int64 }

var Accounts = eventstore.Define("account",
	eventstore.Apply(Deposited, func(a *Account, m Amount) { a.Balance += m.Cents }),
	eventstore.Apply(Withdrawn, func(a *Account, m Amount) { a.Balance -= m.Cents }))

var ErrFunds = errors.New("insufficient funds")

// withdraw decides on the state that the events tell. Where somebody else was faster it decides again.
func withdraw(ctx context.Context, s eventstore.Store, account string, cents int64) error {
	_, _, err := Accounts.Update(ctx, s, account, func(a Account) ([]tidings.Event, error) {
		if a.Balance < cents {
			return nil, ErrFunds
		}
		return []tidings.Event{Withdrawn.New(Amount{cents})}, nil
	})
	return err
}

// balanceAt is the balance as it was.
func balanceAt(ctx context.Context, s eventstore.Store, account string, at time.Time) (int64, error) {
	a, _, err := Accounts.Load(ctx, s, account, eventstore.AsOf(at))
	return a.Balance, err
}

// page }

// page {
// Turnover is a table for reading: the sum of all deposits, kept with the checkpoint in one transaction.
var Turnover = projection.Define("turnover", 1, projection.On(Deposited,
	func(_ context.Context, tx *store.Tx, m Amount, _ eventstore.Recorded) error {
		was, _ := tx.Get("turnover/v1")
		sum, _ := strconv.ParseInt(string(was), 10, 64) // 0 before the first
		tx.Put("turnover/v1", strconv.AppendInt(nil, sum+m.Cents, 10))
		return nil
	}))

// page }

func Example_eventSourcing() {
	ctx := context.Background()
	_, st, end := memory()
	defer end()
	monday := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	_, err := st.Append(ctx, Accounts.Stream("ann"), eventstore.NoStream,
		Deposited.New(Amount{1000}, tidings.WithTime(monday)))
	check(err)
	check(withdraw(ctx, st, "ann", 400))
	fmt.Println(withdraw(ctx, st, "ann", 700))
	then, err := balanceAt(ctx, st, "ann", monday.Add(time.Hour))
	now, _, _ := Accounts.Load(ctx, st, "ann")
	fmt.Println("then", then, "now", now.Balance, err)
	check(Turnover.CatchUp(ctx, st, st.Checkpoints(), projection.Options{}))
	sum, _ := st.Get("turnover/v1")
	fmt.Println("turnover", string(sum))
	// Output:
	// insufficient funds
	// then 1000 now 600 <nil>
	// turnover 1000
}
