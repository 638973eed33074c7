package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
	sqlstore "github.com/tidings-io/tidings/store/sql"
)

var Collect = tidings.DefineCommand[Deposit]("collectors", "example.collect.v1")

// An instance begins in the transaction that writes what it is about. A relay of the outbox publishes
// its command when that is committed.
func ExampleStore_Sagas() {
	ctx := context.Background()
	db, store, end := exampleDatabase(ctx)
	defer end()
	sagas := store.Sagas()
	d := saga.New[Deposit]("collection", 1)
	d.Step("collect", func(s Deposit) tidings.Event { return Collect.New(s) }).Done(Deposited)

	err := inTx(ctx, db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into balances_v1 values ('a-1', 0)`)
		if err == nil {
			_, err = d.Start(ctx, sagas.In(tx), "a-1", Deposit{Amount: 5})
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	in, err := d.Get(ctx, sagas, "a-1")
	status, _ := store.Outbox(sqlstore.OutboxConfig{}).Status(ctx)
	fmt.Println(in.Status, in.Step, err)
	fmt.Println(status.Waiting, "command to be published")
	// Output:
	// running collect <nil>
	// 1 command to be published
}

func inTx(ctx context.Context, db *sql.DB, fn func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing is left to roll back after Commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
