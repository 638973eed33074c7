package amqp

import (
	"errors"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// published is a publish on its way to the broker.
type published struct {
	ch        *channel
	tag       uint64 // 0: it is not to be confirmed
	mandatory bool
	x         *broker.Exchange
	rec       broker.QueueRecord
	direct    *consumer // of a direct reply, instead of x
	index     int       // in the Tx
}

// work is what a connection asks of the broker between two reads of its socket: one Tx, and so one
// frame of the journal.
type work struct {
	c         *conn
	publishes []published
	settles   []settled
	n         int
	confirms  []confirm
	durably   bool           // commit waits for the disk
	settled   broker.Confirm // of the last commit that settled something
}

// settled is kept until the commit, in case it must be tried again.
type settled struct {
	ch *channel
	unacked
	outcome broker.Outcome
}

// mostInTx bounds what one Tx has in it.
const mostInTx = 1024

func (w *work) publish(p published) error {
	w.publishes = append(w.publishes, p)
	return w.added()
}

func (w *work) settle(ch *channel, done []unacked, o broker.Outcome) error {
	for _, u := range done {
		w.settles = append(w.settles, settled{ch, u, o})
		if err := w.added(); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) added() error {
	if w.n++; w.n >= mostInTx {
		return w.commit()
	}
	return nil
}

// commit hands everything to the broker, returns what found no queue, and has confirms sent when
// they are due. It does not wait for the disk; while the disk or the memory is full it waits for
// room, as the client then does for us.
func (w *work) commit() error {
	if w.n == 0 {
		return nil
	}
	tx, confirmed, err := w.try()
	for errors.Is(err, broker.Full) || errors.Is(err, errMemory) {
		if err = w.c.blocked(err); err == nil {
			tx, confirmed, err = w.try()
		}
	}
	if err == nil && w.durably {
		err = confirmed.Wait(w.c.ctx)
	}
	if err == nil {
		if len(w.settles) > 0 {
			w.settled = confirmed
		}
		w.c.unblocked()
		w.committed(tx)
		tx.Release()
	}
	clear(w.publishes)
	clear(w.settles)
	w.publishes, w.settles, w.n = w.publishes[:0], w.settles[:0], 0
	return failed(err)
}

func (w *work) rest() {
	if w.n == 0 {
		w.publishes, w.settles, w.confirms = nil, nil, nil
	}
}

// try commits, unless publishers have to wait for memory.
func (w *work) try() (tx *broker.Tx, done broker.Confirm, err error) {
	if len(w.publishes) > 0 && w.c.s.memory.over() {
		return nil, done, errMemory
	}
	tx = w.begin()
	done, err = tx.Commit(w.c.ctx)
	return tx, done, err
}

func (w *work) begin() *broker.Tx {
	tx := w.c.s.broker.Begin()
	for i := range w.publishes {
		if p := &w.publishes[i]; p.direct == nil {
			p.index = tx.Publish(p.x, p.rec)
		}
	}
	for i := range w.settles {
		w.settles[i].settle(tx, w.settles[i].outcome)
	}
	return tx
}

func (w *work) committed(tx *broker.Tx) {
	for i := range w.publishes {
		w.tell(tx, &w.publishes[i])
	}
	if len(w.confirms) > 0 {
		w.c.out.expect(w.confirms)
		clear(w.confirms)
		w.confirms = w.confirms[:0]
	}
	var last *channel
	for i := range w.settles {
		if f := w.settles[i].follower; f != nil {
			f.Accept(1)
		}
		if ch := w.settles[i].ch; ch != last && ch.limited.Load() {
			ch.kick()
			last = ch
		}
	}
}

// tell returns a publish to its sender, if that is asked for, and has it confirmed.
func (w *work) tell(tx *broker.Tx, p *published) {
	r := broker.Routed{Queues: 1}
	if p.direct == nil {
		r = tx.Routed(p.index)
	} else if !p.direct.reply(p) {
		r.Queues = 0
	}
	if r.Queues == 0 && !r.Refused && !r.Delayed && p.mandatory {
		w.c.bounce(p)
	}
	if p.tag > 0 {
		w.confirms = append(w.confirms, confirm{p.ch, p.tag, r.Confirm, r.Refused})
	}
}

// bounce sends a message back that no queue took.
func (c *conn) bounce(p *published) {
	c.out.put(func(dst []byte) []byte {
		start := len(dst)
		out, err := appendMethod(dst, p.ch.id, &basicReturn{replyCode: replyNoRoute, replyText: "NO_ROUTE",
			exchange: p.rec.Exchange, routingKey: p.rec.Key})
		if err != nil {
			return dst[:start]
		}
		return appendContent(out, p.ch.id, p.rec.Props, p.rec.Body, c.frameMax)
	})
}

func appendContent(dst []byte, channel uint16, props, body []byte, frameMax uint32) []byte {
	dst = appendContentHeader(dst, channel, contentHeader{bodySize: uint64(len(body)), properties: props})
	return appendBody(dst, channel, body, frameMax)
}

// blockedFor is how often a connection that is held back tries again.
const blockedFor = 250 * time.Millisecond

// blocked holds the connection back for a while because the disk or the memory is full; the client
// hears of it the first time.
func (c *conn) blocked(why error) error {
	if !c.isBlocked {
		c.isBlocked = true
		c.s.config.Logger.Warn("amqp publisher has to wait", "client", c.nc.RemoteAddr(), "error", why)
		reason := "low on disk"
		if errors.Is(why, errMemory) {
			reason = "low on memory"
		}
		if c.canBlock {
			c.out.method(0, &connectionBlocked{reason: reason})
		}
	}
	t := time.NewTimer(blockedFor)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	case <-c.forced:
		return errorf(replyConnectionForced, "%s", c.shown.reason)
	case <-c.s.drain:
		return errShutdown
	}
}

// unblocked tells a client that was held back that it may go on.
func (c *conn) unblocked() {
	if !c.isBlocked {
		return
	}
	c.isBlocked = false
	if c.canBlock {
		c.out.method(0, &connectionUnblocked{})
	}
}
