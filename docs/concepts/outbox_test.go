package concepts_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/tidingstest"
)

// page {
// place writes an order and an event about it: both, or neither.
func place(ctx context.Context, db *sql.DB, out outbox.Table[*sql.Tx], o Order) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it has no effect after Commit
	if _, err := tx.ExecContext(ctx, `insert into orders (id, total) values (?, ?)`, o.ID, o.Total); err != nil {
		return err
	}
	if err := out.In(tx).Publish(ctx, OrderPlaced.New(o)); err != nil { // a row, no broker yet
		return err
	}
	return tx.Commit()
}

// relay publishes the rows, beside the service: one of all relays works at a time.
func relay(ctx context.Context, out outbox.Table[*sql.Tx], to tidings.Transport) error {
	return outbox.NewRelay(out, to).Run(ctx)
}

// page }

func Example_outbox() {
	ctx, stop := context.WithCancel(context.Background())
	db, st, end := database(`create table orders (id text primary key, total integer)`)
	defer end()
	out := st.Outbox(sqlstore.OutboxConfig{Source: "shop"})
	check(place(ctx, db, out, Order{"o-1", "ann", 990}))
	fmt.Println("refused:", place(ctx, db, out, Order{"o-1", "bob", 10}) != nil) // the key is taken

	t := tidingstest.NewTransport()
	heard := make(chan string, 1)
	mail := running(greets("mail", t, heard))
	ended := make(chan error)
	go func() { ended <- relay(ctx, out, t) }()
	fmt.Println(<-heard)
	stop()
	mail()
	err := <-ended
	fmt.Println(len(t.Published("orders")), "event for", count(db, "orders"), "order", errors.Is(err, nil))
	// Output:
	// refused: true
	// mail: heard of o-1
	// 1 event for 1 order true
}
