package stores

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
	"github.com/tidings-io/tidings/store/postgres"
	"github.com/tidings-io/tidings/store/storetest"
)

// TestARelayThatRemembersANumberLosesEvents shows that the world can lose events: a relay that asks
// for what comes behind the last number that it saw passes by those that commit later.
func TestARelayThatRemembersANumberLosesEvents(t *testing.T) {
	store, db := pgxStore(t)
	table := store.Outbox(postgres.OutboxConfig{Source: "storetest"})
	ctx, stop := context.WithCancel(t.Context())
	published := make(chan []tidings.Event)
	go func() { published <- followNumbers(ctx, t, table) }()
	history := storetest.Run(t, theWorld, db, table)
	stop()
	verdict := history.Judge(<-published)
	t.Logf("%d events committed: %+v", history.Committed(), verdict)
	if verdict.Lost == 0 {
		t.Error("it lost nothing: the world does not show what it is to show")
	}
}

// followNumbers reads what comes behind a number until ctx ends, and then what is left.
func followNumbers(ctx context.Context, t *testing.T, table outbox.Table[pgx.Tx]) (events []tidings.Event) {
	last := int64(0)
	for {
		ended := ctx.Err() != nil
		rows, err := table.List(t.Context(), outbox.Waiting, last, 256)
		if err != nil {
			t.Error(err)
			return events
		}
		for _, row := range rows {
			events, last = append(events, row.Event), row.Seq
		}
		if ended && len(rows) == 0 {
			return events
		}
	}
}

// TestPublishingBeforeTheLockBreaksTheOrderOfKeys shows why the row must be inserted behind the lock.
func TestPublishingBeforeTheLockBreaksTheOrderOfKeys(t *testing.T) {
	store, db := pgxStore(t)
	table := store.Outbox(postgres.OutboxConfig{Source: "storetest"})
	world := theWorld
	world.Keys, world.Transactions, world.BeforeLock = 4, 50, true
	history := storetest.Run(t, world, db, table)
	rows, err := table.Claim(t.Context(), 16*50)
	if err != nil {
		t.Fatal(err)
	}
	var events []tidings.Event
	for _, row := range rows.Rows {
		events = append(events, row.Event)
	}
	verdict := history.Judge(events)
	t.Logf("%d events committed: %+v", history.Committed(), verdict)
	if verdict.OutOfOrder == 0 || verdict.Lost+verdict.Ghosts > 0 {
		t.Error("want all of them, and some out of order")
	}
}

// TestARelayTakesOverFromOneThatWasKilled kills relays in processes of their own.
func TestARelayTakesOverFromOneThatWasKilled(t *testing.T) {
	dsn := freshDSN(t)
	pool := openPool(t, dsn)
	store, err := postgres.New(pool, postgres.Config{})
	if err == nil {
		err = store.Migrate(t.Context())
	}
	if err == nil {
		_, err = pool.Exec(t.Context(), makeBroker)
	}
	if err != nil {
		t.Fatal(err)
	}
	table := store.Outbox(postgres.OutboxConfig{Source: "storetest"})
	ctx, stop := context.WithCancel(t.Context())
	kills := make(chan int)
	go func() { kills <- killRelays(ctx, t, dsn) }()
	history := storetest.Run(t, theWorld, pgxCounters{pool}, table)
	began := time.Now()
	for status := (outbox.Status{Waiting: 1}); status.Waiting > 0; {
		if status, err = table.Status(t.Context()); err != nil || time.Since(began) > 2*time.Minute {
			t.Fatalf("%+v waits after %v, %v", status, time.Since(began), err)
		}
	}
	stop()
	killed := <-kills
	rows, err := pool.Query(t.Context(), `select id, key from broker order by n`)
	if err != nil {
		t.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e tidings.Event, err error) {
		err = row.Scan(&e.ID, &e.Key)
		return e, err
	})
	if err != nil {
		t.Fatal(err)
	}
	verdict := history.Judge(events)
	t.Logf("%d events committed, %d relays killed: %+v", history.Committed(), killed, verdict)
	if verdict.Lost+verdict.Ghosts+verdict.OutOfOrder > 0 || killed == 0 {
		t.Errorf("%+v after %d kills", verdict, killed)
	}
}
