package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// Snapshot is the state of a stream at a version, kept so that it need not be folded again.
type Snapshot struct {
	Stream  string
	Version int64
	// Schema tells what State is encoded from. One that is not the aggregate's is not used.
	Schema string
	// Latest is the largest Time of the events in it.
	Latest time.Time
	// Keys are the ids of keys that data of its events was sealed with, sorted.
	Keys  []string
	State []byte
}

// Snapshots keep one snapshot for each stream. Stores implement it; for one that does not, a struct
// of a Store and Snapshots is both. What they lose costs time only.
type Snapshots interface {
	// LoadSnapshot is the snapshot of a stream; ok is false where there is none.
	LoadSnapshot(ctx context.Context, stream string) (s Snapshot, ok bool, err error)
	// SaveSnapshot keeps a snapshot in place of an older one. One that is older than what is
	// there, or that another transaction is saving too, may be kept or not.
	SaveSnapshot(ctx context.Context, s Snapshot) error
	// DropSnapshot removes the snapshot of a stream. One that is not there is no error.
	DropSnapshot(ctx context.Context, stream string) error
}

// MaxSnapshotKeys is how many keys may have sealed the events of a snapshot. A stream with data of
// more subjects has none.
const MaxSnapshotKeys = 8

// snapshotting is what an aggregate was told of snapshots.
type snapshotting struct {
	every  int64 // 0: there are none
	schema string
	err    error // why S cannot be kept
}

// SnapshotEvery lets Update save a snapshot when it had to read n events or more since the last,
// and all loads begin there. Raise schema when Apply functions change their meaning: snapshots of
// another number are not used, nor are those of an S whose fields have changed. S is kept as JSON;
// with a field that JSON would lose (not exported, or left out by a tag), and with a store that
// does not implement Snapshots, every Load is an error, the latter ErrUnsupported of package
// tidings.
func SnapshotEvery[S any](n int, schema int) Option[S] {
	if n < 1 {
		panic(fmt.Sprintf("eventstore: a snapshot every %d events", n))
	}
	return func(a *Aggregate[S]) {
		shape, err := shapeOf[S]()
		a.snaps = snapshotting{int64(n), fmt.Sprintf("%d %s", schema, shape), err}
	}
}

// begin is where a load begins: at a snapshot that its bounds allow, or at nothing.
func (a *Aggregate[S]) begin(ctx context.Context, in Streams, stream string, l loading) (
	f fold[S], err error) {
	if a.snaps.every == 0 {
		return f, nil
	}
	kept, ok := in.(Snapshots)
	if !ok {
		return f, fmt.Errorf("load %s: snapshots are %w", stream, tidings.ErrUnsupported)
	}
	if a.snaps.err != nil {
		return f, fmt.Errorf("load %s: %w", stream, a.snaps.err)
	}
	s, ok, err := kept.LoadSnapshot(ctx, stream)
	switch {
	case ctx.Err() != nil:
		return f, fmt.Errorf("load %s: %w", stream, ctx.Err())
	case err != nil: // the events are there all the same
		a.warn(ctx, "load snapshot", stream, err)
		return f, nil
	case !ok || s.Schema != a.snaps.schema || !l.covers(s):
		return f, nil
	}
	return a.restore(ctx, s), nil
}

// restore makes a fold of a snapshot; of one that does not decode, nothing.
func (a *Aggregate[S]) restore(ctx context.Context, s Snapshot) (f fold[S]) {
	var state S
	if err := json.Unmarshal(s.State, &state); err != nil {
		a.warn(ctx, "decode snapshot", s.Stream, err)
		return f
	}
	return fold[S]{state, s.Version, s.Latest, s.Keys, s.Version}
}

// save keeps a snapshot of what was loaded where one is due: of what has been read, so that the
// keys of its data are known. An error is told and ends nothing, as snapshots are a cache.
func (a *Aggregate[S]) save(ctx context.Context, in Streams, id string, f *fold[S]) {
	if a.snaps.every == 0 || f.version-f.saved < a.snaps.every || len(f.keys) > MaxSnapshotKeys {
		return
	}
	state, err := json.Marshal(f.state)
	if err == nil { // begin has seen that in keeps snapshots
		err = in.(Snapshots).SaveSnapshot(ctx, Snapshot{Stream: a.Stream(id), Version: f.version,
			Schema: a.snaps.schema, Latest: f.latest, Keys: f.keys, State: state})
	}
	if err != nil {
		a.warn(ctx, "save snapshot", a.Stream(id), err)
	}
}

func (a *Aggregate[S]) warn(ctx context.Context, what, stream string, err error) {
	log := a.log
	if log == nil {
		log = slog.Default()
	}
	if !errors.Is(err, context.Canceled) {
		log.WarnContext(ctx, what, "stream", stream, "error", err)
	}
}

// sealedBy enters a key of an event, once each and sorted.
func (f *fold[S]) sealedBy(key string) {
	if key == "" || len(f.keys) > MaxSnapshotKeys {
		return
	}
	if i, found := slices.BinarySearch(f.keys, key); !found {
		f.keys = slices.Insert(slices.Clip(f.keys), i, key)
	}
}
