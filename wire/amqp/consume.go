package amqp

import (
	"errors"
	"sync"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// consumer is a basic.consume. The write loop takes its deliveries.
type consumer struct {
	ch     *channel
	tag    string
	noAck  bool
	src    source // nil: of direct replies
	credit broker.Credit
	room   []broker.Delivery // the write loop's
	taking sync.Mutex        // held while the write loop takes; before the channel's
	// timeout is how long a delivery may be kept; 0: for ever.
	timeout time.Duration
	info    ConsumerInfo
}

// source is where a consumer's deliveries come from: a queue, which gives each message to one
// consumer, or a stream, which gives all of them to each. close ends it; all else but kick and stop
// belongs to the write loop.
type source interface {
	of() any // the *broker.Queue or *broker.Topic
	name() broker.Name
	// take appends what the consumer may have now, at most max deliveries; they are valid until
	// the next take or rest. NotFound: the source is gone.
	take(dst []broker.Delivery, max int) ([]broker.Delivery, error)
	rest()                           // nothing more is taken in this round
	idle()                           // nor for a while
	props(d *broker.Delivery) []byte // that the client sees
	unsettled(tag uint64, d *broker.Delivery) unacked
	kick()         // shared credit may have room
	stop()         // nothing more comes; nobody takes its place before close
	close(c *conn) // and what goes with its last consumer
}

// queueSource is a subscription of a queue.
type queueSource struct {
	x   *consumer
	sub *broker.Subscription
}

func (s *queueSource) of() any { return s.sub.Queue() }

func (s *queueSource) name() broker.Name { return s.sub.Queue().Name() }

func (s *queueSource) take(dst []broker.Delivery, max int) ([]broker.Delivery, error) {
	got, err := s.sub.Take(dst, max)
	if s.sub.Buried() {
		s.x.ch.shareCredit()
	}
	return got, err
}

func (s *queueSource) rest() {}

func (s *queueSource) idle() { s.sub.Rest() }

func (s *queueSource) props(d *broker.Delivery) []byte { return propsOf(s.sub.Queue(), d) }

func (s *queueSource) unsettled(tag uint64, d *broker.Delivery) unacked {
	return unacked{tag: tag, q: s.sub.Queue(), sub: s.sub, id: d.ID}
}

func (s *queueSource) kick() { s.sub.Kick() }

func (s *queueSource) stop() { s.sub.Stop() }

// close deletes with its last consumer a queue that wants that.
func (s *queueSource) close(c *conn) {
	last := s.sub.Close()
	s.x.ch.shareCredit()
	if !last {
		return
	}
	q := s.sub.Queue()
	_, err := c.s.broker.DeleteQueue(c.s.life, q, broker.DeleteOptions{IfUnused: true, Owner: c})
	if err != nil && !errors.Is(err, broker.NotFound) && !errors.Is(err, broker.Conflict) {
		c.s.config.Logger.Warn("amqp: an auto-delete queue stays", "queue", q.String(), "error", err)
	}
}

// consuming acts on the methods of class basic that are answered.
func (ch *channel) consuming(m method) error {
	switch m := m.(type) {
	case *basicQos:
		return ch.qos(m)
	case *basicConsume:
		return ch.consume(m)
	case *basicCancel:
		ch.cancel(m.consumerTag)
		return ch.answerUnless(m.noWait, &basicCancelOk{consumerTag: m.consumerTag})
	case *basicCancelOk:
		return nil
	case *basicGet:
		return ch.get(m)
	case *basicRecover:
		if err := ch.recover(m.requeue); err != nil {
			return err
		}
		return ch.answer(&basicRecoverOk{})
	case *basicRecoverAsync:
		return ch.recover(m.requeue)
	case *txSelect:
		return ch.selectTx()
	case *txCommit:
		return ch.commitTx()
	case *txRollback:
		return ch.rollbackTx()
	}
	return errorf(replyCommandInvalid, "method %v is not for a server", m.id())
}

func (ch *channel) qos(m *basicQos) error {
	if m.prefetchSize != 0 {
		return errorf(replyNotImplemented, "prefetch_size!=0 (%d)", m.prefetchSize)
	}
	if m.global {
		ch.credit.SetLimit(int(m.prefetchCount))
		ch.limited.Store(m.prefetchCount > 0)
		ch.shown.sharedPrefetch.Store(int64(m.prefetchCount))
		ch.kick()
	} else {
		ch.prefetch = int(m.prefetchCount)
		ch.shown.prefetch.Store(int64(m.prefetchCount))
	}
	return ch.answer(&basicQosOk{})
}

// kick hands out to the channel's consumers: their shared credit has room.
func (ch *channel) kick() {
	ch.mu.Lock()
	var all []source
	for _, x := range ch.consumers {
		if x.src != nil {
			all = append(all, x.src)
		}
	}
	ch.mu.Unlock()
	for _, s := range all {
		s.kick()
	}
}

// shareCredit lets consumers of other queues have what one has left of the channel's credit.
func (ch *channel) shareCredit() {
	if ch.limited.Load() {
		ch.kick()
	}
}

func (ch *channel) consume(m *basicConsume) error {
	if m.consumerTag == "" {
		m.consumerTag = generatedName("amq.ctag-")
	}
	ch.mu.Lock()
	taken, n := ch.consumers[m.consumerTag] != nil, len(ch.consumers)
	ch.mu.Unlock()
	switch limit := ch.c.s.config.Limits.Consumers; {
	case taken:
		return errorf(replyNotAllowed, "attempt to reuse consumer tag '%s'", m.consumerTag)
	case n >= limit:
		return errorf(replyNotAllowed, "a channel has at most %d consumers", limit)
	case m.queue == directReplyTo:
		return ch.consumeReplies(m)
	}
	q, t, err := ch.findFor(broker.ToRead, m.queue)
	if err != nil {
		return err
	}
	x := &consumer{ch: ch, tag: m.consumerTag, noAck: m.noAck}
	x.credit.SetLimit(ch.prefetch)
	if q != nil {
		err = x.subscribe(m, q)
	} else {
		err = x.follow(m, t)
	}
	if err != nil {
		return err
	}
	x.info = ch.infoOf(m, x.src.name().Name)
	ch.c.out.mu.Lock() // no delivery before consume-ok
	defer ring(ch.c.out.wake)
	defer ch.c.out.mu.Unlock()
	if !m.noWait {
		ch.c.out.buf, _ = appendMethod(ch.c.out.buf, ch.id, &basicConsumeOk{consumerTag: m.consumerTag})
	}
	ch.mu.Lock()
	ch.consumers[x.tag] = x
	ch.mu.Unlock()
	ch.c.out.addLocked(x)
	return nil
}

func (x *consumer) subscribe(m *basicConsume, q *broker.Queue) (err error) {
	ch := x.ch
	if x.timeout, err = ch.timeoutOf(q.Name(), timeoutArgs(q), m.arguments); err != nil {
		return err
	}
	priority, _, err := toArgs(m.arguments).Int("x-priority")
	if err != nil {
		return errorf(replyPreconditionFailed, "invalid arg 'x-priority': %v", err)
	}
	sub, err := q.Subscribe(broker.SubscribeOptions{Wake: ch.c.out.wake, Owner: ch.c, Exclusive: m.exclusive,
		AutoAccept: m.noAck, Priority: int(priority), Credits: []*broker.Credit{&x.credit, &ch.credit}})
	if err != nil {
		return subscribeFailed(q, err)
	}
	x.src = &queueSource{x, sub}
	return nil
}

func subscribeFailed(q *broker.Queue, err error) error {
	if errors.Is(err, broker.Conflict) {
		return errorf(replyAccessRefused, "queue %s in exclusive use", inVhost(q.Name()))
	}
	return queueFailed(q, err)
}

// cancel ends a consumer; one that is not there is no error.
func (ch *channel) cancel(tag string) {
	ch.mu.Lock()
	x := ch.consumers[tag]
	delete(ch.consumers, tag)
	ch.mu.Unlock()
	if x != nil {
		ch.c.drop(x)
	}
}

// drop ends what a consumer gets.
func (c *conn) drop(x *consumer) {
	if x.src == nil {
		c.s.replies.forget(x.ch)
		return
	}
	c.out.remove(x)
	x.src.close(c)
}

// deliver appends what consumers may have, each in turn, while not too much waits to be written.
// The next call begins where this one ended.
func (c *conn) deliver(dst []byte, consumers []*consumer) []byte {
	begin := c.turn
	for i := range consumers {
		if len(dst) >= c.s.config.Limits.QueuedBytes {
			break
		}
		c.turn = (begin + i) % len(consumers)
		dst = consumers[c.turn].deliver(dst)
		c.turn++
	}
	return dst
}

// takeSome takes what the consumer may have now, and returns the tag of the first. What comes for a
// channel that has ended goes back.
func (x *consumer) takeSome() (got []broker.Delivery, first uint64, err error) {
	x.taking.Lock()
	defer x.taking.Unlock()
	got, err = x.src.take(x.room[:0], takeMost)
	x.room = got[:0]
	if len(got) == 0 || errors.Is(err, broker.NotFound) {
		return got, 0, err
	}
	first, left := x.ch.hand(x, got)
	if left != nil {
		x.ch.c.giveBack(left)
		return nil, 0, err
	}
	return got, first, err
}

// stop has nothing more come, and waits for what is under way.
func (x *consumer) stop() {
	if x.src == nil {
		return
	}
	x.src.stop()
	x.taking.Lock()
	defer x.taking.Unlock()
}

func (x *consumer) deliver(dst []byte) []byte {
	c := x.ch.c
	defer x.src.rest()
	for len(dst) < c.s.config.Limits.QueuedBytes {
		got, first, err := x.takeSome()
		if errors.Is(err, broker.NotFound) {
			return c.cancelled(dst, x)
		}
		if err != nil {
			c.s.config.Logger.Error("amqp delivery", "queue", x.src.name().String(), "error", err)
		}
		if len(got) == 0 && isPassedOver(err) {
			continue // behind what is damaged
		}
		if len(got) == 0 {
			return dst
		}
		for i := range got {
			dst = x.append(dst, first+uint64(i), &got[i])
		}
		clear(got)
	}
	ring(c.out.wake) // more may be there
	return dst
}

// isPassedOver says that a take failed for a record that the next one will not meet again.
func isPassedOver(err error) bool {
	return errors.Is(err, broker.Corrupt) || errors.Is(err, broker.TooLarge) ||
		errors.Is(err, broker.Unsupported)
}

// takeMost bounds the deliveries of one consumer in one go, so that others have their turn.
const takeMost = 64

// hand notes deliveries as unsettled and gives them tags from first on. Where the channel has ended
// meanwhile they are left, to be given back.
func (ch *channel) hand(x *consumer, got []broker.Delivery) (first uint64, left []unacked) {
	until := ch.c.s.until(x.timeout)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	first = ch.lastTag + 1
	ch.lastTag += uint64(len(got))
	if x.noAck {
		return first, nil
	}
	list := &ch.unacked
	if ch.ended {
		list = &left
	}
	for i := range got {
		u := x.src.unsettled(first+uint64(i), &got[i])
		u.until, u.timeout = until, x.timeout
		*list = append(*list, u)
	}
	ch.c.dueBy(until)
	return first, left
}

// append writes one delivery: method, header, bodies.
func (x *consumer) append(dst []byte, tag uint64, d *broker.Delivery) []byte {
	m := &x.ch.c.delivering
	*m = basicDeliver{consumerTag: x.tag, deliveryTag: tag, redelivered: d.Deliveries > 0,
		exchange: d.Record.Exchange, routingKey: d.Record.Key}
	out, err := appendMethod(dst, x.ch.id, m)
	if err != nil { // names that are too long cannot have been published
		x.ch.c.s.config.Logger.Error("amqp delivery", "queue", x.src.name().String(), "error", err)
		return dst
	}
	return appendContent(out, x.ch.id, x.src.props(d), d.Record.Body, x.ch.c.frameMax)
}

// cancelled tells the client that a queue is gone, if it understands that.
func (c *conn) cancelled(dst []byte, x *consumer) []byte {
	x.ch.mu.Lock()
	here := x.ch.consumers[x.tag] == x
	if here {
		delete(x.ch.consumers, x.tag)
	}
	x.ch.mu.Unlock()
	c.out.remove(x)
	x.src.close(c)
	x.ch.shareCredit()
	if !here || !c.canCancel {
		return dst
	}
	out, err := appendMethod(dst, x.ch.id, &basicCancel{consumerTag: x.tag, noWait: true})
	if err != nil {
		return dst
	}
	return out
}

func (ch *channel) get(m *basicGet) error {
	q, t, err := ch.findFor(broker.ToRead, m.queue)
	if err != nil {
		return err
	}
	if q == nil {
		return noGet(t)
	}
	timeout, err := ch.timeoutOf(q.Name(), timeoutArgs(q), nil)
	if err != nil {
		return err
	}
	d, ok, err := q.Get(ch.c.ctx, ch.c)
	if err != nil {
		return queueFailed(q, err)
	}
	if !ok {
		return ch.answer(&basicGetEmpty{})
	}
	u := unacked{q: q, id: d.ID, until: ch.c.s.until(timeout), timeout: timeout}
	ch.mu.Lock()
	ch.lastTag++
	u.tag = ch.lastTag
	if !m.noAck {
		ch.unacked = append(ch.unacked, u)
	}
	ch.mu.Unlock()
	ch.c.out.put(func(dst []byte) []byte {
		out, err := appendMethod(dst, ch.id, &basicGetOk{deliveryTag: u.tag, redelivered: d.Deliveries > 0,
			exchange: d.Record.Exchange, routingKey: d.Record.Key, messageCount: uint32(d.Ready)})
		if err != nil {
			return dst
		}
		return appendContent(out, ch.id, propsOf(q, &d), d.Record.Body, ch.c.frameMax)
	})
	if m.noAck {
		return ch.c.tx.settle(ch, []unacked{u}, broker.Accept)
	}
	ch.c.dueBy(u.until)
	return nil
}

func (ch *channel) rest() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if len(ch.unacked) == 0 {
		ch.unacked = nil
	}
}

// recover gives back everything that the channel has not settled.
func (ch *channel) recover(requeue bool) error {
	if !requeue {
		return errorf(replyNotImplemented, "requeue=false")
	}
	ch.mu.Lock()
	left := ch.unacked
	ch.unacked = nil
	ch.mu.Unlock()
	return ch.c.tx.settle(ch, left, broker.Requeue)
}
