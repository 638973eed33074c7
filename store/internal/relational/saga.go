package relational

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/saga"
)

// Sagas is a saga.Table: a row for each instance, and what its transitions send in the outbox.
type Sagas[Tx any] struct {
	instances
	core *Core[Tx]
	out  *Outbox[Tx]
}

// Sagas are the instances of sagas in the database. out is what puts their events into the outbox.
func (c *Core[Tx]) Sagas(out *Outbox[Tx]) *Sagas[Tx] {
	return &Sagas[Tx]{instances{on: c.db, texts: c.sagaTexts()}, c, out}
}

// In is that of saga.Table.
func (s *Sagas[Tx]) In(tx Tx) saga.Store { return s.in(tx) }

func (s *Sagas[Tx]) in(tx Tx) *instances {
	on := s.core.db.In(tx)
	return &instances{on, s.texts, &publisher[Tx]{outbox: s.out, tx: on, anew: true}}
}

// errUnmoved rolls a transaction back in which there is nothing to do.
var errUnmoved = errors.New("unmoved")

// Update is that of saga.Store.
func (s *Sagas[Tx]) Update(ctx context.Context, name, id string,
	fn func(*saga.Record) ([]saga.Outgoing, error)) error {
	for {
		err := s.core.transact(ctx, func(tx Tx) error {
			moved, err := s.in(tx).update(ctx, name, id, fn)
			if err == nil && !moved {
				err = errUnmoved
			}
			return err
		})
		switch {
		case err == nil:
			s.core.Committed()
			return nil
		case errors.Is(err, errUnmoved):
			return nil
		case !isSerialization(err) || ctx.Err() != nil:
			return err
		}
	}
}

// instances are the rows in one session.
type instances struct {
	on    Session
	texts *sagaTexts
	out   outgoing // nil outside of a transaction
}

// outgoing is an outbox in the transaction.
type outgoing interface {
	tidings.Publisher
	tidings.Scheduler
}

// Update is that of saga.Store, in the transaction of the session.
func (s *instances) Update(ctx context.Context, name, id string,
	fn func(*saga.Record) ([]saga.Outgoing, error)) error {
	_, err := s.update(ctx, name, id, fn)
	return err
}

// update locks the row of an instance while fn decides. Where there is none fn decides first: of
// those who make it at once one inserts the row, and the others wait for that and decide again.
func (s *instances) update(ctx context.Context, name, id string,
	fn func(*saga.Record) ([]saga.Outgoing, error)) (moved bool, err error) {
	for {
		rec, was, err := s.load(ctx, s.texts.take, name, id)
		if err != nil {
			return false, err
		}
		out, err := fn(&rec)
		if err != nil || rec.Version == 0 {
			return false, err
		}
		saved, changed, err := s.save(ctx, &rec, was)
		if err != nil {
			return false, fmt.Errorf("saga %s/%s: %w", name, id, err)
		}
		if saved {
			return changed || len(out) > 0, s.send(ctx, out)
		}
	}
}

// save writes what has changed; false says that somebody else has made the instance meanwhile.
func (s *instances) save(ctx context.Context, rec *saga.Record, was string) (
	saved, changed bool, err error) {
	text, err := json.Marshal(rec)
	if err != nil || string(text) == was {
		return err == nil, false, err
	}
	statement := s.texts.change
	if was == "" {
		statement = s.texts.make
	}
	n, err := s.on.Exec(ctx, statement, rec.Saga, rec.ID, rec.Version, string(rec.Status), rec.Step,
		rec.Updated.UnixMicro(), string(text))
	return n > 0, true, err
}

// send puts events into the outbox, in their order, and those for later behind them.
func (s *instances) send(ctx context.Context, out []saga.Outgoing) error {
	var now []tidings.Event
	for _, o := range out {
		if o.At.IsZero() {
			now = append(now, o.Event)
		}
	}
	if err := s.out.Publish(ctx, now...); err != nil {
		return err
	}
	for _, o := range out {
		if o.At.IsZero() {
			continue
		}
		if err := s.out.PublishAt(ctx, o.At, o.Event); err != nil {
			return err
		}
	}
	return nil
}

// load is a record and its text, which is "" where there is none.
func (s *instances) load(ctx context.Context, statement, name, id string) (
	rec saga.Record, text string, err error) {
	rec = saga.Record{Saga: name, ID: id}
	err = s.on.Query(ctx, statement, []any{name, id}, only(&text))
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &rec)
	}
	if err != nil {
		err = fmt.Errorf("saga %s/%s: %w", name, id, err)
	}
	return rec, text, err
}

// Load is that of saga.Store.
func (s *instances) Load(ctx context.Context, name, id string) (saga.Record, error) {
	rec, text, err := s.load(ctx, s.texts.load, name, id)
	if err == nil && text == "" {
		err = fmt.Errorf("%w: %s/%s", saga.ErrNotFound, name, id)
	}
	return rec, err
}

// Prune is that of saga.Store, step by step.
func (s *instances) Prune(ctx context.Context, before time.Time) (n int, err error) {
	for {
		step, err := s.on.Exec(ctx, s.texts.prune, before.UnixMicro(), pruneStep)
		if err != nil {
			return n, fmt.Errorf("prune sagas: %w", err)
		}
		n += int(step)
		if step < pruneStep {
			return n, nil
		}
	}
}

// sagaTexts are the statements of sagas.
type sagaTexts struct {
	take, make, change, load, prune string
	list, listOrder                 string // of a list, around its conditions
	param                           string
}

func (c *Core[Tx]) sagaTexts() *sagaTexts {
	return &sagaTexts{
		take: c.sql(`select record from {p}saga where saga = $1 and id = $2 {lock}`),
		make: c.sql(`insert into {p}saga (saga, id, version, status, step, updated, record)
			values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`),
		change: c.sql(`update {p}saga set version = $3, status = $4, step = $5, updated = $6,
			record = $7 where saga = $1 and id = $2`),
		load: c.sql(`select record from {p}saga where saga = $1 and id = $2`),
		prune: c.sql(`delete from {p}saga where (saga, id) in (
			select saga, id from {p}saga where status in ('completed', 'compensated') and updated < $1
			order by updated limit $2 {skip})`),
		list:      c.sql(`select updated, saga, id, record from {p}saga where `),
		listOrder: ` order by updated desc, saga desc, id desc limit `,
		param:     c.dialect.param,
	}
}
