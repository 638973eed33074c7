package main

import (
	"context"
	"errors"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

const (
	bodyBytes = 1024
	inFlight  = 1000 // publishes without a confirm, over all channels
)

// body is what every message holds.
func body() []byte {
	b := make([]byte, bodyBytes)
	for i := range b {
		b[i] = byte('a' + i*7%26)
	}
	return b
}

// messages is the outcome of a load that moved n of them since start.
func messages(n int64, start time.Time) measure.Outcome {
	return measure.Outcome{Records: n, Bytes: n * bodyBytes, Took: time.Since(start)}
}

// setup makes what the loads of a scenario use.
func (s *scenario) setup(ctx context.Context, to target) error {
	c, err := dial(ctx, to.addr)
	if err != nil {
		return err
	}
	if s.exchange == "" {
		return errors.Join(c.declare(s.queues, s.channels, to.queue), c.Close())
	}
	return errors.Join(c.declare(s.queues, s.channels, to.queue), s.bind(c), c.Close())
}

func (s *scenario) bind(c *client) error {
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(s.exchange, "fanout", true, false, false, false, nil); err != nil {
		return err
	}
	for _, q := range s.queues {
		if err := ch.QueueBind(q, "", s.exchange, false, nil); err != nil {
			return err
		}
	}
	return ch.Close()
}

// declareAll makes the queues.
func declareAll(ctx context.Context, s *scenario, to target) (measure.Outcome, error) {
	c, err := dial(ctx, to.addr)
	if err != nil {
		return measure.Outcome{}, err
	}
	start := time.Now()
	err = c.declare(s.queues, s.channels, to.queue)
	out := measure.Outcome{Records: int64(len(s.queues)), Took: time.Since(start)}
	return out, errors.Join(err, c.Close())
}

// publishAll sends the messages over one connection, to one queue after the other.
func publishAll(ctx context.Context, s *scenario, to target) (measure.Outcome, error) {
	c, err := dial(ctx, to.addr)
	if err != nil {
		return measure.Outcome{}, err
	}
	start := time.Now()
	err = each(s.channels, func(i int) error { return s.publish(c, i) })
	out := messages(s.messages, start)
	return out, errors.Join(err, c.Close())
}

// publish is a channel of publishAll: it sends its share of the messages, to its share of the
// queues.
func (s *scenario) publish(c *client, channel int) error {
	p, err := c.publisher(inFlight / s.channels)
	if err != nil {
		return err
	}
	text := body()
	for i := int64(channel); i < s.messages; i += int64(s.channels) {
		key := s.queues[i%int64(len(s.queues))]
		if err := p.publish(s.exchange, key, text); err != nil {
			return err
		}
	}
	return p.flush()
}

// consumeAll takes everything that publishAll has sent: of an exchange, once for each queue.
func consumeAll(ctx context.Context, s *scenario, to target) (measure.Outcome, error) {
	c, err := dial(ctx, to.addr)
	if err != nil {
		return measure.Outcome{}, err
	}
	n := s.messages
	if s.exchange != "" {
		n *= int64(len(s.queues))
	}
	start := time.Now()
	err = c.consume(s.queues, s.channels, n)
	return messages(n, start), err
}

// both publishes and consumes at once, each over a connection of its own. It has ended when all
// is consumed.
func both(ctx context.Context, s *scenario, to target) (measure.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out measure.Outcome
	err := each(2, func(side int) (err error) {
		if side == 0 {
			_, err = publishAll(ctx, s, to)
		} else {
			out, err = consumeAll(ctx, s, to)
		}
		if err != nil {
			cancel() // or the other one would wait for us
		}
		return err
	})
	return out, err
}

// pace is how far publishes of publishPaced are apart.
const pace = time.Second / 200

// publishPaced sends each message at its time, and waits for no confirm before the end: a server
// that stalls does not hide the wait of those behind.
func publishPaced(ctx context.Context, s *scenario, to target) (measure.Outcome, error) {
	c, err := dial(ctx, to.addr)
	if err != nil {
		return measure.Outcome{}, err
	}
	start := time.Now()
	times, err := s.paced(c)
	out := messages(int64(len(times)), start)
	out.Times = times
	return out, errors.Join(err, c.Close())
}

// paced returns how long each message took to be confirmed.
func (s *scenario) paced(c *client) ([]time.Duration, error) {
	n := int(s.messages)
	p, err := c.publisher(n)
	if err != nil {
		return nil, err
	}
	sent := make(chan time.Time, n)
	var times []time.Duration
	err = each(2, func(side int) (err error) {
		if side == 0 {
			return p.publishAt(pace, s.queues[0], sent)
		}
		times, err = p.clock(sent)
		return err
	})
	return times, err
}

// publishAt sends a window of messages, one each pace, and tells when.
func (p *publisher) publishAt(pace time.Duration, key string, sent chan<- time.Time) error {
	defer close(sent)
	text := body()
	start := time.Now()
	for i := range p.size {
		time.Sleep(time.Until(start.Add(time.Duration(i) * pace)))
		sent <- time.Now()
		if err := p.send("", key, text); err != nil {
			return err
		}
	}
	return nil
}

// clock waits for the confirm of each message that was sent, and returns how long each took.
func (p *publisher) clock(sent <-chan time.Time) (times []time.Duration, err error) {
	for at := range sent {
		if err := p.take(<-p.confirms); err != nil {
			return nil, err
		}
		times = append(times, time.Since(at))
	}
	return times, nil
}

// settled is how long a server is left alone before its memory is read.
const settled = 2 * time.Second

// rest leaves the server alone.
func rest(ctx context.Context, _ *scenario, _ target) (measure.Outcome, error) {
	select {
	case <-time.After(settled):
		return measure.Outcome{}, nil
	case <-ctx.Done():
		return measure.Outcome{}, ctx.Err()
	}
}
