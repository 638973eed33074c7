package amqp

import (
	"errors"
	"io"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// How a connection ends: what it holds is given back, the client is told why, and the socket is
// closed when both have said good-bye, or when closeTime is over.

// settleUp lets a client whose server is being closed hear of all that it has published.
func (c *conn) settleUp() {
	if !c.draining() {
		return
	}
	if err := c.tx.commit(); err != nil {
		c.s.config.Logger.Warn("amqp: the last of a connection was not taken", "error", err)
		return
	}
	if last, ok := c.out.newest(); ok && last.Wait(c.ctx) == nil {
		c.out.flush()
	}
}

// hurry bounds what still happens: a client that does not read or answer must not keep us.
func (c *conn) hurry() {
	c.until = time.Now().Add(closeTime)
	c.ending.Store(true)
	_ = c.nc.SetWriteDeadline(c.until) // a closed socket needs none
}

// errClosed ends a connection that both sides have closed in order.
var errClosed = errors.New("closed")

// sayWhy tells the client why the connection ends, if it can still hear it.
func (c *conn) sayWhy(err error, r *frameReader) {
	var e *Error
	if c.draining() && !errors.As(err, &e) && !errors.Is(err, errClosed) {
		err = c.whyForced()
	}
	if !errors.As(err, &e) {
		return // the client went, or ended it in order
	}
	c.s.config.Logger.Info("amqp connection closed", "client", c.nc.RemoteAddr(), "why", e.replyText())
	c.out.method(0, &connectionClose{replyCode: e.Code, replyText: e.replyText(),
		cause: methodID{e.Class, e.Method}})
	c.awaitCloseOk(r)
}

// whyForced is the reason of CloseConnection, or that the server is being closed.
func (c *conn) whyForced() error {
	select {
	case <-c.forced:
		return errorf(replyConnectionForced, "%s", c.shown.reason)
	default:
		return errShutdown
	}
}

var errShutdown = errorf(replyConnectionForced, "broker forced connection closure with reason 'shutdown'")

// closeTime is how long a client may take to read what is left and to answer connection.close.
const closeTime = 2 * time.Second

// awaitCloseOk reads what the client still sends until it has answered, so that the close is not
// lost in a reset. A close of the client's own that crosses ours is answered.
func (c *conn) awaitCloseOk(r *frameReader) {
	if c.nc.SetReadDeadline(c.until) != nil {
		return
	}
	for {
		f, err := r.rest()
		if err != nil { // frames cannot be told apart, or there are no more
			_, _ = io.Copy(io.Discard, &untilCloseOk{c: c})
			return
		}
		if f.channel != 0 || f.kind != frameMethod {
			continue
		}
		switch m, _ := c.methods.parse(f.payload); m.(type) {
		case *connectionClose:
			c.out.method(0, &connectionCloseOk{})
		case *connectionCloseOk:
			return
		}
	}
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
	c.s.deadlines.forget(c)
	c.overdue.Store(false)
	c.conceal()
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

// readOut reads what the client sends until it has heard of the end: a socket closed with bytes
// unread would be reset, and take our last words with it.
func (c *conn) readOut() {
	if c.ctx.Err() == nil && c.nc.SetReadDeadline(c.until) == nil {
		_, _ = io.Copy(io.Discard, c.nc)
	}
}
