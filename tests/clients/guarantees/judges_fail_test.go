package guarantees

import (
	"maps"
	"slices"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/guarantees/worker"
)

// right is a history in which every claim holds: news "fine", an order of each kind, and two sagas.
func right() *history {
	one := func(ids ...string) map[string]int {
		m := map[string]int{}
		for _, id := range ids {
			m[id] = 1
		}
		return m
	}
	fine, doomed := pick(worker.Doomed, false, 'a'), pick(worker.Doomed, true, 'a')
	goes, refused := pick(worker.Refused, false, 'a'), pick(worker.Refused, true, 'a')
	a, b, c := order{fine, "k", 1}, order{pick(worker.Doomed, false, rune(fine[0])+1), "k", 2}, order{doomed, "k", 3}
	return &history{
		tried: one(fine, doomed), acked: one(fine, doomed), most: one(fine, doomed), before: one(fine),
		done: one(fine), dead: one(doomed), letters: one(doomed), positions: one(fine, doomed),
		committed: []order{a, b, c}, undone: one("undone"), once: []order{a, b, c}, ordered: []order{a, b},
		aside: one(doomed), attempts: one(a.id, b.id, c.id),
		trips: map[string]string{goes: "completed", refused: "compensated"},
		steps: map[string][]string{goes: {"flight", "hotel", "car"},
			refused: {"flight", "hotel", "nocar", "unhotel", "unflight"}},
	}
}

// pick is the first name from a letter on that is one, or that is none.
func pick(is func(string) bool, want bool, from rune) string {
	for c := from; ; c++ {
		if is(string(c)) == want {
			return string(c)
		}
	}
}

func TestEachJudgeCanFail(t *testing.T) {
	fine, doomed := pick(worker.Doomed, false, 'a'), pick(worker.Doomed, true, 'a')
	goes := pick(worker.Refused, false, 'a')
	wrong := map[string]struct {
		judge func(*history) faults
		do    func(*history)
	}{
		"handled twice":               {atMostOnce, func(h *history) { h.most[fine] = 2 }},
		"handled and not published":   {atMostOnce, func(h *history) { h.most["x"] = 1 }},
		"more lost than was in hand":  {atMostOnce, func(h *history) { delete(h.most, fine) }},
		"neither handled nor dead":    {atLeastOnce, func(h *history) { delete(h.done, fine) }},
		"a dead letter that is gone":  {atLeastOnce, func(h *history) { delete(h.letters, doomed) }},
		"done and not published":      {atLeastOnce, func(h *history) { h.done["x"] = 1 }},
		"what always fails was done":  {atLeastOnce, func(h *history) { h.done[doomed] = 1 }},
		"two rows":                    {effectOnce, func(h *history) { h.once = append(h.once, h.once[0]) }},
		"tried and no row":            {effectOnce, func(h *history) { h.once = h.once[1:] }},
		"committed and never arrived": {committedOnly, func(h *history) { delete(h.attempts, fine) }},
		"arrived and not committed":   {committedOnly, func(h *history) { h.attempts["undone"] = 1 }},
		"rolled back and committed":   {committedOnly, func(h *history) { h.undone[fine] = 1 }},
		"out of order":                {inOrder, func(h *history) { slices.Reverse(h.ordered) }},
		"left out":                    {inOrder, func(h *history) { h.ordered = h.ordered[1:] }},
		"failed and no dead letter":   {inOrder, func(h *history) { delete(h.aside, doomed) }},
		"not on the other side":       {endToEnd, func(h *history) { h.once = h.once[1:] }},
		"twice on the other side":     {endToEnd, func(h *history) { h.once = append(h.once, h.once[0]) }},
		"only on the other side":      {endToEnd, func(h *history) { h.committed = h.committed[1:] }},
		"a record without a row":      {byPosition, func(h *history) { delete(h.positions, fine) }},
		"a record with two rows":      {byPosition, func(h *history) { h.positions[fine] = 2 }},
		"a step twice":                {stepsOnce, func(h *history) { h.steps[goes] = append(h.steps[goes], "car") }},
		"a saga that is stuck":        {stepsOnce, func(h *history) { h.trips[goes] = "stuck" }},
		"steps of no saga":            {stepsOnce, func(h *history) { delete(h.trips, goes) }},
		"no saga":                     {stepsOnce, func(h *history) { clear(h.trips); clear(h.steps) }},
	}
	for _, c := range flows {
		if f := c.judge(right()); len(f) > 0 {
			t.Errorf("%s\nof a right history: %v", c.words, f)
		}
	}
	for name, w := range wrong {
		h := right()
		w.do(h)
		if len(w.judge(h)) == 0 {
			t.Errorf("%s: the judge finds nothing", name)
		}
	}
}

func TestEachJudgeOfStoresCanFail(t *testing.T) {
	right := &kept{appended: map[string]string{"s 1": "a", "s 2": "c"}, head: 3, counted: 3,
		seen: map[int64]string{1: "s 1 a", 2: "r 1 b", 3: "s 2 c"}}
	for _, c := range storeClaims {
		if f := c.judge(right); len(f) > 0 {
			t.Errorf("%s\nof a right history: %v", c.words, f)
		}
	}
	wrong := map[string]struct {
		judge func(*kept) faults
		do    func(*kept)
	}{
		"a gap":                 {withoutGap, func(k *kept) { delete(k.seen, 2) }},
		"a version twice":       {withoutGap, func(k *kept) { k.seen[3] = "s 1 c" }},
		"an append that is not": {withoutGap, func(k *kept) { k.appended["s 3"] = "d" }},
		"another in its place":  {withoutGap, func(k *kept) { k.seen[3] = "s 2 x" }},
		"readers that differ":   {withoutGap, func(k *kept) { k.wrong = []string{"at 1 one saw another"} }},
		"counts that differ":    {foldOfPrefix, func(k *kept) { k.wrong = []string{"the counts are others"} }},
		"an audit of a part":    {foldOfPrefix, func(k *kept) { k.counted = 2 }},
	}
	for name, w := range wrong {
		k := *right
		k.appended, k.seen = maps.Clone(right.appended), maps.Clone(right.seen)
		w.do(&k)
		if len(w.judge(&k)) == 0 {
			t.Errorf("%s: the judge finds nothing", name)
		}
	}
}
