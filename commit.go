package tidings

import (
	"context"
	"errors"
	"time"
)

// commitEvery is how long settlements may be unknown to a broker that learns of them by commits
// only: so much comes again after a crash.
const commitEvery = time.Second

// commits commits soon after something was settled, until ctx ends.
func (s *subscription) commits(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.disp.settled:
		}
		if !sleep(ctx, commitEvery) {
			return
		}
		s.disp.committing()
		if err := s.commit(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			s.log.Warn("commit", "err", err)
			s.disp.note(err)
		}
	}
}

// commit makes the broker know what was settled. Where there is no consumer there is nothing to
// commit: what it had is lost.
func (s *subscription) commit(ctx context.Context) error {
	if r := s.now.Load(); r != nil {
		return r.Commit(ctx)
	}
	return nil
}

// leftLocked notes that something was settled.
func (d *dispatcher) leftLocked() {
	if !d.uncommitted {
		d.uncommitted = true
		nudge(d.settled)
	}
}

// committing notes that what was settled until now is committed.
func (d *dispatcher) committing() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uncommitted = false
}
