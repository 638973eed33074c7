package broker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func ptr[T any](v T) *T { return &v }

// deadEnd declares a queue that gets the dead letters of the exchange "dead".
func (p *pool) deadEnd() *pool {
	p.t.Helper()
	ctx := context.Background()
	dead := &pool{t: p.t, b: p.b, fs: p.fs}
	dead.declare(QueueSpec{Name: "dead", Durable: true})
	_, _, err := p.b.DeclareExchange(ctx, ExchangeSpec{Name: "dlx", Type: "fanout", Durable: true})
	if err == nil {
		err = p.b.Bind(ctx, Binding{Source: "dlx", Destination: dead.q.Name()})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return dead
}

// waitReady lets everything that is under way in the bubble happen.
func (p *pool) waitReady(n int64) {
	p.t.Helper()
	synctest.Wait()
	p.wantReady("when all is done", n)
}

func TestRejectedRecordsGoToTheDeadLetterExchange(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{DeadLetters: true, DeadLetterTo: "dlx"}})
	dead := p.deadEnd()
	p.publish("a", "b")
	c := p.subscribe(SubscribeOptions{})
	ds := c.take(2)
	c.settle(Reject, ds[0])
	c.settle(Accept, ds[1])
	got := dead.subscribe(SubscribeOptions{}).take(1)
	if bodies(got) != "a" || len(got[0].Record.Deaths) != 1 {
		t.Fatalf("got %+v", got)
	}
	d := got[0].Record.Deaths[0]
	if d.Queue != "jobs" || d.Reason != Rejected || d.Count != 1 || d.Exchange != "" || d.Keys[0] != "jobs" {
		t.Errorf("got %+v", d)
	}
}

// TestExpiredRecordsLeaveTheHeadByThemselves, whether or not anybody looks.
func TestExpiredRecordsLeaveTheHeadByThemselves(t *testing.T) {
	for name, spec := range bothKinds {
		synctest.Test(t, func(t *testing.T) {
			spec.Settings = QueueSettings{TTL: ptr(time.Second), DeadLetters: true, DeadLetterTo: "dlx"}
			p := newPool(t, spec)
			dead := p.deadEnd()
			p.publish("a", "b")
			time.Sleep(900 * time.Millisecond)
			p.publish("c")
			if n := p.q.Stats().Ready; n != 3 {
				t.Errorf("%s: %d ready before their time", name, n)
			}
			time.Sleep(200 * time.Millisecond)
			if n := p.q.Stats().Ready; n != 1 {
				t.Errorf("%s: %d ready, want c", name, n)
			}
			if got := bodies(dead.subscribe(SubscribeOptions{}).take(2)); got != "a b" {
				t.Errorf("%s: dead are %q", name, got)
			}
			if err := p.b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEveryRecordExpires, also one that comes while others are just being buried.
func TestEveryRecordExpires(t *testing.T) {
	for _, spec := range bothKinds {
		spec.Settings = QueueSettings{TTL: ptr(time.Millisecond)}
		inBubble(t, spec, func(t *testing.T, p *pool) {
			for i := range 200 {
				p.publish("x")
				time.Sleep(time.Duration(i%5) * time.Millisecond / 2)
			}
			time.Sleep(time.Millisecond)
			p.waitReady(0)
		})
	}
}

// TestRecordWithoutTimeToLiveIsDeliveredToWhoWaits, and to nobody else.
func TestRecordWithoutTimeToLiveIsDeliveredToWhoWaits(t *testing.T) {
	settings := QueueSettings{TTL: ptr(time.Duration(0))}
	inBubble(t, QueueSpec{Durable: true, Settings: settings}, func(t *testing.T, p *pool) {
		c := p.subscribe(SubscribeOptions{})
		p.publish("now")
		if got := bodies(c.take(1)); got != "now" {
			t.Errorf("got %q", got)
		}
		c.s.Close()
		p.publish("later")
		p.waitReady(0)
	})
}

func TestFullQueueDropsItsHead(t *testing.T) {
	settings := QueueSettings{MaxLength: ptr[int64](2), DeadLetters: true, DeadLetterTo: "dlx"}
	inBubble(t, QueueSpec{Durable: true, Settings: settings}, func(t *testing.T, p *pool) {
		dead := p.deadEnd()
		p.publish("a", "b", "c", "d")
		p.waitReady(2)
		if got := bodies(dead.subscribe(SubscribeOptions{}).take(2)); got != "a b" {
			t.Errorf("dropped %q, want the head", got)
		}
	})
}

func TestFullQueueRefuses(t *testing.T) {
	p := newPool(t, QueueSpec{Name: "strict", Durable: true,
		Settings: QueueSettings{MaxLength: ptr[int64](1), Overflow: RejectPublish}})
	x, _ := p.b.Exchange("", "")
	for i, want := range []bool{false, true} {
		tx := p.b.Begin()
		n := tx.Publish(x, QueueRecord{Key: "strict"})
		if _, err := tx.Commit(context.Background()); err != nil || tx.Routed(n).Refused != want {
			t.Errorf("publish %d: refused %v, %v", i, tx.Routed(n).Refused, err)
		}
	}
}

// TestFullQueueDeadLettersWhatItRefuses, if it is to, and its publisher hears of both.
func TestFullQueueDeadLettersWhatItRefuses(t *testing.T) {
	settings := QueueSettings{MaxLength: ptr[int64](1), Overflow: RejectDeadLetter,
		DeadLetters: true, DeadLetterTo: "dlx"}
	p := newPool(t, QueueSpec{Durable: true, Settings: settings})
	dead := p.deadEnd()
	p.publish("a", "b")
	p.publish("c")
	ds := dead.subscribe(SubscribeOptions{}).take(2)
	if got := bodies(ds); got != "b c" {
		t.Errorf("dead are %q", got)
	}
	if d := ds[0].Record.Deaths; len(d) != 1 || d[0].Reason != MaxLength || d[0].Queue != "jobs" {
		t.Errorf("got %+v", d)
	}
	if n := p.q.Stats().Ready; n != 1 {
		t.Errorf("%d ready, want a", n)
	}
}

// TestDeliveryLimitHoldsOverARestart: a record that makes its consumer fail each
// time ends up with the dead letters.
func TestDeliveryLimitHoldsOverARestart(t *testing.T) {
	spec := QueueSpec{Durable: true,
		Settings: QueueSettings{DeliveryLimit: ptr[int64](2), DeadLetters: true, DeadLetterTo: "dlx"}}
	p := newPool(t, spec)
	p.deadEnd()
	p.publish("poison")
	for range 2 {
		c := p.subscribe(SubscribeOptions{})
		c.settle(Requeue, c.take(1)...)
		c.s.Close()
	}
	p.restart()
	p.declare(spec)
	c := p.subscribe(SubscribeOptions{})
	ds := c.take(1)
	if got := bodies(ds); got != "poison**" {
		t.Errorf("got %q", got)
	}
	c.settle(Requeue, ds...)
	dead := &pool{t: t, b: p.b}
	dead.declare(QueueSpec{Name: "dead", Durable: true})
	got := dead.subscribe(SubscribeOptions{}).take(1)
	if d := got[0].Record.Deaths; len(d) != 1 || d[0].Reason != DeliveryLimit {
		t.Errorf("got %+v", d)
	}
}

func TestHigherPrioritiesGoFirst(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{MaxPriority: 5}})
	x, _ := p.b.Exchange("", "")
	tx := p.b.Begin()
	for i, priority := range []uint8{0, 3, 9, 3, 5} {
		tx.Publish(x, QueueRecord{Key: "jobs", Priority: priority, Body: []byte{'a' + byte(i)}})
	}
	c, err := tx.Commit(context.Background())
	if err != nil || c.Wait(context.Background()) != nil {
		t.Fatal(err)
	}
	s := p.subscribe(SubscribeOptions{})
	var got []Delivery
	for len(got) < 5 {
		got = append(got, s.take(1)...)
	}
	if got := bodies(got); got != "c e b d a" {
		t.Errorf("got %q", got)
	}
}

func TestOneSubscriptionIsActiveAtATime(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{SingleActive: true}})
	first, second := p.subscribe(SubscribeOptions{}), p.subscribe(SubscribeOptions{})
	p.publish("a", "b")
	if got := bodies(first.take(2)); got != "a b" {
		t.Errorf("the first got %q", got)
	}
	first.s.Close()
	p.publish("c")
	if got := bodies(second.take(1)); got != "c" {
		t.Errorf("the second got %q", got)
	}
}

// A subscription that is stopped gets nothing more and keeps its place, so that what it had goes back
// before the next one begins.
func TestAStoppedSubscriptionKeepsItsPlaceUntilItIsClosed(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{SingleActive: true}})
	first, second := p.subscribe(SubscribeOptions{}), p.subscribe(SubscribeOptions{})
	p.publish("a", "b", "c")
	had := first.take(1)
	first.s.Stop()
	p.publish("d")
	for name, s := range map[string]*Subscription{"first": first.s, "second": second.s} {
		if ds, err := s.Take(nil, 10); len(ds) > 0 || err != nil {
			t.Fatalf("the %s got %q, %v before the first was closed", name, bodies(ds), err)
		}
	}
	first.settle(Requeue, had...)
	first.s.Close()
	if got := bodies(second.take(4)); got != "a* b c d" {
		t.Errorf("the second got %q", got)
	}
}

func TestQueueThatNobodyUsesExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Expires: time.Minute}})
		c := p.subscribe(SubscribeOptions{})
		time.Sleep(time.Hour)
		c.s.Close()
		time.Sleep(50 * time.Second)
		p.declare(QueueSpec{Durable: true}) // is use
		time.Sleep(50 * time.Second)
		if _, err := p.b.Queue("", "jobs"); err != nil {
			t.Error(err)
		}
		time.Sleep(11 * time.Second)
		if _, err := p.b.Queue("", "jobs"); !errors.Is(err, NotFound) {
			t.Errorf("it is still there: %v", err)
		}
		if err := p.b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestPurgedAndDeletedRecordsStayGone(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	p.publish(numbered(3000)...)
	c := p.subscribe(SubscribeOptions{})
	c.take(1)
	if n, err := p.q.Purge(context.Background(), nil); n != 2999 || err != nil {
		t.Fatalf("purged %d, %v", n, err)
	}
	p.publish("new")
	if got := bodies(c.take(1)); got != "new" {
		t.Errorf("got %q", got)
	}
	p.restart()
	p.declare(QueueSpec{Durable: true})
	if got := bodies(p.subscribe(SubscribeOptions{}).take(2)); got != "0* new*" {
		t.Errorf("after a restart: %q", got)
	}
	if _, err := p.b.DeleteQueue(context.Background(), p.q, DeleteOptions{IfUnused: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want %v", err, ErrInUse)
	}
	if n, err := p.b.DeleteQueue(context.Background(), p.q, DeleteOptions{}); err != nil || n != 0 {
		t.Errorf("deleted with %d ready, %v", n, err)
	}
	p.restart()
	if _, err := p.b.Queue("", "jobs"); !errors.Is(err, NotFound) {
		t.Errorf("it came back: %v", err)
	}
}
