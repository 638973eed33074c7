package storage

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// The committer is the only goroutine that writes the journal and the only one
// that makes anything durable:
//
//  1. take the oldest frame
//  2. write its extents: the entries of any log with extentBytes or more in it
//  3. gather the rest into the ring and write it, one write, one sync
//  4. publish: apply keys and trims, show the entries to readers, wake waiters
//
// There is no timer and no delay: the next frame is what was submitted while
// the last one was written. Extents are synced before the frame that names them
// is written, so a frame on disk never refers to bytes that are not.

func (s *Store) commitLoop() {
	defer close(s.committed)
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	marked := true
	for {
		if f := s.nextFrame(); f != nil {
			if err := s.commit(f); err != nil {
				_ = s.poison(err) // sticky: every waiter gets it from Err
				return
			}
			marked = f.kind == frameMarker
			idle.Reset(s.cfg.Idle)
			continue
		}
		select {
		case <-s.wake:
		case <-idle.C:
			if !marked {
				s.queueMarker()
			}
		case <-s.failed:
			return
		case <-s.quit:
			if err := s.commitAll(); err != nil {
				_ = s.poison(err)
			}
			return
		}
	}
}

// commitAll commits every frame that waits.
func (s *Store) commitAll() error {
	if err := s.Err(); err != nil {
		return err
	}
	for f := s.nextFrame(); f != nil; f = s.nextFrame() {
		if err := s.commit(f); err != nil {
			return s.poison(err)
		}
	}
	return nil
}

func (s *Store) queueMarker() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		return
	}
	s.lastSeq++
	s.queue = append(s.queue, &frame{seq: s.lastSeq, kind: frameMarker})
}

func (s *Store) writeMarker() error {
	s.queueMarker()
	return s.commitAll()
}

func (s *Store) commit(f *frame) error {
	exts, err := s.writeExtents(f)
	if err != nil {
		return err
	}
	if err := s.writeFrame(f, exts); err != nil {
		return err
	}
	s.publish(f, exts)
	s.counts.frames.Add(1)
	return nil
}

// inlineBytes is the length of the frame's body.
func (f *frame) inlineBytes(exts []*extent) int {
	n := len(exts) * (opHead + 8*opWords[opExtent])
	for _, d := range f.batches {
		n += len(d.buf)
		for i := range d.appends {
			if d.appends[i].extent {
				n -= d.appends[i].ent.total()
			}
		}
	}
	return n
}

func (s *Store) writeFrame(f *frame, exts []*extent) error {
	info := frameInfo{kind: f.kind, epoch: s.journal.epoch, seq: f.seq, body: f.inlineBytes(exts)}
	total := info.total()
	if err := s.journal.ready(s, total); err != nil {
		return err
	}
	pos, err := s.awaitRing(total)
	if err != nil {
		return err
	}
	buf := s.ring.at(pos, total)
	f.gather(buf[frameHeader:frameHeader], pos, exts)
	info.epoch = s.journal.epoch
	if err := s.journal.write(s, buf, &info); err != nil {
		return err
	}
	s.ring.head.Store(pos + uint64(total))
	return nil
}

// gather copies the frame's body to dst and notes where each entry lies.
func (f *frame) gather(dst []byte, pos uint64, exts []*extent) {
	base := pos + frameHeader
	for _, d := range f.batches {
		from := 0
		for i := range d.appends {
			a := &d.appends[i]
			if a.pos < 0 {
				continue
			}
			dst = append(dst, d.buf[from:a.pos]...)
			from = a.pos + a.ent.total()
			if !a.extent {
				a.at = base + uint64(len(dst))
				dst = append(dst, d.buf[a.pos:from]...)
			}
		}
		dst = append(dst, d.buf[from:]...)
	}
	for _, x := range exts {
		dst = x.encode(dst)
	}
}

// awaitRing waits until the ring has room for a frame.
func (s *Store) awaitRing(n int) (pos uint64, err error) {
	err = s.awaitRoom(func() bool {
		var ok bool
		pos, ok = s.ring.fit(n)
		return ok
	})
	return pos, err
}

// errNoRoom means that the flusher's work does not help: a mistake of ours.
var errNoRoom = errors.New("no room in ring or journal, and none to be made")

// lastLooks is how often a store that is closing looks for room on a full disk.
const lastLooks = 2

// givesUp says that waiting for room has no end: nothing more is trimmed or dropped.
func (s *Store) givesUp() bool {
	select {
	case <-s.quit:
		return s.space.isFull()
	default:
		return false
	}
}

// awaitRoom waits for the flusher until there is room.
func (s *Store) awaitRoom(room func() bool) error {
	looks := 0
	for tries := 0; !room(); tries++ {
		s.stalled.Store(true)
		if s.cfg.manual {
			if err := s.flushRound(); err != nil {
				return err
			}
			if tries > 100 {
				return errNoRoom
			}
			continue
		}
		send(s.stallWake)
		send(s.flushWake)
		select {
		case <-s.roomMade:
		case <-s.failed:
			return s.Err()
		}
		if s.givesUp() {
			if looks++; looks > lastLooks {
				return fmt.Errorf("closed while the disk is full: %w", vfs.ErrNoSpace)
			}
		}
	}
	s.stalled.Store(false)
	return nil
}

// publish makes a written frame durable for everyone.
func (s *Store) publish(f *frame, exts []*extent) {
	s.state.Lock()
	for _, x := range exts {
		x.log.addExtent(x)
	}
	for _, d := range f.batches {
		s.applyBatch(d)
	}
	s.ring.shown.Store(s.ring.head.Load())
	s.pending.Add(-int64(f.bytes)) // before durable: see Admit
	s.durable.Store(uint64(f.seq))
	s.state.Unlock()
	for _, d := range f.batches {
		d.wake()
		s.committedVolatile(d)
		d.release()
	}
	s.waiters.wake(f.seq)
	if s.wantsFlush() {
		send(s.flushWake)
	}
}

// applyBatch applies a durable batch. Called with state held.
func (s *Store) applyBatch(d *batchData) {
	for _, l := range d.logs {
		s.logs[l.id] = l
		if !l.volatile {
			s.dirty.log(l.id)
		}
	}
	for _, x := range d.sets {
		s.sets[x.id] = x
		s.dirty.sets[x.id] = struct{}{}
	}
	for i := range d.appends {
		s.applyAppend(&d.appends[i], d.carry)
	}
	for _, pos := range d.others {
		o, _, err := decodeOp(d.buf[pos:])
		if err != nil {
			panic("storage: an operation we encoded cannot be decoded: " + err.Error())
		}
		s.apply(&o)
	}
	s.applyVolatile(d)
}

func (s *Store) applyAppend(a *appended, carry bool) {
	switch {
	case a.pos < 0:
		return // applyVolatile
	case carry:
		a.log.carried(a.ent.base, a.at)
	case !a.extent:
		a.log.addTail(tailRef{base: a.ent.base, at: a.at, time: a.ent.time,
			count: a.ent.count, size: int32(a.ent.total())})
	}
}

// wake tells the watchers of every log the batch touched.
func (d *batchData) wake() {
	if d.carry {
		return
	}
	for i := range d.appends {
		a := &d.appends[i]
		a.log.wake(int64(a.ent.size))
	}
}
