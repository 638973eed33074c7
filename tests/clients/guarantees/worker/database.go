package worker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // registers pgx
	_ "modernc.org/sqlite"             // registers sqlite

	sqlstore "github.com/tidings-io/tidings/store/sql"
)

// Database is one of either side: SQLite in a file, or PostgreSQL.
type Database struct {
	*sql.DB
	Store    *sqlstore.Store
	postgres bool
}

// tables of both sides; %s is a number that the database counts up.
const tables = `
create table if not exists orders (id text primary key, key text not null, seq bigint not null);
create table if not exists counters (key text primary key, n bigint not null);
create table if not exists effects (
	n %s, grp text not null, id text not null, key text not null, seq bigint not null);
create table if not exists steps (n %s, trip text not null, step text not null);
create table if not exists counts (stream text primary key, n bigint not null);
`

// OpenDatabase opens a file, or a postgres:// URL.
func OpenDatabase(name string) (*Database, error) {
	d := &Database{postgres: strings.HasPrefix(name, "postgres://")}
	driver, dialect := "sqlite", sqlstore.SQLite
	if d.postgres {
		driver, dialect = "pgx", sqlstore.Postgres
	} else {
		name = "file:" + name + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	}
	var err error
	if d.DB, err = sql.Open(driver, name); err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(16)
	d.Store, err = sqlstore.New(d.DB, dialect, sqlstore.Config{})
	return d, err
}

// Migrate makes the tables.
func (d *Database) Migrate(ctx context.Context) error {
	if err := d.Store.Migrate(ctx); err != nil {
		return err
	}
	number := "integer primary key autoincrement"
	if d.postgres {
		number = "bigint generated always as identity primary key"
	}
	for _, statement := range strings.Split(fmt.Sprintf(tables, number, number), ";\n") {
		if _, err := d.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement with question marks in a transaction.
func (d *Database) exec(ctx context.Context, tx *sql.Tx, statement string, args ...any) error {
	_, err := tx.ExecContext(ctx, d.numbered(statement), args...)
	return err
}

// numbered has $1, $2 and so on for question marks, where the database wants that.
func (d *Database) numbered(statement string) string {
	if !d.postgres {
		return statement
	}
	parts := strings.Split(statement, "?")
	for i := range parts[1:] {
		parts[i] += fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(parts, "")
}

// next counts up, and keeps others from counting until the transaction ends.
func (d *Database) next(ctx context.Context, tx *sql.Tx, key string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, d.numbered(`insert into counters (key, n) values (?, 1)
		on conflict (key) do update set n = counters.n + 1 returning n`), key).Scan(&n)
	return n, err
}

// do commits what fn does, or nothing where it fails.
func (d *Database) do(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
