package history

import (
	"fmt"
	"maps"
	"sync"
)

// Partition is a partition of a topic.
type Partition struct {
	Topic  string
	Number int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Number) }

// ID is the N-th record, from 0, that a producer sent to a partition.
type ID struct {
	Producer string
	N        int64
}

func (id ID) String() string { return fmt.Sprintf("%s#%d", id.Producer, id.N) }

// Promise is what a producer's client promises about repetition.
type Promise int

const (
	// AtLeastOnce allows that a record is there more than once.
	AtLeastOnce Promise = iota
	// Once is the promise of an idempotent producer.
	Once
)

// Commits are the offsets that a group has committed.
type Commits map[Partition]int64

// History is what clients saw. Its methods may be called from any goroutine.
type History struct {
	mu       sync.Mutex
	promises map[string]Promise
	streams  map[stream]*[]int64 // the acknowledged offset of each record sent, or unacked
	reads    map[Partition][]ID  // by offset; the zero ID was not read
	commits  map[string]Commits  // the highest acknowledged, by group
	topics   map[string]topicState
	found    []Violation // what was wrong at the moment it was told
	acked    int64
}

// stream is what one producer sends to one partition.
type stream struct {
	producer string
	at       Partition
}

const unacked = -1

// topicState is what must be true of a topic.
type topicState struct {
	exists     existence
	partitions int
}

type existence int

const (
	uncertain existence = iota
	present
	absent
)

// New returns an empty history.
func New() *History {
	return &History{
		promises: make(map[string]Promise),
		streams:  make(map[stream]*[]int64),
		reads:    make(map[Partition][]ID),
		commits:  make(map[string]Commits),
		topics:   make(map[string]topicState),
	}
}

// Producer names a producer and what its client promises.
func (h *History) Producer(name string, p Promise) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.promises[name] = p
}

// Sent notes that a producer is about to send its next record to a partition, and returns
// the number of that record.
func (h *History) Sent(producer string, at Partition) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[stream{producer, at}]
	if s == nil {
		s = new([]int64)
		h.streams[stream{producer, at}] = s
	}
	*s = append(*s, unacked)
	return int64(len(*s) - 1)
}

// Acked notes that the n-th record of a producer was acknowledged at an offset.
func (h *History) Acked(producer string, at Partition, n, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	(*h.streams[stream{producer, at}])[n] = offset
	h.acked++
}

// Read notes that a consumer got a record at an offset.
func (h *History) Read(at Partition, offset int64, id ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := h.reads[at]
	for int64(len(seen)) <= offset {
		seen = append(seen, ID{})
	}
	h.reads[at] = seen
	if before := seen[offset]; before != (ID{}) && before != id {
		h.foundLocked(Altered, "%v@%d was read as %v and then as %v", at, offset, before, id)
	}
	seen[offset] = id
}

// Phantom notes that a consumer got something that is not a record of any producer.
func (h *History) Phantom(at Partition, offset int64, what error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.foundLocked(Phantom, "%v@%d: %v", at, offset, what)
}

// Committed notes that a commit of a group was acknowledged.
func (h *History) Committed(group string, offsets Commits) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.commits[group]
	if known == nil {
		known = make(Commits)
		h.commits[group] = known
	}
	for at, offset := range offsets {
		known[at] = max(known[at], offset)
	}
}

// Commits returns what a group has committed for certain. Take it before asking the broker.
func (h *History) Commits(group string) Commits {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.commits[group])
}

// Fetched notes what the broker said a group has committed; certain is what Commits
// returned before it was asked.
func (h *History) Fetched(group string, certain, got Commits) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for at, want := range certain {
		if offset, there := got[at]; !there || offset < want {
			h.foundLocked(CommitForgotten, "group %s, %v: committed %d was acknowledged, got %d (there: %t)",
				group, at, want, offset, there)
		}
	}
}

// TopicUncertain notes that a topic is about to be made or deleted.
func (h *History) TopicUncertain(topic string) { h.setTopic(topic, topicState{}) }

// TopicMade notes that the creation of a topic was acknowledged.
func (h *History) TopicMade(topic string, partitions int) {
	h.setTopic(topic, topicState{present, partitions})
}

// TopicDeleted notes that the deletion of a topic was acknowledged.
func (h *History) TopicDeleted(topic string) { h.setTopic(topic, topicState{exists: absent}) }

func (h *History) setTopic(topic string, s topicState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topics[topic] = s
}

// Totals is the size of a history.
type Totals struct {
	Sent, Acked int64
	Read        int // different records that consumers got
}

// Totals counts what was told so far.
func (h *History) Totals() Totals {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := Totals{Acked: h.acked}
	for _, s := range h.streams {
		t.Sent += int64(len(*s))
	}
	for _, seen := range h.reads {
		for _, id := range seen {
			if id != (ID{}) {
				t.Read++
			}
		}
	}
	return t
}

func (h *History) foundLocked(k Kind, format string, args ...any) {
	h.found = append(h.found, Violation{k, fmt.Sprintf(format, args...)})
}
