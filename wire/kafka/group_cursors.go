package kafka

import (
	"context"

	"github.com/tidings-io/tidings/broker"
)

// cursorChanges is what is to happen to the cursors of one group. Few are one change, which a
// crash leaves whole. The engine takes about 1 MiB at once, so many are several, in order.
type cursorChanges struct {
	broker           *broker.Broker
	namespace, group string

	parts []*broker.Tx
	room  int // in the last part, in bytes
}

const (
	// cursorPart is how much is changed at once.
	cursorPart = 64 << 10
	// cursorBytes is what a cursor takes beside the names of its group and its metadata, at most.
	cursorBytes = 96
)

func (c *coordinator) changeCursors(group string) *cursorChanges {
	return &cursorChanges{broker: c.broker, namespace: c.config.Namespace, group: group}
}

func (c *cursorChanges) save(p *broker.Partition, cursor broker.Cursor) {
	c.part(len(cursor.Metadata)).SaveCursor(c.namespace, c.group, p, cursor)
}

func (c *cursorChanges) delete(topic string, partition int) {
	c.part(0).DeleteCursor(c.namespace, c.group, topic, partition)
}

func (c *cursorChanges) empty() bool { return len(c.parts) == 0 }

// part returns the transaction that takes one more cursor.
func (c *cursorChanges) part(metadata int) *broker.Tx {
	need := cursorBytes + len(c.namespace) + len(c.group) + metadata
	if c.empty() || c.room < need {
		c.parts, c.room = append(c.parts, c.broker.Begin()), cursorPart
	}
	c.room -= need
	return c.parts[len(c.parts)-1]
}

// commit returns what must be on disk, and what to do if it does not get there. If there is an
// error some of the changes may have been made.
func (c *cursorChanges) commit(ctx context.Context, failed func(code)) ([]pledge, error) {
	open := make([]pledge, 0, len(c.parts))
	for _, tx := range c.parts {
		confirm, err := tx.Commit(ctx)
		if err != nil {
			return nil, err
		}
		open = append(open, pledge{confirm, failed})
	}
	return open, nil
}
