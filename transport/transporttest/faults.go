package transporttest

import (
	"context"
	"errors"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-io/tidings"
)

func unsettledComesBackAfterACut(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	client, cut := s.h.Cut(s.TB)
	r := s.read(s.open(client), tidings.Subscription{Group: group, Topics: []string{topic}})
	s.publish(s.several(topic, 3, 3)...)
	held := r.next(3)
	r.ack(held[0])
	r.commit()
	cut()
	_ = r.end() // a cut connection may say so
	s.comesAgain(group, topic, ids(held[:1]), ids(held[1:]))
}

// worker handles events over faults as a service does: what is published is published again until
// that succeeds, and a consumer that fails is closed for a new one. An event is handled when its
// Ack has been committed; what is in hand when a fault comes is not.
type worker struct {
	s       *suite
	client  tidings.Transport
	sub     tidings.Subscription
	reader  *reader // nil until there is one
	handled map[string]bool
}

// handle handles until all events are, with a fault after each of some batches. Every other time
// the process dies with the fault, and in between the consumer goes on as far as it can.
func (w *worker) handle(events []tidings.Event, faults int, fault func()) {
	w.s.Helper()
	ctx, cancel := context.WithTimeout(w.s.Context(), time.Duration(faults+1)*w.s.h.Patience)
	defer cancel()
	batch := max(1, len(events)/(2*faults+2))
	for len(w.handled) < len(events) {
		ds := w.receive(ctx, batch)
		if faults > 0 && len(ds) > 0 {
			faults--
			fault()
			if faults%2 == 0 {
				w.giveUp() // and nobody has handled ds
				continue
			}
		}
		w.settle(ctx, ds)
		if ctx.Err() != nil {
			w.s.Fatalf("%d of %d events were handled, what came before a fault is lost",
				len(w.handled), len(events))
		}
	}
}

// receive returns nothing where the consumer had to be given up.
func (w *worker) receive(ctx context.Context, n int) []*tidings.Delivery {
	if w.reader == nil {
		c, err := w.client.Subscribe(ctx, w.sub)
		if err != nil {
			pause(ctx, w.s.h.Quiet/5) // the broker may not be back yet
			return nil
		}
		w.reader = &reader{w.s, c}
	}
	ds, err := w.reader.Receive(ctx, n)
	if err != nil {
		w.giveUp()
		return nil
	}
	return ds
}

func (w *worker) giveUp() {
	if w.reader != nil {
		_ = w.reader.end() // it is given up because it fails
	}
	w.reader = nil
}

func (w *worker) settle(ctx context.Context, ds []*tidings.Delivery) {
	acked := ds[:0:0]
	for _, d := range ds {
		if d.Ack(ctx) == nil {
			acked = append(acked, d)
		}
	}
	if w.reader == nil || w.reader.Commit(ctx) != nil {
		w.giveUp()
		return
	}
	for _, d := range acked {
		w.handled[d.ID] = true
	}
}

// publishUntilKept publishes again what may not have been kept.
func (w *worker) publishUntilKept(events []tidings.Event) {
	w.s.Helper()
	ctx, cancel := w.s.patience()
	defer cancel()
	for err := w.client.Publish(ctx, events...); err != nil; err = w.client.Publish(ctx, events...) {
		if !pause(ctx, w.s.h.Quiet/5) {
			w.s.Fatalf("publish did not succeed after a fault: %v", err)
		}
	}
}

func (s *suite) work(client tidings.Transport, fault func()) {
	s.Helper()
	topic := s.name("orders")
	w := &worker{s: s, client: client, handled: map[string]bool{},
		sub: tidings.Subscription{Group: s.name("billing"), Topics: []string{topic}}}
	defer w.giveUp()
	s.declare(w.sub)
	events := s.several(topic, 60, 10)
	w.publishUntilKept(events[:30])
	w.handle(events[:30], 3, fault)
	fault()
	w.publishUntilKept(events[30:])
	w.handle(events, 2, fault)
}

func nothingIsLostInCuts(s *suite) {
	client, cut := s.h.Cut(s.TB)
	s.work(s.open(client), cut)
}

func nothingIsLostInARestart(s *suite) { s.work(s.client, s.restart) }

func (s *suite) restart() {
	s.Helper()
	s.h.Kill(s.TB)
	s.h.Restart(s.TB)
}

// aSilentBrokerHoldsNobody wants calls to end with their contexts, and the client to go on when the
// network does.
func aSilentBrokerHoldsNobody(s *suite) {
	client, stall := s.h.Stall(s.TB)
	s.open(client)
	topic := s.name("orders")
	sub := tidings.Subscription{Group: s.name("billing"), Topics: []string{topic}}
	w := &worker{s: s, client: client, sub: sub, handled: map[string]bool{}}
	defer w.giveUp()
	s.declare(sub)
	first, second := s.event(topic, ""), s.event(topic, "")
	w.publishUntilKept([]tidings.Event{first})
	w.handle([]tidings.Event{first}, 0, nil) // so that nothing is on its way when silence begins

	resume := stall()
	defer resume()
	s.endsInTime("publish", func(ctx context.Context) error { return client.Publish(ctx, second) })
	s.endsInTime("receive", func(ctx context.Context) error {
		_, err := w.reader.Receive(ctx, 10)
		return err
	})
	resume()
	w.publishUntilKept([]tidings.Event{second})
	w.handle([]tidings.Event{first, second}, 0, nil)
}

// endsInTime wants a call to end soon after its context, and to say so.
func (s *suite) endsInTime(what string, call func(context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), s.h.Quiet)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- call(ctx) }()
	if err := s.await(ended); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("%s while the broker is silent: got %v, want %v", what, err, context.DeadlineExceeded)
	}
}

func publishIsDurable(s *suite) {
	topic := s.name("orders")
	sub := tidings.Subscription{Group: s.name("billing"), Topics: []string{topic}}
	s.declare(sub)
	events := s.several(topic, 100, 10)
	s.publish(events...)
	command := s.command(sub.Group)
	s.publish(command)
	s.restart()
	r := s.read(s.open(s.h.New(s.TB)), sub)
	s.gather(append(events, command), r)
}

func scheduleSurvivesARestart(s *suite) {
	topic := s.name("orders")
	sub := tidings.Subscription{Group: s.name("billing"), Topics: []string{topic}}
	s.declare(sub)
	e := s.event(topic, "")
	at := time.Now().Add(s.within(later, s.caps.MaxSchedule))
	s.publishAt(at, e)
	s.restart()
	r := s.read(s.open(s.h.New(s.TB)), sub)
	d := r.next(1)[0]
	if early := time.Until(at); d.ID != e.ID || early > 0 {
		s.Errorf("%s came %s before its time", d.ID, early)
	}
	r.ack(d)
}

func nothingIsLeftAfterClose(s *suite) {
	before := goleak.IgnoreCurrent()
	client := s.h.New(s.TB)
	topic := s.name("orders")
	r := s.read(client, tidings.Subscription{Group: s.name("billing"), Topics: []string{topic}})
	events := s.several(topic, 10, 3)
	ctx, cancel := s.patience()
	s.must("publish", client.Publish(ctx, events...))
	cancel()
	r.ack(r.next(5)...)
	s.must("close", r.end())
	s.close(client)
	if err := goleak.Find(before); err != nil {
		s.Errorf("after Close of consumer and client: %v", err)
	}
}
