package crash

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// good is a history with its true outcome.
func good() (*history, outcome) {
	h := newHistory()
	h.idempotent["p"] = true
	o := outcome{topics: map[string]bool{"t": true}, cursors: map[cursor]int64{}}
	for n := range 10 {
		i, at := id{"p", n}, place{"t", 0, int64(n)}
		h.send(i)
		h.ack(i, at)
		o.records = append(o.records, found{i, at})
	}
	c := cursor{"g", "t", 0}
	h.commit(c, 7)
	o.cursors[c] = 7
	return h, o
}

func TestCheckerPassesWhatIsTrue(t *testing.T) {
	h, o := good()
	if broken := h.check(o, 10); len(broken) > 0 {
		t.Fatal(broken)
	}
}

// TestCheckerNoticesEachBrokenPromise is the sabotage that shows it can fail.
func TestCheckerNoticesEachBrokenPromise(t *testing.T) {
	for want, spoil := range map[string]func(*outcome){
		"lost":      func(o *outcome) { o.records = slices.Delete(o.records, 4, 5) },
		"phantom":   func(o *outcome) { o.records = append(o.records, found{id{"p", 99}, place{"t", 0, 10}}) },
		"twice":     func(o *outcome) { o.records = append(o.records, found{id{"p", 3}, place{"t", 0, 10}}) },
		"reordered": func(o *outcome) { o.records[2].id, o.records[3].id = o.records[3].id, o.records[2].id },
		"topic":     func(o *outcome) { o.topics = nil },
		"committed": func(o *outcome) {
			o.cursors = maps.Clone(o.cursors)
			for c := range o.cursors {
				o.cursors[c]--
			}
		},
	} {
		h, o := good()
		spoil(&o)
		if got := strings.Join(h.check(o, 10), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: got %q", want, got)
		}
	}
}
