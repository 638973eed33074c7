package relational

import (
	"context"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/projection"
)

// Checkpoints is a projection.Checkpoints: rows beside the tables of projections.
type Checkpoints[Tx any] struct {
	core  *Core[Tx]
	texts checkpointTexts
}

// Checkpoints are how far projections have come, in the database.
func (c *Core[Tx]) Checkpoints() *Checkpoints[Tx] {
	return &Checkpoints[Tx]{c, c.checkpointTexts()}
}

// Step is that of projection.Checkpoints: who comes second waits for the row.
func (k *Checkpoints[Tx]) Step(ctx context.Context, id projection.ID,
	fn func(ctx context.Context, tx Tx, from int64) (int64, error)) error {
	return k.core.transact(ctx, func(tx Tx) error {
		on := k.core.db.In(tx)
		if _, err := on.Exec(ctx, k.texts.begin, id.Name, id.Version); err != nil {
			return err
		}
		var from int64
		err := on.Query(ctx, k.texts.take, []any{id.Name, id.Version}, only(&from))
		if err != nil {
			return err
		}
		to, err := fn(ctx, tx, from)
		if err != nil || to == from {
			return err
		}
		_, err = on.Exec(ctx, k.texts.save, id.Name, id.Version, to)
		return err
	})
}

// Skip is that of projection.Checkpoints.
func (k *Checkpoints[Tx]) Skip(ctx context.Context, tx Tx, id projection.ID,
	s projection.Skipped) error {
	on := k.core.db.In(tx)
	if _, err := on.Exec(ctx, k.texts.count, id.Name, id.Version); err != nil {
		return err
	}
	_, err := on.Exec(ctx, k.texts.skip, id.Name, id.Version, s.Position, s.Stream, s.Event,
		s.Reason, s.At.UnixMilli())
	return err
}

// Load is that of projection.Checkpoints.
func (k *Checkpoints[Tx]) Load(ctx context.Context, id projection.ID) (
	c projection.Checkpoint, err error) {
	err = k.core.db.Query(ctx, k.texts.load, []any{id.Name, id.Version}, func(scan Scan) error {
		var saved *int64 // null before the first step is saved
		err := scan(&c.Position, &c.Skipped, &saved)
		if saved != nil {
			c.Saved = time.UnixMilli(*saved).UTC()
		}
		return err
	})
	return c, err
}

// Skipped is that of projection.Checkpoints.
func (k *Checkpoints[Tx]) Skipped(ctx context.Context, id projection.ID, from int64, max int) (
	all []projection.Skipped, err error) {
	args := []any{id.Name, id.Version, from, max}
	err = k.core.db.Query(ctx, k.texts.skipped, args, func(scan Scan) error {
		var s projection.Skipped
		var at int64
		err := scan(&s.Position, &s.Stream, &s.Event, &s.Reason, &at)
		s.At = time.UnixMilli(at).UTC()
		all = append(all, s)
		return err
	})
	return all, err
}

// Active is that of projection.Checkpoints.
func (k *Checkpoints[Tx]) Active(ctx context.Context, name string) (version int, err error) {
	err = k.core.db.Query(ctx, k.texts.active, []any{name}, only(&version))
	return version, err
}

// Activate is that of projection.Checkpoints.
func (k *Checkpoints[Tx]) Activate(ctx context.Context, id projection.ID) error {
	_, err := k.core.db.Exec(ctx, k.texts.activate, id.Name, id.Version)
	return err
}

// Forget is that of projection.Checkpoints.
func (k *Checkpoints[Tx]) Forget(ctx context.Context, id projection.ID) error {
	return k.core.transact(ctx, func(tx Tx) error {
		on, active := k.core.db.In(tx), 0
		err := on.Query(ctx, k.texts.active, []any{id.Name}, only(&active))
		if err != nil {
			return err
		}
		if active == id.Version {
			return fmt.Errorf("forget projection %s: it is active", id)
		}
		for _, text := range []string{k.texts.forget, k.texts.forgetSkipped} {
			if _, err := on.Exec(ctx, text, id.Name, id.Version); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkpointTexts are the statements of checkpoints.
type checkpointTexts struct {
	begin, take, save, load string
	count, skip, skipped    string
	active, activate        string
	forget, forgetSkipped   string
}

func (c *Core[Tx]) checkpointTexts() checkpointTexts {
	return checkpointTexts{
		begin: c.sql(`insert into {p}projection (name, version) values ($1, $2)
			on conflict do nothing`),
		take: c.sql(`select position from {p}projection where name = $1 and version = $2 {lock}`),
		save: c.sql(`update {p}projection set position = $3, saved = {now}
			where name = $1 and version = $2`),
		load: c.sql(`select position, skipped, {ms saved} from {p}projection
			where name = $1 and version = $2`),
		count: c.sql(`update {p}projection set skipped = skipped + 1
			where name = $1 and version = $2`),
		skip: c.sql(`insert into {p}projection_skipped
			(name, version, position, stream, event, reason, at) values ($1, $2, $3, $4, $5, $6, {at $7})`),
		skipped: c.sql(`select position, stream, event, reason, {ms at} from {p}projection_skipped
			where name = $1 and version = $2 and position >= $3 order by position limit $4`),
		active: c.sql(`select version from {p}projection_active where name = $1`),
		activate: c.sql(`insert into {p}projection_active (name, version) values ($1, $2)
			on conflict (name) do update set version = excluded.version`),
		forget:        c.sql(`delete from {p}projection where name = $1 and version = $2`),
		forgetSkipped: c.sql(`delete from {p}projection_skipped where name = $1 and version = $2`),
	}
}
