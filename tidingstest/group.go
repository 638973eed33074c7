package tidingstest

import (
	"maps"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
)

// group shares events among its consumers. Everything in it is guarded by the transport's mutex.
type group struct {
	broker    *Transport
	name      string
	temporary bool
	address   *topic
	places    []*place
	consumers []*consumer
	deadline  time.Time // no delivery is overdue before; zero for never
	receives  int       // counted, for faults
}

// place is where a group is in one lane: everything before next has been handed out, and is done
// unless it is open.
type place struct {
	lane   *lane
	next   int64
	open   map[int64]*handed
	again  []int64   // which of open are given back, ascending
	inHand int       // how many of open are
	holder *consumer // who got the last of them
}

// handed is an event that has been handed out and is not known to be done.
type handed struct {
	state    state
	attempts int
	consumer *consumer // who has it, or had it
	deadline time.Time // zero for never
}

type state uint8

const (
	inHand state = iota
	givenBack
	acked     // the broker does not know it before Commit
	forgotten // acked, but the broker will never know it
)

func newGroup(t *Transport, name string, temporary bool) *group {
	g := &group{broker: t, name: name, temporary: temporary, address: newTopic("@"+name, t.laneCount)}
	g.readLocked(g.address, tidings.Earliest)
	return g
}

// readLocked adds a topic unless the group reads it.
func (g *group) readLocked(to *topic, from tidings.Start) {
	if g.placeLocked(to.lanes[0]) != nil {
		return
	}
	for _, l := range to.lanes {
		p := &place{lane: l, next: l.end(), open: map[int64]*handed{}}
		if from == tidings.Earliest {
			p.next = l.first
		}
		g.places = append(g.places, p)
	}
}

func (g *group) placeLocked(l *lane) *place {
	for _, p := range g.places {
		if p.lane == l {
			return p
		}
	}
	return nil
}

// done is the offset before which the group needs nothing.
func (p *place) done() int64 {
	offset := p.next
	for open := range p.open {
		offset = min(offset, open)
	}
	return offset
}

// pending counts what the group is not done with.
func (p *place) pending() int {
	n := int(p.lane.end() - p.next)
	for _, h := range p.open {
		if h.state != acked {
			n++
		}
	}
	return n
}

// takeLocked hands out at most max events, in the order in which they were published as far as
// lanes are free.
func (g *group) takeLocked(c *consumer, now time.Time, max int) (out []*tidings.Delivery) {
	for len(out) < max {
		p, offset := g.pickLocked(c)
		if p == nil {
			break
		}
		out = append(out, g.handOutLocked(c, p, offset, now))
	}
	return out
}

// pickLocked chooses what is handed out next. With a fault of reordering it is any of what the
// capabilities leave open.
func (g *group) pickLocked(c *consumer) (from *place, offset int64) {
	if g.broker.faults.Reorder > 0 && g.broker.caps.Order != tidings.OrderQueue {
		return g.pickAnyLocked(c)
	}
	oldest := int64(0)
	for _, p := range g.places {
		o, ok := p.candidateLocked(c)
		if !ok {
			continue
		}
		if sequence := p.lane.at(o).sequence; from == nil || sequence < oldest {
			from, offset, oldest = p, o, sequence
		}
	}
	return from, offset
}

// candidateLocked is the first event of a lane that a consumer may get.
func (p *place) candidateLocked(c *consumer) (offset int64, ok bool) {
	if !p.freeLocked(c) {
		return 0, false
	}
	if len(p.again) > 0 {
		return p.again[0], true
	}
	return p.next, p.next < p.lane.end()
}

// freeLocked says whether nobody else has an event of the lane, where lanes are in order.
func (p *place) freeLocked(c *consumer) bool {
	if c.group.broker.caps.Order < tidings.OrderLane || len(c.group.consumers) == 1 {
		return true
	}
	return p.inHand == 0 || p.holder == c
}

func (g *group) handOutLocked(c *consumer, p *place, offset int64,
	now time.Time) *tidings.Delivery {
	p.reachLocked(offset)
	p.again = slices.DeleteFunc(p.again, func(o int64) bool { return o == offset })
	// A new one each time, so that an earlier delivery of the event has nothing to settle.
	h := &handed{attempts: p.open[offset].attempts + 1, consumer: c}
	if g.broker.lease > 0 {
		h.deadline = now.Add(g.broker.lease)
		g.deadline = earlier(g.deadline, h.deadline)
	}
	p.open[offset] = h
	p.inHand++
	p.holder = c
	c.inHand++
	return g.delivery(p, offset, h)
}

// releaseLocked takes a delivery out of its consumer's hands.
func (p *place) releaseLocked(h *handed) {
	p.inHand--
	h.consumer.inHand--
}

// reachLocked moves next behind an offset. What it passes, all but the last by a fault only, is
// open and given back.
func (p *place) reachLocked(offset int64) {
	for ; p.next <= offset; p.next++ {
		p.open[p.next] = &handed{state: givenBack, attempts: p.lane.at(p.next).attempts}
		p.again = append(p.again, p.next) // ascending: it was never handed out
	}
}

func (g *group) delivery(p *place, offset int64, h *handed) *tidings.Delivery {
	en := p.lane.at(offset)
	d := &tidings.Delivery{Event: clone(en.event), Offset: -1, Deadline: h.deadline,
		Settler: &settler{group: g, place: p, offset: offset, handed: h}}
	if g.broker.caps.Positions {
		d.Lane, d.Offset = p.lane.name, offset
	}
	switch {
	case g.broker.caps.Attempts:
		d.Attempt = h.attempts
	case en.told > 0:
		d.Attempt = en.told + 1
	}
	return d
}

// giveBackLocked lets an event be handed out again.
func (p *place) giveBackLocked(offset int64, h *handed) {
	if h.state == inHand {
		p.releaseLocked(h)
	}
	// The delivery keeps the old one, and finds that it is not in the lane any more.
	p.open[offset] = &handed{state: givenBack, attempts: h.attempts}
	i, _ := slices.BinarySearch(p.again, offset)
	p.again = slices.Insert(p.again, i, offset)
}

// expireLocked takes back what is overdue.
func (g *group) expireLocked(now time.Time) {
	if g.deadline.IsZero() || now.Before(g.deadline) {
		return
	}
	g.deadline = time.Time{}
	for _, p := range g.places {
		for _, offset := range slices.Sorted(maps.Keys(p.open)) {
			switch h := p.open[offset]; {
			case h.state != inHand && h.state != forgotten || h.deadline.IsZero():
			case now.Before(h.deadline):
				g.deadline = earlier(g.deadline, h.deadline)
			default:
				p.giveBackLocked(offset, h)
				g.broker.wakeLocked()
			}
		}
	}
}

// returnLocked gives back what matches.
func (g *group) returnLocked(match func(*handed) bool) {
	for _, p := range g.places {
		for _, offset := range slices.Sorted(maps.Keys(p.open)) {
			if h := p.open[offset]; h.state != givenBack && match(h) {
				p.giveBackLocked(offset, h)
			}
		}
	}
	g.broker.wakeLocked()
}
