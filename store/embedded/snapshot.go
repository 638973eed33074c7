package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
)

// LoadSnapshot is the snapshot of a stream; see eventstore.Snapshots.
func (s *Store) LoadSnapshot(_ context.Context, stream string) (eventstore.Snapshot, bool, error) {
	v, ok := s.facts.Get(snapshotKeys + stream)
	return decodeSnapshot(v, ok)
}

// SaveSnapshot keeps a snapshot as a fact of the broker; see eventstore.Snapshots.
func (s *Store) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	return s.Do(ctx, func(ctx context.Context, tx *Tx) error { return tx.SaveSnapshot(ctx, snap) })
}

// DropSnapshot removes a snapshot.
func (s *Store) DropSnapshot(ctx context.Context, stream string) error {
	return s.Do(ctx, func(ctx context.Context, tx *Tx) error {
		return tx.DropSnapshot(ctx, stream)
	})
}

// LoadSnapshot is the snapshot of a stream. What others save meanwhile does not disturb this Tx.
func (tx *Tx) LoadSnapshot(_ context.Context, stream string) (eventstore.Snapshot, bool, error) {
	if v, ok := tx.writes[snapshotKeys+stream]; ok {
		return decodeSnapshot(v.bytes, v.there)
	}
	v, ok := tx.s.facts.Get(snapshotKeys + stream)
	return decodeSnapshot(v, ok)
}

// SaveSnapshot keeps a snapshot with the commit, or none where the other values of this Tx leave no
// room for it. One beyond broker.MaxFactValue bytes is an error here, and none of the commit.
func (tx *Tx) SaveSnapshot(_ context.Context, snap eventstore.Snapshot) error {
	v, err := json.Marshal(snap)
	if err != nil {
		return fmt.Errorf("encode snapshot of %s: %w", snap.Stream, err)
	}
	if len(v) > broker.MaxFactValue {
		return fmt.Errorf("snapshot of %s: %d bytes, the limit is %d: %w", snap.Stream, len(v),
			broker.MaxFactValue, tidings.ErrTooLarge)
	}
	tx.put(snapshotKeys+snap.Stream, v)
	return nil
}

// DropSnapshot removes a snapshot with the commit.
func (tx *Tx) DropSnapshot(_ context.Context, stream string) error {
	tx.delete(snapshotKeys + stream)
	return nil
}

// makeRoom leaves out snapshots where the values of a Tx are more than a commit takes.
func (tx *Tx) makeRoom() {
	size := 0
	for key, v := range tx.writes {
		size += tx.sizeOf(key, v)
	}
	for key, v := range tx.writes {
		if size <= broker.MaxFacts {
			return
		}
		if v.there && strings.HasPrefix(key, snapshotKeys) {
			size -= tx.sizeOf(key, v)
			delete(tx.writes, key)
		}
	}
}

// factBytes is more than what a fact takes beside its space, key and value.
const factBytes = 16

func (tx *Tx) sizeOf(key string, v value) int {
	return len(tx.s.space) + len(key) + len(v.bytes) + factBytes
}

func decodeSnapshot(v []byte, ok bool) (snap eventstore.Snapshot, _ bool, _ error) {
	if !ok {
		return snap, false, nil
	}
	if err := json.Unmarshal(v, &snap); err != nil {
		return snap, false, fmt.Errorf("decode snapshot: %w", err)
	}
	return snap, true, nil
}
