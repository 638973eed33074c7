package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latencies counts durations in buckets of at most 1.6 % width, from a
// nanosecond to hours, and takes no lock.
type latencies struct {
	buckets [64 * subBuckets]atomic.Int64
	max     atomic.Int64
	n       atomic.Int64
}

// subBuckets is how many equal parts each power of two is cut into.
const subBuckets = 64

func (l *latencies) add(d time.Duration) {
	ns := max(0, int64(d))
	l.buckets[bucketOf(uint64(ns))].Add(1)
	l.n.Add(1)
	for old := l.max.Load(); ns > old && !l.max.CompareAndSwap(old, ns); old = l.max.Load() {
	}
}

// bucketOf is the value itself below subBuckets; above, the power of two and
// the next six bits.
func bucketOf(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 7
	return (shift+1)*subBuckets + int(v>>shift) - subBuckets
}

// upper is the greatest value in a bucket.
func upper(bucket int) uint64 {
	if bucket < subBuckets {
		return uint64(bucket)
	}
	shift := bucket/subBuckets - 1
	return (uint64(bucket%subBuckets+subBuckets)+1)<<shift - 1
}

// quantile returns, in milliseconds, what the share q of all stayed below.
func (l *latencies) quantile(q float64) float64 {
	rank := int64(q * float64(l.n.Load()))
	for i := range l.buckets {
		if rank -= l.buckets[i].Load(); rank < 0 {
			return float64(min(int64(upper(i)), l.max.Load())) / 1e6
		}
	}
	return float64(l.max.Load()) / 1e6
}

// result fills a phase's latencies and rates.
func (l *latencies) result(phase string, records, bytes int64, took time.Duration) benchResult {
	r := benchResult{
		Phase: phase, Records: records, Bytes: bytes, Seconds: took.Seconds(),
		RecordsPerSecond: float64(records) / took.Seconds(),
		BytesPerSecond:   float64(bytes) / took.Seconds(),
	}
	if l.n.Load() > 0 {
		r.P50, r.P90, r.P99 = l.quantile(0.5), l.quantile(0.9), l.quantile(0.99)
		r.P999, r.Max = l.quantile(0.999), float64(l.max.Load())/1e6
	}
	return r
}
