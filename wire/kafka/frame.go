package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// frames reads requests from a connection. A request travels as a frame: a length of four
// bytes, then header and body. begin waits for one to begin, take hands it out piece by piece
// as it arrives, so that nobody needs to hold more of it than he asks for at once.
//
// An idle connection holds smallBuffer bytes. A larger piece moves to a pooled buffer, which
// doubles only when it is full: whoever announces 100 MiB and sends ten bytes costs as much as
// whoever sends ten bytes.
type frames struct {
	ctx    context.Context
	conn   net.Conn
	limits *Limits
	drain  <-chan struct{} // closed when no more is to be read

	small  []byte
	buf    []byte // small, or a pooled one
	r, w   int    // unread bytes are buf[r:w]
	memory share  // of what all connections have together, for buf
	busy   bool   // the last read filled its buffer: there is probably more
	proven int    // size of the largest piece that came whole

	left    int       // bytes of the frame that have not been handed out
	until   time.Time // when they must be there
	firstBy time.Time // when the first frame must be there; zero once it is
	err     error     // what ended the frame; every take is empty from then on
}

const (
	smallBuffer  = 1 << 10
	pooledBuffer = 64 << 10 // smallest pooled buffer, and not counted against the budget
	lengthBytes  = 4
	// keyBytes is how much of a frame shows its kind, and with it its limit.
	keyBytes = lengthBytes + 2
	// mostProven is the most that is allocated at once because a client has sent as much before.
	mostProven = 4 << 20
)

var (
	errFrameSize = errors.New("request length out of bounds")
	errNoMemory  = errors.New("no memory for the request in time")
)

// begin waits until a frame begins. Waiting for it is bounded by Idle, receiving it by
// FrameTimeout. After os.ErrDeadlineExceeded it can be called again if the frames are empty.
func (f *frames) begin() error {
	if f.err != nil {
		return f.err
	}
	f.settle()
	for f.w-f.r < keyBytes {
		if err := f.fill(keyBytes, f.beginBy()); err != nil {
			return err
		}
	}
	size := int(int32(binary.BigEndian.Uint32(f.buf[f.r:])))
	if size < minHeader || size > f.limit() {
		return fmt.Errorf("%w: %d bytes", errFrameSize, size)
	}
	f.r += lengthBytes
	f.left = size
	f.until = f.by(f.limits.FrameTimeout + time.Duration(size>>20)*time.Second)
	return nil
}

// end finishes a frame. It is an error if something was left of it.
func (f *frames) end() error {
	if f.err == nil && f.left > 0 {
		f.err = errTrailing
	}
	f.letNext()
	f.firstBy = time.Time{}
	return f.err
}

// empty says that no part of a frame has arrived.
func (f *frames) empty() bool { return f.r == f.w && f.left == 0 }

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

// take returns the next n bytes of the frame, which are valid until the next call, or nil with
// err set.
func (f *frames) take(n int) []byte {
	f.letNext()
	if f.err == nil && (n < 0 || n > f.left) {
		f.err = errShort
	}
	for f.err == nil && f.w-f.r < n {
		if f.err = f.room(n); f.err == nil {
			f.err = f.fill(n, f.until)
		}
	}
	if f.err != nil {
		return nil
	}
	b := f.buf[f.r : f.r+n : f.r+n]
	f.r += n
	f.left -= n
	f.proven = max(f.proven, min(n, mostProven))
	return b
}

// rest returns what is left of the frame.
func (f *frames) rest() []byte { return f.take(f.left) }

// skip passes over n bytes without holding them.
func (f *frames) skip(n int) {
	for n > 0 && f.err == nil {
		step := min(n, smallBuffer)
		f.take(step)
		n -= step
	}
}

func (f *frames) i16() int16 {
	if b := f.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (f *frames) i32() int32 {
	if b := f.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// uvarint reads a variable-length number of at most 31 bits.
func (f *frames) uvarint() int {
	v := 0
	for shift := 0; shift < 35; shift += 7 {
		b := f.take(1)
		if b == nil {
			return 0
		}
		v |= int(b[0]&0x7f) << shift
		if b[0] < 0x80 && v <= 1<<31-1 {
			return v
		}
	}
	if f.err == nil {
		f.err = errShort
	}
	return 0
}

// stringLen reads the length of a string, -1 for null.
func (f *frames) stringLen(flexible bool) int {
	if flexible {
		return f.uvarint() - 1
	}
	return f.length(int(f.i16()))
}

// longLen reads the length of bytes or of an array, -1 for null.
func (f *frames) longLen(flexible bool) int {
	if flexible {
		return f.uvarint() - 1
	}
	return f.length(int(f.i32()))
}

func (f *frames) length(n int) int {
	if n < -1 && f.err == nil {
		f.err = errNull
	}
	return n
}

// tags passes over the tagged fields that end a flexible struct.
func (f *frames) tags() {
	last := -1
	for n := f.uvarint(); n > 0 && f.err == nil; n-- {
		tag, size := f.uvarint(), f.uvarint()
		if f.err == nil && tag <= last {
			f.err = errTags
		}
		last = tag
		if size > f.left && f.err == nil {
			f.err = errShort
		}
		f.skip(size)
	}
}

// fill reads once, for a piece of need bytes of which some are missing.
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
	room := f.buf[f.w:]
	if f.memory.first {
		room = f.buf[f.w:min(f.r+need, len(f.buf))] // no more than the piece: see letNext
	}
	n, err := f.conn.Read(room)
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
func (f *frames) room(need int) error {
	if f.r+need <= len(f.buf) || f.w-f.r < len(f.buf) {
		return nil
	}
	size := max(pooledBuffer, min(max(2*len(f.buf), f.proven), need))
	if size == pooledBuffer {
		f.replace(takeBuffer(size), 0)
		return nil
	}
	ctx, cancel := context.WithDeadline(f.ctx, f.until)
	defer cancel()
	if !f.memory.grow(ctx, int64(size)) {
		return errNoMemory
	}
	f.replace(takeBuffer(size), int64(size))
	return nil
}

// letNext gives up a buffer beyond the memory of all as soon as its piece was handed out: others
// wait for the right to the next one.
func (f *frames) letNext() {
	if f.memory.first && f.r == f.w {
		f.replace(f.small, 0)
	}
}

// replace moves what is unread to another buffer, for which held is taken from memory.
func (f *frames) replace(buf []byte, held int64) {
	n := copy(buf, f.buf[f.r:f.w])
	f.memory.shrink(held)
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
	f.memory.shrink(0)
	f.buf, f.r, f.w = nil, 0, 0
}
