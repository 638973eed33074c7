package transporttest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tidings-io/tidings"
)

func manyEventsInOnePublish(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	events := s.several(topic, 1000, 50)
	s.publish(events...)
	s.gather(events, r)
}

func largeEventsAreRefused(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	events := s.several(topic, 3, 3)
	events[1].ContentType = "application/octet-stream"
	events[1].Payload = make([]byte, s.caps.MaxBytes+1)
	ctx, cancel := s.patience()
	defer cancel()
	err := s.client.Publish(ctx, events...)
	if !errors.Is(err, tidings.ErrTooLarge) {
		s.Fatalf("got %v, want %v", err, tidings.ErrTooLarge)
	}
	s.namesThoseThatDoNotCome(r, err, events, 1)
}

// copiesOfTheLargestHaveRoom, so that what is as large as can be has a dead letter, and a way back
// from there.
func copiesOfTheLargestHaveRoom(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	letters := s.subscribe(tidings.DeadLetters(group))
	r := s.subscribe(group, topic)
	takes := func(r *reader, want tidings.Event) {
		d := r.next(1)[0]
		s.same(d.Event, want)
		r.ack(d)
	}
	e := s.largest(topic)
	takes(r, e)
	dead := e
	dead.Kind, dead.Topic = tidings.KindCommand, tidings.DeadLetters(group)
	dead.Extensions = map[string]string{tidings.ExtDeadReason: strings.Repeat("x", 1000),
		tidings.ExtDeadAttempts: "8", tidings.ExtDeadAt: time.Now().Format(time.RFC3339Nano),
		tidings.ExtDeadGroup: group, tidings.ExtDeadTopic: topic}
	s.publish(dead)
	takes(letters, dead)
	back := dead
	back.Topic = group
	s.publish(back)
	takes(r, back)
}

// largest publishes an event to which 256 bytes cannot be added.
func (s *suite) largest(topic string) tidings.Event {
	s.Helper()
	e := s.event(topic, "k")
	e.ContentType = "application/octet-stream"
	ctx, cancel := s.patience()
	defer cancel()
	for size := s.caps.MaxBytes; size > 0; size -= 256 {
		e.Payload = make([]byte, size)
		err := s.client.Publish(ctx, e)
		if err == nil {
			return e
		}
		if !errors.Is(err, tidings.ErrTooLarge) {
			s.Fatalf("got %v, want %v or nothing", err, tidings.ErrTooLarge)
		}
	}
	s.Fatalf("nothing of at most %d bytes can be published", s.caps.MaxBytes)
	return e
}

func whatDoesNotEncodeIsRefused(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	bad := tidings.Define[func()](topic, eventType).New(func() {})
	bad.Source = "transporttest"
	events := []tidings.Event{s.event(topic, "a"), bad, s.event(topic, "b")}
	ctx, cancel := s.patience()
	defer cancel()
	err := s.client.Publish(ctx, events...)
	if !errors.Is(err, bad.Err()) {
		s.Fatalf("got %v, want %v", err, bad.Err())
	}
	s.namesThoseThatDoNotCome(r, err, events, 1)
}

func whatReadersWouldNotTakeIsRefused(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	for _, spoil := range []func(e *tidings.Event){
		func(e *tidings.Event) { e.Source = "" },
		func(e *tidings.Event) { e.Type = "" },
		func(e *tidings.Event) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		func(e *tidings.Event) { e.Extensions = map[string]string{"Color": "red"} },
		func(e *tidings.Event) { e.Extensions = map[string]string{"id": "another"} },
	} {
		events := []tidings.Event{s.event(topic, "a"), s.event(topic, "b"), s.event(topic, "c")}
		spoil(&events[1])
		ctx, cancel := s.patience()
		err := s.client.Publish(ctx, events...)
		cancel()
		if events[1].Check() == nil || err == nil {
			s.Fatalf("%+v is not refused", events[1])
		}
		s.namesThoseThatDoNotCome(r, err, events, 1)
	}
}

// namesThoseThatDoNotCome wants the bad event among those that a publish names, and the others to
// come unless they are named too.
func (s *suite) namesThoseThatDoNotCome(r *reader, err error, events []tidings.Event, bad int) {
	s.Helper()
	e, ok := errors.AsType[*tidings.PublishError](err)
	if !ok {
		s.Fatalf("got %v, want a *tidings.PublishError", err)
	}
	named := map[int]bool{}
	for _, i := range e.Failed {
		named[i] = true
	}
	if !named[bad] {
		s.Errorf("failed events: got %v, want %d among them", e.Failed, bad)
	}
	var want []tidings.Event
	for i := range events {
		if !named[i] {
			want = append(want, events[i])
		}
	}
	r.exactly(want...)
}

func publishEndsWithItsContext(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	over, cancel := context.WithCancel(s.Context())
	cancel()
	err := s.client.Publish(over, s.event(topic, ""), s.event(topic, ""))
	if !errors.Is(err, context.Canceled) {
		s.Errorf("with a context that is over: got %v, want %v", err, context.Canceled)
	}
	s.failed(err, 0, 1)
	s.cancelDuring(topic)

	// The client goes on.
	last := s.event(topic, "")
	s.publish(last)
	s.gather([]tidings.Event{last}, r)
}

// cancelDuring wants a publish to end soon after its context, and to say whether it succeeded.
func (s *suite) cancelDuring(topic string) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	events := s.several(topic, 100, 10)
	go func() { ended <- s.client.Publish(ctx, events...) }()
	cancel()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, context.Canceled) {
			s.Errorf("cancelled: got %v, want nil or %v", err, context.Canceled)
		}
	case <-time.After(s.h.Patience):
		s.Fatal("a publish did not end with its context")
	}
}

func duplicatesComeOnce(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	first, second := s.event(topic, "k"), s.event(topic, "k")
	s.publish(first)
	s.publish(first, second)
	r.exactly(first, second)
}

// later is a delay that is no multiple of what brokers round to, and short.
const later = 1500 * time.Millisecond

func publishAtComesAtItsTime(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	delayed, command, past := s.event(topic, ""), s.command(s.name("billing")), s.event(topic, "")
	at := time.Now().Add(s.within(later, s.caps.MaxSchedule))
	s.publishAt(at, delayed, command)
	s.publishAt(time.Now().Add(-time.Hour), past)
	r.comesAt(at, past.ID, delayed.ID, command.ID)
}

func (s *suite) publishAt(at time.Time, events ...tidings.Event) {
	s.Helper()
	ctx, cancel := s.patience()
	defer cancel()
	s.must("publish at", s.client.PublishAt(ctx, at, events...))
}

// within is a delay that a capability allows.
func (s *suite) within(d, longest time.Duration) time.Duration { return min(d, longest) }

// comesAt wants one event at once, and the others not before a time.
func (r *reader) comesAt(at time.Time, now string, then ...string) {
	r.s.Helper()
	want := map[string]bool{}
	for _, id := range then {
		want[id] = true
	}
	for range len(then) + 1 {
		d := r.next(1)[0]
		r.ack(d)
		switch early := until(at, time.Now()); {
		case d.ID != now && !want[d.ID]:
			r.s.Errorf("%s came, which should not", d.ID)
		case d.ID != now && early > 0:
			r.s.Errorf("%s came %s before its time", d.ID, early)
		}
		delete(want, d.ID)
	}
	if len(want) > 0 {
		r.s.Errorf("%d did not come", len(want))
	}
}

// until is how long it is from now to at: by the clock on the wall, which is what brokers and
// their clients have in common, or by that of this process where it says less. The two part by
// fractions of a millisecond while the wall's is being set.
func until(at, now time.Time) time.Duration {
	return min(at.Sub(now), at.Round(0).Sub(now.Round(0)))
}

func refusesWhatItLacks(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	ctx, cancel := s.patience()
	defer cancel()
	refused := func(what string, err error) {
		if !errors.Is(err, tidings.ErrUnsupported) {
			s.Errorf("%s: got %v, want %v", what, err, tidings.ErrUnsupported)
		}
	}
	sub := tidings.Subscription{Group: group, Topics: []string{topic}}
	if earliest := sub; !s.caps.Replay {
		earliest.From = tidings.Earliest
		_, err := s.client.Subscribe(ctx, earliest)
		refused("earliest without Replay", err)
	}
	if temporary := sub; !s.caps.Temporary {
		temporary.Temporary = true
		_, err := s.client.Subscribe(ctx, temporary)
		refused("a temporary group without Temporary", err)
	}
	if s.caps.MaxSchedule < tidings.Forever {
		at := time.Now().Add(s.caps.MaxSchedule + time.Minute)
		refused("PublishAt beyond MaxSchedule", s.client.PublishAt(ctx, at, s.event(topic, "")))
	}
	if s.caps.MaxDelay < tidings.Forever {
		r := s.subscribe(group, topic)
		s.publish(s.event(topic, ""))
		d := r.next(1)[0]
		refused("Nack beyond MaxDelay", d.Nack(ctx, s.caps.MaxDelay+time.Minute))
		r.ack(d)
	}
}
