package storage

import (
	"math/bits"
	"sync"
)

// pageBits is how many offsets one page of a set covers: 512 bytes.
const pageBits = 4096

// Set is a durable set of offsets with a floor: everything below the floor is
// in it. It is what a queue needs to settle out of order over any log. Memory
// is 512 bytes for each run of 4096 offsets that is neither all in nor all out.
// Safe for concurrent use; it shows what is durable.
type Set struct {
	id SetID

	mu    sync.RWMutex
	floor Offset
	pages map[int64]*page // nil: all of the page is in
	dirty map[int64]bool  // pages changed since the last checkpoint
}

type page [pageBits / 64]uint64

func newSet(id SetID) *Set {
	return &Set{id: id, pages: map[int64]*page{}, dirty: map[int64]bool{}}
}

// NewSet makes a set that exists once the batch is durable.
func (s *Store) NewSet(b *Batch) *Set {
	x := newSet(SetID(s.nextSet.Add(1)))
	d := b.get()
	d.sets = append(d.sets, x)
	b.words(opNewSet, int64(x.id))
	return x
}

// NewVolatileSet makes a set that no store knows of: it lives in memory, changes
// with Add, and ends with the process.
func NewVolatileSet() *Set { return newSet(0) }

// Add puts the offsets from <= o < to into a volatile set. Those of a store change
// with Batch.Mark.
func (x *Set) Add(from, to Offset) {
	if x.id != 0 {
		panic("storage: Add to a durable set")
	}
	x.mark(from, to)
	clear(x.dirty)
}

// ID is the set's number.
func (x *Set) ID() SetID { return x.id }

// Floor is the first offset that is not in the set.
func (x *Set) Floor() Offset {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.floor
}

// Has says whether an offset is in the set.
func (x *Set) Has(o Offset) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.hasLocked(o)
}

// Next returns the first offset from o on that is not in the set.
func (x *Set) Next(o Offset) Offset {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.nextLocked(o)
}

func (x *Set) nextLocked(o Offset) Offset {
	o = max(o, x.floor)
	for {
		p, there := x.pages[int64(o)/pageBits]
		switch {
		case !there:
			return o
		case p == nil:
			o = (o/pageBits + 1) * pageBits
		case !p.has(o):
			return o
		default:
			o++
		}
	}
}

// Missing counts the offsets from <= o < to that are not in the set. It costs a look at
// each page of the range.
func (x *Set) Missing(from, to Offset) (n int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for o := max(from, x.floor); o < to; {
		end := min(to, (o/pageBits+1)*pageBits)
		p, there := x.pages[int64(o)/pageBits]
		switch {
		case !there:
			n += int64(end - o)
		case p != nil:
			n += p.missing(o, end)
		}
		o = end
	}
	return n
}

// missing counts offsets of the page; whole words where they are.
func (p *page) missing(from, to Offset) (n int64) {
	for o := from; o < to; {
		if o%64 == 0 && to-o >= 64 {
			n += int64(bits.OnesCount64(^p[o%pageBits/64]))
			o += 64
			continue
		}
		if !p.has(o) {
			n++
		}
		o++
	}
	return n
}

func (x *Set) hasLocked(o Offset) bool {
	if o < x.floor {
		return true
	}
	p, there := x.pages[int64(o)/pageBits]
	return there && (p == nil || p.has(o))
}

func (p *page) has(o Offset) bool { return p[o%pageBits/64]&(1<<(o%64)) != 0 }

func (p *page) full() bool {
	for _, w := range p {
		if w != ^uint64(0) {
			return false
		}
	}
	return true
}

// mark puts from <= o < to into the set. Marking twice changes nothing.
func (x *Set) mark(from, to Offset) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for o := max(from, x.floor); o < to; {
		n := int64(o) / pageBits
		end := min(to, Offset(n+1)*pageBits)
		x.markPage(n, o, end)
		o = end
	}
	x.raiseFloor()
}

func (x *Set) markPage(n int64, from, to Offset) {
	p, there := x.pages[n]
	if there && p == nil {
		return
	}
	if p == nil {
		p = new(page)
		x.pages[n] = p
	}
	for o := from; o < to; o++ {
		p[o%pageBits/64] |= 1 << (o % 64)
	}
	if p.full() {
		x.pages[n] = nil
	}
	x.dirty[n] = true
}

// raiseFloor moves the floor up and drops the pages below it.
func (x *Set) raiseFloor() {
	before := int64(x.floor) / pageBits
	x.floor = x.nextLocked(x.floor)
	for n := before; n < int64(x.floor)/pageBits; n++ {
		if _, there := x.pages[n]; there {
			delete(x.pages, n)
			x.dirty[n] = true
		}
	}
}

func (x *Set) encodeAll(e *edit) {
	x.dirtyAll()
	x.encodeDirty(e)
}

func (x *Set) dirtyAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for n := range x.pages {
		x.dirty[n] = true
	}
}

// encodeDirty puts the changed pages and the floor into a checkpoint.
func (x *Set) encodeDirty(e *edit) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e.put(manifestKey('T', uint64(x.id)), numbers(int64(x.floor)))
	for n := range x.dirty {
		key := manifestKey('P', uint64(x.id), uint64(n))
		switch p, there := x.pages[n]; {
		case !there:
			e.delete(key)
		case p == nil:
			e.put(key, nil)
		default:
			e.put(key, numbersOf(p))
		}
	}
	clear(x.dirty)
}

// encodeNow puts the whole set into an edit, and changes nothing.
func (x *Set) encodeNow(e *edit) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e.put(manifestKey('T', uint64(x.id)), numbers(int64(x.floor)))
	for n, p := range x.pages {
		var v []byte
		if p != nil {
			v = numbersOf(p)
		}
		e.put(manifestKey('P', uint64(x.id), uint64(n)), v)
	}
}

func numbersOf(p *page) []byte {
	var v []byte
	for _, w := range p {
		v = le.AppendUint64(v, w)
	}
	return v
}

// pageNumbers is what a dropped set leaves to be deleted from the manifest.
func (x *Set) pageNumbers() []int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var ns []int64
	for n := range x.pages {
		ns = append(ns, n)
	}
	for n := range x.dirty {
		ns = append(ns, n)
	}
	return ns
}

func (e *edit) deleteSet(id SetID, pages []int64) {
	e.delete(manifestKey('T', uint64(id)))
	for _, n := range pages {
		e.delete(manifestKey('P', uint64(id), uint64(n)))
	}
}

// loadPage restores a page from a checkpoint. One below the floor is left over
// from a checkpoint that the disk had no room for.
func (x *Set) loadPage(n int64, v []byte) bool {
	if n < int64(x.floor)/pageBits {
		return true
	}
	switch len(v) {
	case 0:
		x.pages[n] = nil
		return true
	case pageBits / 8:
		p := new(page)
		for i := range p {
			p[i] = le.Uint64(v[8*i:])
		}
		x.pages[n] = p
		return true
	}
	return false
}
