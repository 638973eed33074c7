package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tidings-io/tidings/saga"
)

// Sagas are the instances of sagas, a value for each; see saga.Store. What a transition sends is
// published in its transaction, timers are schedules of the broker. Instances that have ended stay
// until Prune. A record of more than 768 KiB is broker.TooLarge.
func (s *Store) Sagas() saga.Store { return sagas{s} }

type sagas struct{ s *Store }

const sagaKeys = "g/"

func sagaKey(name, id string) string {
	return sagaKeys + strings.TrimPrefix(onceKey(name, id), onceKeys)
}

// Update changes an instance; see saga.Store.
func (g sagas) Update(ctx context.Context, name, id string,
	fn func(*saga.Record) ([]saga.Outgoing, error)) error {
	return g.s.Do(ctx, func(ctx context.Context, tx *Tx) error {
		was, _ := tx.get(sagaKey(name, id))
		rec, err := recordOf(was, name, id)
		if err != nil {
			return err
		}
		out, err := fn(&rec)
		if err != nil || rec.Version == 0 {
			return err
		}
		text, err := json.Marshal(rec)
		if err != nil {
			return fmt.Errorf("saga %s/%s: %w", name, id, err)
		}
		if !bytes.Equal(text, was) {
			tx.put(sagaKey(name, id), text)
		}
		return tx.sendAll(ctx, out)
	})
}

func (tx *Tx) sendAll(ctx context.Context, out []saga.Outgoing) (err error) {
	for _, o := range out {
		if o.At.IsZero() {
			err = tx.Publish(ctx, o.Event)
		} else {
			err = tx.PublishAt(ctx, o.At, o.Event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func recordOf(text []byte, name, id string) (rec saga.Record, err error) {
	rec = saga.Record{Saga: name, ID: id}
	if len(text) == 0 {
		return rec, nil
	}
	if err = json.Unmarshal(text, &rec); err != nil {
		err = fmt.Errorf("saga %s/%s: %w", name, id, err)
	}
	return rec, err
}

// Load is one instance; see saga.Store.
func (g sagas) Load(ctx context.Context, name, id string) (rec saga.Record, err error) {
	err = g.s.Do(ctx, func(_ context.Context, tx *Tx) error {
		text, ok := tx.get(sagaKey(name, id))
		if !ok {
			return fmt.Errorf("%w: %s/%s", saga.ErrNotFound, name, id)
		}
		rec, err = recordOf(text, name, id)
		return err
	})
	return rec, err
}

// List ranges over instances; see saga.Store. It looks at all of them.
func (g sagas) List(ctx context.Context, f saga.Filter) iter.Seq2[saga.Record, error] {
	return func(yield func(saga.Record, error) bool) {
		found, err := g.find(ctx, f)
		if err != nil {
			yield(saga.Record{}, err)
			return
		}
		for _, rec := range found {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// find is what a filter selects, what changed last first.
func (g sagas) find(ctx context.Context, f saga.Filter) (found []saga.Record, err error) {
	for key, text := range g.s.facts.All(sagaKeys) {
		rec, err := recordOf(text, key, "")
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if f.Takes(&rec) {
			found = append(found, rec)
		}
	}
	return f.First(found), nil
}

// Prune deletes instances that ended before a time; see saga.Store. It looks at all of them.
func (g sagas) Prune(ctx context.Context, before time.Time) (n int, err error) {
	ended := saga.Filter{Before: before, Status: []saga.Status{saga.Completed, saga.Compensated}}
	found, err := g.find(ctx, ended)
	if err != nil {
		return 0, err
	}
	old := func(v []byte) bool {
		rec, err := recordOf(v, "", "")
		return err == nil && ended.Takes(&rec)
	}
	for batch := range slices.Chunk(found, pruneBatch) {
		keys := make([]string, len(batch))
		for i, rec := range batch {
			keys[i] = sagaKey(rec.Saga, rec.ID)
		}
		gone, err := g.s.forget(ctx, keys, old)
		if n += gone; err != nil {
			return n, err
		}
	}
	return n, nil
}
