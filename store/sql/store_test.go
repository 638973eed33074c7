package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/tidings-io/tidings/outbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/store/storetest"
)

// openSQLite opens a database as the package's documentation wants it.
func openSQLite(t testing.TB) *sql.DB {
	t.Helper()
	name := "file:" + filepath.Join(t.TempDir(), "shop.db") +
		"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// counters is the user's side of a SQLite database.
type counters struct{ db *sql.DB }

func (c counters) Do(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (c counters) Count(ctx context.Context, tx *sql.Tx, name string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `insert into counters (name, n) values (?1, 1)
		on conflict (name) do update set n = n + 1 returning n`, name).Scan(&n)
	return n, err
}

func (c counters) Counts(ctx context.Context) (map[string]int64, error) {
	rows, err := c.db.QueryContext(ctx, `select name, n from counters`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		all[name] = n
	}
	return all, rows.Err()
}

func open(t *testing.T) (*sqlstore.Store, counters) {
	t.Helper()
	db := openSQLite(t)
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err == nil {
		_, err = db.ExecContext(t.Context(), `create table counters (name text primary key, n integer not null)`)
	}
	if err != nil {
		t.Fatal(err)
	}
	return store, counters{db}
}

func TestInboxOnSQLite(t *testing.T) {
	storetest.Inbox(t, func(t *testing.T) storetest.InboxHarness[*sql.Tx] {
		store, db := open(t)
		return storetest.InboxHarness[*sql.Tx]{Store: store.Inbox(), Database: db, Workers: 4}
	})
}

func TestOutboxOnSQLite(t *testing.T) {
	storetest.Outbox(t, func(t *testing.T) storetest.OutboxHarness[*sql.Tx] {
		store, db := open(t)
		return storetest.OutboxHarness[*sql.Tx]{Database: db, Open: func(keep time.Duration) outbox.Table[*sql.Tx] {
			return store.Outbox(sqlstore.OutboxConfig{Source: "storetest", Keep: keep, Poll: 5 * time.Millisecond})
		}}
	})
}
