package transporttest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

func everyGroupGetsEachEvent(s *suite) {
	topic := s.name("orders")
	billing, shipping := s.subscribe(s.name("billing"), topic), s.subscribe(s.name("shipping"), topic)
	events := s.several(topic, 10, 3)
	s.publish(events...)
	billing.exactly(events...)
	shipping.exactly(events...)
}

// Consumers may move lanes among each other for a while after one of them came, so that some
// events come twice; but not for ever.
func consumersOfAGroupShare(s *suite) {
	const rounds = 5
	topic, group := s.name("orders"), s.name("billing")
	first := s.subscribe(group, topic)
	second := s.another(group, topic)
	for range rounds {
		events := s.several(topic, 40, 40)
		s.publish(events...)
		came := s.gather(events, first, second)
		if len(came) == len(events) {
			return
		}
		s.Logf("%d events came %d times", len(events), len(came))
	}
	s.Errorf("in each of %d rounds some events went to more than one consumer", rounds)
}

func topicsCanBeAdded(s *suite) {
	orders, payments, group := s.name("orders"), s.name("payments"), s.name("billing")
	s.must("close", s.subscribe(group, orders).end())
	r := s.subscribe(group, orders, payments)
	events := []tidings.Event{s.event(orders, "a"), s.event(payments, "a")}
	s.publish(events...)
	r.exactly(events...)
}

func latestBeginsWithTheDeclaration(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	s.publish(s.several(topic, 3, 3)...)
	s.declare(tidings.Subscription{Group: group, Topics: []string{topic}})
	events := s.several(topic, 3, 3)
	s.publish(events[:2]...)
	s.declare(tidings.Subscription{Group: group, Topics: []string{topic}})
	s.publish(events[2])
	s.subscribe(group, topic).exactly(events...)
}

func (s *suite) declare(sub tidings.Subscription) {
	s.Helper()
	ctx, cancel := s.patience()
	defer cancel()
	s.must("declare "+sub.Group, s.client.Declare(ctx, sub))
}

func earliestReadsThePast(s *suite) {
	topic := s.name("orders")
	past := s.several(topic, 5, 3)
	s.publish(past...)
	sub := tidings.Subscription{Group: s.name("audit"), Topics: []string{topic},
		From: tidings.Earliest}
	r := s.read(s.client, sub)
	r.exactly(past...)
	// From is for a group without a past.
	s.must("close", r.end())
	s.read(s.client, sub).nothing("the group has had all events")
}

func commandsReachTheirGroupOnly(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	billing, shipping := s.subscribe(group, topic), s.subscribe(s.name("shipping"), topic)
	pure := s.subscribe(s.name("payments"))
	toBilling, toPayments := s.command(group), s.command(s.name("payments"))
	s.publish(toBilling, toPayments)
	billing.exactly(toBilling)
	pure.exactly(toPayments)
	shipping.nothing("no command was sent to shipping")
}

func commandsWaitForTheirGroup(s *suite) {
	group := s.name("billing")
	early := s.command(group)
	s.publish(early)
	r := s.subscribe(group, s.name("orders"))
	r.exactly(early)
	s.must("close", r.end())
	late := s.command(group)
	s.publish(late)
	s.subscribe(group, s.name("orders")).exactly(late)
}

// Redrive and delayed retry send events to the address of one group.
func addressesGiveTheTopicBack(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	billing, shipping := s.subscribe(group, topic), s.subscribe(s.name("shipping"), topic)
	want := s.event(topic, "k")
	want.Extensions = map[string]string{"tenant": "t1"}
	sent := want
	sent.Kind, sent.Topic = tidings.KindCommand, group
	sent.Extensions = map[string]string{"tenant": "t1",
		tidings.ExtOriginTopic: topic, tidings.ExtAttempt: "3"}
	s.publish(sent)
	d := billing.next(1)[0]
	s.same(d.Event, want)
	if d.Attempt != 4 {
		s.Errorf("attempt: got %d, want 4, after 3 that were counted", d.Attempt)
	}
	billing.ack(d)
	shipping.nothing("the event was for billing alone")
}

func repliesNeedAnAddress(s *suite) {
	ctx, cancel := s.patience()
	defer cancel()
	reply := s.command(s.name("nobody"))
	reply.Kind = tidings.KindReply
	err := s.client.Publish(ctx, reply)
	if !errors.Is(err, tidings.ErrUnroutable) {
		s.Errorf("reply to nobody: got %v, want %v", err, tidings.ErrUnroutable)
	}
	s.failed(err, 0)

	r := s.subscribe(s.name("answers"))
	reply = s.command(s.name("answers"))
	reply.Kind = tidings.KindReply
	s.publish(reply)
	d := r.next(1)[0]
	s.same(d.Event, reply)
	r.ack(d)
}

// failed wants a *tidings.PublishError about some events.
func (s *suite) failed(err error, want ...int) {
	s.Helper()
	e, ok := errors.AsType[*tidings.PublishError](err)
	if !ok {
		s.Fatalf("got %v, want a *tidings.PublishError", err)
	}
	if !slices.Equal(e.Failed, want) {
		s.Errorf("failed events: got %v, want %v", e.Failed, want)
	}
}

func temporaryGroupsVanish(s *suite) {
	topic := s.name("orders")
	sub := tidings.Subscription{Group: s.name("answers"), Topics: []string{topic}, Temporary: true}
	r := s.read(s.client, sub)
	reply := s.command(sub.Group)
	reply.Kind = tidings.KindReply
	event := s.event(topic, "")
	s.publish(reply, event)
	r.exactly(reply, event)

	s.must("close", r.end())
	s.eventuallyUnroutable(sub.Group)
	s.publish(s.event(topic, ""))
	s.read(s.client, sub).nothing("the group was gone when the event came")
}

// eventuallyUnroutable: a broker may take its time to see that a consumer has gone.
func (s *suite) eventuallyUnroutable(address string) {
	s.Helper()
	ctx, cancel := s.patience()
	defer cancel()
	for {
		reply := s.command(address)
		reply.Kind = tidings.KindReply
		err := s.client.Publish(ctx, reply)
		if errors.Is(err, tidings.ErrUnroutable) {
			return
		}
		if err != nil || !pause(ctx, s.h.Quiet/5) {
			s.Fatalf("reply to a temporary group that was closed: got %v, want %v",
				err, tidings.ErrUnroutable)
		}
	}
}

// pause lets a broker that cannot tell have some time.
func pause(ctx context.Context, d time.Duration) (more bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
