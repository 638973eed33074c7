package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
)

// atOnce is how many batches of one call are under way at a time, where there is no order.
const atOnce = 4

// outcome is what becomes of the events of a call: nil, or why they may not have been published.
// Entries are written by one goroutine each.
type outcome []error

// err is nil, or a *tidings.PublishError.
func (o outcome) err() error {
	failed := &tidings.PublishError{}
	for i, err := range o {
		if err == nil {
			continue
		}
		if failed.Err == nil {
			failed.Err = err
		}
		failed.Failed = append(failed.Failed, i)
	}
	if failed.Err == nil {
		return nil
	}
	return failed
}

func (t *Transport) publish(
	ctx context.Context, delay time.Duration, events []tidings.Event) error {
	if t.closed.Load() {
		return tidings.ErrClosed
	}
	failed := make(outcome, len(events))
	for _, d := range t.destinations(events, delay) {
		if t.config.FIFO {
			d.sendInOrder(ctx, events, failed)
		} else {
			d.sendSideBySide(ctx, events, failed)
		}
	}
	return failed.err()
}

// destination is a topic or an address, and which events of a call go there.
type destination struct {
	t      *Transport
	kind   tidings.Kind
	name   string
	delay  time.Duration
	events []int
}

// destinations are those of some events, each with its events in their order.
func (t *Transport) destinations(events []tidings.Event, delay time.Duration) (all []*destination) {
	type place struct {
		kind tidings.Kind
		name string
	}
	found := map[place]*destination{}
	for i := range events {
		at := place{events[i].Kind, events[i].Topic}
		d := found[at]
		if d == nil {
			d = &destination{t: t, kind: at.kind, name: at.name, delay: delay}
			found[at] = d
			all = append(all, d)
		}
		d.events = append(d.events, i)
	}
	return all
}

func (d *destination) most() int {
	if d.kind == tidings.KindEvent {
		return mostTopicBytes
	}
	return mostQueueBytes
}

// mostOf bounds one event: so that there is a dead letter of it, and a way back for that. What came
// through a topic has enough room at an address.
func (d *destination) mostOf(e *tidings.Event) int {
	if d.kind == tidings.KindEvent || e.IsCopy() {
		return d.most()
	}
	return d.most() - tidings.CopyBytes
}

// encode makes messages of the events that can be one. With FIFO, what is behind another of its
// group that cannot has failed too.
func (d *destination) encode(events []tidings.Event, failed outcome) (all []*message) {
	broken := map[string]error{} // by group
	for _, i := range d.events {
		group := messageGroup(&events[i])
		m, err := encode(&events[i], d.mostOf(&events[i]))
		if err == nil && d.t.config.FIFO && broken[group] != nil {
			err = behind(broken[group])
		}
		if err == nil {
			m.index = i
			all = append(all, m)
			continue
		}
		failed[i] = err
		broken[group] = cmp.Or(broken[group], err)
	}
	return all
}

// sendInOrder sends batch after batch. Behind an event that failed no other of its group is sent,
// so that they keep their order when they are published again.
func (d *destination) sendInOrder(ctx context.Context, events []tidings.Event, failed outcome) {
	broken := map[string]error{}
	waiting := d.encode(events, failed)
	for len(waiting) > 0 {
		var batch []*message
		batch, waiting = cut(waiting, d.most(), true)
		for i, err := range d.send(ctx, batch) {
			if failed[batch[i].index] = err; err != nil {
				broken[batch[i].group] = err
			}
		}
		waiting = fail(waiting, broken, failed)
	}
}

// fail takes out what waits behind a failure.
func fail(waiting []*message, broken map[string]error, failed outcome) (rest []*message) {
	for _, m := range waiting {
		if err := broken[m.group]; err != nil {
			failed[m.index] = behind(err)
		} else {
			rest = append(rest, m)
		}
	}
	return rest
}

func behind(err error) error {
	return fmt.Errorf("aws: not sent, behind an event of its key that failed: %w", err)
}

// sendSideBySide sends some batches at a time.
func (d *destination) sendSideBySide(ctx context.Context, events []tidings.Event, failed outcome) {
	waiting := d.encode(events, failed)
	var sends sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for len(waiting) > 0 {
		var batch []*message
		batch, waiting = cut(waiting, d.most(), false)
		turns <- struct{}{}
		sends.Go(func() {
			defer func() { <-turns }()
			for i, err := range d.send(ctx, batch) {
				failed[batch[i].index] = err
			}
		})
	}
	sends.Wait()
}

// cut takes a batch from what waits: up to ten messages that are no larger together than one may
// be, and if they are apart, no two of a group. A batch can fail in part, and the second of a group
// would then be before the first.
func cut(waiting []*message, most int, apart bool) (batch, rest []*message) {
	taken := map[string]bool{}
	bytes := 0
	for i, m := range waiting {
		if len(batch) == mostEntries {
			return batch, append(rest, waiting[i:]...)
		}
		if apart && taken[m.group] || bytes+m.bytes > most {
			rest = append(rest, m)
		} else {
			batch = append(batch, m)
			bytes += m.bytes
		}
		taken[m.group] = true // what was left is before all others of its group
	}
	return batch, rest
}

// send sends a batch and says what became of each message. Where the topic or queue has been
// deleted since it was found it is made again, unless it is the address of a reply.
func (d *destination) send(ctx context.Context, batch []*message) []error {
	failed, err := d.try(ctx, batch)
	if isGone(err) {
		d.forget()
		if d.kind == tidings.KindReply {
			err = fmt.Errorf("aws: address %q: %w", d.name, tidings.ErrUnroutable)
		} else {
			failed, err = d.try(ctx, batch)
		}
	}
	if err == nil {
		return failed
	}
	failed = make([]error, len(batch))
	for i := range failed {
		failed[i] = err
	}
	return failed
}

func (d *destination) forget() {
	p := d.t.places
	if d.kind == tidings.KindEvent {
		p.forget(p.topics, d.name)
	} else {
		p.forget(p.queues, d.name)
	}
}

// try sends a batch once. An error is that of all.
func (d *destination) try(ctx context.Context, batch []*message) ([]error, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	switch d.kind {
	case tidings.KindEvent:
		return d.toTopic(ctx, batch)
	case tidings.KindCommand:
		return d.toQueue(ctx, d.t.places.queue, batch)
	case tidings.KindReply:
		return d.toQueue(ctx, d.t.places.address, batch)
	default:
		return nil, errors.New("aws: an event of no kind")
	}
}
