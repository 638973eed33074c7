package embedded

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/transport/internal/lane"
)

// group is the consumers of a group in this process, and the partitions of its topics. Each
// partition is one consumer's; when consumers come or go some are to move, and each does when
// nothing of it is in its consumer's hands any more, so that the order of each key is kept.
type group struct {
	h         *hub
	name      string
	temporary bool

	// turn is of whoever writes the group's positions: one at a time, so that they only grow.
	turn chan struct{}
	last broker.Confirm // of the last write; under turn

	mu      sync.Mutex
	members []*consumer // in the order in which they came
	saver   *saver      // of one of them
	parts   map[*broker.Partition]*part
	dirty   []*part // whose position is not written yet
}

func newGroup(h *hub, name string, temporary bool) *group {
	return &group{h: h, name: name, temporary: temporary, turn: make(chan struct{}, 1),
		parts: map[*broker.Partition]*part{}}
}

// hub is what all transports of a broker and a namespace share: the groups, so that a partition is
// one consumer's among all of them.
type hub struct {
	b         *broker.Broker
	namespace string

	mu     sync.Mutex
	groups map[string]*group
}

// hubKey is that of a hub among the companions of its broker.
type hubKey struct{ namespace string }

func hubOf(b *broker.Broker, namespace string) *hub {
	return b.Companion(hubKey{namespace}, func() any {
		return &hub{b: b, namespace: namespace, groups: map[string]*group{}}
	}).(*hub)
}

func (h *hub) group(name string) *group {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.groups[name]
	if g == nil {
		g = newGroup(h, name, false)
		h.groups[name] = g
	}
	return g
}

func (g *group) takeTurn(ctx context.Context) error {
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *group) giveTurn() { <-g.turn }

// join adds a consumer, or the partitions that its topics have got since.
func (g *group) join(ctx context.Context, c *consumer) error {
	if err := g.takeTurn(ctx); err != nil { // what was written is what join reads
		return err
	}
	defer g.giveTurn()
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.parts, func(p *broker.Partition, x *part) bool {
		_, err := g.h.b.TopicByID(p.Topic().ID())
		return err != nil && x.owner == nil
	})
	for i, topic := range c.topics {
		known := c.known[i] > 0 || g.knows(topic)
		c.known[i] = topic.Partitions()
		for k := range c.known[i] {
			g.openLocked(topic.Partition(k), c.from, known)
		}
	}
	if !slices.Contains(g.members, c) {
		g.members = append(g.members, c)
	}
	g.saver = &g.members[0].t.saver
	g.assignLocked()
	return nil
}

// openLocked begins a partition where the group stands in it.
func (g *group) openLocked(p *broker.Partition, from tidings.Start, known bool) {
	at := cursorOf(startOf(p, from, known), "")
	if saved, ok := g.cursor(p.Topic(), p.Index()); ok {
		at = saved
	}
	x := g.parts[p]
	if x != nil && (x.owner != nil || x.dirty || x.saved == placeOf(at)) {
		return // it is in use, or nobody else has changed it since
	}
	g.parts[p] = &part{g: g, p: p, name: p.String(), saved: placeOf(at), lane: lane.At(positionOf(at))}
}

// leave takes a consumer out, and gives its partitions to others. Whoever writes positions is
// waited for: that does not take long.
func (g *group) leave(c *consumer) {
	g.turn <- struct{}{}
	defer g.giveTurn()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = slices.DeleteFunc(g.members, func(m *consumer) bool { return m == c })
	for _, x := range slices.Clone(c.parts) {
		x.giveBackLocked()
		x.moveLocked(nil)
	}
	if len(g.members) > 0 { // else c commits what is left
		g.saver = &g.members[0].t.saver
	}
	g.assignLocked()
}

// assignLocked says whose each partition is to be. It moves as few as it can.
func (g *group) assignLocked() {
	byTopic := map[*broker.Topic][]*part{}
	var topics []*broker.Topic
	for _, x := range g.parts {
		t := x.p.Topic()
		if byTopic[t] == nil {
			topics = append(topics, t)
		}
		byTopic[t] = append(byTopic[t], x)
	}
	slices.SortFunc(topics, func(a, b *broker.Topic) int { return a.Created().Compare(b.Created()) })
	for _, t := range topics {
		g.shareLocked(t, byTopic[t])
	}
	for _, x := range g.parts {
		x.settleMoveLocked()
	}
}

// shareLocked divides the partitions of a topic evenly among those who read it.
func (g *group) shareLocked(t *broker.Topic, parts []*part) {
	var readers []*consumer
	for _, m := range g.members {
		if slices.Contains(m.topics, t) {
			readers = append(readers, m)
		}
	}
	slices.SortFunc(parts, func(a, b *part) int { return a.p.Index() - b.p.Index() })
	room := map[*consumer]int{}
	for i := range parts {
		if len(readers) > 0 {
			room[readers[i%len(readers)]]++
		}
	}
	var free []*part
	for _, x := range parts {
		if x.next = x.owner; x.next != nil && room[x.next] > 0 {
			room[x.next]--
			continue
		}
		free = append(free, x)
	}
	for _, x := range free {
		x.next = nil
		for _, r := range readers {
			if room[r] > 0 {
				room[r]--
				x.next = r
				break
			}
		}
	}
}
