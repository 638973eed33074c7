package storage

import (
	"fmt"
	"math/bits"
	"sync"
)

// Patch says where Submit writes an entry's base offset into its bytes. The
// zero value means nowhere.
type Patch uint16

// At is the Patch for eight big-endian bytes at Bytes[pos:]; pos <= 65,534.
func At(pos int) Patch { return Patch(pos + 1) }

// Entry is what a log holds: opaque bytes that stand for Count records.
type Entry struct {
	Count int32  // records inside, >= 1: how far the log's end moves
	Time  int64  // the greatest time inside, ms since 1970; for Find and retention
	Patch Patch  // where Submit writes the base offset
	Bytes []byte // copied by Append
}

// Batch collects operations over any number of logs, keys and sets that
// Submit commits together: all of them survive a crash or none. The zero value
// is ready. A Batch is not safe for concurrent use; after Submit it holds its
// offsets until Reset.
type Batch struct {
	data  *batchData
	bases []Offset
	err   error // the first operation that cannot be: Submit answers it
}

// batchData is the encoded batch. Submit hands it to the committer, which
// returns it to the pool when the frame is on disk.
type batchData struct {
	buf     []byte // operations as they stand in the frame
	appends []appended
	others  []int // where in buf the operations that are not entries begin
	size    int   // bytes of those
	logOps  []logOp
	logs    []*Log // that exist from this batch on
	sets    []*Set
	entries int  // bytes of durable entries
	carry   bool // entries already have their place: see carry.go
}

// appended is one entry of a batch.
type appended struct {
	log  *Log
	ent  entry
	pos  int    // in buf; -1 in a volatile log
	data []byte // volatile: header and payload
	// Set by the committer: where the entry stands in the tail, or that it went
	// to its segment as part of an extent.
	at     uint64
	extent bool
}

// logOp is a trim or a drop.
type logOp struct {
	kind opKind
	log  *Log
	to   Offset
	pos  int // in buf; -1 for a volatile log
}

var batchPool = sync.Pool{New: func() any { return new(batchData) }}

func (b *Batch) get() *batchData {
	if b.data == nil {
		b.data = batchPool.Get().(*batchData)
	}
	return b.data
}

// Append adds an entry to a log and returns its index for Base.
func (b *Batch) Append(l *Log, e Entry) int {
	d := b.get()
	if err := checkEntry(&e); err != nil {
		b.fail(err)
		return 0
	}
	a := appended{log: l, pos: -1, ent: entry{log: l.id, time: e.Time, count: e.Count,
		size: int32(len(e.Bytes)), patch: e.Patch, crc: payloadCRC(e.Bytes, e.Patch)}}
	dst := d.place(&a)
	putEntry(dst, &a.ent)
	copy(dst[entryHeader:], e.Bytes)
	d.appends = append(d.appends, a)
	return len(d.appends) - 1
}

// place makes room for an entry: in the frame, or of its own in a volatile log.
func (d *batchData) place(a *appended) []byte {
	n := a.ent.total()
	if a.log.volatile {
		a.data = make([]byte, n)
		return a.data
	}
	a.pos = len(d.buf)
	d.buf = grow(d.buf, n)
	d.entries += n
	return d.buf[a.pos:]
}

func checkEntry(e *Entry) error {
	switch {
	case e.Count < 1:
		return fmt.Errorf("storage: entry of %d records", e.Count)
	case len(e.Bytes) > MaxBatchBytes:
		return ErrTooLarge
	case e.Patch != 0 && int(e.Patch)+7 > len(e.Bytes):
		return fmt.Errorf("storage: patch at %d of %d bytes", e.Patch-1, len(e.Bytes))
	}
	return nil
}

func (b *Batch) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Base is the offset that Submit gave the i-th append.
func (b *Batch) Base(i int) Offset { return b.bases[i] }

// Trim moves a log's start to an offset (at most its end): what lies before is
// no longer readable and leaves the disk by whole segment files.
func (b *Batch) Trim(l *Log, to Offset) { b.logOp(opTrim, l, to) }

// Drop removes a log with all its records. Its id is never used again.
func (b *Batch) Drop(l *Log) { b.logOp(opDropLog, l, 0) }

func (b *Batch) logOp(k opKind, l *Log, to Offset) {
	d := b.get()
	o := logOp{kind: k, log: l, to: to, pos: -1}
	if !l.volatile {
		o.pos = len(d.buf)
		b.words(k, []int64{int64(l.id), int64(to)}[:opWords[k]]...)
	}
	d.logOps = append(d.logOps, o)
}

// words adds an operation that needs no more than numbers.
func (b *Batch) words(k opKind, words ...int64) {
	d := b.get()
	d.begin()
	d.buf = appendWords(d.grown(opHead+8*len(words)), k, words...)
	d.done()
}

// begin and done enclose the encoding of an operation that is no entry.
func (d *batchData) begin() { d.others = append(d.others, len(d.buf)) }
func (d *batchData) done()  { d.size += len(d.buf) - d.others[len(d.others)-1] }

// grown returns buf with room for n more bytes.
func (d *batchData) grown(n int) []byte { return grow(d.buf, n)[:len(d.buf)] }

// Put sets a key of the small keyed state: at most MaxKeyBytes and MaxValueBytes.
// All of it is kept in memory.
func (b *Batch) Put(key, value []byte) { b.key(opPut, key, value) }

// Delete removes a key.
func (b *Batch) Delete(key []byte) { b.key(opDelete, key, nil) }

func (b *Batch) key(k opKind, key, value []byte) {
	if len(key) > MaxKeyBytes || len(value) > MaxValueBytes {
		b.fail(fmt.Errorf("%w: key of %d and value of %d bytes", ErrTooLarge, len(key), len(value)))
		return
	}
	d := b.get()
	d.begin()
	d.buf = appendKeyOp(d.grown(opHead+len(key)+len(value)), k, key, value)
	d.done()
}

// Mark puts the offsets from <= o < to into a set.
func (b *Batch) Mark(s *Set, from, to Offset) {
	if from < 0 || to < from {
		b.fail(fmt.Errorf("storage: mark of %d to %d", from, to))
		return
	}
	b.words(opMark, int64(s.id), int64(from), int64(to))
}

// DropSet removes a set.
func (b *Batch) DropSet(s *Set) { b.words(opDropSet, int64(s.id)) }

// Empty says that nothing is in the batch, for a volatile log neither.
func (b *Batch) Empty() bool { return b.data == nil }

// Len is the batch's size in bytes, as Admit wants it: of what goes to disk.
func (b *Batch) Len() int {
	if b.data == nil {
		return 0
	}
	return len(b.data.buf)
}

// Reset empties the batch for use again.
func (b *Batch) Reset() {
	if b.data != nil {
		b.data.release()
	}
	b.data, b.bases, b.err = nil, b.bases[:0], nil
}

// take hands the encoded operations over and leaves the offsets.
func (b *Batch) take() *batchData {
	d := b.data
	b.data = nil
	return d
}

// keptBytes is how much a batch that returns to the pool may keep.
const keptBytes = 16 << 10

func (d *batchData) release() {
	buf := d.buf[:0]
	if cap(buf) > keptBytes {
		freeBytes(buf)
		buf = nil
	}
	clear(d.appends)
	clear(d.logOps)
	clear(d.logs)
	clear(d.sets)
	*d = batchData{buf: buf, appends: d.appends[:0], others: d.others[:0], logOps: d.logOps[:0],
		logs: d.logs[:0], sets: d.sets[:0]}
	batchPool.Put(d)
}

// Byte slices come from pools, so that a hot producer of large batches does not
// pay the collector for each. A class has a power of two bytes and an eighth
// more: what is copied is often a power of two with a few headers.
const (
	minClass = 10
	maxClass = 23
)

var classes [maxClass - minClass + 1]sync.Pool

func classBytes(c int) int { return 1<<c + 1<<c/8 }

func allocBytes(n int) []byte {
	c := max(bits.Len(uint(max(n, 1)-1)), minClass)
	if c > minClass && n <= classBytes(c-1) {
		c--
	}
	if c > maxClass {
		return make([]byte, 0, n)
	}
	if p, _ := classes[c-minClass].Get().(*[]byte); p != nil {
		return (*p)[:0]
	}
	return make([]byte, 0, classBytes(c))
}

func freeBytes(p []byte) {
	c := bits.Len(uint(cap(p))) - 1
	if c < minClass || c > maxClass || cap(p) != classBytes(c) {
		return
	}
	p = p[:0]
	classes[c-minClass].Put(&p)
}

// grow makes p longer by n bytes, moving to a larger class when needed.
func grow(p []byte, n int) []byte {
	need := len(p) + n
	if need <= cap(p) {
		return p[:need]
	}
	q := allocBytes(need)[:need]
	copy(q, p)
	freeBytes(p)
	return q
}
