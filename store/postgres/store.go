package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/store/internal/relational"
)

// DefaultPrefix begins the names of tables where no other does.
const DefaultPrefix = relational.DefaultPrefix

// Config is how a store works; its zero value is good.
type Config struct {
	// Prefix begins the names of tables: 1 to 32 of a-z, 0-9 and _; "" is DefaultPrefix.
	Prefix string
	// Tx are the options of transactions that the store begins.
	Tx pgx.TxOptions
}

// Store is a database with the tables of one prefix. It is safe for use by many goroutines.
type Store struct {
	core    *relational.Core[pgx.Tx]
	pool    *pgxpool.Pool
	channel string // that commits of the outbox notify
	events  string // that appends to the event store notify
}

// New makes a store. It opens and closes nothing: pool is the caller's.
func New(pool *pgxpool.Pool, conf Config) (*Store, error) {
	core, err := relational.New(database{session{pool}, pool, conf.Tx}, relational.Postgres, conf.Prefix)
	if err != nil {
		return nil, err
	}
	prefix := conf.Prefix
	if prefix == "" {
		prefix = DefaultPrefix
	}
	return &Store{core, pool, prefix + "outbox", prefix + "event"}, nil
}

// Migrate makes the tables, or changes them to what this version needs. It may run at every start, in
// several processes at once, and does nothing where nothing is missing.
func (s *Store) Migrate(ctx context.Context) error { return s.core.Migrate(ctx) }

// Schema is the SQL that Migrate runs in an empty database.
func (s *Store) Schema() (string, error) { return s.core.Schema() }

// Inbox is the store as an inbox.
func (s *Store) Inbox() inbox.Store[pgx.Tx] { return s.core.Inbox() }

// OutboxConfig is how an outbox works; its zero value is good within a service.
type OutboxConfig struct {
	// Source is the CloudEvents source of events that have none; "" is the service whose handler
	// publishes, and an error outside of one.
	Source string
	// Keep is how long published rows stay in the table, where they can be looked at, and keep an id
	// from being published again; 0 deletes them at once.
	Keep time.Duration
	// Poll above 0 has the relay look at an interval, and transactions notify nobody.
	Poll time.Duration
}

// Outbox is the store as an outbox.
func (s *Store) Outbox(conf OutboxConfig) outbox.Table[pgx.Tx] { return s.outbox(conf) }

func (s *Store) outbox(conf OutboxConfig) *relational.Outbox[pgx.Tx] {
	c := relational.OutboxConfig{Source: conf.Source, Keep: conf.Keep, Poll: conf.Poll}
	if conf.Poll <= 0 {
		c.Notify = "select pg_notify('" + s.channel + "', '')"
		c.Wake = func(ctx context.Context) (outbox.Waker, error) { return s.listenTo(ctx, s.channel) }
	}
	return s.core.Outbox(c)
}

// Sagas are the instances of sagas, a row for each. What a transition sends is in the outbox by the
// same transaction, timers as rows with a time, so a relay of Outbox must run: with the same conf,
// of which nothing but Poll counts here, as it says whether transitions notify the relay. A command
// that is sent again takes the place of its row, also of one that was kept or parked.
func (s *Store) Sagas(conf OutboxConfig) saga.Table[pgx.Tx] {
	return s.core.Sagas(s.outbox(conf))
}

// database is a pool as a relational.DB.
type database struct {
	session
	pool *pgxpool.Pool
	opts pgx.TxOptions
}

func (d database) Begin(ctx context.Context) (pgx.Tx, error)     { return d.pool.BeginTx(ctx, d.opts) }
func (d database) Commit(ctx context.Context, tx pgx.Tx) error   { return tx.Commit(ctx) }
func (d database) Rollback(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) }
func (d database) In(tx pgx.Tx) relational.Session               { return session{tx} }

// session is what a pool and a transaction have in common, as a relational.Session.
type session struct {
	on interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	}
}

func (s session) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := s.on.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (s session) Query(ctx context.Context, query string, args []any, row func(relational.Scan) error) error {
	rows, err := s.on.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
