package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/store/internal/relational"
)

// Dialect is the database behind database/sql.
type Dialect struct{ *relational.Dialect }

// The databases whose SQL is spoken.
var (
	Postgres = Dialect{relational.Postgres}
	SQLite   = Dialect{relational.SQLite}
)

// DefaultPrefix begins the names of tables where no other does.
const DefaultPrefix = relational.DefaultPrefix

// DefaultPoll is how often a relay looks for what other processes have committed.
const DefaultPoll = 200 * time.Millisecond

// Config is how a store works; its zero value is good.
type Config struct {
	// Prefix begins the names of tables: 1 to 32 of a-z, 0-9 and _; "" is DefaultPrefix.
	Prefix string
	// Tx are the options of transactions that the store begins; nil is the database's default, which
	// is enough for everything that this library promises.
	Tx *sql.TxOptions
}

// Store is a database with the tables of one prefix. It is safe for use by many goroutines.
type Store struct {
	core *relational.Core[*sql.Tx]
	db   *sql.DB
	is   Dialect
}

// New makes a store. It opens and closes nothing: db is the caller's.
func New(db *sql.DB, d Dialect, conf Config) (*Store, error) {
	core, err := relational.New(database{session{db}, db, conf.Tx}, d.Dialect, conf.Prefix)
	if err != nil {
		return nil, err
	}
	return &Store{core, db, d}, nil
}

// Migrate makes the tables, or changes them to what this version needs. It may run at every start, in
// several processes at once, and does nothing where nothing is missing. It refuses a SQLite database
// whose connections do not wait for the write lock, unless it may have one only.
func (s *Store) Migrate(ctx context.Context) error {
	if s.is == SQLite && s.db.Stats().MaxOpenConnections != 1 {
		if err := s.waits(ctx); err != nil {
			return err
		}
	}
	return s.core.Migrate(ctx)
}

// waits is an error where connections would soon fail with "database is locked", which says nothing
// of the reason.
func (s *Store) waits(ctx context.Context) error {
	var millis int64
	err := s.db.QueryRowContext(ctx, `pragma busy_timeout`).Scan(&millis)
	if err != nil || millis > 0 { // what is wrong with the database the migration says
		return nil
	}
	return errors.New("migrate: connections of this database do not wait while SQLite is locked (busy_timeout is 0); " +
		"with modernc.org/sqlite open it as file:NAME?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
}

// Schema is the SQL that Migrate runs in an empty database.
func (s *Store) Schema() (string, error) { return s.core.Schema() }

// Inbox is the store as an inbox.
func (s *Store) Inbox() inbox.Store[*sql.Tx] { return s.core.Inbox() }

// OutboxConfig is how an outbox works; its zero value is good within a service.
type OutboxConfig struct {
	// Source is the CloudEvents source of events that have none; "" is the service whose handler
	// publishes, and an error outside of one.
	Source string
	// Keep is how long published rows stay in the table, where they can be looked at, and keep an id
	// from being published again; 0 deletes them at once.
	Keep time.Duration
	// Poll is how often a relay looks for what has been committed; 0 or below is DefaultPoll. What
	// this store commits (handlers with an inbox), and what Committed tells, it sees at once.
	Poll time.Duration
}

// Outbox is the store as an outbox.
func (s *Store) Outbox(conf OutboxConfig) outbox.Table[*sql.Tx] { return s.outbox(conf) }

func (s *Store) outbox(conf OutboxConfig) *relational.Outbox[*sql.Tx] {
	if conf.Poll <= 0 {
		conf.Poll = DefaultPoll
	}
	return s.core.Outbox(relational.OutboxConfig{Source: conf.Source, Keep: conf.Keep, Poll: conf.Poll})
}

// Sagas are the instances of sagas, a row for each. What a transition sends is in the outbox by the
// same transaction, timers as rows with a time, so a relay of Outbox must run. A command that is
// sent again takes the place of its row, also of one that was kept or parked.
func (s *Store) Sagas() saga.Table[*sql.Tx] { return s.core.Sagas(s.outbox(OutboxConfig{})) }

// database is a *sql.DB as a relational.DB.
type database struct {
	session
	db   *sql.DB
	opts *sql.TxOptions
}

func (d database) Begin(ctx context.Context) (*sql.Tx, error)   { return d.db.BeginTx(ctx, d.opts) }
func (d database) Commit(_ context.Context, tx *sql.Tx) error   { return tx.Commit() }
func (d database) Rollback(_ context.Context, tx *sql.Tx) error { return tx.Rollback() }
func (d database) In(tx *sql.Tx) relational.Session             { return session{tx} }

// session is what *sql.DB and *sql.Tx have in common, as a relational.Session.
type session struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (s session) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := s.on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s session) Query(ctx context.Context, query string, args []any, row func(relational.Scan) error) error {
	rows, err := s.on.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
