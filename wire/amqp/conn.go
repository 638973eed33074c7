package amqp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
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
	tuned     chan struct{} // closed when the heartbeat is known
	heartbeat time.Duration // 0: none
	frameMax  uint32
	channels  uint16 // most of them

	user       string
	namespace  string // of the virtual host
	properties Table  // of the client
	canCancel  bool   // it understands basic.cancel from the server
	canBlock   bool   // and connection.blocked

	methods methodReader
	open    map[uint16]*channel
	tx      work // publishes and settles since the last commit
	partial int  // publishes whose body is not complete
	// isBlocked: the client was told that the disk is full.
	isBlocked bool

	owned map[*broker.Queue]bool // exclusive queues

	delivering basicDeliver // the write loop's
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, tuned: make(chan struct{}), written: make(chan struct{}), frameMax: minFrameMax,
		open: map[uint16]*channel{}, owned: map[*broker.Queue]bool{}}
	c.out.wake = make(chan struct{}, 1)
	c.ctx, c.cancel = context.WithCancel(s.life)
	c.tx.c = c
	return c
}

// run serves the connection until it ends.
func (c *conn) run() {
	defer c.nc.Close()
	defer c.cancel()
	c.s.loops.Go(c.write)
	err := c.serve()
	c.leave()
	c.sayWhy(err)
	c.out.end()
	<-c.written
	c.readOut()
}

// readOut reads what the client sends until it has heard of the end: a socket closed with bytes
// unread would be reset, and take our last words with it.
func (c *conn) readOut() {
	if c.ctx.Err() == nil && c.nc.SetReadDeadline(time.Now().Add(closeTime)) == nil {
		_, _ = io.Copy(io.Discard, c.nc)
	}
}

// serve is the read loop. A panic is a bug of ours: it ends this connection and no other.
func (c *conn) serve() (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.s.panics.Add(1)
			c.s.config.Logger.Error("amqp connection ended by a bug", "panic", p, "stack", string(debug.Stack()))
			err = errorf(replyInternalError, "an internal error, which the server's log names")
		}
	}()
	if err := c.nc.SetReadDeadline(time.Now().Add(c.s.config.Limits.Handshake)); err != nil {
		return err
	}
	r := &frameReader{c: c}
	if err := c.greet(r); err != nil {
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

// errClosed ends a connection that both sides have closed in order.
var errClosed = errors.New("closed")

// sayWhy tells the client why the connection ends, if it can still hear it.
func (c *conn) sayWhy(err error) {
	var e *Error
	select {
	case <-c.s.drain:
		if !errors.As(err, &e) && !errors.Is(err, errClosed) {
			err = errorf(replyConnectionForced, "broker forced connection closure with reason 'shutdown'")
		}
	default:
	}
	if !errors.As(err, &e) {
		return // the client went, or ended it in order
	}
	c.s.config.Logger.Info("amqp connection closed", "client", c.nc.RemoteAddr(), "why", e.replyText())
	c.out.method(0, &connectionClose{replyCode: e.Code, replyText: e.replyText(),
		cause: methodID{e.Class, e.Method}})
	c.awaitCloseOk()
}

// closeTime is how long a client may take to answer connection.close.
const closeTime = 2 * time.Second

// awaitCloseOk reads what the client still sends until it has answered, so that the close is not
// lost in a reset.
func (c *conn) awaitCloseOk() {
	if c.nc.SetReadDeadline(time.Now().Add(closeTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, &untilCloseOk{c: c})
}

// untilCloseOk ends where connection.close-ok is found in what is read.
type untilCloseOk struct {
	c    *conn
	held []byte
}

var closeOkFrame = []byte{frameMethod, 0, 0, 0, 0, 0, 4, 0, 10, 0, 51, frameEnd}

func (u *untilCloseOk) Read(p []byte) (int, error) {
	n, err := u.c.nc.Read(p)
	u.held = append(u.held, p[:n]...)
	if len(u.held) >= len(closeOkFrame) {
		tail := u.held[len(u.held)-len(closeOkFrame):]
		if string(tail) == string(closeOkFrame) {
			return n, io.EOF
		}
		u.held = append(u.held[:0], tail...)
	}
	return n, err
}

// hangUp ends the connection from the write loop.
func (c *conn) hangUp() {
	c.out.mu.Lock()
	c.out.ended = true
	c.out.mu.Unlock()
	c.cancel()
	c.nc.Close()
}

// leave gives back all that the connection holds.
func (c *conn) leave() {
	if err := c.tx.commit(); err != nil {
		c.s.config.Logger.Warn("amqp: the last of a connection was not taken", "error", err)
	}
	for _, ch := range c.open {
		ch.end()
	}
	for q := range c.owned {
		_, err := c.s.broker.DeleteQueue(c.s.life, q, broker.DeleteOptions{Owner: c})
		if err != nil && !errors.Is(err, broker.NotFound) {
			c.s.config.Logger.Warn("amqp: an exclusive queue stays", "queue", q.String(), "error", err)
		}
	}
}

// frame acts on one frame.
func (c *conn) frame(f frame) error {
	switch {
	case f.kind == frameHeartbeat:
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

// control acts on a method of channel 0.
func (c *conn) control(payload []byte) error {
	m, err := c.methods.parse(payload)
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *connectionClose:
		c.leave()
		c.open, c.owned = nil, nil
		c.out.method(0, &connectionCloseOk{})
		return errClosed
	case *connectionCloseOk:
		return errClosed
	case *connectionUpdateSecret:
		c.out.method(0, &connectionUpdateSecretOk{})
		return nil
	default:
		return causedBy(m.id(), errorf(replyCommandInvalid, "%v on channel 0", m.id()))
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
	c.open[f.channel] = newChannel(c, f.channel)
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
		if err := r.fill(n); err != nil {
			return frame{}, err
		}
	}
}

// fill reads more, until at least want bytes could be there.
func (r *frameReader) fill(want int) error {
	rest := r.buf[r.from:]
	if size := max(want, keptReadIdle); cap(r.buf) < size || len(rest) == 0 && cap(r.buf) > readBytes {
		grown := make([]byte, len(rest), max(size, keptReadIdle))
		copy(grown, rest)
		r.buf = grown
	} else {
		r.buf = append(r.buf[:0], rest...)
	}
	r.from = 0
	if err := r.c.awaitFrame(); err != nil {
		return err
	}
	n, err := r.c.nc.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	if n == cap(r.buf)-len(rest) && cap(r.buf) < readBytes { // a busy connection: read more at once
		grown := make([]byte, len(r.buf), min(4*cap(r.buf), readBytes))
		copy(grown, r.buf)
		r.buf = grown
	}
	if n > 0 || err == nil {
		return nil
	}
	return r.c.readFailed(err)
}

// awaitFrame sets the deadline of a read: two heartbeats.
func (c *conn) awaitFrame() error {
	if c.heartbeat == 0 {
		return nil
	}
	if err := c.nc.SetReadDeadline(time.Now().Add(2 * c.heartbeat)); err != nil {
		return err
	}
	select {
	case <-c.s.drain: // Close may have set its deadline before us
		return c.nc.SetReadDeadline(time.Now())
	default:
		return nil
	}
}

func (c *conn) readFailed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.s.config.Logger.Info("amqp client was silent for two heartbeats", "client", c.nc.RemoteAddr())
	}
	return err
}
