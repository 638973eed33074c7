package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// Publish puts all events of a call on disk in one step: after a crash all are there or none. An
// event that cannot be published, by itself, keeps none of the others back; the *PublishError
// names it. Topics and addresses are made where they are missing.
func (t *Transport) Publish(ctx context.Context, events ...tidings.Event) error {
	return t.publish(ctx, time.Time{}, events)
}

// PublishAt is Publish at a time: the events wait on disk, and are published exactly once, a while
// later where the broker does not run then. Events of a topic wait in the queue
// "tidings.scheduled", and it takes an open Transport of the namespace to publish them.
func (t *Transport) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	if !at.After(time.Now()) {
		at = time.Time{}
	}
	return t.publish(ctx, at, events)
}

func (t *Transport) publish(ctx context.Context, at time.Time, events []tidings.Event) error {
	if len(events) == 0 {
		return nil
	}
	if t.life.Err() != nil {
		return tidings.ErrClosed
	}
	d := t.drafts.Get().(*draft)
	defer t.putDraft(d)
	var confirm broker.Confirm
	err := error(nil)
	for range tries {
		d.addAll(ctx, at, events)
		if confirm, err = d.commit(ctx); !errors.Is(err, broker.NotFound) {
			break
		}
		d.reset() // a topic or address went meanwhile
	}
	if err == nil {
		err = confirm.Wait(ctx)
	}
	return d.outcome(failure(err), len(events))
}

// tries is how often a publish finds its topics and addresses, some of which others delete.
const tries = 3

// draft is events on their way to the broker, and its memory for later ones.
type draft struct {
	t *Transport
	scratch
	batches  []batch
	messages []sending
	raw      []byte
	turn     uint32 // of events without a key
	turned   bool
	failed   []int // indexes of events, as they were found
	err      error // of the first of them
	first    int
}

// batch is events of one partition.
type batch struct {
	p      *broker.Partition
	recs   []broker.Record
	events []int
	size   int // at most
	limit  int
}

// sending is an event for a queue, now or later.
type sending struct {
	q   *broker.Queue
	rec broker.QueueRecord
	at  time.Time
}

// What is kept of a draft's memory for the next one, in bytes and records.
const (
	keptBytes   = 1 << 20
	keptRecords = 1 << 10
)

func (t *Transport) putDraft(d *draft) {
	d.reset()
	if cap(d.raw) <= keptBytes && cap(d.text) <= keptBytes && cap(d.headers) <= 16*keptRecords {
		t.drafts.Put(d)
	}
}

func (d *draft) reset() {
	d.scratch.reset()
	for i := range d.batches {
		b := &d.batches[i]
		clear(b.recs)
		*b = batch{recs: b.recs[:0], events: b.events[:0]}
		if cap(b.recs) > keptRecords {
			*b = batch{}
		}
	}
	clear(d.messages)
	d.batches, d.messages, d.raw = d.batches[:0], d.messages[:0], d.raw[:0]
	d.failed, d.err, d.turned = nil, nil, false
}

func (d *draft) addAll(ctx context.Context, at time.Time, events []tidings.Event) {
	for i := range events {
		if err := d.add(ctx, i, &events[i], at); err != nil {
			d.fail(i, failure(err))
		}
	}
}

func (d *draft) fail(i int, err error) {
	if d.err == nil || i < d.first {
		d.err, d.first = err, i
	}
	d.failed = append(d.failed, i)
}

func (d *draft) add(ctx context.Context, i int, e *tidings.Event, at time.Time) error {
	if err := e.Check(); err != nil {
		return err
	}
	switch {
	case e.Topic == "":
		return errNoTopic
	case e.Kind != tidings.KindEvent:
		return d.send(ctx, e, at)
	case !at.IsZero():
		return d.schedule(ctx, e, at)
	}
	topic, err := d.t.topic(ctx, e.Topic)
	if err != nil {
		return err
	}
	rec := d.record(e)
	b := d.batch(topic, d.place(topic, rec.Key), recordBound(&rec))
	b.recs, b.events = append(b.recs, rec), append(b.events, i)
	return nil
}

// send adds a command or a reply.
func (d *draft) send(ctx context.Context, e *tidings.Event, at time.Time) (err error) {
	q, err := d.t.b.Queue(d.t.c.Namespace, e.Topic)
	switch {
	case err != nil && e.Kind == tidings.KindReply:
		return fmt.Errorf("%w: %s", tidings.ErrUnroutable, e.Topic)
	case err != nil:
		if q, err = d.t.address(ctx, e.Topic, nil); err != nil {
			return err
		}
	}
	rec := d.message(e.Topic, e, 0)
	most := d.t.eventBytes(nil)
	if e.IsCopy() {
		most = d.t.batchBytes(nil)
	}
	if size := len(rec.Body) + len(rec.Props); size > most {
		return fmt.Errorf("%w: %d bytes", tidings.ErrTooLarge, size)
	}
	d.messages = append(d.messages, sending{q, rec, at})
	return nil
}

// place is the partition of a key, as Kafka's clients choose it. Without a key the events of one
// call stay together.
func (d *draft) place(topic *broker.Topic, key []byte) *broker.Partition {
	n := topic.Partitions()
	if key != nil {
		return topic.Partition(broker.KeyPartition(key, n))
	}
	if !d.turned {
		d.turn, d.turned = d.t.turn.Add(1), true
	}
	return topic.Partition(int(d.turn % uint32(n)))
}

// batch is where the next record of a partition goes, of at most so many bytes.
func (d *draft) batch(topic *broker.Topic, p *broker.Partition, size int) *batch {
	for i := len(d.batches) - 1; i >= 0; i-- {
		if b := &d.batches[i]; b.p == p {
			if b.size+size > b.limit {
				break
			}
			b.size += size
			return b
		}
	}
	if n := len(d.batches); n < cap(d.batches) {
		d.batches = d.batches[:n+1] // with the memory of an earlier one
	} else {
		d.batches = append(d.batches, batch{})
	}
	b := &d.batches[len(d.batches)-1]
	b.p, b.size, b.limit = p, batchBytes+size, d.t.eventBytes(topic)
	return b
}

// batchBytes is the largest batch that a topic takes; nil is any.
func (t *Transport) batchBytes(topic *broker.Topic) int {
	var config broker.TopicConfig
	if config = t.c.Topic; topic != nil {
		config = topic.Config()
	}
	return cmp.Or(config.BatchBytes, t.b.Limits().BatchBytes)
}

// eventBytes is the largest batch of events, so that a copy of one has room.
func (t *Transport) eventBytes(topic *broker.Topic) int {
	most := t.batchBytes(topic)
	return most - min(tidings.CopyBytes, most/2)
}

// commit hands everything to the broker. It does not wait for the disk.
func (d *draft) commit(ctx context.Context) (broker.Confirm, error) {
	tx := d.t.b.Begin()
	defer tx.Release()
	n, err := d.enlist(tx)
	if err != nil || n == 0 {
		return broker.Confirm{}, err
	}
	return tx.Commit(ctx)
}

// enlist adds everything to a Tx, and says how much that was. The draft must stay as it is until
// the Tx is committed.
func (d *draft) enlist(tx *broker.Tx) (n int, err error) {
	for i := range d.batches {
		raw, err := d.encode(&d.batches[i])
		if err != nil {
			return 0, err
		}
		if raw != nil {
			tx.Append(d.batches[i].p, raw)
			n++
		}
	}
	for i := range d.messages {
		m := &d.messages[i]
		if m.at.IsZero() {
			tx.Move(m.q, m.rec)
		} else if err := d.t.publishAt(tx, m.rec, m.at); err != nil {
			return 0, err
		}
	}
	return n + len(d.messages), nil
}

// encode is a batch in bytes; nil: it is one record that is too large.
func (d *draft) encode(b *batch) ([]byte, error) {
	at := len(d.raw)
	out, err := broker.EncodeBatch(d.raw, broker.None, b.recs...)
	if err != nil {
		return nil, err
	}
	raw := out[at:]
	if len(raw) > b.limit && len(b.events) == 1 { // of more, the bounds fit
		d.fail(b.events[0], fmt.Errorf("%w: %d bytes as a batch, the limit is %d",
			tidings.ErrTooLarge, len(raw), b.limit))
		return nil, nil
	}
	d.raw = out
	return raw, nil
}

// publishAt has the broker put a record into a queue at a time: the default exchange leads to it.
func (t *Transport) publishAt(tx *broker.Tx, rec broker.QueueRecord, at time.Time) error {
	x, err := t.b.Exchange(t.c.Namespace, "")
	if err != nil {
		return err
	}
	tx.PublishAt(x, rec, at)
	return nil
}

// outcome is what a publisher is told: err is of all that did not fail by itself.
func (d *draft) outcome(err error, events int) error {
	if err == nil && len(d.failed) == 0 {
		return nil
	}
	slices.Sort(d.failed)
	failed := &tidings.PublishError{Failed: d.failed, Err: d.err}
	if err != nil {
		failed.Failed = make([]int, events)
		for i := range events {
			failed.Failed[i] = i
		}
		if d.err == nil || d.first > 0 {
			failed.Err = err
		}
	}
	return failed
}
