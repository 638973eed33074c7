package broker

import (
	"container/heap"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// ReceiveAgain gives once more what a Receive gave: the same deliveries, whose leases begin
// anew. It is for a receiver that has not heard of them, and counts as no receive. All of them
// must have their leases. Kinds: Invalid, NotFound (ErrNotLeased, or the queue is gone),
// Corrupt, Closed, Storage.
func (q *Queue) ReceiveAgain(ids []DeliveryID, d time.Duration) ([]Delivery, error) {
	const op = "receive again"
	if d < 0 {
		return nil, fail(Invalid, op, q.String(), "lease of %v", d)
	}
	known, as, err := q.leaseAgain(ids, d)
	if err != nil {
		return nil, q.opError(op, err)
	}
	got, _, _, err := q.readAll(as)
	if err != nil {
		return nil, q.opError(op, err)
	}
	for i := range got {
		r := known[got[i].ID]
		got[i].Receives, got[i].FirstReceive = r.receives, timeOf(r.first)
	}
	return got, nil
}

// leaseAgain begins the leases anew. It returns what was known of them then.
func (q *Queue) leaseAgain(ids []DeliveryID, d time.Duration) (
	known map[DeliveryID]receivedRecord, as []assignment, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return nil, nil, q.deletedLocked()
	}
	now := q.b.nowMillis()
	all := make([]*receivedRecord, len(ids))
	for i, id := range ids {
		if all[i] = q.receivedLocked(id); !all[i].holds(id, now) {
			return nil, nil, &Error{Kind: NotFound, Op: "receive again", Name: q.String(), Err: ErrNotLeased}
		}
	}
	var batch storage.Batch
	known = make(map[DeliveryID]receivedRecord, len(ids))
	for i, r := range all {
		r.ends = now + d.Milliseconds()
		r.put(&batch)
		heap.Fix(&q.leases, int(r.index))
		known[ids[i]] = *r
		as = append(as, assignment{lane: r.lane, off: r.off, deliveries: r.receive - 1})
	}
	if len(all) > 0 {
		q.alarmLocked(timeOf(now + d.Milliseconds()))
	}
	if !batch.Empty() {
		_, err = q.b.store.Submit(&batch)
	}
	return known, as, err
}

// holds says whether a delivery of the record has a lease.
func (r *receivedRecord) holds(id DeliveryID, now int64) bool {
	return r != nil && r.index != notLeased && r.receive == id.Receive && r.ends > now
}
