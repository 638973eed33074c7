package engines

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestPostgresKeepsCommittedRowsOverSIGKILL also holds a transaction open that is lost.
func TestPostgresKeepsCommittedRowsOverSIGKILL(t *testing.T) {
	began := time.Now()
	p := Postgres(t)
	ready := time.Since(began)
	conn := connectPostgres(t, p)
	execPostgres(t, conn, `create table orders (id int)`)
	execPostgres(t, conn, `insert into orders select * from generate_series(1, 100)`)
	execPostgres(t, conn, `begin`)
	execPostgres(t, conn, `insert into orders values (101)`)
	p.Kill()
	t.Logf("postgres was ready in %v, and after SIGKILL in %v", ready, p.Restart())
	var got int
	row := connectPostgres(t, p).QueryRow(bounded(t), `select count(*) from orders`)
	if err := row.Scan(&got); err != nil || got != 100 {
		t.Errorf("got %d rows, %v, want 100", got, err)
	}
}

func connectPostgres(t *testing.T, p *PostgresEngine) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(bounded(t), p.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(bounded(t)) })
	return conn
}

func execPostgres(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(bounded(t), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestPostgresIsKilledInTheMiddleOfAQuery since a process that computes does not notice that the first one
// is gone.
func TestPostgresIsKilledInTheMiddleOfAQuery(t *testing.T) {
	p := Postgres(t)
	busy, witness := connectPostgres(t, p), connectPostgres(t, p)
	ended := make(chan error)
	go func() {
		_, err := busy.Exec(bounded(t), `do $$ begin loop null; end loop; end $$`)
		ended <- err
	}()
	active := `select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()`
	for n := 0; n == 0; { // nothing tells when a query has begun
		if err := witness.QueryRow(bounded(t), active).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	p.Kill()
	if err := <-ended; err == nil {
		t.Error("the query has ended")
	}
	p.Restart()
	execPostgres(t, connectPostgres(t, p), `select 1`)
}
