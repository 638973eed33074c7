package console

import "sync/atomic"

// turn spreads records without a key: those of one request go to one
// partition, those of the next to the next.
type turn struct{ n atomic.Uint32 }

func (t *turn) next(partitions int) int {
	return int((t.n.Add(1) - 1) % uint32(partitions))
}
