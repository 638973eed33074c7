package storage

// settleTails makes the journal before a cut unnecessary: every tail entry
// older than the ring position head goes to its segment or, where a log has
// only a little, is written again into the newest journal file. A log that gets
// a record now and then so costs no segment file and no sync of its own.
func (s *Store) settleTails(head uint64, carry bool) error {
	var batches []*batchData
	budget := 0
	if carry {
		budget = s.carryBudget()
	}
	for _, l := range s.durableLogs() {
		at, ok := l.oldest()
		if !ok || at >= head {
			continue
		}
		if d := l.copyForCarry(min(s.cfg.CarryBytes, budget)); d != nil {
			budget -= len(d.buf)
			batches = append(batches, d)
			continue
		}
		if err := l.flush(); err != nil {
			return err
		}
	}
	if len(batches) == 0 {
		return nil
	}
	if s.awaitCarry(s.queueCarry(batches)) {
		return nil
	}
	return s.settleTails(head, false) // no room in the journal: segments after all
}

// carryBudget is how much may be written again: nothing while the committer
// waits for room, since it is the one who would write it.
func (s *Store) carryBudget() int {
	budget := s.cfg.TailBytes / 8
	if s.stalled.Load() || s.journal.room() < 2*int64(budget) {
		return 0
	}
	return budget
}

// copyForCarry copies the log's whole tail, if it has no more than limit bytes.
func (l *Log) copyForCarry(limit int) *batchData {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.tailSize > limit {
		return nil
	}
	d := batchPool.Get().(*batchData)
	d.carry = true
	for i := range l.tail {
		p := l.tailBytes(i)
		e, ok := parseEntry(p)
		if !ok {
			panic("storage: the ring holds an entry without a valid header")
		}
		d.appends = append(d.appends, appended{log: l, ent: e, pos: len(d.buf)})
		d.buf = append(grow(d.buf, len(p))[:len(d.buf)], p...)
	}
	return d
}

// queueCarry queues the copies and returns the sequence of the last.
func (s *Store) queueCarry(batches []*batchData) Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range batches {
		f := s.openFrameLocked(len(d.buf))
		f.batches = append(f.batches, d)
		f.bytes += len(d.buf)
		s.pending.Add(int64(len(d.buf)))
	}
	send(s.wake)
	return s.lastSeq
}

// awaitCarry waits for the committer, but not while the committer waits for
// room that only this checkpoint can make.
func (s *Store) awaitCarry(q Seq) bool {
	if s.cfg.manual {
		return s.commitAll() == nil
	}
	ch := make(chan struct{}, 1)
	s.Notify(ch, q)
	for s.Durable() < q {
		select {
		case <-ch:
		case <-s.stallWake:
		case <-s.failed:
			return false
		case <-s.committed:
			return false
		}
		if s.stalled.Load() && s.Durable() < q {
			return false
		}
	}
	return true
}
