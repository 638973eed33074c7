package main

import (
	"runtime"
	"sync"
	"testing"
)

func TestMemoryLimitLeavesRoomForWhatIsAlive(t *testing.T) {
	for _, c := range []struct{ live, rest, want int64 }{
		{0, 0, smallHeap}, {30 << 20, 8 << 20, smallHeap}, {33 << 20, 20 << 20, 64 << 20},
		{300 << 20, 0, 400 << 20},
	} {
		if got := limitFor(c.live, c.rest); got != c.want {
			t.Errorf("%d bytes alive and %d of stacks: got limit %d, want %d", c.live, c.rest, got, c.want)
		}
	}
}

func TestMemoryLimitCountsStacks(t *testing.T) {
	before := newHeap().rest()
	var parked, done sync.WaitGroup
	leave := make(chan struct{})
	for range 1000 {
		parked.Add(1)
		done.Go(func() { useStack(&parked, leave) })
	}
	parked.Wait()
	const least = 1000 * 32 << 10
	if grown := newHeap().rest() - before; grown < least {
		t.Errorf("a thousand stacks of more than 32 KiB count %d bytes, want %d", grown, least)
	}
	close(leave)
	done.Wait()
}

// useStack waits with more than 32 KiB on its stack.
func useStack(parked *sync.WaitGroup, leave <-chan struct{}) {
	var room [33 << 10]byte
	parked.Done()
	<-leave
	runtime.KeepAlive(&room)
}
