package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	sqlstore "github.com/tidings-io/tidings/store/sql"
)

type Deposit struct{ Amount int }

var (
	Deposited = tidings.Define[Deposit]("accounts", "example.deposited.v1")

	Accounts = eventstore.Define("account",
		eventstore.Apply(Deposited, func(balance *int, d Deposit) { *balance += d.Amount }))

	Balances = projection.Define("balances", 1, projection.On(Deposited,
		func(ctx context.Context, tx *sql.Tx, d Deposit, r eventstore.Recorded) error {
			_, err := tx.ExecContext(ctx, `insert into balances_v1 values (?, ?)
				on conflict (account) do update set balance = balance + excluded.balance`, r.Stream, d.Amount)
			return err
		}))
)

// An event store and a projection in a SQLite database: rows and checkpoint are one transaction.
func ExampleStore_Events() {
	ctx := context.Background()
	db, store, end := exampleDatabase(ctx)
	defer end()
	events := store.Events(sqlstore.EventsConfig{Source: "bank"})
	for _, amount := range []int{5, 7} {
		_, _, err := Accounts.Update(ctx, events, "a-1", func(int) ([]tidings.Event, error) {
			return []tidings.Event{Deposited.New(Deposit{amount})}, nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := Balances.CatchUp(ctx, events, store.Checkpoints(), projection.Options{}); err != nil {
		log.Fatal(err)
	}
	var account string
	var balance int
	err := db.QueryRowContext(ctx, `select account, balance from balances_v1`).Scan(&account, &balance)
	fmt.Println(account, balance, err)
	// Output: account-a-1 12 <nil>
}

func exampleDatabase(ctx context.Context) (*sql.DB, *sqlstore.Store, func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "bank.db")+
		"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err == nil {
		err = store.Migrate(ctx)
	}
	if err == nil {
		_, err = db.ExecContext(ctx, `create table balances_v1 (account text primary key, balance integer)`)
	}
	if err != nil {
		log.Fatal(err)
	}
	return db, store, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}
