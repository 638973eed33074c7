package storage

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tidings-io/tidings/storage/vfs"
)

// A segment file holds entries of one log, in order, behind a header:
//
//	0 magic 4   4 version 4   8 log 8   16 base 8   24 zero 36   60 CRC 4   64 entries
//
// Bytes beyond the length that the manifest or the journal vouch for mean
// nothing: they are space reserved ahead, or writes that were never synced.
const (
	segmentMagic  = 0x47534454 // "TDSG"
	segmentHeader = 64
	// reserveAhead is how much a hot segment is allocated at a time, so that its
	// syncs need not write the file system's own metadata.
	reserveAhead = 8 << 20
	flushChunk   = 256 << 10
	// flushEarly is the write from which on the device is set to work at once,
	// so that a checkpoint finds little to sync.
	flushEarly = 64 << 10
)

type segment struct {
	log  LogID
	base Offset
	name string // of the file
	// begin is where the first entry stands: behind the header, or later where
	// recovery found what comes before trimmed.
	begin int64

	// Guarded by the log's writer: bytes allocated, and whether the directory
	// entry is known to be on the device.
	reserved int64
	linked   bool

	// Guarded by the log's mu. A segment that is not the log's last never grows.
	end     Offset
	length  int64
	maxTime int64
	sealed  bool
	idx     *index // nil until needed
}

func segmentName(volatile bool, id LogID, base Offset) string {
	if volatile {
		return fmt.Sprintf("%s/%d-%d.seg", spillDir, id, base)
	}
	return fmt.Sprintf("%s/%02x/%d-%d.seg", segmentDir, byte(id), id, base)
}

func (g *segment) volatile() bool { return strings.HasPrefix(g.name, spillDir) }

func (g *segment) indexName() string { return g.name[:len(g.name)-len(".seg")] + ".idx" }

func (g *segment) dir() string {
	for i := len(g.name) - 1; ; i-- {
		if g.name[i] == '/' {
			return g.name[:i]
		}
	}
}

func segmentHead(id LogID, base Offset) []byte {
	p := make([]byte, segmentHeader)
	le.PutUint32(p, segmentMagic)
	le.PutUint32(p[4:], formatVersion)
	le.PutUint64(p[8:], uint64(id))
	le.PutUint64(p[16:], uint64(base))
	le.PutUint32(p[60:], checksum(p[:60]))
	return p
}

// checkHead verifies that a file is this segment's.
func (g *segment) checkHead(f io.ReaderAt) error {
	p := make([]byte, segmentHeader)
	if _, err := f.ReadAt(p, 0); err != nil {
		return &Damage{File: g.name, Log: g.log, From: g.base, To: g.end, Why: err.Error()}
	}
	whole := le.Uint32(p) == segmentMagic && le.Uint32(p[60:]) == checksum(p[:60])
	if v := le.Uint32(p[4:]); whole && v > formatVersion {
		return fmt.Errorf("%w: %s has version %d, this program knows %d", ErrFormat, g.name, v, formatVersion)
	}
	if string(p) != string(segmentHead(g.log, g.base)) {
		return &Damage{File: g.name, Len: segmentHeader, Log: g.log, From: g.base, To: g.end,
			Why: "not the header of this segment"}
	}
	return nil
}

// newSegment makes the file of a log's next segment and shows it to readers.
// Called with the log's writer held.
func (l *Log) newSegment(base Offset) (*segment, error) {
	g := &segment{log: l.id, base: base, end: base, begin: segmentHeader, length: segmentHeader, idx: &index{},
		name: segmentName(l.volatile, l.id, base)}
	s := l.store
	if err := s.makeDir(g.dir()); err != nil {
		return nil, err
	}
	f, err := s.fs.Open(g.name, vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return nil, err
	}
	h, err := s.files.adopt(g.name, f)
	if err != nil {
		return nil, err
	}
	defer s.files.put(h)
	if _, err := h.WriteAt(segmentHead(l.id, base), 0); err != nil {
		return nil, err
	}
	if !l.volatile {
		s.dirty.created(g.dir())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped {
		s.dirty.discard([]*segment{g})
	} else {
		l.segs = append(l.segs, g)
	}
	return g, nil
}

// makeDir makes a segment directory once.
func (s *Store) makeDir(dir string) error {
	if _, made := s.madeDirs.Load(dir); made {
		return nil
	}
	if err := s.fs.MkdirAll(dir); err != nil {
		return err
	}
	s.madeDirs.Store(dir, true)
	return nil
}

// room returns the segment that takes n more bytes from offset base on: the
// last one, or a new one. Called with writer held.
func (l *Log) room(base Offset, n int64) (*segment, error) {
	l.mu.RLock()
	var g *segment
	if k := len(l.segs); k > 0 && !l.segs[k-1].sealed && l.segs[k-1].end == base {
		g = l.segs[k-1]
	}
	l.mu.RUnlock()
	if g == nil {
		return l.newSegment(base)
	}
	if g.length > g.begin && g.length+n > l.segBytes {
		if err := l.seal(g); err != nil {
			return nil, err
		}
		return l.newSegment(base)
	}
	return g, l.ensureIndex(g)
}

// seal ends a segment: gives reserved space back and writes its index file.
func (l *Log) seal(g *segment) error {
	if err := l.ensureIndex(g); err != nil {
		return err
	}
	l.mu.Lock()
	g.sealed = true
	x := g.idx
	l.mu.Unlock()
	l.store.indexes.loaded(l, g)
	if l.volatile {
		return nil
	}
	if g.reserved > g.length {
		h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
		if err != nil {
			return err
		}
		defer l.store.files.put(h)
		if err := h.Truncate(g.length); err != nil {
			return err
		}
	}
	l.store.dirty.wrote(g)
	return l.store.writeIndex(g, x)
}

// writeIndex writes a segment's index file. It needs no sync: it carries a
// checksum and can be made again.
func (s *Store) writeIndex(g *segment, x *index) error {
	f, err := s.fs.Open(g.indexName(), vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return err
	}
	_, err = f.WriteAt(x.encode(g.length), 0)
	return errors.Join(err, f.Close())
}

// ensureIndex loads a segment's index, or makes it by reading the segment.
func (l *Log) ensureIndex(g *segment) error {
	l.mu.RLock()
	have, length := g.idx != nil, g.length
	l.mu.RUnlock()
	if have {
		return nil
	}
	x, err := l.store.loadIndex(g, length)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if g.idx == nil && g.length == length {
		g.idx = x
	}
	l.mu.Unlock()
	l.store.indexes.loaded(l, g)
	return nil
}

func (s *Store) loadIndex(g *segment, length int64) (*index, error) {
	h, err := s.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return nil, err
	}
	defer s.files.put(h)
	// A damaged header is found by Scrub; entries say themselves whose they are.
	if err := g.checkHead(h); errors.Is(err, ErrFormat) {
		return nil, err
	}
	if p, err := readFile(s.fs, g.indexName()); err == nil {
		if x, err := decodeIndex(p, length); err == nil {
			return x, nil
		}
	}
	return buildIndex(&segment{log: g.log, base: g.base, begin: g.begin, length: length}, h)
}

// readFile reads a whole small file.
func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name, vfs.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	p := make([]byte, n)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, n), p)
	return p, err
}
