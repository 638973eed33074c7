package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// delivery is an event of a topic in somebody's hands. It has no deadline: its partition is its
// consumer's until that is closed.
type delivery struct {
	tidings.Delivery
	c       *consumer
	part    *part
	settled bool // guarded by the group's mutex
}

// Ack settles the delivery in memory; the position of the group follows a moment later.
func (d *delivery) Ack(context.Context) error {
	g := d.c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := d.endLocked(); err != nil {
		return err
	}
	d.part.settleLocked(d.Offset)
	d.part.settleMoveLocked()
	return nil
}

// endLocked takes the delivery out of its consumer's hands.
func (d *delivery) endLocked() error {
	if d.settled || d.c.ended {
		return lost(&d.Delivery)
	}
	d.settled = true
	d.c.freeLocked()
	return nil
}

func lost(d *tidings.Delivery) error {
	return fmt.Errorf("%w: %s is settled, or its consumer is closed", tidings.ErrLost, d.ID)
}

// Nack delivers the event again from memory or, after a delay, by the address of its group: that
// the event is there, and not in its partition any more, is one step of the broker.
func (d *delivery) Nack(ctx context.Context, delay time.Duration) error {
	if delay <= 0 {
		return d.giveBack()
	}
	t, at := d.c.t, time.Now().Add(delay)
	tx, err := t.later(d, at)
	if err != nil {
		return failure(err)
	}
	if _, err = t.CommitWith(ctx, tx, &d.Delivery); !errors.Is(err, errRoom) {
		return err
	}
	if tx, err = t.later(d, at); err != nil {
		return failure(err)
	}
	if _, err := tx.Commit(ctx); err != nil {
		return failure(err)
	}
	return d.Ack(ctx) // a crash may bring both
}

// giveBack has the owner of the partition deliver the event again.
func (d *delivery) giveBack() error {
	g := d.c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := d.endLocked(); err != nil {
		return err
	}
	d.againLocked()
	return nil
}

func (d *delivery) againLocked() {
	x := d.part
	again := &delivery{Delivery: d.Delivery, c: d.c, part: x}
	again.Attempt, again.Settler = x.countLocked(d.Offset), again
	x.again = append(x.again, again)
	ring(d.c.wake)
	x.settleMoveLocked() // what is given back moves with it
}

// Extend has nothing to extend.
func (d *delivery) Extend(context.Context, time.Duration) error {
	g := d.c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if d.settled || d.c.ended {
		return lost(&d.Delivery)
	}
	return nil
}

// later publishes a copy of a delivery to its group's address at a time.
func (t *Transport) later(d *delivery, at time.Time) (*broker.Tx, error) {
	var s scratch
	tx := t.b.Begin()
	return tx, t.publishAt(tx, s.message(d.c.g.name, &d.Event, d.Attempt), at)
}
