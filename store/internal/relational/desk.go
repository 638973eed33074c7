package relational

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tidings-io/tidings/outbox"
)

// List is that of outbox.Desk.
func (o *Outbox[Tx]) List(ctx context.Context, state outbox.State, after int64, max int) (
	entries []outbox.Entry, err error) {
	args := []any{int64(state), after, max}
	err = o.core.db.Query(ctx, o.texts.list, args, func(scan Scan) error {
		e := outbox.Entry{State: state}
		var since int64
		var ready *int64
		if e.Row, err = scanRow(scan, &since, &ready, &e.Reason); err != nil {
			return err
		}
		e.Since = time.UnixMilli(since).UTC()
		if ready != nil && state == outbox.Waiting {
			e.Again = time.UnixMilli(*ready).UTC()
		}
		entries = append(entries, e)
		return nil
	})
	return entries, wrap("list", err)
}

// Retry is that of outbox.Desk.
func (o *Outbox[Tx]) Retry(ctx context.Context, ids ...string) (n int, err error) {
	n, err = o.parked(ctx, o.texts.retry, ids)
	if n > 0 {
		o.Committed()
	}
	return n, wrap("retry", err)
}

// Discard is that of outbox.Desk.
func (o *Outbox[Tx]) Discard(ctx context.Context, ids ...string) (n int, err error) {
	n, err = o.parked(ctx, o.texts.discard, ids)
	return n, wrap("discard", err)
}

func (o *Outbox[Tx]) parked(ctx context.Context, text string, ids []string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return 0, err
	}
	n, err := o.core.db.Exec(ctx, text, string(list))
	return int(n), err
}
