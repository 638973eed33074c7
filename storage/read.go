package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"

	"github.com/tidings-io/tidings/storage/vfs"
)

// View is an entry as it was appended, with its base offset in place.
type View struct {
	Base  Offset
	Count int32
	Time  int64
	Bytes []byte
}

// Buffer receives entries. The zero value is ready; it may be used for many
// reads, one at a time.
type Buffer struct {
	// Entries are whole and in order. Their bytes are valid until the next Read
	// into this buffer or Release.
	Entries []View
	mem     []byte
}

// Release gives the memory back; the entries are no longer valid.
func (b *Buffer) Release() {
	freeBytes(b.mem)
	b.mem = nil
	clear(b.Entries)
	b.Entries = b.Entries[:0]
}

// Read fills buf with entries from the one that holds offset from on, or the
// first after it: as many whole ones as fit into maxBytes, and at least one if
// there is any, however large. At the durable end there is none. It may stop
// early at the end of a segment. Checksums are verified: damage answers a
// *Damage when it is the first entry. Other errors: ErrOutOfRange, ErrDropped.
func (l *Log) Read(buf *Buffer, from Offset, maxBytes int) error {
	buf.Release()
	for {
		g, err := l.readTail(buf, from, maxBytes)
		if g == nil || err != nil {
			return err
		}
		err = l.readSegment(buf, g, from, maxBytes)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := l.missingFile(g, from); err != nil {
			return err
		}
	}
}

// readTail reads from the tail if from lies there; else it returns the segment
// to read.
func (l *Log) readTail(buf *Buffer, from Offset, maxBytes int) (*segment, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.inRange(from); err != nil {
		return nil, err
	}
	if g := l.segmentOf(from); g != nil {
		return g, nil
	}
	size := 0
	first := l.findTail(from)
	last := first
	for last < len(l.tail) && (last == first || size+int(l.tail[last].size) <= maxBytes) {
		size += int(l.tail[last].size)
		last++
	}
	if size == 0 {
		return nil, nil
	}
	buf.mem = allocBytes(size)
	for i := first; i < last; i++ {
		buf.mem = append(buf.mem, l.tailBytes(i)...)
	}
	return nil, l.parse(buf, buf.mem, parseLimits{from: from, max: maxBytes})
}

// inRange checks an offset against the bounds. Called with mu held.
func (l *Log) inRange(from Offset) error {
	start, end := Offset(l.start.Load()), Offset(l.durable.Load())
	switch {
	case l.dropped:
		return ErrDropped
	case from < start || from > end:
		return fmt.Errorf("%w: %d is not within %d to %d", ErrOutOfRange, from, start, end)
	}
	return nil
}

// segmentOf returns the segment that holds an offset or what comes next after
// it; nil if that is in the tail. Called with mu held.
func (l *Log) segmentOf(from Offset) *segment {
	i := sort.Search(len(l.segs), func(i int) bool { return l.segs[i].end > from })
	if i == len(l.segs) {
		return nil
	}
	return l.segs[i]
}

// missingFile is the damage of a segment without its file; nil where a trim took
// the segment away: the bounds are others now.
func (l *Log) missingFile(g *segment, from Offset) error {
	if l.forgot(g) {
		return nil
	}
	return g.missingFile(from)
}

func (g *segment) missingFile(from Offset) *Damage {
	return &Damage{File: g.name, Log: g.log, From: max(from, g.base), To: g.end, Why: "the file is missing"}
}

// forgot says that the log no longer has the segment.
func (l *Log) forgot(g *segment) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, have := range l.segs {
		if have == g {
			return false
		}
	}
	return true
}

func (l *Log) readSegment(buf *Buffer, g *segment, from Offset, maxBytes int) error {
	r := segmentRead{log: l, seg: g, from: from, max: maxBytes}
	var err error
	r.place, err = l.lookup(g, func(x *index) int64 { return x.floor(g, int64(from-g.base)) })
	if err != nil {
		return err
	}
	h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer l.store.files.put(h)
	r.file = h
	return r.run(buf)
}

// place is where to read in a segment, and where it ended at that moment.
type place struct {
	pos, limit int64
	end        Offset
}

// lookup asks a segment's index for a position, loading it if needed.
func (l *Log) lookup(g *segment, f func(*index) int64) (place, error) {
	for {
		l.mu.RLock()
		if g.idx != nil {
			defer l.mu.RUnlock()
			return place{f(g.idx), g.length, g.end}, nil
		}
		l.mu.RUnlock()
		if err := l.ensureIndex(g); err != nil {
			return place{}, err
		}
	}
}

// segmentRead is one Read from a segment file.
type segmentRead struct {
	place
	log  *Log
	seg  *segment
	file vfs.File
	from Offset
	max  int
}

func (r *segmentRead) run(buf *Buffer) error {
	want := int64(r.max) + indexEvery + entryHeader
	for r.pos < r.limit {
		want = min(want, r.limit-r.pos)
		buf.mem = grow(buf.mem[:0], int(want))
		n, readErr := r.file.ReadAt(buf.mem, r.pos)
		err := r.log.parse(buf, buf.mem[:n], parseLimits{from: r.from, max: r.max, seg: r.seg, pos: r.pos})
		var short *shortRead
		if !errors.As(err, &short) {
			return err
		}
		r.pos += int64(short.at)
		switch {
		case short.why != "":
		case int64(n) < want:
			short.why = fmt.Sprintf("it cannot be read: %v", readErr)
		case r.pos+int64(short.need) > r.limit && r.pos < r.limit:
			short.why = "an entry longer than its segment"
		default:
			want = max(int64(short.need), int64(r.max))
			continue
		}
		if err := r.passOver(short); err != nil {
			return err
		}
	}
	return &Damage{File: r.seg.name, Pos: r.limit, Log: r.log.id, From: r.from, To: r.end,
		Why: "entries are missing at the end"}
}

// passOver goes on with the next entry that can be told from its surroundings;
// a *Damage if the wanted offset lies before it.
func (r *segmentRead) passOver(bad *shortRead) error {
	c := &checker{log: r.log.id, r: r.file, pace: noPace}
	from := bad.next
	next, base, err := c.find(r.pos, r.limit, from, r.end)
	if err != nil {
		return err
	}
	if base <= r.from {
		r.pos = next
		return nil
	}
	if from == anyOffset {
		from = r.from
	}
	return &Damage{File: r.seg.name, Pos: r.pos, Len: next - r.pos, Log: r.log.id, From: from, To: base, Why: bad.why}
}

type parseLimits struct {
	from Offset
	max  int
	seg  *segment // nil in the tail
	pos  int64    // of the bytes in the segment's file
}

// shortRead says that the first wanted entry needs more bytes than were read, or
// why there is none where one should be. next is the offset that it begins with.
type shortRead struct {
	at, need int
	why      string
	next     Offset
}

func (*shortRead) Error() string { return "short read" }

// parse takes the entries from p.from on out of mem and verifies them.
func (l *Log) parse(buf *Buffer, mem []byte, p parseLimits) error {
	size := 0
	next := anyOffset
	for at := 0; at < len(mem); {
		if len(mem)-at < entryHeader {
			return shortUnless(buf, &shortRead{at: at, need: entryHeader, next: next})
		}
		e, ok := parseEntry(mem[at:])
		misplaced := p.seg != nil && next != anyOffset && e.base != next
		if !ok || e.log != l.id || misplaced {
			return shortUnless(buf, &shortRead{at: at, next: next,
				why: "no entry header of this log where one should be"})
		}
		n := e.total()
		next = e.end()
		if e.end() <= p.from {
			at += n
			if at > len(mem) {
				return shortUnless(buf, &shortRead{at: at, need: entryHeader, next: next})
			}
			continue
		}
		if size += n; len(buf.Entries) > 0 && size > p.max {
			return nil
		}
		if len(mem)-at < n {
			return shortUnless(buf, &shortRead{at: at, need: n, next: e.base})
		}
		payload := mem[at+entryHeader : at+n : at+n]
		if !e.intact(payload) {
			return damagedUnless(buf, &e, p, at)
		}
		buf.Entries = append(buf.Entries, View{e.base, e.count, e.time, payload})
		at += n
	}
	return shortUnless(buf, &shortRead{at: len(mem), need: entryHeader, next: next})
}

// shortUnless is no error where good entries come before: they are given out first.
func shortUnless(buf *Buffer, short *shortRead) error {
	if len(buf.Entries) > 0 {
		return nil
	}
	return short
}

func damagedUnless(buf *Buffer, e *entry, p parseLimits, at int) error {
	if len(buf.Entries) > 0 {
		return nil
	}
	d := &Damage{File: "ring", Pos: p.pos + int64(at), Len: int64(e.total()), Log: e.log, From: e.base,
		To: e.end(), Why: "an entry does not carry its checksum"}
	if p.seg != nil {
		d.File = p.seg.name
	}
	return d
}

// Find returns the base of the first entry whose time is t or later.
func (l *Log) Find(t int64) (Offset, bool, error) {
	return l.search(func(time int64) bool { return time >= t })
}

// MaxTime returns the greatest time in the log and the base of the first entry
// that has it; ok is false for an empty log.
func (l *Log) MaxTime() (t int64, base Offset, ok bool, err error) {
	l.mu.RLock()
	start := Offset(l.start.Load())
	for _, g := range l.segs {
		t, ok = maxOf(t, g.maxTime, ok)
	}
	for i := range l.tail {
		t, ok = maxOf(t, l.tail[i].time, ok)
	}
	l.mu.RUnlock()
	if !ok {
		return 0, start, false, nil
	}
	base, ok, err = l.Find(t)
	return t, base, ok, err
}

func maxOf(a, b int64, have bool) (int64, bool) {
	if have {
		b = max(a, b)
	}
	return b, true
}

// search returns the first entry at or after the start whose time is wanted;
// wanted must hold for all times above one for which it holds.
func (l *Log) search(wanted func(time int64) bool) (Offset, bool, error) {
	l.mu.RLock()
	start := Offset(l.start.Load())
	var segs []*segment
	for _, g := range l.segs {
		if wanted(g.maxTime) && g.end > start {
			segs = append(segs, g)
		}
	}
	l.mu.RUnlock()
	for _, g := range segs {
		base, ok, err := l.searchSegment(g, start, wanted)
		if errors.Is(err, fs.ErrNotExist) {
			err = l.missingFile(g, start)
		}
		if ok || err != nil {
			return base, ok, err
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i := range l.tail {
		if wanted(l.tail[i].time) && l.tail[i].end() > start {
			return l.tail[i].base, true, nil
		}
	}
	return 0, false, nil
}

func (l *Log) searchSegment(g *segment, start Offset, wanted func(int64) bool) (Offset, bool, error) {
	at, err := l.lookup(g, func(x *index) int64 { return x.before(g, wanted) })
	if err != nil {
		return 0, false, err
	}
	h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return 0, false, err
	}
	defer l.store.files.put(h)
	var found *entry
	c := &checker{log: l.id, r: h, pace: noPace}
	err = c.headers(at.pos, at.limit, at.end, func(_ int64, e *entry, _ bool) bool {
		if wanted(e.time) && e.end() > start {
			c := *e
			found = &c
		}
		return found == nil
	})
	if found == nil {
		return 0, false, err
	}
	return found.base, true, nil
}
