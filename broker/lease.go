package broker

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// A lease is a record that is a receiver's until a deadline. Of each record that Receive
// has handed out and that is not settled the queue knows how often that was, and when for
// the first time; on disk that is one key, written without waiting, that is deleted with
// the settle:
//
//	Receive            the lease ends, Extend 0        Receive     Discard, Settle
//	ready ---> leased -------------------------> ready ---> leased ---> gone
//	            |  ^ Extend                        |
//	            +--+                               +---> with Get or a subscription: no lease
//
// What comes back goes to its place in front, and so out again before anything newer:
// there are never many more of them than there are leases.

// receivedRecord is such a record. With its places in the map and heap, and without its key on
// disk, it takes at most 100 bytes.
type receivedRecord struct {
	lane     *lane
	off      Offset
	ends     int64  // ms; when the lease does
	first    int64  // ms; when it was received for the first time
	receive  uint32 // as DeliveryID has it, of the last Receive
	receives uint32
	index    int32 // in the heap of leases; notLeased
	// discarded while somebody else has it in hand: what becomes of it there is nothing
	// to the queue any more.
	discarded bool
}

const notLeased = -1

// ErrNotLeased is the detail, with kind NotFound, of an Extend whose delivery has no lease:
// it has ended, or the record is settled.
var ErrNotLeased = errors.New("it is not leased under this delivery")

// ErrSettled is the detail of an Extend whose record is settled, or was never received; it
// is an ErrNotLeased.
var ErrSettled = fmt.Errorf("%w: it is settled", ErrNotLeased)

// Extend sets when the lease of a delivery ends, from now; 0: it goes back at once. Like
// Receive it does not wait for the disk. Kinds: Invalid, NotFound (ErrNotLeased: it has no
// lease under this delivery; else the queue is gone), Closed, Storage.
func (q *Queue) Extend(id DeliveryID, d time.Duration) error {
	const op = "extend"
	if d < 0 {
		return fail(Invalid, op, q.String(), "lease of %v", d)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return &Error{Kind: NotFound, Op: op, Name: q.String()}
	}
	now := q.b.nowMillis()
	q.endLeasesLocked(now)
	defer q.dispatchLocked()
	r := q.receivedLocked(id)
	if r == nil || r.discarded {
		return &Error{Kind: NotFound, Op: op, Name: q.String(), Err: ErrSettled}
	}
	if r.index == notLeased || r.receive != id.Receive {
		return &Error{Kind: NotFound, Op: op, Name: q.String(), Err: ErrNotLeased}
	}
	if r.ends = now + d.Milliseconds(); d == 0 {
		r.ends = 0
	}
	var batch storage.Batch
	r.put(&batch)
	if batch.Empty() {
		return q.extendedLocked(r)
	}
	if _, err := q.b.store.Submit(&batch); err != nil {
		return storeError(op, q.String(), err)
	}
	return q.extendedLocked(r)
}

func (q *Queue) extendedLocked(r *receivedRecord) error {
	heap.Fix(&q.leases, int(r.index))
	if r.ends == 0 {
		q.endLeasesLocked(0)
		return nil
	}
	q.alarmLocked(timeOf(r.ends))
	return nil
}

// Discard settles a record that was received, whatever became of that lease: who has the
// record now, if anyone, has it for nothing. One that is settled already is no error. It is
// one of the settles of the Tx.
func (t *Tx) Discard(q *Queue, id DeliveryID) {
	t.Settle(q, nil, id, Accept)
	t.settles[len(t.settles)-1].discard = true
}

// DiscardLeased is Discard while the delivery has its lease: where that is over, and the record
// is not settled, it stays as it is. It returns the index for LeaseOver.
func (t *Tx) DiscardLeased(q *Queue, id DeliveryID) int {
	t.Discard(q, id)
	at := len(t.settles) - 1
	t.settles[at].leased = true
	return at
}

// LeaseOver says of a DiscardLeased, after Commit, that it did nothing.
func (t *Tx) LeaseOver(i int) bool { return t.settles[i].over }

// stageDiscard settles wherever the record is.
func (c *commit) stageDiscard(s *txSettle) {
	q, l := s.q, s.q.laneOf(s.id.Log)
	if l == nil || s.id.Offset >= l.next || l.settled.Has(s.id.Offset) {
		s.reason = 0 // it never was, or is gone
		return
	}
	if s.leased && q.leaseOverLocked(l, s.id) {
		s.over, s.reason = true, 0
		return
	}
	// Also where nothing is known of it: then it is on its way to be settled on disk, and
	// who waits for this Tx waits for that; or a power cut took what was known, and a
	// consumer that has it in hand goes on with it.
	l.settleLocked(&c.work.batch, s.id.Offset)
	r := l.received[s.id.Offset]
	switch {
	case r != nil && r.index != notLeased:
		q.unleaseLocked(r)
		q.leased--
		l.letGo(s.id.Offset)
	case q.takeBackLocked(l, s.id.Offset):
	case r != nil && !r.discarded:
		r.discarded = true
		q.counts.Accepted++
		r.delete(&c.work.batch)
		return
	default:
		s.reason = 0
		return
	}
	q.counts.Accepted++
	if r == nil && q.counted && l.durable {
		c.work.batch.Delete(deliveriesKey(l.log.ID(), s.id.Offset))
	}
	l.forgetLocked(&c.work.batch, s.id.Offset)
}

// leaseOverLocked says of a record that is not settled whether a delivery of it has no lease.
// Of one of which nothing is known see stageDiscard, unless it is back in its place.
func (q *Queue) leaseOverLocked(l *lane, id DeliveryID) bool {
	r := l.received[id.Offset]
	switch {
	case r == nil:
		return l.back.find(id.Offset, 0) >= 0 || l.groups != nil && l.groups.isBack(id.Offset)
	case r.discarded:
		return false
	}
	return !r.holds(id, q.b.nowMillis())
}

// takeBackLocked takes a record out of those that were returned.
func (q *Queue) takeBackLocked(l *lane, off Offset) bool {
	if l.groups != nil && l.groups.remove(off) {
		q.headMovedLocked()
		return true
	}
	r, ok := l.back.remove(off)
	if ok {
		q.uncountLocked(r.size)
		q.headMovedLocked()
	}
	return ok
}

// leaseLocked makes leases of what Receive hands out, one batch of the store for all, and
// returns them without those that were discarded on their way.
func (q *Queue) leaseLocked(got []Delivery, d time.Duration) (live []Delivery, err error) {
	var batch storage.Batch
	now := q.b.nowMillis()
	ends := now + d.Milliseconds()
	live = got[:0]
	for i := range got {
		l, off := q.laneOf(got[i].ID.Log), got[i].ID.Offset
		if l.dropDiscarded(off) {
			q.leased--
			l.letGo(off)
			continue
		}
		r := l.received[off]
		if r == nil {
			r = &receivedRecord{lane: l, off: off, first: now, index: notLeased}
			l.remember(r)
		}
		r.receive, r.ends = got[i].ID.Receive, ends
		r.receives++
		got[i].Receives, got[i].FirstReceive = r.receives, timeOf(r.first)
		r.put(&batch)
		heap.Push(&q.leases, r)
		live = append(live, got[i])
	}
	if len(live) > 0 {
		q.alarmLocked(timeOf(ends))
	}
	if !batch.Empty() {
		_, err = q.b.store.Submit(&batch)
	}
	return live, err
}

// endLeasesLocked gives back what was leased until now. The caller dispatches.
func (q *Queue) endLeasesLocked(now int64) {
	if len(q.leases) == 0 || q.leases[0].ends > now {
		return
	}
	for len(q.leases) > 0 && q.leases[0].ends <= now {
		r := q.leases[0]
		q.unleaseLocked(r)
		q.leased--
		q.returnLocked(r.lane, returnedRecord{off: r.off, deliveries: r.receive}, -1)
	}
	q.lookLocked() // it may be too much, or too old
}

func (q *Queue) unleaseLocked(r *receivedRecord) {
	heap.Remove(&q.leases, int(r.index))
	r.index = notLeased
	if len(q.leases) == 0 {
		q.leases = nil
	}
}

// receivedLocked is what is known of a record that was received.
func (q *Queue) receivedLocked(id DeliveryID) *receivedRecord {
	if l := q.laneOf(id.Log); l != nil {
		return l.received[id.Offset]
	}
	return nil
}

func (l *lane) remember(r *receivedRecord) {
	if l.received == nil {
		l.received = map[Offset]*receivedRecord{}
	}
	l.received[r.off] = r
}

// forgetLocked ends what is known of a record that is settled.
func (l *lane) forgetLocked(batch *storage.Batch, off Offset) {
	r := l.received[off]
	if r == nil {
		return
	}
	r.delete(batch)
	l.dropReceived(off)
}

func (l *lane) dropReceived(off Offset) {
	if delete(l.received, off); len(l.received) == 0 {
		l.received = nil // a burst must not hold memory for ever
	}
}

// discarded says whether a record was, while somebody has it in hand.
func (q *Queue) discarded(id DeliveryID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.receivedLocked(id)
	return r != nil && r.discarded
}

// dropDiscarded says that a record which somebody gives back was discarded meanwhile, and
// forgets that.
func (l *lane) dropDiscarded(off Offset) bool {
	r := l.received[off]
	if r == nil || !r.discarded {
		return false
	}
	l.dropReceived(off)
	return true
}

// settledReceived takes what was received out of the hands of who settles it now; gone
// says that it was discarded before.
func (c *commit) settledReceived(s *txSettle, l *lane) (gone bool) {
	r := l.received[s.id.Offset]
	if r == nil {
		return false
	}
	if r.index != notLeased {
		s.q.unleaseLocked(r)
	}
	switch {
	case r.discarded:
		s.reason = 0
		if s.outcome != Requeue { // else it is found when it comes back
			l.dropReceived(s.id.Offset)
		}
		return true
	case s.outcome == Requeue:
		r.receive, r.ends = s.id.Receive, 0
		r.put(&c.work.batch)
	default:
		l.forgetLocked(&c.work.batch, s.id.Offset)
	}
	return false
}

func (r *receivedRecord) put(batch *storage.Batch) {
	if r.lane.durable {
		batch.Put(deliveriesKey(r.lane.log.ID(), r.off), r.value())
	}
}

func (r *receivedRecord) delete(batch *storage.Batch) {
	if r.lane.durable {
		batch.Delete(deliveriesKey(r.lane.log.ID(), r.off))
	}
}

// value is that of family D, as docs/format-broker.md shows it.
func (r *receivedRecord) value() []byte {
	v := binary.AppendUvarint(deliveriesValue(r.receive), uint64(r.receives))
	return binary.AppendVarint(binary.AppendVarint(v, r.first), r.ends)
}

// recoverDeliveries finds how often a record was delivered before a restart, and whether it
// is leased still.
func (l *lane) recoverDeliveries(off Offset, value []byte, now int64) (
	deliveries uint32, leased bool, err error) {
	d := newDecoder(value)
	deliveries = uint32(d.uvarint())
	if len(d.b) > 0 {
		r := &receivedRecord{lane: l, off: off, receive: deliveries, index: notLeased}
		r.receives, r.first, r.ends = uint32(d.uvarint()), d.varint(), d.varint()
		l.remember(r)
		leased = r.ends > now
	}
	return deliveries, leased, d.end("deliveries")
}

// recoverLeases goes on with the leases that a restart left.
func (q *Queue) recoverLeases(now int64) {
	for _, l := range q.lanes {
		for _, r := range l.received {
			if r.ends > now {
				q.makeReceiversLocked()
				heap.Push(&q.leases, r)
				q.leased++
			}
		}
	}
}

// leaseHeap has the lease on top that ends first, of those that end together the first record's.
type leaseHeap []*receivedRecord

func (h leaseHeap) Len() int { return len(h) }
func (h leaseHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].ends, h[j].ends), cmp.Compare(h[i].off, h[j].off)) < 0
}
func (h leaseHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i), int32(j)
}
func (h *leaseHeap) Push(x any) {
	r := x.(*receivedRecord)
	r.index = int32(len(*h))
	*h = append(*h, r)
}
func (h *leaseHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return r
}
