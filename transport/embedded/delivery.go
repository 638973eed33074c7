package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
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

// Nack delivers the event again from memory, or, after a delay, by the address of its group: then
// the copy is on disk before the group's position passes the event.
func (d *delivery) Nack(ctx context.Context, delay time.Duration) error {
	if delay <= 0 {
		return d.giveBack()
	}
	g := d.c.g
	g.mu.Lock()
	err := d.endLocked()
	g.mu.Unlock()
	if err != nil {
		return err
	}
	if err := d.c.t.delay(ctx, g.name, &d.Delivery, delay); err != nil {
		return d.undo(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	d.part.settleLocked(d.Offset)
	d.part.settleMoveLocked()
	return nil
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

// undo gives an event back at once that could not be delayed.
func (d *delivery) undo(err error) error {
	g := d.c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if !d.c.ended {
		d.againLocked()
	}
	return err
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

// delay publishes a copy of a delivery to its group's address, after a while.
func (t *Transport) delay(ctx context.Context, group string, d *tidings.Delivery, delay time.Duration) error {
	var s scratch
	tx := t.b.Begin()
	if err := t.publishAt(tx, s.message(group, &d.Event, d.Attempt), time.Now().Add(delay)); err != nil {
		return err
	}
	_, err := tx.Commit(ctx)
	return failure(err)
}
