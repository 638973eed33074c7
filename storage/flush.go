package storage

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// The flusher moves durable entries from the ring to segment files, so that
// the ring has room; the checkpointer writes checkpoints, so that the journal
// has. Both work on what is durable only, and so need not wait for the committer.

func (s *Store) flushLoop() {
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	sync := time.NewTicker(s.cfg.SyncInterval)
	defer sync.Stop()
	if s.cfg.Sync != SyncInterval {
		sync.Stop()
	}
	for {
		var err error
		select {
		case <-s.flushWake:
			err = s.flushRound()
		case <-tick.C: // a full disk is tried again here
			s.space.refused.Store(false)
			err = s.flushRound()
			s.checkSpace()
			send(s.roomMade)
		case <-sync.C:
			err = s.journal.sync()
		case <-s.failed:
			return
		case <-s.committed:
			return
		}
		if err != nil {
			_ = s.poison(err) // sticky: every waiter gets it from Err
			return
		}
	}
}

// wantsFlush says whether the committer should wake the flusher.
func (s *Store) wantsFlush() bool {
	return s.ring.used() > len(s.ring.mem)/2 || s.journal.wantsCheckpoint() ||
		s.journal.wantsFile() || s.volatileBytes.Load() > volatileSpill
}

// flushRound makes room where it is short. Whoever makes some wakes the
// committer; a round that gained nothing does not, since the two would then wake
// each other for ever. The next tick tries again.
func (s *Store) flushRound() error {
	errs := []error{s.flushVolatile()}
	if s.ring.used() > len(s.ring.mem)/2 || s.stalled.Load() {
		errs = append(errs, s.flushOldest(len(s.ring.mem)/4))
	}
	if s.journal.wantsFile() || s.stalled.Load() {
		errs = append(errs, s.prepare())
	}
	switch {
	case !s.wantsCheckpoint():
	case s.cfg.manual:
		errs = append(errs, s.checkpoint(true))
	default:
		send(s.ckptWake)
	}
	return s.tolerate(errs...)
}

// tolerate takes a full disk for a state and not for an error.
func (s *Store) tolerate(errs ...error) error {
	var rest []error
	for _, err := range errs {
		if errors.Is(err, vfs.ErrNoSpace) {
			s.space.filled()
		} else {
			rest = append(rest, err)
		}
	}
	return errors.Join(rest...)
}

// checkpointLoop writes checkpoints beside the flusher: their syncs take long,
// and the ring must not wait for them.
func (s *Store) checkpointLoop() {
	for {
		select {
		case <-s.ckptWake:
		case <-s.failed:
			return
		case <-s.committed:
			return
		}
		if !s.wantsCheckpoint() {
			continue
		}
		err := s.checkpoint(true)
		if err = s.tolerate(err); err != nil {
			_ = s.poison(err)
			return
		}
	}
}

// releaseEvery is after how many logs the committer is told of the room so far.
const releaseEvery = 64

// flushOldest writes the tails of the logs that hold the oldest part of the
// ring, until no more than keep bytes of it are in use.
func (s *Store) flushOldest(keep int) error {
	type holder struct {
		log *Log
		at  uint64
	}
	var hs []holder
	head := s.ring.shown.Load()
	for _, l := range s.durableLogs() {
		if at, ok := l.oldest(); ok {
			hs = append(hs, holder{l, at})
		}
	}
	slices.SortFunc(hs, func(a, b holder) int { return cmp.Compare(a.at, b.at) })
	for i, h := range hs {
		if h.at+uint64(keep) >= head {
			break
		}
		if i%releaseEvery == releaseEvery-1 {
			s.freeRing(h.at) // all before it are flushed: let the committer go on
		}
		if err := h.log.flush(); err != nil {
			return err
		}
	}
	s.releaseRing(head)
	return nil
}

// releaseRing frees what no log refers to. head is the ring's head from before
// the logs were looked at: entries of later frames need no looking at.
func (s *Store) releaseRing(head uint64) {
	low := head
	for _, l := range s.durableLogs() {
		if at, ok := l.oldest(); ok {
			low = min(low, at)
		}
	}
	s.freeRing(low)
}

// freeRing gives up the ring before a position.
func (s *Store) freeRing(to uint64) {
	if to > s.ring.tail.Load() {
		s.ring.tail.Store(to)
		send(s.roomMade)
	}
}

func (s *Store) durableLogs() []*Log {
	s.state.RLock()
	defer s.state.RUnlock()
	out := make([]*Log, 0, len(s.logs))
	for _, l := range s.logs {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *Log) int { return cmp.Compare(a.id, b.id) })
	return out
}

// flush writes the log's tail to its segment files.
func (l *Log) flush() error {
	l.writer.Lock()
	defer l.writer.Unlock()
	return l.flushHeld()
}

// flushHeld is flush for who holds writer.
func (l *Log) flushHeld() error {
	buf := allocBytes(flushChunk)
	defer func() { freeBytes(buf) }()
	for {
		taken := l.taken.Load()
		var refs []tailRef
		buf, refs = l.copyTail(buf[:0])
		if len(refs) == 0 {
			return nil
		}
		g, err := l.room(refs[0].base, int64(len(buf)))
		if err == nil {
			err = l.writeChunk(g, buf)
		}
		if errors.Is(err, fs.ErrNotExist) && l.taken.Load() != taken {
			continue // a trim or a drop took the segment away, and a checkpoint deleted it
		}
		if err != nil {
			return err
		}
		l.flushed(g, refs)
	}
}

// copyTail copies the oldest entries of the tail, about a chunk of them.
func (l *Log) copyTail(buf []byte) ([]byte, []tailRef) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := 0
	for ; n < len(l.tail); n++ {
		size := int(l.tail[n].size)
		hole := n > 0 && l.tail[n].base != l.tail[n-1].end()
		if hole || n > 0 && len(buf)+size > flushChunk {
			break
		}
		at := len(buf)
		buf = grow(buf, size)
		copy(buf[at:], l.tailBytes(n))
	}
	return buf, slices.Clone(l.tail[:n])
}

func (l *Log) writeChunk(g *segment, p []byte) error {
	h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer l.store.files.put(h)
	if beyond := g.length + int64(len(p)) - g.reserved; beyond > 0 {
		l.store.space.spend(min(beyond, int64(len(p))))
	}
	if _, err := h.WriteAt(p, g.length); err != nil || len(p) < flushEarly {
		return err
	}
	return h.Flush(g.length, int64(len(p)))
}

// flushed moves entries from the tail to the segment that has them now, unless
// a trim or drop took the segment away meanwhile.
func (l *Log) flushed(g *segment, refs []tailRef) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.segs); n == 0 || l.segs[n-1] != g {
		return
	}
	for i := range refs {
		r := &refs[i]
		g.grow(&entry{base: r.base, time: r.time, count: r.count, size: r.size - entryHeader})
	}
	l.cutTail(l.findTail(g.end))
	if !l.volatile {
		l.store.dirty.wrote(g)
	}
}

// grow notes an entry that was written at the segment's end. Called with the
// log's mu held.
func (g *segment) grow(e *entry) {
	g.idx.add(g, e, g.length)
	g.length += int64(e.total())
	g.end = e.end()
	g.maxTime = max(g.maxTime, e.time)
}
