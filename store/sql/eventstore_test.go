package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
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

// TestAReaderHoldsFewLargeEvents, also where those before them were small, and so many were asked
// for.
func TestAReaderHoldsFewLargeEvents(t *testing.T) {
	store, _ := open(t)
	table := store.Events(often)
	const small, large, size = 100, 30, 500_000
	for i := range small + large {
		e := storetest.Noted.New(storetest.Note{})
		if i >= small {
			e.ContentType, e.Payload = "application/octet-stream", make([]byte, size)
		}
		if _, err := table.Append(t.Context(), "s", eventstore.Expect(i), e); err != nil {
			t.Fatal(err)
		}
	}
	var before, first runtime.MemStats
	n := 0
	for _, err := range table.Read(t.Context(), "s", 1) {
		if err != nil {
			t.Fatal(err)
		}
		switch n++; n {
		case 32: // what was asked for first ends here
			runtime.ReadMemStats(&before)
		case 33:
			runtime.ReadMemStats(&first)
		}
	}
	if n != small+large {
		t.Errorf("read %d events, want %d", n, small+large)
	}
	if used := first.TotalAlloc - before.TotalAlloc; used > 32<<20 { // 72 for all of them
		t.Errorf("%d MB were allocated for one page", used>>20)
	}
}

// TestAppendsThatShareATransactionDoNotFailForEachOther: some are refused by the database, some conflict,
// and the contexts of some end at any moment. Of the others each is there once.
func TestAppendsThatShareATransactionDoNotFailForEachOther(t *testing.T) {
	store, db := open(t)
	_, err := db.db.ExecContext(t.Context(), `create trigger refuse before insert on tidings_event
		when new.stream = 'refused' begin select raise(abort, 'refused by the database'); end`)
	if err != nil {
		t.Fatal(err)
	}
	table := store.Events(often)
	if _, err := table.Append(t.Context(), "taken", eventstore.NoStream, storetest.Noted.New(storetest.Note{})); err != nil {
		t.Fatal(err)
	}
	var told sync.Map // whether an event was acknowledged, by id; what may be there is false
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for range 4 {
				appendInTurn(t, table, fmt.Sprint("s", w), time.Duration(w)*300*time.Microsecond, &told)
			}
		})
	}
	group.Wait()
	next := int64(1)
	for r, err := range table.All(t.Context(), 1) {
		if err != nil || r.Position != next {
			t.Fatalf("position %d, %v, want %d", r.Position, err, next)
		}
		next++
		if _, known := told.LoadAndDelete(r.ID); !known && r.Stream != "taken" {
			t.Errorf("event %s of %s is there twice, or should not be", r.ID, r.Stream)
		}
	}
	for id, there := range told.Range {
		if there.(bool) {
			t.Errorf("event %s was acknowledged and is not there", id)
		}
	}
}

// appendInTurn appends what must succeed, what is refused, what conflicts, and what has little time.
func appendInTurn(t *testing.T, s eventstore.Store, stream string, little time.Duration, told *sync.Map) {
	one := func() tidings.Event { return storetest.Noted.New(storetest.Note{}) }
	e := one()
	told.Store(e.ID, true)
	if _, err := s.Append(t.Context(), stream, eventstore.Any, e); err != nil {
		t.Errorf("%s: %v", stream, err)
	}
	_, err := s.Append(t.Context(), "refused", eventstore.Any, one())
	if err == nil || !strings.Contains(err.Error(), "refused by the database") {
		t.Errorf("refused: %v", err)
	}
	_, err = s.Append(t.Context(), "taken", eventstore.NoStream, one())
	if !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("conflict: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), little)
	defer cancel()
	e = one()
	told.Store(e.ID, false)
	if _, err := s.Append(ctx, stream, eventstore.Any, e); err == nil {
		told.Store(e.ID, true)
	}
}
