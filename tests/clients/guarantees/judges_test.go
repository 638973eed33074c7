package guarantees

import (
	"fmt"
	"slices"

	"github.com/tidings-io/tidings/tests/clients/guarantees/worker"
)

// faults are violations of a claim, as sentences.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// atMostOnce: no event has two effects, and a kill loses no more than was in hand.
func atMostOnce(h *history) (f faults) {
	effects := h.most
	if h.place.forgets {
		effects = h.before
	}
	for id, n := range effects {
		if n > 1 {
			f.add("news %s was handled %d times", id, n)
		}
		if h.tried[id] == 0 {
			f.add("news %s was handled, and never published", id)
		}
	}
	lost := 0
	for id := range h.acked {
		if h.most[id] == 0 {
			lost++
		}
	}
	if most := h.losses * worker.Window; lost > most {
		f.add("%d times what was in hand was lost, and %d news, more than the %d in hand", h.losses, lost, most)
	}
	return f
}

// atLeastOnce: what was acknowledged is handled or a dead letter, which is there to be read.
func atLeastOnce(h *history) (f faults) {
	for id := range h.acked {
		if h.done[id] == 0 && h.dead[id] == 0 {
			f.add("news %s was acknowledged, and is neither handled nor a dead letter", id)
		}
		if worker.Doomed(id) && h.done[id] > 0 {
			f.add("news %s was done, which cannot be", id)
		}
	}
	for id := range h.dead {
		if h.letters[id] == 0 {
			f.add("dead letter %s is not there", id)
		}
	}
	for _, made := range []map[string]int{h.done, h.dead} {
		for id := range made {
			if h.tried[id] == 0 {
				f.add("news %s was handled, and never published", id)
			}
		}
	}
	return f
}

// effectOnce: no event has two rows, whatever the number of attempts.
func effectOnce(h *history) (f faults) {
	rows := map[string]int{}
	for _, o := range h.once {
		if rows[o.id]++; rows[o.id] == 2 {
			f.add("order %s has more than one row", o.id)
		}
	}
	for id := range h.attempts {
		if rows[id] == 0 {
			f.add("order %s was tried, and has no row", id)
		}
	}
	return f
}

// committedOnly: what arrives was committed, and what was committed arrives.
func committedOnly(h *history) (f faults) {
	committed := map[string]bool{}
	for _, o := range h.committed {
		committed[o.id] = true
		if h.attempts[o.id] == 0 {
			f.add("order %s was committed, and never arrived", o.id)
		}
	}
	for id := range h.attempts {
		if !committed[id] {
			f.add("order %s arrived, and was never committed", id)
		}
	}
	for id := range h.undone {
		if committed[id] {
			f.add("order %s was committed, and rolled back", id)
		}
	}
	return f
}

// inOrder: rows of a key are in the order of its transactions, and nothing is left out but dead letters.
func inOrder(h *history) (f faults) {
	want := map[string][]string{}
	for _, o := range h.committed { // in the order of the places in keys
		if !worker.Doomed(o.id) {
			want[o.key] = append(want[o.key], o.id)
		} else if h.aside[o.id] == 0 || h.letters[o.id] == 0 {
			f.add("order %s is no dead letter", o.id)
		}
	}
	got := map[string][]string{}
	for _, o := range h.ordered {
		got[o.key] = append(got[o.key], o.id)
	}
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			f.add("of key %s\ngot  %v\nwant %v", key, got[key], want[key])
		}
	}
	return f
}

// endToEnd: what was committed on one side is there once on the other.
func endToEnd(h *history) (f faults) {
	rows := map[order]int{}
	for _, o := range h.once {
		rows[o]++
	}
	for _, o := range h.committed {
		if rows[o] != 1 {
			f.add("order %v has %d rows on the other side", o, rows[o])
		}
		delete(rows, o)
	}
	for o, n := range rows {
		f.add("order %v has %d rows, and is none", o, n)
	}
	return f
}

// byPosition: each record has one row.
func byPosition(h *history) (f faults) {
	for id := range h.acked {
		if h.positions[id] != 1 {
			f.add("news %s has %d rows", id, h.positions[id])
		}
	}
	for id, n := range h.positions {
		if n > 1 || h.tried[id] == 0 {
			f.add("news %s has %d rows, and was tried %d times", id, n, h.tried[id])
		}
	}
	return f
}

// stepsOnce: each saga ends, completed or compensated, with each step once and in its order.
func stepsOnce(h *history) (f faults) {
	for id, status := range h.trips {
		wantStatus, want := "completed", []string{"flight", "hotel", "car"}
		if worker.Refused(id) {
			wantStatus, want = "compensated", []string{"flight", "hotel", "nocar", "unhotel", "unflight"}
		}
		if status != wantStatus {
			f.add("%s is %s, want %s", id, status, wantStatus)
		}
		if got := h.steps[id]; !slices.Equal(got, want) {
			f.add("%s did %v, want %v", id, got, want)
		}
	}
	for id := range h.steps {
		if h.trips[id] == "" {
			f.add("%s has done %v, and is unknown", id, h.steps[id])
		}
	}
	if len(h.trips) == 0 {
		f.add("there is no saga")
	}
	return f
}
