package embedded

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
)

// Tx is one atomic change: appends to streams, publishes, values, and what the inbox and
// projections keep. It is for the function that Do gives it to, and one goroutine.
type Tx struct {
	s       *Store
	broker  *broker.Tx
	reads   map[string]value // as they were
	writes  map[string]value
	streams map[string]int64                 // that were read, and their versions before
	events  map[string][]eventstore.Recorded // appended by this Tx
	changes bool                             // there is something to commit
	seen    []broker.Confirm                 // of values that were read before they were durable
}

// errStale: what a Tx has read has changed since. It never leaves this package.
var errStale = errors.New("read values that have changed since")

// Do runs fn and commits what it did, or nothing where it returns an error, which Do returns. On
// return it is durable; an error of ctx leaves open whether it will be. fn runs again when what
// it has read was changed by others meanwhile. A Do within fn is a transaction of its own: one that
// changes what fn has read has fn run again until ctx ends.
//
// Errors: *eventstore.ConflictError where a stream is at another version than an append of fn
// expected, unless fn has read the stream and so can decide again; those of broker.Tx.Commit.
func (s *Store) Do(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	for {
		confirm, err := s.try(ctx, fn)
		if err == nil {
			return confirm.Wait(ctx)
		}
		if !errors.Is(err, errStale) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("transaction of store %s: %w", s.config.Name, err)
		}
	}
}

// try is one run of fn.
func (s *Store) try(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (
	broker.Confirm, error) {
	tx := &Tx{s: s, broker: s.b.Begin(), reads: map[string]value{}, writes: map[string]value{},
		streams: map[string]int64{}, events: map[string][]eventstore.Recorded{}}
	if err := fn(ctx, tx); err != nil {
		if tx.stale() {
			return broker.Confirm{}, errStale // fn may have seen values of two times
		}
		if unseen := tx.awaitSeen(ctx); unseen != nil {
			return broker.Confirm{}, errors.Join(err, unseen)
		}
		return broker.Confirm{}, err
	}
	return tx.commit(ctx)
}

func (tx *Tx) commit(ctx context.Context) (broker.Confirm, error) {
	select {
	case tx.s.turn <- struct{}{}:
		defer func() { <-tx.s.turn }()
	case <-ctx.Done():
		return broker.Confirm{}, ctx.Err()
	}
	if tx.stale() {
		return broker.Confirm{}, errStale
	}
	if !tx.changes {
		return broker.Confirm{}, tx.awaitSeen(ctx)
	}
	once, err := tx.stage()
	if err != nil {
		return broker.Confirm{}, err
	}
	confirm, err := tx.broker.Commit(ctx)
	if err != nil {
		return broker.Confirm{}, tx.refused(err)
	}
	tx.s.once += once
	tx.s.fresh.add(tx.writes, confirm)
	return confirm, nil
}

// stale says whether something that was read has changed.
func (tx *Tx) stale() bool {
	for key, was := range tx.reads {
		if now, _ := tx.s.get(key); !now.equal(was) {
			return true
		}
	}
	return false
}

// awaitSeen waits for what was read: nobody may be told of what a power cut could take back.
func (tx *Tx) awaitSeen(ctx context.Context) error {
	for _, c := range tx.seen {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stage puts the values into the broker's transaction. once is by how many the marks of the inbox
// grow.
func (tx *Tx) stage() (once int, err error) {
	tx.makeRoom()
	for key, v := range tx.writes {
		if isOnce(key) {
			once += tx.growth(key, v)
		}
		if v.there {
			tx.broker.PutFact(tx.s.space, key, v.bytes)
		} else {
			tx.broker.DeleteFact(tx.s.space, key)
		}
	}
	if once > 0 && tx.s.once+once > tx.s.config.MaxOnce {
		return 0, fmt.Errorf("%w: %d events are remembered, the limit is %d", ErrInboxFull,
			tx.s.once, tx.s.config.MaxOnce)
	}
	return once, nil
}

func (tx *Tx) growth(key string, v value) int {
	was, _ := tx.s.get(key)
	switch {
	case v.there && !was.there:
		return 1
	case !v.there && was.there:
		return -1
	}
	return 0
}

// refused is why the broker did not commit.
func (tx *Tx) refused(err error) error {
	err = conflict(err)
	if c, ok := errors.AsType[*eventstore.ConflictError](err); ok {
		was, read := tx.streams[c.Stream]
		if read && tx.s.streams.Version(c.Stream) != was { // what it conflicts with is durable
			return errStale
		}
	}
	return err
}

// Append adds events to a stream with the commit; see eventstore.Streams. Where the stream is at
// another version, Do says so; events that are there already are not taken for success. The version
// is 0 with eventstore.Any: it is not known before the commit.
func (tx *Tx) Append(ctx context.Context, stream string, at eventstore.Expect,
	events ...tidings.Event) (int64, error) {
	events, err := eventstore.Prepare(ctx, tx.s.config.Name, stream, at, events)
	if err != nil {
		return 0, err
	}
	tx.broker.AppendStream(tx.s.streams, stream, broker.Expect(at), encodeAll(events))
	tx.changes = true
	if at == eventstore.Any {
		return 0, nil
	}
	for i, e := range events {
		tx.events[stream] = append(tx.events[stream], eventstore.Recorded{Event: e, Stream: stream,
			Version: int64(at) + int64(i) + 1, At: e.Time})
	}
	return int64(at) + int64(len(events)), nil
}

// Read ranges over the events of a stream; see eventstore.Streams. What this Tx has appended comes
// last and has no position yet; what it has appended with eventstore.Any is not among them.
func (tx *Tx) Read(ctx context.Context, stream string, from int64) iter.Seq2[
	eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		if _, again := tx.streams[stream]; !again {
			tx.streams[stream] = tx.s.streams.Version(stream)
		}
		own := tx.events[stream]
		for r, err := range tx.s.Read(ctx, stream, from) {
			if err == nil && len(own) > 0 && r.Version >= own[0].Version {
				break // somebody was faster: the commit will say so
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
		for _, r := range own {
			if r.Version >= from && !yield(r, nil) {
				return
			}
		}
	}
}

// Publish publishes events with the commit, stamped by what ctx knows. It is ErrUnsupported where
// the store has no Publisher.
func (tx *Tx) Publish(ctx context.Context, events ...tidings.Event) error {
	return tx.publish(ctx, events, func(p Publisher, stamped []tidings.Event) error {
		return p.Enlist(tx.broker, stamped...)
	})
}

// PublishAt publishes events at a later time, scheduled with the commit; otherwise like Publish.
func (tx *Tx) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	return tx.publish(ctx, events, func(p Publisher, stamped []tidings.Event) error {
		return p.EnlistAt(tx.broker, at, stamped...)
	})
}

func (tx *Tx) publish(ctx context.Context, events []tidings.Event,
	enlist func(Publisher, []tidings.Event) error) error {
	if tx.s.config.Publisher == nil {
		return fmt.Errorf("publish in a store without a Publisher: %w", tidings.ErrUnsupported)
	}
	if len(events) == 0 {
		return nil
	}
	stamped := make([]tidings.Event, len(events))
	for i, e := range events {
		if err := e.Err(); err != nil {
			return err
		}
		tidings.Stamp(ctx, "", &e)
		if e.Source == "" {
			e.Source = tx.s.config.Name
		}
		stamped[i] = e
	}
	tx.changes = true
	return enlist(tx.s.config.Publisher, stamped)
}

// Put sets a value with the commit; it is copied. A key beyond MaxKey, or a value beyond
// broker.MaxFactValue bytes, is an error of Do of kind broker.TooLarge.
func (tx *Tx) Put(key string, v []byte) { tx.put(valueKeys+key, v) }

// Get is the value of a key, as this Tx has left it. It must not be changed.
func (tx *Tx) Get(key string) (v []byte, ok bool) { return tx.get(valueKeys + key) }

// Delete removes a value with the commit. One that is not there is no error.
func (tx *Tx) Delete(key string) { tx.delete(valueKeys + key) }

func (tx *Tx) put(key string, v []byte) {
	tx.writes[key] = value{append([]byte{}, v...), true}
	tx.changes = true
}

func (tx *Tx) delete(key string) {
	tx.writes[key] = value{}
	tx.changes = true
}

func (tx *Tx) get(key string) ([]byte, bool) {
	if v, ok := tx.writes[key]; ok {
		return v.bytes, v.there
	}
	if v, ok := tx.reads[key]; ok {
		return v.bytes, v.there
	}
	v, confirm := tx.s.get(key)
	tx.reads[key] = v
	if !confirm.Done() {
		tx.seen = append(tx.seen, confirm)
	}
	return v.bytes, v.there
}

// Get is the durable value of a key, outside of any transaction. It must not be changed.
func (s *Store) Get(key string) (v []byte, ok bool) { return s.facts.Get(valueKeys + key) }

// Values ranges over the durable values whose keys begin with a prefix, in the order of keys. It
// looks at every fact of the broker: it is for start-up and for tools. Values must not be changed.
func (s *Store) Values(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for key, v := range s.facts.All(valueKeys + prefix) {
			if !yield(key[len(valueKeys):], v) {
				return
			}
		}
	}
}
