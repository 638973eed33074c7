package worker

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	"github.com/tidings-io/tidings/store/embedded"
	sqlstore "github.com/tidings-io/tidings/store/sql"
)

// counted is the event of streams; its data is the number that its writer believes it has.
var counted = tidings.Define[int64]("counted", "guarantees.counted.v1")

const streams, writers = 5, 4

// keep appends to streams, follows all of them and projects them into counts, which it compares with a
// fold of the events all the time.
func (w *worker) keep(ctx context.Context, arrived func()) error {
	if w.Store != "embedded" {
		return w.keepSQL(ctx, arrived)
	}
	b, _, end, err := openEmbedded(filepath.Join(w.Dir, "events"), w.log)
	if err != nil {
		return err
	}
	defer closing(end) //nolint:errcheck // the next one opens what was closed or killed alike
	st, err := embedded.Open(ctx, b, embedded.Config{Name: "kept"})
	if err != nil {
		return err
	}
	return keepIn(ctx, w, arrived, keeper[*embedded.Tx]{st, st.Checkpoints(), addValue, readValues})
}

func (w *worker) keepSQL(ctx context.Context, arrived func()) error {
	db, err := OpenDatabase(w.Store)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed
	return keepIn(ctx, w, arrived, keeper[*sql.Tx]{db.Store.Events(sqlstore.EventsConfig{Poll: pace}),
		db.Store.Checkpoints(), db.addCount, db.readCounts})
}

func (d *Database) addCount(ctx context.Context, tx *sql.Tx, stream string) error {
	return d.exec(ctx, tx, `insert into counts (stream, n) values (?, 1)
		on conflict (stream) do update set n = counts.n + 1`, stream)
}

func (d *Database) readCounts(ctx context.Context, tx *sql.Tx) (map[string]int64, error) {
	rows, err := tx.QueryContext(ctx, `select stream, n from counts`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	counts := map[string]int64{}
	for rows.Next() {
		var stream string
		var n int64
		if err := rows.Scan(&stream, &n); err != nil {
			return nil, err
		}
		counts[stream] = n
	}
	return counts, rows.Err()
}

// keeper is a store of events with one of counts.
type keeper[Tx any] struct {
	events eventstore.Store
	points projection.Checkpoints[Tx]
	add    func(ctx context.Context, tx Tx, stream string) error
	counts func(ctx context.Context, tx Tx) (map[string]int64, error)
}

func addValue(_ context.Context, tx *embedded.Tx, stream string) error {
	v, ok := tx.Get(stream)
	var n uint64
	if ok {
		n = binary.BigEndian.Uint64(v)
	}
	tx.Put(stream, binary.BigEndian.AppendUint64(nil, n+1))
	return nil
}

func readValues(_ context.Context, tx *embedded.Tx) (map[string]int64, error) {
	counts := map[string]int64{}
	for i := range streams {
		if v, ok := tx.Get(streamName(i)); ok {
			counts[streamName(i)] = int64(binary.BigEndian.Uint64(v))
		}
	}
	return counts, nil
}

func streamName(i int) string { return fmt.Sprint("stream-", i) }

// keepIn runs writers, a reader, a projection and an auditor until ctx ends.
func keepIn[Tx any](ctx context.Context, w *worker, arrived func(), k keeper[Tx]) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := projection.Define("counts", 1, projection.On(counted, func(ctx context.Context, tx Tx, _ int64,
		r eventstore.Recorded) error {
		if err := k.add(ctx, tx, r.Stream); err != nil {
			return err
		}
		return w.flaky(20)
	}))
	parts := []func() error{
		func() error { return w.follow(ctx, k.events) },
		func() error {
			return p.Run(ctx, k.events, k.points, projection.Options{Batch: 7, Retries: 100,
				Backoff: time.Millisecond, Logger: quiet})
		},
		func() error { return audit(ctx, w, p.ID(), k) },
	}
	for range writers {
		parts = append(parts, func() error { return w.append(ctx, k.events) })
	}
	arrived()
	errs := make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() {
			defer stop()
			errs[i] = part()
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// append appends to streams at the version that it has read, and says what was taken.
func (w *worker) append(ctx context.Context, st eventstore.Store) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for w.more(ctx, tick) {
		stream := streamName(w.chance(streams))
		var version int64
		for _, err := range st.Read(ctx, stream, 1) {
			if err != nil {
				return ended(ctx, err)
			}
			version++
		}
		var events []tidings.Event
		var words []string
		for i := range 1 + w.chance(3) {
			e := counted.New(version + int64(i) + 1)
			events, words = append(events, e), append(words, e.ID)
		}
		got, err := st.Append(ctx, stream, eventstore.Expect(version), events...)
		switch {
		case errors.Is(err, eventstore.ErrConflict):
			continue
		case err != nil:
			return ended(ctx, err)
		}
		w.note("appended", stream, got, strings.Join(words, ","))
	}
	<-ctx.Done()
	return nil
}

// ended is an error that is not that of a context that has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// follow reads everything from the start, and says what it sees where.
func (w *worker) follow(ctx context.Context, st eventstore.Store) error {
	last := int64(0)
	for r, err := range st.Follow(ctx, 1) {
		if err != nil {
			return ended(ctx, err)
		}
		if r.Position != last+1 {
			w.note("wrong", fmt.Sprintf("position %d behind %d", r.Position, last))
		}
		last = r.Position
		w.note("saw", r.Position, r.Stream, r.Version, r.ID)
	}
	return nil
}

// audit compares the counts with a fold of the events up to the checkpoint.
func audit[Tx any](ctx context.Context, w *worker, id projection.ID, k keeper[Tx]) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var at int64
		var got map[string]int64
		err := k.points.Step(ctx, id, func(ctx context.Context, tx Tx, from int64) (int64, error) {
			var err error
			at = from
			got, err = k.counts(ctx, tx)
			return from, err
		})
		if err != nil {
			return ended(ctx, err)
		}
		want := map[string]int64{}
		for r, err := range k.events.All(ctx, 1) {
			if err != nil {
				return ended(ctx, err)
			}
			if r.Position > at {
				break
			}
			want[r.Stream]++
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			w.note("wrong", fmt.Sprintf("at position %d the counts are %v, want %v", at, got, want))
		}
		w.note("audited", at)
	}
}
