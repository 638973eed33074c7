package broker

import (
	"fmt"
	"math"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Delivery is a record in someone's hands.
type Delivery struct {
	ID DeliveryID
	// Deliveries is how often it was handed out before; at least 1 where the record
	// may have been, before a crash.
	Deliveries uint32
	// Receives is how often Receive handed it out, this time included, and FirstReceive
	// when it first did; set by Receive only.
	Receives     uint32
	FirstReceive time.Time
	// Ready is how many records the queue had behind it; set by Get only.
	Ready  int64
	Record QueueRecord
}

// DeliveryID names one delivery of one record. It stays valid over a restart.
type DeliveryID struct {
	Log     storage.LogID
	Offset  Offset
	Receive uint32 // counted from 1
}

// takeBytes bounds what one Take reads; one record may be longer.
const takeBytes = 256 << 10

// Take appends to dst records that are assigned to the subscription and lie side by
// side in the queue: at most max of them, and where one is long at most takeBytes
// beside it. It does not wait; call it until it gives nothing. Properties and bodies
// are valid until the next Take. For one goroutine at a time.
//
// Records whose time has run out are not among them: those are dead-lettered. With
// AutoAccept everything taken is settled. Kinds: Corrupt (the damaged record is
// passed over and named), NotFound (the subscription has ended), Closed, Storage.
func (s *Subscription) Take(dst []Delivery, max int) ([]Delivery, error) {
	var room [assignWindow]assignment
	n := len(dst)
	for {
		taken, err := s.takeRun(room[:min(max, assignWindow)])
		if err != nil || len(taken) == 0 {
			return dst, err
		}
		// A run of which nothing is left is not the end: who is told so waits.
		if dst, err = s.takeThese(dst, taken); err != nil || len(dst) > n {
			return dst, err
		}
	}
}

// takeRun takes what lies side by side from what is assigned.
func (s *Subscription) takeRun(room []assignment) ([]assignment, error) {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	if s.ended {
		return nil, &Error{Kind: NotFound, Op: "take", Name: s.q.String()}
	}
	s.turn = s.q.sizes.turn
	return room[:s.assigned.takeRun(room)], nil
}

func (s *Subscription) takeThese(dst []Delivery, taken []assignment) ([]Delivery, error) {
	q, n := s.q, len(dst)
	dst, left, gone, err := q.read(dst, &s.buf, taken)
	s.buried = s.buried || len(gone) > 0
	s.took(dst[n:], taken[:len(taken)-len(left)], left)
	if late := q.bury(gone); err == nil {
		err = late
	}
	if late := s.autoAccept(dst[n:]); err == nil {
		err = late
	}
	return dst, err
}

// took does the accounts of a take: what was not read stays assigned, and what was
// passed over, because it is gone or damaged, takes no credit.
func (s *Subscription) took(got []Delivery, read, left []assignment) {
	q := s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	q.handedLocked(read, s.turn)
	q.staleLocked(left, s.turn)
	if s.ended { // meanwhile: Close saw only what was still assigned
		for _, a := range left {
			s.giveBackLocked(a)
		}
		q.lookLocked()
	} else {
		s.assigned.untake(left)
	}
	for range len(read) - len(got) {
		s.releaseCredit()
	}
	q.deliveredLocked(s, got)
	q.dispatchLocked()
}

func (q *Queue) deliveredLocked(s *Subscription, got []Delivery) {
	q.counts.Delivered += uint64(len(got))
	for i := range got {
		if got[i].Deliveries > 0 {
			q.counts.Redelivered++
		}
	}
	q.tellDeliveredLocked(s, got)
}

func (s *Subscription) autoAccept(got []Delivery) error {
	if !s.opts.AutoAccept || len(got) == 0 {
		return nil
	}
	tx := s.q.b.Begin()
	for i := range got {
		tx.Settle(s.q, s, got[i].ID, Accept)
	}
	_, err := tx.Commit(s.q.b.life)
	return err
}

// lost is a record that was handed out and must not be delivered.
type lost struct {
	id     DeliveryID
	reason DeathReason // 0: it is gone without a trace
	body   int64       // length of its body
	hole   bool        // a repair gave it up
}

// read reads assigned records that lie side by side; left are those it did not
// come to. A damaged one is passed over: it stays leased, for an operator to see. What
// a repair gave up is gone.
func (q *Queue) read(dst []Delivery, buf *storage.Buffer, as []assignment) (
	got []Delivery, left []assignment, gone []lost, err error) {
	l := as[0].lane
	if err = l.log.Read(buf, as[0].off, l.expect(len(as))); storeKind(err) == OutOfRange {
		return dst, as[1:], []lost{{id: as[0].id()}}, nil // it was discarded meanwhile
	} else if err != nil {
		if storeKind(err) == Corrupt {
			q.passOver(l, as[0].off)
		}
		return dst, as[1:], nil, storeError("take", fmt.Sprintf("%s@%d", q, as[0].off), err)
	}
	l.learn(buf.Entries)
	n := 0
	gone = appendHoles(gone, as, &n, holeEnd(buf.Entries, 0))
	for i, e := range buf.Entries {
		if n == len(as) || e.Base != as[n].off {
			break
		}
		a := &as[n]
		n++
		d := Delivery{ID: a.id(), Deliveries: a.deliveries}
		var old bool
		if d.Record, old, err = decodeQueueRecord(e.Bytes, q.b.start); err != nil {
			q.passOver(l, a.off)
			return dst, as[n:], gone, storeError("take", fmt.Sprintf("%s@%d", q, a.off), err)
		}
		body := int64(len(d.Record.Body))
		if old {
			body = 0
		}
		if a.size != uncounted {
			a.size = knownSize(body)
		}
		switch {
		case old:
			gone = append(gone, lost{id: d.ID})
		case q.expired(&d.Record, a.at):
			gone = append(gone, lost{id: d.ID, reason: Expired, body: body})
		default:
			dst = append(dst, d)
		}
		if i+1 < len(buf.Entries) {
			gone = appendHoles(gone, as, &n, holeEnd(buf.Entries, i+1))
		}
	}
	return dst, as[n:], gone, nil
}

// holeEnd is where the entries go on from one on; where there is none nothing does.
func holeEnd(entries []storage.View, i int) Offset {
	if i == len(entries) {
		return math.MaxInt64
	}
	return entries[i].Base
}

// appendHoles passes over assigned records before an offset, where the log goes on.
func appendHoles(gone []lost, as []assignment, n *int, to Offset) []lost {
	for ; *n < len(as) && as[*n].off < to; *n++ {
		a := &as[*n]
		if a.size != uncounted {
			a.size = knownSize(0)
		}
		gone = append(gone, lost{id: a.id(), hole: true})
	}
	return gone
}

// id names the delivery that the assignment becomes.
func (a *assignment) id() DeliveryID {
	return DeliveryID{a.lane.log.ID(), a.off, a.deliveries + 1}
}

// leastRead is what a read of one short record costs anyway.
const leastRead = 1 << 10

// expect is how many bytes n records of the lane take, about: a consumer that settles
// one record at a time gets one at a time, and reading far beyond it would be most of
// the work. What was too little is read by the next Take.
func (l *lane) expect(n int) int {
	return int(min(max(int64(n)*l.typical.Load()*5/4, leastRead), takeBytes))
}

// learn follows the size of the lane's records.
func (l *lane) learn(read []storage.View) {
	size := int64(0)
	for i := range read {
		size += entryOverhead + int64(len(read[i].Bytes))
	}
	if n := int64(len(read)); n > 0 {
		l.typical.Store((3*l.typical.Load() + size/n) / 4)
	}
}

// entryOverhead is what the store adds to each record.
const entryOverhead = 44

// expired says whether a record's time had run out when it was assigned. One that
// found a taker at once, at 0, has not waited at all.
func (q *Queue) expired(r *QueueRecord, at int64) bool {
	expires, ok := q.expiry(r)
	return ok && at > 0 && expires <= at
}

// expiry is when a record's time runs out, in ms: by its own or by the queue's
// time to live, whichever is less.
func (q *Queue) expiry(r *QueueRecord) (ms int64, ok bool) {
	if !r.Expires.IsZero() {
		ms, ok = r.Expires.UnixMilli(), true
	}
	if ttl := q.settings.Load().TTL; ttl != nil {
		if by := r.Time.Add(*ttl).UnixMilli(); !ok || by < ms {
			ms, ok = by, true
		}
	}
	if by, retained := q.retention(r); retained && (!ok || by < ms) {
		ms, ok = by, true
	}
	return ms, ok
}

// retention is when a record is too old for the queue, in ms.
func (q *Queue) retention(r *QueueRecord) (ms int64, ok bool) {
	d := q.settings.Load().Retention
	return r.Time.Add(d).UnixMilli(), d > 0
}
