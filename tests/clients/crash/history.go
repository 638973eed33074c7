// Package crash kills the broker under load and judges what it kept.
//
// Clients write down what they sent and what was acknowledged; at the end one
// checker compares that with what can be read. The promises:
//
//   - lost: an acknowledged record is where its acknowledgement said
//   - reordered: a producer's records in a partition are in the order it sent them
//   - twice: a record of an idempotent producer is there once
//   - phantom: nothing is there that nobody sent
//   - forgotten: an acknowledged topic exists, and a group's cursor is not before
//     its last acknowledged commit
package crash

import (
	"fmt"
	"sync"
	"time"
)

// place is where a record lies.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// id names a record: the n-th that a producer sent to a partition.
type id struct {
	producer string
	n        int
}

func (i id) String() string { return fmt.Sprintf("%s #%d", i.producer, i.n) }

// cursor names what a group commits.
type cursor struct {
	group, topic string
	partition    int32
}

// history is what clients know. Safe for concurrent use.
type history struct {
	mu         sync.Mutex
	sent       map[id]bool
	acked      map[id]place
	idempotent map[string]bool // producers
	topics     map[string]bool // acknowledged
	commits    map[cursor]int64
	progress   chan struct{} // capacity 1: something was acknowledged
}

func newHistory() *history {
	return &history{sent: map[id]bool{}, acked: map[id]place{}, idempotent: map[string]bool{},
		topics: map[string]bool{}, commits: map[cursor]int64{}, progress: make(chan struct{}, 1)}
}

func (h *history) send(i id) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent[i] = true
}

func (h *history) ack(i id, at place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked[i] = at
	h.topics[at.topic] = true
	select {
	case h.progress <- struct{}{}:
	default:
	}
}

// await waits until n records are acknowledged.
func (h *history) await(n int, within time.Duration) bool {
	late := time.After(within)
	for h.acknowledged() < n {
		select {
		case <-h.progress:
		case <-late:
			return false
		}
	}
	return true
}

func (h *history) commit(c cursor, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits[c] = max(h.commits[c], offset)
}

func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.acked)
}

// found is a record that was read.
type found struct {
	id id
	at place
}

// outcome is what the broker has at the end: records in the order of each
// partition, topics, and the groups' cursors.
type outcome struct {
	records []found
	topics  map[string]bool
	cursors map[cursor]int64
}

// check returns every broken promise, at most limit of each kind.
func (h *history) check(o outcome, limit int) (broken []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := map[string]int{}
	say := func(kind, format string, args ...any) {
		if count[kind]++; count[kind] <= limit {
			broken = append(broken, kind+": "+fmt.Sprintf(format, args...))
		}
	}
	at := map[place]id{}
	times := map[id]int{}
	for _, f := range o.records {
		at[f.at] = f.id
		if times[f.id]++; times[f.id] == 2 && h.idempotent[f.id.producer] {
			say("twice", "%v is at %v and before", f.id, f.at)
		}
		if !h.sent[f.id] {
			say("phantom", "%v at %v", f.id, f.at)
		}
	}
	for i, p := range h.acked {
		if at[p] != i {
			say("lost", "%v was acknowledged at %v, where %v is", i, p, at[p])
		}
	}
	for _, why := range outOfOrder(o.records) {
		say("reordered", "%s", why)
	}
	for t := range h.topics {
		if !o.topics[t] {
			say("forgotten", "topic %s", t)
		}
	}
	for c, offset := range h.commits {
		if got, ok := o.cursors[c]; !ok || got < offset {
			say("forgotten", "%v was committed at %d and is at %d", c, offset, got)
		}
	}
	return broken
}

// outOfOrder looks at the first time that each record appears: a producer that
// is not idempotent may repeat one later.
func outOfOrder(records []found) (why []string) {
	type lane struct {
		producer, topic string
		partition       int32
	}
	last := map[lane]int{}
	seen := map[id]bool{}
	for _, f := range records {
		l := lane{f.id.producer, f.at.topic, f.at.partition}
		if !seen[f.id] && f.id.n < last[l] {
			why = append(why, fmt.Sprintf("%v at %v comes after #%d", f.id, f.at, last[l]))
		}
		seen[f.id] = true
		last[l] = max(last[l], f.id.n)
	}
	return why
}
