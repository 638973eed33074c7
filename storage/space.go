package storage

import (
	"fmt"
	"sync/atomic"
	"time"
)

// spaceEvery is how often free disk space is looked at.
const spaceEvery = time.Second

// maxReserve bounds the free space below which appends are refused.
const maxReserve = 2 << 30

// spaceState is disk pressure: it begins when free space falls below a reserve
// of min(5 % of the disk, 2 GiB) but at least two journal files, or when a
// write finds no room; it ends when there is half as much again.
type spaceState struct {
	full        atomic.Bool
	free, total atomic.Int64
	need        atomic.Int64
}

func (p *spaceState) err() error {
	return fmt.Errorf("%w: %d MiB free, %d MiB are kept for recovery and deletes; free some space",
		ErrFull, p.free.Load()>>20, p.need.Load()>>20)
}

// filled notes that a write found no room.
func (p *spaceState) filled() { p.full.Store(true) }

func (s *Store) checkSpace() {
	free, total, err := s.fs.Space()
	if err != nil {
		s.cfg.Logger.Warn("free disk space is not known", "err", err)
		return
	}
	p := &s.space
	need := max(min(total/20, maxReserve), 2*s.cfg.firstJournal)
	p.free.Store(free)
	p.total.Store(total)
	p.need.Store(need)
	was := p.full.Load()
	switch {
	case free < need && !was:
		p.full.Store(true)
		s.cfg.Logger.Warn("disk nearly full: appends are refused", "free", free, "reserve", need)
	case free > need+need/2 && was:
		p.full.Store(false)
		s.cfg.Logger.Info("disk has room again", "free", free)
	}
}
