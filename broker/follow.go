package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Start says where in each partition a Follower begins.
type Start struct {
	at     startKind
	offset Offset
	time   time.Time
}

type startKind uint8

const (
	startNext startKind = iota
	startFirst
	startLast
	startOffset
	startTime
)

// Where a Follower begins.
var (
	FromNext  = Start{at: startNext}  // behind all that is durable
	FromFirst = Start{at: startFirst} // at the first record that is there
	FromLast  = Start{at: startLast}  // at the first record of the last batch
)

// FromOffset begins at an offset of one partition; where it is not there, at the start or
// the durable end, whichever is nearer.
func FromOffset(o Offset) Start { return Start{at: startOffset, offset: o} }

// FromTime begins at the first record of this time or later; where there is none, at the
// durable end.
func FromTime(t time.Time) Start { return Start{at: startTime, time: t} }

// EveryPartition is FollowOptions.Partition for all that the topic has and will have.
const EveryPartition = -1

// FollowOptions are settled when a Follower begins.
type FollowOptions struct {
	// Wake receives when there may be something to Take. Many may share one. Give it a
	// capacity of 1.
	Wake      chan struct{}
	Partition int // or EveryPartition
	From      Start
	// Credits bound what is taken and not yet given back by Accept. They may be shared.
	Credits []*Credit
}

// Follower reads the records of a topic, each partition's in its order, and takes
// nothing from others: a cursor that is kept nowhere. It costs no goroutine. Follow
// begins it, Close ends it.
type Follower struct {
	t    *Topic
	opts FollowOptions

	waiter Waiter
	mu     sync.Mutex // a leaf: what the waiter watches
	watch  []*Partition
	ended  atomic.Bool
	kept   atomic.Int64 // of Broker.following

	// These belong to the one goroutine that takes.
	cursors []*followed
	turn    int // which cursor is asked first
}

// Followed is a record of a topic, and where it was.
type Followed struct {
	Partition int
	Record    Record
}

// followed is a cursor in one partition.
type followed struct {
	part *Partition
	next Offset // of the record to read
	buf  Buffer
	read int         // entries of buf that are done with
	in   batchReader // the batch in which next is, if open
	base Offset      // of that
	open bool
}

// Follow begins to read a topic. Kinds: Invalid (there is no such partition; an offset in
// a topic of several partitions, none of which is named), Corrupt, NotFound (the topic
// was deleted), Closed, Storage; or the context's error.
func (t *Topic) Follow(ctx context.Context, o FollowOptions) (*Follower, error) {
	const op = "follow"
	n := t.Partitions()
	switch {
	case o.Partition != EveryPartition && (o.Partition < 0 || o.Partition >= n):
		return nil, fail(Invalid, op, t.name.String(), "partition %d of %d", o.Partition, n)
	case o.From.at == startOffset && o.Partition == EveryPartition && n > 1:
		return nil, fail(Invalid, op, t.name.String(),
			"an offset means nothing in %d partitions: name one", n)
	case o.From.offset < 0:
		return nil, fail(Invalid, op, t.name.String(), "offset %d", o.From.offset)
	case t.b.closed.Load():
		return nil, storeError(op, t.name.String(), storage.ErrClosed)
	}
	f := &Follower{t: t, opts: o, waiter: Waiter{C: o.Wake}}
	for _, p := range t.all() {
		if o.Partition != EveryPartition && o.Partition != p.index {
			continue
		}
		f.add(p) // before its end is looked at: nothing is missed in between
		c := f.cursors[len(f.cursors)-1]
		var err error
		if c.next, err = p.startAt(ctx, o.From); err != nil {
			f.unwatch()
			return nil, err
		}
	}
	t.followers.Add(1)
	return f, nil
}

// Followers is how many follow the topic now.
func (t *Topic) Followers() int { return int(t.followers.Load()) }

// startAt is the first offset that a follower reads.
func (p *Partition) startAt(ctx context.Context, s Start) (Offset, error) {
	start, end := p.Bounds()
	switch s.at {
	case startFirst:
		return start, nil
	case startLast:
		return p.lastBatch(start, end)
	case startOffset:
		return min(max(s.offset, start), end), nil
	case startTime:
		off, _, ok, err := p.OffsetAt(ctx, s.time)
		if err != nil || ok {
			return off, err
		}
	}
	return end, nil
}

// lastBatch is the first offset that is still there of the batch before end.
func (p *Partition) lastBatch(start, end Offset) (Offset, error) {
	var buf Buffer
	defer buf.Release()
	for start < end {
		err := p.Read(&buf, end-1, 1)
		if trimmed, to := p.Bounds(); trimmed >= end && errors.Is(err, OutOfRange) {
			start, end = trimmed, to // a trim was faster
			continue
		}
		if err != nil {
			return 0, err
		}
		if len(buf.Entries) == 0 {
			return end, nil
		}
		start, _ = p.Bounds()
		return max(buf.Entries[0].Base, start), nil
	}
	return end, nil
}

// add follows one more partition, from its first record on.
func (f *Follower) add(p *Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended.Load() {
		return
	}
	p.Watch(&f.waiter)
	f.watch = append(f.watch, p)
	start, _ := p.Bounds()
	f.cursors = append(f.cursors, &followed{part: p, next: start})
}

func (f *Follower) unwatch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.watch {
		p.Unwatch(&f.waiter)
	}
	f.watch = nil
}

// Topic returns what it reads.
func (f *Follower) Topic() *Topic { return f.t }

// Close ends the Follower. It may be called while another goroutine takes.
func (f *Follower) Close() {
	if f.ended.Swap(true) {
		return
	}
	f.unwatch()
	f.unkeep()
	f.t.followers.Add(-1)
}

// Accept gives back the credit of n records.
func (f *Follower) Accept(n int) {
	for range n {
		f.release()
	}
	ring(f.opts.Wake)
}

func (f *Follower) release() {
	for _, c := range f.opts.Credits {
		c.release()
	}
}

func (f *Follower) acquire() bool {
	for i, c := range f.opts.Credits {
		if !c.acquire() {
			for _, d := range f.opts.Credits[:i] {
				d.release()
			}
			return false
		}
	}
	return true
}

// Take appends to dst at most max durable records of one partition, no more after 256 KiB
// of them, as long as there is credit. It does not wait for more; call it until it gives
// nothing, then Rest. The records are valid until the next Take or Rest. For one goroutine
// at a time.
//
// Where retention has passed the cursor, it goes on with the first record that is there.
// Kinds: Corrupt, TooLarge and Unsupported (the batch that is named is passed over),
// NotFound (the topic was deleted, or Close was called), Closed, Storage.
func (f *Follower) Take(dst []Followed, max int) ([]Followed, error) {
	f.unkeep()
	f.waiter.Rearm()
	if f.ended.Load() || f.cursors[0].part.log.Dropped() { // also where there is no credit
		return dst, &Error{Kind: NotFound, Op: "take", Name: f.t.name.String()}
	}
	f.grow()
	n := len(dst)
	for i := range f.cursors {
		at := (f.turn + i) % len(f.cursors)
		var err error
		if dst, err = f.take(dst, f.cursors[at], max); err != nil || len(dst) > n {
			f.turn = at + 1
			return dst, err
		}
	}
	return dst, nil
}

// grow follows the partitions that the topic has got since.
func (f *Follower) grow() {
	if f.opts.Partition != EveryPartition || f.t.Partitions() == len(f.cursors) {
		return
	}
	for _, p := range f.t.all()[len(f.cursors):] {
		f.add(p)
	}
}

// take reads from one partition, as far as its buffer goes.
func (f *Follower) take(dst []Followed, c *followed, max int) ([]Followed, error) {
	n, bytes := len(dst), 0
	for len(dst)-n < max && bytes < followBytes {
		if !f.acquire() {
			return dst, nil
		}
		rec, ok, err := c.record(f.t.b.life, len(dst) == n)
		if !ok {
			f.release()
			return dst, err
		}
		dst = append(dst, Followed{c.part.index, rec})
		bytes += len(rec.Value)
	}
	return dst, nil
}

// record returns the next record; load allows it to read a buffer, and so to spoil what
// it gave out before.
func (c *followed) record(ctx context.Context, load bool) (rec Record, ok bool, err error) {
	for {
		if !c.open {
			if c.read >= len(c.buf.Entries) && !load {
				return rec, false, nil
			}
			if err := c.openBatch(ctx); err != nil || !c.open {
				return rec, false, err
			}
		}
		at := c.base + Offset(c.in.read) // what a record says of its place is its producer's word
		rec, ok, err := c.in.next()
		switch {
		case err != nil:
			c.pass()
			return rec, false, c.part.decodeFailed("take", c.base, err)
		case !ok:
			c.pass()
		case at >= c.next:
			rec.Offset, c.next = at, at+1
			return rec, true, nil
		}
	}
}

// pass leaves a batch behind.
func (c *followed) pass() {
	e := &c.buf.Entries[c.read]
	c.next = e.Base + Offset(e.Count)
	c.read++
	c.in, c.open = batchReader{}, false
}

// followBytes is how much a cursor reads at once, in bytes: whole batches, at least one.
const followBytes = 256 << 10

// openBatch opens the batch that holds next; it stays closed at the durable end.
func (c *followed) openBatch(ctx context.Context) error {
	for c.read >= len(c.buf.Entries) {
		if err := c.readOn(); err != nil {
			return err
		}
		if len(c.buf.Entries) == 0 {
			return nil
		}
	}
	e := &c.buf.Entries[c.read]
	c.base = e.Base
	in, err := openWithin(ctx, e.Bytes)
	if ctx.Err() != nil {
		return c.part.failed("take", storage.ErrClosed)
	}
	if err != nil {
		c.pass()
		return c.part.decodeFailed("take", c.base, err)
	}
	c.in, c.open = in, true
	return nil
}

// openWithin opens a batch. What is compressed waits for its turn to be decoded.
func openWithin(ctx context.Context, raw []byte) (batchReader, error) {
	if len(raw) >= batchHeader && raw[posAttributes+1]&attrCompression != 0 {
		if !enterDecoding(ctx) {
			return batchReader{}, ctx.Err()
		}
		defer leaveDecoding()
	}
	return openBatch(raw)
}

// readOn fills the buffer from next on.
func (c *followed) readOn() error {
	start, _ := c.part.Bounds()
	c.read, c.next = 0, max(c.next, start)
	err := c.part.Read(&c.buf, c.next, followBytes)
	if err == nil {
		return nil
	}
	c.buf.Entries = c.buf.Entries[:0]
	start, end := c.part.Bounds()
	var d *storage.Damage
	switch {
	case errors.Is(err, OutOfRange) && c.next < start:
		c.next = start // retention was faster; the caller reads again
		return c.readOn()
	case errors.As(err, &d) && d.To > c.next:
		c.next = d.To
	case errors.As(err, &d):
		c.next = end // where it goes on is not known
	}
	return err
}

// followMemory bounds what all followers keep between two rounds, in bytes. What one may
// not keep, it reads again.
const followMemory = 64 << 20

// Rest ends a round of Take: until the next, the Follower keeps little memory, or much
// where few do.
func (f *Follower) Rest() {
	held := int64(0)
	for _, c := range f.cursors {
		held += c.held()
	}
	total := &f.t.b.following
	if total.Add(held) > followMemory {
		total.Add(-held)
		for _, c := range f.cursors {
			c.forget()
		}
		return
	}
	f.kept.Add(held)
	if f.ended.Load() {
		f.unkeep()
	}
}

func (f *Follower) unkeep() { f.t.b.following.Add(-f.kept.Swap(0)) }

// held is the memory of a cursor.
func (c *followed) held() (n int64) {
	for i := range c.buf.Entries {
		n += int64(len(c.buf.Entries[i].Bytes))
	}
	if c.open && c.in.info.Compression != None {
		n += int64(cap(c.in.body))
	}
	return n
}

func (c *followed) forget() {
	c.buf.Release()
	c.read, c.in, c.open = 0, batchReader{}, false
}
