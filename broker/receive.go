package broker

import (
	"context"
	"slices"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// ReceiveOptions say what Receive takes, and for how long.
type ReceiveOptions struct {
	Max   int           // records, at least 1; beyond 256 it is 256
	Lease time.Duration // how long they are the receiver's; at least 0
	Wait  time.Duration // for the first, where none is ready; 0: not at all
	Owner any           // must be the queue's, where that has one
}

// receiveBytes is about how much one Receive reads; one record may be longer.
const receiveBytes = 4 << 20

// Receive takes records until a deadline: those that are neither settled nor given a later
// one with Extend until then go back to their places, and a further Receive of them counts.
// That a record was received, how often, and until when survives restarts and kill -9; it
// is not waited for. What it takes is for Tx.Discard; for Tx.Settle, with no subscription,
// while the lease holds.
//
// Where nothing is ready it waits, for as long as the options say: receivers are served in
// the order in which they came, after subscriptions. It gives nothing, and no error, where
// nothing came. A context that ends before it returns takes nothing.
//
// A record that was received MaxReceives times is dead-lettered instead, unless the queue
// that is to get it is not there.
//
// Kinds: Invalid, NotFound (the queue is deleted, also meanwhile), Denied, Full (beyond
// Limits.Leases), Corrupt (where nothing else was taken), Closed, Storage.
func (q *Queue) Receive(ctx context.Context, o ReceiveOptions) ([]Delivery, error) {
	const op = "receive"
	if o.Max < 1 || o.Lease < 0 || o.Wait < 0 {
		return nil, fail(Invalid, op, q.String(), "%d records, for %v, within %v", o.Max, o.Lease, o.Wait)
	}
	if err := q.checkOwner(op, o.Owner); err != nil {
		return nil, err
	}
	q.shorten()
	r := &receiver{max: min(o.Max, assignWindow), ready: make(chan struct{}, 1)}
	r.until = q.b.config.Now().Add(o.Wait)
	for {
		if err := q.await(ctx, r); err != nil || len(r.taken) == 0 {
			return nil, q.opError(op, err)
		}
		if got, err := q.receive(ctx, r, o.Lease); err != nil || len(got) > 0 {
			return got, q.opError(op, err)
		}
	}
}

// opError names the queue in an error of the store or a context.
func (q *Queue) opError(op string, err error) error {
	if KindOf(err) != 0 {
		return err
	}
	return storeError(op, q.String(), err)
}

// receiver is a Receive that takes records, or waits for them. Once it is in the line all
// is guarded by the queue's mutex, until it is out of it again.
type receiver struct {
	max   int
	until time.Time
	ready chan struct{} // capacity 1: it is out of the line
	taken []assignment
	// spent says of each that it was received too often already.
	spent []bool
	turn  uint64
	err   error
	// awaited says that what was published before is on disk.
	awaited bool
	// unsorted says that nothing is ready before more is sorted into groups.
	unsorted bool
}

// receivers is what a queue has of those that receive from it, from the first of them on.
type receivers struct {
	leases    leaseHeap
	line      []*receiver // who waits for records, the first to come first
	receiving int         // records that were taken and are not leased yet
	away      []*receiver // who took them
}

// noReceivers is that of all queues that nobody has received from. It does not change.
var noReceivers receivers

func (q *Queue) makeReceiversLocked() {
	if q.receivers == &noReceivers {
		q.receivers = new(receivers)
	}
}

// await takes what is ready, or waits for it; with nothing taken its time is over.
func (q *Queue) await(ctx context.Context, r *receiver) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		waits, seq, coming, err := q.lineUp(r)
		switch {
		case waits: // and what r has taken is not for it to look at
			return q.waitInLine(ctx, r)
		case err != nil || len(r.taken) > 0:
			q.fill(ctx, r)
			return err
		case r.unsorted:
			if _, err := q.gather(ctx); err != nil {
				return err
			}
			continue // also where others have sorted it, and taken all: then its time is to be waited for
		case !coming:
			return nil
		}
		// What was published before comes, however long the disk takes.
		if err := q.b.usable(); err != nil {
			return err
		}
		if err := q.b.store.Await(ctx, seq); err != nil {
			return err
		}
		r.awaited = true
	}
}

// fill takes more for who has less than it asked for, where records are not sorted into
// their groups yet; it reads some of them.
func (q *Queue) fill(ctx context.Context, r *receiver) {
	for range fillPieces {
		if len(r.taken) == 0 || len(r.taken) >= r.max {
			return
		}
		if again, err := q.gather(ctx); !again || err != nil {
			return // what it has counts
		}
		q.mu.Lock()
		if !q.dead {
			q.arrivedLocked(r) // it goes on taking
			q.takeForLocked(r)
		}
		q.mu.Unlock()
	}
}

// fillPieces is how much one Receive reads for that.
const fillPieces = 4

// lineUp takes what is ready or, where time is left, stands in the line.
func (q *Queue) lineUp(r *receiver) (waits bool, seq storage.Seq, coming bool, err error) {
	if q.b.closed.Load() {
		return false, 0, false, storage.ErrClosed
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return false, 0, false, q.deletedLocked()
	}
	q.usedLocked()
	q.makeReceiversLocked()
	now := q.b.config.Now()
	q.endLeasesLocked(now.UnixMilli())
	q.dispatchLocked() // who came before is first
	r.taken, r.spent, r.unsorted = r.taken[:0], r.spent[:0], false
	if most := q.b.config.Limits.Leases; len(q.leases)+q.receiving >= most {
		return false, 0, false, fail(Full, "receive", q.String(), "%d records are leased, the limit is %d",
			len(q.leases), most)
	}
	if q.takeForLocked(r) {
		return false, 0, false, nil
	}
	if r.unsorted = q.toGatherLocked(); r.unsorted {
		return false, 0, false, nil
	}
	if now.Before(r.until) {
		q.line = append(q.line, r)
		q.alarmLocked(r.until)
		return true, 0, false, nil
	}
	return false, q.lastSeq, q.comingLocked(r.awaited), nil
}

// waitInLine waits for its turn, or for the end of its time, the queue's or the broker's.
func (q *Queue) waitInLine(ctx context.Context, r *receiver) (err error) {
	select {
	case <-r.ready:
	case <-ctx.Done():
		err = ctx.Err()
	case <-q.b.life.Done():
		err = storage.ErrClosed
	case <-q.b.store.Failed():
		err = q.b.store.Err()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leaveLineLocked(func(x *receiver) bool { return x == r })
	if err == nil {
		return r.err
	}
	q.arrivedLocked(r)
	q.untakeLocked(r.taken, r.turn)
	r.taken = nil
	q.dispatchLocked()
	return err
}

// serveLocked gives what is ready to who waits for it, in turn.
func (q *Queue) serveLocked() {
	for len(q.line) > 0 && q.takeForLocked(q.line[0]) {
		ring(q.line[0].ready)
		q.line[0] = nil
		q.line = q.line[1:]
	}
}

func (q *Queue) leaveLineLocked(who func(*receiver) bool) {
	if len(q.line) == 0 {
		return
	}
	if q.line = slices.DeleteFunc(q.line, who); len(q.line) == 0 {
		q.line = nil
	}
}

// takeForLocked takes what is ready, as far as the limit of leases allows.
func (q *Queue) takeForLocked(r *receiver) bool {
	n := min(r.max, q.b.config.Limits.Leases-len(q.leases)-q.receiving+len(r.taken))
	now, most := q.b.nowMillis(), q.settings.Load().maxReceives()
	for len(r.taken) < n {
		l := q.headLocked()
		if l == nil {
			break
		}
		for x, ok := l.take(), true; ok; x, ok = q.takeFollowingLocked(l, n-len(r.taken)) {
			known := l.received[x.off]
			r.spent = append(r.spent, known != nil && int64(known.receives) >= most)
			q.takeOneForLocked(r, l, x, now)
		}
	}
	r.turn = q.sizes.turn
	if len(r.taken) == 0 {
		return false
	}
	q.away = append(q.away, r)
	return true
}

// arrivedLocked says that nothing is on its way to a receiver any more.
func (q *Queue) arrivedLocked(r *receiver) {
	q.away = slices.DeleteFunc(q.away, func(x *receiver) bool { return x == r })
}

func (q *Queue) takeOneForLocked(r *receiver, l *lane, x returnedRecord, now int64) {
	a := assignment{lane: l, off: x.off, deliveries: x.deliveries, at: now,
		size: q.assignedSizeLocked(x.size)}
	if x.off >= l.waited {
		a.at = 0
	}
	q.leased++
	q.receiving++
	r.taken = append(r.taken, a)
	q.headMovedLocked()
}

// receive reads what was taken and leases it. What must not be delivered is settled.
func (q *Queue) receive(ctx context.Context, r *receiver, d time.Duration) ([]Delivery, error) {
	got, left, gone, err := q.readAll(r.taken)
	got, gone = q.partSpent(r, got, gone)
	got, late := q.handOver(ctx, r, got, left, d)
	if late != nil {
		err = late
	}
	if late := q.bury(gone); err == nil {
		err = late
	}
	if err != nil && len(got) > 0 { // who has something must be told of that, and not of this
		q.b.config.Logger.Error("records are not delivered, and did not leave",
			"queue", q.String(), "error", err)
		err = nil
	}
	return got, err
}

// handOver does the accounts of what was read, and leases it. Who does not wait for it any
// more gets nothing.
func (q *Queue) handOver(ctx context.Context, r *receiver, got []Delivery, left []assignment,
	d time.Duration) ([]Delivery, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.dispatchLocked()
	q.arrivedLocked(r)
	q.handedLocked(r.taken[:len(r.taken)-len(left)], r.turn)
	q.receiving -= len(r.taken) - len(left)
	q.untakeLocked(left, r.turn)
	err := ctx.Err()
	if q.dead {
		err = q.deletedLocked()
	}
	if err != nil {
		for i := range got {
			q.ungetLocked(got[i].ID)
		}
		return nil, err
	}
	if got, err = q.leaseLocked(got, d); err != nil {
		return nil, err // the store has failed, or is closing
	}
	q.deliveredLocked(nil, got)
	return got, nil
}

func (q *Queue) deletedLocked() error { return &Error{Kind: NotFound, Op: "receive", Name: q.String()} }

// partSpent takes what was received too often out of what was read: it is dead-lettered.
func (q *Queue) partSpent(r *receiver, got []Delivery, gone []lost) ([]Delivery, []lost) {
	if !slices.Contains(r.spent, true) || !q.deadLettersArrive() {
		return got, gone
	}
	live := got[:0]
	for i, at := 0, 0; i < len(got); i++ {
		for r.taken[at].id() != got[i].ID {
			at++
		}
		if r.spent[at] {
			body := int64(len(got[i].Record.Body))
			gone = append(gone, lost{id: got[i].ID, reason: DeliveryLimit, body: body})
		} else {
			live = append(live, got[i])
		}
	}
	return live, gone
}

// deadLettersArrive says whether dead letters that are for one queue find it: rather than be
// lost they stay where they are.
func (q *Queue) deadLettersArrive() bool {
	in := q.settings.Load()
	if in.DeadLetterTo != "" || in.DeadLetterKey == nil {
		return true
	}
	_, err := q.b.Queue(q.name.Namespace, *in.DeadLetterKey)
	return err == nil
}

// readAll reads what was taken, wherever it lies. The deliveries keep their memory.
func (q *Queue) readAll(as []assignment) (got []Delivery, left []assignment, gone []lost, err error) {
	left = as
	for bytes := 0; len(left) > 0 && bytes < receiveBytes; {
		n := 1
		for n < len(left) && left[n].lane == left[0].lane && left[n].off == left[n-1].off+1 {
			n++
		}
		var buf storage.Buffer
		at := len(got)
		more, rest, lost, failed := q.read(got, &buf, left[:n])
		got, gone = more, append(gone, lost...)
		if failed != nil {
			err = failed
		}
		for i := range got[at:] {
			bytes += len(got[at+i].Record.Body)
		}
		left = left[n-len(rest):]
	}
	return got, left, gone, err
}

// untakeLocked puts back what was taken and not read.
func (q *Queue) untakeLocked(as []assignment, turn uint64) {
	q.staleLocked(as, turn)
	for _, a := range as {
		q.leased--
		q.receiving--
		q.unassignLocked(a)
	}
	if len(as) > 0 {
		q.lookLocked()
	}
}

// endReceiversLocked ends all waits, and leases, of a queue that is deleted.
func (q *Queue) endReceiversLocked() {
	for _, r := range q.line {
		r.err = q.deletedLocked()
		ring(r.ready)
	}
	q.leaveLineLocked(func(*receiver) bool { return true })
	if len(q.leases) > 0 {
		q.leases = nil
	}
}

// passTimeLocked ends leases and waits whose time has come.
func (q *Queue) passTimeLocked(now time.Time) {
	q.endLeasesLocked(now.UnixMilli())
	q.dispatchLocked()
	q.leaveLineLocked(func(r *receiver) bool {
		over := !now.Before(r.until)
		if over {
			ring(r.ready)
		}
		return over
	})
}

// wantedLocked is when the first lease or wait ends; zero: never.
func (q *Queue) wantedLocked() (at time.Time) {
	if len(q.leases) > 0 {
		at = timeOf(q.leases[0].ends)
	}
	for _, r := range q.line {
		if at.IsZero() || r.until.Before(at) {
			at = r.until
		}
	}
	return at
}
