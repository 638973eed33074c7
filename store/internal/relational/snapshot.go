package relational

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidings-io/tidings/eventstore"
)

// LoadSnapshot is that of eventstore.Snapshots.
func (e *Events[Tx]) LoadSnapshot(ctx context.Context, stream string) (
	eventstore.Snapshot, bool, error) {
	return e.outside().LoadSnapshot(ctx, stream)
}

// SaveSnapshot is that of eventstore.Snapshots.
func (e *Events[Tx]) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	return e.outside().SaveSnapshot(ctx, snap)
}

// DropSnapshot is that of eventstore.Snapshots.
func (e *Events[Tx]) DropSnapshot(ctx context.Context, stream string) error {
	return e.outside().DropSnapshot(ctx, stream)
}

// LoadSnapshot is that of eventstore.Snapshots.
func (s *streams) LoadSnapshot(ctx context.Context, stream string) (
	snap eventstore.Snapshot, ok bool, err error) {
	var text []byte
	err = s.on.Query(ctx, s.texts.loadSnapshot, []any{stream}, func(scan Scan) error {
		ok = true
		return scan(&text)
	})
	if ok && err == nil {
		err = json.Unmarshal(text, &snap)
	}
	return snap, ok && err == nil, err
}

// SaveSnapshot is that of eventstore.Snapshots.
func (s *streams) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	text, err := json.Marshal(snap)
	if err == nil {
		_, err = s.on.Exec(ctx, s.texts.saveSnapshot, snap.Stream, snap.Version, text)
	}
	if err != nil {
		return fmt.Errorf("save snapshot of %s: %w", snap.Stream, err)
	}
	return nil
}

// DropSnapshot is that of eventstore.Snapshots.
func (s *streams) DropSnapshot(ctx context.Context, stream string) error {
	_, err := s.on.Exec(ctx, s.texts.dropSnapshot, stream)
	return err
}
