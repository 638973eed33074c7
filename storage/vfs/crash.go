package vfs

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorSize is what a disk writes as a whole, in bytes.
const sectorSize = 512

// CutAfter plans a power cut within the n-th mutating call from now: that call and
// all later ones, reads too, fail with ErrPowerCut. What the n-th call did is
// volatile, also that of a Direct write: Crash keeps, drops or tears it. n < 1
// cuts the power at once. Crash, Kill, Bytes, Names and Corrupt go on working.
func (m *Mem) CutAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = max(0, n)
	m.off = n < 1
}

// Mutations counts the mutating calls so far, whether they failed or not, as
// CutAfter counts them: creating opens and truncating ones, Remove, RemoveAll,
// Rename, MkdirAll, SyncDir, SyncAll, Lock, and on files WriteAt, Truncate, Sync,
// Allocate and PunchHole.
func (m *Mem) Mutations() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// SetCapacity sets the size of the device, in bytes. Writes that need a block of
// BlockSize bytes beyond it fail with ErrNoSpace after writing what fits.
// Directories take no space, holes neither.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Corrupt overwrites content that a file has, on the disk and for programs.
func (m *Mem) Corrupt(name string, off int64, p []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file(name)
	if err == nil && (off < 0 || off+int64(len(p)) > n.live.size) {
		err = fmt.Errorf("%w: bytes %d to %d of %d",
			fs.ErrInvalid, off, off+int64(len(p)), n.live.size)
	}
	if err != nil {
		return &fs.PathError{Op: "corrupt", Path: name, Err: err}
	}
	c := writeOf(off, p)
	c.fate = durable
	m.changeLocked(n, c)
	n.settle()
	return nil
}

// Bytes returns a file's content as programs see it; nil if there is no such file.
func (m *Mem) Bytes(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file(name)
	if err != nil {
		return nil
	}
	p := make([]byte, n.live.size)
	n.live.readAt(p, 0)
	return p
}

func (m *Mem) file(name string) (*node, error) {
	c, err := clean("open", name)
	if err != nil {
		return nil, err
	}
	n, err := m.find(c)
	if err == nil && n.dir {
		return nil, fs.ErrInvalid
	}
	return n, err
}

// Names returns the names of all files, not of directories, sorted by directory.
func (m *Mem) Names() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.eachFile(func(name string, _ *node) { names = append(names, name) })
	return names
}

// Kill returns a new file system as a killed process leaves it on a machine that
// runs on: everything written is there, synced or not, and all locks are free.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := copier{to: m.successor(), done: map[*node]*node{}}
	k.to.root = k.node(m.root)
	return k.to.counted()
}

// successor is an empty file system on the same device.
func (m *Mem) successor() *Mem {
	return &Mem{made: m.made, renames: m.renames, capacity: m.capacity,
		locks: map[string]string{}}
}

// counted adds up the links and blocks that programs see.
func (m *Mem) counted() *Mem {
	var walk func(dir *node)
	walk = func(dir *node) {
		for _, n := range dir.names {
			if n.links++; n.links == 1 {
				m.blocks += n.live.blocks
				walk(n)
			}
		}
	}
	walk(m.root)
	return m
}

// copier copies nodes with what is unsynced; pages and written data are shared.
type copier struct {
	to   *Mem
	done map[*node]*node
}

func (k *copier) node(n *node) *node {
	if n == nil {
		return nil
	}
	if c := k.done[n]; c != nil {
		return c
	}
	c := &node{id: n.id, dir: n.dir}
	k.done[n] = c
	if !n.dir {
		c.live, c.disk, c.changes = n.live.clone(), n.disk.clone(), slices.Clone(n.changes)
		return c
	}
	c.names, c.saved, c.moves = k.entries(n.names), k.entries(n.saved), slices.Clone(n.moves)
	for i := range c.moves {
		mv := &c.moves[i]
		mv.node, mv.into = k.node(mv.node), k.node(mv.into)
	}
	return c
}

func (k *copier) entries(names map[string]*node) map[string]*node {
	c := make(map[string]*node, len(names))
	for name, n := range names {
		c[name] = k.node(n)
	}
	return c
}

// Crash returns a new file system with what a power cut at this moment could leave.
// Synced data and entries are there. Of a directory's unsynced changes a random
// first part is there (a rename within a directory as a whole or not at all; a
// rename to another one loses the file only with that directory). Of a file's unsynced writes each
// is kept, dropped, or torn: of a torn one any sectors of 512 bytes are new, old
// or zero, or only a first part is new. Truncations, allocations and holes are
// kept or dropped as a whole, and independently of the writes. Locks are free.
// The same state and the same numbers of rng give the same result.
//
// The original stays as it is, and usable.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := map[*node]int{}
	for _, dir := range m.dirs() {
		keep[dir] = some(rng, len(dir.moves))
	}
	k := crasher{rng, withArrivals(keep), map[*node]*node{}}
	to := m.successor()
	to.root = k.node(m.root)
	return to.counted()
}

// some picks a count up to n. All and nothing are likelier than the rest: they are
// what usually happens, and what programs rely on without noticing.
func some(rng *rand.Rand, n int) int {
	switch rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return n
	}
	return rng.IntN(n + 1)
}

// dirs returns every directory that a crash can keep, oldest first.
func (m *Mem) dirs() []*node {
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) {
		if n == nil || !n.dir || seen[n] {
			return
		}
		seen[n] = true
		for _, child := range n.saved {
			visit(child)
		}
		for _, mv := range n.moves {
			visit(mv.node)
			visit(mv.into)
		}
	}
	visit(m.root)
	return slices.SortedFunc(maps.Keys(seen), func(a, b *node) int { return cmp.Compare(a.id, b.id) })
}

// crasher copies what survives: no unsynced change is left in the copy.
type crasher struct {
	rng  *rand.Rand
	keep map[*node]int
	done map[*node]*node
}

func (k *crasher) node(n *node) *node {
	if c := k.done[n]; c != nil {
		return c
	}
	c := &node{id: n.id}
	k.done[n] = c
	if !n.dir {
		c.disk = k.content(n)
		c.live = c.disk.clone()
		return c
	}
	left := n.saved
	if kept := n.moves[:k.keep[n]]; len(kept) > 0 {
		left = maps.Clone(left)
		for i := range kept {
			kept[i].apply(left)
		}
	}
	c.makeDir()
	for _, name := range slices.Sorted(maps.Keys(left)) {
		c.names[name] = k.node(left[name])
	}
	c.saved = maps.Clone(c.names)
	return c
}

// content is what survives of a file. Files differ in how much of them was written
// back: from nothing to everything.
func (k *crasher) content(n *node) image {
	im := n.disk.clone()
	chance := k.rng.IntN(5)
	for i := range n.changes {
		c := &n.changes[i]
		switch {
		case c.fate == durable:
			c.apply(&im)
		case c.fate == lost:
		case k.rng.IntN(4) < chance:
			k.keepOrTear(c, &im, chance)
		}
	}
	return im
}

func (k *crasher) keepOrTear(c *change, im *image, chance int) {
	if c.kind == changeWrite && chance < 4 && k.rng.IntN(3) > 0 {
		k.tear(c, im)
		return
	}
	c.apply(im)
}

// tear applies a write that was under way: in order, or in any order.
func (k *crasher) tear(c *change, im *image) {
	torn := make([]byte, c.n)
	im.readAt(torn, c.off)
	reached := int64(0)
	if k.rng.IntN(2) == 0 {
		reached = k.stop(c, torn)
	} else {
		reached = k.scatter(c, torn)
	}
	im.write(c.off, reached, torn[:reached])
}

// stop copies some first sectors of a write, and returns how far they reach.
func (k *crasher) stop(c *change, torn []byte) int64 {
	end := c.off + k.rng.Int64N(c.n+1)
	reached := max(0, end-end%sectorSize-c.off)
	c.copyTo(torn[:reached], 0)
	return reached
}

// scatter copies any sectors of a write, clears others, and returns how far they reach.
func (k *crasher) scatter(c *change, torn []byte) (reached int64) {
	for at, next := int64(0), int64(0); at < c.n; at = next {
		next = min(c.n, at+sectorSize-(c.off+at)%sectorSize)
		switch k.rng.IntN(6) {
		case 0, 1, 2:
			c.copyTo(torn[at:next], at)
			reached = next
		case 3:
			clear(torn[at:next])
			reached = next
		}
	}
	return reached
}

func (c *change) copyTo(p []byte, at int64) {
	if c.data == nil {
		clear(p)
		return
	}
	copy(p, c.data[at:])
}
