package tidingstest

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/tidings-io/tidings"
)

// ErrFault is what a fault makes of Publish and Receive.
var ErrFault = errors.New("injected fault")

// Faults are what goes wrong. Rates are from 0, never, to 1, always. What happens to an event
// depends on Seed, its group, its place in the log and its attempt alone, so that equal publishes
// have equal faults, whichever goroutine comes first.
type Faults struct {
	Seed uint64

	// DropAcks is how many acknowledgements are lost: Ack returns nil, and the event comes again
	// when the lease is over, or after Close or Crash.
	DropAcks float64
	// Duplicate is how many events are handed out once more after the Ack of their first delivery.
	Duplicate float64
	// Reorder hands out what is up to so many places behind. What Capabilities.Order promises is
	// kept: with OrderLane and OrderKey only lanes change places, with OrderQueue nothing does.
	Reorder int
	// Slow is how long each Receive takes at most before it looks, half of it on average.
	Slow time.Duration
	// Lose is how many Receives fail with ErrFault. The consumer has lost what it held and what it
	// has not committed, and only Close is left.
	Lose float64

	// Publish has calls of Publish that fail with ErrFault, by their number since the faults were
	// set, from 1.
	Publish map[int]PublishFault
	// FailPublish is how many other calls fail, half of them after the events were kept.
	FailPublish float64
}

// PublishFault is how a Publish fails.
type PublishFault uint8

const (
	// FailBefore: nothing was kept.
	FailBefore PublishFault = iota + 1
	// FailAfter: everything was kept, and the publisher does not know.
	FailAfter
)

// SetFaults changes the faults from now on; Faults{} ends them. Publishes count from 1 again.
func (t *Transport) SetFaults(f Faults) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults, t.publishes = f, 0
	t.wakeLocked()
}

// Crash is what services see when a broker that has a disk is killed and started again: every
// consumer is lost with what it held, acknowledgements of the last second that were not committed
// are forgotten, temporary groups are gone. What was published is there, and what was scheduled
// will come.
func (t *Transport) Crash() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advanceLocked(time.Now())
	for _, g := range t.groups {
		for len(g.consumers) > 0 {
			g.consumers[0].leaveLocked(errCrashed)
		}
	}
}

// Lose makes the consumers of a group fail, as Faults.Lose does. It returns how many there were.
func (t *Transport) Lose(group string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.groups[group]
	if g == nil {
		return 0
	}
	n := len(g.consumers)
	for len(g.consumers) > 0 {
		g.consumers[0].leaveLocked(ErrFault)
	}
	return n
}

// chance decides once and for all whether what is named by text and numbers happens.
func (f *Faults) chance(rate float64, text string, numbers ...int64) bool {
	return rate > 0 && f.random(text, numbers...).Float64() < rate
}

func (f *Faults) random(text string, numbers ...int64) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails: hash.Hash
	for _, n := range numbers {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	return rand.New(rand.NewPCG(f.Seed, h.Sum64()))
}

func (t *Transport) publishFaultLocked() PublishFault {
	t.publishes++
	n := int64(t.publishes)
	if fault, ok := t.faults.Publish[t.publishes]; ok {
		return fault
	}
	if !t.faults.chance(t.faults.FailPublish, "publish", n) {
		return 0
	}
	return FailBefore + PublishFault(t.faults.random("kept", n).IntN(2))
}

func (t *Transport) loseLocked(g *group) bool {
	return t.faults.chance(t.faults.Lose, "lose "+g.name, int64(g.receives))
}

func (t *Transport) dropsAckLocked(s *settler) bool {
	what := "ack " + s.group.name + s.place.lane.name
	return t.faults.chance(t.faults.DropAcks, what, s.offset, int64(s.handed.attempts))
}

func (t *Transport) duplicatesLocked(s *settler) bool {
	first := s.handed.attempts == s.place.lane.at(s.offset).attempts+1
	what := "again " + s.group.name + s.place.lane.name
	return first && t.faults.chance(t.faults.Duplicate, what, s.offset)
}

// slow waits as a slow broker would.
func (c *consumer) slow(ctx context.Context) error {
	t := c.group.broker
	t.mu.Lock()
	longest, r := t.faults.Slow, t.faults.random("slow "+c.group.name, int64(c.group.receives))
	t.mu.Unlock()
	if longest <= 0 {
		return nil
	}
	return wait{at: time.Now().Add(time.Duration(r.Int64N(int64(longest) + 1)))}.wait(ctx)
}

// pickAnyLocked chooses among what is next in each lane, and without order of lanes among what is
// behind it, as far as Reorder reaches.
func (g *group) pickAnyLocked(c *consumer) (from *place, offset int64) {
	faults, reach := &g.broker.faults, int64(0)
	if g.broker.caps.Order == tidings.Unordered {
		reach = int64(faults.Reorder)
	}
	type choice struct {
		place  *place
		offset int64
	}
	var choices []choice
	for _, p := range g.places {
		first, ok := p.candidateLocked(c)
		if !ok {
			continue
		}
		choices = append(choices, choice{p, first})
		for o := max(first+1, p.next); o < min(p.lane.end(), first+reach+1); o++ {
			choices = append(choices, choice{p, o})
		}
	}
	if len(choices) == 0 {
		return nil, 0
	}
	first, what := choices[0], "order "+g.name+choices[0].place.lane.name
	n := faults.random(what, first.offset, int64(len(choices))).IntN(len(choices))
	return choices[n].place, choices[n].offset
}
