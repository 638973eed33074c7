package stores

import (
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/store/postgres"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/store/storetest"
)

func pgxStore(t testing.TB) (*postgres.Store, pgxCounters) {
	t.Helper()
	pool := openPool(t, freshDSN(t))
	store, err := postgres.New(pool, postgres.Config{})
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return store, pgxCounters{pool}
}

func sqlStore(t testing.TB) (*sqlstore.Store, sqlCounters) {
	t.Helper()
	db := openDB(t, freshDSN(t))
	store, err := sqlstore.New(db, sqlstore.Postgres, sqlstore.Config{})
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return store, sqlCounters{db}
}

func TestInboxByPgx(t *testing.T) {
	storetest.Inbox(t, func(t *testing.T) storetest.InboxHarness[pgx.Tx] {
		store, db := pgxStore(t)
		return storetest.InboxHarness[pgx.Tx]{Store: store.Inbox(), Database: db}
	})
}

func TestInboxByDatabaseSQL(t *testing.T) {
	storetest.Inbox(t, func(t *testing.T) storetest.InboxHarness[*sql.Tx] {
		store, db := sqlStore(t)
		return storetest.InboxHarness[*sql.Tx]{Store: store.Inbox(), Database: db}
	})
}

// theWorld is 16 writers that hold transactions open at random.
var theWorld = storetest.World{Writers: 16, Transactions: 250, Keys: 16, HoldOpen: 5 * time.Millisecond}

func TestOutboxByPgx(t *testing.T) {
	storetest.Outbox(t, func(t *testing.T) storetest.OutboxHarness[pgx.Tx] {
		store, db := pgxStore(t)
		return storetest.OutboxHarness[pgx.Tx]{Database: db, World: theWorld,
			Open: func(keep time.Duration) outbox.Table[pgx.Tx] {
				return store.Outbox(postgres.OutboxConfig{Source: "storetest", Keep: keep})
			}}
	})
}

func TestOutboxByDatabaseSQL(t *testing.T) {
	storetest.Outbox(t, func(t *testing.T) storetest.OutboxHarness[*sql.Tx] {
		store, db := sqlStore(t)
		return storetest.OutboxHarness[*sql.Tx]{Database: db, World: theWorld,
			Open: func(keep time.Duration) outbox.Table[*sql.Tx] {
				return store.Outbox(sqlstore.OutboxConfig{Source: "storetest", Keep: keep, Poll: 10 * time.Millisecond})
			}}
	})
}
