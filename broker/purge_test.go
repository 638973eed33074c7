package broker

import (
	"testing"
	"testing/synctest"
	"time"
)

// publishLater puts records into the queue that are ready after a time.
func (p *pool) publishLater(d time.Duration, all ...string) {
	p.t.Helper()
	x, _ := p.b.Exchange("", "")
	tx := p.b.Begin()
	for _, body := range all {
		tx.Publish(x, QueueRecord{Key: "jobs", Body: []byte(body), Delay: &d})
	}
	mustCommit(p.t, tx)
}

func (p *pool) purgeAll(what string, want int64) {
	p.t.Helper()
	if n, err := p.q.PurgeAll(ctx, nil); err != nil || n != want {
		p.t.Errorf("%s: purged %d, %v, want %d", what, n, err, want)
	}
	p.wantStats(what, 0, 0, 0)
}

func TestPurgeAllTakesWhatIsLeasedAndWhatIsDelayed(t *testing.T) {
	leaseTest(t, QueueSettings{MaxLengthBytes: ptr[int64](1000)}, func(p *pool) {
		p.publish("a", "b", "c", "d")
		old := p.receiveFor(1, time.Second)
		time.Sleep(time.Second)
		leased := p.receive(3)
		p.publishLater(time.Minute, "e", "f")
		p.publishLater(time.Hour, "g")
		p.purgeAll("all", 7)
		p.purgeAll("nothing", 0)
		wantKind(p.t, "extend", p.q.Extend(leased[2].ID, time.Minute), NotFound)
		p.discard(append(old, leased...)...)
		p.publish("h")
		p.publishLater(2*time.Hour, "i")
		time.Sleep(2*time.Hour - time.Millisecond)
		synctest.Wait()
		p.wantReceived("published later", p.receive(9), "h ")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		p.wantReceived("delayed later", p.receive(9), "i ")
		for key := range p.b.store.Scan([]byte{familyDeliveries}) {
			if n := len(p.q.leases); n != 2 {
				p.t.Errorf("key %x is there, of %d leases", key, n)
			}
		}
	})
}

// TestPurgedRecordsOfAScheduleAreForgotten, by its loop and by the log.
func TestPurgedRecordsOfAScheduleAreForgotten(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publishLater(time.Hour, "a", "b")
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		c := p.q.later.schedule.classes[0]
		if _, known := c.runs.first(); !known {
			p.t.Fatal("the cursor has not come to it")
		}
		p.purgeAll("all", 2)
		synctest.Wait()
		r, known := c.runs.first()
		if start, _, _ := c.log.Bounds(); known || start != 2 {
			p.t.Errorf("%v is known: %v; the log begins at %d, want 2", r, known, start)
		}
	})
}

func TestPurgeAllSurvivesKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true})
		p.publish("a", "b", "c")
		p.receiveFor(2, time.Hour)
		p.publishLater(time.Minute, "d")
		p.purgeAll("all", 4)
		old := p.b
		p.restart()
		_ = old.Close()
		p.declare(QueueSpec{Durable: true})
		p.wantStats("after a kill", 0, 0, 0)
		time.Sleep(2 * time.Hour)
		p.wantReceived("later", p.receive(9), "")
		for key := range p.b.store.Scan([]byte{familyDeliveries}) {
			t.Errorf("key %x is left over", key)
		}
		_ = p.b.Close()
	})
}

// TestPurgeAllTakesWhatIsOnTheWayToAReceiver: it does not get it.
func TestPurgeAllTakesWhatIsOnTheWayToAReceiver(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b")
		p.receiveFor(1, time.Second)
		time.Sleep(time.Second)
		r := &receiver{max: 10, ready: make(chan struct{}, 1)}
		if err := p.q.await(ctx, r); err != nil || len(r.taken) != 2 {
			p.t.Fatalf("%d, %v", len(r.taken), err)
		}
		if n, err := p.q.PurgeAll(ctx, nil); err != nil || n != 2 {
			p.t.Errorf("purged %d, %v", n, err)
		}
		ds, err := p.q.receive(ctx, r, time.Minute)
		p.wantReceived("on its way", ds, "")
		p.wantStats("the end", 0, 0, 0)
		p.wantNothingLeft("the end")
		for key := range p.b.store.Scan([]byte{familyDeliveries}) {
			p.t.Errorf("key %x is left over, %v", key, err)
		}
	})
}

// TestPurgeAllTakesWhatIsOnItsWayOutOfASchedule in a Tx that commits after it.
func TestPurgeAllTakesWhatIsOnItsWayOutOfASchedule(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publishLater(time.Hour, "a", "b")
		s := &p.q.later.schedule
		due := func(off Offset, body string) *dueRecord {
			return &dueRecord{c: s.classes[0], off: off, rec: QueueRecord{Body: []byte(body)}}
		}
		tx := p.b.Begin()
		tx.publishDue(s, due(0, "a"))
		p.purgeAll("all", 2)
		p.publishLater(time.Hour, "c")
		tx.publishDue(s, due(2, "c"))
		mustCommit(p.t, tx)
		p.wantReceived("after the purge", p.receive(9), "c ")
		p.wantStats("after the purge", 0, 1, 0)
	})
}

// TestPurgeAllLeavesWhatASubscriptionHasInItsHands, as Purge does.
func TestPurgeAllLeavesWhatASubscriptionHasInItsHands(t *testing.T) {
	leaseTest(t, QueueSettings{}, func(p *pool) {
		p.publish("a", "b", "c")
		var credit Credit
		credit.SetLimit(2)
		c := p.subscribe(SubscribeOptions{Credits: []*Credit{&credit}})
		taken := c.take(1) // b is assigned, and c waits
		if n, err := p.q.PurgeAll(ctx, nil); err != nil || n != 2 {
			p.t.Errorf("purged %d, %v", n, err)
		}
		c.settle(Requeue, taken...)
		c.s.Close()
		p.wantStats("came back", 1, 0, 0)
	})
}
