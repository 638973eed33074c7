package rabbitmq

import (
	"strings"
	"testing"
	"time"
)

// The levels whose word is 1 add up to the delay, rounded up to a tick.
func TestTheLevelsOfADelayAddUp(t *testing.T) {
	for _, d := range []time.Duration{1, tick, tick + 1, 1300 * time.Millisecond, time.Hour,
		24*time.Hour - 1, longestDelay} {
		ticks := ticksOf(d)
		key := delayKey(ticks, toQueue, "orders.dlq")
		words := strings.Split(key, ".")
		sum := time.Duration(0)
		for i, word := range words[:levels] {
			if word == "1" {
				sum += tick << (levels - 1 - i)
			}
		}
		if sum < d || sum >= d+tick {
			t.Errorf("%v: the levels of %q add up to %v", d, key, sum)
		}
		if at := levels - 1 - topLevel(ticks); words[at] != "1" || strings.Contains(key[:2*at], "1") {
			t.Errorf("%v: level %d is not the first of %q", d, topLevel(ticks), key)
		}
		kind, name, ok := delayedTo(key)
		if kind != toQueue || name != "orders.dlq" || !ok {
			t.Errorf("%q leads to %q %q, %v", key, kind, name, ok)
		}
	}
	if n := len(delayKey(1, toQueue, strings.Repeat("x", mostName))); n > mostShortString {
		t.Errorf("a routing key has %d bytes, at most %d", n, mostShortString)
	}
	for _, key := range []string{"", "1.0", strings.Repeat("0.", levels)} {
		if kind, name, ok := delayedTo(key); ok {
			t.Errorf("%q leads to %q %q", key, kind, name)
		}
	}
}
