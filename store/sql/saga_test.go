package sqlstore_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/saga"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/store/storetest"
	"github.com/tidings-io/tidings/tidingstest"
)

func TestSagasOnSQLite(t *testing.T) {
	storetest.RunSagas(t, func(t *testing.T) storetest.Sagas {
		file := filepath.Join(t.TempDir(), "shop.db")
		at := func() *sqlstore.Store {
			store, err := sqlstore.New(openSQLite(t, file), sqlstore.SQLite, sqlstore.Config{})
			if err == nil {
				err = store.Migrate(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
		store, transport := at(), tidingstest.NewTransport()
		relays(t, store, transport)
		return storetest.Sagas{Store: store.Sagas(), Transport: transport,
			Reopen: func() saga.Store { return at().Sagas() }}
	})
}

// relays publishes what is in the outbox until the test ends.
func relays(t *testing.T, store *sqlstore.Store, to tidings.Publisher) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		table := store.Outbox(sqlstore.OutboxConfig{Poll: 5 * time.Millisecond})
		_ = outbox.NewRelay(table, to, outbox.WithLogger(quiet)).Run(ctx) // nil
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

var charge = tidings.DefineCommand[placed]("payments", "shop.charge.v1")

func chargeOf(order string) tidings.Event {
	return charge.New(placed{order}, tidings.WithID("charge "+order))
}

// moves makes or changes an instance, which sends a command under an id of its own.
func moves(ctx context.Context, st saga.Store, id, step string) error {
	return st.Update(ctx, "checkout", id, func(rec *saga.Record) ([]saga.Outgoing, error) {
		rec.Version, rec.Step, rec.State = 1, step, json.RawMessage("{}")
		e := chargeOf(id)
		e.Source = "checkout"
		return []saga.Outgoing{{Event: e}}, nil
	})
}

// TestASagaIsMovedInTheTransactionOfTheUser, with what else is in it, or not at all.
func TestASagaIsMovedInTheTransactionOfTheUser(t *testing.T) {
	store, db := open(t)
	sagas, table := store.Sagas(), store.Outbox(sqlstore.OutboxConfig{})
	oops := errors.New("oops")
	for id, want := range map[string]error{"kept": nil, "undone": oops} {
		err := db.Do(t.Context(), func(tx *sql.Tx) error {
			if _, err := db.Count(t.Context(), tx, id); err != nil {
				return err
			}
			if err := moves(t.Context(), sagas.In(tx), id, "charge"); err != nil {
				return err
			}
			rec, err := sagas.In(tx).Load(t.Context(), "checkout", id)
			if err != nil || rec.Step != "charge" {
				t.Errorf("within the transaction: %+v, %v", rec, err)
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if _, err := sagas.Load(t.Context(), "checkout", "undone"); !errors.Is(err, saga.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	rec, err := sagas.Load(t.Context(), "checkout", "kept")
	if err != nil || rec.Step != "charge" {
		t.Errorf("%+v, %v", rec, err)
	}
	if status, err := table.Status(t.Context()); err != nil || status.Waiting != 1 {
		t.Errorf("%+v, %v: want one event that waits", status, err)
	}
}

// TestACommandThatIsSentAgainIsPublishedAgain though a row with its id is there: one that a relay is
// about to mark, one that is kept, or one that was parked.
func TestACommandThatIsSentAgainIsPublishedAgain(t *testing.T) {
	store, _ := open(t)
	sagas := store.Sagas()
	table := store.Outbox(sqlstore.OutboxConfig{Keep: time.Hour})
	for what, end := range map[string]func(seq int64) error{
		"waits": func(int64) error { return nil },
		"kept":  func(seq int64) error { return table.Done(t.Context(), seq) },
		"parked": func(seq int64) error {
			return table.Fail(t.Context(), outbox.Failure{Seq: seq, Reason: "x", Park: true})
		},
	} {
		if err := moves(t.Context(), sagas, what, "1"); err != nil {
			t.Fatal(err)
		}
		first := claimOne(t, table)
		if err := end(first.Seq); err != nil {
			t.Fatal(err)
		}
		if err := moves(t.Context(), sagas, what, "2"); err != nil {
			t.Fatal(err)
		}
		if err := table.Done(t.Context(), first.Seq); err != nil { // of a relay that is late
			t.Fatal(err)
		}
		again := claimOne(t, table)
		if again.Event.ID != first.Event.ID || again.Seq == first.Seq {
			t.Errorf("%s: got %+v, want %s once more", what, again, first.Event.ID)
		}
		if err := table.Done(t.Context(), again.Seq); err != nil {
			t.Fatal(err)
		}
	}
}

func claimOne(t *testing.T, table outbox.Source) outbox.Row {
	t.Helper()
	claim, err := table.Claim(t.Context(), 10)
	if err != nil || len(claim.Rows) != 1 {
		t.Fatalf("%+v, %v: want one row", claim, err)
	}
	return claim.Rows[0]
}

// TestNothingIsWrittenWhereARecordIsUnchanged by an event that moves nothing.
func TestNothingIsWrittenWhereARecordIsUnchanged(t *testing.T) {
	store, db := open(t)
	sagas := store.Sagas()
	if err := moves(t.Context(), sagas, "o", "1"); err != nil {
		t.Fatal(err)
	}
	_, err := db.db.ExecContext(t.Context(), `create trigger refuse before update on tidings_saga
		begin select raise(abort, 'written'); end`)
	if err != nil {
		t.Fatal(err)
	}
	err = sagas.Update(t.Context(), "checkout", "o", func(*saga.Record) ([]saga.Outgoing, error) {
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := moves(t.Context(), sagas, "o", "2"); err == nil {
		t.Error("a change was not written: the trigger shows nothing")
	}
}
