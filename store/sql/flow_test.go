package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/outbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
	"github.com/tidings-io/tidings/tidingstest"
)

// TestFromOutboxToInboxEveryOrderHasOneInvoice is what outbox, any broker and inbox are together: the
// broker loses answers and acknowledgements, delivers twice, and handlers fail after their writes.
func TestFromOutboxToInboxEveryOrderHasOneInvoice(t *testing.T) {
	const orders = 120
	transport := tidingstest.NewTransport(tidingstest.WithLease(500*time.Millisecond), tidingstest.WithFaults(
		tidingstest.Faults{Seed: 3, DropAcks: 0.02, Duplicate: 0.3, FailPublish: 0.2}))
	shop, shopDB := open(t)
	billing, billingDB := open(t)
	shopOut := shop.Outbox(sqlstore.OutboxConfig{Source: "shop", Poll: 5 * time.Millisecond})
	billingOut := billing.Outbox(sqlstore.OutboxConfig{Poll: 5 * time.Millisecond})
	svc := tidings.NewService("billing", transport, tidings.WithLogger(quiet)).Subscribe(
		tidings.Policy{Immediate: 100, Concurrency: 4},
		inbox.On(billing.Inbox(), orderPlaced, func(ctx context.Context, tx *sql.Tx, m tidings.Msg[placed]) error {
			if _, err := billingDB.Count(ctx, tx, m.Data.Order); err != nil {
				return err
			}
			err := billingOut.In(tx).Publish(ctx, invoiceIssued.New(invoiced{m.Data.Order}))
			if err == nil && rand.IntN(3) == 0 {
				err = errors.New("fails after its writes")
			}
			return err
		}))

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = svc.Run(ctx) })
	for _, table := range []outbox.Source{shopOut, billingOut} {
		running.Go(func() {
			_ = outbox.NewRelay(table, transport, outbox.WithLogger(quiet),
				outbox.WithPauses(time.Millisecond, 5*time.Millisecond)).Run(ctx)
		})
	}
	<-svc.Ready()
	for n := range orders {
		err := shopDB.Do(ctx, func(tx *sql.Tx) error {
			return shopOut.In(tx).Publish(ctx, orderPlaced.New(placed{fmt.Sprint("o-", n)}))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	patient, giveUp := context.WithTimeout(ctx, 2*time.Minute)
	defer giveUp()
	_ = transport.Await(patient, func() bool { return len(invoicesIn(transport)) >= orders }) // judged below
	stop()
	running.Wait()
	invoices, effects := invoicesIn(transport), map[string]int64{}
	if all, err := billingDB.Counts(t.Context()); err == nil {
		effects = all
	}
	for n := range orders {
		order := fmt.Sprint("o-", n)
		if effects[order] != 1 || len(invoices[order]) != 1 {
			t.Errorf("%s: %d effects, ids of invoices %v", order, effects[order], invoices[order])
		}
	}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// invoicesIn are the ids of the invoices that were published, by their order.
func invoicesIn(transport *tidingstest.Transport) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, e := range transport.Published("invoices") {
		if all[e.Key] == nil {
			all[e.Key] = map[string]bool{}
		}
		all[e.Key][e.ID] = true
	}
	return all
}
