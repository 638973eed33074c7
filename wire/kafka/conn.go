package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one client's connection: a read loop, in the goroutine of run, and a write loop.
//
// Back-pressure is the absence of reading: the read loop stops when replies holds as many as
// it may, when they weigh too much, and while the engine does not admit more.
type conn struct {
	srv    *Server
	nc     net.Conn
	in     *frames
	ctx    context.Context // ends when the connection is of no more use
	cancel context.CancelFunc

	advertised endpoint // where this client is told to connect
	host       string   // the client's address, as groups show it

	replies chan reply    // in request order; closed by the read loop
	queued  atomic.Int64  // weight of replies that are not yet sent
	waiting atomic.Int64  // number of them
	relief  chan struct{} // capacity 1: queued has fallen

	rotation int // where the next fetch begins to look
}

var errDraining = errors.New("server is being closed")

func newConn(s *Server, nc net.Conn) *conn {
	ctx, cancel := context.WithCancel(context.Background())
	where, _ := advertised(s.config.Advertise, nc.LocalAddr()) // checked by Listen
	return &conn{
		srv: s, nc: nc, in: s.frames(ctx, nc), ctx: ctx, cancel: cancel,
		advertised: where, host: hostOf(nc.RemoteAddr()),
		replies: make(chan reply, s.config.Limits.Pipeline),
		relief:  make(chan struct{}, 1),
	}
}

// frames is the reading end of a connection.
func (s *Server) frames(ctx context.Context, nc net.Conn) *frames {
	small := make([]byte, smallBuffer)
	return &frames{
		ctx: ctx, conn: nc, limits: &s.config.Limits, drain: s.drain,
		small: small, buf: small, memory: share{of: s.requestMemory},
	}
}

// hostOf shows an address the way Kafka does in a group's description.
func hostOf(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return "/" + tcp.AddrPort().Addr().Unmap().WithZone("").String()
	}
	return "/" + a.String()
}

// run serves the connection until it ends, and returns when nothing of it is left.
func (c *conn) run() {
	var writer sync.WaitGroup
	writer.Go(c.writeLoop)
	err := c.readLoop()
	if !errors.Is(err, errDraining) {
		c.kill()
		c.report(err)
	}
	close(c.replies)
	writer.Wait()
	c.kill()
	c.in.close()
}

// kill ends the connection: both loops return soon.
func (c *conn) kill() {
	c.cancel()
	c.nc.Close()
}

// report logs why a connection ended, unless it was the client's normal way to go.
func (c *conn) report(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || c.ctx.Err() == nil {
		return
	}
	c.srv.config.Logger.Debug("kafka connection closed",
		"client", c.nc.RemoteAddr(), "reason", err)
}

// readLoop reads and hands on requests until the connection ends. It returns why.
func (c *conn) readLoop() (err error) {
	defer c.recover(&err)
	c.in.firstBy = time.Now().Add(c.srv.config.Limits.FirstRequest)
	if err := c.handshake(c.in.firstBy); err != nil {
		return err
	}
	for {
		err := c.in.begin()
		if errors.Is(err, os.ErrDeadlineExceeded) && c.keep() {
			continue
		}
		if err == nil {
			err = c.handle()
		}
		if err != nil {
			return err
		}
	}
}

// keep says that a connection whose deadline has passed is to be read on: because it waits for
// an answer, a join for instance, or because the server is draining, which next will notice.
func (c *conn) keep() bool {
	select {
	case <-c.srv.drain:
		return true
	default:
		return c.in.empty() && c.waiting.Load() > 0
	}
}

// handshaker is a tls.Conn.
type handshaker interface {
	HandshakeContext(context.Context) error
}

func (c *conn) handshake(until time.Time) error {
	h, ok := c.nc.(handshaker)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithDeadline(c.ctx, until)
	defer cancel()
	return h.HandshakeContext(ctx)
}

// recover turns a panic of a handler into the end of this connection alone.
func (c *conn) recover(err *error) {
	if p := recover(); p != nil {
		c.srv.panics.Add(1)
		*err = fmt.Errorf("panic: %v", p)
		c.srv.config.Logger.Error("kafka connection panicked",
			"client", c.nc.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
	}
}

// handle serves the request that has begun to arrive.
func (c *conn) handle() error {
	r, e, err := readHeader(c.in)
	if err != nil {
		return err
	}
	c.srv.requests.Add(1)
	rep, err := c.serve(r, e)
	if err == nil {
		err = c.in.end()
	}
	if err != nil || rep == nil {
		return err
	}
	if h, ok := rep.(hangUp); ok {
		return h.why
	}
	return c.enqueue(rep)
}

func (c *conn) serve(r *request, e *entry) (reply, error) {
	switch {
	case r.version < e.Min || r.version > e.Max:
		c.in.rest()
		return c.unknownAPIVersions(r), nil
	case e.stream != nil:
		return e.stream(c, r), nil
	}
	body := c.in.rest()
	if c.in.err != nil {
		return nil, c.in.err
	}
	r.size = len(body)
	q, err := r.decode(e, body, c.srv.config.Limits.Elements)
	if err != nil {
		return nil, err
	}
	return e.serve(c, r, q), nil
}

// enqueue hands a reply to the write loop. It waits for room.
func (c *conn) enqueue(r reply) error {
	c.waiting.Add(1)
	c.queued.Add(int64(r.weight()))
	select {
	case c.replies <- r:
	case <-c.ctx.Done():
		return net.ErrClosed
	}
	for c.queued.Load() > int64(c.srv.config.Limits.QueuedBytes) {
		select {
		case <-c.relief:
		case <-c.ctx.Done():
			return net.ErrClosed
		}
	}
	return nil
}

// writeLoop sends replies until there are no more or the connection ends.
func (c *conn) writeLoop() {
	out := &output{
		conn: c.nc, timeout: c.srv.config.Limits.WriteTimeout, memory: c.srv.fetchMemory,
	}
	defer out.reset()
	if err := c.sendAll(out); err != nil {
		c.kill() // the read loop notices
	}
}

// sendAll sends replies. It returns nil at the end of them, with everything sent.
func (c *conn) sendAll(out *output) (err error) {
	defer c.recover(&err)
	w := newWaiting(c.ctx, c.srv.drain)
	for {
		r, err := c.foremost(out)
		if r == nil || err != nil {
			return err
		}
		if err := c.send(r, w, out); err != nil {
			return err
		}
	}
}

// foremost returns the next reply, nil if there are no more. What was gathered is sent before
// it waits for one.
func (c *conn) foremost(out *output) (reply, error) {
	select {
	case r, ok := <-c.replies:
		if ok {
			return r, nil
		}
		return nil, out.flush()
	default:
	}
	if err := out.flush(); err != nil {
		return nil, err
	}
	select {
	case r := <-c.replies:
		return r, nil
	case <-c.ctx.Done():
		return nil, c.ctx.Err()
	}
}

// send adds one reply to out. It flushes before waiting, and when enough is gathered.
func (c *conn) send(r reply, w *waiting, out *output) error {
	if !r.ready() {
		if err := out.flush(); err != nil {
			return err
		}
		if !r.await(w) {
			return c.ctx.Err()
		}
	}
	r.write(out)
	c.waiting.Add(-1)
	c.queued.Add(-int64(r.weight()))
	select {
	case c.relief <- struct{}{}:
	default:
	}
	if out.pending() >= flushBytes {
		return out.flush()
	}
	return nil
}
