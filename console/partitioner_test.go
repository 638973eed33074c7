package console

import "testing"

func TestRecordsWithoutKeyTakeTurns(t *testing.T) {
	var turns turn
	got := [4]int{turns.next(3), turns.next(3), turns.next(3), turns.next(3)}
	if want := [4]int{0, 1, 2, 0}; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
