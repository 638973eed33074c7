package kafka

import (
	"context"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// forget removes the offsets that have expired by now, and the groups that have nothing left.
func (c *coordinator) forget(now time.Time) {
	for _, g := range c.all() {
		if c.ctx.Err() != nil {
			return
		}
		g.forget(c.ctx, now.Add(-c.config.OffsetRetention))
	}
}

// takeTurn waits until nobody else writes for the group. It is false if ctx ended first.
func (g *group) takeTurn(ctx context.Context) bool {
	select {
	case g.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g *group) giveTurn() { <-g.turn }

// forget removes the offsets that were left alone since before.
func (g *group) forget(ctx context.Context, before time.Time) {
	if !g.takeTurn(ctx) {
		return
	}
	defer g.giveTurn()
	var cursors map[broker.CursorKey]broker.Cursor
	stored, err := g.groups.broker.Group(g.groups.config.Namespace, g.name)
	if err == nil {
		cursors = stored.Cursors()
	}
	tx, leaves := g.planForget(cursors, before)
	if tx != nil {
		if _, err := tx.Commit(ctx); err != nil {
			g.groups.config.Logger.Error("kafka offsets not expired", "group", g.name, "error", err)
		}
	}
	if leaves {
		g.groups.drop(g)
	}
}

// planForget says which offsets go, nil for none, and whether the group goes with them. A group
// that is gone has no say: what is stored under its name may be another group's.
func (g *group) planForget(
	cursors map[broker.CursorKey]broker.Cursor, before time.Time,
) (tx *broker.Tx, leaves bool) {
	if !g.lockIfHere() {
		return nil, false
	}
	defer g.unlock()
	namespace, gone := g.groups.config.Namespace, 0
	tx = g.groups.broker.Begin()
	for key, cursor := range cursors {
		if g.expired(key.Name, cursor.Time, before) {
			tx.DeleteCursor(namespace, g.name, key.Name, key.Partition)
			gone++
		}
	}
	if gone == len(cursors) && g.state == groupEmpty && len(g.invited) == 0 && !g.saving.queued {
		tx.DeleteGroup(namespace, g.name)
		g.gone = true
		return tx, true
	}
	if gone == 0 {
		return nil, false
	}
	return tx, false
}

// expired says whether an offset in a topic, committed at a time, is not wanted any more
// (KIP-211). The offsets of a group whose members have left expire together, when it has been
// empty for the retention time. Those of consumers that were never a group, and of topics that
// a group has stopped reading, expire by the time of their commit.
func (g *group) expired(topic string, committed, before time.Time) bool {
	switch {
	case g.kind == "":
		return committed.Before(before)
	case g.state == groupEmpty:
		return g.since.Before(before)
	case g.state == groupStable && g.subscribed != nil && !g.consumes(topic):
		return committed.Before(before)
	default:
		return false
	}
}

// delete ends a group that is empty, with its offsets, for good. It takes the group's turn.
func (g *group) delete(ctx context.Context) (broker.Confirm, error) {
	if !g.takeTurn(ctx) {
		return broker.Confirm{}, ctx.Err()
	}
	defer g.giveTurn()
	if err := g.retire(); err != nil {
		return broker.Confirm{}, err
	}
	defer g.groups.drop(g)
	tx := g.groups.broker.Begin()
	tx.DeleteGroup(g.groups.config.Namespace, g.name)
	return tx.Commit(ctx)
}

// retire marks a group as gone, if it may go.
func (g *group) retire() error {
	g.lock()
	defer g.unlock()
	switch {
	case g.gone:
		return refusef(errGroupIDNotFound, "group %s is gone", g.name)
	case g.state != groupEmpty:
		return refusef(errNonEmptyGroup, "group %s has members", g.name)
	}
	g.gone = true
	return nil
}
