package embedded

import (
	"errors"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/internal/lane"
)

// part is a partition as its group reads it.
type part struct {
	g    *group
	p    *broker.Partition
	name string // of its lane

	// Guarded by the group's mutex.
	owner *consumer // nil: nobody's
	next  *consumer // whose it is to be
	lane  *lane.Lane
	// again is what was given back, to be delivered from memory.
	again []*delivery
	// attempts is which attempt the last or next delivery of an offset is, beyond the first.
	attempts map[int64]int
	dirty    bool  // it is among those of the group
	saved    place // as it was written, or read

	// For the owner, and the one goroutine that receives for him.
	waiter broker.Waiter
	buf    broker.Buffer
	entry  int // of buf, to be read next
	in     broker.RecordReader
	base   broker.Offset // of the next record of the open batch
	open   bool
	pos    broker.Offset // of the next record to deliver
	passed broker.Offset // up to which retention took what was not delivered
}

// place is a cursor as it can be compared.
type place struct {
	at      broker.Offset
	settled string
}

func placeOf(c broker.Cursor) place { return place{c.Offset, c.Metadata} }

func (p place) cursor() broker.Cursor { return cursorOf(p.at, p.settled) }

// inHandLocked is how many deliveries the owner has.
func (x *part) inHandLocked() int { return x.lane.Held() - len(x.again) }

// settleMoveLocked moves a partition that is to be another's, if nothing of it is in hands.
func (x *part) settleMoveLocked() {
	if x.owner == x.next || x.owner != nil && (x.inHandLocked() > 0 || x.owner.collecting) {
		return
	}
	x.moveLocked(x.next)
}

// moveLocked makes it another's; nil is nobody.
func (x *part) moveLocked(to *consumer) {
	if x.owner != nil {
		x.p.Unwatch(&x.waiter)
		x.owner.dropLocked(x)
	}
	x.rereadLocked()
	if x.owner = to; to == nil {
		return
	}
	x.waiter = broker.Waiter{C: to.wake, MinBytes: 1}
	x.p.Watch(&x.waiter)
	to.parts = append(to.parts, x)
	ring(to.wake)
}

// rereadLocked forgets what was read and not delivered.
func (x *part) rereadLocked() {
	x.buf.Release()
	x.entry, x.open, x.pos = 0, false, broker.Offset(x.lane.Next())
}

// giveBackLocked makes what is in hands, or was given back, come again as a further attempt.
func (x *part) giveBackLocked() {
	again := map[int64]bool{}
	for _, d := range x.again {
		again[d.Offset] = true
	}
	next := x.lane.Next()
	for _, off := range x.lane.Position().Held {
		if off < next && !again[off] {
			x.countLocked(off)
		}
	}
	x.again = nil
	x.lane.Rewind()
}

// countLocked says that an offset is to be delivered once more.
func (x *part) countLocked(off int64) (attempt int) {
	if x.attempts == nil {
		x.attempts = map[int64]int{}
	}
	x.attempts[off] = max(x.attempts[off], 1) + 1
	return x.attempts[off]
}

func (x *part) attemptLocked(off int64) int { return max(x.attempts[off], 1) }

// settleLocked ends a delivery for good.
func (x *part) settleLocked(off int64) {
	x.lane.Settle(off)
	if len(x.attempts) > 0 {
		delete(x.attempts, off)
	}
	x.soilLocked()
}

// soilLocked has the position written.
func (x *part) soilLocked() {
	if x.g.temporary {
		return
	}
	if !x.dirty {
		x.dirty = true
		x.g.dirty = append(x.g.dirty, x)
	}
	if x.g.saver != nil {
		x.g.saver.settled()
	}
}

// readBytes is how much of a partition is read at once, in bytes: it is kept while its records are
// delivered. One batch may be longer.
const readBytes = 256 << 10

// slabSize is how many deliveries share memory: one that is held long keeps that much.
const slabSize = 32

// read appends at most n deliveries, for the owner.
func (x *part) read(r *reading, dst []*delivery, n int) ([]*delivery, error) {
	var slab []delivery
	for range n {
		rec, ok, err := x.record()
		damage, damaged := errors.AsType[*damageError](err)
		if damaged {
			rec, ok, err = x.passBatch(), true, nil
		}
		if err != nil || !ok {
			return dst, err
		}
		if len(slab) == cap(slab) {
			_, end := x.p.Bounds()
			left := min(int64(n), int64(end-rec.Offset), slabSize)
			slab = make([]delivery, 0, max(left, 1))
		}
		slab = slab[:len(slab)+1]
		n--
		d := &slab[len(slab)-1]
		x.fill(d, r, &rec, damage)
		dst = append(dst, d)
	}
	return dst, nil
}

// damageError is that a batch cannot be decoded, by nobody: of what is compressed the broker has looked at
// the checksum only.
type damageError struct{ error }

// passBatch goes on behind a batch that cannot be decoded. One record without anything stands for what
// is left of it.
func (x *part) passBatch() broker.Record {
	e := &x.buf.Entries[x.entry-1]
	rec := broker.Record{Offset: max(x.pos, e.Base)}
	x.pos = e.Base + broker.Offset(e.Count)
	x.passed = max(x.passed, x.pos)
	x.open = false
	x.owner.t.c.Logger.Error("a batch of records cannot be decoded", "group", x.g.name, "partition", x.name,
		"from", int64(rec.Offset), "to", int64(x.pos))
	return rec
}

func (x *part) fill(d *delivery, r *reading, rec *broker.Record, damage *damageError) {
	topic := x.p.Topic().Name().Name
	place := func() (id, source string) {
		return x.name + "/" + offsetText(rec.Offset), "embedded:" + topic
	}
	if damage == nil {
		d.Event = r.event(rec, place)
	} else {
		d.Event = foreign(rec, place, damage)
	}
	d.Kind, d.Topic = tidings.KindEvent, topic
	strip(&d.Event) // only an address is where they mean something
	d.Lane, d.Offset = x.name, int64(rec.Offset)
	d.part = x
	d.Settler = d
}

// record is the next one; ok is false where there is none yet.
func (x *part) record() (rec broker.Record, ok bool, err error) {
	for {
		if !x.open {
			if ok, err := x.openBatch(); !ok {
				return rec, false, err
			} else if !x.open {
				continue
			}
		}
		rec, ok, err = x.in.Next()
		if err != nil {
			return rec, false, &damageError{err}
		}
		if !ok {
			x.open = false
			continue
		}
		rec.Offset = x.base // what a record says of its place is its producer's word
		x.base++
		if rec.Offset >= x.pos {
			x.pos = rec.Offset + 1
			return rec, true, nil
		}
	}
}

// openBatch goes on with the next batch, and reads more where that is needed.
func (x *part) openBatch() (ok bool, err error) {
	if x.entry >= len(x.buf.Entries) {
		if ok, err := x.load(); !ok {
			return false, err
		}
	}
	e := &x.buf.Entries[x.entry]
	x.entry++
	x.base = e.Base
	if e.Base+broker.Offset(e.Count) <= x.pos {
		return true, nil // all of it was delivered, or passed over
	}
	if err := x.in.Open(e.Bytes); err != nil {
		return false, &damageError{err}
	}
	x.open = true
	return true, nil
}

func (x *part) load() (ok bool, err error) {
	for {
		x.entry = 0
		start, end := x.p.Bounds()
		if x.pos < start {
			x.loseUntil(start)
		}
		if x.pos >= end {
			x.buf.Release() // an idle partition keeps no memory
			return false, nil
		}
		err = x.p.Read(&x.buf, x.pos, readBytes)
		if errors.Is(err, broker.OutOfRange) { // trimmed meanwhile
			continue
		}
		return err == nil && len(x.buf.Entries) > 0, failure(err)
	}
}

// loseUntil goes on behind what retention took.
func (x *part) loseUntil(start broker.Offset) {
	lost := int64(start - x.pos)
	t := x.owner.t
	t.lost.Add(lost)
	t.c.Logger.Warn("retention took events before the group had come to them",
		"group", x.g.name, "partition", x.name, "from", int64(x.pos), "to", int64(start), "events", lost)
	x.pos, x.passed = start, start
}
