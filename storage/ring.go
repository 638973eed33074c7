package storage

import (
	"sync/atomic"

	"github.com/tidings-io/tidings/storage/vfs"
)

// ring is the memory of the newest journal frames. A frame is gathered into
// it, written to the journal from it, read from it by those who follow the
// tail, and copied from it into segment files; then its place is free again.
//
//	positions only grow; position p stands at mem[p % len(mem)]
//	tail <= every position that a log still refers to < head
//
// A frame never wraps: what is left at the end is skipped.
type ring struct {
	mem  []byte
	head atomic.Uint64 // written by the committer
	tail atomic.Uint64 // written by the flusher
	// shown is the head up to which entries are in their logs' tails.
	shown atomic.Uint64
}

func newRing(n int) *ring { return &ring{mem: vfs.AlignedBuffer(n)} }

// fit returns where n bytes would go, and whether there is room for them.
func (r *ring) fit(n int) (pos uint64, ok bool) {
	size := uint64(len(r.mem))
	pos = r.head.Load()
	if rest := size - pos%size; rest < uint64(n) {
		pos += rest
	}
	return pos, pos+uint64(n)-r.tail.Load() <= size
}

func (r *ring) at(pos uint64, n int) []byte {
	i := pos % uint64(len(r.mem))
	return r.mem[i : i+uint64(n) : i+uint64(n)]
}

func (r *ring) used() int { return int(r.head.Load() - r.tail.Load()) }
