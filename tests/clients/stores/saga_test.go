package stores

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/saga"
	"github.com/tidings-io/tidings/store/postgres"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/store/storetest"
	"github.com/tidings-io/tidings/tidingstest"
)

// relays publishes what is in an outbox until the test ends.
func relays(t *testing.T, source outbox.Source, to tidings.Publisher) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = outbox.NewRelay(source, to).Run(ctx) // nil
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

func sagasByPgx(t *testing.T, conf postgres.Config) storetest.Sagas {
	pool := openPool(t, freshDSN(t))
	store, err := postgres.New(pool, conf)
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	transport := tidingstest.NewTransport()
	relays(t, store.Outbox(postgres.OutboxConfig{}), transport)
	return storetest.Sagas{Store: store.Sagas(postgres.OutboxConfig{}), Transport: transport}
}

func TestSagasByPgx(t *testing.T) {
	storetest.RunSagas(t, func(t *testing.T) storetest.Sagas { return sagasByPgx(t, postgres.Config{}) })
}

func TestSagasBySerializableTransactions(t *testing.T) {
	storetest.RunSagas(t, func(t *testing.T) storetest.Sagas {
		return sagasByPgx(t, postgres.Config{Tx: pgx.TxOptions{IsoLevel: pgx.Serializable}})
	})
}

func TestSagasByDatabaseSQL(t *testing.T) {
	storetest.RunSagas(t, func(t *testing.T) storetest.Sagas {
		store, _ := sqlStore(t)
		transport := tidingstest.NewTransport()
		relays(t, store.Outbox(sqlstore.OutboxConfig{Poll: 5 * time.Millisecond}), transport)
		return storetest.Sagas{Store: store.Sagas(), Transport: transport}
	})
}

// TestOfThoseWhoMakeAnInstanceAtOnceOneDoes and the others see what it has made.
func TestOfThoseWhoMakeAnInstanceAtOnceOneDoes(t *testing.T) {
	store, _ := pgxStore(t)
	sagas := store.Sagas(postgres.OutboxConfig{})
	for i := range 20 {
		var made, all sync.WaitGroup
		made.Add(8)
		begun := make(chan bool, 8)
		for range 8 {
			all.Go(func() {
				first := true
				err := sagas.Update(t.Context(), "s", fmt.Sprint(i), func(rec *saga.Record) ([]saga.Outgoing, error) {
					if first {
						made.Done()
						made.Wait() // all have seen that there is none
					}
					first = false
					if rec.Version != 0 {
						return nil, nil
					}
					rec.Version, rec.State = 1, json.RawMessage("{}")
					begun <- true
					return nil, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if rec, err := sagas.Load(t.Context(), "s", fmt.Sprint(i)); err != nil || rec.Version != 1 {
			t.Errorf("%+v, %v", rec, err)
		}
		if len(begun) < 2 {
			t.Error("there was no race: the test shows nothing")
		}
	}
}

// TestASagaIsBegunInTheTransactionOfTheUser by pgx.
func TestASagaIsBegunInTheTransactionOfTheUser(t *testing.T) {
	store, db := pgxStore(t)
	sagas := store.Sagas(postgres.OutboxConfig{})
	d := counting()
	oops := errors.New("oops")
	for id, want := range map[string]error{"kept": nil, "undone": oops} {
		err := db.Do(t.Context(), func(tx pgx.Tx) error {
			if begun, err := d.Start(t.Context(), sagas.In(tx), id, 0); err != nil || !begun {
				t.Errorf("begun %v, %v", begun, err)
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if _, err := d.Get(t.Context(), sagas, "undone"); !errors.Is(err, saga.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	status, err := store.Outbox(postgres.OutboxConfig{}).Status(t.Context())
	if _, missing := d.Get(t.Context(), sagas, "kept"); missing != nil || err != nil || status.Waiting != 1 {
		t.Errorf("%v, %+v, %v: want one instance, and one command that waits", missing, status, err)
	}
}
