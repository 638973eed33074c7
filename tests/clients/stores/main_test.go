package stores

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/tidings-io/tidings/tests/clients/engines"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(relayEnv); dsn != "" {
		os.Exit(runRelay(dsn))
	}
	if dsn := os.Getenv(sagaEnv); dsn != "" {
		os.Exit(runSagas(dsn))
	}
	os.Exit(engines.Main(m.Run))
}

var databases atomic.Int64

// freshDSN is a database of its own for a test, with a table of counters.
func freshDSN(t testing.TB) string {
	t.Helper()
	dsn := engines.SharedPostgres(t).DSN
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test%d", databases.Add(1))
	if _, err := conn.Exec(t.Context(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgres://%s@%s:%d/%s?sslmode=disable", config.User, config.Host, config.Port, name)
}

func openPool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn+"&pool_max_conns=24")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), makeCounters); err != nil {
		t.Fatal(err)
	}
	return pool
}

func openDB(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(24)
	if _, err := db.ExecContext(t.Context(), makeCounters); err != nil {
		t.Fatal(err)
	}
	return db
}

const (
	makeCounters = `create table if not exists counters (name text primary key, n bigint not null)`
	addToCounter = `insert into counters (name, n) values ($1, 1)
		on conflict (name) do update set n = counters.n + 1 returning n`
	readCounters = `select name, n from counters`
)

// pgxCounters is a storetest.Database by pgx.
type pgxCounters struct{ pool *pgxpool.Pool }

func (c pgxCounters) Do(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, c.pool, fn)
}

func (c pgxCounters) Count(ctx context.Context, tx pgx.Tx, name string) (n int64, err error) {
	err = tx.QueryRow(ctx, addToCounter, name).Scan(&n)
	return n, err
}

func (c pgxCounters) Counts(ctx context.Context) (map[string]int64, error) {
	rows, err := c.pool.Query(ctx, readCounters)
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

// sqlCounters is a storetest.Database by database/sql.
type sqlCounters struct{ db *sql.DB }

func (c sqlCounters) Do(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing is left to roll back after Commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (c sqlCounters) Count(ctx context.Context, tx *sql.Tx, name string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, addToCounter, name).Scan(&n)
	return n, err
}

func (c sqlCounters) Counts(ctx context.Context) (map[string]int64, error) {
	rows, err := c.db.QueryContext(ctx, readCounters)
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
