package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/tidings-io/tidings/storage/vfs"
)

// What Repair takes from segment files beside what Open does: single entries of
// extents that are damaged in part, and entries that a damaged manifest does not
// list.

// explode takes the intact entries of an extent as if they stood in the journal.
func (r *replay) explode(o *op) error {
	w := o.words
	l := r.store.logs[o.log()]
	if l == nil {
		r.orphans[o.log()] = true
		return nil
	}
	end := Offset(w[5])
	l.known = max(l.known, end)
	g := (&extentRef{segBase: Offset(w[1]), pos: w[2], bytes: w[3]}).file(l.id, end)
	_, intact, err := g.checkEntries(r.store.fs, Offset(w[4]))
	if err != nil || len(intact) == 0 {
		return err
	}
	src, err := r.source(g.name)
	if err != nil {
		return err
	}
	for _, s := range intact {
		c := &checker{log: l.id, r: src.f, pace: noPace}
		err := c.headers(s.pos, s.end, s.to, func(pos int64, e *entry, _ bool) bool {
			r.found(l.id, item{base: e.base, end: e.end(), time: e.time, count: e.count,
				size: int32(e.total()), file: src, pos: pos})
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// source opens a segment file once, for reading until the replay is over.
func (r *replay) source(name string) (*replayFile, error) {
	if src := r.sources[name]; src != nil {
		return src, nil
	}
	f, err := r.store.fs.Open(name, vfs.OpenOptions{})
	if err != nil {
		return nil, err
	}
	if r.sources == nil {
		r.sources = map[string]*replayFile{}
	}
	r.sources[name] = &replayFile{name: name, f: f}
	return r.sources[name], nil
}

// adopt lengthens a log from end towards upTo by intact entries that follow in
// its last segment file, or in files that the manifest does not list.
func (r *replay) adopt(l *Log, end, upTo Offset) (Offset, error) {
	if r.repair == nil || !r.repair.rebuild {
		return end, nil
	}
	for end < upTo {
		to, err := l.adoptFrom(end, upTo)
		if err != nil || to == end {
			return end, err
		}
		end = to
	}
	return end, nil
}

// adoptFrom goes on with the last segment if it ends there, else with a file of
// that base.
func (l *Log) adoptFrom(end, upTo Offset) (Offset, error) {
	if n := len(l.segs); n > 0 && l.segs[n-1].end == end {
		g := l.segs[n-1]
		to, err := g.lengthen(l.store, upTo)
		if err != nil || to > end {
			return to, err
		}
		g.sealed = true
	}
	g := &segment{log: l.id, base: end, end: end, begin: segmentHeader, length: segmentHeader,
		name: segmentName(false, l.id, end)}
	to, err := g.lengthen(l.store, upTo)
	if to > end {
		l.segs = append(l.segs, g)
	}
	return to, err
}

// lengthen adds the intact entries that follow in the segment's file.
func (g *segment) lengthen(s *Store, upTo Offset) (Offset, error) {
	f, err := s.fs.Open(g.name, vfs.OpenOptions{})
	if errors.Is(err, fs.ErrNotExist) {
		return g.end, nil
	}
	if err != nil {
		return g.end, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return g.end, err
	}
	c := &checker{log: g.log, file: g.name, r: f, pace: noPace}
	if err := c.prefix(g.length, size, g.end, upTo); err != nil || len(c.intact) == 0 {
		return g.end, err
	}
	got := c.intact[0]
	g.idx = nil
	g.length, g.end, g.maxTime = got.end, got.to, max(g.maxTime, got.maxTime)
	s.dirty.wrote(g)
	return g.end, nil
}

// addLogsOfFiles lists logs that have segment files and are not in the manifest
// any more, from the first file on.
func (v *salvage) addLogsOfFiles(fsys vfs.FS) error {
	first, err := firstSegments(fsys)
	if err != nil {
		return err
	}
	next := le.Uint64(v.state["C"][8:])
	for _, id := range slices.Sorted(maps.Keys(first)) {
		next = max(next, uint64(id))
		key := string(manifestKey('L', uint64(id)))
		if _, known := v.state[key]; !known {
			v.state[key] = numbers(int64(first[id]), int64(first[id]), 0)
		}
	}
	c := slices.Clone(v.state["C"])
	le.PutUint64(c[8:], next)
	v.state["C"] = c
	return nil
}

// firstSegments finds the first offset of every log that has segment files.
func firstSegments(fsys vfs.FS) (map[LogID]Offset, error) {
	first := map[LogID]Offset{}
	dirs, err := fsys.List(segmentDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, dir := range dirs {
		names, err := fsys.List(segmentDir + "/" + dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			var id LogID
			var base Offset
			if n, _ := fmt.Sscanf(name, "%d-%d.seg", &id, &base); n != 2 {
				continue
			}
			if have, ok := first[id]; !ok || base < have {
				first[id] = base
			}
		}
	}
	return first, nil
}
