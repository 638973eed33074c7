package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/internal/lane"
)

// Declare makes topics, the group's address and its positions where they are missing, on disk on
// return. A Temporary group is not declared: it is its consumer's.
func (t *Transport) Declare(ctx context.Context, s tidings.Subscription) error {
	if err := t.check(&s); err != nil {
		return err
	}
	topics, err := t.topics(ctx, s.Topics)
	if err != nil || s.Temporary {
		return err
	}
	if _, err := t.address(ctx, s.Group, nil); err != nil {
		return err
	}
	return t.h.group(s.Group).declare(ctx, topics, s.From)
}

func (t *Transport) check(s *tidings.Subscription) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return tidings.ErrClosed
	case s.Group == "":
		return errors.New("a subscription needs a group")
	case s.Group == scheduledQueue:
		return fmt.Errorf("group %q: the name is the transport's own", s.Group)
	case s.Window < 0:
		return fmt.Errorf("group %q: window of %d", s.Group, s.Window)
	}
	return nil
}

func (t *Transport) topics(ctx context.Context, names []string) ([]*broker.Topic, error) {
	topics := make([]*broker.Topic, len(names))
	for i, name := range names {
		var err error
		if topics[i], err = t.topic(ctx, name); err != nil {
			return nil, err
		}
	}
	return topics, nil
}

// topic finds a topic, or makes it.
func (t *Transport) topic(ctx context.Context, name string) (*broker.Topic, error) {
	if found, err := t.b.Topic(t.c.Namespace, name); err == nil {
		return found, nil
	}
	made, err := t.b.CreateTopic(ctx, broker.TopicSpec{Namespace: t.c.Namespace, Name: name,
		Partitions: t.c.Partitions, Config: t.c.Topic})
	if errors.Is(err, broker.Exists) { // meanwhile
		made, err = t.b.Topic(t.c.Namespace, name)
	}
	return made, failure(err)
}

// address finds the address of a group, or makes it: on disk on return, unless it has an owner.
func (t *Transport) address(ctx context.Context, group string, owner *consumer) (*broker.Queue, error) {
	spec := broker.QueueSpec{Namespace: t.c.Namespace, Name: group, Durable: owner == nil,
		Settings: broker.QueueSettings{Groups: broker.OrderedGroups}}
	if owner != nil {
		spec.Owner = owner
	}
	q, _, err := t.b.DeclareQueue(ctx, spec)
	if err != nil {
		return nil, failure(err)
	}
	if q.Spec().Settings.Groups != broker.OrderedGroups {
		return nil, fmt.Errorf("%w: queue %s was declared by others and does not keep keys in order",
			tidings.ErrUnsupported, q)
	}
	return q, nil
}

// failure puts the library's errors before those of the broker that mean the same.
func failure(err error) error {
	switch broker.KindOf(err) {
	case broker.Closed:
		return fmt.Errorf("%w: %w", tidings.ErrClosed, err)
	case broker.TooLarge:
		return fmt.Errorf("%w: %w", tidings.ErrTooLarge, err)
	}
	return err
}

// declare gives the group a position in each partition where it has none.
func (g *group) declare(ctx context.Context, topics []*broker.Topic, from tidings.Start) error {
	if g.temporary {
		return nil
	}
	if err := g.settle(ctx, topics, from); err != nil {
		return failure(err)
	}
	stored, err := g.h.b.Group(g.h.namespace, g.name)
	if err != nil {
		return nil // it has no topics, and so no positions
	}
	return failure(stored.Confirm().Wait(ctx))
}

// settle does so without waiting for the disk.
func (g *group) settle(ctx context.Context, topics []*broker.Topic, from tidings.Start) error {
	if err := g.takeTurn(ctx); err != nil {
		return err
	}
	defer g.giveTurn()
	tx := g.h.b.Begin()
	for _, topic := range topics {
		known := g.knows(topic)
		for i := range topic.Partitions() {
			if _, ok := g.cursor(topic, i); ok {
				continue
			}
			p := topic.Partition(i)
			tx.SaveCursor(g.h.namespace, g.name, p, cursorOf(startOf(p, from, known), ""))
		}
	}
	_, err := tx.Commit(ctx)
	return err
}

// startOf is where a group begins that has no position in a partition. In a topic that it knows
// the partition is newer than the group: nothing in it is of before.
func startOf(p *broker.Partition, from tidings.Start, known bool) broker.Offset {
	first, end := p.Bounds()
	if known || from == tidings.Earliest {
		return first
	}
	return end
}

// knows says whether the group has a position in a topic.
func (g *group) knows(topic *broker.Topic) bool {
	for i := range topic.Partitions() {
		if _, ok := g.cursor(topic, i); ok {
			return true
		}
	}
	return false
}

// cursor is what the broker keeps of the group's position.
func (g *group) cursor(topic *broker.Topic, partition int) (broker.Cursor, bool) {
	stored, err := g.h.b.Group(g.h.namespace, g.name)
	if err != nil || g.temporary {
		return broker.Cursor{}, false
	}
	return stored.Cursor(topic.Name().Name, partition)
}

func cursorOf(at broker.Offset, settled string) broker.Cursor {
	return broker.Cursor{Offset: at, LeaderEpoch: -1, Metadata: settled}
}

func positionOf(c broker.Cursor) lane.Position { return lane.Parse(int64(c.Offset), c.Metadata) }
