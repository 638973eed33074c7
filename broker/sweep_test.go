package broker

import (
	"fmt"
	"strings"
	"testing"
)

// publishTransient publishes records that a restart takes.
func (p *pool) publishTransient(all ...string) {
	p.t.Helper()
	x, err := p.b.Exchange("", "")
	if err != nil {
		p.t.Fatal(err)
	}
	tx := p.b.Begin()
	for _, body := range all {
		tx.Publish(x, QueueRecord{Key: p.q.name.Name, Body: []byte(body), Transient: true})
	}
	mustCommit(p.t, tx)
}

// reopenQueue goes on with the same queue after a kill.
func (p *pool) reopenQueue() {
	p.t.Helper()
	name := p.q.name.Name
	p.restart()
	q, err := p.b.Queue("", name)
	if err != nil {
		p.t.Fatal(err)
	}
	p.q = q
}

func (p *pool) wantThere(want ...string) {
	p.t.Helper()
	all, err := p.q.Browse(100)
	var got []string
	for i := range all {
		got = append(got, string(all[i].Record.Body))
	}
	if n := p.q.Stats().Ready; err != nil || fmt.Sprint(got) != fmt.Sprint(want) || n != int64(len(want)) {
		p.t.Errorf("got %v, %d ready, %v, want %v", got, n, err, want)
	}
}

func TestWhatARestartTakesDoesNotCount(t *testing.T) {
	p := newPool(t, QueueSpec{Durable: true})
	p.publishTransient("t1", "t2")
	p.publish("a")
	p.publishTransient("t3")
	p.publish("b", "c")
	p.publishTransient("t4")
	p.wantThere("t1", "t2", "a", "t3", "b", "c", "t4")
	p.reopenQueue()
	p.wantThere("a", "b", "c")
	p.publishTransient("t5")
	p.publish("d")
	p.wantThere("a", "b", "c", "t5", "d")
	p.reopenQueue()
	p.wantThere("a", "b", "c", "d")
	p.reopenQueue() // it is found again as long as the cursor has not passed it
	p.wantThere("a", "b", "c", "d")
	if n, err := p.q.Purge(ctx, nil); n != 4 || err != nil {
		t.Fatalf("%d records were purged, %v, want 4", n, err)
	}
	p.reopenQueue()
	p.wantThere()
	if _, there := p.b.store.Get(transientKey(p.q.lanes[0].log.ID())); there {
		t.Error("the next open would look for transient records again")
	}
}

// A full queue that refuses has room for as many as are there.
func TestWhatARestartTakesLeavesRoom(t *testing.T) {
	three := int64(3)
	p := newPool(t, QueueSpec{Durable: true,
		Settings: QueueSettings{MaxLength: &three, Overflow: RejectPublish}})
	p.publish("a")
	p.publishTransient("t1", "t2")
	p.reopenQueue()
	p.publish("b", "c", "d")
	p.wantThere("a", "b", "c")
}

// More than Open reads at once is found while the broker runs.
func TestMuchThatARestartTakesIsFoundLater(t *testing.T) {
	inBubble(t, QueueSpec{Durable: true}, func(t *testing.T, p *pool) {
		big := strings.Repeat("x", 64<<10)
		p.publish("a")
		for range sweepAtOnce/len(big) + 8 {
			p.publishTransient(big)
		}
		p.publish("b")
		p.again()
		p.waitReady(2)
		p.wantThere("a", "b")
	})
}
