package relational

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/outbox"
)

// EventsConfig is what differs among event stores.
type EventsConfig struct {
	// Source is the CloudEvents source of events that have none.
	Source string
	// Wake begins to listen for appends; nil is looking every Poll.
	Wake func(ctx context.Context) (outbox.Waker, error)
	Poll time.Duration
}

// Events is an eventstore.Table. Transactions with appends take turns: each locks the row that has
// the last position until it ends, so that positions are committed in their order, and whoever sees
// one sees all smaller ones.
type Events[Tx any] struct {
	core  *Core[Tx]
	conf  EventsConfig
	texts *eventTexts
}

// Events is the database as an event store.
func (c *Core[Tx]) Events(conf EventsConfig) *Events[Tx] {
	return &Events[Tx]{c, conf, c.eventTexts()}
}

// Append is that of eventstore.Streams.
func (e *Events[Tx]) Append(ctx context.Context, stream string, at eventstore.Expect,
	events ...tidings.Event) (version int64, err error) {
	events, err = eventstore.Prepare(ctx, e.conf.Source, stream, at, events)
	if err != nil {
		return 0, err
	}
	version, err = e.share(ctx, newTurn(stream, at, events))
	if err == nil {
		e.core.appended.ring()
	}
	return version, err
}

// Read is that of eventstore.Streams.
func (e *Events[Tx]) Read(ctx context.Context, stream string, from int64) iter.Seq2[
	eventstore.Recorded, error] {
	return e.outside().Read(ctx, stream, from)
}

// All is that of eventstore.Store.
func (e *Events[Tx]) All(ctx context.Context, from int64) iter.Seq2[eventstore.Recorded, error] {
	return pages(ctx, max(from, 1), func(r *eventstore.Recorded) int64 { return r.Position },
		func(from int64, rows int, row func(Scan) error) error {
			return e.core.db.Query(ctx, e.texts.all, []any{from, rows}, row)
		})
}

// Follow is that of eventstore.Store.
func (e *Events[Tx]) Follow(ctx context.Context, from int64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		wait, end, err := e.listen(ctx)
		if err != nil {
			yield(eventstore.Recorded{}, ended(ctx, err))
			return
		}
		defer end()
		for {
			rung := e.core.appended.next()
			for r, err := range e.All(ctx, from) {
				if !yield(r, err) || err != nil {
					return
				}
				from = r.Position + 1
			}
			if err := wait(rung); err != nil {
				yield(eventstore.Recorded{}, ended(ctx, err))
				return
			}
		}
	}
}

// lookAnyway is how long a follower trusts that a database tells it of appends.
const lookAnyway = 10 * time.Second

// listen is how a follower waits for appends: for what the database says, or for a time, or for
// this process.
func (e *Events[Tx]) listen(ctx context.Context) (
	wait func(rung <-chan struct{}) error, end func(), _ error) {
	if e.conf.Wake == nil {
		wait = func(rung <-chan struct{}) error { return pause(ctx, rung, e.conf.Poll) }
		return wait, func() {}, nil
	}
	w, err := e.conf.Wake(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func(<-chan struct{}) error { return w.Wait(ctx, lookAnyway) },
		func() { _ = w.Close() }, nil // the connection is of no use any more
}

func pause(ctx context.Context, rung <-chan struct{}, atMost time.Duration) error {
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-rung:
	case <-t.C:
	}
	return nil
}

// Head is that of eventstore.Store.
func (e *Events[Tx]) Head(ctx context.Context) (head int64, err error) {
	err = e.core.db.Query(ctx, e.texts.head, nil, only(&head))
	return head, ended(ctx, err)
}

// In is that of eventstore.Table.
func (e *Events[Tx]) In(tx Tx) eventstore.Streams { return e.in(tx) }

func (e *Events[Tx]) in(tx Tx) *streams {
	return &streams{e.core.db.In(tx), e.texts, e.conf.Source}
}

// outside reads without a transaction.
func (e *Events[Tx]) outside() *streams { return &streams{e.core.db, e.texts, e.conf.Source} }

// streams are the event store in one session.
type streams struct {
	on     Session
	texts  *eventTexts
	source string
}

// Append is that of eventstore.Streams. After a conflict the transaction can go on.
func (s *streams) Append(ctx context.Context, stream string, at eventstore.Expect,
	events ...tidings.Event) (int64, error) {
	events, err := eventstore.Prepare(ctx, s.source, stream, at, events)
	if err != nil {
		return 0, err
	}
	return s.append(ctx, stream, at, events)
}

// append takes events that are prepared.
func (s *streams) append(ctx context.Context, stream string, at eventstore.Expect,
	events []tidings.Event) (int64, error) {
	n := len(events)
	var head int64
	err := s.on.Query(ctx, s.texts.take, []any{n}, only(&head))
	if err != nil {
		return 0, fmt.Errorf("append to stream %q: %w", stream, err)
	}
	inserted, err := s.insert(ctx, head-int64(n), stream, at, events)
	switch {
	case err != nil:
		return 0, fmt.Errorf("append to stream %q: %w", stream, err)
	case inserted == 0:
		return s.conflict(ctx, stream, at, events)
	case at == eventstore.Any:
		return s.version(ctx, stream)
	}
	return int64(at) + int64(n), nil
}

// insert inserts nothing where the stream is at another version.
func (s *streams) insert(ctx context.Context, base int64, stream string, at eventstore.Expect,
	events []tidings.Event) (int64, error) {
	args := []any{base, stream, int64(at)}
	for i := range events {
		e := &events[i]
		text, err := e.MarshalJSON()
		if err != nil {
			return 0, err
		}
		args = append(args, e.ID, e.Type, e.Topic, text)
	}
	return s.on.Exec(ctx, s.texts.insert(len(events)), args...)
}

// conflict gives the positions back, and tells whether the stream has these very events.
func (s *streams) conflict(ctx context.Context, stream string, at eventstore.Expect,
	events []tidings.Event) (int64, error) {
	if _, err := s.on.Exec(ctx, s.texts.giveBack, len(events)); err != nil {
		return 0, err
	}
	version, ok, err := eventstore.Appended(ctx, s, stream, at, events)
	if ok || err != nil {
		return version, err
	}
	actual, err := s.version(ctx, stream)
	if err != nil {
		return 0, err
	}
	return 0, &eventstore.ConflictError{Stream: stream, Expected: at, Actual: actual}
}

func (s *streams) version(ctx context.Context, stream string) (version int64, err error) {
	err = s.on.Query(ctx, s.texts.version, []any{stream}, only(&version))
	return version, err
}

// Read is that of eventstore.Streams.
func (s *streams) Read(ctx context.Context, stream string, from int64) iter.Seq2[
	eventstore.Recorded, error] {
	return pages(ctx, max(from, 1), func(r *eventstore.Recorded) int64 { return r.Version },
		func(from int64, rows int, row func(Scan) error) error {
			return s.on.Query(ctx, s.texts.read, []any{stream, from, rows}, row)
		})
}

// ended is the error of ctx in place of what drivers make of it.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// eventTexts are the statements of an event store.
type eventTexts struct {
	take, giveBack           string
	before, first, row, last string // of an insert
	version, read, all, head string

	loadSnapshot, saveSnapshot, dropSnapshot string
}

const eventColumns = `stream, version, position, topic, {ms recorded}, event`

func (c *Core[Tx]) eventTexts() *eventTexts {
	return &eventTexts{
		take:     c.sql(`update {p}event_head set position = position + $1 returning position`),
		giveBack: c.sql(`update {p}event_head set position = position - $1`),
		before:   `with e (i, id, type, topic, event) as (values `,
		first:    c.sql(`(1, cast($4 as text), cast($5 as text), cast($6 as text), {blob $7})`),
		row:      c.sql(`, (%d, $%d, $%d, $%d, $%d)`),
		last: c.sql(`) insert into {p}event
			(position, stream, version, id, type, topic, event, recorded)
			select cast($1 as bigint) + e.i, cast($2 as text), h.version + e.i,
				e.id, e.type, e.topic, e.event, {now}
			from e cross join (select coalesce(max(version), 0) as version
				from {p}event where stream = $2) h
			where cast($3 as bigint) = -1 or h.version = $3`),
		version: c.sql(`select coalesce(max(version), 0) from {p}event where stream = $1`),
		read: c.sql(`select ` + eventColumns + ` from {p}event where stream = $1 and version >= $2
			order by version limit $3`),
		all: c.sql(`select ` + eventColumns + ` from {p}event where position >= $1
			order by position limit $2`),
		head: c.sql(`select position from {p}event_head`),

		loadSnapshot: c.sql(`select snapshot from {p}snapshot where stream = $1`),
		// It waits for nobody: a transaction that saves may hold what another that saves is waiting for.
		saveSnapshot: c.sql(`insert into {p}snapshot (stream, version, snapshot)
			select cast($1 as text), cast($2 as bigint), {blob $3} where {try cast($1 as text)}
			on conflict (stream) do update
			set version = excluded.version, snapshot = excluded.snapshot
			where excluded.version >= {p}snapshot.version`),
		dropSnapshot: c.sql(`delete from {p}snapshot where stream = $1`),
	}
}

// insert is the statement for n events.
func (t *eventTexts) insert(n int) string {
	var text strings.Builder
	text.WriteString(t.before)
	text.WriteString(t.first)
	for i := 1; i < n; i++ {
		at := 4 + 4*i
		fmt.Fprintf(&text, t.row, i+1, at, at+1, at+2, at+3)
	}
	text.WriteString(t.last)
	return text.String()
}
