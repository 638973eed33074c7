package relational

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// Session runs statements, in a transaction or each in one of its own.
type Session interface {
	// Exec returns how many rows a statement has changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	// Query calls row for each row; scan is valid until row returns.
	Query(ctx context.Context, query string, args []any, row func(scan Scan) error) error
}

// Scan reads the columns of a row.
type Scan func(into ...any) error

// DB is a database as a driver shows it.
type DB[Tx any] interface {
	Session
	Begin(ctx context.Context) (Tx, error)
	Commit(ctx context.Context, tx Tx) error
	Rollback(ctx context.Context, tx Tx) error
	In(tx Tx) Session
}

// Core is a database with the tables of one prefix.
type Core[Tx any] struct {
	db      DB[Tx]
	dialect *Dialect
	prefix  string
	// committed has a value while something has been committed that no relay has looked for.
	committed chan struct{}
	appended  bell   // of the event store, for followers of this process
	turns     *turns // of appends to it in this process
}

// DefaultPrefix begins the names of tables where no other does.
const DefaultPrefix = "tidings_"

// A prefix is short enough for every name to stay below the 63 bytes of PostgreSQL.
var validPrefix = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,31}$`)

// New makes a Core. A prefix is 1 to 32 of a-z, 0-9 and _, not a digit first; "" is DefaultPrefix.
func New[Tx any](db DB[Tx], d *Dialect, prefix string) (*Core[Tx], error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if !validPrefix.MatchString(prefix) {
		return nil, fmt.Errorf("prefix %.40q is not 1 to 32 of a-z, 0-9 and _, not a digit first", prefix)
	}
	return &Core[Tx]{db: db, dialect: d, prefix: prefix, committed: make(chan struct{}, 1), turns: newTurns()}, nil
}

// sql is a statement in the dialect and with the prefix.
func (c *Core[Tx]) sql(text string) string { return c.dialect.render(text, c.prefix) }

// Committed wakes a relay of this process.
func (c *Core[Tx]) Committed() {
	select {
	case c.committed <- struct{}{}:
	default:
	}
}

// rollbackWithin bounds a rollback, which happens also after the end of its context.
const rollbackWithin = 5 * time.Second

// transact calls fn in a transaction, which is rolled back where fn fails or panics.
func (c *Core[Tx]) transact(ctx context.Context, fn func(tx Tx) error) error {
	tx, err := c.db.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	finished := false
	defer func() {
		if !finished {
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackWithin)
			defer cancel()
			_ = c.db.Rollback(late, tx) // a connection that cannot roll back is closed, which does
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	finished = true
	if err := c.db.Commit(ctx, tx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
