package kafka

import (
	"context"
	"math/bits"
	"sync"
)

// buffers are pools of buffers of 64 KiB, 128 KiB … 4 MiB. Larger ones are left to the
// collector.
var buffers [7]sync.Pool

// class is the index of the smallest pool whose buffers have size bytes.
func class(size int) int { return bits.Len(uint(size-1) >> 16) }

func takeBuffer(size int) []byte {
	c := class(size)
	if c >= len(buffers) {
		return make([]byte, size)
	}
	if b, ok := buffers[c].Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, pooledBuffer<<c)
}

func giveBuffer(b []byte) {
	if c := class(len(b)); c < len(buffers) && len(b) == pooledBuffer<<c {
		buffers[c].Put(&b)
	}
}

// budget is an amount of memory that many connections share.
type budget struct {
	mu    sync.Mutex
	left  int64
	freed chan struct{} // closed when something is given back; nil while nobody waits
}

func newBudget(n int64) *budget { return &budget{left: n} }

// take waits until n bytes are free and takes them. It is false if ctx ended first.
func (b *budget) take(ctx context.Context, n int64) bool {
	for {
		b.mu.Lock()
		if b.left >= n {
			b.left -= n
			b.mu.Unlock()
			return true
		}
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
}

// takeUpTo takes at most n bytes, what is free if that is less, and least at any rate: it
// never waits. It returns what it took.
func (b *budget) takeUpTo(n, least int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = max(least, min(n, b.left))
	b.left -= n
	return n
}

func (b *budget) give(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	b.left += n
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
	b.mu.Unlock()
}
