package concepts_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/tidingstest"
)

func Example_guarantees() {
	for _, c := range []struct {
		name   string
		policy tidings.Policy
		inbox  bool
	}{
		{"at most once", atMostOnce, false},
		{"at least once", atLeastOnce, false},
		{"effectively once", atLeastOnce, true},
	} {
		fmt.Println(c.name+":", rowsAfterACrash(c.policy, c.inbox), "rows")
	}
	// Output:
	// at most once: 1 rows
	// at least once: 2 rows
	// effectively once: 1 rows
}

// page {
var (
	atMostOnce  = tidings.Policy{Ack: tidings.BeforeHandle}
	atLeastOnce = tidings.Policy{} // the default: acknowledged after the handler has returned nil
)

// effectivelyOnce writes in the transaction that remembers the event.
func effectivelyOnce(in inbox.Store[*sql.Tx]) tidings.Route {
	return inbox.On(in, OrderPlaced, func(ctx context.Context, tx *sql.Tx, m tidings.Msg[Order]) error {
		_, err := tx.ExecContext(ctx, `insert into invoices values (?)`, m.Data.ID)
		return err
	})
}

// page }

var _ = effectivelyOnce // the example has the same with a policy that is a parameter

func rowsAfterACrash(p tidings.Policy, withInbox bool) int {
	db, st, end := database(`create table invoices (id text)`)
	defer end()
	t := tidingstest.NewTransport()
	attempted := make(chan struct{}, 3)
	over := tidings.Observer{Handled: func(tidings.Handled) { attempted <- struct{}{} }}
	first := true
	crash := func() error {
		if first {
			first = false
			return errors.New("killed after the write")
		}
		return nil
	}
	route := tidings.On(OrderPlaced, func(ctx context.Context, m tidings.Msg[Order]) error {
		if _, err := db.ExecContext(ctx, `insert into invoices values (?)`, m.Data.ID); err != nil {
			return err
		}
		return crash()
	})
	if withInbox {
		route = inbox.On(st.Inbox(), OrderPlaced, func(ctx context.Context, tx *sql.Tx, m tidings.Msg[Order]) error {
			if _, err := tx.ExecContext(ctx, `insert into invoices values (?)`, m.Data.ID); err != nil {
				return err
			}
			return crash()
		})
	}
	stop := running(tidings.NewService("billing", t, tidings.WithObserver(over), quiet()).Subscribe(p, route))
	shop := tidings.NewService("shop", t)
	check(shop.Publish(context.Background(), OrderPlaced.New(Order{"o-1", "ann", 990})))
	<-attempted
	if p.Ack == tidings.AfterHandle {
		<-attempted
	}
	stop()
	return count(db, "invoices")
}
