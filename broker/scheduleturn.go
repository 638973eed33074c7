package broker

import (
	"context"
	"errors"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Bounds of one turn of a schedule, so that others have theirs.
const (
	dueRecords  = 256
	dueBytes    = 1 << 20
	readOnBytes = 256 << 10
)

// turn publishes what is due, or a part of it. The schedule loop calls it, one goroutine
// for all schedules.
func (s *schedule) turn(ctx context.Context) {
	s.mu.Lock()
	s.alarm = never
	dead, seq, classes := s.dead, s.lastSeq, s.classes
	s.mu.Unlock()
	// What was submitted is read once it is on disk.
	if dead || s.x.b.store.Await(ctx, seq) != nil {
		return // or the broker ends
	}
	now := s.x.b.nowMillis()
	err := s.forget()
	next := now
	if err == nil {
		next, err = s.advance(ctx, classes, now)
	}
	if err != nil {
		s.x.b.config.Logger.Warn("scheduled records wait", "exchange", s.x.name.String(), "error", err)
		next = now + retryAfter.Milliseconds()
	}
	s.mu.Lock()
	s.alarmLocked(next)
	s.mu.Unlock()
}

// advance reads on and publishes, within the bounds of a turn, and returns when to come
// again.
func (s *schedule) advance(ctx context.Context, classes []*class, now int64) (
	next int64, err error) {
	for _, c := range classes {
		more, err := s.readOn(c, now)
		if err != nil || more {
			return now, err // nothing is published before all that could be due is known
		}
	}
	b := dueBatch{s: s, classes: classes, now: now}
	defer b.release()
	if err := b.gather(); err != nil {
		return now, err
	}
	if err := b.publish(ctx, b.records); err != nil {
		return now, err
	}
	next = never
	for _, c := range classes {
		if r, ok := c.runs.first(); ok {
			next = min(next, r.due)
		}
		if c.opens > 0 {
			next = min(next, c.opens)
		}
	}
	return next, nil
}

// readOn moves the cursor over what could be due soon; more says that there is more.
func (s *schedule) readOn(c *class, now int64) (more bool, err error) {
	_, durable, _ := c.log.Bounds()
	from := c.settled.Next(c.next)
	if from >= durable {
		c.opens = 0
	}
	if from >= durable || c.opens > now {
		return false, nil
	}
	var buf storage.Buffer
	defer buf.Release()
	next, opens := from, int64(0)
	switch err := c.log.Read(&buf, from, readOnBytes); {
	case err == nil && len(buf.Entries) == 0:
		next = durable // a repair gave up all that was there
		s.giveUp(c, from, next)
	case err == nil:
		next, opens = s.found(c, buf.Entries, now)
		s.passHoles(c, buf.Entries, from, next)
	case storeKind(err) == NotFound:
		return false, nil // the exchange was deleted
	case storeKind(err) == Corrupt:
		s.passOver(c, from, err)
		next = beyond(err, from)
	default:
		return false, storeError("read on", s.x.name.String(), err)
	}
	s.mu.Lock()
	c.next, c.opens = next, opens
	s.mu.Unlock()
	return opens == 0 && next < durable, nil
}

// found takes entries that the cursor has come to; opens is when it must go on at next,
// 0 where it came to their end.
func (s *schedule) found(c *class, entries []storage.View, now int64) (next Offset, opens int64) {
	until := now + c.lead()
	for i := range entries {
		e := &entries[i]
		if at := c.opening(e.Time); at > until {
			return e.Base, at
		}
		next = e.Base + 1
		if c.settled.Has(e.Base) {
			continue
		}
		due, err := dueOf(e.Bytes)
		if err != nil {
			s.passOver(c, e.Base, err)
			continue
		}
		c.runs.add(e.Base, due)
	}
	return next, 0
}

// passHoles takes what a repair gave up out of the schedule, as far as the cursor has come.
func (s *schedule) passHoles(c *class, read []storage.View, from, next Offset) {
	for i := 0; i < len(read) && read[i].Base <= next; i++ {
		s.giveUp(c, from, read[i].Base)
		from = read[i].Base + 1
	}
}

func (s *schedule) giveUp(c *class, from, to Offset) {
	if from >= to {
		return
	}
	if n := s.settleHole(c, from, to); n > 0 {
		s.x.b.config.Logger.Warn("a repair gave up scheduled records", "exchange", s.x.name.String(),
			"log", c.log.ID(), "from", from, "to", to, "records", n)
	}
}

// settleHole settles what nobody can publish any more, and says how much of it had not
// been. Where it fails the store has: its error reaches everyone.
func (s *schedule) settleHole(c *class, from, to Offset) (records int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records = c.settled.Missing(from, to)
	if s.dead || records == 0 {
		return 0
	}
	var batch storage.Batch
	c.settling = offsets{from, to}
	c.markLocked(&batch)
	if _, err := s.x.b.store.Submit(&batch); err != nil {
		return 0
	}
	s.waiting -= records
	return records
}

// passOver leaves a damaged record where it is, for an operator to see.
func (s *schedule) passOver(c *class, off Offset, err error) {
	s.x.b.config.Logger.Error("a scheduled record is damaged and is not published",
		"exchange", s.x.name.String(), "log", c.log.ID(), "offset", off, "error", err)
}

// beyond is the first offset after damage that was met at an offset.
func beyond(err error, at Offset) Offset {
	var d *storage.Damage
	if errors.As(err, &d) {
		return max(d.To, at+1)
	}
	return at + 1
}

// dueBatch is records whose time has come, in the order of their times.
type dueBatch struct {
	s       *schedule
	classes []*class
	now     int64
	records []dueRecord
	bytes   int
	bufs    []*storage.Buffer // that records point into
}

type dueRecord struct {
	c    *class
	off  Offset
	due  int64
	rec  QueueRecord
	lost bool // transient, and of an earlier start
}

// gather takes what is due out of the runs.
func (b *dueBatch) gather() error {
	for len(b.records) < dueRecords && b.bytes < dueBytes {
		c := b.earliest()
		if c == nil {
			return nil
		}
		if err := b.take(c); err != nil {
			b.untake(b.records)
			return err
		}
	}
	return nil
}

// earliest is the class of the record that is due first, if it is. Of two that are due
// at the same time the one of the longer delay was published first.
func (b *dueBatch) earliest() (first *class) {
	due := b.now
	for _, c := range b.classes {
		r, ok := c.runs.first()
		if ok && (r.due < due || r.due == due && (first == nil || c.k > first.k)) {
			first, due = c, r.due
		}
	}
	return first
}

// take takes the first record of the first run of a class. The due time of a run may be
// less than its first record's, which is seen when that is read: it goes back then.
func (b *dueBatch) take(c *class) error {
	r := c.runs.pop()
	rest := run{r.due, r.from + 1, r.to}
	e, err := b.read(c, r)
	if err != nil && storeKind(err) == Corrupt {
		b.s.passOver(c, r.from, err)
		c.runs.push(rest)
		return nil
	}
	if err != nil {
		c.runs.push(r)
		return err
	}
	d := dueRecord{c: c, off: r.from}
	d.rec, d.due, d.lost, err = decodeScheduled(e.Bytes, b.s.x.b.start)
	switch {
	case err != nil:
		b.s.passOver(c, r.from, err)
	case d.due > r.due:
		rest = run{d.due, r.from, r.to}
	default:
		if b.s.x.only == nil {
			d.rec.begin(b.now)
		}
		b.records = append(b.records, d)
		b.bytes += len(e.Bytes)
		if n := b.peek(c, rest.from); n != nil {
			if due, err := dueOf(n.Bytes); err == nil {
				rest.due = due
			}
		}
	}
	c.runs.push(rest)
	return nil
}

// begin makes now the time of the publish. A time to live is as long as it was.
func (r *QueueRecord) begin(now int64) {
	at := timeOf(now)
	if !r.Expires.IsZero() {
		r.Expires = at.Add(r.Expires.Sub(r.Time))
	}
	r.Time = at
}

// read reads the first record of a run, and with it about as much of the run as the
// batch has room for.
func (b *dueBatch) read(c *class, r run) (*storage.View, error) {
	if e := b.peek(c, r.from); e != nil {
		return e, nil
	}
	n := min(int(r.to-r.from), dueRecords-len(b.records))
	buf := new(storage.Buffer)
	if err := c.log.Read(buf, r.from, c.expect(n)); err != nil {
		return nil, err
	}
	b.bufs = append(b.bufs, buf)
	c.learn(buf.Entries)
	c.ahead = buf.Entries
	if e := b.peek(c, r.from); e != nil {
		return e, nil
	}
	return nil, storage.ErrDamaged // an operator gave it up
}

// peek returns a record that was read already.
func (b *dueBatch) peek(c *class, off Offset) *storage.View {
	if len(c.ahead) == 0 {
		return nil
	}
	if i := int(off - c.ahead[0].Base); i >= 0 && i < len(c.ahead) && c.ahead[i].Base == off {
		return &c.ahead[i]
	}
	return nil
}

// untake puts records back that are not published.
func (b *dueBatch) untake(records []dueRecord) {
	for i := range records {
		d := &records[i]
		d.c.runs.push(run{d.due, d.off, d.off + 1})
	}
}

// tooLargeAgain is when to try again what goes to more queues than fit into one commit.
const tooLargeAgain = time.Minute

// publish publishes records and takes them out of the schedule, all or none.
func (b *dueBatch) publish(ctx context.Context, records []dueRecord) error {
	if len(records) == 0 {
		return nil
	}
	tx := b.s.x.b.Begin()
	for i := range records {
		tx.publishDue(b.s, &records[i])
	}
	_, err := tx.Commit(ctx)
	switch {
	case err == nil:
		return nil
	case KindOf(err) != TooLarge:
		b.untake(records)
		return err
	case len(records) > 1: // one of them is
		for i := range records {
			if late := b.publish(ctx, records[i:i+1]); late != nil {
				b.untake(records[i+1:])
				return late
			}
		}
		return nil
	}
	b.s.x.b.config.Logger.Error("a scheduled record goes to more queues than fit into one commit",
		"exchange", b.s.x.name.String(), "log", records[0].c.log.ID(), "offset", records[0].off)
	records[0].due = b.now + tooLargeAgain.Milliseconds()
	b.untake(records)
	return nil
}

func (b *dueBatch) release() {
	for _, c := range b.classes {
		c.ahead = nil
	}
	for _, buf := range b.bufs {
		buf.Release()
	}
}
