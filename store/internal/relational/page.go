package relational

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/tidings-io/tidings/eventstore"
)

// A page of events is read at once, so that no connection is held while a reader does something
// else.
const (
	firstPage = 32
	pageRows  = 1000
	pageBytes = 4 << 20 // about: as the rows before were
)

// pages ranges over what query gives from a place on, page by page, until there is no more. place
// is where an event is in this order.
func pages(ctx context.Context, from int64, place func(*eventstore.Recorded) int64,
	query func(from int64, rows int, row func(Scan) error) error) iter.Seq2[
	eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for rows := firstPage; ; {
			var page []eventstore.Recorded
			size := 0
			err := query(from, rows, func(scan Scan) error {
				r, n, err := scanEvent(scan)
				page, size = append(page, r), size+n
				return err
			})
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(eventstore.Recorded{}, ended(ctx, err))
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if len(page) < rows {
				return
			}
			from = place(&page[len(page)-1]) + 1
			rows = min(max(pageBytes/(size/len(page)+1), 1), pageRows)
		}
	}
}

// only scans the one column of a row.
func only(into any) func(Scan) error {
	return func(scan Scan) error { return scan(into) }
}

func scanEvent(scan Scan) (r eventstore.Recorded, size int, err error) {
	var topic string
	var recorded int64
	var text []byte
	if err := scan(&r.Stream, &r.Version, &r.Position, &topic, &recorded, &text); err != nil {
		return r, 0, err
	}
	r.At, r.Topic = time.UnixMilli(recorded).UTC(), topic
	if err := r.UnmarshalJSON(text); err != nil {
		return r, 0, fmt.Errorf("event %d of stream %q: %w", r.Version, r.Stream, err)
	}
	return r, len(text), nil
}
