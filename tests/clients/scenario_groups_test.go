package clients

import (
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// groupStage is a broker with a topic and a crew that reads it.
type groupStage struct {
	*crew
	s    *server.Server
	j    judge
	sent []record
}

func newGroupStage(t *testing.T, d driver, partitions int) *groupStage {
	s := server.Start(t)
	j := newJudge(t, s)
	j.makeTopic("orders", partitions)
	c := newCrew(t, d, memberOptions{Seed: s.Kafka, Group: "billing", Topic: "orders"})
	return &groupStage{crew: c, s: s, j: j}
}

// feed sends the next n records, with the judge's producer, and returns them.
func (g *groupStage) feed(n int) []record {
	g.t.Helper()
	next := keyed("orders", len(g.sent), n)
	// A key of its own for each record reaches all partitions.
	for i := range next {
		next[i].Key = next[i].Value
	}
	send(g.t, franz{}, g.s.Kafka, produceOptions{compression: "none", idempotent: true}, next)
	g.sent = append(g.sent, next...)
	return next
}

// groupRebalances: members share the partitions, whoever comes, goes or dies, and
// miss nothing.
func groupRebalances(t *testing.T, d driver) {
	g := newGroupStage(t, d, 6)
	a := g.join("a")
	g.awaitShared("a alone", 6, a)
	g.awaitValues("a reads all", g.feed(60))
	b := g.join("b")
	g.awaitShared("a and b", 6, a, b)
	g.awaitValues("a and b read all", g.feed(60))
	c := g.join("c")
	g.awaitShared("a, b and c", 6, a, b, c)
	g.awaitValues("a, b and c read all", g.feed(60))
	c.leave()
	g.awaitShared("c has left", 6, a, b)
	g.awaitValues("a and b read all again", g.feed(60))
	b.kill()
	g.awaitShared("b was killed", 6, a)
	g.awaitValues("a reads all again", g.feed(60))
	g.j.awaitCommitted("billing", "orders", int64(len(g.sent)))
	a.leave()
	g.wantGroup(groupState{"Empty", 0})
}

func (g *groupStage) wantGroup(want groupState) {
	g.t.Helper()
	got, err := g.j.describeGroup(bounded(g.t), "billing")
	if err != nil || got != want {
		g.t.Fatalf("group: got %+v (error %v), want %+v", got, err, want)
	}
}

func groupResumesAfterStop(t *testing.T, d driver) {
	groupResumes(t, d, func(s *server.Server) { s.Stop() })
}

func groupResumesAfterKill(t *testing.T, d driver) {
	groupResumes(t, d, (*server.Server).Kill)
}

// groupResumes: what was committed before a restart is not read again, by the
// member that stayed and by the one that comes after it; the rest is read.
func groupResumes(t *testing.T, d driver, end func(*server.Server)) {
	g := newGroupStage(t, d, 3)
	a := g.join("a")
	g.awaitValues("before the restart", g.feed(90))
	g.j.awaitCommitted("billing", "orders", 90)
	end(g.s)
	g.s.Restart()
	if got, err := g.j.committed(bounded(t), "billing", "orders"); err != nil || got != 90 {
		t.Fatalf("committed after the restart: got %d (error %v), want 90", got, err)
	}
	if a.endsWithBroker { // unless the broker was back before it looked
		a.kill()
		a = g.join("a, run again")
	}
	g.awaitValues("after the restart", g.feed(90))
	g.j.awaitCommitted("billing", "orders", 180)
	a.leave()
	g.wantTimes(1, g.sent[:90], g.members...)
	last := g.feed(90)
	b := g.join("b")
	g.awaitValues("the next member", last)
	b.leave()
	g.wantTimes(0, g.sent[:180], b)
}

// wantTimes checks how often the members, that have ended, have read each of the records.
func (g *groupStage) wantTimes(want int, records []record, members ...*member) {
	g.t.Helper()
	seen := make(map[string]int)
	for _, m := range members {
		read, _ := m.told()
		for _, r := range read {
			seen[string(r.Value)]++
		}
	}
	for _, r := range records {
		if got := seen[string(r.Value)]; got != want {
			g.t.Fatalf("times that %s was read: got %d, want %d", r.line(), got, want)
		}
	}
}

// staticMemberReturns: a static member that dies and comes back within its session gets
// its partitions again, and the other one keeps what it has. The other one came first
// and leads: franz-go has the group rebalance when its leader was started again.
func staticMemberReturns(t *testing.T, d driver) {
	g := newGroupStage(t, d, 4)
	one, two := g.o, g.o
	one.Instance, two.Instance = "one", "two"
	a := g.joinAs("one", one)
	g.awaitShared("the leader alone", 4, a)
	b := g.joinAs("two", two)
	g.awaitShared("both", 4, a, b)
	g.awaitValues("both read", g.feed(40))
	_, before := a.told()
	b.kill()
	killed := time.Now()
	again := g.joinAs("two again", two)
	g.awaitShared("two is back", 4, a, again)
	g.awaitValues("both read on", g.feed(40))
	took := time.Since(killed)
	if _, after := a.told(); after != before && took < sessionTimeout {
		t.Fatalf("the other member was assigned partitions %d times, want %d", after, before)
	}
}
