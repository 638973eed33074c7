package storage

import (
	"cmp"
	"fmt"
	"slices"
)

// checkpointed is what a checkpoint says of itself.
type checkpointed struct {
	seq   Seq
	time  int64
	epoch uint64 // of the journal file in use
}

const checkpointItem = 40 // bytes of a 'C' value

// restoreOrder: logs and sets come before their segments and pages.
const restoreOrder = "LTSPHK"

// restore takes over the manifest's state.
func (s *Store) restore(state map[string][]byte) (c checkpointed, err error) {
	if state == nil {
		return c, nil
	}
	v := state["C"]
	if len(v) != checkpointItem {
		return c, &Damage{File: manifestName(s.manifest.n), Why: "no checkpoint in it"}
	}
	s.nextLog.Store(le.Uint64(v[8:]))
	s.nextSet.Store(le.Uint64(v[16:]))
	c = checkpointed{Seq(le.Uint64(v)), int64(le.Uint64(v[24:])), le.Uint64(v[32:])}
	for _, kind := range restoreOrder {
		for k, v := range state {
			if k[0] == byte(kind) && !s.restoreItem(k, v) {
				return c, &Damage{File: manifestName(s.manifest.n), Why: fmt.Sprintf("item %x is not of its form", k)}
			}
		}
	}
	for _, l := range s.logs {
		l.restored()
	}
	return c, nil
}

func (s *Store) restoreItem(k string, v []byte) bool {
	if k[0] == 'K' {
		s.keys[k[1:]] = slices.Clone(v)
		return true
	}
	id, ok := manifestID(k, 1)
	if !ok {
		return false
	}
	switch k[0] {
	case 'L':
		return s.restoreLog(LogID(id), v)
	case 'T':
		x := newSet(SetID(id))
		s.sets[x.id] = x
		if ok = len(v) == 8; ok {
			x.floor = Offset(le.Uint64(v))
		}
		return ok
	}
	second, ok := manifestID(k, 9)
	if !ok {
		return false
	}
	switch k[0] {
	case 'S':
		return s.restoreSegment(LogID(id), Offset(second), v)
	case 'H':
		if l := s.logs[LogID(id)]; l != nil && len(v) == 8 {
			l.addHole(hole{Offset(second), Offset(le.Uint64(v))})
		}
		return len(v) == 8
	}
	x := s.sets[SetID(id)]
	return x == nil || x.loadPage(int64(second), v)
}

func manifestID(k string, at int) (uint64, bool) {
	if len(k) < at+8 {
		return 0, false
	}
	var id uint64
	for i := range 8 {
		id = id<<8 | uint64(k[at+i])
	}
	return id, true
}

func (s *Store) restoreLog(id LogID, v []byte) bool {
	if len(v) != 24 {
		return false
	}
	l := s.makeLog(id, int64(le.Uint64(v[16:])))
	l.known = Offset(le.Uint64(v[8:]))
	l.start.Store(int64(le.Uint64(v)))
	s.logs[id] = l
	return true
}

func (s *Store) restoreSegment(id LogID, base Offset, v []byte) bool {
	l := s.logs[id]
	if len(v) != segmentItem || l == nil {
		return len(v) == segmentItem // a segment whose log was dropped is swept away later
	}
	l.segs = append(l.segs, &segment{log: id, base: base, name: segmentName(false, id, base),
		end: Offset(le.Uint64(v)), length: int64(le.Uint64(v[8:])), maxTime: int64(le.Uint64(v[16:])),
		begin: int64(le.Uint64(v[24:])), sealed: v[32] == 1, linked: true})
	return true
}

// restored completes a log when all its segments are known.
func (l *Log) restored() {
	slices.SortFunc(l.segs, func(a, b *segment) int { return cmp.Compare(a.base, b.base) })
	start := Offset(l.start.Load())
	for len(l.segs) > 0 && l.segs[0].end <= start {
		l.segs = l.segs[1:]
	}
	end := start
	for i, g := range l.segs {
		g.sealed = g.sealed || i < len(l.segs)-1
		end = max(end, g.end)
	}
	l.end.Store(int64(end))
	l.durable.Store(int64(end))
}
