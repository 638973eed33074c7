package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
)

// consumer reads one queue by a channel of its own, and ends with it: after the connection was lost
// Receive fails, and whoever reads subscribes again. Its pump moves deliveries from the library to
// ready, which holds a whole window and so never fills; its scribe writes settlements.
type consumer struct {
	t         *Transport
	s         *session
	ch        *amqp.Channel
	group     string
	queue     string
	temporary bool
	topics    map[string]string // by exchange
	ready     chan amqp.Delivery
	gone      chan *amqp.Error
	wake      chan struct{} // holds one
	ended     chan struct{} // closed by the scribe, at the end of the channel

	mu      sync.Mutex
	closing bool
	ledger  *ledger
	settled int           // settlements made
	written int           // those that were written
	known   int           // those that the broker has answered for
	moved   chan struct{} // closed and made anew when written grows
}

// Subscribe declares the group and reads it. A connection that is lost ends the consumer; Subscribe
// again then, which waits for a new connection.
func (t *Transport) Subscribe(ctx context.Context, sub tidings.Subscription) (
	tidings.Consumer, error) {
	if err := supported(sub); err != nil {
		return nil, err
	}
	s, err := t.consume.session(ctx)
	if err != nil {
		return nil, err
	}
	queue, err := s.declare(ctx, sub)
	if err != nil {
		return nil, err
	}
	c := newConsumer(t, s, sub, queue)
	window := cmp.Or(sub.Window, t.config.Limits.Window)
	if err := s.do(ctx, func() error { return c.begin(window) }); err != nil {
		c.abandon(ctx)
		return nil, fmt.Errorf("rabbitmq: consume queue %q: %w", queue, err)
	}
	return c, nil
}

func newConsumer(t *Transport, s *session, sub tidings.Subscription, queue string) *consumer {
	c := &consumer{t: t, s: s, group: sub.Group, queue: queue, temporary: sub.Temporary,
		topics: map[string]string{}, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		moved: make(chan struct{}), ledger: newLedger()}
	for _, topic := range sub.Topics {
		c.topics[t.config.Name(topic)] = topic
	}
	return c
}

// consumerTag names the one consumer of a channel.
const consumerTag = "tidings"

func (c *consumer) begin(window int) (err error) {
	ch, err := c.s.conn.Channel()
	if err != nil {
		return err
	}
	c.gone = ch.NotifyClose(make(chan *amqp.Error, 1))
	if err = ch.Qos(window, 0, false); err != nil {
		return errors.Join(err, ch.Close())
	}
	in, err := ch.Consume(c.queue, consumerTag, false, false, false, false, nil)
	if err != nil {
		return errors.Join(err, ch.Close())
	}
	c.ready = make(chan amqp.Delivery, window)
	c.mu.Lock()
	c.ch = ch
	abandoned := c.closing
	c.mu.Unlock()
	c.s.loops.Go(func() { c.pump(in) })
	c.s.loops.Go(c.scribe)
	if abandoned {
		return ch.Close()
	}
	return nil
}

// abandon ends what may have begun, or begin later, after Subscribe has given up: nobody would read
// what the broker hands out.
func (c *consumer) abandon(ctx context.Context) {
	c.mu.Lock()
	c.closing = true
	begun := c.ch != nil
	c.mu.Unlock()
	if begun {
		_ = c.endChannel(ctx) // the error of Subscribe is told already
	}
}

func (c *consumer) pump(in <-chan amqp.Delivery) {
	defer close(c.ready)
	for d := range in {
		c.mu.Lock()
		c.ledger.add(d.DeliveryTag)
		c.mu.Unlock()
		c.ready <- d
	}
}

// Receive waits for at least one delivery. After the end of the channel it gives nothing away that
// the library still has: all of it will come again.
func (c *consumer) Receive(ctx context.Context, most int) ([]*tidings.Delivery, error) {
	if c.ch.IsClosed() {
		return nil, c.end()
	}
	select {
	case d, ok := <-c.ready:
		if !ok {
			return nil, c.end()
		}
		return c.more([]*tidings.Delivery{c.delivery(&d)}, most), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// more adds what is ready without waiting.
func (c *consumer) more(ds []*tidings.Delivery, most int) []*tidings.Delivery {
	for len(ds) < most {
		select {
		case d, ok := <-c.ready:
			if !ok {
				return ds
			}
			ds = append(ds, c.delivery(&d))
		default:
			return ds
		}
	}
	return ds
}

func (c *consumer) delivery(d *amqp.Delivery) *tidings.Delivery {
	out := c.decode(d)
	out.Settler = &settler{c: c, d: &out, tag: d.DeliveryTag}
	return &out
}

// end is why nothing more comes.
func (c *consumer) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return tidings.ErrClosed
	case c.s.isLost():
		return c.s.why()
	default:
		return fmt.Errorf("rabbitmq: queue %q: the broker has ended its consumer", c.queue)
	}
}

// settle enters a settlement for the scribe.
func (c *consumer) settle(tag uint64, s state) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hasEndedLocked() {
		return tidings.ErrLost
	}
	if c.ledger.settle(tag, s) {
		c.settled++
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

func (c *consumer) hasEndedLocked() bool {
	select {
	case <-c.ended:
		return true
	default:
		return c.ch.IsClosed()
	}
}

// scribe writes what has been settled, as much as there is in one go, until the channel ends.
func (c *consumer) scribe() {
	defer close(c.ended)
	for {
		select {
		case <-c.wake:
			if err := c.write(); err != nil {
				return
			}
		case <-c.gone:
			return
		}
	}
}

func (c *consumer) write() error {
	c.mu.Lock()
	todo, upTo := c.ledger.flush(), c.settled
	c.mu.Unlock()
	for _, s := range todo {
		var err error
		if s.requeue { // not nack, which a quorum queue of RabbitMQ 4.3 does not count
			err = c.ch.Reject(s.tag, true)
		} else {
			err = c.ch.Ack(s.tag, s.multiple)
		}
		if err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.written = upTo
	close(c.moved)
	c.moved = make(chan struct{})
	c.mu.Unlock()
	return nil
}

// Commit waits until the broker has seen every settlement that was made before. What that means
// if the broker then fails is in the documentation of this package.
func (c *consumer) Commit(ctx context.Context) error {
	c.mu.Lock()
	want, known := c.settled, c.known
	c.mu.Unlock()
	if known >= want {
		return nil
	}
	if err := c.flushed(ctx, want); err != nil {
		return fmt.Errorf("rabbitmq: commit: %w", err)
	}
	// A method that is answered is behind all acks of its channel.
	err := c.s.do(ctx, func() error {
		_, err := c.ch.QueueDeclarePassive(c.queue, true, false, false, false, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("rabbitmq: commit: %w", err)
	}
	c.mu.Lock()
	c.known = max(c.known, want)
	c.mu.Unlock()
	return nil
}

// flushed waits until so many settlements have been written.
func (c *consumer) flushed(ctx context.Context, want int) error {
	for {
		c.mu.Lock()
		done, moved := c.written >= want, c.moved
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-c.ended:
			return tidings.ErrLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close commits and ends the channel, so that the broker takes back what is not settled.
func (c *consumer) Close(ctx context.Context) error {
	c.mu.Lock()
	again := c.closing
	c.closing = true
	c.mu.Unlock()
	if again {
		return nil
	}
	var err error
	if !c.ch.IsClosed() {
		err = c.Commit(ctx)
	}
	if ended := c.endChannel(ctx); err == nil && !c.s.isLost() {
		err = ended
	}
	return err
}

// endChannel takes its time even where ctx has ended: a channel that stays open keeps what it has
// from everybody.
func (c *consumer) endChannel(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	return c.s.do(ctx, c.ch.Close)
}

// settler ends one delivery.
type settler struct {
	c   *consumer
	d   *tidings.Delivery
	tag uint64
}

// Ack is told to the broker in the background; Commit waits for it.
func (s *settler) Ack(context.Context) error { return s.c.settle(s.tag, acked) }

// Nack without a delay puts the message back to its place. With one a copy waits for its time, and
// the delivery is acknowledged once the broker has confirmed the copy: a crash between the two has
// the event delivered twice.
func (s *settler) Nack(ctx context.Context, delay time.Duration) error {
	if delay <= 0 {
		return s.c.settle(s.tag, returned)
	}
	if delay > longestDelay || s.c.temporary {
		return fmt.Errorf("rabbitmq: a delay of %v, at most %v and none in a temporary group: %w", delay,
			longestDelay, tidings.ErrUnsupported)
	}
	if err := s.c.t.publishIn(ctx, delay, []tidings.Event{copyOf(s.d, s.c.group)}); err != nil {
		return err
	}
	return s.c.settle(s.tag, acked)
}

// Extend has nothing to do: deliveries have no deadline of their own. It is ErrLost after the
// connection was lost.
func (s *settler) Extend(context.Context, time.Duration) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.hasEndedLocked() {
		return tidings.ErrLost
	}
	return nil
}
