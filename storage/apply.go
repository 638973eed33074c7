package storage

import "bytes"

// apply changes the durable state by one operation that is no entry. The
// committer and the recovery both call it, in the order of the frames; doing
// an operation a second time changes nothing. Called with state held.
func (s *Store) apply(o *op) {
	switch o.kind {
	case opPut:
		s.keys[string(o.key)] = bytes.Clone(o.value)
		s.dirty.keys[string(o.key)] = struct{}{}
	case opDelete:
		delete(s.keys, string(o.key))
		s.dirty.keys[string(o.key)] = struct{}{}
	case opNewLog, opDropLog, opTrim:
		s.applyLog(o)
	case opNewSet, opDropSet, opMark:
		s.applySet(o)
	}
}

func (s *Store) applyLog(o *op) {
	id := o.log()
	l := s.logs[id]
	switch {
	case o.kind == opNewLog:
		if l == nil { // in a replay: else applyBatch has it already
			s.logs[id] = s.makeLog(id, o.words[1])
			s.nextLog.Store(max(s.nextLog.Load(), uint64(id)))
		}
	case l == nil:
		return
	case o.kind == opTrim:
		s.dirty.discard(l.trim(Offset(o.words[1])))
		l.fire()
	case o.kind == opDropLog:
		delete(s.logs, id)
		s.dirty.discard(l.drop())
		l.fire()
	}
	s.dirty.log(id)
}

func (s *Store) applySet(o *op) {
	id := SetID(o.words[0])
	x := s.sets[id]
	switch {
	case o.kind == opNewSet:
		if x == nil {
			s.sets[id] = newSet(id)
			s.nextSet.Store(max(s.nextSet.Load(), uint64(id)))
		}
	case x == nil:
		return
	case o.kind == opMark:
		x.mark(Offset(o.words[1]), Offset(o.words[2]))
	case o.kind == opDropSet:
		s.goneSets[id] = x.pageNumbers()
		delete(s.sets, id)
	}
	s.dirty.sets[id] = struct{}{}
}
