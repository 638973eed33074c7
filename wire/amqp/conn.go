package amqp

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// conn is one connection. Its read loop owns all fields but those with a lock of their own; its
// write loop writes and takes deliveries.
type conn struct {
	s      *Server
	nc     net.Conn
	out    output
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	written   chan struct{} // closed when the write loop has ended
	ending    atomic.Bool   // until is set
	until     time.Time     // by which all is written and read that still is
	tuned     chan struct{} // closed when the heartbeat is known
	heartbeat time.Duration // 0: none
	frameMax  uint32
	channels  uint16 // most of them

	isOpen     bool // connection.open-ok was sent
	user       string
	anyUserID  bool           // publishes may name others
	namespace  string         // of the virtual host
	rights     *broker.Rights // see rightsNow
	allRights  bool           // see Direct.WithAllRights
	properties Table          // of the client
	canCancel  bool           // it understands basic.cancel from the server
	canBlock   bool           // and connection.blocked
	// opened is closed when the connection is open. It ends with its user and its virtual host, which
	// do not change from then on.
	opened              chan struct{}
	userGone, vhostGone <-chan struct{}

	methods methodReader
	resting bool // the last frame was a heartbeat: the next read needs little room
	open    map[uint16]*channel
	tx      work // publishes and settles since the last commit
	partial int  // publishes whose body is not complete
	// isBlocked: the client was told that the disk is full.
	isBlocked bool

	owned map[*broker.Queue]bool // exclusive queues

	forced chan struct{} // closed when CloseConnection ends it
	shown  shown
	// overdue asks the read loop to look for deliveries that are, and look says when.
	overdue atomic.Bool
	look    look

	// The write loop's: the method it uses again and again, and whose turn it is.
	delivering basicDeliver
	turn       int
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, tuned: make(chan struct{}), opened: make(chan struct{}), written: make(chan struct{}), frameMax: helloBytes,
		open: map[uint16]*channel{}, owned: map[*broker.Queue]bool{}, forced: make(chan struct{})}
	c.out.wake, c.out.taken = make(chan struct{}, 1), make(chan struct{}, 1)
	c.ctx, c.cancel = context.WithCancel(s.life)
	c.tx.c = c
	c.look.next.Store(math.MaxInt64)
	return c
}

// run serves the connection until it ends.
func (c *conn) run() {
	defer c.nc.Close()
	defer c.cancel()
	c.s.loops.Go(c.write)
	r := &frameReader{c: c}
	err := c.serve(r)
	c.settleUp()
	c.leave()
	c.hurry()
	c.sayWhy(err, r)
	c.out.end()
	c.awaitWritten()
	c.readOut()
}

// draining says that the connection is to end: the server is being closed, or CloseConnection was
// called.
func (c *conn) draining() bool {
	select {
	case <-c.s.drain:
		return true
	case <-c.forced:
		return true
	default:
		return false
	}
}

// serve is the read loop. A panic is a bug of ours: it ends this connection and no other.
func (c *conn) serve(r *frameReader) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.s.panics.Add(1)
			c.s.config.Logger.Error("amqp connection ended by a bug", "panic", p, "stack", string(debug.Stack()))
			err = errorf(replyInternalError, "an internal error, which the server's log names")
		}
	}()
	if err := c.readBy(time.Now().Add(c.s.config.Limits.Handshake)); err != nil {
		return err
	}
	if err := c.greet(); err != nil {
		return err
	}
	if err := c.handshake(r); err != nil {
		return err
	}
	for {
		f, err := r.next()
		if err != nil {
			return err
		}
		if err := c.frame(f); err != nil {
			return err
		}
	}
}

// frame acts on one frame.
func (c *conn) frame(f frame) error {
	switch {
	case f.kind == frameHeartbeat:
		c.rest()
		return nil
	case f.channel == 0 && f.kind == frameMethod:
		return c.control(f.payload)
	case f.channel == 0:
		return errorf(replyUnexpectedFrame, "content on channel 0")
	}
	ch := c.open[f.channel]
	if ch == nil {
		return c.openChannel(f)
	}
	return ch.frame(f)
}

// rest lets go of the room that a busy time needed.
func (c *conn) rest() {
	c.resting = true
	c.tx.rest()
	for _, ch := range c.open {
		ch.rest()
	}
}

// control acts on a method of channel 0.
func (c *conn) control(payload []byte) error {
	m, err := c.methods.parse(payload)
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *connectionClose:
		c.leave()
		c.forgetAll()
		c.out.method(0, &connectionCloseOk{})
		return errClosed
	case *connectionCloseOk:
		return errClosed
	case *connectionUpdateSecret:
		c.out.method(0, &connectionUpdateSecretOk{})
		return nil
	default:
		return causedBy(m.id(), errorf(replyChannelError, "unexpected method in connection state running"))
	}
}

func (c *conn) openChannel(f frame) error {
	if f.kind != frameMethod {
		return errorf(replyChannelError, "expected 'channel.open'")
	}
	m, err := c.methods.parse(f.payload)
	if err != nil {
		return err
	}
	switch m.(type) {
	case *channelOpen:
	case *channelCloseOk:
		return nil // of a close that crossed one of ours
	default:
		return causedBy(m.id(), errorf(replyChannelError, "expected 'channel.open'"))
	}
	if f.channel > c.channels {
		return causedBy(m.id(), errorf(replyNotAllowed, "number of channels opened (%d) has reached the "+
			"negotiated channel_max (%d)", f.channel, c.channels))
	}
	c.keep(newChannel(c, f.channel))
	c.out.method(f.channel, &channelOpenOk{})
	return nil
}

// frameReader reads frames from the connection, many at a time. Before it waits for more, it
// commits what the frames so far have asked for.
type frameReader struct {
	c    *conn
	buf  []byte
	from int // of what was read and not used
}

const (
	readBytes    = 64 << 10
	keptReadIdle = 4 << 10
)

// next returns the next frame, valid until the one after.
func (r *frameReader) next() (frame, error) {
	for {
		f, n, err := parseFrame(r.buf[r.from:], r.c.frameMax)
		if err == nil {
			r.from += n
			return f, nil
		}
		if !errors.Is(err, errMore) {
			return frame{}, err
		}
		if err := r.c.tx.commit(); err != nil {
			return frame{}, err
		}
		r.c.keepPartial()
		if err := r.c.awaitFrame(); err != nil {
			return frame{}, err
		}
		if err := r.fill(n); err != nil {
			return frame{}, err
		}
	}
}

// rest returns the next frame of a connection that is being closed.
func (r *frameReader) rest() (frame, error) {
	for {
		f, n, err := parseFrame(r.buf[r.from:], r.c.frameMax)
		if err == nil {
			r.from += n
			return f, nil
		}
		if !errors.Is(err, errMore) {
			return frame{}, err
		}
		if err := r.fill(n); err != nil {
			return frame{}, err
		}
	}
}

// fill reads more, until at least want bytes could be there.
func (r *frameReader) fill(want int) error {
	rest := r.buf[r.from:]
	if size := max(want, keptReadIdle); cap(r.buf) < size || len(rest) == 0 && cap(r.buf) > r.kept() {
		grown := make([]byte, len(rest), max(size, keptReadIdle))
		copy(grown, rest)
		r.buf = grown
	} else {
		r.buf = append(r.buf[:0], rest...)
	}
	r.from = 0
	n, err := r.c.nc.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	if n == cap(r.buf)-len(rest) && cap(r.buf) < readBytes { // a busy connection: read more at once
		grown := make([]byte, len(r.buf), min(4*cap(r.buf), readBytes))
		copy(grown, r.buf)
		r.buf = grown
	}
	if n > 0 || err == nil || r.c.looked(err) {
		return nil
	}
	return r.c.readFailed(err)
}

// kept is how large a buffer may be that has nothing in it.
func (r *frameReader) kept() int {
	if r.c.resting {
		r.c.resting = false
		return keptReadIdle
	}
	return readBytes
}

// awaitFrame readies the connection for a read: there is room for answers, and two heartbeats are
// the time for it.
func (c *conn) awaitFrame() error {
	if err := c.awaitRoom(); err != nil {
		return err
	}
	if !c.isOpen || c.heartbeat == 0 {
		return nil
	}
	return c.readBy(time.Now().Add(2 * c.heartbeat))
}

// awaitRoom waits while too much waits to be written: a client that does not read is not read.
func (c *conn) awaitRoom() error {
	for c.out.full(c.s.config.Limits.QueuedBytes) {
		c.lookIfAsked()
		select {
		case <-c.out.taken:
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-c.s.drain:
			return nil // the read will end at once
		case <-c.forced:
			return nil
		}
	}
	return nil
}

// readBy sets the time by which a read must end; zero is never. Close's own stays above it.
func (c *conn) readBy(at time.Time) error {
	err := c.nc.SetReadDeadline(at)
	if err == nil && (c.draining() || c.overdue.Load()) { // they may have set their deadline before us
		err = c.nc.SetReadDeadline(time.Now())
	}
	return err
}

func (c *conn) readFailed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.isForced() {
		c.s.config.Logger.Info("amqp client was silent for two heartbeats", "client", c.nc.RemoteAddr())
	}
	return err
}
