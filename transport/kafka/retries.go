package kafka

import (
	"container/heap"
	"slices"
	"time"
)

// retries are deliveries to be that are not due yet.
type retries struct {
	heap dueHeap
	size int // bytes
}

func (r *retries) add(h *handed) {
	heap.Push(&r.heap, h)
	r.size += h.size
}

// next is when the first of them is due.
func (r *retries) next() (at time.Time, ok bool) {
	if len(r.heap) == 0 {
		return at, false
	}
	return r.heap[0].due, true
}

// due takes out those that are.
func (r *retries) due(now time.Time) (out []*handed) {
	for len(r.heap) > 0 && !r.heap[0].due.After(now) {
		h := heap.Pop(&r.heap).(*handed)
		r.size -= h.size
		out = append(out, h)
	}
	return out
}

// without drops those of a lane, and returns others without those of it.
func (r *retries) without(l *laneState, others []*handed) []*handed {
	of := func(h *handed) bool {
		return h.lane == l
	}
	for _, h := range r.heap {
		if of(h) {
			r.size -= h.size
		}
	}
	r.heap = slices.DeleteFunc(r.heap, of)
	heap.Init(&r.heap)
	return slices.DeleteFunc(others, of)
}

// dueHeap has the one that is due first in front.
type dueHeap []*handed

func (d dueHeap) Len() int           { return len(d) }
func (d dueHeap) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d dueHeap) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *dueHeap) Push(x any)        { *d = append(*d, x.(*handed)) }

func (d *dueHeap) Pop() any {
	last := len(*d) - 1
	h := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return h
}
