package storage

import (
	"cmp"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// LogOptions are settled when a log is made.
type LogOptions struct {
	// Volatile keeps nothing on disk: the log is empty after a restart. Beyond
	// 64 KiB it spills into files that are wiped at Open.
	Volatile bool
	// SegmentBytes overrides Config.SegmentBytes; 4 KiB to 1 GiB.
	SegmentBytes int64
}

// Log is an append-only sequence of entries. Its records lie in segment files,
// the newest of them in the tail: the ring of journal frames.
//
//	start          base of tail           durable         end
//	  |  segments       |      tail          |  submitted  |
//
// Safe for concurrent use. Readers never see beyond durable.
type Log struct {
	store    *Store
	id       LogID
	volatile bool
	segBytes int64

	// end is what Submit has assigned; written under Store.mu.
	end atomic.Int64
	// start and durable bound what readers see; written under mu.
	start, durable atomic.Int64
	// taken counts the segments that trims and drops took away.
	taken atomic.Int64

	known   Offset // the end that the last checkpoint before Open knew of
	plan    plan   // owned by the committer
	gone    bool   // dropped by a Submit; guarded by Store.mu
	waiting int    // volatile: changes in queued frames; guarded by Store.mu

	// writer is held by whoever writes this log's segment files: the flusher, or
	// the committer for an extent. Order: writer, then mu. It is held during the
	// write, which goes to the page cache and not to the device.
	writer sync.Mutex

	mu       sync.RWMutex
	dropped  bool
	segs     []*segment // by base; the last may be open for appending
	tail     []tailRef  // by base
	held     [][]byte   // volatile: the bytes of each tailRef
	tailSize int
	watchers []*Waiter
	holes    []hole // by from, apart from each other
}

// hole is a range of offsets whose records Repair gave up.
type hole struct{ from, to Offset }

// giveUp notes a hole for the next checkpoint. Called by Repair only.
func (l *Log) giveUp(h hole) {
	l.addHole(h)
	l.store.dirty.log(l.id)
}

// addHole takes a hole, as one with those that it touches. Called before there
// are readers.
func (l *Log) addHole(h hole) {
	l.holes = append(l.holes, h)
	slices.SortFunc(l.holes, func(a, b hole) int { return cmp.Compare(a.from, b.from) })
	merged := l.holes[:1]
	for _, next := range l.holes[1:] {
		if last := &merged[len(merged)-1]; next.from <= last.to {
			last.to = max(last.to, next.to)
		} else {
			merged = append(merged, next)
		}
	}
	l.holes = merged
}

// pastHole is the end of the hole that an offset lies in, or the offset.
func (l *Log) pastHole(o Offset) Offset {
	for _, h := range l.holes {
		if h.from <= o && o < h.to {
			return h.to
		}
	}
	return o
}

// tailRef is an entry in the tail.
type tailRef struct {
	base  Offset
	at    uint64 // ring position of its header
	time  int64
	count int32
	size  int32 // header and payload
}

func (r *tailRef) end() Offset { return r.base + Offset(r.count) }

// NewLog makes a log that exists once the batch is durable; entries may be
// appended to it in the same batch.
func (s *Store) NewLog(b *Batch, o LogOptions) *Log {
	l := s.makeLog(LogID(s.nextLog.Add(1)), o.SegmentBytes)
	l.volatile = o.Volatile
	d := b.get()
	d.logs = append(d.logs, l)
	if !l.volatile {
		b.words(opNewLog, int64(l.id), o.SegmentBytes)
	}
	return l
}

func (s *Store) makeLog(id LogID, segBytes int64) *Log {
	if segBytes == 0 {
		segBytes = s.cfg.SegmentBytes
	}
	segBytes = min(max(segBytes, minSegmentBytes), maxSegmentBytes)
	return &Log{store: s, id: id, segBytes: segBytes}
}

// ID is the log's number.
func (l *Log) ID() LogID { return l.id }

// Bounds returns the first offset that can be read, the offset after the last
// durable record, where readers stop, and the offset that the next append gets.
func (l *Log) Bounds() (start, durable, end Offset) {
	return Offset(l.start.Load()), Offset(l.durable.Load()), Offset(l.end.Load())
}

// SizeBytes is what the log's records take on disk, 44 bytes an entry included.
func (l *Log) SizeBytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := int64(l.tailSize)
	for _, g := range l.segs {
		n += g.length - g.begin
	}
	return n
}

// Watch makes a waiter hear of this log until Unwatch. One that is dropped already has no other
// news: the waiter hears of that at once.
func (l *Log) Watch(w *Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = append(l.watchers, w)
	if l.dropped {
		w.fire()
	}
}

// Unwatch ends Watch.
func (l *Log) Unwatch(w *Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.watchers, w); i >= 0 {
		l.watchers = slices.Delete(l.watchers, i, i+1)
	}
}

// Dropped says that the log is gone for good.
func (l *Log) Dropped() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dropped
}

// Rouse wakes whoever watches the log, for news that is not in it.
func (l *Log) Rouse() { l.fire() }

func (l *Log) wake(bytes int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.watchers {
		w.add(bytes)
	}
}

// fire wakes the watchers whatever they wait for.
func (l *Log) fire() {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.watchers {
		w.fire()
	}
}

// addTail shows a durable entry to readers.
func (l *Log) addTail(r tailRef) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, r)
	l.tailSize += int(r.size)
	l.durable.Store(int64(r.end()))
}

// carried notes that an entry of the tail now stands in a newer frame.
func (l *Log) carried(base Offset, at uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.findTail(base); i < len(l.tail) && l.tail[i].base == base {
		l.tail[i].at = at
	}
}

// findTail returns the index of the first tail entry that ends after from.
func (l *Log) findTail(from Offset) int {
	return sort.Search(len(l.tail), func(i int) bool { return l.tail[i].end() > from })
}

// oldest is the ring position that the log still needs; false if none.
func (l *Log) oldest() (uint64, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.tail) == 0 || l.volatile {
		return 0, false
	}
	at := l.tail[0].at
	for i := range l.tail { // a carried entry may stand behind its successors
		at = min(at, l.tail[i].at)
	}
	return at, true
}

// cutTail drops the first n tail entries. Called with mu held.
func (l *Log) cutTail(n int) {
	cut := int64(0)
	for i := range l.tail[:n] {
		cut += int64(l.tail[i].size)
	}
	l.tailSize -= int(cut)
	if l.volatile {
		l.held = cutFront(l.held, n)
		l.store.volatileBytes.Add(-cut)
	}
	l.tail = cutFront(l.tail, n)
	if len(l.tail) == 0 && cap(l.tail) > keptTail {
		l.tail, l.held = nil, nil
	}
}

// keptTail is how many entries a log has room for once it has none.
const keptTail = 64

// cutFront drops the first n and lets go of what they point to. It moves the rest
// only where that is the smaller part: cutting all, bit by bit, moves each once.
func cutFront[T any](s []T, n int) []T {
	if n < len(s)/2 {
		clear(s[:n])
		return s[n:]
	}
	return slices.Delete(s, 0, n)
}

// trim moves the start and returns the segments that are no longer needed.
func (l *Log) trim(to Offset) []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int64(to) <= l.start.Load() {
		return nil
	}
	l.start.Store(int64(to))
	l.cutTail(l.findTail(to))
	next := Offset(l.durable.Load())
	if len(l.tail) > 0 {
		next = l.tail[0].base
	}
	n := 0
	for n < len(l.segs) && l.segs[n].end <= to && l.segs[n].base < next {
		n++ // an empty one at next stays: the following would have its name
	}
	gone := slices.Clone(l.segs[:n])
	l.taken.Add(int64(n))
	l.segs = slices.Delete(l.segs, 0, n)
	return gone
}

// drop empties the log and returns all its segments.
func (l *Log) drop() []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := l.segs
	l.taken.Add(int64(len(gone)))
	l.dropped, l.segs = true, nil
	l.cutTail(len(l.tail))
	return gone
}

// Expired returns where a log would start if whole segments were dropped whose
// records are all older than before (ms; negative: no limit), and the oldest
// ones while the rest still holds keepBytes (negative: no limit). Where all
// records are older, that is the durable end.
func (l *Log) Expired(before, keepBytes int64) Offset {
	l.mu.RLock()
	defer l.mu.RUnlock()
	total := int64(l.tailSize)
	for _, g := range l.segs {
		total += g.length - g.begin
	}
	for _, g := range l.segs {
		total -= g.length - g.begin
		old := before >= 0 && g.maxTime < before
		if !old && (keepBytes < 0 || total < keepBytes) {
			return max(g.base, Offset(l.start.Load()))
		}
	}
	for i := range l.tail {
		if before < 0 || l.tail[i].time >= before {
			return max(l.tail[0].base, Offset(l.start.Load()))
		}
	}
	return Offset(l.durable.Load())
}

// tailBytes returns an entry of the tail, valid while mu is held.
func (l *Log) tailBytes(i int) []byte {
	if l.volatile {
		return l.held[i]
	}
	return l.store.ring.at(l.tail[i].at, int(l.tail[i].size))
}
