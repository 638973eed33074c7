package postgres_test

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/store/postgres"
)

type placed struct{ Order string }

var (
	orderPlaced   = tidings.Define[placed]("orders", "shop.order.placed.v1")
	invoiceIssued = tidings.Define[placed]("invoices", "billing.invoice.issued.v1")
)

// billing is a service whose invoices, events and marks of the inbox are in one database.
func billing(ctx context.Context, transport tidings.Transport) error {
	pool, err := pgxpool.New(ctx, "postgres://localhost/billing")
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	in, out := store.Inbox(), store.Outbox(postgres.OutboxConfig{})
	svc := tidings.NewService("billing", transport).Subscribe(tidings.Policy{}, inbox.On(in, orderPlaced,
		func(ctx context.Context, tx pgx.Tx, m tidings.Msg[placed]) error {
			if _, err := tx.Exec(ctx, `insert into invoices (order_id) values ($1)`, m.Data.Order); err != nil {
				return err
			}
			return out.In(tx).Publish(ctx, invoiceIssued.New(m.Data))
		}))
	relay := outbox.NewRelay(out, transport)
	relayed := make(chan error, 1)
	go func() { relayed <- relay.Run(ctx) }()
	err = svc.Run(ctx)
	<-relayed
	return err
}

// A service with an inbox, an outbox and its relay.
func Example() {
	_ = billing // needs a PostgreSQL
}
