package storage

import (
	"context"
	"fmt"
)

// frame gathers batches for one journal frame.
type frame struct {
	seq     Seq
	batches []*batchData
	bytes   int
	kind    frameKind
}

// Admit waits until there is room for a batch with bytes of entries. Call it
// before taking locks: it is where producers feel the disk. ErrFull while the
// disk is nearly full (0 bytes, for settles and deletes, are always admitted),
// ctx's error, or Err's.
func (s *Store) Admit(ctx context.Context, bytes int) error {
	for {
		if err := s.Err(); err != nil {
			return err
		}
		if bytes > 0 && s.spare() < int64(bytes) {
			s.space.set(true)
		}
		if bytes > 0 && s.space.isFull() {
			return s.space.err()
		}
		next := s.Durable() + 1 // before pending, which falls before Durable moves
		if s.pending.Load() <= s.cfg.PendingBytes {
			return s.awaitVolatileRoom(ctx)
		}
		if err := s.awaitNews(ctx, next, bytes); err != nil {
			return err
		}
	}
}

// awaitNews waits until q is durable or the disk is full, if that matters.
func (s *Store) awaitNews(ctx context.Context, q Seq, bytes int) error {
	var filling <-chan struct{}
	if bytes > 0 {
		filling = s.space.filling()
	}
	ch := make(chan struct{}, 1)
	s.Notify(ch, q)
	select {
	case <-ch:
		if s.Durable() < q && s.Err() == nil {
			return ErrClosed
		}
	case <-filling:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Submit gives every entry of the batch its offset and queues the batch for
// one journal frame. It never waits for the disk: the batch is durable when
// Durable() reaches the returned sequence. The order of Submits is the order
// on disk. After an error nothing of the batch happened.
func (s *Store) Submit(b *Batch) (Seq, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.data == nil {
		return s.Durable(), s.Err()
	}
	d := b.data
	b.bases = b.bases[:0]
	s.mu.Lock()
	if err := s.refuseLocked(d); err != nil {
		s.mu.Unlock()
		return 0, err
	}
	s.assignLocked(b)
	if d.volatileOnly() && !s.volatilePendingLocked(d) {
		s.mu.Unlock()
		b.take()
		s.applyLive(d)
		d.release()
		return s.Durable(), nil
	}
	f := s.openFrameLocked(len(d.buf))
	f.batches = append(f.batches, b.take())
	f.bytes += len(d.buf)
	s.pending.Add(int64(len(d.buf)))
	d.volatileWaitLocked(1)
	seq := f.seq
	s.mu.Unlock()
	send(s.wake)
	return seq, nil
}

func (s *Store) refuseLocked(d *batchData) error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.closing {
		return ErrClosed
	}
	if len(d.buf) > MaxBatchBytes || d.size > s.cfg.frameBytes()/2 {
		return fmt.Errorf("%w: %d bytes of entries, %d of other operations",
			ErrTooLarge, d.entries, d.size)
	}
	for i := range d.appends {
		if d.appends[i].log.gone {
			return ErrDropped
		}
	}
	return nil
}

// assignLocked gives out offsets and completes what depends on them.
func (s *Store) assignLocked(b *Batch) {
	d := b.data
	for i := range d.appends {
		a := &d.appends[i]
		if !d.carry {
			a.ent.base = Offset(a.log.end.Load())
			a.log.end.Store(int64(a.ent.end()))
		}
		sealEntry(d.header(a), a.ent.base, a.ent.patch)
		b.bases = append(b.bases, a.ent.base)
	}
	for i := range d.logOps {
		o := &d.logOps[i]
		o.to = min(o.to, Offset(o.log.end.Load()))
		switch {
		case o.kind == opDropLog:
			o.log.gone = true
		case o.pos >= 0:
			le.PutUint64(d.buf[o.pos+opHead+8:], uint64(o.to))
		}
	}
}

// header is where an entry's header and payload stand.
func (d *batchData) header(a *appended) []byte {
	if a.pos < 0 {
		return a.data
	}
	return d.buf[a.pos:]
}

func (d *batchData) volatileOnly() bool { return len(d.buf) == 0 }

// openFrameLocked returns the frame that takes n more bytes.
func (s *Store) openFrameLocked(n int) *frame {
	if k := len(s.queue); k > 0 {
		f := s.queue[k-1]
		if f.kind == frameData && f.bytes+n <= s.cfg.frameBytes() {
			return f
		}
	}
	s.lastSeq++
	f := &frame{seq: s.lastSeq, kind: frameData}
	s.queue = append(s.queue, f)
	return f
}

// nextFrame takes the oldest frame; nil if none waits.
func (s *Store) nextFrame() *frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	f := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return f
}
