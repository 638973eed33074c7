package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/storage/vfs"
)

// recover brings the store to where it was, step by step:
//
//  1. load the manifest: the state at the last checkpoint
//  2. replay the journal after it
//  3. put entries found in the journal where they belong: small tails into the
//     ring, the rest into segment files
//  4. begin a new journal file, write a checkpoint, delete what is left over
//
// A crash on the way changes nothing: the old journal files stay until the
// checkpoint is on the device.
func (s *Store) recover() error {
	m, state, err := loadManifest(s.fs)
	if err != nil {
		return err
	}
	if m == nil {
		if m, err = s.create(); err != nil {
			return err
		}
	}
	if err := s.settleManifest(m); err != nil {
		return err
	}
	s.manifest = m
	c, err := s.restore(state)
	if err != nil {
		return err
	}
	r := newReplay(s, c.seq+1)
	r.settle, r.time, r.epoch = true, c.time, c.epoch
	if r.repair = s.cfg.repair; r.repair != nil {
		r.accept = r.repair.accepted
	}
	defer r.close()
	if err := r.openFiles(s.fs); err != nil {
		return err
	}
	if err := r.run(); err != nil {
		return err
	}
	r.tellTorn()
	return s.resume(r)
}

// settleManifest has on the device what was just read: a process that was killed
// may have left directory entries, and a checkpoint in the manifest, that this
// one sees and the device does not have. Journal files are used again on the
// word of that checkpoint.
func (s *Store) settleManifest(m *manifest) error {
	f, err := s.fs.Open(manifestName(m.n), vfs.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	for _, dir := range []string{".", journalDir} {
		if err := s.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// create lays out an empty data directory. CURRENT comes before any journal
// file, so that a journal without CURRENT is never taken for a fresh start.
func (s *Store) create() (*manifest, error) {
	if err := s.refuseOrphanJournal(); err != nil {
		return nil, err
	}
	for _, dir := range []string{".", journalDir, segmentDir} {
		if err := s.fs.MkdirAll(dir); err != nil {
			return nil, err
		}
	}
	m := &manifest{fs: s.fs}
	var e edit
	e.put([]byte{'C'}, numbers(0, 0, 0, 0, 0))
	if err := m.rewrite(&e); err != nil {
		return nil, err
	}
	m.f, m.base = nil, m.off
	return m, nil
}

func (s *Store) refuseOrphanJournal() error {
	names, err := s.fs.List(journalDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		p, err := readPrefix(s.fs, journalDir+"/"+name, blockSize)
		if err != nil {
			return err
		}
		if _, ok, err := parseJournalHead(p); ok || err != nil {
			return cmp.Or(err, error(&Damage{File: currentName, Why: "it is missing, but there is a journal"}))
		}
	}
	return nil
}

func readPrefix(fsys vfs.FS, name string, n int64) ([]byte, error) {
	f, err := fsys.Open(name, vfs.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, n))
}

// resume puts the replayed entries in their places and begins a new journal.
func (s *Store) resume(r *replay) error {
	manual := s.cfg.manual
	s.cfg.manual = true // no goroutine runs yet
	defer func() { s.cfg.manual = manual }()
	logs := s.durableLogs()
	if err := s.sortItems(r, logs); err != nil {
		return err
	}
	for _, l := range logs {
		if err := l.resume(r.items[l.id]); err != nil {
			return err
		}
	}
	s.lastSeq = r.next - 1
	s.recovered = s.lastSeq
	s.durable.Store(uint64(s.lastSeq))
	s.ring.shown.Store(s.ring.head.Load())
	s.checkSpace()
	if err := s.manifest.open(); err != nil {
		return err
	}
	if err := s.openJournal(r); err != nil {
		return err
	}
	if err := s.checkpoint(true); err != nil {
		return err
	}
	return s.sweep()
}

// sortItems looks at every log before anything is written.
func (s *Store) sortItems(r *replay, logs []*Log) error {
	for _, l := range logs {
		need, err := l.missing(r, r.items[l.id])
		if err != nil {
			return err
		}
		if len(need) == 0 {
			delete(r.items, l.id)
			continue
		}
		r.items[l.id] = need
		if err := l.checkLast(r); err != nil {
			return err
		}
	}
	return nil
}

// checkLast makes sure that the segment can be written which goes on with what
// the journal holds.
func (l *Log) checkLast(r *replay) error {
	n := len(l.segs)
	if n == 0 || l.segs[n-1].sealed {
		return nil
	}
	g := l.segs[n-1]
	h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
	if err == nil {
		l.store.files.put(h)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.damaged(g.missingFile(g.base)); err != nil {
		return err
	}
	l.segs = l.segs[:n-1]
	l.giveUp(hole{g.base, g.end})
	l.store.dirty.discard([]*segment{g})
	return nil
}

// missing returns the items that are in no segment, in order and without the
// copies that were carried forward.
func (l *Log) missing(r *replay, items []item) (need []item, err error) {
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.base, b.base) })
	end := max(Offset(l.end.Load()), Offset(l.start.Load()))
	lost := func(to Offset, why string) error {
		if end = min(l.pastHole(end), to); end == to {
			return nil // given up before
		}
		d := &Damage{File: journalDir, Log: l.id, From: end, To: to, Why: why}
		if err := r.damaged(d); err != nil {
			return err
		}
		l.giveUp(hole{end, to})
		return nil
	}
	for _, it := range items {
		if it.end <= end {
			continue
		}
		if it.base > end && len(need) == 0 {
			if end, err = r.adopt(l, end, it.base); err != nil {
				return nil, err
			}
		}
		if it.base > end {
			if err := lost(it.base, "records between the segments and the journal are missing"); err != nil {
				return nil, err
			}
		}
		need, end = append(need, it), it.end
	}
	if len(need) == 0 {
		if end, err = r.adopt(l, end, math.MaxInt64); err != nil {
			return nil, err
		}
	}
	if end < l.known {
		if err := lost(l.known, "records that a checkpoint knew of are in no file"); err != nil {
			return nil, err
		}
		end = l.known // their offsets are not given out again
	}
	l.end.Store(int64(end))
	l.durable.Store(int64(end))
	return need, nil
}

// resume places what the journal holds of a log and its segments do not.
func (l *Log) resume(items []item) error {
	if len(items) == 0 {
		return nil
	}
	if size := inlineBytes(items); size >= 0 && size <= l.store.cfg.CarryBytes {
		if ok, err := l.resumeTail(items, size); ok || err != nil {
			return err
		}
	}
	return l.resumeSegments(items)
}

// inlineBytes is what items take in the journal; -1 if extents are among them.
func inlineBytes(items []item) (size int) {
	for i := range items {
		if items[i].ext != nil {
			return -1
		}
		size += int(items[i].size)
	}
	return size
}

// resumeTail puts a small tail into the ring; the checkpoint carries it forward.
func (l *Log) resumeTail(items []item, size int) (bool, error) {
	ring := l.store.ring
	pos, ok := ring.fit(roundUp(size))
	if !ok || ring.used() > len(ring.mem)/2 {
		return false, nil
	}
	mem := ring.at(pos, size)
	ring.head.Store(pos + uint64(roundUp(size)))
	for _, it := range items {
		if _, err := it.file.f.ReadAt(mem[:it.size], it.pos); err != nil {
			return false, err
		}
		l.tail = append(l.tail, tailRef{base: it.base, at: pos, time: it.time, count: it.count, size: it.size})
		l.tailSize += int(it.size)
		mem, pos = mem[it.size:], pos+uint64(it.size)
	}
	return true, nil
}

// resumeSegments writes items to segment files. Extents stand there already,
// and what comes before them in the same file must reach exactly to them. So a
// new segment is begun where an extent says that one was, and nowhere else as
// long as extents follow.
func (l *Log) resumeSegments(items []item) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	buf := allocBytes(flushChunk)
	defer func() { freeBytes(buf) }()
	for len(items) > 0 {
		g, err := l.segmentFor(items)
		if err != nil {
			return err
		}
		n := 1
		if x := items[0].ext; x != nil {
			g.extend(&items[0], x.bytes)
		} else {
			if buf, n, err = gatherItems(buf[:0], beforeSegment(items)); err != nil {
				return err
			}
			if err := l.writeChunk(g, buf); err != nil {
				return err
			}
			for i := range n {
				g.extend(&items[i], int64(items[i].size))
			}
		}
		l.store.dirty.wrote(g)
		items = items[n:]
	}
	return nil
}

// segmentFor returns the segment in which the first item belongs, its length
// being where that goes.
func (l *Log) segmentFor(items []item) (*segment, error) {
	base := items[0].base
	var g *segment
	if n := len(l.segs); n > 0 && !l.segs[n-1].sealed && l.segs[n-1].end == base {
		g = l.segs[n-1]
	}
	segBase, pos, bound := extentPlace(items)
	switch {
	case !bound && (g == nil || g.length > l.segBytes):
		return l.reopenSegment(base, base, segmentHeader)
	case !bound || g != nil && g.base == segBase && g.length == pos:
		return g, nil
	case segBase > base && g != nil:
		return g, nil
	case segBase > base:
		return l.reopenSegment(base, base, segmentHeader)
	case pos != segmentHeader && base > Offset(l.start.Load()):
		return nil, &Damage{File: segmentName(false, l.id, segBase), Pos: pos, Log: l.id, From: base,
			Why: "an extent does not follow what is before it"}
	}
	return l.reopenSegment(segBase, base, pos)
}

// beforeSegment cuts items where the segment of the next extent begins.
func beforeSegment(items []item) []item {
	segBase, _, bound := extentPlace(items)
	if !bound || segBase <= items[0].base {
		return items
	}
	i := slices.IndexFunc(items, func(it item) bool { return it.base >= segBase })
	return items[:i]
}

// extentPlace looks ahead to the first extent: it stands in the segment that
// begins with segBase, and pos is where the first item must go for the bytes
// between to reach it. bound is false if no extent follows.
func extentPlace(items []item) (segBase Offset, pos int64, bound bool) {
	i := slices.IndexFunc(items, func(it item) bool { return it.ext != nil })
	if i < 0 {
		return 0, 0, false
	}
	x := items[i].ext
	pos = x.pos
	for _, it := range items[:i] {
		if it.base >= x.segBase {
			pos -= int64(it.size)
		}
	}
	return x.segBase, pos, true
}

// reopenSegment begins a segment at a position of a file that may be there,
// with extents in it. What stands before the position was trimmed.
func (l *Log) reopenSegment(fileBase, base Offset, pos int64) (*segment, error) {
	g := &segment{log: l.id, base: fileBase, end: base, begin: pos, length: pos,
		name: segmentName(false, l.id, fileBase)}
	if err := l.store.makeDir(g.dir()); err != nil {
		return nil, err
	}
	h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true, Create: true})
	if err != nil {
		return nil, err
	}
	defer l.store.files.put(h)
	l.store.dirty.created(g.dir())
	l.store.dirty.revive(g.name)
	if _, err := h.WriteAt(segmentHead(l.id, fileBase), 0); err != nil {
		return nil, err
	}
	if n := len(l.segs); n > 0 && l.segs[n-1].base == fileBase {
		l.segs = l.segs[:n-1]
	} else if n > 0 {
		l.segs[n-1].sealed = true
	}
	l.segs = append(l.segs, g)
	return g, nil
}

// extend grows a segment without its index, which is made when needed.
func (g *segment) extend(it *item, bytes int64) {
	g.idx = nil
	g.length += bytes
	g.end = it.end
	g.maxTime = max(g.maxTime, it.time)
}

// gatherItems reads consecutive inline items, about a chunk of them.
func gatherItems(buf []byte, items []item) ([]byte, int, error) {
	n := 0
	for ; n < len(items) && items[n].ext == nil; n++ {
		it := &items[n]
		if n > 0 && (len(buf)+int(it.size) > flushChunk || it.base != items[n-1].end) {
			break
		}
		at := len(buf)
		buf = grow(buf, int(it.size))
		if _, err := it.file.f.ReadAt(buf[at:], it.pos); err != nil {
			return buf, 0, err
		}
	}
	return buf, n, nil
}

// openJournal takes over the old journal files and begins a new one. Those that
// were replayed, or that the manifest asks for, may not be written before the
// next checkpoint.
func (s *Store) openJournal(r *replay) error {
	j := &journal{fs: s.fs, limit: s.journalLimit(), first: s.cfg.firstJournal,
		policy: s.cfg.Sync, direct: s.cfg.Sync == SyncAlways}
	j.epoch = r.epoch // or higher: see below
	j.last.Store(uint64(s.lastSeq))
	j.synced.Store(uint64(s.lastSeq))
	j.time.Store(r.time)
	s.journal = j
	for i, rf := range r.files {
		if rf.head.epoch == 0 && rf.size < s.cfg.firstJournal {
			continue // never completed: made anew when needed
		}
		// A file that lost its end grows again: one that is too small for a frame
		// would be free and of no use.
		jf := &journalFile{name: rf.name, size: max(rf.size&^(blockSize-1), j.first),
			epoch: rf.head.epoch, last: s.lastSeq}
		if rf.head.epoch > 0 && rf.head.epoch >= r.epoch || slices.Contains(r.needed, rf) {
			jf.state = journalFull
		}
		if i+1 < len(r.files) && r.files[i+1].head.first > 0 {
			jf.last = r.files[i+1].head.first - 1
		}
		j.epoch = max(j.epoch, rf.head.epoch)
		if err := j.open(jf); err != nil {
			return err
		}
		j.files = append(j.files, jf)
	}
	first := j.takeFree(s.cfg.firstJournal)
	if first == nil {
		var err error
		first, err = j.create(s.cfg.firstJournal)
		if errors.Is(err, vfs.ErrNoSpace) {
			return fmt.Errorf("a start needs %d MiB for its journal; free some space, nothing is lost: %w",
				s.cfg.firstJournal>>20, err)
		}
		if err != nil {
			return err
		}
	}
	if err := j.probe(first); err != nil {
		return err
	}
	return j.begin(first, s.lastSeq+1)
}

// journalLimit keeps the journal below a sixteenth of a small disk.
func (s *Store) journalLimit() int64 {
	limit := s.cfg.JournalBytes
	if _, total, err := s.fs.Space(); err == nil && total > 0 {
		limit = min(limit, max(total/16, 4*s.cfg.firstJournal))
	}
	return limit
}

// sweep deletes files that nothing refers to: segments whose deletion a crash
// interrupted, or that were begun and never acknowledged; and what spilled.
func (s *Store) sweep() error {
	if err := s.manifest.removeOld(); err != nil {
		return err
	}
	if err := s.fs.RemoveAll(spillDir); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, l := range s.durableLogs() {
		for _, g := range l.segs {
			known[g.name], known[g.indexName()] = true, true
		}
	}
	dirs, err := s.fs.List(segmentDir)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		dir = segmentDir + "/" + dir
		s.madeDirs.Store(dir, true)
		names, err := s.fs.List(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			name = dir + "/" + name
			if known[name] {
				continue
			}
			if err := s.sweepFile(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) sweepFile(name string) error {
	switch {
	case strings.HasSuffix(name, ".idx"):
	case !strings.HasSuffix(name, ".seg"):
		return nil
	case s.cfg.repair != nil && s.cfg.repair.rebuild:
		return s.cfg.repair.keepFile(name)
	}
	return s.files.remove(name)
}
