package storage

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// spaceEvery is how often free disk space is looked at.
const spaceEvery = time.Second

// maxReserve bounds the free space below which appends are refused.
const maxReserve = 2 << 30

// spaceState is disk pressure: it begins when free space falls below a reserve
// of min(5 % of the disk, 2 GiB) but at least two journal files, or when a
// write finds no room; it ends when there is half as much again and the flusher,
// who tries every spaceEvery, finds room.
type spaceState struct {
	free, total atomic.Int64
	need        atomic.Int64
	refused     atomic.Bool // a write found no room in this turn of the flusher

	mu    sync.Mutex
	full  bool
	fills chan struct{} // closed when full becomes true; nil while nobody waits
}

func (p *spaceState) isFull() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.full
}

// set says whether that is a change.
func (p *spaceState) set(full bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.full
	p.full = full
	if full && p.fills != nil {
		close(p.fills)
		p.fills = nil
	}
	return was != full
}

// filling is closed as soon as the disk is full.
func (p *spaceState) filling() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full {
		c := make(chan struct{})
		close(c)
		return c
	}
	if p.fills == nil {
		p.fills = make(chan struct{})
	}
	return p.fills
}

func (p *spaceState) err() error {
	return fmt.Errorf("%w: %d MiB free, %d MiB are kept for recovery and deletes; free some space",
		ErrFull, p.free.Load()>>20, p.need.Load()>>20)
}

// spend notes that blocks were allocated, until the file system is asked again.
func (p *spaceState) spend(bytes int64) { p.free.Add(-bytes) }

// spare is what may still be allocated without touching the reserve: beside what
// waits in memory for its place in a segment file. Where the file system does not
// say what is free it is without end.
func (s *Store) spare() int64 {
	p := &s.space
	if p.total.Load() == 0 {
		return math.MaxInt64
	}
	return p.free.Load() - p.need.Load() - int64(s.ring.used()) - s.pending.Load()
}

// filled notes that a write found no room.
func (p *spaceState) filled() {
	p.refused.Store(true)
	p.set(true)
}

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
	switch {
	case s.spare() < 0 && p.set(true):
		s.cfg.Logger.Warn("disk nearly full: appends are refused", "free", free, "reserve", need)
	case s.spare() > need/2 && !p.refused.Load() && p.set(false):
		s.cfg.Logger.Info("disk has room again", "free", free)
	}
}
