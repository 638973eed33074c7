package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/tidings-io/tidings/bench/internal/canned"
	"github.com/tidings-io/tidings/bench/internal/measure"
)

// setup makes the queue, and sends what is to wait in it.
func (s *scenario) setup(ctx context.Context, server *measure.Server) error {
	c, err := dial(server.Addr).use(ctx, canned.Queue)
	if err == nil && s.waiting > 0 {
		_, err = during(ctx, filling, s.waiting, workers, c.sendBatch)
	}
	return err
}

// filling is how long setup may take.
const filling = 5 * time.Minute

// messages is the outcome of a load that moved n of them since start.
func messages(n int64, start time.Time) measure.Outcome {
	return measure.Outcome{Records: n, Bytes: n * bodyBytes, Took: time.Since(start)}
}

// sendAll sends batches.
func sendAll(ctx context.Context, s *scenario, server *measure.Server) (measure.Outcome, error) {
	return s.work(ctx, server, (*client).sendBatch)
}

// takeAll receives and deletes batches.
func takeAll(ctx context.Context, s *scenario, server *measure.Server) (measure.Outcome, error) {
	return s.work(ctx, server, (*client).takeBatch)
}

func (s *scenario) work(ctx context.Context, server *measure.Server,
	do func(*client, context.Context) (int64, error)) (measure.Outcome, error) {
	c, err := dial(server.Addr).use(ctx, canned.Queue)
	if err != nil {
		return measure.Outcome{}, err
	}
	start := time.Now()
	n, err := during(ctx, s.lasts, 0, workers, func(ctx context.Context) (int64, error) { return do(c, ctx) })
	return something(messages(n, start), err)
}

// something refuses an outcome of nothing.
func something(out measure.Outcome, err error) (measure.Outcome, error) {
	if err == nil && out.Records == 0 {
		err = errors.New("no message was moved")
	}
	return out, err
}

// both has half of the workers send, and half receive and delete. What was deleted counts.
func both(ctx context.Context, s *scenario, server *measure.Server) (measure.Outcome, error) {
	c, err := dial(server.Addr).use(ctx, canned.Queue)
	if err != nil {
		return measure.Outcome{}, err
	}
	var taken int64
	start := time.Now()
	err = each(2, func(side int) (err error) {
		if side == 0 {
			_, err = during(ctx, s.lasts, 0, workers/2, c.sendBatch)
		} else {
			taken, err = during(ctx, s.lasts, 0, workers/2, c.awaitBatch)
		}
		return err
	})
	return something(messages(taken, start), err)
}

// pace is how far sends of sendPaced are apart.
const pace = time.Second / 100

// sendPaced sends each message at its time, and waits for no answer before the end: a server that
// stalls does not hide the wait of those behind.
func sendPaced(ctx context.Context, s *scenario, server *measure.Server) (measure.Outcome, error) {
	c, err := dial(server.Addr).use(ctx, canned.Queue)
	if err != nil {
		return measure.Outcome{}, err
	}
	times := make([]time.Duration, s.lasts/pace)
	start := time.Now()
	err = each(len(times), func(i int) error {
		due := start.Add(time.Duration(i) * pace)
		time.Sleep(time.Until(due))
		err := c.send(ctx)
		times[i] = time.Since(due)
		return err
	})
	out := messages(int64(len(times)), start)
	out.Times = times
	return out, err
}

// polls is how many holdPolls has open.
const polls = 1000

// holdPolls keeps long polls open on an empty queue, each beginning anew when it ends, and looks at the
// server once all have begun.
func holdPolls(ctx context.Context, s *scenario, server *measure.Server) (out measure.Outcome, err error) {
	c, err := dial(server.Addr).use(ctx, canned.Idle)
	if err != nil {
		return out, err
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	failed := make(chan error, polls)
	for range polls {
		wg.Go(func() { failed <- c.poll(ctx) })
	}
	select {
	case err = <-failed:
		return out, err
	case <-time.After(settled):
	}
	before, start := measure.UsageOf(server.PID).CPU, time.Now()
	select {
	case err = <-failed:
	case <-time.After(s.lasts):
	}
	out.Took = time.Since(start)
	out.Busy = measure.UsageOf(server.PID).CPU - before
	return out, err
}

// poll waits for messages that do not come, again and again, until the context ends.
func (c *client) poll(ctx context.Context) error {
	for {
		out, err := c.sqs.ReceiveMessage(ctx,
			&sqs.ReceiveMessageInput{QueueUrl: c.queue, WaitTimeSeconds: 20})
		switch {
		case err != nil:
			return err
		case len(out.Messages) > 0:
			return errors.New("an idle queue has a message")
		}
	}
}

// settled is how long a server is left alone before it is looked at.
const settled = 2 * time.Second

// rest leaves the server alone.
func rest(ctx context.Context, _ *scenario, _ *measure.Server) (measure.Outcome, error) {
	select {
	case <-time.After(settled):
		return measure.Outcome{}, nil
	case <-ctx.Done():
		return measure.Outcome{}, ctx.Err()
	}
}
