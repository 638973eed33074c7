package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tidings-io/tidings"

	"github.com/tidings-io/tidings/outbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/store/storetest"
)

// openSQLite opens a database as the package's documentation wants it; it does not wait for the disk,
// since no test takes the power away.
func openSQLite(t testing.TB, file string) *sql.DB {
	t.Helper()
	return openWaiting(t, file, 10*time.Second)
}

func openWaiting(t testing.TB, file string, busy time.Duration) *sql.DB {
	t.Helper()
	name := fmt.Sprintf("file:%s?_pragma=journal_mode(WAL)&_pragma=busy_timeout(%d)&_txlock=immediate"+
		"&_pragma=synchronous(NORMAL)", file, busy.Milliseconds())
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Who forgets the options hears of it at the start, and not under load.
func TestMigrateRefusesSQLiteWithoutATimeToWait(t *testing.T) {
	for name, connections := range map[string]int{"several": 0, "one": 1} {
		db := openWaiting(t, filepath.Join(t.TempDir(), "shop.db"), 0)
		db.SetMaxOpenConns(connections)
		store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		err = store.Migrate(t.Context())
		if connections == 1 && err != nil {
			t.Errorf("%s: got %v, want tables", name, err)
		}
		if connections != 1 && (err == nil || !strings.Contains(err.Error(), "_pragma=busy_timeout(10000)&_txlock=immediate")) {
			t.Errorf("%s: got %v, want what to open it with", name, err)
		}
	}
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
	db := openSQLite(t, filepath.Join(t.TempDir(), "shop.db"))
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

// TestAHandlerThatCannotLockTheDatabaseIsTriedAgain while another process has it locked.
func TestAHandlerThatCannotLockTheDatabaseIsTriedAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.db")
	other := openSQLite(t, file)
	store, err := sqlstore.New(openWaiting(t, file, time.Millisecond), sqlstore.SQLite, sqlstore.Config{})
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, *sql.Tx) error { return nil }
	already, err := store.Inbox().Once(t.Context(), "g", "a", nothing)
	busy, ok := errors.AsType[*sqlite.Error](err)
	if already || !ok || busy.Code()&0xff != sqlite3.SQLITE_BUSY || tidings.IsPermanent(err) {
		t.Errorf("already %v, %v: want SQLITE_BUSY, not permanent", already, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if already, err = store.Inbox().Once(t.Context(), "g", "a", nothing); already || err != nil {
		t.Errorf("again: already %v, %v", already, err)
	}
}

func TestMigrateRunsInManyProcessesAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.db")
	var all sync.WaitGroup
	for range 8 {
		db := openSQLite(t, file)
		all.Go(func() {
			store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{Prefix: "shop_"})
			for range 2 {
				if err == nil {
					err = store.Migrate(t.Context())
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// busyOpening is a file that others change to WAL mode: it cannot be opened a few times.
type busyOpening struct {
	driver driver.Driver
	name   string
	times  atomic.Int32
}

func (b *busyOpening) Driver() driver.Driver { return b.driver }

func (b *busyOpening) Connect(context.Context) (driver.Conn, error) {
	if b.times.Add(-1) >= 0 {
		return nil, errors.New("database is locked (5) (SQLITE_BUSY)")
	}
	return b.driver.Open(b.name)
}

func TestMigrateWaitsWhileOthersChangeANewFileToWAL(t *testing.T) {
	opening := &busyOpening{name: "file:" + filepath.Join(t.TempDir(), "shop.db"), driver: &sqlite.Driver{}}
	opening.times.Store(5)
	db := sql.OpenDB(opening)
	defer db.Close() //nolint:errcheck // nothing was kept
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

func TestMigrateHasNothingToDoWhereTheSchemaWasRunByHand(t *testing.T) {
	db := openSQLite(t, filepath.Join(t.TempDir(), "shop.db"))
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := store.Schema()
	if err == nil {
		_, err = db.ExecContext(t.Context(), text)
	}
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

func TestAPrefixIsNothingButAName(t *testing.T) {
	for prefix, good := range map[string]bool{"": true, "a": true, "shop_": true, "_1": true, strings.Repeat("x", 32): true,
		strings.Repeat("x", 33): false, "1a": false, "Shop": false, "a.b": false, "a;drop table": false, "a\"": false, "ä": false} {
		if _, err := sqlstore.New(nil, sqlstore.SQLite, sqlstore.Config{Prefix: prefix}); (err == nil) != good {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

// TestTablesOfTwoPrefixesAreApart in one database.
func TestTablesOfTwoPrefixesAreApart(t *testing.T) {
	db := openSQLite(t, filepath.Join(t.TempDir(), "shop.db"))
	for _, prefix := range []string{"one_", "two_"} {
		store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{Prefix: prefix})
		if err == nil {
			err = store.Migrate(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		already, err := store.Inbox().Once(t.Context(), "g", "a", func(context.Context, *sql.Tx) error { return nil })
		if already || err != nil {
			t.Errorf("%s: already %v, %v", prefix, already, err)
		}
	}
}

// TestARowThatCannotBeReadIsParked by a relay, with what its columns tell.
func TestARowThatCannotBeReadIsParked(t *testing.T) {
	store, db := open(t)
	_, err := db.db.ExecContext(t.Context(), `insert into tidings_outbox (id, source, kind, topic, type, key, event)
		values ('bad', 's', 'event', 'orders', 'placed', 'k', '{'), ('lie', 's', 'event', 'orders', 'placed', 'k',
		'{"specversion":"1.0","id":"other","source":"s","type":"placed"}')`)
	if err != nil {
		t.Fatal(err)
	}
	table := store.Outbox(sqlstore.OutboxConfig{})
	claim, err := table.Claim(t.Context(), 10)
	if err != nil || len(claim.Rows) != 2 || claim.Rows[0].Err == nil || claim.Rows[1].Err == nil ||
		claim.Rows[0].Event.ID != "bad" || claim.Rows[1].Event.ID != "lie" {
		t.Fatalf("%+v, %v", claim.Rows, err)
	}
}

// TestAClaimOfLargeEventsIsShort so that a relay holds little, however many rows it asks for.
func TestAClaimOfLargeEventsIsShort(t *testing.T) {
	store, db := open(t)
	table := store.Outbox(sqlstore.OutboxConfig{Source: "shop"})
	for n := range 10 {
		err := db.Do(t.Context(), func(tx *sql.Tx) error {
			e := tidings.Event{Topic: "orders", ID: fmt.Sprint(n), Type: "placed", Payload: make([]byte, 1<<20)}
			return table.In(tx).Publish(t.Context(), e)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var claims []int
	for {
		claim, err := table.Claim(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(claim.Rows) == 0 {
			break
		}
		claims = append(claims, len(claim.Rows))
		for _, row := range claim.Rows {
			if err := table.Done(t.Context(), row.Seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fmt.Sprint(claims) != "[8 2]" {
		t.Errorf("claims of %v rows, want 8 and 2", claims)
	}
}

func TestAPollBelowZeroIsTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlstore.New(nil, sqlstore.SQLite, sqlstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		w, err := store.Outbox(sqlstore.OutboxConfig{Poll: -time.Second}).Wake(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := w.Wait(t.Context(), time.Hour); err != nil || time.Since(begun) != sqlstore.DefaultPoll {
			t.Errorf("it waited %v, %v", time.Since(begun), err)
		}
	})
}
