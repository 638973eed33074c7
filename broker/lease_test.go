package broker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// receive takes what is ready, for a minute.
func (p *pool) receive(max int) []Delivery { return p.receiveFor(max, time.Minute) }

func (p *pool) receiveFor(max int, lease time.Duration) []Delivery {
	p.t.Helper()
	ds, err := p.q.Receive(ctx, ReceiveOptions{Max: max, Lease: lease})
	if err != nil {
		p.t.Fatal(err)
	}
	return ds
}

func (p *pool) discard(ds ...Delivery) {
	p.t.Helper()
	tx := p.b.Begin()
	for i := range ds {
		tx.Discard(p.q, ds[i].ID)
	}
	mustCommit(p.t, tx)
}

// wantReceived compares what the next Receive gives: "a a2" is a for the first time and a
// for the second.
func (p *pool) wantReceived(what string, ds []Delivery, want string) {
	p.t.Helper()
	got := ""
	for i := range ds {
		got += string(ds[i].Record.Body)
		if n := ds[i].Receives; n != 1 {
			got += fmt.Sprint(n)
		}
		got += " "
	}
	if got != want {
		p.t.Errorf("%s: received %q, want %q", what, got, want)
	}
}

func (p *pool) wantStats(what string, ready, leased, delayed int64) {
	p.t.Helper()
	s := p.q.Stats()
	if got, want := [3]int64{s.Ready, s.Leased, s.Delayed}, [3]int64{ready, leased, delayed}; got != want {
		p.t.Errorf("%s: ready, leased, delayed are %v, want %v", what, got, want)
	}
}

// leaseTest plays with both kinds of queues, while time stands until it is let pass.
func leaseTest(t *testing.T, s QueueSettings, play func(p *pool)) {
	for name, spec := range bothKinds {
		spec.Settings = s
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, spec)
				play(p)
				if err := p.b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestLeaseThatEndsPutsTheRecordBack at its place, redelivered.
func TestLeaseThatEndsPutsTheRecordBack(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b", "c")
		first := time.Now()
		p.wantReceived("first", p.receive(2), "a b ")
		p.wantReceived("the rest", p.receiveFor(2, 2*time.Minute), "c ")
		p.wantReceived("nothing", p.receive(2), "")
		p.wantStats("leased", 0, 3, 0)
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		p.wantStats("just before", 0, 3, 0)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		p.wantStats("after a minute", 2, 1, 0)
		p.publish("d")
		ds := p.receive(10)
		p.wantReceived("again", ds, "a2 b2 d ")
		if got := ds[0].FirstReceive; !got.Equal(first.Truncate(time.Millisecond)) {
			p.t.Errorf("received first at %v, want %v", got, first)
		}
		if d := ds[0]; d.Deliveries != 1 || d.ID.Receive != 2 {
			p.t.Errorf("it was delivered %d times before, and this is number %d", d.Deliveries, d.ID.Receive)
		}
	})
}

// TestExtendSetsWhenALeaseEnds, from now, and 0 gives the record back at once.
func TestExtendSetsWhenALeaseEnds(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b")
		ds := p.receive(2)
		time.Sleep(30 * time.Second)
		if err := p.q.Extend(ds[0].ID, time.Minute); err != nil {
			p.t.Error(err)
		}
		if err := p.q.Extend(ds[1].ID, 0); err != nil {
			p.t.Error(err)
		}
		again := p.receive(2)
		p.wantReceived("given back", again, "b2 ")
		time.Sleep(59 * time.Second)
		p.wantStats("extended", 0, 2, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		p.wantStats("ended", 2, 0, 0)
		for what, err := range map[string]error{"ended": p.q.Extend(ds[0].ID, time.Minute),
			"old": p.q.Extend(ds[1].ID, time.Minute), "never": p.q.Extend(DeliveryID{ds[0].ID.Log, 77, 1}, 0)} {
			wantKind(p.t, what, err, NotFound)
			if !errors.Is(err, ErrNotLeased) {
				p.t.Errorf("%s: got %v, want ErrNotLeased", what, err)
			}
		}
		wantKind(p.t, "less than nothing", p.q.Extend(ds[0].ID, -1), Invalid)
	})
}

// TestOldIdDiscardsAndDoesNotExtend, whoever has the record now, or if it waits again.
// Discarding twice is no error.
func TestOldIdDiscardsAndDoesNotExtend(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b", "c", "d")
		old := p.receiveFor(4, time.Second)
		time.Sleep(time.Second)
		now := p.receive(1)
		p.wantReceived("again", now, "a2 ")
		wantKind(p.t, "extend", p.q.Extend(old[0].ID, time.Minute), NotFound)
		p.discard(old[0], old[2], old[2])
		p.discard(old[2], now[0])
		p.wantStats("a and c are gone", 2, 0, 0)
		for i, want := range []bool{true, false, true, false} {
			err := p.q.Extend(old[i].ID, time.Minute)
			if wantKind(p.t, "extend", err, NotFound); errors.Is(err, ErrSettled) != want || !errors.Is(err, ErrNotLeased) {
				p.t.Errorf("extend of %s: %v, want it settled: %v", old[i].Record.Body, err, want)
			}
		}
		p.wantReceived("the others", p.receive(4), "b2 d2 ")
		if n := p.q.Stats().Counts.Accepted; n != 2 {
			p.t.Errorf("%d are accepted, want 2", n)
		}
	})
}

// TestDiscardWhileAConsumerHasTheRecord: what becomes of it there is nothing to the queue.
func TestDiscardWhileAConsumerHasTheRecord(t *testing.T) {
	leaseTest(t, QueueSettings{MaxLengthBytes: ptr[int64](1000)}, func(p *pool) {
		p.publish("a", "b", "c", "d", "e")
		old := p.receiveFor(5, time.Second)
		time.Sleep(time.Second)
		var credit Credit
		credit.SetLimit(4)
		c := p.subscribe(SubscribeOptions{Credits: []*Credit{&credit}})
		taken := c.take(2) // a and b; c and d are assigned, and e waits
		p.discard(old...)
		p.wantStats("all are discarded", 2, 2, 0) // those that the subscription has count until they come back
		c.settle(Accept, taken[0])
		c.settle(Requeue, taken[1])
		if ds, err := c.s.Take(nil, 10); err != nil || len(ds) > 2 {
			p.t.Errorf("took %d, %v", len(ds), err)
		} else {
			c.settle(Reject, ds...)
		}
		c.s.Close()
		p.wantStats("nothing comes back", 0, 0, 0)
		p.q.mu.Lock()
		if n := p.q.sizes.ready; n != 0 || p.q.lanes[0].received != nil {
			p.t.Errorf("%d bytes count, and received are %v", n, p.q.lanes[0].received)
		}
		p.q.mu.Unlock()
	})
}

// TestDiscardOnTheWayToAReceiver: it does not get the record.
func TestDiscardOnTheWayToAReceiver(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b")
		old := p.receiveFor(1, time.Second)
		time.Sleep(time.Second)
		r := &receiver{max: 10, ready: make(chan struct{}, 1)}
		if err := p.q.await(ctx, r); err != nil || len(r.taken) != 2 {
			p.t.Fatalf("%d, %v", len(r.taken), err)
		}
		p.discard(old...)
		ds, err := p.q.receive(ctx, r, time.Minute)
		p.wantReceived("on its way", ds, "b ")
		p.wantStats("leased", 0, 1, 0)
		p.discard(ds...)
		p.wantNothingLeft("the end")
		for key := range p.b.store.Scan([]byte{familyDeliveries}) {
			p.t.Errorf("key %x is left over, %v", key, err)
		}
	})
}

// TestWhatWasReceivedCanBeSettled while the lease holds.
func TestWhatWasReceivedCanBeSettled(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b", "c")
		ds := p.receive(3)
		settle(p.t, p.q, nil, Accept, ds[0])
		settle(p.t, p.q, nil, Reject, ds[1])
		settle(p.t, p.q, nil, Requeue, ds[2])
		p.wantStats("settled", 1, 0, 0)
		time.Sleep(time.Hour)
		p.wantReceived("requeued", p.receive(3), "c2 ")
	})
}

// TestReceiversLiveWithSubscriptions: a lease without a deadline beside one with.
func TestReceiversLiveWithSubscriptions(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b", "c")
		p.wantReceived("first", p.receive(1), "a ")
		got, _, err := p.q.Get(ctx, nil)
		if err != nil || string(got.Record.Body) != "b" {
			p.t.Fatalf("got %s, %v", got.Record.Body, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		p.wantStats("only one lease ends", 2, 1, 0)
		settle(p.t, p.q, nil, Requeue, got)
		p.wantReceived("all", p.receive(3), "a2 b c ")
	})
}

// TestReceiverWaitsForTheFirst: it is woken by a publish, by the end of a lease, by Requeue,
// and by a record whose delay ends.
func TestReceiverWaitsForTheFirst(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		await := func(what, want string, after time.Duration, wake func()) {
			p.t.Helper()
			got, began := make(chan []Delivery, 1), time.Now()
			go func() {
				ds, err := p.q.Receive(ctx, ReceiveOptions{Max: 10, Lease: time.Minute, Wait: 2 * time.Minute})
				if err != nil {
					p.t.Error(err)
				}
				got <- ds
			}()
			synctest.Wait()
			wake()
			ds := <-got
			p.wantReceived(what, ds, want)
			if d := time.Since(began); d != after {
				p.t.Errorf("%s: it took %v, want %v", what, d, after)
			}
		}
		await("time is over", "", 2*time.Minute, func() {})
		await("publish", "a b ", 0, func() { p.publish("a", "b") })
		await("end of a lease", "a2 b2 ", time.Minute, func() {})
		time.Sleep(time.Minute)
		ds := p.receiveFor(2, time.Hour)
		p.wantReceived("ended", ds, "a3 b3 ")
		await("extend", "a4 ", 0, func() { _ = p.q.Extend(ds[0].ID, 0) })
		tx := p.b.Begin()
		x, _ := p.b.Exchange("", "")
		tx.Publish(x, QueueRecord{Key: "jobs", Body: []byte("late"), Delay: ptr(30 * time.Second)})
		mustCommit(p.t, tx)
		p.wantStats("delayed", 0, 2, 1)
		await("end of a delay", "late ", 30*time.Second, func() {})
		p.publish("x")
		taken, _, err := p.q.Get(ctx, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		await("requeue", "x ", 0, func() { settle(p.t, p.q, nil, Requeue, taken) })
	})
}

// TestReceiversAreServedInTurn.
func TestReceiversAreServedInTurn(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		type answer struct {
			who  int
			body string
		}
		answers := make(chan answer, 3)
		for who := range 3 {
			go func() {
				ds, err := p.q.Receive(ctx, ReceiveOptions{Max: 1, Lease: time.Minute, Wait: time.Minute})
				if err != nil || len(ds) != 1 {
					p.t.Errorf("%d received %d, %v", who, len(ds), err)
					return
				}
				answers <- answer{who, string(ds[0].Record.Body)}
			}()
			synctest.Wait()
		}
		p.publish("0")
		p.publish("1", "2")
		for range 3 {
			if a := <-answers; a.body != fmt.Sprint(a.who) {
				p.t.Errorf("%d received %s", a.who, a.body)
			}
		}
	})
}

// TestContextThatEndsTakesNothing, also when records were on their way to it.
func TestContextThatEndsTakesNothing(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		for _, late := range []bool{false, true} {
			life, end := context.WithCancel(ctx)
			done := make(chan error, 1)
			go func() {
				_, err := p.q.Receive(life, ReceiveOptions{Max: 10, Lease: time.Minute, Wait: time.Minute})
				done <- err
			}()
			synctest.Wait()
			if late {
				p.q.mu.Lock() // both come while it cannot go on
				end()
				p.q.line[0].taken = nil
				p.q.mu.Unlock()
			} else {
				end()
			}
			if err := <-done; !errors.Is(err, context.Canceled) {
				p.t.Errorf("got %v", err)
			}
			p.publish("a")
			p.wantStats("nobody has it", 1, 0, 0)
			ds := p.receive(1)
			p.wantReceived("it was never received", ds, "a ")
			p.discard(ds...)
		}
		life, end := context.WithCancel(ctx)
		end()
		p.publish("b")
		if _, err := p.q.Receive(life, ReceiveOptions{Max: 1}); !errors.Is(err, context.Canceled) {
			p.t.Errorf("got %v", err)
		}
		// Handed out by the queue, and not yet by Receive.
		r := &receiver{max: 10, ready: make(chan struct{}, 1)}
		if err := p.q.await(ctx, r); err != nil || len(r.taken) != 1 {
			p.t.Fatalf("%d, %v", len(r.taken), err)
		}
		if ds, err := p.q.receive(life, r, time.Minute); len(ds) > 0 || !errors.Is(err, context.Canceled) {
			p.t.Errorf("received %d, %v", len(ds), err)
		}
		p.wantStats("nobody has it", 1, 0, 0)
		p.wantReceived("it was never received", p.receive(1), "b ")
		if n := p.q.receiving; n != 0 {
			p.t.Errorf("%d are on their way", n)
		}
	})
}

// TestDeletionEndsWaits with NotFound, and Close with Closed.
func TestDeletionEndsWaits(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		wait := func() chan error {
			done := make(chan error, 1)
			go func() {
				_, err := p.q.Receive(ctx, ReceiveOptions{Max: 1, Lease: time.Minute, Wait: time.Minute})
				done <- err
			}()
			synctest.Wait()
			return done
		}
		done := wait()
		if _, err := p.b.DeleteQueue(ctx, p.q, DeleteOptions{}); err != nil {
			p.t.Error(err)
		}
		wantKind(p.t, "deleted", <-done, NotFound)
		_, err := p.q.Receive(ctx, ReceiveOptions{Max: 1})
		wantKind(p.t, "gone", err, NotFound)
		p.declare(p.q.spec)
		done = wait()
		if err := p.b.Close(); err != nil {
			p.t.Error(err)
		}
		wantKind(p.t, "closed", <-done, Closed)
	})
}

// TestReceivedTooOftenIsDeadLettered at the next attempt, with the time of its publish, if
// the queue that is to get it is there.
func TestReceivedTooOftenIsDeadLettered(t *testing.T) {
	s := QueueSettings{MaxReceives: ptr[int64](2), DeadLetters: true, DeadLetterKey: ptr("dead")}
	leaseTest(t, s, func(p *pool) {
		sent := time.Now().Truncate(time.Millisecond)
		p.publish("a", "b")
		for _, want := range []string{"a ", "a2 ", "a3 "} { // there is no queue dead
			ds := p.receiveFor(1, time.Second)
			p.wantReceived("from the first queue", ds, want)
			time.Sleep(time.Second)
		}
		jobs := p.q
		p.declare(QueueSpec{Name: "dead", Durable: jobs.spec.Durable})
		dead := p.q
		p.q = jobs
		p.wantReceived("the next", p.receive(1), "b ")
		p.wantStats("one has left", 0, 1, 0)
		p.q = dead
		ds := p.receive(10)
		p.wantReceived("dead letters", ds, "a ")
		if d := ds[0].Record.Deaths[0]; d.Receives != 3 || !d.FirstReceive.Equal(sent) {
			p.t.Errorf("it was received %d times before, first at %v", d.Receives, d.FirstReceive)
		}
		r := ds[0].Record
		if len(r.Deaths) != 1 || r.Deaths[0].Queue != "jobs" || r.Deaths[0].Reason != DeliveryLimit || !r.Time.Equal(sent) {
			p.t.Errorf("it died %+v, and was published at %v", r.Deaths, r.Time)
		}
	})
}

// TestReceiveFailsWhereNothingCanLeave: it does not go on trying.
func TestReceiveFailsWhereNothingCanLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := QueueSettings{MaxReceives: ptr[int64](1), DeadLetters: true, DeadLetterKey: ptr("jobs")}
		p := newPool(t, QueueSpec{Durable: true, Settings: s})
		p.publish("a")
		p.receiveFor(1, time.Second)
		p.fs.CutAfter(0)
		time.Sleep(time.Second)
		synctest.Wait()
		p.publishLost("b")
		_, err := p.q.Receive(ctx, ReceiveOptions{Max: 1})
		wantKind(t, "without a disk", err, Storage)
		_ = p.b.Close()
	})
}

// publishLost publishes what the disk does not take any more, and waits until all know that.
func (p *pool) publishLost(body string) {
	x, _ := p.b.Exchange("", "")
	tx := p.b.Begin()
	tx.Publish(x, QueueRecord{Key: "jobs", Body: []byte(body)})
	if c, err := tx.Commit(ctx); err == nil {
		err = c.Wait(ctx)
		wantKind(p.t, "a publish", err, Storage)
	}
}

// TestDelayedRecordIsNotRefusedWhenItsTimeComes: it was confirmed, and the queue has become full since.
func TestDelayedRecordIsNotRefusedWhenItsTimeComes(t *testing.T) {
	for _, o := range []Overflow{RejectPublish, RejectDeadLetter} {
		leaseTest(t, QueueSettings{MaxLength: ptr[int64](1), Overflow: o}, func(p *pool) {
			p.publishLater(time.Second, "a", "b")
			p.publish("c")
			time.Sleep(time.Second)
			synctest.Wait()
			p.wantReceived("all", p.receive(10), "c a b ")
			p.wantStats("all were taken", 0, 3, 0)
		})
	}
}

// TestDelayedRecordIsNotReadyBefore, by the queue's delay or its own.
func TestDelayedRecordIsNotReadyBefore(t *testing.T) {
	leaseTest(t, QueueSettings{Delay: 10 * time.Second}, func(p *pool) {
		x, _ := p.b.Exchange("", "")
		tx, sent := p.b.Begin(), time.Now().Truncate(time.Millisecond)
		for body, delay := range map[string]*time.Duration{"queue": nil, "own": ptr(time.Second), "none": ptr(time.Duration(0))} {
			tx.Publish(x, QueueRecord{Key: "jobs", Body: []byte(body), Delay: delay})
		}
		mustCommit(p.t, tx)
		synctest.Wait()
		p.wantStats("published", 1, 0, 2)
		p.wantReceived("none", p.receive(9), "none ")
		time.Sleep(time.Second)
		synctest.Wait()
		p.wantReceived("own", p.receive(9), "own ")
		time.Sleep(9*time.Second - time.Millisecond)
		synctest.Wait()
		p.wantReceived("not yet", p.receive(9), "")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		p.wantStats("ready", 1, 2, 0)
		ds := p.receive(9)
		p.wantReceived("queue", ds, "queue ")
		if r := ds[0].Record; !r.Time.Equal(sent) || r.Exchange != "" || r.Key != "jobs" {
			p.t.Errorf("it says %v, %q, %q", r.Time, r.Exchange, r.Key)
		}
		p.publish("gone")
		if _, err := p.b.DeleteQueue(ctx, p.q, DeleteOptions{}); err != nil {
			p.t.Error(err)
		}
		p.declare(p.q.spec)
		time.Sleep(time.Minute)
		p.wantStats("it went with the queue", 0, 0, 0)
	})
}

// TestRetentionLeavesNoDeadLetters, unlike a time to live.
func TestRetentionLeavesNoDeadLetters(t *testing.T) {
	s := QueueSettings{Retention: time.Minute, DeadLetters: true, DeadLetterKey: ptr("dead")}
	leaseTest(t, s, func(p *pool) {
		p.declare(QueueSpec{Name: "dead"})
		dead := p.q
		q, err := p.b.Queue("", "jobs")
		if err != nil {
			p.t.Fatal(err)
		}
		p.q = q
		p.publish("a", "b")
		p.receiveFor(1, 2*time.Minute)
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantStats("b is too old", 0, 1, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantStats("a too when it comes back", 0, 0, 0)
		if n := dead.Stats().Ready; n != 0 {
			p.t.Errorf("%d dead letters", n)
		}
	})
}

// TestDiscardUncoversWhatIsTooOld: it leaves when it comes to the head.
func TestDiscardUncoversWhatIsTooOld(t *testing.T) {
	leaseTest(t, QueueSettings{Retention: 10 * time.Second}, func(p *pool) {
		p.put(QueueRecord{Body: []byte("old"), Delay: ptr(9 * time.Second)})
		time.Sleep(8 * time.Second)
		p.publish("young")
		young := p.receiveFor(1, time.Second)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		p.wantStats("the old one is behind", 2, 0, 0)
		p.discard(young...)
		synctest.Wait()
		p.wantStats("nothing is left", 0, 0, 0)
	})
}

// TestLeasesAreBounded: beyond Limits.Leases Receive is Full.
func TestLeasesAreBounded(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	if err := p.b.Close(); err != nil {
		t.Fatal(err)
	}
	p.b = openOn(t, p.fs, func(c *Config) { c.Limits.Leases = 3 })
	p.declare(QueueSpec{Durable: true})
	p.publish(numbered(5)...)
	ds := p.receive(10)
	p.wantReceived("as many as may be", ds, "0 1 2 ")
	_, err := p.q.Receive(ctx, ReceiveOptions{Max: 1})
	wantKind(t, "beyond", err, Full)
	p.discard(ds[0])
	p.wantReceived("there is room", p.receive(10), "3 ")
}

// TestReceiveCountsSurviveKill and so does until when a record is leased.
func TestReceiveCountsSurviveKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true})
		restart := func() {
			synctest.Wait()
			old := p.b
			p.restart()
			_ = old.Close()
			p.declare(QueueSpec{Durable: true})
		}
		p.publish("a", "b", "c", "d")
		first := p.receiveFor(2, time.Second)
		time.Sleep(time.Second)
		long := p.receiveFor(1, time.Hour)
		p.wantReceived("for long", long, "a2 ")
		restart()
		p.wantStats("a is leased still", 3, 1, 0)
		again := p.receive(10)
		p.wantReceived("the others", again, "b2 c d ")
		if got := again[0].FirstReceive; !got.Equal(first[1].FirstReceive) {
			t.Errorf("received first at %v, want %v", got, first[1].FirstReceive)
		}
		if err := p.q.Extend(long[0].ID, 2*time.Hour); err != nil {
			t.Errorf("extend after a restart: %v", err)
		}
		p.discard(again[1], again[2])
		restart()
		time.Sleep(2*time.Hour - time.Millisecond)
		synctest.Wait()
		p.wantStats("b is back", 1, 1, 0)
		p.discard(first[1])
		time.Sleep(time.Millisecond)
		synctest.Wait()
		p.wantReceived("a is back", p.receive(10), "a3 ")
		p.discard(first[0])
		restart()
		p.wantStats("all is settled", 0, 0, 0)
		for key := range p.b.store.Scan([]byte{familyDeliveries}) {
			t.Errorf("key %x is left over", key)
		}
		_ = p.b.Close()
	})
}

// TestRequeueEndsALeaseAlsoOnDisk, where that would have gone on for longer.
func TestRequeueEndsALeaseAlsoOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true})
		p.publish("a")
		settle(t, p.q, nil, Requeue, p.receiveFor(1, time.Hour)...)
		old := p.b
		p.restart()
		_ = old.Close()
		p.declare(QueueSpec{Durable: true})
		p.wantReceived("after a restart", p.receive(1), "a2 ")
		_ = p.b.Close()
	})
}

// TestDelayedRecordsSurviveKill and their queue has them then, once.
func TestDelayedRecordsSurviveKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Delay: time.Minute}})
		p.publish("a", "b")
		for range 2 {
			synctest.Wait()
			old := p.b
			p.restart()
			_ = old.Close()
			p.declare(QueueSpec{Durable: true})
			p.wantStats("after a kill", 0, 0, 2)
			time.Sleep(25 * time.Second)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		p.wantReceived("later", p.receive(10), "a b ")
		_ = p.b.Close()
	})
}

// TestReceiveIsOneBatch of the store.
func TestReceiveIsOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true})
		p.publish(numbered(20)...)
		p.receive(10)
		synctest.Wait()
		before := p.b.store.Durable()
		p.receive(10)
		synctest.Wait()
		if n := p.b.store.Durable() - before; n > 2 { // with the marker of a quiet store
			t.Errorf("%d frames", n)
		}
		_ = p.b.Close()
	})
}

// TestIdleWaitsCostNothing: no goroutine beyond the caller's, and nothing runs.
func TestIdleWaitsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true})
		life, end := context.WithCancel(ctx)
		done := make(chan error, 1000)
		for range 1000 {
			go func() {
				_, err := p.q.Receive(life, ReceiveOptions{Max: 1, Lease: time.Minute, Wait: time.Hour})
				done <- err
			}()
		}
		synctest.Wait()
		looks := p.q.timer
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if p.q.timer != looks || len(p.q.line) != 1000 {
			t.Errorf("timer %v, was %v; %d wait", p.q.timer, looks, len(p.q.line))
		}
		end()
		for range 1000 {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		_ = p.b.Close()
	})
}

// TestDiscardLeasedNeedsTheLease: of this delivery, and now. What is settled already is no error.
func TestDiscardLeasedNeedsTheLease(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b", "c")
		ds := p.receive(3)
		discard := func(what string, over bool, ds ...Delivery) {
			t.Helper()
			tx := p.b.Begin()
			var all []int
			for i := range ds {
				all = append(all, tx.DiscardLeased(p.q, ds[i].ID))
			}
			mustCommit(p.t, tx)
			for _, i := range all {
				if tx.LeaseOver(i) != over {
					p.t.Errorf("%s: its lease is over: %v", what, !over)
				}
			}
		}
		discard("leased", false, ds[0])
		discard("settled", false, ds[0], ds[0])
		if err := p.q.Extend(ds[2].ID, 2*time.Minute); err != nil {
			p.t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		discard("ended", true, ds[1])
		discard("extended", false, ds[2])
		p.wantStats("one is back", 1, 0, 0)
		again := p.receive(1)
		p.wantReceived("again", again, "b2 ")
		discard("of another lease", true, ds[1])
		c := p.subscribe(SubscribeOptions{})
		p.wantStats("leased anew", 0, 1, 0)
		if err := p.q.Extend(again[0].ID, 0); err != nil {
			p.t.Error(err)
		}
		held := c.take(1)
		discard("in other hands", true, again[0])
		settle(p.t, p.q, c.s, Accept, held...)
		discard("settled by others", false, again[0])
		p.wantStats("nothing is left", 0, 0, 0)
	})
}

// TestDiscardLeasedAfterARestart knows the leases that it left, and those that a power cut took.
func TestDiscardLeasedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true})
		p.publish("a", "b")
		ds := p.receive(2)
		p.b.Close()
		p.restart()
		p.q, _ = p.b.Queue("", "jobs")
		tx := p.b.Begin()
		tx.DiscardLeased(p.q, ds[0].ID)
		mustCommit(t, tx)
		if tx.LeaseOver(0) {
			t.Error("its lease survives")
		}
		l := p.q.lanes[0]
		p.q.mu.Lock()
		r := l.received[ds[1].ID.Offset]
		p.q.unleaseLocked(r)
		p.q.leased--
		l.dropReceived(r.off)
		l.back.push(returnedRecord{off: r.off, deliveries: 1})
		p.q.mu.Unlock()
		tx = p.b.Begin()
		tx.DiscardLeased(p.q, ds[1].ID)
		mustCommit(t, tx)
		if !tx.LeaseOver(0) {
			t.Error("nothing is known of its lease, and it is back")
		}
		p.wantStats("it is there", 1, 0, 0)
		p.b.Close()
	})
}

// TestReceiveAgainGivesTheSame under leases that begin anew, and counts as no receive.
func TestReceiveAgainGivesTheSame(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b", "c", "d")
		p.receiveFor(1, 0)
		ds := p.receive(10)
		p.wantReceived("first", ds, "a2 b c d ")
		time.Sleep(50 * time.Second)
		again := func() ([]Delivery, error) {
			return p.q.ReceiveAgain([]DeliveryID{ds[0].ID, ds[1].ID, ds[3].ID}, time.Minute)
		}
		got, err := again()
		p.wantReceived("again", got, "a2 b d ")
		if err != nil || got[0].ID != ds[0].ID || !got[0].FirstReceive.Equal(ds[0].FirstReceive) {
			p.t.Errorf("%v: got %v, want %v", err, got[0], ds[0])
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		p.wantStats("those have begun anew", 1, 3, 0)
		p.discard(ds[1])
		_, err = again()
		wantKind(p.t, "one is settled", err, NotFound)
		if !errors.Is(err, ErrNotLeased) {
			p.t.Errorf("got %v", err)
		}
		_, err = p.q.ReceiveAgain([]DeliveryID{{ds[0].ID.Log, ds[0].ID.Offset, 1}}, time.Minute)
		wantKind(p.t, "of an earlier lease", err, NotFound)
		_, err = p.q.ReceiveAgain([]DeliveryID{ds[0].ID}, -1)
		wantKind(p.t, "negative", err, Invalid)
		got, err = p.q.ReceiveAgain(nil, time.Minute)
		if err != nil || len(got) > 0 {
			p.t.Errorf("nothing: got %v, %v", got, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantReceived("all that is left", p.receive(9), "a3 c2 d2 ")
	})
}

// TestReceivedTooOftenMayGoRound: between two queues that have each other's dead letters, since it
// does not do that by itself.
func TestReceivedTooOftenMayGoRound(t *testing.T) {
	s := QueueSettings{MaxReceives: ptr[int64](1), DeadLetters: true, DeadLetterKey: ptr("other")}
	leaseTest(t, s, func(p *pool) {
		jobs := p.q
		s.DeadLetterKey = ptr("jobs")
		p.declare(QueueSpec{Name: "other", Durable: jobs.spec.Durable, Settings: s})
		other := p.q
		p.q = jobs
		p.publish("a")
		for range 3 {
			for _, q := range []*Queue{jobs, other} {
				p.q = q
				p.wantReceived("its turn", p.receiveFor(1, time.Second), "a ")
				time.Sleep(time.Second)
				p.wantReceived("too often", p.receive(1), "")
			}
		}
	})
}
