package main

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesAreRightWithinABucket(t *testing.T) {
	var l latencies
	const n = 10_000
	for i := 1; i <= n; i++ {
		l.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]float64{0.5: 5, 0.9: 9, 0.99: 9.9, 0.999: 9.99} {
		if got := l.quantile(q); math.Abs(got-want)/want > 1.0/subBuckets {
			t.Errorf("quantile %v: got %v ms, want %v ms", q, got, want)
		}
	}
	if got, want := l.quantile(1), 10.0; got != want {
		t.Errorf("maximum: got %v ms, want %v ms", got, want)
	}
}

func TestBucketsCoverAllDurationsInOrder(t *testing.T) {
	last := -1
	for v := uint64(0); v < 1<<62; v += v/8 + 1 {
		b := bucketOf(v)
		if b < last || v > upper(b) || b > 0 && v <= upper(b-1) {
			t.Fatalf("%d: bucket %d up to %d, after bucket %d", v, b, upper(b), last)
		}
		last = b
	}
	if got := bucketOf(math.MaxInt64); got >= len((&latencies{}).buckets) {
		t.Errorf("the longest duration: bucket %d of %d", got, len((&latencies{}).buckets))
	}
}
