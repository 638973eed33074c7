package guarantees

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidings-io/tidings/tests/clients/engines"
)

var databases atomic.Int64

// postgres makes databases of their own in the PostgreSQL that tests share.
func postgres(t testing.TB) func(side string) string {
	dsn := engines.SharedPostgres(t).DSN
	return func(side string) string {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%s%d", side, databases.Add(1))
		if _, err := conn.Exec(t.Context(), "create database "+name); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return strings.Replace(dsn, "/postgres?", "/"+name+"?", 1)
	}
}
