package relational

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/outbox"
)

// OutboxConfig is what differs among outboxes.
type OutboxConfig struct {
	// Source is the CloudEvents source of events that have none.
	Source string
	// Keep is how long published rows stay, 0 for not at all.
	Keep time.Duration
	// Notify is a statement without parameters that wakes relays when its transaction commits, ""
	// for none.
	Notify string
	// Wake begins to listen for commits; nil is looking every Poll.
	Wake func(ctx context.Context) (outbox.Waker, error)
	Poll time.Duration
}

// Outbox is an outbox.Table.
type Outbox[Tx any] struct {
	core  *Core[Tx]
	conf  OutboxConfig
	texts outboxTexts
}

// Outbox is the database as an outbox.
func (c *Core[Tx]) Outbox(conf OutboxConfig) *Outbox[Tx] {
	return &Outbox[Tx]{core: c, conf: conf, texts: c.outboxTexts()}
}

// Committed is that of outbox.Table.
func (o *Outbox[Tx]) Committed() { o.core.Committed() }

// In is that of outbox.Table.
func (o *Outbox[Tx]) In(tx Tx) outbox.Publisher {
	return &publisher[Tx]{outbox: o, tx: o.core.db.In(tx)}
}

// publisher publishes into one transaction.
type publisher[Tx any] struct {
	outbox *Outbox[Tx]
	tx     Session
	// anew publishes an event once more whose id the table has, whatever has become of its row.
	anew bool
}

// Publish inserts rows for events.
func (p *publisher[Tx]) Publish(ctx context.Context, events ...tidings.Event) error {
	return p.publish(ctx, nil, events)
}

// PublishAt inserts rows for events that are published at a time, or at once where it has passed.
func (p *publisher[Tx]) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	if at.IsZero() {
		return allFailed(len(events), tidings.Permanent(fmt.Errorf("outbox: publish at no time")))
	}
	ms := at.Add(time.Millisecond - 1).UnixMilli() // not before it
	return p.publish(ctx, &ms, events)
}

func (p *publisher[Tx]) publish(ctx context.Context, at *int64, events []tidings.Event) error {
	records, err := outbox.Prepare(ctx, p.outbox.conf.Source, events)
	if err != nil || len(records) == 0 {
		return err
	}
	if err := p.insert(ctx, at, records); err != nil {
		return allFailed(len(events), fmt.Errorf("outbox: %w", err))
	}
	return nil
}

func allFailed(n int, err error) error {
	failed := &tidings.PublishError{Err: err}
	for i := range n {
		failed.Failed = append(failed.Failed, i)
	}
	return failed
}

// insertStep is how many rows one statement inserts.
const insertStep = 50

func (p *publisher[Tx]) insert(ctx context.Context, at *int64, records []outbox.Record) error {
	var made []int64
	for step := range slices.Chunk(records, insertStep) {
		seqs, err := p.insertSome(ctx, at, step)
		made = append(made, seqs...)
		if err != nil {
			return p.takeBack(ctx, made, err)
		}
	}
	if p.outbox.conf.Notify == "" {
		return nil
	}
	return p.tx.Query(ctx, p.outbox.conf.Notify, nil, func(Scan) error { return nil })
}

// takeBack deletes the rows of a call in which another event is refused: the transaction may go on.
func (p *publisher[Tx]) takeBack(ctx context.Context, seqs []int64, err error) error {
	if len(seqs) == 0 || !errors.Is(err, outbox.ErrTaken) {
		return err // after an error of the database there is nothing to go on with
	}
	list, failed := json.Marshal(seqs)
	if failed == nil {
		_, failed = p.tx.Exec(ctx, p.outbox.texts.done, string(list))
	}
	return errors.Join(err, failed)
}

// insertSome returns the rows that were inserted, also with an error.
func (p *publisher[Tx]) insertSome(ctx context.Context, at *int64, records []outbox.Record) (
	[]int64, error) {
	made, err := p.insertRows(ctx, at, records)
	if err != nil || len(made) == len(records) {
		return made, err
	}
	for i := range records {
		seqs, err := p.insertAgain(ctx, at, &records[i])
		made = append(made, seqs...)
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

// insertRows returns the rows that were inserted: events whose ids the table has are not.
func (p *publisher[Tx]) insertRows(ctx context.Context, at *int64, records []outbox.Record) (
	seqs []int64, err error) {
	var ready any
	if at != nil {
		ready = *at
	}
	var text strings.Builder
	text.WriteString(p.outbox.texts.insert)
	args := []any{ready}
	for i, r := range records {
		if i > 0 {
			text.WriteByte(',')
		}
		e := &r.Event
		text.WriteString(p.outbox.texts.values[i])
		args = append(args, e.ID, e.Source, e.Kind.String(), e.Topic, e.Type, e.Key, r.JSON)
	}
	text.WriteString(" on conflict do nothing returning seq")
	err = p.tx.Query(ctx, text.String(), args, func(scan Scan) error {
		var seq int64
		err := scan(&seq)
		seqs = append(seqs, seq)
		return err
	})
	return seqs, err
}

// insertAgain looks at a row that may be there already: the same event is left alone, or else
// replaced. One that a relay has just deleted is inserted.
func (p *publisher[Tx]) insertAgain(ctx context.Context, at *int64, r *outbox.Record) (
	[]int64, error) {
	for {
		seqs, err := p.insertRows(ctx, at, []outbox.Record{*r})
		if err != nil || len(seqs) > 0 {
			return seqs, err
		}
		if p.anew {
			if _, err := p.tx.Exec(ctx, p.outbox.texts.forget, r.Event.ID, r.Event.Source); err != nil {
				return nil, err
			}
			continue
		}
		there, err := p.isThere(ctx, &r.Event)
		if there || err != nil {
			return nil, err
		}
	}
}

// isThere says whether the table has an event; another one under its id is ErrTaken.
func (p *publisher[Tx]) isThere(ctx context.Context, e *tidings.Event) (bool, error) {
	var kind, topic, typ string
	err := p.tx.Query(ctx, p.outbox.texts.lookUp, []any{e.ID, e.Source}, func(scan Scan) error {
		return scan(&kind, &topic, &typ)
	})
	if err != nil || kind == "" {
		return false, err
	}
	if kind != e.Kind.String() || topic != e.Topic || typ != e.Type {
		return true, tidings.Permanent(
			fmt.Errorf("%w: %q is %s %q to %q", outbox.ErrTaken, e.ID, kind, typ, topic))
	}
	return true, nil
}

// outboxTexts are the statements of an outbox.
type outboxTexts struct {
	insert         string
	values         [insertStep]string // of one row, by its place in the statement
	lookUp, forget string
	claim, next    string
	done, keep     string // published: deleted, or marked
	fail           string
	prune, status  string
	list           string
	retry, discard string
	lead, resign   string
}

// unheld is that no row before o of its topic and key waits until it is tried again.
const unheld = ` and (o.key = '' or not exists (select 1 from {p}outbox h
	where h.state = 0 and h.attempts > 0 and h.ready > {now}
	and h.topic = o.topic and h.key = o.key and h.kind = o.kind and h.seq < o.seq))`

const columns = `seq, id, kind, topic, type, key, event, attempts`

func (c *Core[Tx]) outboxTexts() outboxTexts {
	t := outboxTexts{
		insert: c.sql(`insert into {p}outbox (id, source, kind, topic, type, key, event, ready, since) values `),
		lookUp: c.sql(`select kind, topic, type from {p}outbox where id = $1 and source = $2`),
		forget: c.sql(`delete from {p}outbox where id = $1 and source = $2`),
		claim: c.sql(`select ` + columns + ` from (
			select * from (select * from {p}outbox o where o.state = 0 and o.ready is null` + unheld + `
				order by o.seq limit $1) a
			union all
			select * from (select * from {p}outbox o where o.state = 0 and o.ready <= {now}` + unheld + `
				order by o.seq limit $1) b
			) c order by seq limit $1`),
		next: c.sql(`select {until min(ready)} from {p}outbox where state = 0 and ready > {now}`),
		done: c.sql(`delete from {p}outbox where seq in {ints $1}`),
		keep: c.sql(`update {p}outbox set state = 1, ended = {now} where seq in {ints $1}`),
		fail: c.sql(`update {p}outbox set attempts = attempts + 1, error = $2, ready = {in $3}, state = cast($4 as integer),
			ended = case when cast($4 as integer) = 2 then {now} end where seq = $1 and state = 0`),
		prune: c.sql(`delete from {p}outbox where seq in (
			select seq from {p}outbox where state = 1 and ended < {ago $1} order by ended limit $2 {skip})`),
		status: c.sql(statusText),
		list: c.sql(`select ` + columns + `, {ms since}, {ms ready}, error from {p}outbox
			where state = $1 and seq > $2 order by seq limit $3`),
		retry: c.sql(`update {p}outbox set state = 0, attempts = 0, ready = null, ended = null, error = ''
			where state = 2 and id in {texts $1}`),
		discard: c.sql(`delete from {p}outbox where state = 2 and id in {texts $1}`),
		lead: c.sql(`insert into {p}lease (name, holder, until) values ('outbox', $1, {in $2})
			on conflict (name) do update set holder = excluded.holder, until = excluded.until
			where {p}lease.holder = excluded.holder or {p}lease.until <= {now}`),
		resign: c.sql(`delete from {p}lease where name = 'outbox' and holder = $1`),
	}
	for i := range t.values {
		t.values[i] = c.sql(valuesOf(i))
	}
	return t
}

const statusText = `select
	(select count(*) from {p}outbox where state = 0 and ready is null)
	+ (select count(*) from {p}outbox where state = 0 and ready is not null and (ready <= {now} or attempts > 0)),
	(select count(*) from {p}outbox where state = 0 and attempts > 0),
	(select count(*) from {p}outbox where state = 0 and ready > {now} and attempts = 0),
	(select count(*) from {p}outbox where state = 2),
	(select {ms min(since)} from {p}outbox where state = 0 and (ready is null or ready <= {now} or attempts > 0)),
	{nowms}`

// valuesOf is a row with its own parameters, and $1 for when it is to be published, in all of them.
func valuesOf(row int) string {
	var params []string
	for column := range 7 {
		params = append(params, "$"+strconv.Itoa(2+7*row+column))
	}
	return "(" + strings.Join(params, ", ") + ", {at $1}, coalesce({at $1}, {now}))"
}
