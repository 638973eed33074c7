package broker

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
)

func bytesOf(n int64) QueueSettings {
	return QueueSettings{MaxLengthBytes: &n, DeadLetters: true, DeadLetterTo: "dlx"}
}

// boundByBytes runs with each kind of queue.
func boundByBytes(t *testing.T, s QueueSettings, f func(p, dead *pool)) {
	for name, spec := range bothKinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec.Settings = s
				p := newPool(t, spec)
				f(p, p.deadEnd())
				if err := p.b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func (p *pool) wantWaiting(what, want string) {
	p.t.Helper()
	synctest.Wait()
	ds, err := p.q.Browse(1000)
	if got := bodies(ds); err != nil || got != want {
		p.t.Errorf("%s: got %q, want %q, %v", what, got, want, err)
	}
	p.q.wantBytes(p.t, what, ds)
}

// wantBytes makes sure that a queue that is bounded by bytes counts those that wait.
func (q *Queue) wantBytes(t *testing.T, what string, waiting []Delivery) {
	t.Helper()
	if q.Settings().MaxLengthBytes == nil {
		return
	}
	want := int64(0)
	for i := range waiting {
		want += int64(len(waiting[i].Record.Body))
	}
	q.measure()
	q.mu.Lock()
	defer q.mu.Unlock()
	if got, sure := q.bytesWaitLocked(); got != want || !sure || !q.measuredLocked() {
		t.Errorf("%s: %d bytes wait, want %d; sure %v, measured %v", what, got, want, sure, q.measuredLocked())
	}
}

// TestFullOfBytesDropsTheHead until what waits fits, together with the length whichever
// comes first.
func TestFullOfBytesDropsTheHead(t *testing.T) {
	s := bytesOf(10)
	s.MaxLength = ptr(int64(3))
	boundByBytes(t, s, func(p, dead *pool) {
		p.publish("aaaa", "bbbb", "cc")
		p.wantWaiting("within", "aaaa bbbb cc")
		p.publish("d")
		p.wantWaiting("beyond the length", "bbbb cc d")
		p.publish("eeeeeee")
		p.wantWaiting("beyond the bytes", "cc d eeeeeee")
		p.publish("ffffffffffffff")
		p.wantWaiting("larger than all", "")
		p.publish("g")
		p.wantWaiting("and again", "g")
		dead.wantWaiting("dead", "aaaa bbbb cc d eeeeeee ffffffffffffff")
	})
}

// TestFullOfBytesRefuses what does not fit.
func TestFullOfBytesRefuses(t *testing.T) {
	for _, o := range []Overflow{RejectPublish, RejectDeadLetter} {
		s := bytesOf(5)
		s.Overflow = o
		boundByBytes(t, s, func(p, dead *pool) {
			for _, c := range []struct {
				body    string
				refused bool
			}{{"aaa", false}, {"bbb", true}, {"cc", false}, {"", false}, {"d", true}} {
				if r := p.publishOne(c.body); r.Refused != c.refused {
					p.t.Errorf("%q: got %+v, want refused %v", c.body, r, c.refused)
				}
			}
			p.wantWaiting("waits", "aaa cc ")
			if want := map[Overflow]string{RejectDeadLetter: "bbb d"}[o]; true {
				dead.wantWaiting("dead", want)
			}
		})
	}
}

// TestBytesThatAreDeliveredDoNotCount until they come back.
func TestBytesThatAreDeliveredDoNotCount(t *testing.T) {
	boundByBytes(t, bytesOf(8), func(p, dead *pool) {
		p.publish("aaaa", "bbbb")
		credit := new(Credit)
		credit.SetLimit(2)
		c := p.subscribe(SubscribeOptions{Credits: []*Credit{credit}})
		synctest.Wait()
		p.publish("cccc", "dddd") // while a and b are assigned, and nobody has read them
		p.wantWaiting("beside what a subscription has", "cccc dddd")
		ds := c.take(2)
		p.publish("eeee")
		p.wantWaiting("beyond", "dddd eeee")
		c.settle(Requeue, ds[0])
		p.wantWaiting("the subscription has the one that came back", "dddd eeee")
		c.s.Close()
		p.wantWaiting("nobody has it, and it is the head", "dddd eeee")
		dead.wantWaiting("dead", "cccc aaaa")
	})
}

// TestBytesAreCountedAgain after a restart, and when a policy brings the bound.
func TestBytesAreCountedAgain(t *testing.T) {
	for _, o := range []Overflow{DropHead, RejectPublish} {
		s := bytesOf(9)
		s.Overflow = o
		inBubble(t, QueueSpec{Durable: true, Settings: s}, func(t *testing.T, p *pool) {
			p.publish("aaa", "bbb", "ccc")
			ds := p.subscribe(SubscribeOptions{}).take(1)
			if string(ds[0].Record.Body) != "aaa" {
				t.Fatalf("got %q", ds[0].Record.Body)
			}
			p.again()
			if r := p.publishOne("d"); r.Refused != (o == RejectPublish) {
				t.Errorf("overflow %v after a restart: got %+v", o, r)
			}
			p.waitReady(3)
		})
	}

	boundByBytes(t, QueueSettings{}, func(p, dead *pool) {
		p.publish(strings.Fields(strings.Repeat("aaaa bb ", 3000))...)
		credit := new(Credit)
		credit.SetLimit(3)
		c := p.subscribe(SubscribeOptions{Credits: []*Credit{credit}})
		ds := c.take(3)
		c.settle(Requeue, ds[1])
		p.policy("p", 0, QueueSettings{MaxLengthBytes: ptr(int64(7))})
		p.wantWaiting("by policy", "aaaa bb")
		p.deletePolicy("p")
		p.publish("ccccccccccccc")
		p.wantWaiting("without it", "aaaa bb ccccccccccccc")
		p.policy("p", 0, QueueSettings{MaxLengthBytes: ptr(int64(16))})
		p.wantWaiting("and with it", "bb ccccccccccccc")
		if n, err := p.q.Purge(context.Background(), nil); n < 2 || err != nil {
			p.t.Errorf("purged %d, %v", n, err)
		}
		p.publish("dddddddddd", "eeeeeeeeee")
		p.wantWaiting("after a purge", "eeeeeeeeee")
	})
}
