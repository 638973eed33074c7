package amqp

import (
	"container/heap"
	"errors"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// A client may keep a delivery for as long as the consumer, the queue or the server says. After
// that its channel is closed, and what it has goes back.
//
// A delivery only notes until when it may be kept. The server has one goroutine and a heap of the
// connections that have deliveries, by the earliest time at which one may be overdue: then it
// interrupts the connection's read, and its read loop looks, closes channels, and says when to come
// again. Settling changes nothing there, so a busy connection is looked at about once in the time
// that its deliveries have, and an idle one is not in the heap.

// How long a queue, a consumer and a policy call it, in ms.
const (
	timeoutArg    = "x-consumer-timeout"
	timeoutPolicy = "consumer-timeout"
)

// timeoutOf is how long a delivery may be kept; 0: for ever. What the consumer says counts before
// what its queue was declared with.
func (ch *channel) timeoutOf(q broker.Name, declared broker.Args, consumer Table) (time.Duration, error) {
	for _, args := range []broker.Args{toArgs(consumer), declared} {
		ms, ok, err := args.Int(timeoutArg)
		if err != nil || ok && (ms < 1 || ms > maxMillis) {
			return 0, errorf(replyPreconditionFailed, "invalid arg '%s' for queue %s", timeoutArg, inVhost(q))
		}
		if ok {
			return time.Duration(ms) * time.Millisecond, nil
		}
	}
	return max(ch.c.s.config.Limits.ConsumerTimeout, 0), nil
}

// timeoutArgs are what a queue was declared with or, if that is less, what its policies say.
func timeoutArgs(q *broker.Queue) broker.Args {
	args := q.Spec().Args
	most, bounded, _ := q.Policies().Definition().Int(timeoutPolicy)
	if own, ok, err := args.Int(timeoutArg); !bounded || most < 1 || err != nil || ok && own < most {
		return args
	}
	return broker.Args{{Name: timeoutArg, Value: min(most, maxMillis)}}
}

// until is the time, in the server's, by which a delivery of now must be settled.
func (s *Server) until(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return math.MaxInt64
	}
	return s.uptime() + timeout
}

// uptime is the time since Listen: no change of the wall clock makes deliveries overdue.
func (s *Server) uptime() time.Duration { return time.Since(s.began) }

// dueBy has the connection looked at when a delivery may be overdue.
func (c *conn) dueBy(at time.Duration) {
	if at < math.MaxInt64 && at < time.Duration(c.look.next.Load()) {
		c.s.deadlines.set(c, at)
	}
}

// look is when to look at a connection.
type look struct {
	next  atomic.Int64 // a time.Duration; the greatest: not at all. Guarded by deadlines.mu, and read without
	index int          // in the heap
	gone  bool         // the connection ends
}

// closeOverdue closes the channels that have an overdue delivery.
func (c *conn) closeOverdue() {
	now, next := c.s.uptime(), time.Duration(math.MaxInt64)
	for _, ch := range c.open {
		u, ok := ch.firstDue()
		switch {
		case !ok || ch.closing:
		case u.until > now:
			next = min(next, u.until)
		default:
			c.s.config.Logger.Warn("amqp consumer has kept a delivery for too long", "client",
				c.nc.RemoteAddr(), "channel", ch.id, "queue", u.from().String(), "tag", u.tag)
			ch.fail(errorf(replyPreconditionFailed, "delivery acknowledgement on channel %d timed out. "+
				"Timeout value used: %d ms. This timeout value can be configured, see consumers doc guide to "+
				"learn more", ch.id, u.timeout.Milliseconds()))
		}
	}
	c.dueBy(next)
}

// firstDue is the delivery that must be settled first.
func (ch *channel) firstDue() (first unacked, ok bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for i := range ch.unacked {
		if u := &ch.unacked[i]; !ok || u.until < first.until {
			first, ok = *u, true
		}
	}
	return first, ok
}

// looked says that a read has ended because the connection was to be looked at, and does that.
func (c *conn) looked(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && !c.draining() && c.lookIfAsked()
}

func (c *conn) lookIfAsked() bool {
	if !c.overdue.Load() || !c.s.deadlines.asked(c) {
		return false
	}
	c.closeOverdue()
	return c.readBy(time.Time{}) == nil // until awaitFrame sets the time of the heartbeat
}

// asked says whether the connection was to be looked at, and will not be asked to again for the same.
// It waits for an interrupt that is not complete: behind it the read's deadline is ours.
func (d *deadlines) asked(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return c.overdue.Swap(false)
}

// deadlines is the connections of a server that have deliveries.
type deadlines struct {
	mu   sync.Mutex
	heap lookHeap
	wake chan struct{} // capacity 1: the first has changed
}

func (d *deadlines) set(c *conn, at time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := time.Duration(c.look.next.Load())
	if c.look.gone || at >= old {
		return
	}
	c.look.next.Store(int64(at))
	if old == math.MaxInt64 {
		heap.Push(&d.heap, c)
	} else {
		heap.Fix(&d.heap, c.look.index)
	}
	if d.heap[0] == c {
		ring(d.wake)
	}
}

// forget ends the looks at a connection: after it nothing touches its deadline.
func (d *deadlines) forget(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.look.gone = true
	if c.look.next.Load() < math.MaxInt64 {
		heap.Remove(&d.heap, c.look.index)
		c.look.next.Store(math.MaxInt64)
	}
}

// interrupt has the connections look whose time has come, and returns how long it is to the next.
func (d *deadlines) interrupt(now time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.heap) > 0 {
		c := d.heap[0]
		if at := time.Duration(c.look.next.Load()); at > now {
			return at - now
		}
		heap.Pop(&d.heap)
		c.look.next.Store(math.MaxInt64)
		c.overdue.Store(true)
		c.nc.SetReadDeadline(time.Now()) // behind overdue, as Close does behind drain
		ring(c.out.taken)                // it may not be reading, but waiting for room
	}
	return time.Hour
}

// watchDeadlines interrupts connections that may have overdue deliveries, until Close.
func (s *Server) watchDeadlines() {
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		alarm.Reset(s.deadlines.interrupt(s.uptime()))
		select {
		case <-alarm.C:
		case <-s.deadlines.wake:
		case <-s.drain:
			return
		}
	}
}

type lookHeap []*conn

func (h lookHeap) Len() int           { return len(h) }
func (h lookHeap) Less(i, j int) bool { return h[i].look.next.Load() < h[j].look.next.Load() }
func (h lookHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].look.index, h[j].look.index = i, j
}
func (h *lookHeap) Push(x any) {
	c := x.(*conn)
	c.look.index = len(*h)
	*h = append(*h, c)
}
func (h *lookHeap) Pop() any {
	old := *h
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return c
}
