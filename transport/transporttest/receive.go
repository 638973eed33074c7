package transporttest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
)

func equalKeysStayInOrder(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	events := s.several(topic, 200, 10)
	s.publish(events[:150]...)
	for _, e := range events[150:] {
		s.publish(e)
	}
	came := s.gather(events, r)
	s.inOrderByKey(events, came)
	if s.caps.Order == tidings.OrderQueue && !slices.Equal(ids(came), eventIDs(events)) {
		s.Errorf("order of the queue\ngot  %v\nwant %v", ids(came), eventIDs(events))
	}
}

func inOrderAmongConsumers(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	first := s.subscribe(group, topic)
	second := s.another(group, topic)
	warm := s.several(topic, 20, 10)
	s.publish(warm...)
	s.gather(warm, first, second)

	events := s.several(topic, 300, 10)
	s.publish(events...)
	s.inOrderByKey(events, s.gather(events, first, second))
}

// inOrderByKey wants what came for the first time to be in order within its key.
func (s *suite) inOrderByKey(events []tidings.Event, came []*tidings.Delivery) {
	s.Helper()
	place := map[string]int{}
	for i, e := range events {
		place[e.ID] = i
	}
	last, seen := map[string]int{}, map[string]bool{}
	for _, d := range came {
		if seen[d.ID] {
			continue
		}
		seen[d.ID] = true
		if place[d.ID] < last[d.Key] {
			s.Errorf("key %s: %s came after %s", d.Key, d.ID, events[last[d.Key]].ID)
		}
		last[d.Key] = place[d.ID]
	}
}

func positionsAscend(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	events := s.several(topic, 100, 20)
	s.publish(events...)
	last := map[string]int64{}
	for _, d := range s.gather(events, r) {
		before, known := last[d.Lane]
		if d.Lane == "" || d.Offset < 0 || known && d.Offset <= before {
			s.Fatalf("%s is at offset %d of lane %q, the one before at %d", d.ID, d.Offset, d.Lane, before)
		}
		last[d.Lane] = d.Offset
	}
}

func receiveHonoursMax(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	events := s.several(topic, 20, 20)
	s.publish(events...)
	ctx, cancel := s.patience()
	defer cancel()
	for got := 0; got < len(events); {
		ds, err := r.Receive(ctx, 3)
		s.must("receive", err)
		if len(ds) < 1 || len(ds) > 3 {
			s.Fatalf("received %d events, want 1 to 3", len(ds))
		}
		got += len(ds)
		r.ack(ds...)
	}
}

func windowBoundsWhatIsHeld(s *suite) {
	topic := s.name("orders")
	r := s.read(s.client, tidings.Subscription{Group: s.name("billing"), Topics: []string{topic},
		Window: 3})
	events := s.several(topic, 10, 10)
	s.publish(events...)
	held := r.next(3)
	ctx, cancel := context.WithTimeout(s.Context(), s.h.Quiet)
	defer cancel()
	if more, _ := r.Receive(ctx, 10); len(more) > 0 {
		s.Fatalf("with a window of 3 it got %d events more", len(more))
	}
	r.ack(held[0])
	r.commit()
	held = append(held, r.next(1)...)
	r.ack(held[1:]...)
	s.gather(slices.DeleteFunc(events, func(e tidings.Event) bool {
		return slices.Contains(ids(held), e.ID)
	}), r)
}

func receiveEndsWithItsContext(s *suite) {
	topic := s.name("orders")
	r := s.subscribe(s.name("billing"), topic)
	ctx, cancel := context.WithCancel(s.Context())
	received := make(chan error, 1)
	go func() {
		_, err := r.Receive(ctx, 1)
		received <- err
	}()
	pause(s.Context(), s.h.Quiet/5)
	cancel()
	if err := s.await(received); !errors.Is(err, context.Canceled) {
		s.Errorf("got %v, want %v", err, context.Canceled)
	}
	// The consumer goes on.
	e := s.event(topic, "")
	s.publish(e)
	r.exactly(e)
}

func (s *suite) await(ended <-chan error) error {
	s.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(s.h.Patience):
		s.Fatal("it did not end")
		return nil
	}
}

func receiveAfterCloseIsErrClosed(s *suite) {
	r := s.subscribe(s.name("billing"), s.name("orders"))
	received := make(chan error, 1)
	go func() {
		_, err := r.Receive(s.Context(), 1)
		received <- err
	}()
	pause(s.Context(), s.h.Quiet/5)
	s.must("close", r.end())
	if err := s.await(received); !errors.Is(err, tidings.ErrClosed) {
		s.Errorf("receive during close: got %v, want %v", err, tidings.ErrClosed)
	}
	ctx, cancel := s.patience()
	defer cancel()
	if _, err := r.Receive(ctx, 1); !errors.Is(err, tidings.ErrClosed) {
		s.Errorf("receive after close: got %v, want %v", err, tidings.ErrClosed)
	}
}

// Publishers, consumers and those who settle work side by side; the race detector sees the rest.
func sideBySide(s *suite) {
	topic, group := s.name("orders"), s.name("billing")
	readers := []*reader{s.subscribe(group, topic), s.subscribe(group, topic), s.another(group, topic)}
	events := s.several(topic, 200, 20)
	var publishers sync.WaitGroup
	for part := range slices.Chunk(events, 50) {
		publishers.Go(func() { s.publishEach(part) })
	}
	s.gather(events, readers...)
	publishers.Wait()
}

func (s *suite) publishEach(events []tidings.Event) {
	ctx, cancel := s.patience()
	defer cancel()
	for _, e := range events {
		if err := s.client.Publish(ctx, e); err != nil {
			s.Errorf("publish %s: %v", e.ID, err)
		}
	}
}
