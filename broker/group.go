package broker

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// Group is durable state kept under a name: an opaque blob of the face's protocol
// and cursors. Changes go through a Tx. What it shows has been submitted; Confirm
// says when it is durable.
type Group struct {
	b    *Broker
	name Name

	mu      sync.RWMutex
	state   []byte // replaced as a whole, never changed
	cursors map[ID]map[int32]Cursor
	changed storage.Seq // the frame of the newest change
}

// Confirm is the promise that all the group has shown until now is on disk. Wait
// for it before telling anyone: who was told a cursor that a crash takes back
// would later see it move backwards.
func (g *Group) Confirm() Confirm {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return Confirm{g.b.store, g.changed}
}

// Cursor is a position that a group saved, durable with the confirm of its Tx.
type Cursor struct {
	Offset      Offset // of the next record to read
	LeaderEpoch int32  // -1 if unknown
	Metadata    string // the client's own; at most Limits.CursorMetadata bytes
	// Time is when it was saved, in milliseconds; zero when saving: now.
	Time time.Time
}

// CursorKey names one cursor of a group.
type CursorKey struct {
	Topic     ID
	Name      string // topic name
	Partition int
}

// cursorAt is where a cursor stands.
type cursorAt struct {
	topic     ID
	partition int32
}

// Group finds a group that was saved before. Kind: NotFound.
func (b *Broker) Group(namespace, name string) (*Group, error) {
	n := Name{KindGroup, namespace, name}
	b.cat.mu.RLock()
	g := b.cat.groups[n]
	b.cat.mu.RUnlock()
	if g == nil {
		return nil, &Error{Kind: NotFound, Op: "find group", Name: n.String()}
	}
	return g, nil
}

// Groups returns the groups of a namespace, by name.
func (b *Broker) Groups(namespace string) []*Group {
	b.cat.mu.RLock()
	defer b.cat.mu.RUnlock()
	return inNamespace(b.cat.groups, namespace)
}

// Name is the group's place in the catalog.
func (g *Group) Name() Name { return g.name }

// State returns the blob that SaveGroup stored, nil if there is none. The bytes
// must not be changed.
func (g *Group) State() []byte {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.state
}

// Cursor returns the cursor in one partition of a topic; ok is false if there is
// none. The cursors of a topic that was deleted are gone, even when a new topic
// has its name.
func (g *Group) Cursor(topic string, partition int) (c Cursor, ok bool) {
	t, err := g.b.Topic(g.name.Namespace, topic)
	if err != nil {
		return Cursor{}, false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	c, ok = g.cursors[t.id][int32(partition)]
	return c, ok
}

// Cursors returns all cursors of the group.
func (g *Group) Cursors() map[CursorKey]Cursor {
	all := make(map[CursorKey]Cursor)
	for at, c := range g.snapshot() {
		// Topics are looked up after the group's lock is released: the catalog's
		// comes first in the order of locks.
		t, err := g.b.TopicByID(at.topic)
		if err != nil {
			continue // deleted in between; its cursors go with it
		}
		all[CursorKey{Topic: at.topic, Name: t.name.Name, Partition: int(at.partition)}] = c
	}
	return all
}

func (g *Group) snapshot() map[cursorAt]Cursor {
	g.mu.RLock()
	defer g.mu.RUnlock()
	all := make(map[cursorAt]Cursor)
	for topic, parts := range g.cursors {
		for i, c := range parts {
			all[cursorAt{topic, i}] = c
		}
	}
	return all
}

// forget removes the cursors in a topic that is being deleted and returns where
// they stood.
func (g *Group) forget(topic ID) []cursorAt {
	g.mu.Lock()
	defer g.mu.Unlock()
	gone := make([]cursorAt, 0, len(g.cursors[topic]))
	for i := range g.cursors[topic] {
		gone = append(gone, cursorAt{topic, i})
	}
	delete(g.cursors, topic)
	return gone
}

func (g *Group) setCursorLocked(at cursorAt, c Cursor) {
	parts := g.cursors[at.topic]
	if parts == nil {
		if g.cursors == nil {
			g.cursors = make(map[ID]map[int32]Cursor)
		}
		parts = make(map[int32]Cursor)
		g.cursors[at.topic] = parts
	}
	parts[at.partition] = c
}

func (g *Group) dropCursorLocked(at cursorAt) {
	parts := g.cursors[at.topic]
	delete(parts, at.partition)
	if len(parts) == 0 {
		delete(g.cursors, at.topic)
	}
}

// encodeGroup writes a group's value in the catalog.
func encodeGroup(state []byte) []byte {
	v := make([]byte, 0, 1+len(state))
	return append(append(v, valueVersion), state...)
}

func (b *Broker) decodeGroup(name Name, value []byte) (*Group, error) {
	d := newDecoder(value)
	g := &Group{b: b, name: name}
	if rest := d.take(len(d.b)); len(rest) > 0 {
		g.state = slices.Clone(rest)
	}
	return g, d.end("group")
}

func (c *Cursor) appendTo(v []byte) []byte {
	v = append(v, valueVersion)
	v = binary.AppendVarint(v, int64(c.Offset))
	v = binary.AppendVarint(v, int64(c.LeaderEpoch))
	v = binary.AppendVarint(v, c.Time.UnixMilli())
	return appendString(v, c.Metadata)
}

func decodeCursor(value []byte) (Cursor, error) {
	d := newDecoder(value)
	c := Cursor{Offset: Offset(d.varint()), LeaderEpoch: int32(d.varint())}
	c.Time = timeOf(d.varint())
	c.Metadata = d.string()
	return c, d.end("cursor")
}
