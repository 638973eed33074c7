package storage

import "context"

// Volatile logs live in memory. Beyond volatileSpill bytes of all of them
// together, the flusher moves the largest to files under spill/, by the same
// code that writes segments; those files are never synced and are wiped at
// Open. Admit holds producers back while volatileMax bytes are in memory.
const (
	volatileSpill = 1 << 20
	volatileKeep  = 64 << 10 // a log below this is left in memory
	volatileMax   = 64 << 20
)

// volatilePendingLocked says whether changes of the batch's volatile logs wait
// in the queue: then later ones must wait behind them.
func (s *Store) volatilePendingLocked(d *batchData) bool {
	for i := range d.appends {
		if d.appends[i].log.waiting > 0 {
			return true
		}
	}
	for _, op := range d.logOps {
		if op.log.waiting > 0 {
			return true
		}
	}
	return false
}

// volatileWaitLocked notes that a queued batch changes volatile logs (n is 1), or
// that it has (-1).
func (d *batchData) volatileWaitLocked(n int) {
	for _, l := range d.logs {
		if l.volatile {
			l.waiting += n
		}
	}
	for i := range d.appends {
		if a := &d.appends[i]; a.pos < 0 {
			a.log.waiting += n
		}
	}
	for _, op := range d.logOps {
		if op.pos < 0 {
			op.log.waiting += n
		}
	}
}

// applyLive applies a batch that touches volatile logs only: nothing waits for
// the disk.
func (s *Store) applyLive(d *batchData) {
	s.state.Lock()
	for _, l := range d.logs {
		s.logs[l.id] = l
	}
	s.applyVolatile(d)
	s.state.Unlock()
	for i := range d.appends {
		d.appends[i].log.wake(int64(d.appends[i].ent.size))
	}
	if s.volatileBytes.Load() > volatileSpill {
		send(s.flushWake)
	}
}

// applyVolatile applies what a batch does to volatile logs. Called with state held.
func (s *Store) applyVolatile(d *batchData) {
	for i := range d.appends {
		if a := &d.appends[i]; a.pos < 0 {
			a.log.addHeld(a)
		}
	}
	for _, op := range d.logOps {
		if op.pos >= 0 {
			continue // apply does it
		}
		switch op.kind {
		case opTrim:
			s.dirty.discard(op.log.trim(op.to))
		case opDropLog:
			delete(s.logs, op.log.id)
			s.dirty.discard(op.log.drop())
		}
		op.log.fire()
	}
	if s.volatileBytes.Load() <= volatileMax {
		send(s.volatileRoom)
	}
}

// committedVolatile notes that a queued batch's changes of volatile logs are visible.
func (s *Store) committedVolatile(d *batchData) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.volatileWaitLocked(-1)
}

func (l *Log) addHeld(a *appended) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, tailRef{base: a.ent.base, time: a.ent.time, count: a.ent.count,
		size: int32(len(a.data))})
	l.held = append(l.held, a.data)
	l.tailSize += len(a.data)
	l.store.volatileBytes.Add(int64(len(a.data)))
	l.durable.Store(int64(a.ent.end()))
}

func (l *Log) heldBytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.volatile {
		return 0
	}
	return int64(l.tailSize)
}

// flushVolatile spills logs above volatileKeep while there is too much, and
// deletes what spilled and was consumed.
func (s *Store) flushVolatile() error {
	s.deleteSegments(s.dirty.takeSpilled())
	if s.volatileBytes.Load() <= volatileSpill {
		return nil
	}
	for _, l := range s.durableLogs() {
		if l.heldBytes() <= volatileKeep {
			continue
		}
		if err := l.flush(); err != nil {
			return err
		}
	}
	if s.volatileBytes.Load() <= volatileMax {
		send(s.volatileRoom)
	}
	return nil
}

// awaitVolatileRoom waits while too many volatile bytes are in memory.
func (s *Store) awaitVolatileRoom(ctx context.Context) error {
	waited := false
	for s.volatileBytes.Load() > volatileMax {
		waited = true
		send(s.flushWake)
		select {
		case <-s.volatileRoom:
		case <-s.failed:
			return s.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if waited {
		send(s.volatileRoom) // for the next one who waits
	}
	return nil
}
