package relational

import (
	"context"
	"errors"
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
	pageBytes = 4 << 20
)

// pages ranges over what query gives from a place on, page by page, until there is no more. place
// is where an event is in this order.
func pages(ctx context.Context, from int64, place func(*eventstore.Recorded) int64,
	query func(from int64, rows int, row func(Scan) error) error) iter.Seq2[
	eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for rows := firstPage; ; {
			page, size, err := readPage(func(row func(Scan) error) error {
				return query(from, rows, row)
			})
			short := errors.Is(err, errEnough)
			if err == nil || short {
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
			if len(page) < rows && !short {
				return
			}
			from = place(&page[len(page)-1]) + 1
			rows = min(max(pageBytes/(size/len(page)+1), 1), pageRows)
		}
	}
}

// readPage is what a query gives, up to errEnough: the event that passes pageBytes is the last.
func readPage(query func(row func(Scan) error) error) (
	page []eventstore.Recorded, size int, err error) {
	err = query(func(scan Scan) error {
		r, n, err := scanEvent(scan)
		page, size = append(page, r), size+n
		if err == nil && size >= pageBytes {
			return errEnough
		}
		return err
	})
	return page, size, err
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
