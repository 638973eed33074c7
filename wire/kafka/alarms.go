package kafka

import (
	"container/heap"
	"sync"
	"time"
)

// alarm is something that a group does at a time unless it is put off: a member's session
// ends, a rebalance has waited long enough.
type alarm struct {
	group *group
	ring  func() // called with the group's lock

	due time.Time // zero while it is off; guarded by the group's lock

	// at and index belong to alarms.
	at    time.Time
	index int // in the heap, -1 while not there
}

func newAlarm(g *group, ring func()) *alarm { return &alarm{group: g, ring: ring, index: -1} }

// alarms rings the alarms of all groups, from one goroutine.
//
// Setting an alarm and ringing it race: the goroutine has taken an alarm from the heap, and
// before it gets the group's lock a heartbeat puts the alarm off. That is why an alarm keeps
// its due time under the group's lock as well, and rings only if that has passed.
type alarms struct {
	wake chan struct{} // capacity 1: the first alarm has changed
	done chan struct{}
	loop sync.WaitGroup

	mu   sync.Mutex
	heap alarmHeap
}

func newAlarms() *alarms {
	return &alarms{wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (c *alarms) start() { c.loop.Go(c.run) }

// close ends the goroutine and waits for it. No alarm rings afterwards.
func (c *alarms) close() {
	close(c.done)
	c.loop.Wait()
}

// set makes a ring at a time, instead of any earlier setting.
func (c *alarms) set(a *alarm, at time.Time) {
	c.mu.Lock()
	a.at = at
	if a.index < 0 {
		heap.Push(&c.heap, a)
	} else {
		heap.Fix(&c.heap, a.index)
	}
	first := c.heap[0] == a
	c.mu.Unlock()
	if first {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

func (c *alarms) stop(a *alarm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.index >= 0 {
		heap.Remove(&c.heap, a.index)
	}
}

// run rings what is due until close.
func (c *alarms) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, next := c.take(time.Now())
		for _, a := range due {
			a.strike()
		}
		if len(due) > 0 {
			continue // ringing takes time, and sets alarms
		}
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-c.wake:
		case <-c.done:
			return
		}
	}
}

// take removes the alarms that are due, and says when to look again.
func (c *alarms) take(now time.Time) (due []*alarm, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.heap) > 0 && !c.heap[0].at.After(now) {
		due = append(due, heap.Pop(&c.heap).(*alarm))
	}
	if len(c.heap) > 0 {
		return due, c.heap[0].at
	}
	return due, now.Add(time.Hour)
}

// strike rings the alarm if it is still due.
func (a *alarm) strike() {
	a.group.lock()
	defer a.group.unlock()
	if !a.due.IsZero() && !time.Now().Before(a.due) {
		a.due = time.Time{}
		a.ring()
	}
}

// alarmHeap is ordered by time, for container/heap.
type alarmHeap []*alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *alarmHeap) Push(x any) {
	a := x.(*alarm)
	a.index = len(*h)
	*h = append(*h, a)
}

func (h *alarmHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.index = -1
	return a
}
