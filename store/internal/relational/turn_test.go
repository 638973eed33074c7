package relational

import (
	"context"
	"errors"
	"testing"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
)

// instant is a database in which every statement changes, or finds, one row with a 1 in it.
type instant struct{ rolledBack bool }

func (*instant) Exec(context.Context, string, ...any) (int64, error) { return 1, nil }

func (*instant) Query(_ context.Context, _ string, _ []any, row func(Scan) error) error {
	return row(func(into ...any) error {
		*into[0].(*int64) = 1
		return nil
	})
}

func (d *instant) Begin(context.Context) (int, error)      { return 1, nil }
func (d *instant) Commit(ctx context.Context, _ int) error { return ctx.Err() }
func (d *instant) Rollback(context.Context, int) error     { d.rolledBack = true; return nil }
func (d *instant) In(int) Session                          { return d }

// brink is a context that ends just before it is looked at, and after who waits for its end has left.
type brink struct{ context.Context }

func (brink) Done() <-chan struct{} { return make(chan struct{}) }
func (brink) Err() error            { return context.Canceled }

func TestTheEndOfWhoLeadsFailsNobodyElse(t *testing.T) {
	db := new(instant)
	core, err := New(db, SQLite, "")
	if err != nil {
		t.Fatal(err)
	}
	var group []*turn
	for _, stream := range []string{"its own", "another"} {
		group = append(group, newTurn(stream, eventstore.NoStream, []tidings.Event{{ID: "e"}}))
	}
	core.Events(EventsConfig{}).group(brink{t.Context()}, group)
	if err := group[1].err; err != nil && !errors.Is(err, errAlone) {
		t.Errorf("%v (rolled back: %t), want a commit, or that it goes on alone", err, db.rolledBack)
	}
}
