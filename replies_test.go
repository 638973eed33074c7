package tidings

import "testing"

// Who has his answer does not take away that of another who asks with the same id since.
func TestAnAnsweredRequestForgetsNobodyElse(t *testing.T) {
	r := &replies{waiting: map[string]chan<- Event{}}
	first, second := make(chan Event, 1), make(chan Event, 1)
	ask := func(answers chan<- Event) {
		t.Helper()
		if err := r.expect("1", answers); err != nil {
			t.Fatal(err)
		}
	}
	ask(first)
	r.answer(&Event{Causation: "1"})
	ask(second)
	r.forget("1", first)
	r.answer(&Event{Causation: "1"})
	if len(first) != 1 || len(second) != 1 {
		t.Errorf("%d and %d answers, want one each", len(first), len(second))
	}
}
