package guarantees

import (
	"context"
	"maps"
	"strings"
	"sync"
)

// notes are what workers have said. A note is words, the last of which is mostly an id.
type notes struct {
	mu      sync.Mutex
	lines   []string
	said    map[string]map[string]int // by what comes before the last word, and that: how often
	changed chan struct{}             // closed and replaced with each note
}

func newNotes() *notes {
	return &notes{said: map[string]map[string]int{}, changed: make(chan struct{})}
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
	i := max(0, strings.LastIndexByte(line, ' '))
	what, id := line[:i], strings.TrimSpace(line[i:])
	if n.said[what] == nil {
		n.said[what] = map[string]int{}
	}
	n.said[what][id]++
	close(n.changed)
	n.changed = make(chan struct{})
}

// len is how many there are.
func (n *notes) len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.lines)
}

// counts is how often each id was in a kind of note.
func (n *notes) counts(what string) map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.said[what])
}

// await waits until cond is true of the notes, and says whether it was before ctx ended.
func (n *notes) await(ctx context.Context, cond func() bool) bool {
	for {
		n.mu.Lock()
		ok, changed := cond(), n.changed
		n.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// covered says whether each id of one kind of note is in one of others. For conditions of await.
func (n *notes) covered(what string, by ...string) bool {
	for id := range n.said[what] {
		found := false
		for _, other := range by {
			found = found || n.said[other][id] > 0
		}
		if !found {
			return false
		}
	}
	return true
}
