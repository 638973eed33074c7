package kafka

import (
	"net"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// output gathers the frames that a connection is about to send, and sends many in one write.
// Small pieces are copied into scratch; batches of a fetch stay where the engine read them.
type output struct {
	conn    net.Conn
	timeout time.Duration

	scratch []byte // small pieces; scratch[cut:] is not among pieces yet
	cut     int
	pieces  net.Buffers
	size    int // bytes in pieces
	held    []*broker.Buffer
	memory  *budget
	taken   int64 // from memory, for what is held
}

const (
	// flushBytes is how much is gathered before it is sent although more is ready.
	flushBytes = 64 << 10
	// copyBytes is the size from which a piece is sent from where it lies: below, a copy is
	// cheaper than one more element of the vector.
	copyBytes = 4 << 10
	// writeBytes is what a client must take within one timeout.
	writeBytes = 256 << 10
)

// add appends bytes that stay valid until flush.
func (o *output) add(b []byte) {
	if len(b) < copyBytes {
		o.scratch = append(o.scratch, b...)
		return
	}
	o.seal()
	o.pieces = append(o.pieces, b)
	o.size += len(b)
}

// seal makes what was added to scratch a piece of its own. Growing scratch later leaves the
// old array, which the piece points to, as it is.
func (o *output) seal() {
	if o.cut < len(o.scratch) {
		o.pieces = append(o.pieces, o.scratch[o.cut:])
		o.size += len(o.scratch) - o.cut
		o.cut = len(o.scratch)
	}
}

// pending is the number of bytes that flush would send.
func (o *output) pending() int { return o.size + len(o.scratch) - o.cut }

// flush sends everything and releases what was held for it.
func (o *output) flush() error {
	if o.pending() == 0 {
		o.reset()
		return nil
	}
	o.seal()
	err := o.send(o.pieces)
	o.reset()
	return err
}

// send writes pieces in portions, each with its own deadline, so that a slow client may take
// long but must keep taking.
func (o *output) send(pieces net.Buffers) error {
	for len(pieces) > 0 {
		portion, rest := split(pieces, writeBytes)
		if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
			return err
		}
		if _, err := portion.WriteTo(o.conn); err != nil {
			return err
		}
		pieces = rest
	}
	return nil
}

// split cuts pieces after n bytes. It may cut inside one, whose parts share the memory.
func split(pieces net.Buffers, n int) (first, rest net.Buffers) {
	for i, p := range pieces {
		if len(p) < n {
			n -= len(p)
			continue
		}
		first = append(first, pieces[:i]...)
		first = append(first, p[:n])
		if n == len(p) {
			return first, pieces[i+1:]
		}
		pieces[i] = p[n:]
		return first, pieces[i:]
	}
	return pieces, nil
}

// reset forgets what was sent, and keeps scratch only if an idle connection can afford it.
func (o *output) reset() {
	for _, b := range o.held {
		b.Release()
	}
	o.memory.give(o.taken)
	clear(o.pieces)
	o.pieces, o.held = o.pieces[:0], nil
	if cap(o.pieces) > 64 {
		o.pieces = nil
	}
	o.size, o.cut, o.taken = 0, 0, 0
	if cap(o.scratch) > smallBuffer {
		o.scratch = nil
	}
	o.scratch = o.scratch[:0]
}
