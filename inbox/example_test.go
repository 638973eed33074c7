package inbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/tidingstest"
)

// database is a SQLite database with the tables of an inbox and one of the user, in a directory that
// clean removes.
func database(ctx context.Context) (store inbox.Store[*sql.Tx], db *sql.DB, clean func()) {
	dir, err := os.MkdirTemp("", "example")
	if err == nil {
		db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "billing.db")+
			"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	}
	var s *sqlstore.Store
	if err == nil {
		s, err = sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	}
	if err == nil {
		err = s.Migrate(ctx)
	}
	if err == nil {
		_, err = db.ExecContext(ctx, `create table invoices (order_id text)`)
	}
	if err != nil {
		panic(err)
	}
	return s.Inbox(), db, func() { _, _ = db.Close(), os.RemoveAll(dir) }
}

func insertInvoice(ctx context.Context, tx *sql.Tx, m tidings.Msg[placed]) error {
	_, err := tx.ExecContext(ctx, `insert into invoices values (?)`, m.Data.Order)
	return err
}

func invoices(ctx context.Context, db *sql.DB) (n int) {
	_ = db.QueryRowContext(ctx, `select count(*) from invoices`).Scan(&n)
	return n
}

// from is an event as a service has published it.
func from(source string, e tidings.Event) tidings.Event {
	e.Source = source
	return e
}

func ExampleOn() {
	ctx := context.Background()
	store, db, clean := database(ctx)
	defer clean()

	attempts := 0
	route := inbox.On(store, orderPlaced, func(ctx context.Context, tx *sql.Tx, m tidings.Msg[placed]) error {
		if err := insertInvoice(ctx, tx, m); err != nil {
			return err
		}
		if attempts++; attempts == 1 {
			return errFlaky // the invoice is rolled back, and the event is not remembered
		}
		return nil
	})
	order := from("shop", orderPlaced.New(placed{Order: "o-1"}))
	for range 3 {
		fmt.Println(tidingstest.Deliver(ctx, order, route))
	}
	fmt.Println(attempts, "attempts,", invoices(ctx, db), "invoice")
	// Output:
	// not now
	// <nil>
	// <nil>
	// 2 attempts, 1 invoice
}

func ExampleHandle() {
	ctx := context.Background()
	store, db, clean := database(ctx)
	defer clean()

	route := inbox.Handle(store, bill, insertInvoice)
	command := from("shop", bill.New(placed{Order: "o-1"}))
	for range 2 {
		fmt.Println(tidingstest.Deliver(ctx, command, route))
	}
	fmt.Println(invoices(ctx, db), "invoice")
	// Output:
	// <nil>
	// <nil>
	// 1 invoice
}

func ExampleOnPosition() {
	ctx := context.Background()
	store, db, clean := database(ctx)
	defer clean()

	route := inbox.OnPosition(store, orderPlaced, insertInvoice)
	order := from("shop", orderPlaced.New(placed{Order: "o-1"}))
	ctx = tidings.Handling(ctx, "billing", "billing", &order) // as a service does
	for _, offset := range []int64{7, 7, 8, 3} {
		d := &tidings.Delivery{Event: order, Lane: "orders/0", Offset: offset}
		if err := route.Handler.Handle(ctx, d); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(invoices(ctx, db), "invoices, for offsets 7 and 8")
	// Output: 2 invoices, for offsets 7 and 8
}

// What is older than every way on which it may come again is forgotten, by a job that runs now and then.
func ExampleStore() {
	ctx := context.Background()
	store, _, clean := database(ctx)
	defer clean()

	for range 2 {
		already, err := store.Once(ctx, "billing", "shop 1", func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `insert into invoices values ('o-1')`)
			return err
		})
		fmt.Println(already, err)
	}
	n, err := store.Prune(ctx, 30*24*time.Hour)
	fmt.Println("pruned", n, err)
	// Output:
	// false <nil>
	// true <nil>
	// pruned 0 <nil>
}

// A job beside the service forgets what no redelivery can bring any more.
func ExampleKeep() {
	ctx, stop := context.WithCancel(context.Background())
	store, _, clean := database(ctx)
	defer clean()

	done := make(chan struct{})
	go func() {
		defer close(done)
		inbox.Keep(ctx, store, 30*24*time.Hour)
	}()
	// … svc.Run(ctx) …
	stop()
	<-done
	fmt.Println("ended")
	// Output: ended
}
