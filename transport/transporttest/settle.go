package transporttest

import (
	"errors"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

func nackComesAgain(s *suite) {
	topic := s.name("orders")
	r, other := s.subscribe(s.name("billing"), topic), s.subscribe(s.name("shipping"), topic)
	e := s.event(topic, "k")
	s.publish(e)
	for range 3 {
		d := r.next(1)[0]
		s.same(d.Event, e)
		r.nack(0, d)
	}
	r.exactly(e)
	other.exactly(e)
}

func nackComesNotBeforeItsDelay(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	e, next := s.event(topic, "a"), s.event(topic, "b")
	s.publish(e)
	d := r.next(1)[0]
	at := time.Now().Add(s.within(later, s.caps.MaxDelay))
	r.nack(s.within(later, s.caps.MaxDelay), d)
	s.publish(next)
	r.comesAt(at, next.ID, e.ID)
	r.nothing("both have come")
}

func attemptsCountUp(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	r := s.subscribe(group, topic)
	s.publish(s.event(topic, "k"))
	for attempt := 1; attempt <= 3; attempt++ {
		d := r.next(1)[0]
		if d.Attempt != attempt {
			s.Fatalf("attempt: got %d, want %d", d.Attempt, attempt)
		}
		r.nack(0, d)
	}
	d := r.next(1)[0]
	s.must("close", r.end())
	r = s.subscribe(group, topic)
	again := r.next(1)[0]
	if again.Attempt <= d.Attempt {
		s.Errorf("with another consumer: got attempt %d, want more than %d", again.Attempt, d.Attempt)
	}
	r.ack(again)
}

// leased is a subscription whose deliveries have a deadline, and one delivery of it: of a command,
// since lanes may be a consumer's for as long as it lives, and addresses are queues.
func (s *suite) leased() (*reader, *tidings.Delivery) {
	s.Helper()
	r := s.read(s.open(s.h.Leased(s.TB)), tidings.Subscription{Group: s.name("billing")})
	s.publish(s.command(s.name("billing")))
	d := r.next(1)[0]
	if ahead := time.Until(d.Deadline); ahead <= 0 || ahead > 10*time.Second {
		s.Fatalf("the deadline is %s ahead, want one or two seconds", ahead)
	}
	return r, d
}

func extendKeepsADelivery(s *suite) {
	r, d := s.leased()
	lease := time.Until(d.Deadline)
	end := time.Now().Add(3 * lease)
	for time.Now().Before(end) {
		ctx, cancel := s.patience()
		s.must("extend", d.Extend(ctx, lease))
		cancel()
		pause(s.Context(), lease/4)
	}
	r.ack(d)
	r.commit()
	r.nothing("the delivery was extended all the time, and acknowledged")
}

// clockError is how much the clocks of broker and client may differ over a lease.
const clockError = 100 * time.Millisecond

func overdueDeliveriesAreTakenBack(s *suite) {
	r, first := s.leased()
	second := r.next(1)[0]
	if early := time.Until(first.Deadline); second.ID != first.ID || early > clockError {
		s.Fatalf("%s came %s before the deadline of %s", second.ID, early, first.ID)
	}
	ctx, cancel := s.patience()
	defer cancel()
	if err := first.Extend(ctx, time.Minute); !errors.Is(err, tidings.ErrLost) {
		s.Errorf("late Extend: got %v, want %v", err, tidings.ErrLost)
	}
	switch err := first.Ack(ctx); {
	case err == nil: // the event was handled, and may be done: the second may find it gone
		if err := second.Ack(ctx); err != nil && !errors.Is(err, tidings.ErrLost) {
			s.Errorf("second Ack: got %v, want nil or %v", err, tidings.ErrLost)
		}
	case errors.Is(err, tidings.ErrLost): // it was not settled, and is still the second's
		r.nack(0, second)
		r.ack(r.next(1)...)
	default:
		s.Errorf("late Ack: got %v, want nil or %v", err, tidings.ErrLost)
	}
	r.commit()
	r.nothing("the event was acknowledged")
}

func unsettledComesBackAfterClose(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	r := s.subscribe(group, topic)
	events := s.several(topic, 5, 5)
	s.publish(events...)
	held := r.next(5)
	r.ack(held[1], held[3])
	s.must("close", r.end())
	s.subscribe(group, topic).exactly(held[0].Event, held[2].Event, held[4].Event)
}

// Where connections can be cut the commit is all that the broker hears; elsewhere Close commits.
func committedDoesNotComeBack(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	client, end := s.client, func() {}
	if s.h.Cut != nil {
		client, end = s.h.Cut(s.TB)
		s.open(client)
	}
	r := s.read(client, tidings.Subscription{Group: group, Topics: []string{topic}})
	s.publish(s.several(topic, 5, 5)...)
	held := r.next(5)
	r.ack(held[:4]...)
	r.commit()
	end()
	_ = r.end() // a cut connection may say so
	s.comesAgain(group, topic, ids(held[:4]), ids(held[4:]))
}

// comesAgain wants a new consumer to get what was not settled, and nothing that was.
func (s *suite) comesAgain(group, topic string, settled, open []string) {
	s.Helper()
	r := s.subscribe(group, topic)
	for missing := slices.Clone(open); len(missing) > 0; {
		d := r.next(1)[0]
		if slices.Contains(settled, d.ID) {
			s.Errorf("%s came again, which had been settled", d.ID)
		}
		r.ack(d)
		missing = slices.DeleteFunc(missing, func(id string) bool { return id == d.ID })
	}
	r.nothing("all that was open has come")
}
