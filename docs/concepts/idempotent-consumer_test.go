package concepts_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/tidingstest"
)

// page {
// billing is there once for each event, however often the event comes.
func billing(in inbox.Store[*sql.Tx]) tidings.Route {
	return inbox.On(in, OrderPlaced, func(ctx context.Context, tx *sql.Tx, m tidings.Msg[Order]) error {
		_, err := tx.ExecContext(ctx, `insert into invoices (id, total) values (?, ?)`, m.Data.ID, m.Data.Total)
		return err // with an error both are rolled back: the invoice, and that the event was handled
	})
}

// openInbox makes the tables and forgets what no redelivery can bring any more.
func openInbox(ctx context.Context, db *sql.DB) (inbox.Store[*sql.Tx], error) {
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	in := store.Inbox()
	go inbox.Keep(ctx, in, 30*24*time.Hour) // longer than broker, dead letters and people keep an event
	return in, nil
}

// page }

func Example_inbox() {
	db, _, end := database(`create table invoices (id text, total integer)`)
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	in, err := openInbox(ctx, db)
	check(err)
	placed := OrderPlaced.New(Order{"o-1", "ann", 990})
	tidings.Stamp(ctx, "shop", &placed)
	for range 3 {
		check(tidingstest.Deliver(ctx, placed, billing(in)))
	}
	fmt.Println("delivered 3 times,", count(db, "invoices"), "invoice")
	// Output: delivered 3 times, 1 invoice
}
