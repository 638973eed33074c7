package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"sync"
	"time"
)

// A frame is a request as it travels: a length of four bytes, then header and body.
//
// frames reads them from a connection. An idle connection holds smallBuffer bytes. A longer
// frame moves to a pooled buffer, which doubles only when it is full: whoever announces 100 MiB
// and sends ten bytes costs as much as whoever sends ten bytes.
type frames struct {
	conn   net.Conn
	limits *Limits
	memory *budget         // shared by all connections
	drain  <-chan struct{} // closed when no more is to be read

	small  []byte
	buf    []byte // small, or a pooled one
	r, w   int    // unread bytes are buf[r:w]
	held   int64  // taken from memory for buf
	busy   bool   // the last read filled its buffer: there is probably more
	proven int    // size of the largest frame that came whole
	// firstBy is when the first frame must be there; zero once it is.
	firstBy time.Time
}

const (
	smallBuffer  = 4 << 10
	pooledBuffer = 64 << 10 // smallest pooled buffer, and not counted against the budget
	lengthBytes  = 4
	// keyBytes is how much of a frame shows its kind, and with it its limit.
	keyBytes = lengthBytes + 2
	// mostProven is the most that is allocated at once because a client has sent as much before.
	mostProven = 16 << 20
)

var (
	errFrameSize = errors.New("request length out of bounds")
	errNoMemory  = errors.New("no memory for the request in time")
)

func newFrames(c net.Conn, l *Limits, memory *budget, drain <-chan struct{}) *frames {
	small := make([]byte, smallBuffer)
	return &frames{conn: c, limits: l, memory: memory, drain: drain, small: small, buf: small}
}

// empty says that no part of a frame has arrived.
func (f *frames) empty() bool { return f.r == f.w }

// next returns the next frame without its length. It is valid until the next call.
// Waiting for a frame to begin is bounded by Idle, receiving it by FrameTimeout.
func (f *frames) next(ctx context.Context) ([]byte, error) {
	f.settle()
	for f.w-f.r < keyBytes {
		if err := f.fill(keyBytes, f.beginBy()); err != nil {
			return nil, err
		}
	}
	size := int(int32(binary.BigEndian.Uint32(f.buf[f.r:])))
	if size < minHeader || size > f.limit() {
		return nil, fmt.Errorf("%w: %d bytes", errFrameSize, size)
	}
	until := f.by(f.limits.FrameTimeout + time.Duration(size>>20)*time.Second)
	for f.w-f.r < lengthBytes+size {
		if err := f.room(ctx, lengthBytes+size, until); err != nil {
			return nil, err
		}
		if err := f.fill(lengthBytes+size, until); err != nil {
			return nil, err
		}
	}
	body := f.buf[f.r+lengthBytes : f.r+lengthBytes+size]
	f.r += lengthBytes + size
	f.proven = max(f.proven, min(lengthBytes+size, mostProven))
	f.firstBy = time.Time{}
	return body, nil
}

// beginBy is when the first bytes of a frame must be there.
func (f *frames) beginBy() time.Time {
	if f.empty() {
		return f.by(f.limits.Idle)
	}
	return f.by(f.limits.FrameTimeout)
}

// by is d from now, or when the first frame must be there if that is sooner.
func (f *frames) by(d time.Duration) time.Time {
	t := time.Now().Add(d)
	if !f.firstBy.IsZero() && f.firstBy.Before(t) {
		return f.firstBy
	}
	return t
}

func (f *frames) limit() int {
	if int16(binary.BigEndian.Uint16(f.buf[f.r+lengthBytes:])) == keyProduce {
		return f.limits.RequestBytes
	}
	return f.limits.ControlBytes
}

// fill reads once, for a frame of need bytes of which some are missing.
func (f *frames) fill(need int, until time.Time) error {
	f.compact(need)
	if err := f.conn.SetReadDeadline(until); err != nil {
		return err
	}
	select {
	case <-f.drain: // closed before the deadline that ends a read under way
		return errDraining
	default:
	}
	n, err := f.conn.Read(f.buf[f.w:])
	f.w += n
	f.busy = f.w == len(f.buf)
	if n > 0 {
		return nil
	}
	return err
}

// compact makes the unread bytes begin the buffer where need bytes would not fit otherwise.
func (f *frames) compact(need int) {
	if f.r == f.w {
		f.r, f.w = 0, 0
	}
	if f.r > 0 && f.r+need > len(f.buf) {
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	}
}

// room makes the buffer larger if it is full and need bytes do not fit. It doubles, or takes
// at once what this connection has filled before.
func (f *frames) room(ctx context.Context, need int, until time.Time) error {
	if f.r+need <= len(f.buf) || f.w-f.r < len(f.buf) {
		return nil
	}
	size := max(pooledBuffer, min(max(2*len(f.buf), f.proven), need))
	if size == pooledBuffer {
		f.replace(takeBuffer(size), 0)
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if !f.memory.take(ctx, int64(size)-f.held) {
		return errNoMemory
	}
	f.held = int64(size)
	f.replace(takeBuffer(size), int64(size))
	return nil
}

// replace moves what is unread to another buffer, for which held is taken from memory.
func (f *frames) replace(buf []byte, held int64) {
	n := copy(buf, f.buf[f.r:f.w])
	f.memory.give(f.held - held)
	f.held = held
	f.recycle()
	f.buf, f.r, f.w = buf, 0, n
}

// settle chooses the buffer to wait in: the small one as soon as what is unread fits, a pooled
// one while the connection sends more than that at a time.
func (f *frames) settle() {
	switch {
	case f.w-f.r > smallBuffer:
	case f.busy && len(f.buf) == smallBuffer:
		f.replace(takeBuffer(pooledBuffer), 0)
	case !f.busy && len(f.buf) > smallBuffer, len(f.buf) > pooledBuffer:
		f.replace(f.small, 0)
	}
}

// recycle gives a pooled buffer back; buf must be replaced.
func (f *frames) recycle() {
	if len(f.buf) > smallBuffer {
		giveBuffer(f.buf)
	}
}

// close gives everything back.
func (f *frames) close() {
	f.recycle()
	f.memory.give(f.held)
	f.buf, f.r, f.w, f.held = nil, 0, 0, 0
}

// buffers are pools of buffers of 64 KiB, 128 KiB … 16 MiB. Larger ones are left to the
// collector. A producer of many partitions sends one batch of each in a request: without a pool
// for 6 MB, nine of ten bytes that the process allocated were for these (measured).
var buffers [9]sync.Pool

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
