package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // or any other driver

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/tidingstest"
)

type placed struct{ Order string }

type invoiced struct{ Order string }

var (
	orderPlaced = tidings.Define("orders", "shop.order.placed.v1",
		tidings.KeyBy(func(p placed) string { return p.Order }))
	invoiceIssued = tidings.Define("invoices", "billing.invoice.issued.v1",
		tidings.KeyBy(func(i invoiced) string { return i.Order }))
)

// A handler writes an invoice and publishes an event about it: both in one transaction with the mark
// that the order has been handled.
func Example() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "billing.db")+
		"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `create table invoices (order_id text)`)
	if err != nil {
		fmt.Println(err)
		return
	}

	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{Prefix: "billing_"})
	if err == nil {
		err = store.Migrate(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	in, out := store.Inbox(), store.Outbox(sqlstore.OutboxConfig{})
	route := inbox.On(in, orderPlaced, func(ctx context.Context, tx *sql.Tx, m tidings.Msg[placed]) error {
		if _, err := tx.ExecContext(ctx, `insert into invoices values (?)`, m.Data.Order); err != nil {
			return err
		}
		return out.In(tx).Publish(ctx, invoiceIssued.New(invoiced{m.Data.Order}))
	})

	order := orderPlaced.New(placed{"o-1"}, tidings.WithID("1"))
	order.Source = "shop"
	for range 3 { // as a broker may deliver it
		if err := tidingstest.Deliver(ctx, order, route); err != nil {
			fmt.Println(err)
		}
	}
	var invoices int
	_ = db.QueryRowContext(ctx, `select count(*) from invoices`).Scan(&invoices)
	status, _ := out.Status(ctx)
	fmt.Println(invoices, "invoice,", status.Waiting, "event to be published")
	// Output: 1 invoice, 1 event to be published
}

// The SQL, for tools that make tables themselves.
func ExampleStore_Schema() {
	store, err := sqlstore.New(nil, sqlstore.Postgres, sqlstore.Config{Prefix: "shop_"})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := store.Schema()
	begin, _, _ := strings.Cut(text, "\n  id")
	fmt.Println(begin)
	// Output:
	// create table if not exists shop_schema_version (version integer primary key, name text not null);
	//
	// -- 0001_inbox
	// create table shop_inbox (
	//   group_name text not null,
}
