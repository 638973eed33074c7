package storage

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// checker reads a stretch of a segment file and verifies every entry in it:
// checksums, and that offsets go on without a gap. What is damaged is listed,
// and reading goes on behind it.
type checker struct {
	log  LogID
	file string
	r    io.ReaderAt
	// pace is called before every read of a chunk; its error ends the check.
	pace func(bytes int) error

	buf     []byte
	at      int64 // where in the file buf begins
	damaged []*Damage
	intact  []stretch
	// unreadable is a failed read of the device, which damages a chunk.
	unreadable error
}

// stretch is consecutive intact entries.
type stretch struct {
	pos, end int64
	from, to Offset
	maxTime  int64
}

const checkChunk = 256 << 10

// anyOffset stands for the offset of a first entry that nobody noted, anyEnd for
// that behind the last one.
const (
	anyOffset = Offset(-1)
	anyEnd    = Offset(math.MaxInt64)
)

// run checks the entries in pos <= p < limit, which hold the offsets from <= o < to.
func (c *checker) run(pos, limit int64, from, to Offset) error {
	c.buf = allocBytes(checkChunk)[:0]
	defer func() { freeBytes(c.buf) }()
	for pos < limit {
		e, why, err := c.entryAt(pos, limit, from, to)
		if err != nil {
			return err
		}
		if why == "" {
			c.extend(pos, &e)
			pos, from = pos+int64(e.total()), e.end()
			continue
		}
		next, base := pos+int64(e.total()), e.end()
		if e.count == 0 { // not even its header is known
			if next, base, err = c.resync(pos, limit, from, to); err != nil {
				return err
			}
		}
		c.damage(&Damage{Pos: pos, Len: next - pos, From: max(from, 0), To: base, Why: why})
		pos, from = next, base
	}
	if from != to && from != anyOffset {
		c.damage(&Damage{Pos: limit, From: from, To: to, Why: "entries are missing at the end"})
	}
	return nil
}

// headers calls fn for each entry header, payloads unread, until it returns
// false. What cannot be read is passed over; after says that the entry is the
// first behind it.
func (c *checker) headers(pos, limit int64, to Offset, fn func(pos int64, e *entry, after bool) bool) error {
	c.buf = allocBytes(checkChunk)[:0]
	defer func() { freeBytes(c.buf) }()
	from, after := anyOffset, false
	for pos < limit {
		p, err := c.bytes(pos, int(min(entryHeader, limit-pos)))
		if err != nil {
			return err
		}
		e, why := c.header(p, pos, limit, from, to)
		if why != "" {
			if pos, from, err = c.resync(pos, limit, from, to); err != nil {
				return err
			}
			after = true
			continue
		}
		if !fn(pos, &e, after) {
			return nil
		}
		pos, from, after = pos+int64(e.total()), e.end(), false
	}
	return nil
}

// prefix finds the intact entries that begin at pos, up to the offset to, and
// ends with the first that is not.
func (c *checker) prefix(pos, limit int64, from, to Offset) error {
	c.buf = allocBytes(checkChunk)[:0]
	defer func() { freeBytes(c.buf) }()
	for from < to && pos < limit {
		e, why, err := c.entryAt(pos, limit, from, to)
		if err != nil || why != "" {
			return err
		}
		c.extend(pos, &e)
		pos, from = pos+int64(e.total()), e.end()
	}
	return nil
}

// entryAt verifies one entry; why says what is wrong. Where the header is not
// what it should be, the entry is empty.
func (c *checker) entryAt(pos, limit int64, from, to Offset) (e entry, why string, err error) {
	p, err := c.bytes(pos, int(min(entryHeader, limit-pos)))
	if err != nil {
		return entry{}, "", err
	}
	if e, why = c.header(p, pos, limit, from, to); why != "" {
		return entry{}, why, nil
	}
	intact, err := c.payload(pos+entryHeader, &e)
	if err == nil && !intact {
		why = "an entry does not carry its checksum"
	}
	return e, why, err
}

// header parses the header of an entry that goes on at the offset from; why says
// what is wrong.
func (c *checker) header(p []byte, pos, limit int64, from, to Offset) (e entry, why string) {
	e, ok := parseEntry(p)
	switch {
	case !ok && c.unreadable != nil:
		return e, c.unreadable.Error()
	case !ok && len(p) < entryHeader:
		return e, "the file is too short"
	case !ok || e.log != c.log:
		return e, "no entry header of this log where one should be"
	case from != anyOffset && e.base != from || e.end() > to || pos+int64(e.total()) > limit:
		return e, fmt.Sprintf("an entry of the offsets %d to %d where it does not belong", e.base, e.end())
	}
	return e, ""
}

// bytes returns n bytes at pos, fewer at the end of the file or where the device
// cannot be read; n is at most a chunk.
func (c *checker) bytes(pos int64, n int) ([]byte, error) {
	if pos < c.at || pos+int64(n) > c.at+int64(len(c.buf)) {
		if err := c.pace(checkChunk); err != nil {
			return nil, err
		}
		c.fill(pos, n)
	}
	p := c.buf[pos-c.at:]
	return p[:min(n, len(p))], nil
}

// fill reads a chunk at pos; where that fails, only the n bytes that are wanted.
func (c *checker) fill(pos int64, n int) {
	got, err := c.r.ReadAt(c.buf[:checkChunk], pos)
	if got < n && err != nil && !errors.Is(err, io.EOF) {
		got, err = c.r.ReadAt(c.buf[:n], pos)
	}
	c.unreadable = nil
	if err != nil && !errors.Is(err, io.EOF) {
		c.unreadable = err
	}
	c.buf, c.at = c.buf[:got], pos
}

// some returns up to n bytes at pos: those that were read already, or a chunk.
func (c *checker) some(pos int64, n int) ([]byte, error) {
	if have := c.at + int64(len(c.buf)) - pos; pos >= c.at && have > 0 {
		n = min(n, int(have))
	}
	return c.bytes(pos, min(n, checkChunk))
}

// payload verifies an entry's payload piece by piece: it may be large.
func (c *checker) payload(pos int64, e *entry) (intact bool, err error) {
	crc, at := uint32(0), 0
	var base [8]byte // under the patch
	for at < int(e.size) {
		p, err := c.some(pos+int64(at), int(e.size)-at)
		if err != nil || len(p) == 0 {
			return false, err
		}
		if e.patch != 0 {
			p = unpatch(bytes.Clone(p), int(e.patch)-1-at, base[:])
		}
		crc = crc32.Update(crc, castagnoli, p)
		at += len(p)
	}
	return crc == e.crc && (e.patch == 0 || e.patched(base[:])), nil
}

// unpatch moves the bytes under the patch, which begins at p[at:], out of p.
func unpatch(p []byte, at int, base []byte) []byte {
	for i := range base {
		if j := at + i; j >= 0 && j < len(p) {
			base[i], p[j] = p[j], 0
		}
	}
	return p
}

// find is resync for who does nothing else.
func (c *checker) find(pos, limit int64, from, to Offset) (int64, Offset, error) {
	c.buf = allocBytes(checkChunk)[:0]
	defer func() { freeBytes(c.buf) }()
	return c.resync(pos, limit, from, to)
}

// resync looks for the next entry behind bytes that are none: one whose header
// is intact and that another one follows, or the end.
func (c *checker) resync(pos, limit int64, from, to Offset) (int64, Offset, error) {
	for at := pos + 1; at+entryHeader <= limit; at++ {
		p, err := c.bytes(at, entryHeader)
		if err != nil {
			return 0, 0, err
		}
		if c.unreadable != nil && len(p) == 0 {
			at += blockSize - 1 - at%blockSize // on to the next block
			continue
		}
		if len(p) < entryHeader && c.unreadable == nil {
			break
		}
		e, ok := c.plausible(p, from, to)
		if !ok {
			continue
		}
		if ok, err = c.followed(at, limit, &e, to); err != nil {
			return 0, 0, err
		}
		if ok {
			return at, e.base, nil
		}
	}
	return limit, to, nil
}

func (c *checker) plausible(p []byte, from, to Offset) (entry, bool) {
	if len(p) < entryHeader || p[0] != byte(opAppend) || LogID(le.Uint64(p[8:])) != c.log {
		return entry{}, false
	}
	e, ok := parseEntry(p)
	return e, ok && e.base > from && e.end() <= to
}

// followed says that an entry ends the stretch, or that the next one goes on.
func (c *checker) followed(pos, limit int64, e *entry, to Offset) (bool, error) {
	next := pos + int64(e.total())
	if next >= limit {
		return next == limit && (e.end() == to || to == anyEnd), nil
	}
	at := c.at
	p, err := c.bytes(next, entryHeader)
	if err != nil {
		return false, err
	}
	after, ok := parseEntry(p)
	if c.at != at { // resync goes on where it was
		_, err = c.bytes(pos, entryHeader)
	}
	return ok && after.log == c.log && after.base == e.end(), err
}

func (c *checker) extend(pos int64, e *entry) {
	n := len(c.intact)
	if n == 0 || c.intact[n-1].end != pos || c.intact[n-1].to != e.base {
		c.intact = append(c.intact, stretch{pos: pos, from: e.base, maxTime: e.time})
		n++
	}
	s := &c.intact[n-1]
	s.end, s.to, s.maxTime = pos+int64(e.total()), e.end(), max(s.maxTime, e.time)
}

// damage notes damage, as one where it touches what was noted before.
func (c *checker) damage(d *Damage) {
	d.File, d.Log = c.file, c.log
	if n := len(c.damaged); n > 0 {
		last := c.damaged[n-1]
		if last.Pos+last.Len == d.Pos && last.To == d.From {
			last.Len, last.To = last.Len+d.Len, d.To
			return
		}
	}
	c.damaged = append(c.damaged, d)
}
