package broker

import (
	"sync"

	"github.com/tidings-io/tidings/storage"
)

// Records are handed out by whoever changes something: the deliver loop when
// appends have become durable, a subscription that takes, settles, begins or
// ends. It costs no goroutine per queue and reads nothing: assigning is moving a
// number from the queue to a subscription.

// dispatchLocked assigns what is ready to subscriptions with credit, in turn.
func (q *Queue) dispatchLocked() {
	if q.dead {
		return
	}
	if len(q.subs) > 0 {
		q.assignLocked()
	}
	q.serveLocked()
	for _, l := range q.lanes {
		_, l.waited, _ = l.log.Bounds()
		if l.groups != nil {
			q.gatherSoonLocked(l)
		}
	}
}

func (q *Queue) assignLocked() {
	now := q.b.nowMillis()
	for l := q.headLocked(); l != nil; l = q.headLocked() {
		s := q.nextTakerLocked()
		if s == nil {
			return
		}
		r := l.take()
		a := assignment{lane: l, off: r.off, deliveries: r.deliveries, at: now,
			size: q.assignedSizeLocked(r.size)}
		if r.off >= l.waited {
			a.at = 0
		}
		q.leased++
		s.assigned.push(a)
		if s.assigned.len() == 1 {
			ring(s.opts.Wake)
		}
		q.headMovedLocked()
	}
}

// headMovedLocked has the deliver loop look at the new head, where that may expire
// before the old one would have.
func (q *Queue) headMovedLocked() {
	if q.expiring {
		q.lookLocked()
	}
}

// lookLocked has the deliver loop see whether records must leave by themselves.
func (q *Queue) lookLocked() {
	if q.bounded() {
		q.announceLocked(0)
	}
}

// headLocked is the lane of the next record to hand out: the one of the highest
// priority that has any on disk.
func (q *Queue) headLocked() *lane {
	for _, l := range q.lanes {
		if l.groups != nil {
			if q.groupReadyLocked(l) {
				return l
			}
		} else if len(l.back) > 0 || l.next < q.readable(l) {
			return l
		}
	}
	return nil
}

// readable is how far a lane may be handed out: what is on disk, and noted as such.
func (q *Queue) readable(l *lane) Offset {
	_, durable, _ := l.log.Bounds()
	if !l.durable {
		return durable
	}
	if to := min(l.end, l.next+stride/2); to > l.marking {
		q.markAhead(l, to)
	}
	if l.marking > l.marked && q.b.store.Durable() >= l.markSeq {
		l.marked = l.marking
	}
	return min(durable, l.marked)
}

// markAhead notes on disk that a stride more may have been handed out, before it
// is. Where that fails the store has: its error reaches everyone.
func (q *Queue) markAhead(l *lane, to Offset) {
	var batch storage.Batch
	to += stride
	batch.Put(handedKey(l.log.ID()), handedValue(to))
	seq, err := q.b.store.Submit(&batch)
	if err != nil {
		return
	}
	if l.marking > l.marked && q.b.store.Durable() >= l.markSeq {
		l.marked = l.marking
	}
	l.marking, l.markSeq = to, seq
	q.announceLocked(seq)
}

// take removes the next record from a lane that has one.
func (l *lane) take() returnedRecord {
	if l.groups != nil {
		return l.groups.take(l.groups.first())
	}
	return l.takeNext()
}

// takeNext is take in the order of publishes.
func (l *lane) takeNext() returnedRecord {
	if len(l.back) > 0 && l.back.top().off < l.next {
		return l.back.pop()
	}
	off := l.next
	l.next++
	l.skipLocked()
	return returnedRecord{off: off, size: l.sizeAt(off)}
}

// nextTakerLocked returns the subscription whose turn it is and that has credit,
// with credit taken.
func (q *Queue) nextTakerLocked() *Subscription {
	if q.spec.Settings.SingleActive {
		if s := q.subs[0]; s.acquire() {
			return s
		}
		return nil
	}
	for from := 0; from < len(q.subs); {
		to := from + 1
		for to < len(q.subs) && q.subs[to].opts.Priority == q.subs[from].opts.Priority {
			to++
		}
		for i := range to - from {
			s := q.subs[from+(q.turn+i)%(to-from)]
			if s.acquire() {
				q.turn += i + 1
				return s
			}
		}
		from = to
	}
	return nil
}

// deliverLoop hands out what has become durable. One goroutine for all queues.
type deliverLoop struct {
	mu   sync.Mutex
	list []announced
	wake chan struct{} // capacity 1: something was announced
	disk chan struct{} // capacity 1: the store's answer to Notify

	asked storage.Seq // for which Notify was asked; owned by the loop
}

// announced is a queue that wants a look when a frame is durable. Each is in the
// list once.
type announced struct {
	q   *Queue
	seq storage.Seq
}

func newDeliverLoop() *deliverLoop {
	return &deliverLoop{wake: make(chan struct{}, 1), disk: make(chan struct{}, 1)}
}

func (q *Queue) announceLocked(seq storage.Seq) {
	q.lastSeq = max(q.lastSeq, seq)
	if q.announce {
		return
	}
	q.announce = true
	d := q.b.deliver
	d.mu.Lock()
	d.list = append(d.list, announced{q, seq})
	d.mu.Unlock()
	ring(d.wake)
}

func (b *Broker) runDeliverLoop() {
	d := b.deliver
	for {
		select {
		case <-d.wake:
		case <-d.disk:
		case <-b.life.Done():
			return
		case <-b.store.Failed():
			return
		}
		durable := b.store.Durable()
		for _, a := range d.due(durable) {
			a.q.announcedDurable(durable)
		}
		if next, ok := d.next(); ok && (next < d.asked || d.asked <= durable) {
			d.asked = next
			b.store.Notify(d.disk, next)
		}
	}
}

// due takes the announcements up to a sequence. They are in no strict order: a
// queue's may be submitted before and announced after another's.
func (d *deliverLoop) due(durable storage.Seq) (due []announced) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rest := d.list[:0]
	for _, a := range d.list {
		if a.seq <= durable {
			due = append(due, a)
		} else {
			rest = append(rest, a)
		}
	}
	clear(d.list[len(rest):])
	d.list = rest
	return due
}

func (d *deliverLoop) next() (seq storage.Seq, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.list {
		if !ok || a.seq < seq {
			seq, ok = a.seq, true
		}
	}
	return seq, ok
}

func (q *Queue) announcedDurable(durable storage.Seq) {
	q.mu.Lock()
	q.announce = false
	if q.lastSeq > durable {
		q.announceLocked(q.lastSeq)
	}
	q.dispatchLocked()
	grouped := q.groupedLocked()
	q.mu.Unlock()
	if grouped {
		q.gatherForOthers()
	}
	q.tidy()
}

// ring tells a channel of capacity 1 without waiting: one that is full was told.
func ring(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
