package storage

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/tidings-io/tidings/storage/vfs"
)

// extent is the entries of one log in one frame that stand in its segment file
// and not in the journal.
type extent struct {
	log     *Log
	bytes   int64
	entries []*appended
	bufs    []*batchData // parallel to entries
	seg     *segment
	pos     int64
}

func (x *extent) first() Offset { return x.entries[0].ent.base }
func (x *extent) last() *entry  { return &x.entries[len(x.entries)-1].ent }

func (x *extent) maxTime() int64 {
	t := x.entries[0].ent.time
	for _, a := range x.entries {
		t = max(t, a.ent.time)
	}
	return t
}

func (x *extent) encode(dst []byte) []byte {
	return appendWords(dst, opExtent, int64(x.log.id), int64(x.seg.base), x.pos, x.bytes,
		int64(x.first()), int64(x.last().end()), x.maxTime())
}

// plan is what a log has in the frame being committed. Owned by the committer.
type plan struct {
	bytes int64
	ext   *extent // where its entries leave the frame
}

// planExtents chooses the logs whose entries leave the frame: those with
// Config.extentBytes or more, and the largest of the rest until the frame fits.
func (s *Store) planExtents(f *frame) []*extent {
	if f.bytes < min(s.cfg.extentBytes, s.cfg.frameBytes()) {
		return nil
	}
	logs := s.planned[:0]
	f.eachEntry(func(a *appended, _ *batchData) {
		if a.log.plan.bytes == 0 {
			logs = append(logs, a.log)
		}
		a.log.plan.bytes += int64(a.ent.total())
	})
	exts := s.chooseExtents(f, logs)
	if len(exts) > 0 {
		f.eachEntry(func(a *appended, d *batchData) { a.log.plan.ext.add(a, d) })
	}
	for _, l := range logs {
		l.plan = plan{}
	}
	clear(logs)
	s.planned = logs[:0]
	return exts
}

// eachEntry visits the frame's entries of durable logs, but no carried ones.
func (f *frame) eachEntry(visit func(*appended, *batchData)) {
	for _, d := range f.batches {
		if d.carry {
			continue
		}
		for i := range d.appends {
			if d.appends[i].pos >= 0 {
				visit(&d.appends[i], d)
			}
		}
	}
}

func (s *Store) chooseExtents(f *frame, logs []*Log) (exts []*extent) {
	slices.SortFunc(logs, func(a, b *Log) int {
		return cmp.Or(cmp.Compare(b.plan.bytes, a.plan.bytes), cmp.Compare(a.id, b.id))
	})
	rest := f.bytes
	for _, l := range logs {
		if l.plan.bytes < int64(s.cfg.extentBytes) && rest <= s.cfg.frameBytes() {
			break
		}
		rest -= int(l.plan.bytes)
		l.plan.ext = &extent{log: l, bytes: l.plan.bytes}
		exts = append(exts, l.plan.ext)
	}
	return exts
}

func (x *extent) add(a *appended, d *batchData) {
	if x != nil {
		x.entries = append(x.entries, a)
		x.bufs = append(x.bufs, d)
	}
}

// writeExtents writes and syncs the frame's extents. An extent that the disk
// has no room for stays in the frame: the journal has its space already. A frame
// that would be too long without it waits for the disk.
func (s *Store) writeExtents(f *frame) (done []*extent, err error) {
	todo := s.planExtents(f)
	stop := s.awaitRoom(func() bool {
		var written []*extent
		written, todo, err = s.tryExtents(todo)
		done = append(done, written...)
		return err != nil || f.inlineBytes(done) <= s.cfg.longestFrame()
	})
	if err = errors.Join(err, stop); err != nil {
		return nil, err
	}
	return done, s.syncExtents(done)
}

// tryExtents writes what the disk has room for, and returns the rest.
func (s *Store) tryExtents(todo []*extent) (done, rest []*extent, err error) {
	for _, x := range todo {
		err := s.writeExtent(x)
		if errors.Is(err, vfs.ErrNoSpace) {
			s.space.filled()
			rest = append(rest, x)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		for _, a := range x.entries {
			a.extent = true
		}
		s.counts.extentBytes.Add(uint64(x.bytes))
		done = append(done, x)
	}
	return done, rest, nil
}

func (s *Store) writeExtent(x *extent) error {
	l := x.log
	l.writer.Lock()
	defer l.writer.Unlock()
	if err := l.flushHeld(); err != nil {
		return err
	}
	g, err := l.room(x.first(), x.bytes)
	if err != nil {
		return err
	}
	h, err := s.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer s.files.put(h)
	if err := s.reserve(g, h, g.length+x.bytes); err != nil {
		return err
	}
	x.seg, x.pos = g, g.length
	return x.write(h)
}

// reserve allocates the segment's blocks ahead, at least up to a length.
func (s *Store) reserve(g *segment, f vfs.File, length int64) error {
	if length <= g.reserved {
		return nil
	}
	from := max(g.reserved, g.length)
	n := max(length-from, min(reserveAhead, s.spare()/4))
	if err := f.Allocate(from, n); err != nil && !errors.Is(err, vfs.ErrUnsupported) {
		return err
	}
	s.space.spend(n)
	g.reserved = from + n
	return nil
}

// write writes the entries in order. Those that lie side by side in a large
// batch are written from there; small ones are gathered first, since a write
// costs more than a copy.
func (x *extent) write(f vfs.File) error {
	gathered := allocBytes(flushChunk)
	defer func() { freeBytes(gathered) }()
	pos := x.pos
	put := func(p []byte) error {
		if len(p) == 0 {
			return nil
		}
		_, err := f.WriteAt(p, pos)
		pos += int64(len(p))
		return err
	}
	for i := 0; i < len(x.entries); {
		p, n := x.run(i)
		i += n
		if len(p) < flushEarly && len(gathered)+len(p) <= cap(gathered) {
			gathered = append(gathered, p...)
			continue
		}
		if err := put(gathered); err != nil {
			return err
		}
		if gathered = gathered[:0]; len(p) < flushEarly {
			gathered = append(gathered, p...)
		} else if err := put(p); err != nil {
			return err
		}
	}
	return put(gathered)
}

// run returns the bytes of n entries from the i-th on that lie side by side.
func (x *extent) run(i int) (p []byte, n int) {
	d, from := x.bufs[i], x.entries[i].pos
	to := from
	for i+n < len(x.entries) && x.bufs[i+n] == d && x.entries[i+n].pos == to {
		to += x.entries[i+n].ent.total()
		n++
	}
	return d.buf[from:to], n
}

// syncExtents syncs the segments side by side: the device does them together.
func (s *Store) syncExtents(exts []*extent) error {
	errs := make([]error, len(exts))
	var wg sync.WaitGroup
	for i, x := range exts {
		if i == len(exts)-1 {
			errs[i] = s.syncExtent(x)
			break
		}
		wg.Go(func() { errs[i] = s.syncExtent(x) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Store) syncExtent(x *extent) error {
	if err := s.syncFile(x.seg.name); err != nil || x.seg.linked {
		return err
	}
	if err := s.fs.SyncDir(x.seg.dir()); err != nil {
		return err
	}
	x.seg.linked = true
	return s.fs.SyncDir(segmentDir)
}

func (s *Store) syncFile(name string) error {
	h, err := s.files.get(name, vfs.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer s.files.put(h)
	s.counts.syncs.Add(1)
	return h.Sync()
}

// addExtent shows an extent's entries to readers. Called with state held.
func (l *Log) addExtent(x *extent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range x.entries {
		x.seg.grow(&a.ent)
	}
	l.durable.Store(int64(x.last().end()))
	l.store.dirty.wrote(x.seg)
}
