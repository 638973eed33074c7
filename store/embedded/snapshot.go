package embedded

import (
	"context"
	"encoding/json"
	"fmt"

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

// SaveSnapshot keeps a snapshot with the commit.
func (tx *Tx) SaveSnapshot(_ context.Context, snap eventstore.Snapshot) error {
	v, err := json.Marshal(snap)
	if err != nil {
		return fmt.Errorf("encode snapshot of %s: %w", snap.Stream, err)
	}
	tx.put(snapshotKeys+snap.Stream, v)
	return nil
}

// DropSnapshot removes a snapshot with the commit.
func (tx *Tx) DropSnapshot(_ context.Context, stream string) error {
	tx.delete(snapshotKeys + stream)
	return nil
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
