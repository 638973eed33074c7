package projection

import (
	"context"
	"time"

	"github.com/tidings-io/tidings/eventstore"
)

// Status is how far a projection is behind its events.
type Status struct {
	ID
	Active   int   // the version that readers use, 0 for none
	Position int64 // of the last event handled
	Head     int64 // of the last event there is
	Lag      int64 // events not handled: Head - Position
	// Behind is how long the first of these has waited since it was recorded, 0 for none.
	Behind  time.Duration
	Skipped int64 // events passed over
}

// Status asks both stores.
func (p *Projection[Tx]) Status(ctx context.Context, s eventstore.Store, c Checkpoints[Tx]) (
	out Status, err error) {
	out.ID = p.id
	if out.Active, err = c.Active(ctx, p.id.Name); err != nil {
		return out, err
	}
	at, err := c.Load(ctx, p.id)
	if err != nil {
		return out, err
	}
	out.Position, out.Skipped = at.Position, at.Skipped
	if out.Head, err = s.Head(ctx); err != nil || out.Head <= out.Position {
		return out, err
	}
	out.Lag = out.Head - out.Position
	for r, err := range s.All(ctx, out.Position+1) {
		if err != nil {
			return out, err
		}
		out.Behind = max(time.Since(r.At), 0)
		break
	}
	return out, nil
}
