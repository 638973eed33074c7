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
//
// Those who hold some and wait for more would wait for each other for ever once all of it is in
// their hands. So one share at a time, the first, may go beyond the amount: it needs nobody to
// get on, and when it is given back the next one gets on.
type budget struct {
	mu    sync.Mutex
	left  int64         // negative while the first share is beyond the amount
	freed chan struct{} // closed when something is given back; nil while nobody waits
	first *share
}

func newBudget(n int64) *budget { return &budget{left: n} }

// share is what one connection has of a budget. It is used by one goroutine.
type share struct {
	of    *budget
	held  int64
	first bool // may go beyond the budget, until it holds nothing
}

// grow waits until the share can hold so many bytes. It is false if ctx ended first.
func (s *share) grow(ctx context.Context, to int64) bool {
	for {
		freed := s.tryGrow(to)
		if freed == nil {
			return true
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
}

// tryGrow returns nil, or what is closed when it is worth trying again.
func (s *share) tryGrow(to int64) <-chan struct{} {
	b := s.of
	b.mu.Lock()
	defer b.mu.Unlock()
	more := to - s.held
	if b.left < more && b.first == nil {
		b.first, s.first = s, true
	}
	if b.left >= more || s.first {
		b.left -= more
		s.held = to
		return nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed
}

// shrink gives back what is more than so many bytes.
func (s *share) shrink(to int64) {
	if to == 0 && s.first {
		s.of.mu.Lock()
		s.of.first, s.first = nil, false
		s.of.mu.Unlock()
	}
	s.of.give(s.held - to)
	s.held = to
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
