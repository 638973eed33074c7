package vfs

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
)

// node is a file or a directory. Guarded by Mem.mu.
type node struct {
	id uint64 // in the order of making, so that a crash does not depend on maps

	// A directory: what programs see, what is on the disk, and the way from that
	// to this.
	dir          bool
	names, saved map[string]*node
	moves        []move

	// A file: likewise.
	live, disk image
	changes    []change
	links      int // names that programs see
	opens      int
}

func (m *Mem) newNode() *node {
	m.made++
	return &node{id: m.made}
}

func (n *node) makeDir() {
	n.dir, n.names, n.saved = true, map[string]*node{}, map[string]*node{}
}

// move is one unsynced change of a directory: a creation, a removal, a rename.
// A power cut keeps some first part of each directory's moves, as a journal does.
type move struct {
	seq     uint64
	removed string // the name that goes, if any
	added   string // the name that comes, if any, and for what
	node    *node
	// into is where a file went that was renamed to another directory, by the
	// move with seq arrival: no file system loses a renamed file altogether.
	into    *node
	arrival uint64
}

// move changes what programs see of a directory, and returns the move's seq.
func (m *Mem) move(dir *node, mv move) (seq uint64) {
	m.renames++
	mv.seq = m.renames
	dir.moves = append(dir.moves, mv)
	if mv.node != nil {
		mv.node.links++
	}
	for _, name := range []string{mv.removed, mv.added} {
		if old := dir.names[name]; old != nil {
			old.links--
			m.forgetLocked(old)
		}
	}
	mv.apply(dir.names)
	return mv.seq
}

func (mv *move) apply(names map[string]*node) {
	if mv.removed != "" {
		delete(names, mv.removed)
	}
	if mv.added != "" {
		names[mv.added] = mv.node
	}
}

// forgetLocked gives back the blocks of a file without a name that is not open.
func (m *Mem) forgetLocked(n *node) {
	if n.links == 0 && n.opens == 0 {
		m.blocks -= n.live.blocks
	}
}

// withArrivals completes a choice of first moves of directories: where the
// departure of a renamed file is kept, its arrival is kept too.
func withArrivals(keep map[*node]int) map[*node]int {
	for grown := true; grown; {
		grown = false
		for dir, n := range keep {
			for _, mv := range dir.moves[:n] {
				if mv.into == nil {
					continue
				}
				if need := mv.into.movesThrough(mv.arrival); need > keep[mv.into] {
					keep[mv.into] = need
					grown = true
				}
			}
		}
	}
	return keep
}

// movesThrough counts the moves up to and with seq, or 0 if that one is saved.
func (n *node) movesThrough(seq uint64) int {
	return 1 + slices.IndexFunc(n.moves, func(mv move) bool { return mv.seq == seq })
}

// saveMoves makes the first moves of directories durable.
func saveMoves(keep map[*node]int) {
	for dir, n := range keep {
		for i := range dir.moves[:n] {
			dir.moves[i].apply(dir.saved)
		}
		dir.moves = slices.Clone(dir.moves[n:])
	}
}

func (m *Mem) find(name string) (*node, error) {
	n := m.root
	for _, base := range elements(name) {
		if !n.dir {
			return nil, syscall.ENOTDIR
		}
		if n = n.names[base]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

func (m *Mem) parent(name string) (dir *node, base string, err error) {
	dir, err = m.find(path.Dir(name))
	if err == nil && !dir.dir {
		err = syscall.ENOTDIR
	}
	return dir, path.Base(name), err
}

// elements splits a clean name; the root has none.
func elements(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

func (m *Mem) eachFile(do func(name string, n *node)) {
	var walk func(dir *node, prefix string)
	walk = func(dir *node, prefix string) {
		for _, base := range slices.Sorted(maps.Keys(dir.names)) {
			if n := dir.names[base]; n.dir {
				walk(n, prefix+base+"/")
			} else {
				do(prefix+base, n)
			}
		}
	}
	walk(m.root, "")
}
