package main

import "testing"

func TestMemoryLimitLeavesRoomForWhatIsAlive(t *testing.T) {
	for live, want := range map[int64]int64{0: smallHeap, 30 << 20: smallHeap,
		300 << 20: 400 << 20} {
		if got := limitFor(live); got != want {
			t.Errorf("%d bytes alive: got limit %d, want %d", live, got, want)
		}
	}
}
