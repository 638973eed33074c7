package guarantees

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/tidingstest"
)

const rememberClaim = "To remember an event before it is handled loses it when the handler fails; " +
	"an inbox does not."

var noted = tidings.Define[int]("noted", "guarantees.noted.v1")

var errOnce = errors.New("the first attempt fails")

// TestRemembering hands 20 events to two handlers that fail the first time: behind a middleware that
// remembers ids and then handles, and behind an inbox.
func TestRemembering(t *testing.T) {
	t.Run(rememberClaim, func(t *testing.T) {
		name := files(t)("effects")
		migrate(t, name)
		db := openDatabase(t, name)
		var first sync.Map
		write := func(ctx context.Context, on interface {
			ExecContext(context.Context, string, ...any) (sql.Result, error)
		}, e tidings.Event) error {
			group := tidings.Group(ctx)
			if _, again := first.LoadOrStore(group+e.ID, true); !again {
				return errOnce
			}
			_, err := on.ExecContext(ctx, `insert into effects (grp, id, key, seq) values (?, ?, '', 0)`, group, e.ID)
			return err
		}
		handled := serve(t, 20, map[string]tidings.Route{
			"remembers": remember(tidings.On(noted, func(ctx context.Context, m tidings.Msg[int]) error {
				return write(ctx, db, m.Event)
			})),
			"inbox": inbox.On(db.Store.Inbox(), noted,
				func(ctx context.Context, tx *sql.Tx, m tidings.Msg[int]) error {
					return write(ctx, tx, m.Event)
				})})
		rows := func(group string) int {
			return len(db.rows(fmt.Sprintf(`select id, key, seq from effects where grp = '%s'`, group)))
		}
		if handled != 40 || rows("remembers") != 0 || rows("inbox") != 20 {
			t.Errorf("%d handled; %d effects of those who remember first, want none; %d with an inbox, want 20",
				handled, rows("remembers"), rows("inbox"))
		}
	})
}

// remember is what not to do: ids that were seen are done, whatever became of them.
func remember(r tidings.Route) tidings.Route {
	var seen sync.Map
	next := r.Handler
	r.Handler = tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
		if _, again := seen.LoadOrStore(d.ID, true); again {
			return nil
		}
		return next.Handle(ctx, d)
	})
	return r
}

// serve publishes some events to a group for each route, and returns how many deliveries were done.
func serve(t *testing.T, events int, routes map[string]tidings.Route) (handled int) {
	t.Helper()
	done := make(chan struct{}, events*len(routes))
	broker := tidingstest.NewTransport()
	s := tidings.NewService("both", broker, tidings.WithLogger(slog.New(slog.DiscardHandler)),
		tidings.WithObserver(tidings.Observer{Handled: func(h tidings.Handled) {
			if h.Err == nil {
				done <- struct{}{}
			}
		}}))
	for group, r := range routes {
		s.Subscribe(tidings.Policy{Group: group}, r)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	for i := range events {
		if err := s.Publish(ctx, noted.New(i)); err != nil {
			t.Fatal(err)
		}
	}
	late := time.After(patience)
	for ; handled < events*len(routes); handled++ {
		select {
		case <-done:
		case <-late:
			t.Fatalf("%d handled within %v", handled, patience)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return handled
}
