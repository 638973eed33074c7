package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

// publishers is how many publish at the same time, one event after the other.
const publishers = 64

// load is one thing that is measured.
type load struct {
	name string
	// partitions of its topic, where there are such.
	partitions int
	// without leaves out sides by their names.
	without []string
	run     func(context.Context, *stage) (measure.Outcome, error)
}

// stage is what a load has to itself: a side, names that nobody else uses, and its sizes.
type stage struct {
	side  side
	topic string
	sizes
	start func() // of what is measured
}

// sizes bound a load.
type sizes struct {
	events int           // of a backlog
	time   time.Duration // of publishing, and at most of handling a backlog
}

// The names of loads that are compared with each other, too.
const (
	inOrder   = "handle a backlog, 64 at once, in the order of keys"
	unordered = "handle a backlog, 64 at once, without keys"
)

var loads = []load{
	{"publish, 64 at once", 8, nil, publishAll},
	{"handle a backlog, one at a time", 8, nil, backlog(how{1, true}, true)},
	{inOrder, 8, nil, backlog(how{64, true}, true)},
	{unordered, 8, []string{bareName}, backlog(how{64, false}, false)},
	{"publish and handle together, 64 at once", 8, nil, together},
	{"handle for 1 ms each, 1 partition, 1,000 keys in order", 1, []string{bareName}, slow},
}

// publishAll publishes for a while.
func publishAll(ctx context.Context, s *stage) (measure.Outcome, error) {
	if err := s.side.declare(ctx, s.topic, s.topic); err != nil {
		return measure.Outcome{}, err
	}
	publish := s.side.publisher(s.topic)
	if err := publish(ctx, "customer-0", newOrder(0)); err != nil { // connections are open then
		return measure.Outcome{}, err
	}
	s.start()
	return s.publish(ctx, publish)
}

func (s *stage) publish(ctx context.Context, publish publisher) (measure.Outcome, error) {
	times := make([][]time.Duration, publishers)
	start := time.Now()
	err := atOnce(publishers, func(p int) (err error) {
		for i := p; ; i += publishers {
			o := newOrder(i)
			began := time.Now()
			if began.Sub(start) >= s.time {
				return nil
			}
			if err := publish(ctx, o.Customer, o); err != nil {
				return err
			}
			times[p] = append(times[p], time.Since(began))
		}
	})
	out := measure.Outcome{Took: time.Since(start), Times: slices.Concat(times...)}
	out.Records = int64(len(out.Times))
	out.Bytes = out.Records * eventBytes
	return out, err
}

// backlog handles events that were there before.
func backlog(h how, keyed bool) func(context.Context, *stage) (measure.Outcome, error) {
	return func(ctx context.Context, s *stage) (measure.Outcome, error) {
		return s.backlog(ctx, h, keyed, func() {})
	}
}

// slow has a handler that waits for something else for a millisecond.
func slow(ctx context.Context, s *stage) (measure.Outcome, error) {
	return s.backlog(ctx, how{64, true}, true, func() { time.Sleep(time.Millisecond) })
}

func (s *stage) backlog(ctx context.Context, h how, keyed bool, work func()) (
	measure.Outcome, error) {
	if err := s.side.declare(ctx, s.topic, s.topic); err != nil {
		return measure.Outcome{}, err
	}
	if err := s.side.fill(ctx, s.topic, keyed, s.events); err != nil {
		return measure.Outcome{}, fmt.Errorf("fill: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := count{want: int64(s.events), reached: stop}
	s.start()
	settled, err := s.side.handle(ctx, s.topic, s.topic, h, func(context.Context, order) error {
		if c.isFirst() {
			time.AfterFunc(s.time, stop)
		}
		work()
		c.add()
		return nil
	})
	return c.outcome(settled), err
}

// count counts what was handled.
type count struct {
	want    int64
	reached func() // is called when so many were handled
	begun   atomic.Bool
	first   time.Time // when the first one came
	n       atomic.Int64
}

func (c *count) isFirst() bool {
	if c.begun.Load() || !c.begun.CompareAndSwap(false, true) {
		return false
	}
	c.first = time.Now()
	return true
}

func (c *count) add() {
	if c.n.Add(1) == c.want {
		c.reached()
	}
}

func (c *count) outcome(settled time.Time) measure.Outcome {
	n := c.n.Load()
	return measure.Outcome{Records: n, Bytes: n * eventBytes, Took: settled.Sub(c.first)}
}

// catchUp is how many times as long as publishing handlers may take to have handled it all.
const catchUp = 3

// together publishes for a while what is handled meanwhile.
func together(ctx context.Context, s *stage) (measure.Outcome, error) {
	if err := s.side.declare(ctx, s.topic, s.topic); err != nil {
		return measure.Outcome{}, err
	}
	handling, stop := context.WithCancel(ctx)
	defer stop()
	var n, want atomic.Int64
	want.Store(-1)
	ready := make(chan struct{})
	var once sync.Once
	var settled time.Time
	var failed error
	var handles sync.WaitGroup
	handles.Go(func() {
		settled, failed = s.side.handle(handling, s.topic, s.topic, how{64, true},
			func(context.Context, order) error {
				once.Do(func() { close(ready) })
				if n.Add(1) == want.Load() {
					stop()
				}
				return nil
			})
		stop()
	})
	publish := s.side.publisher(s.topic)
	if err := publish(ctx, "customer-0", newOrder(0)); err != nil { // everybody is there then
		return measure.Outcome{}, err
	}
	select {
	case <-ready:
	case <-handling.Done():
		handles.Wait()
		return measure.Outcome{}, failed
	}
	s.start()
	start := time.Now()
	time.AfterFunc((1+catchUp)*s.time, stop)
	out, err := s.publish(handling, publish)
	want.Store(out.Records + 1)
	if n.Load() >= want.Load() {
		stop()
	}
	handles.Wait()
	out.Records = n.Load() - 1
	out.Bytes, out.Took = out.Records*eventBytes, settled.Sub(start)
	return out, errors.Join(err, failed)
}
