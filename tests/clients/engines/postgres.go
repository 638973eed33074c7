package engines

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// PostgresEngine is PostgreSQL.
type PostgresEngine struct {
	Engine
	DSN string // postgres://, with a user who may do everything and the database postgres
}

// Postgres starts a PostgreSQL for the test. It takes under a second until it is ready. When root
// runs the test, PostgreSQL runs as the user postgres, or nobody.
func Postgres(t testing.TB) *PostgresEngine {
	t.Helper()
	return postgresOf(fresh(t, postgres))
}

// SharedPostgres is a PostgreSQL that all tests share: see Main. Each test should have a database of
// its own in it.
func SharedPostgres(t testing.TB) *PostgresEngine {
	t.Helper()
	return postgresOf(share(t, postgres))
}

func postgresOf(e Engine) *PostgresEngine {
	return &PostgresEngine{e, "postgres://tidings@" + e.node.place.addr(0) + "/postgres?sslmode=disable"}
}

var postgres = recipe{
	name: "postgres", ports: 1, servant: true,
	missing: postgresMissing, prepare: initPostgres, programs: postgresPrograms,
}

func postgresMissing() error {
	_, err := exec.LookPath(postgresPath("postgres"))
	return err
}

// postgresPath is a program of the PostgreSQL whose initdb is in the path, else of the newest one that
// Debian has installed, which it keeps out of the path.
func postgresPath(name string) string {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			return filepath.Join(filepath.Dir(initdb), name)
		}
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return found[len(found)-1]
	}
	return name
}

func initPostgres(p *place) (*exec.Cmd, error) {
	return p.command(nil, postgresPath("initdb"), "--pgdata", p.in("data"), "--username=tidings",
		"--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"), nil
}

func postgresPrograms(p *place) []program {
	return []program{{p.command(nil, postgresPath("postgres"), "-D", p.in("data"),
		"-p", strconv.Itoa(p.ports[0]), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="), "ready to accept connections"}}
}
