package broker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// deadLetter reads a record that leaves the queue unaccepted, and makes of it what
// goes to the dead letter exchange. ok is false where it cannot be found any more.
func (q *Queue) deadLetter(s *txSettle, in *QueueSettings, now int64) (rec QueueRecord, ok bool, err error) {
	l := q.laneOf(s.id.Log)
	if l == nil {
		return rec, false, nil
	}
	var buf storage.Buffer // it is the record's until the commit: not given back
	if err := l.log.Read(&buf, s.id.Offset, 1); err != nil {
		if k := storeKind(err); k == NotFound || k == OutOfRange {
			return rec, false, nil // the queue was deleted, or the record discarded
		}
		return rec, false, storeError("dead-letter", q.String(), err)
	}
	if len(buf.Entries) == 0 || buf.Entries[0].Base != s.id.Offset {
		return rec, false, nil
	}
	rec, gone, err := decodeQueueRecord(buf.Entries[0].Bytes, q.b.start)
	if err != nil {
		return rec, false, storeError("dead-letter", q.String(), err)
	}
	if gone {
		return rec, false, nil // it was transient, and of an earlier start
	}
	if ms, ok := q.retention(&rec); ok && s.reason == Expired && ms <= now {
		return rec, false, nil
	}
	receives, first := q.receivesOf(s.id)
	rec.die(q, in, s.reason, now)
	rec.Deaths[0].received(receives, first)
	return rec, true, nil
}

// receivesOf is how often a record was received, and when first.
func (q *Queue) receivesOf(id DeliveryID) (n uint32, first time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.receivedLocked(id); r != nil {
		return r.receives, timeOf(r.first)
	}
	return 0, time.Time{}
}

// received counts receives that led to the death.
func (d *Death) received(n uint32, first time.Time) {
	if d.Receives == 0 {
		d.FirstReceive = first
	}
	d.Receives += n
}

// die notes a death and readies the record for the dead letter exchange: by
// RabbitMQ's rules its own time to live ends, and a dead letter key replaces all
// keys it had.
func (r *QueueRecord) die(q *Queue, in *QueueSettings, reason DeathReason, now int64) {
	death := Death{Reason: reason, Queue: q.name.Name, Count: 1, Time: r.deathTime(now),
		Exchange: r.Exchange, Keys: append([]string{r.Key}, r.CC...), Expiration: -1}
	if !r.Expires.IsZero() {
		death.Expiration = r.Expires.Sub(r.Time)
	}
	r.Deaths = slices.Clone(r.Deaths)
	if at := slices.IndexFunc(r.Deaths, func(d Death) bool {
		return d.Queue == death.Queue && d.Reason == reason
	}); at >= 0 {
		death = r.Deaths[at]
		death.Count++
		r.Deaths = slices.Delete(r.Deaths, at, at+1)
	}
	r.Deaths = slices.Insert(r.Deaths, 0, death)
	if len(r.Deaths) > maxDeaths {
		r.Deaths = r.Deaths[:maxDeaths]
	}
	r.Expires, r.BCC = time.Time{}, nil
	if in.MaxReceives == nil || reason != DeliveryLimit || in.Groups == OrderedGroups {
		r.Time = time.Time{}
	}
	r.Exchange = in.DeadLetterTo
	if key := in.DeadLetterKey; key != nil {
		r.Key, r.CC = *key, nil
	}
}

// deathTime is now, in milliseconds, but later than all deaths before: so their order
// is told.
func (r *QueueRecord) deathTime(now int64) time.Time {
	at := timeOf(now)
	for i := range r.Deaths {
		if t := r.Deaths[i].Time; !t.Before(at) {
			at = t.Add(time.Millisecond)
		}
	}
	return at
}

// maxDeaths bounds what a record remembers: the oldest is forgotten.
const maxDeaths = 256

// cycles says whether a dead letter that would reach a queue has been there with
// nobody rejecting it since, or receiving it too often: it would go round for ever by itself.
func (r *QueueRecord) cycles(queue string) bool {
	for i := range r.Deaths {
		switch d := &r.Deaths[i]; {
		case d.Reason == Rejected, d.Reason == DeliveryLimit && d.Receives > 0:
			return false
		case d.Queue == queue:
			return true
		}
	}
	return false
}

// refusedRecord is one that a full queue refuses, and asks to be dead-lettered.
type refusedRecord struct {
	q   *Queue
	rec QueueRecord
}

// buryRefused dead-letters what full queues have refused, in a commit of its own: where
// it goes was not known, and so not locked, when the queue was found full. Where that
// fails the publisher has heard of the refusal all the same.
func (t *Tx) buryRefused(ctx context.Context) {
	if len(t.refused) == 0 {
		return
	}
	tx := t.b.Begin()
	for _, r := range t.refused {
		s := r.q.settings.Load()
		x, err := t.b.Exchange(r.q.name.Namespace, s.DeadLetterTo)
		if err != nil {
			continue // an exchange that is not there takes no dead letters
		}
		r.rec.die(r.q, s, MaxLength, t.b.nowMillis())
		tx.publishes = append(tx.publishes,
			txPublish{x: x, rec: r.rec, result: -1, from: r.q, reason: MaxLength})
	}
	if _, err := tx.Commit(ctx); err != nil {
		t.b.config.Logger.Warn("what a full queue refused is no dead letter", "error", err)
	}
}

// bury dead-letters records that were handed out and must not be delivered. Where that
// cannot be now they go back to their places, except for a damaged one: it is passed
// over as Take does.
func (q *Queue) bury(gone []lost) error {
	if len(gone) == 0 {
		return nil
	}
	tx := q.b.Begin()
	for _, l := range gone {
		tx.bury(q, l)
	}
	_, err := tx.Commit(q.b.life)
	switch {
	case KindOf(err) != Corrupt:
		if err != nil {
			q.unlose(gone)
		}
	case len(gone) > 1: // one of them is damaged
		err = nil
		for i := range gone {
			err = cmp.Or(err, q.bury(gone[i:i+1]))
		}
	}
	return err
}

func (q *Queue) unlose(gone []lost) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, x := range gone {
		q.leased--
		r := returnedRecord{off: x.id.Offset, deliveries: x.id.Receive - 1}
		q.returnLocked(q.laneOf(x.id.Log), r, x.body)
	}
}
