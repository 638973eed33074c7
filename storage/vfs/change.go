package vfs

import "bytes"

type changeKind uint8

const (
	changeWrite changeKind = iota
	changeTruncate
	changeAllocate
	changePunch
)

// change is one call that changed a file's content and was not synced since.
type change struct {
	kind   changeKind
	off, n int64  // for changeTruncate n is the new size
	data   []byte // changeWrite: n bytes, or nil for zeros
	fate   fate
}

type fate uint8

const (
	volatile fate = iota // a power cut keeps, drops or tears it
	durable              // on the disk already, though changes before it are not
	lost                 // a failed sync gave it up: no later sync writes it
)

func (c *change) apply(im *image) {
	switch c.kind {
	case changeWrite:
		im.write(c.off, c.n, c.data)
	case changeTruncate:
		im.truncate(c.n)
	case changeAllocate:
		im.allocate(c.off, c.n)
	case changePunch:
		im.punch(c.off, c.n)
	}
}

// writeOf copies p, for p is the caller's again afterwards. Zeros need no copy:
// whole files are filled with them in advance.
func writeOf(off int64, p []byte) change {
	c := change{kind: changeWrite, off: off, n: int64(len(p))}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), pageSize)
		if !bytes.Equal(rest[:n], zeros[:n]) {
			c.data = bytes.Clone(p)
			break
		}
		rest = rest[n:]
	}
	return c
}

// first cuts a write to its first n bytes.
func (c change) first(n int64) change {
	if c.n = n; c.data != nil {
		c.data = c.data[:n]
	}
	return c
}

// changeLocked lets programs see a change of a file; nothing is durable.
func (m *Mem) changeLocked(n *node, c change) {
	before := n.live.blocks
	c.apply(&n.live)
	m.blocks += n.live.blocks - before
	n.changes = append(n.changes, c)
}

// save makes durable what programs see of a file.
func (n *node) save() {
	for i := range n.changes {
		if c := &n.changes[i]; c.fate != lost {
			c.apply(&n.disk)
		}
	}
	n.changes = nil
}

// loseUnsynced gives up what was not synced, as a failed sync does: programs go on
// seeing it, and no later sync writes it.
func (n *node) loseUnsynced() {
	for i := range n.changes {
		if c := &n.changes[i]; c.fate == volatile {
			c.fate = lost
		}
	}
}

// settle saves the durable changes that follow no volatile one, so that a file
// written only with Direct keeps no changes in memory.
func (n *node) settle() {
	i := 0
	for ; i < len(n.changes) && n.changes[i].fate != volatile; i++ {
		if c := &n.changes[i]; c.fate == durable {
			c.apply(&n.disk)
		}
	}
	if n.changes = n.changes[i:]; len(n.changes) == 0 {
		n.changes = nil
	}
}
