package tidingstest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/tidings-io/tidings/saga"
)

// Sagas is a saga.Store in memory, whose transitions publish to a Transport.
type Sagas struct {
	to *Transport

	mu   sync.Mutex
	recs map[string][]byte // as JSON, so that nothing is shared
}

// NewSagas is an empty store.
func NewSagas(to *Transport) *Sagas { return &Sagas{to: to, recs: map[string][]byte{}} }

// Update changes an instance; see saga.Store. Where the publish fails the record stays as it was. fn
// is called under no lock, and again where somebody else has changed the instance meanwhile.
func (s *Sagas) Update(ctx context.Context, name, id string,
	fn func(*saga.Record) ([]saga.Outgoing, error)) error {
	for {
		was := s.text(name, id)
		rec, err := recordOf(was, name, id)
		if err != nil {
			return err
		}
		out, err := fn(&rec)
		if err != nil || rec.Version == 0 {
			return err
		}
		now, err := json.Marshal(rec)
		if err != nil {
			return fmt.Errorf("saga %s/%s: %w", name, id, err)
		}
		if done, err := s.swap(ctx, key(name, id), was, now, out); done || err != nil {
			return err
		}
	}
}

// swap publishes and keeps a record, unless it is not what it was.
func (s *Sagas) swap(ctx context.Context, key string, was, now []byte, out []saga.Outgoing) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bytes.Equal(s.recs[key], was) {
		return false, nil
	}
	for _, o := range out {
		if err := s.to.PublishAt(ctx, o.At, o.Event); err != nil {
			return false, err
		}
	}
	s.recs[key] = now
	return true, nil
}

func key(name, id string) string { return name + "\x00" + id }

// text is a record as it is kept, nil for none.
func (s *Sagas) text(name, id string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recs[key(name, id)]
}

func recordOf(text []byte, name, id string) (rec saga.Record, err error) {
	rec = saga.Record{Saga: name, ID: id}
	if text != nil {
		err = json.Unmarshal(text, &rec)
	}
	return rec, err
}

// Load is one instance; see saga.Store.
func (s *Sagas) Load(_ context.Context, name, id string) (saga.Record, error) {
	text := s.text(name, id)
	if text == nil {
		return saga.Record{}, fmt.Errorf("%w: %s/%s", saga.ErrNotFound, name, id)
	}
	return recordOf(text, name, id)
}

// List ranges over instances; see saga.Store.
func (s *Sagas) List(_ context.Context, f saga.Filter) iter.Seq2[saga.Record, error] {
	return func(yield func(saga.Record, error) bool) {
		found, err := s.find(f)
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

func (s *Sagas) find(f saga.Filter) (found []saga.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.recs {
		var rec saga.Record
		if err := json.Unmarshal(text, &rec); err != nil {
			return nil, err
		}
		if f.Takes(&rec) {
			found = append(found, rec)
		}
	}
	return f.First(found), nil
}

// Prune deletes instances that ended before a time; see saga.Store.
func (s *Sagas) Prune(_ context.Context, before time.Time) (int, error) {
	old, err := s.find(saga.Filter{Before: before,
		Status: []saga.Status{saga.Completed, saga.Compensated}})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rec := range old {
		delete(s.recs, key(rec.Saga, rec.ID))
	}
	return len(old), err
}
