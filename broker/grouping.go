package broker

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"
)

// grouping is the order of a queue whose records have groups. In an ordered queue a record
// may be handed out while nothing of its group that lies before it is in somebody's hands;
// in a fair one groups take turns. What waits is sorted into its groups as far as a window
// goes; the lane's next is where that ends:
//
//	       settled, in hands, or sorted into a group      next       durable    end
//	gone ...|..A..B..x..lease(A)..A..B..x..B..|.. not sorted yet ..|.. pending |
//
// Behind a restart the lane's returned records are not sorted either, and lie before next.
// A record that waits takes 8 bytes; one that was handed out has a place in a map too.
//
// It is guarded by the queue's mutex, and knows nothing of disks: see gather.
type grouping struct {
	ordered bool
	groups  map[string]*recordGroup
	// homes are the groups of what is in somebody's hands, or came back.
	homes  map[Offset]*recordGroup
	ready  groupHeap // those with a record that may be handed out; the next on top
	oldest groupHeap // those with a record that waits; the oldest on top
	// waiting is how many records are sorted and in nobody's hands.
	waiting int
	// coming has the groups of records from next on that were published a moment ago: they
	// need not be read.
	coming []string
	// blind is what was leased before the queue had groups, or a restart, and whose groups
	// are not known yet, in order. Nothing is sorted before that.
	blind []Offset
	round int64 // fair: the turn of the group that was served last
	// Ordered: what was sorted ends there, and how many records were given back.
	end     Offset
	returns uint64
	// last is the group of the last take, and before the offset up to which nothing else of
	// it was in anyone's hands then.
	last   *recordGroup
	before Offset
	// gathering is not nil while somebody reads what is not sorted; it is closed in the end.
	gathering chan struct{}
	// due is up to where records had their delay; dueAt when to look further, ms: 0 with the
	// next occasion.
	due   Offset
	dueAt int64
}

// recordGroup is the records of one group.
type recordGroup struct {
	name    string
	waiting []Offset // never handed out, in order
	back    returned // handed out, and given back
	flight  []Offset // in somebody's hands, in order; only where groups are ordered
	held    int      // in somebody's hands
	turn    int64    // fair: groups with lesser ones are served first
	head    Offset   // the first that waits
	// Ordered: a group of which something came back lets go first what was sorted by then, and
	// the groups of which something had come back before. Else one that fails again and again
	// would be all that is handed out.
	behind Offset
	came   uint64
	places [2]int32 // in the heaps; nowhere
}

const nowhere = -1

func newGrouping(ordered bool) *grouping {
	return &grouping{ordered: ordered, ready: groupHeap{which: byTurn}, oldest: groupHeap{which: byAge},
		due: math.MaxInt64, dueAt: never}
}

// group returns the group of a name. One of which nothing is left is forgotten by fix.
func (g *grouping) group(name string) *recordGroup {
	gr := g.groups[name]
	if gr == nil {
		name = strings.Clone(name) // of a request, perhaps, that need not stay
		gr = &recordGroup{name: name, places: [2]int32{nowhere, nowhere}}
		if g.groups == nil {
			g.groups = map[string]*recordGroup{}
		}
		g.groups[name] = gr
	}
	return gr
}

// groupOf returns the group that an entry names.
func (g *grouping) groupOf(name []byte) *recordGroup {
	if gr := g.groups[string(name)]; gr != nil {
		return gr
	}
	return g.group(string(name))
}

// nameOf is a name that may be kept.
func (g *grouping) nameOf(name string) string {
	if gr := g.groups[name]; gr != nil {
		return gr.name
	}
	return strings.Clone(name)
}

// add sorts a record that lies behind all that were sorted.
func (g *grouping) add(off Offset, gr *recordGroup) {
	gr.waiting = append(gr.waiting, off)
	g.end = off + 1
	g.waiting++
	g.fix(gr)
}

// addBack sorts one that was handed out before, or perhaps.
func (g *grouping) addBack(r returnedRecord, gr *recordGroup) {
	g.setHome(r.off, gr)
	gr.back.push(r)
	g.waiting++
	g.fix(gr)
}

// hold sorts one that is in somebody's hands.
func (g *grouping) hold(off Offset, gr *recordGroup) {
	g.setHome(off, gr)
	g.heldIn(gr, off)
	g.fix(gr)
}

func (g *grouping) setHome(off Offset, gr *recordGroup) {
	if g.homes == nil {
		g.homes = map[Offset]*recordGroup{}
	}
	g.homes[off] = gr
}

func (g *grouping) heldIn(gr *recordGroup, off Offset) {
	gr.held++
	if g.ordered {
		at, _ := slices.BinarySearch(gr.flight, off)
		gr.flight = slices.Insert(gr.flight, at, off)
	}
}

// first is the group whose turn it is; nil: there is nothing to hand out.
func (g *grouping) first() *recordGroup { return g.ready.top() }

// take hands out the first record of a group.
func (g *grouping) take(gr *recordGroup) (r returnedRecord) {
	g.last, g.before = gr, math.MaxInt64
	if len(gr.flight) > 0 {
		g.before = gr.flight[0]
	}
	return g.takeHead(gr)
}

// following is the record that may go to who has just taken one: the next of the same
// group, where nobody else has an older one.
func (g *grouping) following() (off Offset, ok bool) {
	gr := g.last
	if !g.ordered || gr == nil || gr.places[byAge] == nowhere || gr.head > g.before {
		return 0, false
	}
	return gr.head, true
}

func (g *grouping) takeHead(gr *recordGroup) (r returnedRecord) {
	if len(gr.back) > 0 && gr.back.top().off == gr.head {
		r = gr.back.pop()
	} else {
		r = returnedRecord{off: gr.head, size: counted}
		if gr.waiting = gr.waiting[1:]; len(gr.waiting) == 0 {
			gr.waiting = nil
		}
		g.setHome(r.off, gr)
	}
	g.waiting--
	g.heldIn(gr, r.off)
	if !g.ordered {
		g.round = max(g.round, gr.turn)
		gr.turn = g.round + 1
	}
	g.fix(gr)
	return r
}

// giveBack takes a record back whose group is known, unless a delay holds it back again.
func (g *grouping) giveBack(r returnedRecord) (sorted bool) {
	gr := g.homes[r.off]
	switch {
	case gr != nil && r.off >= g.due:
		g.letGo(r.off)
		return false
	case gr != nil:
		g.unheld(gr, r.off)
	case !g.ordered && !g.isBlind(r.off): // it was taken before the queue had groups
		gr = g.group("")
		g.setHome(r.off, gr)
	default:
		return false
	}
	if g.ordered && gr.places[byTurn] == nowhere {
		g.returns++
		gr.behind, gr.came = g.end, g.returns
	}
	gr.back.push(r)
	g.waiting++
	g.fix(gr)
	return true
}

func (g *grouping) isBlind(off Offset) bool {
	_, ok := slices.BinarySearch(g.blind, off)
	return ok
}

func (g *grouping) unheld(gr *recordGroup, off Offset) {
	gr.held--
	if at, ok := slices.BinarySearch(gr.flight, off); ok {
		if gr.flight = slices.Delete(gr.flight, at, at+1); len(gr.flight) == 0 {
			gr.flight = nil
		}
	}
}

// letGo ends what is known of a record that was in somebody's hands, and is settled.
func (g *grouping) letGo(off Offset) {
	if gr := g.homes[off]; gr != nil {
		g.leaveHome(off)
		g.unheld(gr, off)
		g.fix(gr)
	}
}

// inFlight says whether a record is in somebody's hands, and blocks its group.
func (g *grouping) inFlight(off Offset) bool {
	gr := g.homes[off]
	if gr == nil {
		return false
	}
	_, ok := slices.BinarySearch(gr.flight, off)
	return ok
}

// isBack says whether a record came back to its group.
func (g *grouping) isBack(off Offset) bool {
	gr := g.homes[off]
	return gr != nil && gr.back.find(off, 0) >= 0
}

// remove takes a record out that came back, and is settled.
func (g *grouping) remove(off Offset) (ok bool) {
	gr := g.homes[off]
	if gr == nil {
		return false
	}
	if _, ok = gr.back.remove(off); ok {
		g.leaveHome(off)
		g.waiting--
		g.fix(gr)
	}
	return ok
}

func (g *grouping) leaveHome(off Offset) {
	if delete(g.homes, off); len(g.homes) == 0 {
		g.homes = nil // a burst must not hold memory for ever
	}
}

// drain takes out all that waits, in order: it is not sorted any more. What is in hands
// stays known.
func (g *grouping) drain() (all []returnedRecord) {
	for _, gr := range g.groups {
		for _, r := range gr.back {
			g.leaveHome(r.off)
		}
		all = append(all, gr.back...)
		for _, off := range gr.waiting {
			all = append(all, returnedRecord{off: off})
		}
		gr.back, gr.waiting = nil, nil
		g.fix(gr)
	}
	g.waiting, g.coming, g.last = 0, nil, nil
	slices.SortFunc(all, func(a, b returnedRecord) int { return cmp.Compare(a.off, b.off) })
	return all
}

// sorted lists what waits, in order.
func (g *grouping) sorted() (all []returnedRecord) {
	for _, gr := range g.groups {
		all = append(all, gr.back...)
		for _, off := range gr.waiting {
			all = append(all, returnedRecord{off: off})
		}
	}
	slices.SortFunc(all, func(a, b returnedRecord) int { return cmp.Compare(a.off, b.off) })
	return all
}

// fix finds the place of a group after a change, and forgets one of which nothing is left.
func (g *grouping) fix(gr *recordGroup) {
	waits := len(gr.waiting)+len(gr.back) > 0
	if waits {
		gr.head = math.MaxInt64
		if len(gr.waiting) > 0 {
			gr.head = gr.waiting[0]
		}
		if len(gr.back) > 0 {
			gr.head = min(gr.head, gr.back.top().off)
		}
	}
	ready := waits && (len(gr.flight) == 0 || gr.head < gr.flight[0])
	if ready && !g.ordered && gr.places[byTurn] == nowhere {
		gr.turn = max(gr.turn, g.round+1) // who had nothing to say has not saved up turns
	}
	g.oldest.put(gr, waits)
	g.ready.put(gr, ready)
	if waits || gr.held > 0 {
		return
	}
	if delete(g.groups, gr.name); len(g.groups) == 0 {
		g.groups, g.ready.all, g.oldest.all = nil, nil, nil
	}
}

// groupHeap has groups by their turns, and then by their places: their first records, if nothing
// came back; or by their first records alone.
type groupHeap struct {
	which int8
	all   []*recordGroup
}

const (
	byTurn int8 = iota
	byAge
)

func (h *groupHeap) top() *recordGroup {
	if len(h.all) == 0 {
		return nil
	}
	return h.all[0]
}

// put sees that a group is in the heap at its place, or is not.
func (h *groupHeap) put(gr *recordGroup, wanted bool) {
	switch at := int(gr.places[h.which]); {
	case at == nowhere && wanted:
		heap.Push(h, gr)
	case at != nowhere && wanted:
		heap.Fix(h, at)
	case at != nowhere:
		heap.Remove(h, at)
	}
}

func (h *groupHeap) Len() int { return len(h.all) }
func (h *groupHeap) Less(i, j int) bool {
	a, b := h.all[i], h.all[j]
	if h.which == byAge {
		return a.head < b.head
	}
	order := cmp.Or(cmp.Compare(a.turn, b.turn), cmp.Compare(a.place(), b.place()), cmp.Compare(a.came, b.came))
	return order < 0
}

func (gr *recordGroup) place() Offset { return max(gr.head, gr.behind) }

func (h *groupHeap) Swap(i, j int) {
	h.all[i], h.all[j] = h.all[j], h.all[i]
	h.all[i].places[h.which], h.all[j].places[h.which] = int32(i), int32(j)
}
func (h *groupHeap) Push(x any) {
	gr := x.(*recordGroup)
	gr.places[h.which] = int32(len(h.all))
	h.all = append(h.all, gr)
}
func (h *groupHeap) Pop() any {
	n := len(h.all) - 1
	gr := h.all[n]
	h.all[n] = nil
	h.all = h.all[:n]
	gr.places[h.which] = nowhere
	return gr
}
