package storage

import (
	"errors"
	"io"
	"slices"
	"sort"
	"sync"
)

// index is sparse: one mark for the first entry that begins in each 4 KiB of a
// segment. 16 bytes a mark, so 256 KiB for a full segment of 64 MiB.
type index struct {
	marks   []mark
	next    int64 // position from which the next mark is due
	maxTime int64 // of all entries so far
}

type mark struct {
	rel  uint32 // base offset - segment base
	pos  uint32
	time int64 // greatest time of the entries before pos
}

const indexEvery = 4096

// add notes an entry at pos.
func (x *index) add(g *segment, e *entry, pos int64) {
	if pos >= x.next {
		x.marks = append(x.marks, mark{uint32(e.base - g.base), uint32(pos), x.maxTime})
		x.next = pos + indexEvery
	}
	x.maxTime = max(x.maxTime, e.time)
}

// floor returns the position from which to look for an offset.
func (x *index) floor(g *segment, rel int64) int64 {
	i := sort.Search(len(x.marks), func(i int) bool { return int64(x.marks[i].rel) > rel })
	if i == 0 {
		return g.begin
	}
	return int64(x.marks[i-1].pos)
}

// before returns the position from which to look for the first wanted time.
func (x *index) before(g *segment, wanted func(time int64) bool) int64 {
	i := sort.Search(len(x.marks), func(i int) bool { return i > 0 && wanted(x.marks[i].time) })
	if i == 0 {
		return g.begin
	}
	return int64(x.marks[i-1].pos)
}

// An index file is a cache: it may be missing or of another time.
//
//	0 magic 4   4 version 4   8 segment bytes covered 8   16 marks 4   20 CRC 4
//	24 max time 8   32 marks: rel 4, pos 4, time 8
const (
	indexMagic  = 0x58494454 // "TDIX"
	indexHeader = 32
	markBytes   = 16
)

func (x *index) encode(covered int64) []byte {
	p := make([]byte, indexHeader, indexHeader+markBytes*len(x.marks))
	le.PutUint32(p, indexMagic)
	le.PutUint32(p[4:], formatVersion)
	le.PutUint64(p[8:], uint64(covered))
	le.PutUint32(p[16:], uint32(len(x.marks)))
	le.PutUint64(p[24:], uint64(x.maxTime))
	for _, m := range x.marks {
		p = le.AppendUint32(p, m.rel)
		p = le.AppendUint32(p, m.pos)
		p = le.AppendUint64(p, uint64(m.time))
	}
	le.PutUint32(p[20:], checksum(p[24:]))
	return p
}

var errStaleIndex = errors.New("index file is not of this segment")

func decodeIndex(p []byte, covered int64) (*index, error) {
	if len(p) < indexHeader || le.Uint32(p) != indexMagic || le.Uint32(p[4:]) != formatVersion ||
		le.Uint64(p[8:]) != uint64(covered) ||
		len(p) != indexHeader+markBytes*int(le.Uint32(p[16:])) ||
		le.Uint32(p[20:]) != checksum(p[24:]) {
		return nil, errStaleIndex
	}
	x := &index{maxTime: int64(le.Uint64(p[24:]))}
	for q := p[indexHeader:]; len(q) > 0; q = q[markBytes:] {
		x.marks = append(x.marks, mark{le.Uint32(q), le.Uint32(q[4:]), int64(le.Uint64(q[8:]))})
	}
	if n := len(x.marks); n > 0 {
		x.next = int64(x.marks[n-1].pos) + indexEvery
	}
	return x, nil
}

// buildIndex reads the headers of a segment's entries. What cannot be read is
// passed over: reading those offsets answers the damage, and those behind it have
// a mark of their own.
func buildIndex(g *segment, r io.ReaderAt) (*index, error) {
	x := &index{}
	c := &checker{log: g.log, r: r, pace: noPace}
	err := c.headers(g.begin, g.length, anyEnd, func(pos int64, e *entry, after bool) bool {
		if after {
			x.next = pos
		}
		x.add(g, e, pos)
		return true
	})
	return x, err
}

// indexCache bounds how many sealed segments' indexes are in memory.
type indexCache struct {
	mu   sync.Mutex
	held []indexed // oldest first, each segment once
}

type indexed struct {
	log *Log
	seg *segment
}

const maxIndexes = 64

// loaded notes that a segment's index is in memory now, and lets go of the
// oldest. Called without a log's mu.
func (c *indexCache) loaded(l *Log, g *segment) {
	for _, x := range c.add(indexed{l, g}) {
		x.log.mu.Lock()
		if x.seg.sealed {
			x.seg.idx = nil
		}
		x.log.mu.Unlock()
	}
}

// add returns those that are too many now. One that is there already moves to
// the end: twice in the list, the older would take away what the newer has.
func (c *indexCache) add(x indexed) (tooMany []indexed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.held, x); i >= 0 {
		c.held = slices.Delete(c.held, i, i+1)
	}
	c.held = append(c.held, x)
	if n := len(c.held) - maxIndexes; n > 0 {
		tooMany = slices.Clone(c.held[:n])
		c.held = slices.Delete(c.held, 0, n)
	}
	return tooMany
}
