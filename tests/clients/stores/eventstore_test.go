package stores

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/store/postgres"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/store/storetest"
)

// often is for stores that look for appends.
var often = sqlstore.EventsConfig{Poll: 5 * time.Millisecond}

func TestEventStoreByPgx(t *testing.T) {
	storetest.EventStore(t, func(t *testing.T) eventstore.Store {
		store, _ := pgxStore(t)
		return store.Events(postgres.EventsConfig{})
	})
}

func TestEventStoreBySerializableTransactions(t *testing.T) {
	storetest.EventStore(t, func(t *testing.T) eventstore.Store {
		store, err := postgres.New(openPool(t, freshDSN(t)), postgres.Config{Tx: pgx.TxOptions{IsoLevel: pgx.Serializable}})
		if err == nil {
			err = store.Migrate(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return store.Events(postgres.EventsConfig{})
	})
}

func TestEventStoreByDatabaseSQL(t *testing.T) {
	storetest.EventStore(t, func(t *testing.T) eventstore.Store {
		store, _ := sqlStore(t)
		return store.Events(often)
	})
}

func TestTableByPgx(t *testing.T) {
	storetest.Table(t, func(t *testing.T) storetest.TableHarness[pgx.Tx] {
		store, db := pgxStore(t)
		return storetest.TableHarness[pgx.Tx]{Table: store.Events(postgres.EventsConfig{}), Database: db}
	})
}

func TestTableByDatabaseSQL(t *testing.T) {
	storetest.Table(t, func(t *testing.T) storetest.TableHarness[*sql.Tx] {
		store, db := sqlStore(t)
		return storetest.TableHarness[*sql.Tx]{Table: store.Events(often), Database: db}
	})
}

func TestKeysByPgx(t *testing.T) {
	storetest.Keys(t, func(t *testing.T) eventstore.Keys {
		store, _ := pgxStore(t)
		return store.Keys()
	})
}

func TestKeysByDatabaseSQL(t *testing.T) {
	storetest.Keys(t, func(t *testing.T) eventstore.Keys {
		store, _ := sqlStore(t)
		return store.Keys()
	})
}

const (
	makeTexts = `create table texts (name text primary key, text text not null)`
	addToText = `insert into texts (name, text) values ($1, $2)
		on conflict (name) do update set text = texts.text || excluded.text`
	readText = `select text from texts where name = $1`
)

func TestProjectionByPgx(t *testing.T) {
	storetest.Projection(t, func(t *testing.T) storetest.Projected[pgx.Tx] {
		store, db := pgxStore(t)
		if _, err := db.pool.Exec(t.Context(), makeTexts); err != nil {
			t.Fatal(err)
		}
		return storetest.Projected[pgx.Tx]{Store: store.Events(postgres.EventsConfig{}), Checkpoints: store.Checkpoints(),
			Append: func(ctx context.Context, tx pgx.Tx, key, text string) error {
				_, err := tx.Exec(ctx, addToText, key, text)
				return err
			},
			Text: func(ctx context.Context, key string) (text string, err error) {
				err = db.pool.QueryRow(ctx, readText, key).Scan(&text)
				return text, unless(err, pgx.ErrNoRows)
			}}
	})
}

func TestProjectionByDatabaseSQL(t *testing.T) {
	storetest.Projection(t, func(t *testing.T) storetest.Projected[*sql.Tx] {
		store, db := sqlStore(t)
		if _, err := db.db.ExecContext(t.Context(), makeTexts); err != nil {
			t.Fatal(err)
		}
		return storetest.Projected[*sql.Tx]{Store: store.Events(often), Checkpoints: store.Checkpoints(),
			Append: func(ctx context.Context, tx *sql.Tx, key, text string) error {
				_, err := tx.ExecContext(ctx, addToText, key, text)
				return err
			},
			Text: func(ctx context.Context, key string) (text string, err error) {
				err = db.db.QueryRowContext(ctx, readText, key).Scan(&text)
				return text, unless(err, sql.ErrNoRows)
			}}
	})
}

func unless(err, none error) error {
	if errors.Is(err, none) {
		return nil
	}
	return err
}

// TestAppendsSurviveConnectionsThatAreKilled: writers append each event until they are told that it is
// there, while the connections of all are killed at random. Each event is there once, versions and
// positions have no gaps, and a follower has missed nothing.
func TestAppendsSurviveConnectionsThatAreKilled(t *testing.T) {
	store, db := pgxStore(t)
	table := store.Events(postgres.EventsConfig{Poll: 10 * time.Millisecond})
	const writers, each = 6, 40
	var lost atomic.Int64
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() { lost.Add(appendAll(t, table, fmt.Sprint("s", w), each)) })
	}
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	kills := killConnections(t, db, done)
	next := int64(1)
	versions := map[string]int64{}
	for r, err := range table.All(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if versions[r.Stream]++; r.Position != next || r.Version != versions[r.Stream] {
			t.Fatalf("stream %s: version %d at %d, want %d at %d", r.Stream, r.Version, r.Position, versions[r.Stream], next)
		}
		next++
	}
	if next-1 != writers*each {
		t.Errorf("%d events, want %d", next-1, writers*each)
	}
	t.Logf("%d kills, %d answers lost", kills, lost.Load())
	if kills == 0 || lost.Load() == 0 {
		t.Error("nothing was killed: the test shows nothing")
	}
}

// appendAll returns how many appends had to be repeated.
func appendAll(t *testing.T, s eventstore.Store, stream string, n int) (again int64) {
	for i := range n {
		e := storetest.Noted.New(storetest.Note{Text: fmt.Sprint(i)})
		for {
			version, err := s.Append(t.Context(), stream, eventstore.Expect(i), e)
			if err == nil {
				if version != int64(i)+1 {
					t.Errorf("version %d, want %d", version, i+1)
				}
				break
			}
			if again++; errors.Is(err, eventstore.ErrConflict) || t.Context().Err() != nil {
				t.Errorf("event %d of %s: %v", i, stream, err)
				return again
			}
		}
	}
	return again
}

const killOthers = `select count(pg_terminate_backend(pid)) from pg_stat_activity
	where datname = current_database() and pid <> pg_backend_pid() and query not like '%pg_terminate%'`

func killConnections(t *testing.T, db pgxCounters, done <-chan struct{}) (kills int) {
	for {
		select {
		case <-done:
			return kills
		case <-time.After(15 * time.Millisecond):
		}
		var n int
		if err := db.pool.QueryRow(t.Context(), killOthers).Scan(&n); err == nil {
			kills += n
		}
	}
}

// BenchmarkAppend measures what turns cost: appends of one event to as many streams as there are
// writers, beside inserts that need no position.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 4, 16} {
		store, db := pgxStore(b)
		table := store.Events(postgres.EventsConfig{})
		if _, err := db.pool.Exec(b.Context(), `create table plain (id text primary key, event bytea)`); err != nil {
			b.Fatal(err)
		}
		e := storetest.Noted.New(storetest.Note{Text: fmt.Sprintf("%500d", 1)})
		b.Run(fmt.Sprint("events/", writers), func(b *testing.B) {
			inParallel(b, writers, func(w int) error {
				_, err := table.Append(b.Context(), fmt.Sprint("s", w), eventstore.Any, e)
				return err
			})
		})
		b.Run(fmt.Sprint("plain/", writers), func(b *testing.B) {
			inParallel(b, writers, func(int) error {
				return db.Do(b.Context(), func(tx pgx.Tx) error {
					_, err := tx.Exec(b.Context(), `insert into plain values ($1, $2)`, tidings.NewID(), e.Payload)
					return err
				})
			})
		})
	}
}

func inParallel(b *testing.B, n int, do func(w int) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	for w := range n {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(w); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}
