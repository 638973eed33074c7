package broker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// publishGrouped publishes records of the groups that they begin with: "A1" is of A; "-" has none.
func (p *pool) publishGrouped(bodies string) {
	p.t.Helper()
	tx := p.b.Begin()
	for _, body := range strings.Fields(bodies) {
		p.addGrouped(tx, body)
	}
	mustCommit(p.t, tx)
	synctest.Wait()
}

func (p *pool) addGrouped(tx *Tx, body string) {
	x, err := p.b.Exchange("", "")
	if err != nil {
		p.t.Fatal(err)
	}
	rec := QueueRecord{Key: p.q.name.Name, Body: []byte(body), Group: body[:1]}
	if body[0] == '-' {
		rec.Group = ""
	}
	tx.Publish(x, rec)
}

// orderedTest plays with ordered queues of both kinds.
func orderedTest(t *testing.T, s QueueSettings, play func(p *pool)) {
	s.Groups = OrderedGroups
	leaseTest(t, s, play)
}

func (p *pool) wantTaken(what string, max int, want string) []Delivery {
	p.t.Helper()
	ds := p.receive(max)
	p.wantReceived(what, ds, want)
	return ds
}

func (p *pool) extend(d time.Duration, ds ...Delivery) {
	p.t.Helper()
	for i := range ds {
		if err := p.q.Extend(ds[i].ID, d); err != nil {
			p.t.Errorf("extend %s: %v", ds[i].Record.Body, err)
		}
	}
}

// crash goes on with what a kill leaves.
func (p *pool) crash() {
	p.t.Helper()
	synctest.Wait()
	old, spec := p.b, p.q.Spec()
	p.restart()
	_ = old.Close()
	p.declare(spec)
}

// TestOneReceiveTakesSeveralOfAGroupInOrder, and what is left of it waits until they are settled.
func TestOneReceiveTakesSeveralOfAGroupInOrder(t *testing.T) {
	orderedTest(t, QueueSettings{}, func(p *pool) {
		p.publishGrouped("A1 B1 A2 C1 A3 B2")
		first := p.wantTaken("the oldest first", 4, "A1 A2 A3 B1 ")
		p.wantTaken("B has to wait", 10, "C1 ")
		p.publishGrouped("A4")
		p.wantTaken("a new one frees nothing", 10, "")
		p.discard(first[0])
		p.wantTaken("two of A are in flight", 10, "")
		p.discard(first[1], first[2])
		p.wantTaken("A is free", 10, "A4 ")
		p.discard(first[3])
		p.wantTaken("B is free", 10, "B2 ")
		p.wantStats("the end", 0, 3, 0)
	})
}

// TestOnlyWhatLiesBeforeAnExtendedRecordComesBack: of 1, 2 and 3 where 2 is extended.
func TestOnlyWhatLiesBeforeAnExtendedRecordComesBack(t *testing.T) {
	orderedTest(t, QueueSettings{}, func(p *pool) {
		p.publishGrouped("A1 A2 A3 A4")
		ds := p.wantTaken("all", 3, "A1 A2 A3 ")
		p.extend(time.Hour, ds[1])
		time.Sleep(time.Minute)
		synctest.Wait()
		again := p.wantTaken("1 alone", 10, "A12 ")
		p.discard(again...)
		p.wantTaken("2 is before 3", 10, "")
		p.extend(0, ds[1])
		p.wantTaken("all others", 10, "A22 A32 A4 ")
	})
}

// TestConsumersHaveOneOfAGroupAtATime, by Get and by subscriptions.
func TestConsumersHaveOneOfAGroupAtATime(t *testing.T) {
	orderedTest(t, QueueSettings{}, func(p *pool) {
		p.publishGrouped("A1 A2 B1 B2 C1")
		got, ok, err := p.q.Get(ctx, nil)
		if err != nil || !ok || string(got.Record.Body) != "A1" || got.Ready != 4 {
			p.t.Fatalf("got %s, %v, %v, %d", got.Record.Body, ok, err, got.Ready)
		}
		c := p.subscribe(SubscribeOptions{})
		ds := c.take(2)
		p.wantBodies("of the others", ds, "B1 C1")
		settle(p.t, p.q, c.s, Accept, ds...)
		settle(p.t, p.q, nil, Requeue, got)
		p.wantBodies("free again", c.take(2), "B2 A1")
		p.wantStats("A2 waits", 1, 2, 0)
	})
}

func (p *pool) wantBodies(what string, ds []Delivery, want string) {
	p.t.Helper()
	got := make([]string, len(ds))
	for i := range ds {
		got[i] = string(ds[i].Record.Body)
	}
	if strings.Join(got, " ") != want {
		p.t.Errorf("%s: got %v, want %s", what, got, want)
	}
}

// TestLongPollEndsWhenAGroupIsFree: by a settle, or by a lease that ends.
func TestLongPollEndsWhenAGroupIsFree(t *testing.T) {
	orderedTest(t, QueueSettings{}, func(p *pool) {
		p.publishGrouped("A1 A2 A3")
		ds := p.wantTaken("first", 1, "A1 ")
		poll := func(what, want string, wake func()) {
			p.t.Helper()
			got := make(chan []Delivery, 1)
			go func() {
				ds, err := p.q.Receive(ctx, ReceiveOptions{Max: 1, Lease: time.Minute, Wait: time.Hour})
				if err != nil {
					p.t.Error(err)
				}
				got <- ds
			}()
			synctest.Wait()
			p.publishGrouped("A4")
			select {
			case <-got:
				p.t.Errorf("%s: it got something", what)
			default:
			}
			wake()
			ds = <-got
			p.wantReceived(what, ds, want)
		}
		poll("discarded", "A2 ", func() { p.discard(ds...) })
		poll("given back", "A22 ", func() { p.extend(0, ds...) })
		poll("ended", "A23 ", func() { time.Sleep(time.Minute) })
	})
}

// TestSpentRecordLeavesItsGroup: then the next is handed out.
func TestSpentRecordLeavesItsGroup(t *testing.T) {
	s := QueueSettings{MaxReceives: ptr[int64](1), DeadLetters: true, DeadLetterKey: ptr("dead")}
	orderedTest(t, s, func(p *pool) {
		jobs := p.q
		p.declare(QueueSpec{Name: "dead", Durable: jobs.spec.Durable, Settings: QueueSettings{Groups: OrderedGroups}})
		dead := p.q
		p.q = jobs
		p.publishGrouped("A1 A2 A3")
		p.extend(0, p.wantTaken("once", 2, "A1 A2 ")...)
		p.wantTaken("both are spent", 10, "A3 ")
		p.wantStats("in jobs", 0, 1, 0)
		p.q = dead
		ds := p.wantTaken("in order", 10, "A1 A2 ")
		if g := ds[0].Record.Group; g != "A" {
			p.t.Errorf("its group is %q", g)
		}
	})
}

// TestWhatIsTooOldLeavesABlockedGroup, and does not come back to it.
func TestWhatIsTooOldLeavesABlockedGroup(t *testing.T) {
	orderedTest(t, QueueSettings{Retention: time.Minute}, func(p *pool) {
		p.publishGrouped("A1 A2 B1")
		ds := p.receiveFor(1, time.Hour)
		time.Sleep(30 * time.Second)
		p.publishGrouped("A3")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		p.wantStats("A2 and B1 are gone", 1, 1, 0)
		p.wantTaken("A is blocked", 10, "")
		p.discard(ds...)
		p.wantTaken("A3 is left", 10, "A3 ")
	})
}

// TestLeaseOfWhatCameBackIsOver, also where nothing is known of it but its place.
func TestLeaseOfWhatCameBackIsOver(t *testing.T) {
	orderedTest(t, QueueSettings{}, func(p *pool) {
		p.publishGrouped("A1 A2")
		got, _, err := p.q.Get(ctx, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		settle(p.t, p.q, nil, Requeue, got)
		tx := p.b.Begin()
		i := tx.DiscardLeased(p.q, got.ID)
		mustCommit(p.t, tx)
		if !tx.LeaseOver(i) {
			p.t.Error("it has a lease")
		}
		p.discard(got)
		p.wantTaken("it is gone", 10, "A2 ")
	})
}

// TestDropHeadTakesTheOldestOfAllGroups, whether it could be handed out or not.
func TestDropHeadTakesTheOldestOfAllGroups(t *testing.T) {
	orderedTest(t, QueueSettings{MaxLength: ptr[int64](2)}, func(p *pool) {
		p.publishGrouped("A1")
		ds := p.wantTaken("first", 1, "A1 ")
		p.publishGrouped("A2 B1 A3")
		p.wantStats("A2 is too much", 2, 1, 0)
		p.discard(ds...)
		p.wantTaken("the rest", 10, "B1 A3 ")
	})
}

// TestPurgeLeavesWhatIsInHands, and its group waits for it still.
func TestPurgeLeavesWhatIsInHands(t *testing.T) {
	orderedTest(t, QueueSettings{}, func(p *pool) {
		p.publishGrouped("A1 A2 B1 B2")
		p.extend(0, p.wantTaken("B too", 10, "A1 A2 B1 B2 ")[2:]...)
		if n, err := p.q.Purge(ctx, nil); n != 2 || err != nil {
			p.t.Errorf("purged %d, %v", n, err)
		}
		p.publishGrouped("A3 B3")
		p.wantTaken("A is blocked", 10, "B3 ")
		p.wantStats("the end", 1, 3, 0)
	})
}

// TestLeasesBlockTheirGroupsAfterARestart, and those that ended do not.
func TestLeasesBlockTheirGroupsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Groups: OrderedGroups}})
		p.publishGrouped("A1 A2 B1 B2 C1")
		a := p.receiveFor(1, time.Hour)
		p.wantReceived("A", a, "A1 ")
		p.wantReceived("B", p.receiveFor(1, time.Second), "B1 ")
		p.crash()
		time.Sleep(time.Second)
		synctest.Wait()
		p.wantStats("one lease is left", 4, 1, 0)
		p.wantTaken("B and C", 10, "B12 B2 C1 ")
		p.discard(a...)
		p.wantTaken("A", 10, "A2 ")
		p.crash()
		p.wantTaken("all are leased", 10, "")
		_ = p.b.Close()
	})
}

// TestReceiveThatDoesNotWaitFindsAllAfterARestart, however much there is to be sorted.
func TestReceiveThatDoesNotWaitFindsAllAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Groups: OrderedGroups}})
		tx := p.b.Begin()
		for i := range 3000 {
			p.addGrouped(tx, fmt.Sprintf("A%d%s", i, strings.Repeat(".", 200)))
		}
		p.addGrouped(tx, "B1")
		mustCommit(t, tx)
		p.receiveFor(1, time.Hour)
		for range 2 {
			p.crash()
			p.extend(0, p.wantTaken("far behind", 10, p.wantB())...)
		}
		_ = p.b.Close()
	})
}

func (p *pool) wantB() string {
	if r := p.q.lanes[0].received; len(r) > 1 {
		return "B12 "
	}
	return "B1 "
}

// TestSettleFarAheadSurvivesKill: what lies before it waits still, and is not taken for
// something that was delivered.
func TestSettleFarAheadSurvivesKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Groups: OrderedGroups}})
		tx := p.b.Begin()
		for i := range 3000 {
			p.addGrouped(tx, fmt.Sprint("A", i))
		}
		p.addGrouped(tx, "B1")
		mustCommit(t, tx)
		p.receiveFor(1, time.Hour)
		p.discard(p.wantTaken("far ahead", 1, "B1 ")...)
		p.publishGrouped("C1")
		p.crash()
		p.wantStats("after a kill", 3000, 1, 0)
		p.wantTaken("and no B1", 10, "C1 ")
		_ = p.b.Close()
	})
}

// TestFarAheadWaitsForItsMark: before it is on disk that a record may have been handed out,
// nobody has it.
func TestFarAheadWaitsForItsMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(vfs.NewMem())
		p := &pool{t: t, b: openOn(t, g)}
		p.declare(QueueSpec{Durable: true, Settings: QueueSettings{Groups: OrderedGroups}})
		tx := p.b.Begin()
		for i := range 3000 {
			p.addGrouped(tx, fmt.Sprint("A", i))
		}
		p.addGrouped(tx, "B1")
		mustCommit(t, tx)
		p.receiveFor(1, time.Hour)
		synctest.Wait()
		resume := g.stop()
		got := make(chan []Delivery, 1)
		go func() { got <- p.receive(1) }()
		synctest.Wait()
		if len(got) > 0 {
			t.Error("it was handed out")
		}
		resume()
		p.wantReceived("B", <-got, "B1 ")
		_ = p.b.Close()
	})
}

// TestWindowBoundsWhatIsSorted: what lies behind is found when some have left.
func TestWindowBoundsWhatIsSorted(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, QueueSpec{Durable: true})
			if err := p.b.Close(); err != nil {
				t.Fatal(err)
			}
			open := func() {
				p.b = openOn(t, p.fs, func(c *Config) { c.Limits.GroupWindow = 10 })
				p.declare(QueueSpec{Name: "w", Durable: true, Settings: QueueSettings{Groups: OrderedGroups}})
			}
			open()
			all := ""
			for i := range 20 {
				all += fmt.Sprintf("A%d ", i)
			}
			p.publishGrouped(all + "B1")
			if restart {
				synctest.Wait()
				_ = p.b.Close()
				open()
			}
			ds := p.wantTaken("the first", 1, "A0 ")
			p.wantTaken("B is beyond the window", 1, "")
			got := make(chan []Delivery)
			go func() {
				ds, _ := p.q.Receive(ctx, ReceiveOptions{Max: 9, Lease: time.Hour, Wait: time.Hour})
				got <- ds
			}()
			synctest.Wait()
			p.discard(ds...)
			ds = <-got
			p.wantReceived("the next", ds, "A1 A2 A3 A4 A5 A6 A7 A8 A9 ")
			p.wantTaken("there is room for others", 1, "")
			p.wantSorted(10)
			p.discard(ds...)
			p.wantReceived("the next", p.receive(9), "A10 A11 A12 A13 A14 A15 A16 A17 A18 ")
			p.wantTaken("and B at last", 10, "B1 ")
			_ = p.b.Close()
		})
	}
}

// wantSorted wants no more in memory than the window allows.
func (p *pool) wantSorted(most int) {
	p.t.Helper()
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if g := p.q.lanes[0].groups; g.waiting > most || len(g.coming) > most {
		p.t.Errorf("%d are sorted, and %d come, want at most %d", g.waiting, len(g.coming), most)
	}
}

// TestDelayOfAnOrderedQueueKeepsTheOrder, and another one is for all that waits.
func TestDelayOfAnOrderedQueueKeepsTheOrder(t *testing.T) {
	orderedTest(t, QueueSettings{Delay: 10 * time.Second}, func(p *pool) {
		p.publishGrouped("A1 A2 B1")
		p.wantStats("delayed", 0, 0, 3)
		p.wantTaken("not yet", 10, "")
		time.Sleep(4 * time.Second)
		p.publishGrouped("A3 C1")
		time.Sleep(6*time.Second - time.Millisecond)
		synctest.Wait()
		p.wantStats("just before", 0, 0, 5)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		p.wantStats("the first", 3, 0, 2)
		got := make(chan []Delivery)
		ds := p.wantTaken("ready", 10, "A1 A2 B1 ")
		go func() {
			ds, _ := p.q.Receive(ctx, ReceiveOptions{Max: 9, Lease: time.Hour, Wait: time.Hour})
			got <- ds
		}()
		time.Sleep(4*time.Second - time.Millisecond)
		p.wantStats("just before", 0, 3, 2)
		time.Sleep(time.Millisecond)
		p.wantReceived("C alone", <-got, "C1 ")
		p.discard(ds...)
		p.wantTaken("A3 too", 10, "A3 ")
		p.publishGrouped("D1 D2")
		p.delay(time.Hour)
		p.wantStats("longer", 0, 2, 2)
		p.wantTaken("longer", 10, "")
		p.delay(0)
		p.wantTaken("none", 1, "D1 ")
		p.publishGrouped("E1 F1")
		p.delay(2 * time.Minute)
		p.wantStats("what was ready too", 0, 3, 3)
		p.wantTaken("what was ready too", 10, "")
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantStats("and what came back", 0, 1, 5)
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantTaken("and then", 10, "A32 D12 D2 E1 F1 ")
	})
}

func (p *pool) delay(d time.Duration) {
	p.t.Helper()
	s := p.q.Spec().Settings
	s.Delay = d
	if _, err := p.b.ChangeQueue(p.q, nil, s); err != nil {
		p.t.Error(err)
	}
	synctest.Wait()
}

// TestDelayOfAnOrderedQueueSurvivesKill, and the records that it holds back are counted.
func TestDelayOfAnOrderedQueueSurvivesKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Groups: OrderedGroups, Delay: time.Minute}})
		p.publishGrouped("A1")
		time.Sleep(30 * time.Second)
		p.publishGrouped("A2 B1")
		p.crash()
		synctest.Wait()
		p.wantStats("after a kill", 0, 0, 3)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		p.wantStats("the first", 1, 0, 2)
		p.crash()
		p.wantTaken("at once", 10, "A1 ")
		p.wantStats("the first", 0, 1, 2)
		_ = p.b.Close()
	})
}

// TestGroupsOfAFairQueueTakeTurns, those without a group as one.
func TestGroupsOfAFairQueueTakeTurns(t *testing.T) {
	leaseTest(t, QueueSettings{Groups: FairGroups}, func(p *pool) {
		p.publishGrouped("-1 -2 -3 -4")
		p.wantTaken("it is not fair yet", 1, "-1 ")
		p.publishGrouped("A1 A2 A3 A4 A5 B1 B2 C1")
		p.wantTaken("a turn", 4, "-2 A1 B1 C1 ")
		p.wantTaken("another", 3, "-3 A2 B2 ")
		p.publishGrouped("D1 D2")
		p.wantTaken("and with a new one", 3, "-4 A3 D1 ")
		p.wantTaken("the rest", 10, "A4 D2 A5 ")
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantStats("all are back", 14, 0, 0)
	})
}

// TestFairQueueIsFairAfterARestart.
func TestFairQueueIsFairAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Groups: FairGroups}})
		p.publishGrouped("A1 A2 A3 A4 B1")
		p.wantTaken("first", 1, "A1 ")
		p.crash()
		p.wantTaken("in turn", 2, "A2 B1 ")
		time.Sleep(time.Minute)
		p.publishGrouped("B2")
		p.crash()
		p.wantTaken("in turn", 9, "A12 B12 A22 B2 A3 A4 ")
		_ = p.b.Close()
	})
}

// TestBoundOfBytesEndsTurns: how many bytes wait is known where records wait in order.
func TestBoundOfBytesEndsTurns(t *testing.T) {
	leaseTest(t, QueueSettings{Groups: FairGroups}, func(p *pool) {
		p.publishGrouped("A1 A2 B1 A3")
		ds := p.wantTaken("fair", 2, "A1 B1 ")
		p.policy("bytes", 1, QueueSettings{MaxLengthBytes: ptr[int64](6)})
		synctest.Wait()
		p.publishGrouped("B2 B3")
		p.wantStats("one was too much", 3, 2, 0)
		p.wantTaken("in order", 10, "A3 B2 B3 ")
		p.extend(0, ds...)
		p.wantStats("all fit", 2, 3, 0)
	})
}

// TestWhatIsSettledAfterTurnsEndStaysSettled: what is sorted lies beyond the marks of hand-outs.
func TestWhatIsSettledAfterTurnsEndStaysSettled(t *testing.T) {
	const n, taken = 3 * stride, 5 * stride / 2
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Groups: FairGroups}})
		var all strings.Builder
		for i := range n {
			fmt.Fprint(&all, "A", i, " ")
		}
		p.publishGrouped(all.String())
		p.receive(1) // sorts them
		p.policy("bytes", 1, QueueSettings{MaxLengthBytes: ptr[int64](1 << 20)})
		for left := taken; left > 0; {
			ds := p.receive(left)
			p.discard(ds...)
			left -= len(ds)
		}
		p.crash()
		time.Sleep(time.Minute)
		synctest.Wait()
		p.wantStats("after a restart", n-taken, 0, 0)
		_ = p.b.Close()
	})
}

// TestGroupsAreRefusedWhereTheyMeanNothing.
func TestGroupsAreRefusedWhereTheyMeanNothing(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true, Settings: QueueSettings{Groups: OrderedGroups}})
	for what, s := range map[string]QueueSettings{
		"priorities":    {Groups: FairGroups, MaxPriority: 1},
		"single active": {Groups: OrderedGroups, SingleActive: true},
		"bytes":         {Groups: OrderedGroups, MaxLengthBytes: ptr[int64](1)},
		"unknown":       {Groups: OrderedGroups + 1},
	} {
		_, _, err := p.b.DeclareQueue(ctx, QueueSpec{Name: "other", Settings: s})
		wantKind(t, what, err, Invalid)
	}
	_, err := p.b.ChangeQueue(p.q, nil, QueueSettings{})
	wantKind(t, "no order any more", err, Invalid)
	x, _ := p.b.Exchange("", "")
	tx := p.b.Begin()
	tx.Publish(x, QueueRecord{Key: "jobs", Group: strings.Repeat("g", MaxGroup+1)})
	_, err = tx.Commit(ctx)
	wantKind(t, "a long group", err, Invalid)
}
