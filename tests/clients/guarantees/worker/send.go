package worker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
	sqlstore "github.com/tidings-io/tidings/store/sql"
)

// Order is the data of what is sent: the place of the event among those of its key.
type Order struct {
	Key string `json:"key"`
	Seq int64  `json:"seq"`
}

// What is sent: news at once, and orders through an outbox.
var (
	news   = tidings.Define("news", "guarantees.news.v1", tidings.KeyBy(func(o Order) string { return o.Key }))
	orders = tidings.Define("orders", "guarantees.order.v1", tidings.KeyBy(func(o Order) string { return o.Key }))
)

const keys = 8

// pace bounds how fast is sent, so that what waits while a broker is away can be handled soon.
const pace = 10 * time.Millisecond

// send sends until there is enough, waits until the outbox is empty, and says so.
func (w *worker) send(ctx context.Context, _ func()) error {
	w.ready.Wait()
	db, err := OpenDatabase(w.Sender)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed
	out := db.Store.Outbox(sqlstore.OutboxConfig{Source: "sender", Poll: 20 * time.Millisecond})
	relay := outbox.NewRelay(out, w.transport, outbox.WithLease(time.Second), outbox.WithLogger(quiet),
		outbox.WithPauses(20*time.Millisecond, time.Second))
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { _ = relay.Run(ctx) }) // is nil
	var sending sync.WaitGroup
	sending.Go(func() { w.sendNews(ctx) })
	sending.Go(func() { err = w.sendOrders(ctx, db, out) })
	sending.Wait()
	if err != nil {
		return err
	}
	return w.sent(ctx, out)
}

// sent waits until the outbox is empty, says so, and waits for the end.
func (w *worker) sent(ctx context.Context, out outbox.Source) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		status, err := out.Status(ctx)
		if err == nil && status.Waiting == 0 {
			if status.Parked > 0 {
				return fmt.Errorf("%d events are parked in the outbox", status.Parked)
			}
			w.note("sent")
			<-ctx.Done()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// more waits for the next turn, and says whether there is one.
func (w *worker) more(ctx context.Context, tick *time.Ticker) bool {
	select {
	case <-w.enough:
		return false
	case <-ctx.Done():
		return false
	case <-tick.C:
		return true
	}
}

// sendNews publishes each event once: what is not acknowledged is not tried again.
func (w *worker) sendNews(ctx context.Context) {
	s := tidings.NewService("sender", w.transport, tidings.WithLogger(quiet))
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for w.more(ctx, tick) {
		var events []tidings.Event
		for range 1 + w.chance(3) {
			e := news.New(Order{Key: fmt.Sprint("k", w.chance(keys))})
			w.note("try", e.ID)
			events = append(events, e)
		}
		publishing, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := s.Publish(publishing, events...)
		cancel()
		part, _ := errors.AsType[*tidings.PublishError](err)
		for i, e := range events {
			if err == nil || part != nil && !slices.Contains(part.Failed, i) {
				w.note("ack", e.ID)
			}
		}
	}
}

var errNo = errors.New("rolled back on purpose")

// sendOrders writes rows and publishes in one transaction, of which it rolls some back. An order's
// place is counted under the lock of its key, which is taken first.
func (w *worker) sendOrders(ctx context.Context, db *Database, out outbox.Table[*sql.Tx]) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for w.more(ctx, tick) {
		err := db.do(ctx, func(tx *sql.Tx) error {
			o := Order{Key: fmt.Sprint("k", w.chance(keys))}
			var err error
			if o.Seq, err = db.next(ctx, tx, o.Key); err != nil {
				return err
			}
			e := orders.New(o)
			if err := db.exec(ctx, tx, `insert into orders values (?, ?, ?)`, e.ID, o.Key, o.Seq); err != nil {
				return err
			}
			if err := out.In(tx).Publish(ctx, e); err != nil {
				return err
			}
			if w.chance(10) == 0 {
				w.note("undo", e.ID)
				return errNo
			}
			return nil
		})
		switch {
		case err == nil:
			out.Committed()
			w.note("committed")
		case !errors.Is(err, errNo) && ctx.Err() == nil:
			return err
		}
	}
	return nil
}
