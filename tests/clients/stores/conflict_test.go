package stores

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/store/postgres"
)

// TestADuplicateWaitsForTheFirstOnTheUniqueKey asks PostgreSQL whether it waits.
func TestADuplicateWaitsForTheFirstOnTheUniqueKey(t *testing.T) {
	store, db := pgxStore(t)
	in := store.Inbox()
	inside, release := make(chan struct{}), make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		already, err := in.Once(t.Context(), "g", "a", func(ctx context.Context, tx pgx.Tx) error {
			close(inside)
			<-release
			_, err := db.Count(ctx, tx, "a")
			return err
		})
		if already || err != nil {
			t.Errorf("the first: already %v, %v", already, err)
		}
	})
	<-inside
	both.Go(func() {
		already, err := in.Once(t.Context(), "g", "a", func(context.Context, pgx.Tx) error {
			t.Error("the second was called")
			return nil
		})
		if !already || err != nil {
			t.Errorf("the second: already %v, %v", already, err)
		}
	})
	for waiting := 0; waiting == 0; {
		row := db.pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`)
		if err := row.Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	both.Wait()
}

// wantConflict wants an error of PostgreSQL with a code, which may be tried again.
func wantConflict(t *testing.T, err error, code string) {
	t.Helper()
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != code || tidings.IsPermanent(err) {
		t.Errorf("%v: want SQLSTATE %s, not permanent", err, code)
	}
}

func count(t *testing.T, db pgxCounters, in inbox.Store[pgx.Tx], id string, names ...string) error {
	_, err := in.Once(t.Context(), "g", id, func(ctx context.Context, tx pgx.Tx) error {
		for _, name := range names {
			if _, err := db.Count(ctx, tx, name); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// TestADeadlockIsAnErrorThatIsTriedAgain lets two handlers take two locks in opposite orders.
func TestADeadlockIsAnErrorThatIsTriedAgain(t *testing.T) {
	store, db := pgxStore(t)
	in := store.Inbox()
	var errs [2]error
	var one, both sync.WaitGroup // each has its first lock
	one.Add(2)
	for i, names := range [][]string{{"x", "y"}, {"y", "x"}} {
		both.Go(func() {
			_, errs[i] = in.Once(t.Context(), "g", names[0], func(ctx context.Context, tx pgx.Tx) error {
				_, err := db.Count(ctx, tx, names[0])
				one.Done()
				one.Wait()
				if err == nil {
					_, err = db.Count(ctx, tx, names[1])
				}
				return err
			})
		})
	}
	both.Wait()
	victim, name := errs[0], "x"
	if errs[1] != nil {
		victim, name = errs[1], "y"
	}
	wantConflict(t, victim, "40P01")
	if err := count(t, db, in, name, "x", "y"); err != nil {
		t.Errorf("again: %v", err)
	}
	if all, err := db.Counts(t.Context()); err != nil || all["x"] != 2 || all["y"] != 2 {
		t.Errorf("counts %v, %v", all, err)
	}
}

// TestASerializationFailureIsAnErrorThatIsTriedAgain changes a row behind the snapshot of a handler.
func TestASerializationFailureIsAnErrorThatIsTriedAgain(t *testing.T) {
	_, db := pgxStore(t)
	strict, err := postgres.New(db.pool, postgres.Config{Tx: pgx.TxOptions{IsoLevel: pgx.RepeatableRead}})
	if err != nil {
		t.Fatal(err)
	}
	in := strict.Inbox()
	_, err = in.Once(t.Context(), "g", "a", func(ctx context.Context, tx pgx.Tx) error {
		if err := count(t, db, in, "b", "x"); err != nil {
			return err
		}
		_, err := db.Count(ctx, tx, "x")
		return err
	})
	wantConflict(t, err, "40001")
	if err := count(t, db, in, "a", "x"); err != nil {
		t.Errorf("again: %v", err)
	}
}

// TestAHandlerThatHidesAnErrorOfTheDatabaseIsNotDone since the transaction is lost by then.
func TestAHandlerThatHidesAnErrorOfTheDatabaseIsNotDone(t *testing.T) {
	store, db := pgxStore(t)
	already, err := store.Inbox().Once(t.Context(), "g", "a", func(ctx context.Context, tx pgx.Tx) error {
		_, _ = tx.Exec(ctx, "select 1/0")
		return nil
	})
	if already || !errors.Is(err, pgx.ErrTxCommitRollback) {
		t.Errorf("already %v, %v", already, err)
	}
	if err := count(t, db, store.Inbox(), "a", "a"); err != nil {
		t.Error(err)
	}
}

// TestMigrateRunsInManyProcessesAtOnce on a database that has nothing yet, and then on one that has all.
func TestMigrateRunsInManyProcessesAtOnce(t *testing.T) {
	pool := openPool(t, freshDSN(t))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			store, err := postgres.New(pool, postgres.Config{Prefix: "shop_"})
			if err == nil {
				err = store.Migrate(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var n int
	if err := pool.QueryRow(t.Context(), `select count(*) from shop_schema_version`).Scan(&n); err != nil || n < 2 {
		t.Errorf("%d versions, %v", n, err)
	}
}

// TestMigrateHasNothingToDoWhereTheSchemaWasRunByHand is how tools of the user's make the tables.
func TestMigrateHasNothingToDoWhereTheSchemaWasRunByHand(t *testing.T) {
	pool := openPool(t, freshDSN(t))
	store, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := store.Schema()
	if err == nil {
		_, err = pool.Exec(t.Context(), text)
	}
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err == nil {
		err = count(t, pgxCounters{pool}, store.Inbox(), "a", "a")
	}
	if err != nil {
		t.Error(err)
	}
}
