package guarantees

import (
	"testing"
)

// claim is a sentence of the page, and what judges a history by it.
type claim struct {
	words string
	judge func(*history) faults
	// applies says where it is claimed; nil is everywhere.
	applies func(place) bool
}

// flows are the claims about what services send, receive and run.
var flows = []claim{
	{"An event that is acknowledged before it is handled has at most one effect.", atMostOnce, nil},
	{"An event whose publish was acknowledged is handled, or among the dead letters.", atLeastOnce, nil},
	{"What a handler writes through an inbox is there exactly once for each event.", effectOnce, nil},
	{"An event in an outbox is published if and only if its transaction commits.", committedOnly, nil},
	{"Events of one key are handled in the order in which their transactions committed.", inOrder,
		func(p place) bool { return !p.unordered }},
	{"From one database to another, each event has exactly one effect.", endToEnd, nil},
	{"A position that is kept beside the rows gives each record exactly one effect.", byPosition,
		func(p place) bool { return p.positions }},
	{"Each step of a saga is done once or undone in reverse order, and no saga is left half way.", stepsOnce, nil},
}

func TestClaims(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			h := play(t, p)
			h.log(t)
			for _, c := range flows {
				if c.applies == nil || c.applies(p) {
					t.Run(c.words, func(t *testing.T) { report(t, c.judge(h)) })
				}
			}
		})
	}
}

// report fails the test with some of the faults.
func report(t *testing.T, f faults) {
	t.Helper()
	for _, fault := range f[:min(len(f), 10)] {
		t.Error(fault)
	}
	if len(f) > 10 {
		t.Errorf("and %d more", len(f)-10)
	}
}

// log tells what there was.
func (h *history) log(t *testing.T) {
	attempts := 0
	for _, n := range h.attempts {
		attempts += n
	}
	t.Logf("seed %d: %d workers and %d brokers killed", *seed, h.kills, h.falls)
	t.Logf("%d news acknowledged of %d, %d handled once at most, %d done, %d dead letters",
		len(h.acked), len(h.tried), len(h.most), len(h.done), len(h.dead))
	t.Logf("%d orders committed and %d rolled back; %d rows after %d attempts; %d sagas",
		len(h.committed), len(h.undone), len(h.once), attempts, len(h.trips))
}
