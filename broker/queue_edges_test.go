package broker

import (
	"testing"
	"testing/synctest"
)

// inBubble runs a test of queues where time is faked and nothing goes on beside it
// after synctest.Wait.
func inBubble(t *testing.T, spec QueueSpec, do func(t *testing.T, p *pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, spec)
		do(t, p)
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRecordCountsAsReadyUntilItIsTaken, and as leased from then on, never as both.
func TestRecordCountsAsReadyUntilItIsTaken(t *testing.T) {
	inBubble(t, QueueSpec{Durable: true}, func(t *testing.T, p *pool) {
		c := p.subscribe(SubscribeOptions{})
		p.publish("a", "b")
		synctest.Wait()
		if s := p.q.Stats(); s.Ready != 2 || s.Leased != 0 {
			t.Errorf("assigned: %+v", s)
		}
		c.take(2)
		if s := p.q.Stats(); s.Ready != 0 || s.Leased != 2 {
			t.Errorf("taken: %+v", s)
		}
	})
}

// TestRedeliveriesAreCountedOnce, when they happen, also those of Get.
func TestRedeliveriesAreCountedOnce(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	p.publish("a")
	c := p.subscribe(SubscribeOptions{})
	c.settle(Requeue, c.take(1)...)
	c.settle(Requeue, c.take(1)...)
	c.s.Close()
	if _, ok, err := p.q.Get(ctx, nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if n := p.q.Stats().Counts; n.Delivered != 3 || n.Redelivered != 2 {
		t.Errorf("got %+v, want 3 deliveries, 2 of them again", n)
	}
}
