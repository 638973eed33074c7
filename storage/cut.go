package storage

import (
	"slices"

	"github.com/tidings-io/tidings/storage/vfs"
)

// cutDamage takes damaged entries out of a log's segments. The entries before
// the first damage stay in their file, which ends there from now on; those
// behind it are copied to files of their own. The next checkpoint makes it so
// at once; until then the old files are as they were.
func (l *Log) cutDamage() (lost []Lost, err error) {
	start, _, _ := l.Bounds()
	for _, g := range l.segmentsNow() {
		damaged, intact, err := g.check(l.store.fs, noPace)
		if err != nil {
			return lost, err
		}
		hole := false
		for _, d := range damaged {
			if d.To > d.From {
				hole = true
				lost = append(lost, Lost{l.id, max(d.From, min(start, d.To)), d.To})
			} else if err := l.rewriteHead(&g); err != nil {
				return lost, err
			}
		}
		if hole {
			if err := l.cutSegment(&g, intact); err != nil {
				return lost, err
			}
		}
	}
	lost = slices.DeleteFunc(lost, func(x Lost) bool { return x.From == x.To })
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range lost {
		l.giveUp(hole{x.From, x.To})
	}
	return lost, nil
}

func (l *Log) rewriteHead(g *snapshot) error {
	h, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return err
	}
	defer l.store.files.put(h)
	l.store.dirty.wrote(g.live)
	_, err = h.WriteAt(segmentHead(g.log, g.base), 0)
	return err
}

// cutSegment puts the intact stretches of a segment in its place.
func (l *Log) cutSegment(g *snapshot, intact []stretch) error {
	var pieces []*segment
	kept := len(intact) > 0 && intact[0].pos == g.begin
	if kept {
		s := intact[0]
		pieces = append(pieces, &segment{log: l.id, base: g.base, name: g.name, begin: g.begin,
			end: s.to, length: s.end, maxTime: s.maxTime, sealed: true, linked: true})
		intact = intact[1:]
	}
	for _, s := range intact {
		p, err := l.copyStretch(g, s)
		if err != nil {
			return err
		}
		pieces = append(pieces, p)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.segs, g.live)
	l.segs = slices.Replace(l.segs, i, i+1, pieces...)
	if !kept {
		l.store.dirty.discard([]*segment{g.live})
	}
	for _, p := range pieces {
		l.store.dirty.wrote(p)
	}
	return nil
}

// copyStretch copies entries to a segment file of their own, which nothing
// refers to until it is in the manifest.
func (l *Log) copyStretch(g *snapshot, s stretch) (*segment, error) {
	p := &segment{log: l.id, base: s.from, name: segmentName(false, l.id, s.from), begin: segmentHeader,
		end: s.to, length: segmentHeader + s.end - s.pos, maxTime: s.maxTime, sealed: true}
	src, err := l.store.files.get(g.name, vfs.OpenOptions{Write: true})
	if err != nil {
		return nil, err
	}
	defer l.store.files.put(src)
	dst, err := l.store.files.get(p.name, vfs.OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return nil, err
	}
	defer l.store.files.put(dst)
	l.store.dirty.created(p.dir())
	if _, err := dst.WriteAt(segmentHead(l.id, p.base), 0); err != nil {
		return nil, err
	}
	return p, copyBytes(dst, segmentHeader, src, s.pos, s.end)
}

func copyBytes(dst vfs.File, to int64, src vfs.File, from, end int64) error {
	buf := allocBytes(flushChunk)[:flushChunk]
	defer freeBytes(buf)
	for from < end {
		p := buf[:min(int64(len(buf)), end-from)]
		if _, err := src.ReadAt(p, from); err != nil {
			return err
		}
		if _, err := dst.WriteAt(p, to); err != nil {
			return err
		}
		from, to = from+int64(len(p)), to+int64(len(p))
	}
	return nil
}
