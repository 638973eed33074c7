package embedded

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// What is settled is written a moment later, and for many partitions at once: after a crash at most
// so many events come again that were settled, or those of so long. Commit does not wait for that.
const (
	saveAfter  = 100 * time.Millisecond
	saveEvents = 10_000
)

// refreshInterval is how often the positions of groups that have consumers are written although
// nothing has changed: a listener for Kafka forgets those of groups that it does not know when they
// are older than its offsets.retention.
const refreshInterval = 24 * time.Hour

// saver knows that there is something to write.
type saver struct {
	events atomic.Int64  // that were settled
	first  chan struct{} // there is one; capacity 1
	full   chan struct{} // there are many; capacity 1
}

func (s *saver) init() { s.first, s.full = make(chan struct{}, 1), make(chan struct{}, 1) }

// settled says that one more is.
func (s *saver) settled() {
	switch s.events.Add(1) {
	case 1:
		ring(s.first)
	case saveEvents:
		ring(s.full)
	}
}

// save writes positions until the transport is closed, and never faster than the disk.
func (t *Transport) save(ctx context.Context) {
	refresh := time.NewTicker(refreshInterval)
	defer refresh.Stop()
	for {
		select {
		case <-t.saver.first:
		case <-refresh.C:
			t.refresh()
		case <-ctx.Done():
			return
		}
		pause := time.NewTimer(saveAfter)
		select {
		case <-pause.C:
		case <-t.saver.full:
			pause.Stop()
		case <-ctx.Done():
			pause.Stop()
			return
		}
		t.saver.events.Store(0)
		err := t.saveAll(ctx)
		if err != nil && ctx.Err() == nil {
			t.c.Logger.Error("positions of groups are not written", "error", err)
		}
		if errors.Is(err, broker.Closed) || errors.Is(err, broker.Storage) {
			return // the broker does nothing more
		}
	}
}

// refresh has all positions written that are a consumer's.
func (t *Transport) refresh() {
	for _, g := range t.allGroups() {
		g.mu.Lock()
		for _, x := range g.parts {
			if x.owner != nil {
				x.soilLocked()
			}
		}
		g.mu.Unlock()
	}
}

// allGroups are those of which it has consumers.
func (t *Transport) allGroups() []*group {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[*group]struct{}{}
	for c := range t.consumers {
		all[c.g] = struct{}{}
	}
	return slices.Collect(maps.Keys(all))
}

func (t *Transport) saveAll(ctx context.Context) (failed error) {
	for _, g := range t.allGroups() {
		if err := g.save(ctx); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// save writes the positions that have changed, and waits until all are on disk.
func (g *group) save(ctx context.Context) error {
	confirm, err := g.submit(ctx)
	if err != nil {
		return failure(err)
	}
	return failure(confirm.Wait(ctx))
}

func (g *group) submit(ctx context.Context) (broker.Confirm, error) {
	if err := g.takeTurn(ctx); err != nil {
		return broker.Confirm{}, err
	}
	defer g.giveTurn()
	tx := g.h.b.Begin()
	written := g.gather(tx)
	if len(written) == 0 {
		return g.last, nil
	}
	confirm, err := tx.Commit(ctx)
	if err != nil {
		g.soil(written)
		return broker.Confirm{}, err
	}
	g.last = confirm
	return confirm, nil
}

func (g *group) gather(tx *broker.Tx) []*part {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gatherLocked(tx, nil)
}

// gatherLocked adds the positions that have changed to a Tx, as if more was settled. What is of a
// topic that is gone has none.
func (g *group) gatherLocked(tx *broker.Tx, settled map[*part][]int64) (written []*part) {
	limit := g.h.b.Limits().CursorMetadata
	for _, x := range g.dirty {
		x.dirty = false
		if _, err := g.h.b.TopicByID(x.p.Topic().ID()); errors.Is(err, broker.NotFound) {
			continue
		}
		at := x.lane.Position().Without(settled[x])
		c := cursorOf(broker.Offset(at.Low), at.Text(limit))
		x.saved = placeOf(c)
		tx.SaveCursor(g.h.namespace, g.name, x.p, c)
		written = append(written, x)
	}
	g.dirty = g.dirty[:0]
	return written
}

// soil says that positions were not written after all.
func (g *group) soil(parts []*part) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, x := range parts {
		x.soilLocked()
	}
}
