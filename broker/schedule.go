package broker

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// delayedType is the type of exchange that holds records back for as long as they ask
// for, and then leads them on as the type that its argument delayedRouting names.
const (
	delayedType    = "x-delayed-message"
	delayedRouting = "x-delayed-type"
)

// schedule keeps records that are to be published to one exchange at a later time. Each
// is published once, by the bindings of that moment: one batch of the store puts it into
// the queues and takes it out of the schedule.
//
// The records lie in logs by how long they wait: class k takes delays from 2^k to
// 2^(k+1) ms, and is made when it is first used.
//
//	class 21       settled set             in runs            next     durable   end
//	gone ..........|..x..x.....x...........|..................|... sleeping ...| .. |
//	               due, and published      could be due soon   cannot be due
//
// So a log is in the order of due times within a factor of two: what lies in front goes
// first, and the log is trimmed as time passes. A record of class k that came at a time t
// is due no earlier than t+2^k, so the cursor next reads on as time passes. What lies
// behind it takes no memory; what lies before it and waits takes a run (see runs) for
// each stretch of records whose times do not decrease: one for a million records that
// all asked for the same delay, and 12 bytes a record where delays are random.
//
// Nothing else is kept. After a restart the cursor begins at the log's start, and reads
// on as far as could be due by then.
type schedule struct {
	x     *Exchange     // where the records go
	order storage.LogID // behind that of all logs: its place in the order of locks

	mu      sync.Mutex
	dead    bool
	classes []*class    // in the order in which they were made
	lastSeq storage.Seq // of the newest record
	waiting int64
	alarm   int64 // when the loop comes, ms; never
}

// class is the log of one range of delays.
type class struct {
	lane // guarded by schedule.mu; next is written by the loop only
	k    uint8
	last int64 // guarded by schedule.mu: the greatest time in the log, ms
	// purged is the offset before which everything was; guarded by schedule.mu.
	purged Offset

	// Owned by the schedule loop.
	runs  runs
	opens int64          // when the record at next could be due, ms; 0: not known
	ahead []storage.View // what was read to be published, side by side
	// forgotten is as purged: what lies before it is not in runs.
	forgotten Offset
}

// never is the alarm of a schedule that has nothing to do.
const never = math.MaxInt64

// scheduleOrder is greater than the id of every log.
const scheduleOrder = 1 << 63

func (b *Broker) newSchedule(x *Exchange) schedule {
	return schedule{x: x, alarm: never, order: scheduleOrder | storage.LogID(b.exchanges.Add(1))}
}

// Delayed is how many records wait to be published to the exchange at their times. One
// that was transient, and of an earlier start, is counted until its time has come.
func (x *Exchange) Delayed() int64 {
	s := &x.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// classLocked returns the class k, if it is there.
func (s *schedule) classLocked(k uint8) *class {
	if i := slices.IndexFunc(s.classes, func(c *class) bool { return c.k == k }); i >= 0 {
		return s.classes[i]
	}
	return nil
}

// placeLocked finds the class of a record that comes now and is due at a time, and the
// time that it is noted with. Times in a log never decrease, or the cursor would stop
// before a record that is due: where the clock was set back, a record goes to a class
// below its own, and at worst to class 0, of which everything is read at once.
func (s *schedule) placeLocked(now, due int64) (k uint8, noted int64) {
	if due <= now {
		return 0, now
	}
	for k = uint8(bits.Len64(uint64(due-now)) - 1); k > 0; k-- {
		noted = now
		if c := s.classLocked(k); c != nil {
			noted = max(now, c.last)
		}
		if due-noted >= 1<<k {
			return k, noted
		}
	}
	return 0, now
}

// opening is when a record noted at a time could be due, at the earliest.
func (c *class) opening(noted int64) int64 {
	if c.k == 0 {
		return 0
	}
	return noted + 1<<c.k
}

// lead is how far ahead the cursor reads, so that it need not come for every record.
func (c *class) lead() int64 { return max(leastLead, int64(1)<<c.k/16) }

const leastLead = 100 // ms

// appendLocked puts a record into the class that it belongs to, and returns when that
// could be due.
func (s *schedule) appendLocked(w *work, rec *QueueRecord, now, due int64) (opens int64) {
	k, noted := s.placeLocked(now, due)
	c := s.classLocked(k)
	if c == nil {
		c = s.makeClassLocked(&w.batch, k)
	}
	w.scratch = appendScheduled(w.scratch[:0], rec, due, s.x.b.start)
	w.batch.Append(c.log, storage.Entry{Count: 1, Time: noted, Bytes: w.scratch})
	c.end++
	c.last = max(c.last, noted)
	s.waiting++
	return c.opening(noted)
}

func (s *schedule) makeClassLocked(batch *storage.Batch, k uint8) *class {
	store, durable := s.x.b.store, s.x.spec.Durable
	c := &class{k: k}
	c.durable = durable
	c.log = store.NewLog(batch, storage.LogOptions{Volatile: !durable})
	if durable {
		c.settled = store.NewSet(batch)
	} else {
		c.settled = storage.NewVolatileSet()
	}
	s.classes = append(s.classes, c)
	if durable {
		batch.Put(scheduleKey(s.x.name), s.encodeLocked())
	}
	return c
}

// alarmLocked has the loop come at a time, unless it comes earlier.
func (s *schedule) alarmLocked(at int64) {
	if at < s.alarm && !s.dead {
		s.alarm = at
		s.x.b.schedules.set(s, timeOf(at))
	}
}

// drop ends the schedule with all its records; the caller submits that. The locks
// of queues may be held, since this one comes after them.
func (s *schedule) drop(r *removal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead, s.waiting = true, 0
	r.makeRoom(len(s.classes) + 1) // and its ledger
	for _, c := range s.classes {
		r.batch.Drop(c.log)
		if c.durable {
			r.batch.DropSet(c.settled)
		}
	}
	if len(s.classes) > 0 && s.x.spec.Durable {
		r.batch.Delete(scheduleKey(s.x.name))
	}
	s.x.b.schedules.set(s, time.Time{})
}

// trimSchedules lets go of what the last records to be published left in the logs, as
// trimQueues does.
func (b *Broker) trimSchedules() error {
	for _, s := range b.allSchedules() {
		if err := s.trim(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) allSchedules() (all []*schedule) {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	for _, x := range b.cat.exchanges {
		all = append(all, &x.schedule)
	}
	for _, q := range b.cat.queues {
		q.mu.Lock()
		if q.later != nil {
			all = append(all, &q.later.schedule)
		}
		q.mu.Unlock()
	}
	return all
}

func (s *schedule) trim() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead || len(s.classes) == 0 {
		return nil
	}
	var batch storage.Batch
	for _, c := range s.classes {
		c.trim(&batch)
	}
	if batch.Empty() {
		return nil
	}
	_, err := s.x.b.store.Submit(&batch)
	return err
}

// scheduleKey is that of the schedule of an exchange, or of a queue.
func scheduleKey(of Name) []byte {
	family := byte(familySchedule)
	if of.Kind == KindQueue {
		family = familyDelays
	}
	return appendString(appendString([]byte{family}, of.Namespace), of.Name)
}

// encodeLocked writes which logs the schedule has, as docs/format-broker.md shows it.
func (s *schedule) encodeLocked() []byte {
	v := binary.AppendUvarint([]byte{valueVersion}, uint64(len(s.classes)))
	for _, c := range s.classes {
		v = append(v, c.k)
		v = binary.AppendUvarint(v, uint64(c.log.ID()))
		v = binary.AppendUvarint(v, uint64(c.settled.ID()))
	}
	return v
}

// loadSchedules gives the schedules back to their exchanges. It reads no record.
func (b *Broker) loadSchedules(*removal) error {
	for key, value := range b.store.Scan([]byte{familySchedule}) {
		d := decoder{b: key[1:]}
		name := Name{Kind: KindExchange, Namespace: d.string(), Name: d.string()}
		if err := d.end("schedule key"); err != nil {
			return err
		}
		x := b.cat.exchanges[name]
		spec, ok := builtIn[name.Name]
		if x == nil && ok && b.cat.namespaces[name.Namespace] != nil { // or it ends: both go with it
			var err error
			if x, err = b.addBuiltInLocked(name, spec); err != nil {
				return err
			}
		}
		if x == nil { // it goes in the batch in which its exchange does
			return fmt.Errorf("schedule of %s, which is not there: %w", name, storage.ErrDamaged)
		}
		if err := x.schedule.decode(value); err != nil {
			return fmt.Errorf("schedule of %s: %w", name, err)
		}
	}
	return b.loadDelays()
}

// loadDelays gives theirs back to queues.
func (b *Broker) loadDelays() error {
	for key, value := range b.store.Scan([]byte{familyDelays}) {
		d := decoder{b: key[1:]}
		name := Name{Kind: KindQueue, Namespace: d.string(), Name: d.string()}
		if err := d.end("schedule key"); err != nil {
			return err
		}
		q := b.cat.queues[name]
		if q == nil { // it goes in the batch in which its queue does
			return fmt.Errorf("schedule of %s, which is not there: %w", name, storage.ErrDamaged)
		}
		q.later = b.newDelays(q)
		if err := q.later.schedule.decode(value); err != nil {
			return fmt.Errorf("schedule of %s: %w", name, err)
		}
	}
	return nil
}

func (s *schedule) decode(value []byte) error {
	d := newDecoder(value)
	for range d.count() {
		c, err := s.decodeClass(d)
		if err != nil && !d.bad && d.version <= valueVersion {
			return err
		}
		s.classes = append(s.classes, c)
	}
	return d.end("schedule")
}

func (s *schedule) decodeClass(d *decoder) (*class, error) {
	c := &class{k: d.byte()}
	log, set := storage.LogID(d.uvarint()), storage.SetID(d.uvarint())
	c.durable, c.log, c.settled = true, s.x.b.store.Log(log), s.x.b.store.Set(set)
	if c.log == nil || c.settled == nil {
		return nil, fmt.Errorf("there is no log %d or set %d: %w", log, set, storage.ErrDamaged)
	}
	if c.k > 62 {
		return nil, fmt.Errorf("there is a class %d: %w", c.k, storage.ErrDamaged)
	}
	start, _, end := c.log.Bounds()
	c.trimmed, c.next, c.end = start, start, end
	left := c.settled.Missing(start, end)
	s.waiting += left
	if left == 0 {
		return c, nil
	}
	last, _, _, err := c.log.MaxTime()
	c.last = last
	return c, err
}

// wakeSchedules lets time go on for the records that were there before this start.
func (b *Broker) wakeSchedules() {
	now := b.nowMillis()
	for _, s := range b.allSchedules() {
		s.mu.Lock()
		if s.waiting > 0 {
			s.alarmLocked(now)
		}
		s.mu.Unlock()
	}
}

// An entry of a schedule's log, see docs/format-broker.md:
//
//	format 1, due 8 (ms), bcc strings, record: as in the log of a queue

func appendScheduled(dst []byte, rec *QueueRecord, due int64, start uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, valueVersion), uint64(due))
	return rec.appendTo(appendStrings(dst, rec.BCC), start)
}

// scheduledBound is at least the length of an entry of a schedule.
func (r *QueueRecord) scheduledBound() int {
	n := r.sizeBound() + 32
	for _, k := range r.BCC {
		n += len(k) + binary.MaxVarintLen64
	}
	return n
}

// dueOf reads when an entry is due.
func dueOf(entry []byte) (due int64, err error) {
	d := newDecoder(entry)
	due = int64(d.uint64())
	switch {
	case d.version > valueVersion:
		return 0, fmt.Errorf("scheduled record has format %d: %w", d.version, storage.ErrFormat)
	case d.bad:
		return 0, fmt.Errorf("scheduled record ends early: %w", storage.ErrDamaged)
	}
	return due, nil
}

// decodeScheduled reads an entry. lost says that the record was transient and of an
// earlier start.
func decodeScheduled(entry []byte, start uint64) (
	rec QueueRecord, due int64, lost bool, err error) {
	if due, err = dueOf(entry); err != nil {
		return rec, 0, false, err
	}
	d := newDecoder(entry)
	d.uint64()
	bcc := d.strings()
	rest := d.b
	d.b = nil
	if err = d.end("scheduled record"); err != nil {
		return rec, 0, false, err
	}
	rec, lost, err = decodeQueueRecord(rest, start)
	if len(bcc) > 0 {
		rec.BCC = bcc
	}
	return rec, due, lost, err
}
