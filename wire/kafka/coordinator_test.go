package kafka

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// bench is a coordinator alone, in a bubble where time passes when nothing else happens.
type bench struct {
	*testing.T
	*coordinator
	broker *broker.Broker
	engine latch // commits wait while it is closed
	disk   latch // writes and syncs do
}

// latch holds back whoever passes while it is closed.
type latch struct{ open atomic.Pointer[chan struct{}] }

// close closes the latch until the function that it returns is called.
func (l *latch) close() (open func()) {
	c := make(chan struct{})
	l.open.Store(&c)
	return sync.OnceFunc(func() {
		l.open.Store(nil)
		close(c)
	})
}

func (l *latch) pass() {
	if c := l.open.Load(); c != nil {
		<-*c
	}
}

// withCoordinator runs f with a coordinator, in a bubble.
func withCoordinator(t *testing.T, f func(b *bench), change ...func(*Config)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t}
		b.broker = b.openBroker()
		defer b.broker.Close()
		config := Config{Logger: slog.New(slog.DiscardHandler)}
		for _, c := range change {
			c(&config)
		}
		config, err := config.checked()
		if err != nil {
			t.Fatal(err)
		}
		b.coordinator, err = newCoordinator(b.broker, &config)
		if err != nil {
			t.Fatal(err)
		}
		b.start()
		defer b.close()
		f(b)
	})
}

// openBroker opens an engine that can be held up.
func (b *bench) openBroker() *broker.Broker {
	fs := vfs.NewFaulty(vfs.NewMem())
	fs.FailIf(func(c vfs.Call) error {
		if c.Op == vfs.OpWrite || c.Op == vfs.OpSync {
			b.disk.pass()
		}
		return nil
	})
	return openBroker(b, fs, func(c *broker.Config) {
		c.Now = func() time.Time { // every commit looks at the clock
			b.engine.pass()
			return time.Now()
		}
	})
}

// consumer is a member seen from the client's side.
type consumer struct {
	b        *bench
	group    string
	id       string
	instance *string
	session  time.Duration
	patience time.Duration // rebalance timeout
	version  int16
	offers   []string // protocols, preferred first

	generation int32
	leader     string
	protocol   string
	others     []string // what the leader is told
}

func (b *bench) consumer(change ...func(*consumer)) *consumer {
	c := &consumer{
		b: b, group: "g", session: 10 * time.Second, patience: time.Minute, version: 3,
		offers: []string{"range"},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// waits sets how long a consumer is waited for.
func waits(session, rebalance time.Duration) func(*consumer) {
	return func(c *consumer) { c.session, c.patience = session, rebalance }
}

// join sends a join and returns what waits for its answer.
func (c *consumer) join() *deferred {
	r := &request{version: c.version, client: "test", arrived: time.Now()}
	j := &joining{
		reply: r.later(), host: "/127.0.0.1", member: c.id, instance: c.instance,
		kind: consumerKind, session: c.session, rebalance: c.patience,
	}
	for _, name := range c.offers {
		j.protocols = append(j.protocols, protocol{name, []byte(name + " of " + c.id)})
	}
	j.bytes = memberBytes(r.client, j.instance, j.protocols)
	j.saved = savedBytes(r.client, j.host, j.instance, j.protocols)
	c.b.join(c.group, j)
	return j.reply
}

// answered waits for an answer, and notes what it says.
func answered[R kmsg.Response](b *bench, d *deferred) R {
	b.Helper()
	<-d.done
	for _, p := range d.then.open {
		if err := p.confirm.Wait(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	if !d.ready() {
		b.Fatal("got an answer that waits for what is on disk")
	}
	d.write(new(output))
	return d.then.resp.(R)
}

// joined waits for a join's answer.
func (c *consumer) joined(d *deferred) code {
	c.b.Helper()
	resp := answered[*kmsg.JoinGroupResponse](c.b, d)
	if resp.MemberID != "" {
		c.id = resp.MemberID
	}
	c.generation, c.leader, c.others = resp.Generation, resp.LeaderID, nil
	if resp.Protocol != nil {
		c.protocol = *resp.Protocol
	}
	for _, m := range resp.Members {
		c.others = append(c.others, m.MemberID)
	}
	return resp.ErrorCode
}

func (c *consumer) sync() *deferred {
	r := &request{version: 3, arrived: time.Now()}
	s := &syncing{reply: r.later(), member: c.id, instance: c.instance, generation: c.generation}
	if c.leader == c.id {
		s.assignments = map[string][]byte{}
		for _, id := range c.others {
			s.assignments[id] = []byte("for " + id)
		}
	}
	g, bad := c.b.member(c.group)
	if bad != errNone {
		s.refuse(bad)
		return s.reply
	}
	defer g.unlock()
	g.takeSync(s)
	return s.reply
}

func (c *consumer) synced(d *deferred) code {
	c.b.Helper()
	return answered[*kmsg.SyncGroupResponse](c.b, d).ErrorCode
}

func (c *consumer) beat() code {
	g, bad := c.b.member(c.group)
	if bad != errNone {
		return bad
	}
	defer g.unlock()
	q := beatRequest(c.group, c.id, c.generation)
	q.InstanceID = c.instance
	return g.heartbeat(q)
}

// stable joins and syncs all of them as one generation.
func (b *bench) stable(all ...*consumer) {
	b.Helper()
	joins := make([]*deferred, len(all))
	for i, c := range all {
		joins[i] = c.join()
		synctest.Wait()
	}
	for i, c := range all {
		if len(all) > 1 && i == 0 && joins[0].ready() { // alone in a generation before
			joins[0] = c.rejoin(joins[0])
		}
	}
	for i, c := range all {
		if bad := c.joined(joins[i]); bad != errNone {
			b.Fatalf("join of member %d: got error %d", i, bad)
		}
	}
	syncs := make([]*deferred, len(all))
	for i, c := range all {
		syncs[i] = c.sync()
	}
	for i, c := range all {
		if bad := c.synced(syncs[i]); bad != errNone {
			b.Fatalf("sync of member %d: got error %d", i, bad)
		}
	}
}

// rejoin joins again after an answer that is of a generation gone by.
func (c *consumer) rejoin(d *deferred) *deferred {
	c.joined(d)
	return c.join()
}

func (b *bench) state(name string) string {
	g, _ := b.find(name)
	if g == nil {
		return "none"
	}
	defer g.unlock()
	return g.state.String()
}

func TestGroupHasAsManyMembersAsItsLimit(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		members, joins := make([]*consumer, 2000), make([]*deferred, 2000)
		for i := range members {
			members[i] = b.consumer()
			joins[i] = members[i].join()
		}
		for i, c := range members {
			same(b, "join", c.joined(joins[i]), errNone)
		}
		one := b.consumer()
		same(b, "one more", one.joined(one.join()), errGroupMaxSize)
	}, func(c *Config) { c.InitialRebalanceDelay = time.Second })
}

func TestSessionEndsWithoutHeartbeats(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one, two := b.consumer(), b.consumer()
		b.stable(one, two)
		for range 3 { // one lives, two is silent
			time.Sleep(4 * time.Second)
			if bad := one.beat(); bad != errNone && bad != errRebalanceInProgress {
				b.Fatalf("got error %d for a heartbeat in time", bad)
			}
		}
		same(b, "state", b.state("g"), "PreparingRebalance")
		again := one.join()
		same(b, "join", one.joined(again), errNone)
		same(b, "members", one.others, []string{one.id})
		same(b, "the silent one", two.beat(), errUnknownMemberID)
	})
}

func TestHeartbeatsKeepASessionForEver(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		c := b.consumer()
		b.stable(c)
		for range 1000 {
			time.Sleep(9 * time.Second)
			same(b, "heartbeat", c.beat(), errNone)
		}
	})
}

func TestGroupWithoutMembersIsEmpty(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		c := b.consumer()
		b.stable(c)
		time.Sleep(11 * time.Second)
		same(b, "state", b.state("g"), "Empty")
		same(b, "heartbeat", c.beat(), errUnknownMemberID)
	})
}

func TestRebalanceEndsWithoutWhoDoesNotJoin(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one := b.consumer(waits(5*time.Minute, 20*time.Second))
		two := b.consumer(waits(5*time.Minute, 30*time.Second))
		b.stable(one, two)
		start := time.Now()
		again := one.join() // the leader; two does not come
		same(b, "join", one.joined(again), errNone)
		same(b, "waited", time.Since(start), 30*time.Second) // as the most patient member asks
		same(b, "members", one.others, []string{one.id})
		same(b, "two", two.beat(), errUnknownMemberID)
	}, longSessions)
}

func longSessions(c *Config) { c.Limits.MaxSessionTimeout = time.Hour }

func TestLeaderThatDoesNotJoinIsReplaced(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one, two := b.consumer(), b.consumer()
		b.stable(one, two)
		same(b, "leader", one.leader, one.id)
		two.offers = []string{"range", "other"} // changed: a rebalance
		d := two.join()
		same(b, "join", two.joined(d), errNone)
		same(b, "leader", two.leader, two.id)
	})
}

func TestMemberThatDoesNotSyncIsRemoved(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one := b.consumer(waits(time.Hour, 20*time.Second))
		two := b.consumer(waits(time.Hour, 20*time.Second))
		b.stable(one, two)
		first, second := one.join(), two.join()
		one.joined(first)
		two.joined(second)
		same(b, "sync", one.synced(one.sync()), errNone) // two never syncs
		same(b, "state", b.state("g"), "Stable")
		time.Sleep(21 * time.Second)
		same(b, "state", b.state("g"), "PreparingRebalance")
		same(b, "two", two.beat(), errUnknownMemberID)
	}, longSessions)
}

func TestFollowerWaitsForTheLeadersSync(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one, two := b.consumer(), b.consumer()
		b.stable(one, two)
		first, second := one.join(), two.join()
		one.joined(first)
		two.joined(second)
		waiting := two.sync()
		synctest.Wait()
		if waiting.ready() {
			b.Fatal("got an answer before the leader has assigned, want none")
		}
		one.synced(one.sync())
		resp := answered[*kmsg.SyncGroupResponse](b, waiting)
		same(b, "assignment", string(resp.MemberAssignment), "for "+two.id)
	})
}

func TestNewMemberInterruptsTheSync(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one, two, three := b.consumer(), b.consumer(), b.consumer()
		b.stable(one, two)
		first, second := one.join(), two.join()
		one.joined(first)
		two.joined(second)
		waiting := two.sync()
		three.join()
		same(b, "sync", two.synced(waiting), errRebalanceInProgress)
		same(b, "state", b.state("g"), "PreparingRebalance")
	})
}

func TestStaticMemberThatIsSilentAfterItsSyncWasInterruptedIsRemoved(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		leader := b.consumer()
		b.stable(leader)
		follower := b.consumer(func(c *consumer) { c.instance = ptr("i") })
		waiting := follower.join()
		synctest.Wait()
		leader.joined(leader.join())
		same(b, "join", follower.joined(waiting), errNone)
		interrupted := follower.sync()
		for range 12 { // the leader lives, but does not sync: it is removed after a minute
			time.Sleep(5 * time.Second)
			leader.beat()
		}
		same(b, "sync", follower.synced(interrupted), errRebalanceInProgress)
		same(b, "state", b.state("g"), "PreparingRebalance")
		time.Sleep(11 * time.Second) // from here on nobody is alive
		same(b, "state", b.state("g"), "Empty")
	})
}

func TestSyncOfAMemberThatIsRemovedIsAnswered(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		leader := b.consumer()
		b.stable(leader)
		follower := b.consumer(func(c *consumer) { c.instance = ptr("i") })
		waiting := follower.join()
		synctest.Wait()
		leader.joined(leader.join())
		same(b, "join", follower.joined(waiting), errNone)
		interrupted := follower.sync()
		g, _ := b.find("g")
		same(b, "leave", g.leave("", ptr("i"), "removed"), errNone) // by an administrator
		g.unlock()
		select {
		case <-interrupted.done:
			same(b, "sync", follower.synced(interrupted), errUnknownMemberID)
		default:
			b.Fatal("got no answer, want one")
		}
	})
}

func TestNewGroupWaitsForMoreMembers(t *testing.T) {
	delay := func(c *Config) { c.InitialRebalanceDelay = 3 * time.Second }
	withCoordinator(t, func(b *bench) {
		one, two, three := b.consumer(), b.consumer(), b.consumer()
		start := time.Now()
		first := one.join()
		time.Sleep(2 * time.Second)
		second := two.join() // extends the wait once more
		time.Sleep(2 * time.Second)
		third := three.join()
		for i, c := range []*consumer{one, two, three} {
			same(b, "join", c.joined([]*deferred{first, second, third}[i]), errNone)
		}
		same(b, "generation", one.generation, int32(1))
		same(b, "members", len(one.others), 3)
		same(b, "waited", time.Since(start), 9*time.Second)
	}, delay)
}

func TestInvitationThatExpiresEndsNoInitialDelay(t *testing.T) {
	delay := func(c *Config) { c.InitialRebalanceDelay = 30 * time.Second }
	withCoordinator(t, func(b *bench) {
		stranger := b.consumer(func(c *consumer) { c.version = 4 })
		same(b, "invitation", stranger.joined(stranger.join()), errMemberIDRequired)
		one := b.consumer()
		start := time.Now()
		same(b, "join", one.joined(one.join()), errNone)
		same(b, "waited", time.Since(start), 30*time.Second)
	}, delay)
}

func TestGroupOfAClosedCoordinatorIsNotAvailable(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one := b.consumer()
		b.stable(one)
		b.close()
		setClosed := func(closed bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.closed = closed
		}
		defer setClosed(true)
		setClosed(false) // as a request saw it that looked just before close
		same(b, "heartbeat", one.beat(), errCoordinatorNotAvailable)
	})
}

func TestInvitationThatIsNotUsedHoldsNobodyUp(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one := b.consumer()
		b.stable(one)
		stranger := b.consumer(func(c *consumer) { c.version = 4 })
		same(b, "invitation", stranger.joined(stranger.join()), errMemberIDRequired)
		same(b, "state", b.state("g"), "Stable")
		start := time.Now()
		again := one.join()
		for !again.ready() {
			time.Sleep(time.Second)
			one.beat()
		}
		if waited := time.Since(start); waited > 11*time.Second {
			b.Fatalf("got an answer after %v, want it when the invitation has expired", waited)
		}
		same(b, "join", one.joined(again), errNone)
		same(b, "too late", stranger.joined(stranger.join()), errUnknownMemberID)
	})
}

func TestNewMemberIsGivenUpAfterFiveMinutes(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one := b.consumer(waits(time.Hour, time.Hour))
		b.stable(one)
		two := b.consumer(waits(time.Hour, time.Hour))
		start := time.Now()
		same(b, "join", two.joined(two.join()), errUnknownMemberID)
		same(b, "waited", time.Since(start), 5*time.Minute)
	}, longSessions)
}

func TestProtocolIsTheOneMostPrefer(t *testing.T) {
	offers := func(names ...string) func(*consumer) {
		return func(c *consumer) { c.offers = names }
	}
	for _, k := range []struct {
		name   string
		offers [][]string
		want   string
	}{
		{"all agree", [][]string{{"a", "b"}, {"a", "b"}}, "a"},
		{"only one in common", [][]string{{"a", "b"}, {"b"}}, "b"},
		{"majority", [][]string{{"a", "b"}, {"b", "a"}, {"b", "a"}}, "b"},
		{"only common ones count", [][]string{{"x", "b", "a"}, {"a", "b"}, {"b", "a"}}, "b"},
		{"tie", [][]string{{"b", "a"}, {"a", "b"}}, "b"},
	} {
		t.Run(k.name, func(t *testing.T) {
			withCoordinator(t, func(b *bench) {
				var all []*consumer
				for _, o := range k.offers {
					all = append(all, b.consumer(offers(o...)))
				}
				joins := []*deferred{}
				for _, c := range all {
					joins = append(joins, c.join())
				}
				for i, c := range all {
					same(b, "join", c.joined(joins[i]), errNone)
					same(b, "protocol", c.protocol, k.want)
				}
			}, func(c *Config) { c.InitialRebalanceDelay = time.Second })
		})
	}
}

func TestFollowerThatJoinsAgainUnchangedDisturbsNobody(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one, two := b.consumer(), b.consumer()
		b.stable(one, two)
		two.offers = []string{"range"}
		// Its metadata names its id, which it did not have when it joined: a change.
		d := two.join()
		synctest.Wait()
		same(b, "state", b.state("g"), "PreparingRebalance")
		first := one.join()
		one.joined(first)
		two.joined(d)
		one.synced(one.sync())
		two.synced(two.sync())

		same(b, "again", two.joined(two.join()), errNone)
		same(b, "generation", two.generation, one.generation)
		same(b, "state", b.state("g"), "Stable")
	})
}

func TestStaticMemberKeepsItsPlaceWhenItMissesARebalance(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		name := "i"
		one := b.consumer(waits(time.Hour, 10*time.Second))
		two := b.consumer(func(c *consumer) {
			c.instance, c.session, c.patience = &name, time.Minute, 10*time.Second
		})
		b.stable(one, two)
		again := one.join() // a rebalance that two, which is being restarted, misses
		same(b, "join", one.joined(again), errNone)
		same(b, "members", len(one.others), 2)
		same(b, "sync", one.synced(one.sync()), errNone)
		time.Sleep(9 * time.Second)
		same(b, "state", b.state("g"), "Stable")
		time.Sleep(2 * time.Second) // it has not synced either
		same(b, "heartbeat", one.beat(), errRebalanceInProgress)
		same(b, "two", two.beat(), errUnknownMemberID)
	}, longSessions)
}

func TestOffsetsExpireAfterTheGroupIsEmpty(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		topic, err := b.broker.CreateTopic(context.Background(),
			broker.TopicSpec{Name: "t", Partitions: 1})
		if err != nil {
			b.Fatal(err)
		}
		c := b.consumer(func(c *consumer) { c.session = 30 * time.Minute })
		b.stable(c)
		commit := func(group string) {
			tx := b.broker.Begin()
			tx.SaveCursor("", group, topic.Partition(0), broker.Cursor{Offset: 1, Time: time.Now()})
			if _, err := tx.Commit(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		commit("g")
		commit("simple")
		kept := func(group string) bool {
			g, err := b.broker.Group("", group)
			return err == nil && len(g.Cursors()) == 1
		}
		for range 10 { // with a member: kept, though it never commits
			time.Sleep(29 * time.Minute)
			c.beat()
		}
		same(b, "with a member", kept("g"), true)
		same(b, "of no member", kept("simple"), false)
		same(b, "simple group", b.state("simple"), "none")
		time.Sleep(31 * time.Minute) // it leaves
		same(b, "state", b.state("g"), "Empty")
		time.Sleep(90 * time.Minute)
		same(b, "before the retention has passed", kept("g"), true)
		time.Sleep(41 * time.Minute)
		same(b, "after", kept("g"), false)
		same(b, "state", b.state("g"), "none")
	}, longSessions, func(c *Config) { c.OffsetRetention = 2 * time.Hour })
}

func TestGroupThatNobodyJoinedIsForgotten(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		c := b.consumer(func(c *consumer) { c.version = 4 })
		same(b, "invitation", c.joined(c.join()), errMemberIDRequired)
		same(b, "state", b.state("g"), "Empty")
		time.Sleep(time.Hour)
		same(b, "state", b.state("g"), "none")
	})
}

func TestAlarmsRingInOrderAndOnlyIfStillDue(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		g := newGroup(b.coordinator, "alarms")
		var rung []string
		ring := func(name string) *alarm {
			return newAlarm(g, func() { rung = append(rung, name) })
		}
		first, second, off, late := ring("first"), ring("second"), ring("off"), ring("late")
		g.lock()
		g.arm(second, 2*time.Second)
		g.arm(off, 1500*time.Millisecond)
		g.arm(late, time.Second)
		g.arm(first, time.Second)
		g.arm(late, time.Hour)
		g.disarm(off)
		g.unlock()
		time.Sleep(time.Minute)
		g.lock()
		same(b, "rung", rung, []string{"first", "second"})
		g.unlock()
		time.Sleep(time.Hour)
		g.lock()
		same(b, "rung", rung, []string{"first", "second", "late"})
		g.unlock()
	})
}
