package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// client is a connection that is cut when its context ends: whatever waits for it then fails.
type client struct {
	*amqp.Connection
	cut func() bool // no longer
}

// handshakeTimeout bounds one attempt to connect.
const handshakeTimeout = 5 * time.Second

func dial(ctx context.Context, addr string) (*client, error) {
	var c client
	var err error
	c.Connection, err = amqp.DialConfig("amqp://guest:guest@"+addr+"/", amqp.Config{
		Dial: func(network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: handshakeTimeout}
			conn, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			c.cut = context.AfterFunc(ctx, func() { conn.Close() })
			// The client takes it off once the connection is open.
			return conn, conn.SetDeadline(time.Now().Add(handshakeTimeout))
		},
	})
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// Close ends the connection when everything that was sent has been taken.
func (c *client) Close() error {
	defer c.cut()
	return c.Connection.Close()
}

// answers returns nil when a connection can be opened.
func answers(ctx context.Context, addr string) error {
	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// declare makes durable queues, over several channels at once.
func (c *client) declare(queues []string, channels int, args amqp.Table) error {
	return each(channels, func(i int) error {
		ch, err := c.Channel()
		if err != nil {
			return err
		}
		for q := i; q < len(queues); q += channels {
			if _, err := ch.QueueDeclare(queues[q], true, false, false, false, args); err != nil {
				return err
			}
		}
		return ch.Close()
	})
}

// each calls f for 0 to n-1 at once, and waits.
func each(n int, f func(int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// window counts what was published, and how much of that is not confirmed.
type window struct{ size, sent, confirmed int }

func (w *window) full() bool  { return w.sent-w.confirmed >= w.size }
func (w *window) empty() bool { return w.sent == w.confirmed }

// publisher is a channel with confirms.
type publisher struct {
	window
	ch       *amqp.Channel
	confirms <-chan amqp.Confirmation // has room for a window: the client's reader never waits
	closed   <-chan *amqp.Error
}

func (c *client) publisher(size int) (*publisher, error) {
	ch, err := c.Channel()
	if err != nil {
		return nil, err
	}
	return &publisher{
		window: window{size: size}, ch: ch,
		confirms: ch.NotifyPublish(make(chan amqp.Confirmation, size)),
		closed:   ch.NotifyClose(make(chan *amqp.Error, 1)),
	}, ch.Confirm(false)
}

// publish sends a persistent message when the window has room.
func (p *publisher) publish(exchange, key string, body []byte) error {
	if p.full() {
		if err := p.takeSome(); err != nil {
			return err
		}
	}
	p.sent++
	return p.send(exchange, key, body)
}

// send is publish without the window.
func (p *publisher) send(exchange, key string, body []byte) error {
	return p.ch.Publish(exchange, key, false, false, amqp.Publishing{
		DeliveryMode: amqp.Persistent, Body: body,
	})
}

// flush waits until everything is confirmed.
func (p *publisher) flush() error {
	for !p.empty() {
		if err := p.takeSome(); err != nil {
			return err
		}
	}
	return nil
}

// takeSome waits for a confirm and takes what has come with it.
func (p *publisher) takeSome() error {
	err := p.take(<-p.confirms)
	for err == nil && len(p.confirms) > 0 {
		err = p.take(<-p.confirms)
	}
	return err
}

// take counts a confirm; one without a tag comes from a closed channel.
func (p *publisher) take(c amqp.Confirmation) error {
	switch {
	case c.DeliveryTag == 0:
		return fmt.Errorf("closed after %d of %d confirms: %w", p.confirmed, p.sent, reason(p.closed))
	case !c.Ack:
		return fmt.Errorf("message %d was refused", c.DeliveryTag)
	}
	p.confirmed++
	return nil
}

// reason is why a channel was closed.
func reason(closed <-chan *amqp.Error) error {
	if err := <-closed; err != nil {
		return err
	}
	return amqp.ErrClosed
}

// drain is consumers that share a number of messages to take.
type drain struct {
	left   atomic.Int64
	done   chan struct{} // closed when all are taken
	failed chan error    // has room for one
}

// prefetch is what a consumer may hold without an ack.
const prefetch = 500

// consume takes n messages from queues, spread over channels, and acks each. It closes the
// connection: consumers end with it.
func (c *client) consume(queues []string, channels int, n int64) error {
	d := drain{done: make(chan struct{}), failed: make(chan error, 1)}
	d.left.Store(n)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.Close() // a second time, if all went well
	for i := range channels {
		ch, err := c.Channel()
		if err == nil {
			err = ch.Qos(prefetch, 0, false)
		}
		if err != nil {
			return err
		}
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		for q := i; q < len(queues); q += channels {
			deliveries, err := ch.Consume(queues[q], "", false, false, false, false, nil)
			if err != nil {
				return err
			}
			wg.Go(func() { d.take(deliveries) })
		}
		wg.Go(func() { d.fail(reason(closed)) })
	}
	select {
	case <-d.done:
		return c.Close() // its answer comes behind all acks
	case err := <-d.failed:
		return fmt.Errorf("with %d of %d messages left: %w", d.left.Load(), n, err)
	}
}

// take is one consumer.
func (d *drain) take(deliveries <-chan amqp.Delivery) {
	for m := range deliveries {
		if len(m.Body) != bodyBytes {
			d.fail(fmt.Errorf("a message of %d bytes, want %d", len(m.Body), bodyBytes))
		}
		if err := m.Ack(false); err != nil {
			d.fail(err)
			return
		}
		if d.left.Add(-1) == 0 {
			close(d.done)
		}
	}
}

func (d *drain) fail(err error) {
	select {
	case d.failed <- err:
	default: // the first one is told
	}
}
