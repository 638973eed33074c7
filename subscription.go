package tidings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// itemsAtOnce is how many items are allocated together: one that is held keeps the memory of so
// many.
const itemsAtOnce = 32

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
	// closeTime bounds how long a consumer may take to tell the broker what was settled, and to
	// give back the rest.
	closeTime = 5 * time.Second
)

// subscription is a group at work. Its goroutines, for which run waits, are the receive
// loop, the workers, one that does what is due, one that extends leases and one that commits.
type subscription struct {
	group
	service *Service
	policy  Policy // complete
	disp    *dispatcher
	log     *slog.Logger
	state   status
	fail    func(error) // ends the run of the service
	slow    error       // cause of an attempt that takes too long

	// base ends when the drain is over, and with it handlers and what they wait for. Acknowledgements
	// have root, which does not end: what was handled at the last moment is settled all the same.
	base context.Context
	root context.Context
	cut  context.CancelCauseFunc
	now  atomic.Pointer[reading] // what is received, nil for nothing; changed by the goroutine of run
}

// reading is one consumer's time. Its context is that of the handlers of what it has received,
// which end with ErrLost when it does.
type reading struct {
	Consumer
	ctx  context.Context
	lose context.CancelCauseFunc
}

func newSubscription(s *Service, g *group) *subscription {
	sub := &subscription{group: *g, service: s, policy: g.policy.complete(),
		log: s.log.With("service", s.name, "group", g.name)}
	sub.disp = newDispatcher(sub.policy)
	sub.disp.work = sub.work
	sub.slow = fmt.Errorf("attempt took longer than %v: %w",
		sub.policy.Timeout, context.DeadlineExceeded)
	return sub
}

// open subscribes. What ctx carries, handlers find in theirs; that it ends, they do not notice.
func (s *subscription) open(ctx context.Context) error {
	if s.base == nil {
		s.root = context.WithoutCancel(ctx)
		s.base, s.cut = context.WithCancelCause(s.root)
	}
	c, err := s.service.transport.Subscribe(ctx, Subscription{
		Group: s.name, Topics: s.topics, From: s.policy.From, Window: s.policy.Window})
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", s.name, err)
	}
	r := &reading{Consumer: c}
	r.ctx, r.lose = context.WithCancelCause(s.base)
	s.now.Store(r)
	s.state.set(Receiving)
	return nil
}

// run receives until ctx ends, and drains.
func (s *subscription) run(ctx context.Context) error {
	defer s.cut(ErrDrained)
	clock, stop := context.WithCancel(s.base)
	var clocks sync.WaitGroup
	clocks.Go(func() { each(clock, s.disp.alarm.wake, s.disp.ring) })
	clocks.Go(func() {
		each(clock, s.disp.leases.wake, func() time.Time { return s.disp.extend(clock) })
	})
	clocks.Go(func() { s.commits(clock) })
	s.read(ctx)
	err := s.drain()
	stop()
	clocks.Wait()
	return err
}

// read receives until ctx ends, and subscribes again where receiving fails.
func (s *subscription) read(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		err := s.receive(ctx, &pause)
		if ctx.Err() != nil {
			return
		}
		s.broken(err)
		for err != nil && sleep(ctx, pause) {
			pause = min(2*pause, lastPause)
			if err = s.open(ctx); err != nil {
				s.disp.note(err)
			}
		}
	}
}

// receive takes into hand what comes until it fails.
func (s *subscription) receive(ctx context.Context, pause *time.Duration) error {
	r := s.now.Load()
	for {
		free, err := s.disp.awaitRoom(ctx)
		if err != nil {
			return err
		}
		ds, err := r.Receive(ctx, free)
		if err != nil {
			return err
		}
		*pause = firstPause
		s.service.observer.received(s.name, len(ds))
		for len(ds) > 0 {
			n := min(len(ds), itemsAtOnce)
			s.disp.offer(s.items(r, ds[:n]))
			ds = ds[n:]
		}
	}
}

// items makes items of deliveries.
func (s *subscription) items(r *reading, ds []*Delivery) []item {
	items := make([]item, len(ds))
	for i, d := range ds {
		it := &items[i]
		s.restore(&d.Event)
		it.d, it.from, it.first, it.told = d, r, max(1, d.Attempt), d.Attempt
		if s.policy.StepAside && d.Attempt > 1 {
			it.first += s.policy.Immediate // they were made before it stepped aside
		}
		it.lease.deadline = d.Deadline
		it.route = s.lookup(&d.Event)
		it.key = s.lineOf(d)
		it.dead = s.poison(d, it.route)
	}
	return items
}

// lineOf names what a delivery keeps its order with: its key, or all of its lane, which no key can
// be mistaken for.
func (g *group) lineOf(d *Delivery) string {
	if g.byLane && d.Lane != "" {
		return "\x00lane " + d.Lane
	}
	return d.Key
}

// poison is why a delivery goes to the dead letters unseen. Dead letters themselves are read as
// they are.
func (s *subscription) poison(d *Delivery, route *bound) error {
	if why, bad := d.Extensions[ExtMalformed]; bad && d.Extensions[ExtDeadGroup] == "" {
		return Permanent(errors.New("malformed: " + why))
	}
	if route == nil && s.policy.Unknown == DeadLetterUnknown {
		return Permanent(unknown(d))
	}
	return nil
}

func unknown(d *Delivery) error {
	return fmt.Errorf("no route takes type %q of %s", d.Type, d.Topic)
}

// broken ends a reading: what it has received is lost, to handlers in progress too.
func (s *subscription) broken(err error) {
	s.log.Warn("receive failed, subscribing again", "err", err)
	s.state.set(Reconnecting)
	s.disp.note(err)
	r := s.now.Swap(nil)
	s.disp.lose(r) // first, so that handlers which end by it are not taken for failed
	r.lose(ErrLost)
	ctx, cancel := context.WithTimeout(s.root, closeTime)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		s.log.Debug("close after a failure", "err", err)
	}
}

// sleep waits; it says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
