package embedded

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// scheduledQueue has events of topics that were published for later: the broker's schedules lead to
// queues, which know nothing of a record's key and headers in a topic. The mover takes them from
// there to their topics, one step of the broker for each move.
const scheduledQueue = "tidings.scheduled"

// What one receive of the mover takes, and how long it waits in the broker.
const (
	moveBatch = 256
	moveWait  = time.Hour
)

// schedule adds an event of a topic for later.
func (d *draft) schedule(ctx context.Context, e *tidings.Event, at time.Time) error {
	topic, err := d.t.topic(ctx, e.Topic) // what its name may not be is known now, and not then
	if err != nil {
		return err
	}
	if rec := d.record(e); recordBound(&rec)+batchBytes > d.t.eventBytes(topic) {
		return tidings.ErrTooLarge
	}
	q, err := d.t.address(ctx, scheduledQueue, nil)
	if err != nil {
		return err
	}
	d.t.startMover()
	d.messages = append(d.messages, sending{q, d.message(scheduledQueue, e, 0), at})
	return nil
}

func (t *Transport) startMover() { t.start(&t.moving, t.move) }

// move publishes what is due until the transport is closed.
func (t *Transport) move(ctx context.Context) {
	for ctx.Err() == nil {
		err := t.moveDue(ctx)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return
		case errors.Is(err, broker.NotFound):
			t.stopMover()
			return
		case errors.Is(err, broker.Closed), errors.Is(err, broker.Storage):
			t.c.Logger.Error("scheduled events are not published any more", "error", err)
			return
		default: // they are leased: what could not be published comes again when that is over
			t.c.Logger.Error("scheduled events are not published yet", "error", err)
		}
	}
}

// stopMover says that there is nothing to move from, unless there is by now.
func (t *Transport) stopMover() {
	t.mu.Lock()
	t.moving = false
	t.mu.Unlock()
	if _, err := t.b.Queue(t.c.Namespace, scheduledQueue); err == nil {
		t.startMover()
	}
}

func (t *Transport) moveDue(ctx context.Context) error {
	q, err := t.b.Queue(t.c.Namespace, scheduledQueue)
	if err != nil {
		return err
	}
	due, err := q.Receive(ctx, broker.ReceiveOptions{Max: moveBatch, Lease: t.c.Lease, Wait: moveWait})
	if err != nil || len(due) == 0 {
		return err
	}
	d := &draft{t: t}
	events := make([]tidings.Event, len(due))
	var r reading
	for i := range due {
		events[i], _ = r.received(q, &due[i])
		t.stray(&events[i])
	}
	d.addAll(ctx, time.Time{}, events)
	tx := t.b.Begin()
	if _, err := d.enlist(tx); err != nil {
		return err
	}
	for i := range due {
		if !slices.Contains(d.failed, i) {
			tx.Discard(q, due[i].ID)
		}
	}
	if _, err := tx.Commit(ctx); err != nil {
		return err
	}
	return d.err
}

// stray leads what is no event of a topic, which somebody else has put into the queue, to where dead
// letters of it would be.
func (t *Transport) stray(e *tidings.Event) {
	if e.Kind == tidings.KindEvent {
		return
	}
	e.Kind, e.Topic = tidings.KindCommand, tidings.DeadLetters(scheduledQueue)
	e.Type = cmp.Or(e.Type, tidings.ForeignType)
	t.c.Logger.Error("a record among scheduled events is none", "id", e.ID, "dlq", e.Topic)
}
