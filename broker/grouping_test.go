package broker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// modelGrouping is what a grouping must be: a list in order, and who is where.
type modelGrouping struct {
	ordered bool
	all     []*modelRecord
	turns   map[string]int64
	round   int64
	// Ordered: what was sorted, and what came back to which group.
	end     Offset
	returns int
	back    map[string]modelReturn
}

// modelReturn is when something came back to a group: behind what was sorted, and after how many others.
type modelReturn struct {
	behind Offset
	came   int
}

type modelRecord struct {
	off        Offset
	group      string
	deliveries uint32
	inHands    bool
	unsorted   bool
}

// available lists the first of each group that may be handed out, the next in front.
func (m *modelGrouping) available() (out []*modelRecord) {
	seen := map[string]bool{}
	for _, r := range m.all {
		switch {
		case r.unsorted || seen[r.group]:
		case r.inHands:
			seen[r.group] = m.ordered
		default:
			seen[r.group] = true
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *modelRecord) int {
		x, y := m.back[a.group], m.back[b.group]
		return cmp.Or(cmp.Compare(m.turns[a.group], m.turns[b.group]),
			cmp.Compare(max(a.off, x.behind), max(b.off, y.behind)), cmp.Compare(x.came, y.came))
	})
	return out
}

// giveBack puts a group that had nothing to hand out behind the others.
func (m *modelGrouping) giveBack(r *modelRecord) {
	ready := slices.ContainsFunc(m.available(), func(x *modelRecord) bool { return x.group == r.group })
	if m.ordered && !ready {
		m.returns++
		m.back[r.group] = modelReturn{m.end, m.returns}
	}
	m.change(r.group, func() { r.inHands = false })
}

// waits says whether the model has a group in the line: from then on its turn counts.
func (m *modelGrouping) waits(group string) bool {
	return slices.ContainsFunc(m.all, func(r *modelRecord) bool {
		return r.group == group && !r.unsorted && !r.inHands
	})
}

// change does something to a group, which gets its turn if it had none to take.
func (m *modelGrouping) change(group string, do func()) {
	waited := m.waits(group)
	do()
	if !m.ordered && !waited && m.waits(group) {
		m.turns[group] = max(m.turns[group], m.round+1)
	}
	if len(m.of(group)) == 0 {
		delete(m.turns, group)
		delete(m.back, group)
	}
}

func (m *modelGrouping) of(group string) (out []*modelRecord) {
	for _, r := range m.all {
		if r.group == group && !r.unsorted {
			out = append(out, r)
		}
	}
	return out
}

func (m *modelGrouping) remove(r *modelRecord) {
	m.change(r.group, func() {
		m.all = slices.DeleteFunc(m.all, func(x *modelRecord) bool { return x == r })
	})
}

// pick is a random record that is in hands, or is not.
func (m *modelGrouping) pick(d *rand.Rand, wanted func(*modelRecord) bool) *modelRecord {
	var some []*modelRecord
	for _, r := range m.all {
		if !r.unsorted && wanted(r) {
			some = append(some, r)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[d.IntN(len(some))]
}

// TestGroupingIsItsModel plays random histories of what is sorted, taken, given back and
// settled, and looks at what is to be handed out next, to whoever comes first and to who
// has just taken one; and that nothing is kept of what has left.
func TestGroupingIsItsModel(t *testing.T) {
	for seed := range seeds(t, "TIDINGS_GROUPING_SEEDS", 200) {
		d := rand.New(rand.NewPCG(seed, 21))
		g := newGrouping(d.IntN(2) == 0)
		m := &modelGrouping{ordered: g.ordered, turns: map[string]int64{}, back: map[string]modelReturn{}}
		next := Offset(0)
		for range 200 {
			playGrouping(t, d, g, m, &next)
			if got, want := textOf(g), textOfModel(m); got != want {
				t.Fatalf("seed %d, ordered %v:\n got %s\nwant %s", seed, g.ordered, got, want)
			}
		}
		for _, r := range slices.Clone(m.all) {
			switch {
			case r.inHands:
				g.letGo(r.off)
			case !g.remove(r.off):
				g.drain()
			}
		}
		if g.drain(); g.groups != nil || g.homes != nil || g.waiting != 0 || g.first() != nil || g.oldest.top() != nil {
			t.Fatalf("seed %d: left are %+v", seed, g)
		}
	}
}

func playGrouping(t *testing.T, d *rand.Rand, g *grouping, m *modelGrouping, next *Offset) {
	name := string(rune('A' + d.IntN(4)))
	inHands := func(r *modelRecord) bool { return r.inHands }
	switch n := d.IntN(100); {
	case n < 40:
		r := &modelRecord{off: *next, group: name, inHands: d.IntN(20) == 0}
		*next += Offset(1 + d.IntN(3))
		m.change(name, func() { m.all = append(m.all, r) })
		switch {
		case r.inHands:
			g.hold(r.off, g.group(name))
		case d.IntN(8) == 0:
			r.deliveries = 3
			g.addBack(returnedRecord{off: r.off, deliveries: 3}, g.groupOf([]byte(name)))
		default:
			g.add(r.off, g.groupOf([]byte(name)))
			m.end = r.off + 1
		}
	case n < 65:
		takeGrouping(t, g, m, 1+d.IntN(4))
	case n < 68:
		if top := g.oldest.top(); top != nil {
			off := g.takeHead(top).off
			r := m.pick(d, func(r *modelRecord) bool { return r.off == off })
			m.take(r)
		}
	case n < 80:
		if r := m.pick(d, inHands); r != nil {
			r.deliveries++
			m.giveBack(r)
			g.giveBack(returnedRecord{off: r.off, deliveries: r.deliveries})
		}
	case n < 92:
		if r := m.pick(d, inHands); r != nil {
			m.remove(r)
			g.letGo(r.off)
		}
	case n < 98:
		if r := m.pick(d, func(r *modelRecord) bool { return !r.inHands && r.deliveries > 0 }); r != nil {
			m.remove(r)
			g.remove(r.off)
		}
	default:
		for _, r := range g.drain() {
			x := m.pick(d, func(x *modelRecord) bool { return x.off == r.off && !x.inHands })
			m.change(x.group, func() { x.unsorted = true })
		}
		for _, r := range m.all {
			if r.unsorted {
				m.change(r.group, func() { r.unsorted = false })
				g.addBack(returnedRecord{off: r.off, deliveries: r.deliveries}, g.group(r.group))
			}
		}
	}
}

func (m *modelGrouping) take(r *modelRecord) {
	m.change(r.group, func() { r.inHands = true })
	if !m.ordered {
		m.round = max(m.round, m.turns[r.group])
		m.turns[r.group] = m.round + 1
	}
}

// takeGrouping takes the next record, and some that follow it.
func takeGrouping(t *testing.T, g *grouping, m *modelGrouping, n int) {
	gr := g.first()
	if gr == nil {
		return
	}
	r := m.available()[0]
	run := m.run(r)
	m.take(r)
	g.take(gr)
	for range n - 1 {
		off, ok := g.following()
		if want := len(run) > 0; ok != want || ok && off != run[0].off {
			t.Errorf("behind %d follows %d, %v, want %v", r.off, off, ok, run)
		}
		if !ok || len(run) == 0 {
			return
		}
		m.take(run[0])
		run = run[1:]
		g.takeHead(g.last)
	}
}

// run is what may go to who takes a record: what follows it in its group, up to what
// somebody else has.
func (m *modelGrouping) run(r *modelRecord) (out []*modelRecord) {
	for _, x := range m.of(r.group) {
		switch {
		case x.inHands || !m.ordered:
			return out
		case x != r:
			out = append(out, x)
		}
	}
	return out
}

func textOf(g *grouping) (text string) {
	if gr := g.first(); gr != nil {
		text = fmt.Sprint("first ", gr.head, " of ", gr.name, " ")
	}
	for _, r := range g.sorted() {
		text += fmt.Sprintf("%d*%d ", r.off, r.deliveries)
	}
	names := []string{}
	for name, gr := range g.groups {
		names = append(names, fmt.Sprint(name, gr.held, gr.turn))
	}
	slices.Sort(names)
	return text + fmt.Sprint(names, g.waiting)
}

func textOfModel(m *modelGrouping) (text string) {
	if all := m.available(); len(all) > 0 {
		text = fmt.Sprint("first ", all[0].off, " of ", all[0].group, " ")
	}
	waiting, held := 0, map[string]int{}
	for _, r := range m.all {
		if held[r.group] += 0; r.inHands {
			held[r.group]++
			continue
		}
		waiting++
		text += fmt.Sprintf("%d*%d ", r.off, r.deliveries)
	}
	names := []string{}
	for name, n := range held {
		names = append(names, fmt.Sprint(name, n, m.turns[name]))
	}
	slices.Sort(names)
	return text + fmt.Sprint(names, waiting)
}
