package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/store/storetest"
)

var often = sqlstore.EventsConfig{Poll: 5 * time.Millisecond}

func TestEventStoreOnSQLite(t *testing.T) {
	storetest.EventStore(t, func(t *testing.T) eventstore.Store {
		store, _ := open(t)
		return store.Events(often)
	})
}

func TestKeysOnSQLite(t *testing.T) {
	storetest.Keys(t, func(t *testing.T) eventstore.Keys {
		store, _ := open(t)
		return store.Keys()
	})
}

func TestTableOnSQLite(t *testing.T) {
	storetest.Table(t, func(t *testing.T) storetest.TableHarness[*sql.Tx] {
		store, db := open(t)
		return storetest.TableHarness[*sql.Tx]{Table: store.Events(often), Database: db}
	})
}

func TestProjectionOnSQLite(t *testing.T) {
	storetest.Projection(t, func(t *testing.T) storetest.Projected[*sql.Tx] {
		store, db := open(t)
		_, err := db.db.ExecContext(t.Context(), `create table texts (name text primary key, text text not null)`)
		if err != nil {
			t.Fatal(err)
		}
		return storetest.Projected[*sql.Tx]{Store: store.Events(often), Checkpoints: store.Checkpoints(),
			Append: func(ctx context.Context, tx *sql.Tx, key, text string) error {
				_, err := tx.ExecContext(ctx, `insert into texts (name, text) values (?1, ?2)
					on conflict (name) do update set text = text || excluded.text`, key, text)
				return err
			},
			Text: func(ctx context.Context, key string) (text string, err error) {
				err = db.db.QueryRowContext(ctx, `select text from texts where name = ?1`, key).Scan(&text)
				if errors.Is(err, sql.ErrNoRows) {
					err = nil
				}
				return text, err
			}}
	})
}

func TestErasureOnSQLite(t *testing.T) {
	store, _ := open(t)
	s := eventstore.NewShredder(store.Events(often), store.Keys())
	e := storetest.Noted.New(storetest.Note{Text: "secret"}, tidings.WithSubject("ann"))
	if _, err := s.Append(t.Context(), "a", eventstore.NoStream, e); err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	for r, err := range s.All(t.Context(), 1) {
		if err != nil || !r.Erased {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
