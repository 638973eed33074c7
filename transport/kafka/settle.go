package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/twmb/franz-go/pkg/kgo"
)

// handed is a record on its way to a handler, or in its hands: the Settler of a Delivery.
type handed struct {
	consumer *consumer
	lane     *laneState
	offset   int64
	name     string // Delivery.Lane
	size     int
	due      time.Time
	received
	state handedState // guarded by consumer.mu
}

type handedState uint8

const (
	waiting handedState = iota
	inHand
	copying // a delayed copy is being published
	settled
)

var errSettled = errors.New("kafka: the delivery is settled")

// Ack settles; the commit follows within Config.CommitEvery. It is ErrLost once the partition has
// gone to another member.
func (h *handed) Ack(context.Context) error {
	c := h.consumer
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := h.openLocked(); err != nil {
		return err
	}
	h.settleLocked()
	return nil
}

// openLocked says whether the delivery can be settled.
func (h *handed) openLocked() error {
	switch {
	case h.lane.lost:
		return tidings.ErrLost
	case h.state != inHand:
		return errSettled
	}
	return nil
}

func (h *handed) settleLocked() {
	c := h.consumer
	h.lane.Settle(h.offset)
	h.lane.changes++
	c.releaseLocked(h)
	c.wake()
}

// Nack gives the event back: at once from memory, or after a delay as a copy at the address of the
// group, which the broker has before the original is settled. A copy that was published for a
// delivery that was lost meanwhile comes twice.
func (h *handed) Nack(ctx context.Context, delay time.Duration) error {
	if most := h.consumer.transport.config.MaxDelay; delay > most {
		return fmt.Errorf("kafka: a delay of %v, of at most %v: %w", delay, most, tidings.ErrUnsupported)
	}
	if delay <= 0 {
		return h.giveBack()
	}
	if err := h.begin(); err != nil {
		return err
	}
	err := h.publishCopy(ctx, time.Now().Add(delay))
	return h.end(err)
}

func (h *handed) giveBack() error {
	c := h.consumer
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := h.openLocked(); err != nil {
		return err
	}
	c.releaseLocked(h)
	again := *h
	again.state, again.attempt, again.due = waiting, max(h.attempt, 1)+1, time.Time{}
	c.ready = append(c.ready, &again)
	c.interrupt()
	return nil
}

func (h *handed) begin() error {
	h.consumer.mu.Lock()
	defer h.consumer.mu.Unlock()
	err := h.openLocked()
	if err == nil {
		h.state = copying
	}
	return err
}

// end settles the original once its copy is kept, or leaves it in hand.
func (h *handed) end(err error) error {
	h.consumer.mu.Lock()
	defer h.consumer.mu.Unlock()
	if h.state = inHand; err != nil {
		return err
	}
	if err := h.openLocked(); err != nil {
		return err
	}
	h.settleLocked()
	return nil
}

// publishCopy puts the event at the address of its group: the same id, where it came from, how
// often it has been delivered, and when it is due.
func (h *handed) publishCopy(ctx context.Context, due time.Time) error {
	e := h.event
	e.Extensions = maps.Clone(e.Extensions)
	if e.Extensions == nil {
		e.Extensions = map[string]string{}
	}
	e.Extensions[tidings.ExtAttempt] = strconv.Itoa(max(h.attempt, 1))
	if e.Kind == tidings.KindEvent {
		e.Extensions[tidings.ExtOriginTopic] = e.Topic
		e.Topic = h.consumer.group
	}
	r := encodeFor(&e, address(h.consumer.group))
	at := due.UnixMilli() + 1 // a part of a millisecond is not to be early
	r.Headers = append(r.Headers, kgo.RecordHeader{
		Key: notBeforeHeader, Value: strconv.AppendInt(nil, at, 10),
	})
	return h.consumer.transport.publishRecord(ctx, r)
}

// Extend has nothing to move, since there is no deadline: it says whether the delivery is lost.
func (h *handed) Extend(context.Context, time.Duration) error {
	h.consumer.mu.Lock()
	defer h.consumer.mu.Unlock()
	return h.openLocked()
}
