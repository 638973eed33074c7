package amqp

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// channel is one channel of a connection. The read loop owns it, but for what mu guards.
type channel struct {
	c  *conn
	id uint16

	writable   *broker.Exchange // the user may publish to it, as of writableAt
	writableAt uint64

	lastQueue string // what an empty queue name stands for
	prefetch  int    // of consumers started from now on
	credit    broker.Credit
	limited   atomic.Bool // credit has a bound

	confirming bool
	published  uint64 // in confirm mode
	replyToken string // of direct replies; "": none
	txn        *txn   // in tx mode

	publish *publishing // a publish whose content is not complete
	// closing: we have sent channel.close and wait for close-ok; all else is ignored.
	closing bool
	mute    atomic.Bool // no more confirms for it
	shown   shownChannel

	mu        sync.Mutex
	ended     bool
	lastTag   uint64
	unacked   []unacked // by tag
	consumers map[string]*consumer
}

// unacked is a delivery that the client has not settled.
type unacked struct {
	tag uint64
	q   *broker.Queue
	sub *broker.Subscription // nil: of basic.get
	id  broker.DeliveryID
	// follower, instead of all that, is of a stream: it keeps nothing of what was delivered, and
	// wants back its credit.
	follower *broker.Follower
	// until is when it is overdue, in the server's time, and timeout how long that is.
	until, timeout time.Duration
}

// from is the queue or stream that it is of.
func (u *unacked) from() broker.Name {
	if u.follower != nil {
		return u.follower.Topic().Name()
	}
	return u.q.Name()
}

func newChannel(c *conn, id uint16) *channel {
	return &channel{c: c, id: id, consumers: map[string]*consumer{}}
}

// silent says that the client wants to hear no more of this channel.
func (ch *channel) silent() bool { return ch.mute.Load() }

// frame acts on one frame. An error that it returns ends the connection.
func (ch *channel) frame(f frame) error {
	err := ch.take(f)
	var e *Error
	if err == nil || !errors.As(err, &e) || e.Hard() {
		return err
	}
	ch.fail(e)
	return nil
}

func (ch *channel) take(f frame) error {
	switch {
	case ch.closing:
		return ch.takeClosing(f)
	case f.kind == frameHeader:
		return ch.takeHeader(f.payload)
	case f.kind == frameBody:
		return ch.takeBody(f.payload)
	}
	m, err := ch.c.methods.parse(f.payload)
	if err != nil {
		return err
	}
	if ch.publish != nil {
		return causedBy(m.id(), errorf(replyUnexpectedFrame, "expected content header or body, got %v", m.id()))
	}
	return causedBy(m.id(), ch.method(m))
}

// takeClosing waits for the answer to our channel.close. Until it comes the number stays taken,
// and what the client had sent before it heard of the error is dropped.
func (ch *channel) takeClosing(f frame) error {
	if f.kind != frameMethod {
		return nil
	}
	m, err := ch.c.methods.parse(f.payload)
	if err != nil {
		return err
	}
	switch m.(type) {
	case *channelCloseOk:
		ch.c.forget(ch)
	case *channelClose: // both sides at once
		ch.c.out.method(ch.id, &channelCloseOk{})
	}
	return nil
}

// fail closes the channel because of what the client did.
func (ch *channel) fail(e *Error) {
	if err := ch.c.tx.commit(); err != nil {
		ch.c.s.config.Logger.Warn("amqp: the last of a channel was not taken", "error", err)
	}
	ch.end()
	if ch.publish != nil && ch.publish.head { // a look for overdue deliveries has come in between
		ch.c.partial--
	}
	ch.closing, ch.publish = true, nil
	ch.c.out.method(ch.id, &channelClose{replyCode: e.Code, replyText: e.replyText(),
		cause: methodID{e.Class, e.Method}})
}

// method acts on a method. Those that are answered see what came before them done.
func (ch *channel) method(m method) error {
	switch m := m.(type) {
	case *basicPublish:
		return ch.beginPublish(m)
	case *basicAck:
		return ch.settle(m.deliveryTag, m.multiple, broker.Accept)
	case *basicNack:
		return ch.settle(m.deliveryTag, m.multiple, refusal(m.requeue))
	case *basicReject:
		return ch.settle(m.deliveryTag, false, refusal(m.requeue))
	}
	if err := ch.c.tx.commit(); err != nil {
		return err
	}
	switch m := m.(type) {
	case *channelOpen:
		return errorf(replyChannelError, "second 'channel.open' seen")
	case *channelClose:
		ch.end()
		ch.c.forget(ch)
		return ch.answer(&channelCloseOk{})
	case *channelCloseOk:
		return nil
	case *channelFlow:
		if !m.active {
			return errorf(replyNotImplemented, "active=false")
		}
		return ch.answer(&channelFlowOk{active: true})
	case *channelFlowOk:
		return nil
	case *accessRequest:
		return ch.answer(&accessRequestOk{ticket: 1})
	case *confirmSelect:
		return ch.selectConfirms(m)
	}
	if handled, err := ch.topology(m); handled {
		return err
	}
	return ch.consuming(m)
}

func refusal(requeue bool) broker.Outcome {
	if requeue {
		return broker.Requeue
	}
	return broker.Reject
}

// answer sends a reply.
func (ch *channel) answer(m method) error {
	ch.c.out.method(ch.id, m)
	return nil
}

// answerUnless sends a reply unless the client does not wait for it.
func (ch *channel) answerUnless(noWait bool, m method) error {
	if !noWait {
		ch.c.out.method(ch.id, m)
	}
	return nil
}

func (ch *channel) selectConfirms(m *confirmSelect) error {
	if ch.txn != nil {
		return errorf(replyPreconditionFailed, "cannot switch from tx to confirm mode")
	}
	ch.confirming = true
	ch.shown.confirms.Store(true)
	return ch.answerUnless(m.noWait, &confirmSelectOk{})
}

// end stops the consumers, gives back what was not settled, and then lets others take their place: of
// a single active consumer the next one begins with what this one had.
func (ch *channel) end() {
	ch.mute.Store(true)
	ch.mu.Lock()
	if ch.ended {
		ch.mu.Unlock()
		return
	}
	ch.ended = true
	left := ch.unacked
	ch.unacked = nil
	if ch.txn != nil { // what was settled and not committed is not settled
		left = append(left, ch.txn.unsettled()...)
	}
	var ending []*consumer
	for _, x := range ch.consumers {
		ending = append(ending, x)
	}
	clear(ch.consumers)
	ch.mu.Unlock()
	ch.c.s.replies.forget(ch)
	for _, x := range ending {
		x.stop()
	}
	ch.c.giveBack(left)
	for _, x := range ending {
		ch.c.drop(x)
	}
}

// giveBack requeues deliveries.
func (c *conn) giveBack(left []unacked) {
	for len(left) > 0 {
		n := min(len(left), mostInTx)
		tx := c.s.broker.Begin()
		for _, u := range left[:n] {
			u.settle(tx, broker.Requeue)
		}
		if _, err := tx.Commit(c.s.life); err != nil {
			c.s.config.Logger.Warn("amqp: deliveries stay leased until the next start", "error", err)
			return
		}
		left = left[n:]
	}
}

// settle ends the delivery with a Tx, where there is something to be settled.
func (u *unacked) settle(tx *broker.Tx, o broker.Outcome) {
	if u.follower == nil {
		tx.Settle(u.q, u.sub, u.id, o)
	}
}

// settle ends deliveries by their tag.
func (ch *channel) settle(tag uint64, multiple bool, o broker.Outcome) error {
	ch.mu.Lock()
	done, ok := ch.takeUnackedLocked(tag, multiple)
	ch.mu.Unlock()
	if !ok {
		return errorf(replyPreconditionFailed, "unknown delivery tag %d", tag)
	}
	if ch.txn != nil {
		ch.txn.settle(done, o)
		return nil
	}
	return ch.c.tx.settle(ch, done, o)
}

// takeUnackedLocked removes one delivery or all up to a tag; tag 0 with multiple is all.
func (ch *channel) takeUnackedLocked(tag uint64, multiple bool) (done []unacked, ok bool) {
	at := ch.findLocked(tag)
	found := at < len(ch.unacked) && ch.unacked[at].tag == tag
	switch {
	case multiple && tag == 0:
		done, ch.unacked = ch.unacked, nil
		return done, true
	case !found:
		return nil, false
	case multiple:
		done = append(done, ch.unacked[:at+1]...)
		ch.unacked = ch.unacked[at+1:]
		return done, true
	case at == 0:
		done = append(done, ch.unacked[0])
		ch.unacked = ch.unacked[1:]
		return done, true
	}
	done = append(done, ch.unacked[at])
	ch.unacked = append(ch.unacked[:at], ch.unacked[at+1:]...)
	return done, true
}

// findLocked is the index of the first delivery with a tag of at least this.
func (ch *channel) findLocked(tag uint64) int {
	low, high := 0, len(ch.unacked)
	for low < high {
		if mid := (low + high) / 2; ch.unacked[mid].tag < tag {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
