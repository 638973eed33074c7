package storage

import (
	"errors"
	"fmt"
	"io"
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
	return nil, l.parse(buf, buf.mem, parseLimits{from: from, max: maxBytes, file: "ring"})
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
	pos, limit, err := l.lookup(g, func(x *index) int64 { return x.floor(g, int64(from-g.base)) })
	if err != nil {
		return err
	}
	h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer l.store.files.put(h)
	want := int64(maxBytes) + indexEvery + entryHeader
	for {
		want = min(want, limit-pos)
		buf.mem = grow(buf.mem[:0], int(want))
		if n, err := h.ReadAt(buf.mem, pos); int64(n) < want {
			return &Damage{File: g.name, Pos: pos + int64(n), Log: l.id, From: from, To: g.end,
				Why: fmt.Sprintf("the file is too short: %v", err)}
		}
		p := parseLimits{from: from, max: maxBytes, file: g.name, pos: pos, seg: g}
		err := l.parse(buf, buf.mem, p)
		var short *shortRead
		if !errors.As(err, &short) {
			return err
		}
		if pos += int64(short.at); pos+int64(short.need) > limit {
			return l.damage(p, short.at, "an entry longer than its segment")
		}
		want = max(int64(short.need), int64(maxBytes))
	}
}

// lookup asks a segment's index for a position, loading it if needed, and
// returns the segment's length as well.
func (l *Log) lookup(g *segment, f func(*index) int64) (pos, limit int64, err error) {
	for {
		l.mu.RLock()
		if g.idx != nil {
			defer l.mu.RUnlock()
			return f(g.idx), g.length, nil
		}
		l.mu.RUnlock()
		if err := l.ensureIndex(g); err != nil {
			return 0, 0, err
		}
	}
}

type parseLimits struct {
	from Offset
	max  int
	file string
	pos  int64 // of the bytes in file
	seg  *segment

	entry *entry // what is damaged, where its header is intact
}

// shortRead says that the first wanted entry needs more bytes than were read.
type shortRead struct{ at, need int }

func (*shortRead) Error() string { return "short read" }

// parse takes the entries from p.from on out of mem and verifies them.
func (l *Log) parse(buf *Buffer, mem []byte, p parseLimits) error {
	size := 0
	for at := 0; at < len(mem); {
		if len(mem)-at < entryHeader {
			return needMore(buf, at, entryHeader)
		}
		e, ok := parseEntry(mem[at:])
		if !ok || e.log != l.id {
			return l.damagedAfter(buf, p, at, "no entry header of this log where one should be")
		}
		n := e.total()
		if e.end() <= p.from {
			at += n
			if at > len(mem) {
				return needMore(buf, at, entryHeader)
			}
			continue
		}
		if size += n; len(buf.Entries) > 0 && size > p.max {
			return nil
		}
		if len(mem)-at < n {
			return needMore(buf, at, n)
		}
		payload := mem[at+entryHeader : at+n : at+n]
		if !e.intact(payload) {
			p.entry = &e
			return l.damagedAfter(buf, p, at, "an entry does not carry its checksum")
		}
		buf.Entries = append(buf.Entries, View{e.base, e.count, e.time, payload})
		at += n
	}
	return nil
}

func needMore(buf *Buffer, at, need int) error {
	if len(buf.Entries) > 0 {
		return nil
	}
	return &shortRead{at, need}
}

// damagedAfter answers damage unless good entries come before it: they are
// given out first.
func (l *Log) damagedAfter(buf *Buffer, p parseLimits, at int, why string) error {
	if len(buf.Entries) > 0 {
		return nil
	}
	return l.damage(p, at, why)
}

// damage describes damaged bytes: one entry, or where its header is damaged
// all up to where the index knows an entry again.
func (l *Log) damage(p parseLimits, at int, why string) error {
	d := &Damage{File: p.file, Pos: p.pos + int64(at), Log: l.id, From: p.from, Why: why}
	if e := p.entry; e != nil {
		d.From, d.To, d.Len = e.base, e.end(), int64(e.total())
		return d
	}
	g := p.seg
	if g == nil {
		return d
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	d.To, d.Len = g.end, g.length-d.Pos
	if g.idx == nil {
		return d
	}
	for _, m := range g.idx.marks {
		if int64(m.pos) > d.Pos && g.base+Offset(m.rel) > p.from {
			d.To, d.Len = g.base+Offset(m.rel), int64(m.pos)-d.Pos
			break
		}
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
	pos, limit, err := l.lookup(g, func(x *index) int64 { return x.before(g, wanted) })
	if err != nil {
		return 0, false, err
	}
	h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return 0, false, err
	}
	defer l.store.files.put(h)
	var found *entry
	err = scanEntries(io.ReaderAt(h), pos, limit, func(_ int64, e *entry) bool {
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
