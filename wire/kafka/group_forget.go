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
	changes, leaves := g.planForget(cursors, before)
	if leaves {
		_, err = g.erase(ctx)
	} else {
		_, err = changes.commit(ctx, nil)
	}
	if err != nil {
		g.groups.config.Logger.Error("kafka offsets not expired", "group", g.name, "error", err)
	}
}

// planForget says which offsets go, or that the group goes with all of them. A group that is gone
// has no say: what is stored under its name may be another group's.
func (g *group) planForget(
	cursors map[broker.CursorKey]broker.Cursor, before time.Time,
) (changes *cursorChanges, leaves bool) {
	changes, expired := g.groups.changeCursors(g.name), 0
	if !g.lockIfHere() {
		return changes, false
	}
	defer g.unlock()
	for key, cursor := range cursors {
		if g.expired(key.Name, cursor.Time, before) {
			changes.delete(key.Name, key.Partition)
			expired++
		}
	}
	g.gone = expired == len(cursors) && g.state == groupEmpty && len(g.invited) == 0 &&
		!g.saving.queued
	return changes, g.gone
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
	return g.erase(ctx)
}

// erase deletes what is stored of a group that was just marked as gone. If the engine refuses,
// the group is here again.
func (g *group) erase(ctx context.Context) (broker.Confirm, error) {
	tx := g.groups.broker.Begin()
	tx.DeleteGroup(g.groups.config.Namespace, g.name)
	confirm, err := tx.Commit(ctx)
	if err != nil {
		g.groups.takeBack(g)
		return confirm, err
	}
	g.groups.drop(g)
	return confirm, nil
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
