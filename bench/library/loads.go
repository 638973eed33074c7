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
	name      string
	setting   setting
	inProcess bool     // and nowhere else
	without   []string // sides, by their names
	run       func(context.Context, *stage) (measure.Outcome, error)
}

// stage is what a load has to itself: a side, a name that nobody else uses, and its sizes.
type stage struct {
	side  side
	topic string // and group
	sizes
	start func() // of what is measured
}

// sizes bound a load.
type sizes struct {
	events int           // of a backlog
	time   time.Duration // of publishing
	atMost time.Duration // of handling a backlog
}

// The names of loads that are compared with each other, too.
const (
	inOrder   = "handle a backlog, 64 at once, in the order of keys"
	unordered = "handle a backlog, 64 at once, without keys"

	// With data as bytes nothing but the library is measured, which is where order costs.
	inOrderBytes   = "the same backlog, 64 at once, in the order of keys, data as bytes"
	unorderedBytes = "the same backlog, 64 at once, without keys, data as bytes"
)

// wide and opaque are the settings of most loads; narrow has one partition.
var (
	wide   = setting{8, asJSON}
	opaque = setting{8, asBytes}
	narrow = setting{1, asJSON}
)

var (
	alone   = how{1, true}
	byKey   = how{64, true}
	freely  = how{64, false}
	notBare = []string{bareName}
)

var loads = []load{
	{"publish, 64 at once", wide, false, nil, publishAll},
	{"handle a backlog, one at a time", wide, false, nil, backlog(alone, true)},
	{inOrder, wide, false, nil, backlog(byKey, true)},
	{unordered, wide, false, notBare, backlog(freely, false)},
	{"publish and handle together, 64 at once", wide, false, nil, together(1)},
	{"handle for 1 ms each, 1 partition, 1,000 keys in order", narrow, false, notBare, slow},
	{"the same backlog, one at a time, data as bytes", opaque, true, nil, backlog(alone, true)},
	{inOrderBytes, opaque, true, nil, backlog(byKey, true)},
	{unorderedBytes, opaque, true, notBare, backlog(freely, false)},
	{"publish and handle together, data as bytes", opaque, true, nil, together(1)},
	{"publish and handle together, data as bytes, 10 in a call", opaque, true, nil, together(10)},
}

// publishAll publishes for a while.
func publishAll(ctx context.Context, s *stage) (measure.Outcome, error) {
	publish, err := s.begin(ctx)
	if err != nil {
		return measure.Outcome{}, err
	}
	if err := publish(ctx, orders[0]); err != nil { // connections are open then
		return measure.Outcome{}, err
	}
	s.start()
	return s.publish(ctx, publish, 1)
}

// begin declares what a load uses, and returns what publishes with keys.
func (s *stage) begin(ctx context.Context) (publisher, error) {
	return s.side.publisher(s.topic, true), s.side.declare(ctx, s.topic, s.topic)
}

func (s *stage) publish(ctx context.Context, publish publisher, inACall int) (
	measure.Outcome, error) {
	times := make([][]time.Duration, publishers)
	start := time.Now()
	err := atOnce(publishers, func(p int) error {
		for i := p * inACall; ; i += publishers * inACall {
			batch := some(i, inACall)
			began := time.Now()
			if began.Sub(start) >= s.time {
				return nil
			}
			if err := publish(ctx, batch...); err != nil {
				return err
			}
			times[p] = append(times[p], time.Since(began))
		}
	})
	out := measure.Outcome{Took: time.Since(start), Times: slices.Concat(times...)}
	out.Records = int64(len(out.Times) * inACall)
	out.Bytes = out.Records * eventBytes
	return out, err
}

// atOnce calls f for 0 to n-1 at once, and waits.
func atOnce(n int, f func(int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// backlog handles events that were there before.
func backlog(h how, keyed bool) func(context.Context, *stage) (measure.Outcome, error) {
	return func(ctx context.Context, s *stage) (measure.Outcome, error) {
		return s.backlog(ctx, h, keyed, func() {})
	}
}

// slow has a handler that waits for something else for a millisecond.
func slow(ctx context.Context, s *stage) (measure.Outcome, error) {
	return s.backlog(ctx, byKey, true, func() { time.Sleep(time.Millisecond) })
}

func (s *stage) backlog(ctx context.Context, h how, keyed bool, work func()) (
	measure.Outcome, error) {
	if err := s.side.declare(ctx, s.topic, s.topic); err != nil {
		return measure.Outcome{}, err
	}
	if err := s.fill(ctx, s.side.publisher(s.topic, keyed)); err != nil {
		return measure.Outcome{}, fmt.Errorf("fill: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := count{want: int64(s.events), reached: stop}
	s.start()
	settled, err := s.side.handle(ctx, s.topic, s.topic, h, func(context.Context, order) error {
		if c.isFirst() {
			time.AfterFunc(s.atMost, stop)
		}
		work()
		c.add()
		return nil
	})
	return c.outcome(settled), err
}

// fill publishes a backlog.
func (s *stage) fill(ctx context.Context, publish publisher) error {
	inACall, calls := s.side.bulk()
	return atOnce(calls, func(c int) error {
		for i := c * inACall; i < s.events; i += calls * inACall {
			if err := publish(ctx, some(i, min(inACall, s.events-i))...); err != nil {
				return err
			}
		}
		return nil
	})
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

// together publishes for a while what is handled meanwhile, so many in a call.
func together(inACall int) func(context.Context, *stage) (measure.Outcome, error) {
	return func(ctx context.Context, s *stage) (measure.Outcome, error) {
		publish, err := s.begin(ctx)
		if err != nil {
			return measure.Outcome{}, err
		}
		handling, stop := context.WithCancel(ctx)
		defer stop()
		f := follow{ready: make(chan struct{}), caughtUp: stop}
		f.want.Store(-1)
		handled := make(chan error, 1)
		go func() {
			var err error
			f.settled, err = s.side.handle(handling, s.topic, s.topic, byKey, f.handle)
			stop()
			handled <- err
		}()
		if err := publish(ctx, orders[0]); err != nil { // everybody is there then
			return measure.Outcome{}, err
		}
		select {
		case <-f.ready:
		case err := <-handled:
			return measure.Outcome{}, err
		}
		s.start()
		start := time.Now()
		time.AfterFunc((1+catchUp)*s.time, stop)
		out, err := s.publish(handling, publish, inACall)
		f.until(out.Records + 1)
		err = errors.Join(err, <-handled)
		out.Records = f.n.Load() - 1
		out.Bytes, out.Took = out.Records*eventBytes, f.settled.Sub(start)
		return out, err
	}
}

// follow is the handler of together.
type follow struct {
	n, want  atomic.Int64
	once     sync.Once
	ready    chan struct{} // closed with the first event
	caughtUp func()        // is called when as many as wanted were handled
	settled  time.Time
}

func (f *follow) handle(context.Context, order) error {
	f.once.Do(func() { close(f.ready) })
	if f.n.Add(1) == f.want.Load() {
		f.caughtUp()
	}
	return nil
}

func (f *follow) until(want int64) {
	f.want.Store(want)
	if f.n.Load() >= want {
		f.caughtUp()
	}
}
