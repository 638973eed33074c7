package embedded

import (
	"context"
	"fmt"
	"iter"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/transport/embedded"
)

// Read ranges over the events of a stream; see eventstore.Streams. It ends with the last event that
// was durable when it began.
func (s *Store) Read(ctx context.Context, stream string, from int64) iter.Seq2[
	eventstore.Recorded, error] {
	return decoded(s.streams.Read(ctx, stream, max(from, 1)))
}

// All ranges over the events of all streams; see eventstore.Store. Positions are those of the
// broker's log plus one.
func (s *Store) All(ctx context.Context, from int64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		if _, end := s.streams.Bounds(); offset(from) > end {
			return // the log knows no offset beyond its end
		}
		decoded(s.streams.All(ctx, offset(from)))(yield)
	}
}

// Follow ranges over the events of all streams and goes on; see eventstore.Store.
func (s *Store) Follow(ctx context.Context, from int64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		f := follower{s: s, ctx: ctx, from: max(from, 1), yield: yield}
		f.wake = &broker.Waiter{C: make(chan struct{}, 1), MinBytes: 1}
		s.streams.Watch(f.wake)
		defer s.streams.Unwatch(f.wake)
		for f.read() && f.wait() {
		}
	}
}

// follower is one Follow at work.
type follower struct {
	s     *Store
	ctx   context.Context
	from  int64
	wake  *broker.Waiter
	yield func(eventstore.Recorded, error) bool
}

// read passes on what there is. It reports whether to go on.
func (f *follower) read() bool {
	f.wake.Reset()
	for r, err := range f.s.All(f.ctx, f.from) {
		if !f.yield(r, err) || err != nil {
			return false
		}
		f.from = r.Position + 1
	}
	return true
}

// wait waits for news, or for the end of all.
func (f *follower) wait() bool {
	select {
	case <-f.wake.C:
		return true
	case <-f.s.b.Closing():
		f.yield(eventstore.Recorded{}, &broker.Error{Kind: broker.Closed, Op: "follow",
			Name: f.s.streams.Name().String()})
	case <-f.s.b.Failed():
		f.yield(eventstore.Recorded{}, f.s.b.Err())
	case <-f.ctx.Done():
		f.yield(eventstore.Recorded{}, f.ctx.Err())
	}
	return false
}

// Head is the position of the last durable event.
func (s *Store) Head(ctx context.Context) (int64, error) {
	_, end := s.streams.Bounds()
	return int64(end), ctx.Err()
}

func offset(position int64) broker.Offset { return broker.Offset(max(position, 1) - 1) }

func decoded(records iter.Seq2[broker.StreamRecord, error]) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		var d embedded.Decoder
		for rec, err := range records {
			var r eventstore.Recorded
			if err == nil {
				r, err = recorded(&d, rec)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func recorded(d *embedded.Decoder, rec broker.StreamRecord) (eventstore.Recorded, error) {
	r := eventstore.Recorded{Stream: rec.Stream, Version: rec.Version,
		Position: int64(rec.Position) + 1, At: rec.Time.UTC()}
	var err error
	if r.Event, err = decode(d, &rec.Record); err != nil {
		return eventstore.Recorded{},
			fmt.Errorf("event %d of stream %q: %w", rec.Version, rec.Stream, err)
	}
	return r, nil
}
