package history

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind is a rule that was broken.
type Kind string

// The rules, see the package's documentation.
const (
	Lost            Kind = "lost"
	Reordered       Kind = "reordered"
	Duplicated      Kind = "duplicated"
	Phantom         Kind = "phantom"
	Altered         Kind = "altered"
	TopicForgotten  Kind = "topic forgotten"
	TopicRevived    Kind = "topic revived"
	CommitForgotten Kind = "commit forgotten"
)

// Violation is one breach of a rule.
type Violation struct {
	Kind Kind
	What string
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s", v.Kind, v.What) }

// Entry is a record that the broker holds.
type Entry struct {
	Offset int64
	ID     ID
}

// Final is what the broker holds at the end.
type Final struct {
	Topics map[string]int // partitions of each topic
	Logs   map[Partition][]Entry
}

// Check returns every breach of a rule, those told of before first.
func (h *History) Check(f Final) []Violation {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := checker{h: h, places: make(map[Partition]map[ID][]int64)}
	for at, log := range f.Logs {
		c.index(at, log)
	}
	for s, acks := range h.streams {
		c.stream(s, *acks)
	}
	for at, seen := range h.reads {
		c.reads(at, seen, f.Logs[at])
	}
	for topic, want := range h.topics {
		c.topic(topic, want, f.Topics)
	}
	slices.SortFunc(c.found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.What, b.What))
	})
	return append(slices.Clone(h.found), c.found...)
}

// checker is one run of Check.
type checker struct {
	h      *History
	places map[Partition]map[ID][]int64 // the offsets of each record
	found  []Violation
}

func (c *checker) report(k Kind, format string, args ...any) {
	c.found = append(c.found, Violation{k, fmt.Sprintf(format, args...)})
}

// index notes where each record is, and reports those that nobody sent.
func (c *checker) index(at Partition, log []Entry) {
	places := make(map[ID][]int64, len(log))
	for _, e := range log {
		if !c.sent(at, e.ID) {
			c.report(Phantom, "%v@%d holds %v, which was never sent", at, e.Offset, e.ID)
		}
		places[e.ID] = append(places[e.ID], e.Offset)
	}
	c.places[at] = places
}

func (c *checker) sent(at Partition, id ID) bool {
	s := c.h.streams[stream{id.Producer, at}]
	return s != nil && id.N >= 0 && id.N < int64(len(*s))
}

// stream checks what one producer sent to one partition.
func (c *checker) stream(s stream, acks []int64) {
	last := ID{N: unacked}
	lastAt := int64(unacked)
	for n, acked := range acks {
		id := ID{s.producer, int64(n)}
		places := c.places[s.at][id]
		if len(places) > 1 && c.h.promises[s.producer] == Once {
			c.report(Duplicated, "%v holds %v at %v", s.at, id, places)
		}
		if acked == unacked {
			continue
		}
		c.acked(s.at, id, acked)
		if acked <= lastAt {
			c.report(Reordered, "%v holds %v at %d, but the later %v at %d", s.at, last, lastAt, id, acked)
		}
		last, lastAt = id, acked
	}
	c.order(s)
}

// acked checks that a record is where it was acknowledged.
func (c *checker) acked(at Partition, id ID, offset int64) {
	places := c.places[at][id]
	switch {
	case len(places) == 0:
		c.report(Lost, "%v was acknowledged at %v@%d", id, at, offset)
	case !slices.Contains(places, offset):
		c.report(Altered, "%v was acknowledged at %v@%d and is at %v", id, at, offset, places)
	}
}

// order checks the order of what is there, acknowledged or not, where nothing is repeated.
func (c *checker) order(s stream) {
	if c.h.promises[s.producer] != Once {
		return
	}
	lastAt := int64(unacked)
	for n := range *c.h.streams[s] {
		places := c.places[s.at][ID{s.producer, int64(n)}]
		if len(places) == 0 {
			continue
		}
		if places[0] < lastAt {
			c.report(Reordered, "%v holds %s#%d at %d, behind a record that was sent before it, at %d",
				s.at, s.producer, n, places[0], lastAt)
		}
		lastAt = places[0]
	}
}

// reads checks that what consumers got is there still.
func (c *checker) reads(at Partition, seen []ID, log []Entry) {
	held := make(map[int64]ID, len(log))
	for _, e := range log {
		held[e.Offset] = e.ID
	}
	for offset, id := range seen {
		now, there := held[int64(offset)]
		switch {
		case id == ID{}:
		case !c.sent(at, id):
			c.report(Phantom, "a consumer got %v at %v@%d, which was never sent", id, at, offset)
		case !there:
			c.report(Lost, "a consumer got %v at %v@%d, where nothing is now", id, at, offset)
		case now != id:
			c.report(Altered, "a consumer got %v at %v@%d, where %v is now", id, at, offset, now)
		}
	}
}

// topic checks that what was made is there and what was deleted is not.
func (c *checker) topic(topic string, want topicState, have map[string]int) {
	partitions, there := have[topic]
	switch {
	case want.exists == present && !there:
		c.report(TopicForgotten, "%s was made with %d partitions", topic, want.partitions)
	case want.exists == present && partitions != want.partitions:
		c.report(TopicForgotten, "%s was made with %d partitions and has %d",
			topic, want.partitions, partitions)
	case want.exists == absent && there:
		c.report(TopicRevived, "%s was deleted and is there, with %d partitions", topic, partitions)
	}
}
