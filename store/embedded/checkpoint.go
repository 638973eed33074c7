package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/projection"
)

// Checkpoints keep how far projections have come whose rows are values of this store; see
// projection.Checkpoints. Each takes one fact, and one for each event that was skipped.
func (s *Store) Checkpoints() projection.Checkpoints[*Tx] { return checkpoints{s} }

type checkpoints struct{ s *Store }

// checkpoint is what rests.
type checkpoint struct {
	Position int64 `json:"position"`
	Skipped  int64 `json:"skipped"`
	Saved    int64 `json:"saved"` // Unix milliseconds
}

// Keys of what is kept of projections, whose names have no slash.
func checkpointKey(id projection.ID) string {
	return fmt.Sprintf("%s%s/%d", checkpointKeys, id.Name, id.Version)
}
func skippedKey(id projection.ID) string {
	return fmt.Sprintf("%s%s/%d/", skippedKeys, id.Name, id.Version)
}
func activeKey(name string) string { return activeKeys + name }

// Step runs fn in a transaction with the position; see projection.Checkpoints.
func (c checkpoints) Step(ctx context.Context, id projection.ID,
	fn func(ctx context.Context, tx *Tx, from int64) (int64, error)) error {
	return c.s.Do(ctx, func(ctx context.Context, tx *Tx) error {
		at, err := readCheckpoint(tx, id)
		if err != nil {
			return err
		}
		to, err := fn(ctx, tx, at.Position)
		if err != nil || to == at.Position {
			return err
		}
		if at, err = readCheckpoint(tx, id); err != nil { // with what Skip has counted
			return err
		}
		at.Position, at.Saved = to, time.Now().UnixMilli()
		return tx.putJSON(checkpointKey(id), at)
	})
}

// Skip records an event that is passed over; see projection.Checkpoints.
func (c checkpoints) Skip(_ context.Context, tx *Tx, id projection.ID, s projection.Skipped) error {
	at, err := readCheckpoint(tx, id)
	if err != nil {
		return err
	}
	at.Skipped++
	return errors.Join(tx.putJSON(fmt.Sprintf("%s%020d", skippedKey(id), s.Position), s),
		tx.putJSON(checkpointKey(id), at))
}

// Load is how far a projection has come; see projection.Checkpoints.
func (c checkpoints) Load(_ context.Context, id projection.ID) (projection.Checkpoint, error) {
	v, ok := c.s.facts.Get(checkpointKey(id))
	at, err := decodeCheckpoint(v, ok)
	if err != nil || !ok {
		return projection.Checkpoint{}, err
	}
	return projection.Checkpoint{Position: at.Position, Skipped: at.Skipped,
		Saved: time.UnixMilli(at.Saved).UTC()}, nil
}

// Skipped are the events that were passed over. It looks at every fact of the broker.
func (c checkpoints) Skipped(ctx context.Context, id projection.ID, from int64, max int) (
	out []projection.Skipped, err error) {
	for _, v := range c.s.facts.All(skippedKey(id)) {
		var s projection.Skipped
		if err := errors.Join(json.Unmarshal(v, &s), ctx.Err()); err != nil {
			return out, err
		}
		if s.Position >= from && len(out) < max {
			out = append(out, s)
		}
	}
	return out, nil
}

// Active is the version that readers use; see projection.Checkpoints.
func (c checkpoints) Active(_ context.Context, name string) (version int, err error) {
	if v, ok := c.s.facts.Get(activeKey(name)); ok {
		err = json.Unmarshal(v, &version)
	}
	return version, err
}

// Activate makes a version the one that readers use; see projection.Checkpoints.
func (c checkpoints) Activate(ctx context.Context, id projection.ID) error {
	return c.s.Do(ctx, func(_ context.Context, tx *Tx) error {
		return tx.putJSON(activeKey(id.Name), id.Version)
	})
}

// Forget removes what is kept of a projection; see projection.Checkpoints.
func (c checkpoints) Forget(ctx context.Context, id projection.ID) error {
	for {
		var some []string
		for key := range c.s.facts.All(skippedKey(id)) {
			if some = append(some, key); len(some) == pruneBatch {
				break
			}
		}
		err := c.s.Do(ctx, func(_ context.Context, tx *Tx) error { return c.forget(tx, id, some) })
		if err != nil || len(some) < pruneBatch {
			return err
		}
	}
}

func (c checkpoints) forget(tx *Tx, id projection.ID, skipped []string) error {
	var active int
	if v, ok := tx.get(activeKey(id.Name)); ok {
		if err := json.Unmarshal(v, &active); err != nil {
			return err
		}
	}
	if active == id.Version {
		return fmt.Errorf("forget projection %s: it is active", id)
	}
	for _, key := range append(skipped, checkpointKey(id)) {
		tx.delete(key)
	}
	return nil
}

func readCheckpoint(tx *Tx, id projection.ID) (checkpoint, error) {
	return decodeCheckpoint(tx.get(checkpointKey(id)))
}

func decodeCheckpoint(v []byte, ok bool) (at checkpoint, err error) {
	if ok {
		err = json.Unmarshal(v, &at)
	}
	return at, err
}

func (tx *Tx) putJSON(key string, v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		tx.put(key, text)
	}
	return err
}
