package relational

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"

	"github.com/tidings-io/tidings/saga"
)

// sagaPage is how many records are read at once, so that no connection is held while a reader does
// something else.
const sagaPage = 100

// sagaPlace is where a record is in a list.
type sagaPlace struct {
	updated  int64
	saga, id string
}

// List is that of saga.Store. It asks for a page at a time, each behind the last of the one before.
func (s *instances) List(ctx context.Context, f saga.Filter) iter.Seq2[saga.Record, error] {
	return func(yield func(saga.Record, error) bool) {
		from, listed := sagaPlace{updated: math.MaxInt64}, 0
		for {
			page, next, err := s.page(ctx, f, from)
			if err != nil {
				yield(saga.Record{}, ended(ctx, err))
				return
			}
			for i := range page {
				if !f.Takes(&page[i]) { // the column is not as fine as the time
					continue
				}
				if listed++; !yield(page[i], nil) || listed == f.Limit {
					return
				}
			}
			if len(page) < sagaPage {
				return
			}
			from = next
		}
	}
}

func (s *instances) page(ctx context.Context, f saga.Filter, from sagaPlace) (
	page []saga.Record, last sagaPlace, err error) {
	text, args := s.listText(f, from)
	err = s.on.Query(ctx, text, args, func(scan Scan) error {
		var record string
		if err := scan(&last.updated, &last.saga, &last.id, &record); err != nil {
			return err
		}
		var rec saga.Record
		if err := json.Unmarshal([]byte(record), &rec); err != nil {
			return fmt.Errorf("saga %s/%s: %w", last.saga, last.id, err)
		}
		page = append(page, rec)
		return nil
	})
	return page, last, err
}

// listText has only the conditions that there are, so that an index can serve them.
func (s *instances) listText(f saga.Filter, from sagaPlace) (string, []any) {
	var args []any
	param := func(v any) string {
		args = append(args, v)
		return s.texts.param + strconv.Itoa(len(args))
	}
	conditions := []string{"(updated, saga, id) < (" + param(from.updated) + ", " +
		param(from.saga) + ", " + param(from.id) + ")"}
	if f.Saga != "" {
		conditions = append(conditions, "saga = "+param(f.Saga))
	}
	if !f.Before.IsZero() {
		conditions = append(conditions, "updated <= "+param(f.Before.UnixMicro()))
	}
	if len(f.Status) > 0 {
		var any []string
		for _, status := range f.Status {
			any = append(any, param(string(status)))
		}
		conditions = append(conditions, "status in ("+strings.Join(any, ", ")+")")
	}
	text := s.texts.list + strings.Join(conditions, " and ") + s.texts.listOrder + param(sagaPage)
	return text, args
}
