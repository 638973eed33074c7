package broker

import (
	"encoding/binary"
	"slices"

	"github.com/tidings-io/tidings/storage"
)

// A restart takes the transient records of a durable queue. They stand in its log
// among others, so Open looks for them, in queues that ever got one: a key says from
// which offset on. What is found is settled, and the cursor passes over it. Only then
// the queue is as long as it says.

// sweepAtOnce is how much Open reads of all queues together before it returns; of more
// the rest is read while the broker runs.
const sweepAtOnce = 8 << 20

// sweeping is what a durable lane knows of transient records, if it ever got one: then the
// key is there.
type sweeping struct {
	// from is where those of earlier starts may begin, and to behind the last; equal:
	// there are none, or they have been found.
	from, to Offset
	fresh    Offset // the first of this start; -1: none
	// skip is what was found ahead of the cursor, in order, and skipped how many.
	skip    []offsets
	skipped int64
}

func transientKey(log storage.LogID) []byte {
	return binary.BigEndian.AppendUint64([]byte{familyTransient}, uint64(log))
}

func transientValue(from Offset) []byte {
	return binary.AppendUvarint([]byte{valueVersion}, uint64(from))
}

// noteTransientLocked notes that a transient record is about to be appended.
func (l *lane) noteTransientLocked(batch *storage.Batch) {
	switch {
	case l.sweep == nil:
		l.sweep = &sweeping{fresh: l.end}
		batch.Put(transientKey(l.log.ID()), transientValue(l.end))
	case l.sweep.fresh < 0:
		l.sweep.fresh = l.end
	}
}

// skipped is how many records ahead of the cursor a restart took.
func (l *lane) skipped() int64 {
	if l.sweep == nil {
		return 0
	}
	return l.sweep.skipped
}

// loadSweep reads where transient records of earlier starts may be.
func (l *lane) loadSweep(store *storage.Store) error {
	v, ok := store.Get(transientKey(l.log.ID()))
	if !ok {
		return nil
	}
	d := newDecoder(v)
	l.sweep = &sweeping{from: max(Offset(d.uvarint()), l.trimmed), to: l.end, fresh: -1}
	return d.end("transient records")
}

// sweepQueues finds the transient records of earlier starts: at once where they are
// few, and else while the broker runs.
func (b *Broker) sweepQueues() {
	left := int64(sweepAtOnce)
	var later []*Queue
	for _, q := range b.cat.queues {
		size := q.sweepSize()
		if left -= size; size > 0 && left >= 0 {
			q.sweep()
		} else if size > 0 {
			later = append(later, q)
		}
	}
	if len(later) > 0 {
		b.loops.Go(func() {
			for _, q := range later {
				q.sweep()
			}
		})
	}
}

// sweepSize is how many bytes sweep reads, about.
func (q *Queue) sweepSize() (n int64) {
	for _, l := range q.lanes {
		if l.sweep != nil {
			n += l.log.SizeBytes() + 1
		}
	}
	return n
}

// sweep reads the records of earlier starts. It ends early when the broker does: the
// next Open begins again.
func (q *Queue) sweep() {
	var buf storage.Buffer
	defer buf.Release()
	for _, l := range q.lanes {
		if l.sweep == nil {
			continue
		}
		for from := l.sweep.from; from < l.sweep.to; {
			if q.b.life.Err() != nil {
				return
			}
			found, next := q.findLost(l, &buf, from)
			if !q.lose(l, found) {
				return
			}
			from = next
		}
		q.swept(l)
	}
}

// findLost reads some records from an offset on, and returns what of them a restart
// took. What cannot be read is left to who takes it.
func (q *Queue) findLost(l *lane, buf *storage.Buffer, from Offset) (found []offsets, next Offset) {
	if err := l.log.Read(buf, from, takeBytes); err != nil {
		return nil, from + 1
	}
	if len(buf.Entries) == 0 {
		return nil, l.sweep.to
	}
	for _, e := range buf.Entries {
		next = e.Base + 1
		if !lostAtRestart(e.Bytes, q.b.start) {
			continue
		}
		if n := len(found); n > 0 && found[n-1].to == e.Base {
			found[n-1].to++
		} else {
			found = append(found, offsets{e.Base, e.Base + 1})
		}
	}
	return found, next
}

// lose settles what a restart took. It is false when the queue or the store has ended.
func (q *Queue) lose(l *lane, found []offsets) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead || len(found) == 0 {
		return !q.dead
	}
	r := removal{store: q.b.store}
	q.loseReturnedLocked(&r, l, found)
	for _, f := range found {
		if f.from = max(f.from, l.next); f.from < f.to {
			r.batch.Mark(l.settled, f.from, f.to)
			l.sweep.add(f)
			r.submitFull()
		}
	}
	l.skipLocked()
	_, err := r.submit()
	q.lookLocked()
	return err == nil
}

// loseReturnedLocked settles those that count as handed out before the restart.
func (q *Queue) loseReturnedLocked(r *removal, l *lane, found []offsets) {
	rest := l.back[:0]
	for _, x := range l.back {
		i, _ := slices.BinarySearchFunc(found, x.off, func(f offsets, off Offset) int { return int(f.to - off - 1) })
		if i == len(found) || x.off < found[i].from {
			rest = append(rest, x)
			continue
		}
		r.batch.Mark(l.settled, x.off, x.off+1)
		if q.counted {
			r.batch.Delete(deliveriesKey(l.log.ID(), x.off))
		}
		l.forgetLocked(&r.batch, x.off)
		r.submitFull()
	}
	back := rest
	l.back = nil
	for _, x := range back { // a heap again
		l.back.push(x)
	}
}

func (s *sweeping) add(f offsets) {
	s.skipped += int64(f.to - f.from)
	if n := len(s.skip); n > 0 && s.skip[n-1].to == f.from {
		s.skip[n-1].to = f.to
	} else {
		s.skip = append(s.skip, f)
	}
}

// skipLocked moves the cursor over what a restart took.
func (l *lane) skipLocked() {
	for l.sweep != nil && len(l.sweep.skip) > 0 && l.sweep.skip[0].from <= l.next {
		f := l.sweep.skip[0]
		l.next = f.to
		l.sweep.skipped -= int64(f.to - f.from)
		if l.sweep.skip = l.sweep.skip[1:]; len(l.sweep.skip) == 0 {
			l.sweep.skip = nil
		}
	}
}

// swept notes what of the search the next Open need not do again.
func (q *Queue) swept(l *lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.sweep.from = l.sweep.to
	if q.dead || len(l.sweep.skip) > 0 {
		return // the cursor must pass over it after a restart too
	}
	var batch storage.Batch
	if l.sweep.fresh < 0 {
		l.sweep = nil
		batch.Delete(transientKey(l.log.ID()))
	} else {
		batch.Put(transientKey(l.log.ID()), transientValue(l.sweep.fresh))
	}
	_, _ = q.b.store.Submit(&batch) // where it fails the key stays, and the search is done again
}
