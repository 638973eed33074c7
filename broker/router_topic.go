package broker

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"
)

// topicWays match keys to patterns. Both are words with dots between them: "*"
// stands for one word, "#" for any number of them, none included. An empty word
// is a word ("a..b" has three), but the empty key has none: "#" and "" match it,
// "*" does not.
//
// Patterns are the paths of a tree. A key is followed along all of them at once,
// word by word, by keeping the set of nodes that the words so far lead to. Trying
// one path after the other would meet the same node again for each way in which
// several "#" can share the words between them: C(46, 15) times for fifteen "#"
// and 31 words. Here a node is in the set once, so that a word costs two look-ups
// per node in the set, and a key at most its words times the nodes of the tree,
// for one pattern its words times the pattern's.
//
// That a node is there once follows from the tree. What a word or "*" leads to
// has one parent, and is reached at the word after the parent's. What "#" leads to
// takes any word and so, once reached, stays to the end: it needs no look at the
// rest of the key, is kept apart, and only there a second arrival must be noticed.
type topicWays struct{ root topicNode }

// topicNode is a word of the patterns that begin the same.
type topicNode struct {
	parent *topicNode
	word   string
	words  map[string]*topicNode
	star   *topicNode
	hash   *topicNode
	below  bool     // there is a "#" above: it may be reached at several words of a key
	bound  []*entry // patterns that end here
}

func (w *topicWays) put(e *entry) error {
	n := &w.root
	for word := range words(e.key) {
		n = n.grow(word)
	}
	n.bound = append(n.bound, e)
	return nil
}

func (w *topicWays) drop(e *entry) {
	n := &w.root
	for word := range words(e.key) {
		n = n.child(word)
	}
	n.bound = without(n.bound, e.order)
	for n.parent != nil && len(n.bound) == 0 && n.hash == nil && !n.waits() {
		n.parent.forget(n.word)
		n = n.parent
	}
}

func (w *topicWays) route(m *routed, hit func(destination)) {
	walk := topicWalks.Get().(*topicWalk)
	walk.match(&w.root, m.key, hit)
	for _, key := range m.keys {
		walk.match(&w.root, key, hit)
	}
	if walk.small() {
		topicWalks.Put(walk)
	}
}

// words yields the words of a key or pattern.
func words(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest, more := key, key != ""; more; {
			var word string
			word, rest, more = strings.Cut(rest, ".")
			if !yield(word) {
				return
			}
		}
	}
}

func (n *topicNode) child(word string) *topicNode {
	switch word {
	case "*":
		return n.star
	case "#":
		return n.hash
	}
	return n.words[word]
}

// grow returns a child, and makes it first if it is not there.
func (n *topicNode) grow(word string) *topicNode {
	c := n.child(word)
	if c != nil {
		return c
	}
	c = &topicNode{parent: n, word: word, below: n.below || n.word == "#"}
	switch word {
	case "*":
		n.star = c
	case "#":
		n.hash = c
	default:
		if n.words == nil {
			n.words = map[string]*topicNode{}
		}
		n.words[word] = c
	}
	return c
}

func (n *topicNode) forget(word string) {
	switch word {
	case "*":
		n.star = nil
	case "#":
		n.hash = nil
	default:
		delete(n.words, word)
	}
}

// waits reports whether another word can lead further.
func (n *topicNode) waits() bool { return n.star != nil || len(n.words) > 0 }

// topicWalk follows one key after another, and keeps its memory in between.
type topicWalk struct {
	at   []*topicNode // what the words so far lead to, but no "#"
	next []*topicNode // room for the set after one more word
	stay []*topicNode // every "#" reached so far that waits for another word
	seen map[*topicNode]struct{}
	ends []*topicNode // nodes whose bindings match
	hits []*entry
}

var topicWalks = sync.Pool{New: func() any {
	return &topicWalk{seen: map[*topicNode]struct{}{}}
}}

// maxWalk bounds what a walk keeps: one strange key should not cost memory, or the
// clearing of it, for ever.
const maxWalk = 4096

func (w *topicWalk) small() bool {
	return max(cap(w.at), cap(w.next), cap(w.stay), cap(w.ends), cap(w.hits)) <= maxWalk
}

func (w *topicWalk) reset() {
	w.at, w.stay, w.ends, w.hits = w.at[:0], w.stay[:0], w.ends[:0], w.hits[:0]
	if len(w.seen) > maxWalk {
		w.seen = map[*topicNode]struct{}{}
	}
	clear(w.seen)
}

func (w *topicWalk) match(root *topicNode, key string, hit func(destination)) {
	w.reset()
	w.enter(root)
	for word := range words(key) {
		w.step(word)
	}
	for _, n := range w.at {
		w.end(n)
	}
	w.hitEnds(hit)
}

func (w *topicWalk) step(word string) {
	before, stayed := w.at, w.stay // a "#" that this word reaches does not see it again
	w.at, w.next = w.next[:0], before
	for _, n := range before {
		w.follow(n, word)
	}
	for _, n := range stayed {
		w.follow(n, word)
	}
}

func (w *topicWalk) follow(n *topicNode, word string) {
	if c := n.words[word]; c != nil {
		w.enter(c)
	}
	if n.star != nil {
		w.enter(n.star)
	}
}

// enter adds a node, and each "#" that follows it without a word.
func (w *topicWalk) enter(n *topicNode) {
	w.at = append(w.at, n)
	for n = n.hash; n != nil && w.first(n); n = n.hash {
		w.end(n)
		if n.waits() {
			w.stay = append(w.stay, n)
		}
	}
}

func (w *topicWalk) first(n *topicNode) bool {
	if !n.below {
		return true
	}
	_, again := w.seen[n]
	w.seen[n] = struct{}{}
	return !again
}

func (w *topicWalk) end(n *topicNode) {
	if len(n.bound) > 0 {
		w.ends = append(w.ends, n)
	}
}

// hitEnds brings bindings of several nodes into the order of binding.
func (w *topicWalk) hitEnds(hit func(destination)) {
	if len(w.ends) == 1 {
		hitAll(w.ends[0].bound, hit)
		return
	}
	for _, n := range w.ends {
		w.hits = append(w.hits, n.bound...)
	}
	slices.SortFunc(w.hits, func(a, b *entry) int { return cmp.Compare(a.order, b.order) })
	hitAll(w.hits, hit)
}
