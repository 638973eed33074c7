package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/tidingstest"
)

type placed struct{ Order string }

var orderPlaced = tidings.Define("orders", "shop.order.placed.v1",
	tidings.KeyBy(func(p placed) string { return p.Order }))

// database is a SQLite database with an outbox, in a directory that clean removes.
func database(ctx context.Context) (out outbox.Table[*sql.Tx], db *sql.DB, clean func()) {
	dir, err := os.MkdirTemp("", "example")
	if err == nil {
		db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+
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
		_, err = db.ExecContext(ctx, `create table orders (id text primary key, version integer)`)
	}
	if err != nil {
		panic(err)
	}
	return s.Outbox(sqlstore.OutboxConfig{Source: "shop"}), db, func() { _, _ = db.Close(), os.RemoveAll(dir) }
}

// place takes the lock of the order by writing it, and publishes then.
func place(ctx context.Context, tx *sql.Tx, out outbox.Table[*sql.Tx], order string) error {
	_, err := tx.ExecContext(ctx, `insert into orders values (?, 1)`, order)
	if err != nil {
		return err
	}
	return out.In(tx).Publish(ctx, orderPlaced.New(placed{order}))
}

// An event exists if and only if its transaction commits.
func ExampleTable() {
	ctx := context.Background()
	out, db, clean := database(ctx)
	defer clean()

	for _, order := range []string{"o-1", "o-2"} {
		tx, err := db.BeginTx(ctx, nil)
		if err == nil {
			err = place(ctx, tx, out, order)
		}
		if err == nil && order == "o-1" {
			err = tx.Commit()
			out.Committed()
		} else if err == nil {
			err = tx.Rollback()
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	claim, _ := out.Claim(ctx, 10)
	for _, row := range claim.Rows {
		fmt.Println(row.Event.Key, row.Event.Source)
	}
	// Output: o-1 shop
}

// A publisher into a transaction also publishes at a time.
func ExamplePublisher() {
	ctx := context.Background()
	out, db, clean := database(ctx)
	defer clean()

	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		err = out.In(tx).PublishAt(ctx, time.Now().Add(time.Hour), orderPlaced.New(placed{"o-1"}))
	}
	if err == nil {
		err = tx.Commit()
	}
	status, _ := out.Status(ctx)
	fmt.Println(status.Scheduled, "scheduled,", status.Waiting, "waiting,", err)
	// Output: 1 scheduled, 0 waiting, <nil>
}

// A relay publishes what is committed until its context ends.
func ExampleRelay() {
	ctx, stop := context.WithCancel(context.Background())
	out, db, clean := database(ctx)
	defer clean()
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		err = place(ctx, tx, out, "o-1")
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		fmt.Println(err)
	}

	transport := tidingstest.NewTransport()
	relay := outbox.NewRelay(out, transport)
	over := make(chan error)
	go func() { over <- relay.Run(ctx) }()
	fmt.Println(transport.Await(ctx, func() bool { return len(transport.Published("orders")) > 0 }))
	stop()
	fmt.Println(<-over)
	health, err := relay.Health(context.Background())
	fmt.Println(health.Waiting, "waiting, oldest", health.Oldest, err)
	// Output:
	// <nil>
	// <nil>
	// 0 waiting, oldest 0s <nil>
}

// What a broker refuses for good is parked, until somebody decides.
func ExampleDesk() {
	ctx := context.Background()
	out, db, clean := database(ctx)
	defer clean()
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		err = place(ctx, tx, out, "o-1")
	}
	if err == nil {
		err = tx.Commit()
	}
	claim, _ := out.Claim(ctx, 1)
	refused := outbox.Failure{Seq: claim.Rows[0].Seq, Reason: tidings.ErrTooLarge.Error(), Park: true}
	fmt.Println(err, out.Fail(ctx, refused)) // as a relay does

	var desk outbox.Desk = out
	parked, _ := desk.List(ctx, outbox.Parked, 0, 100)
	for _, entry := range parked {
		fmt.Println(entry.Event.Key, entry.State, entry.Reason)
		n, err := desk.Retry(ctx, entry.Event.ID) // or Discard
		fmt.Println(n, err)
	}
	// Output:
	// <nil> <nil>
	// o-1 parked event too large
	// 1 <nil>
}
