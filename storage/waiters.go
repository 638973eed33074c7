package storage

import (
	"container/heap"
	"sync"
	"sync/atomic"
)

// seqWaiters wakes whoever waits for a sequence, once.
type seqWaiters struct {
	mu    sync.Mutex
	heap  seqHeap
	ended bool
}

type seqWaiter struct {
	at Seq
	ch chan<- struct{}
}

// add registers a channel; false means that nothing will ever come.
func (w *seqWaiters) add(ch chan<- struct{}, at Seq) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	heap.Push(&w.heap, seqWaiter{at, ch})
	return true
}

// wake tells everyone who waits for a sequence up to q.
func (w *seqWaiters) wake(q Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.heap) > 0 && w.heap[0].at <= q {
		send(heap.Pop(&w.heap).(seqWaiter).ch)
	}
}

func (w *seqWaiters) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, x := range w.heap {
		send(x.ch)
	}
	w.heap = nil
}

// send tells a channel of capacity 1 without waiting: one that is full was told.
func send(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

type seqHeap []seqWaiter

func (h seqHeap) Len() int           { return len(h) }
func (h seqHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h seqHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *seqHeap) Push(x any)        { *h = append(*h, x.(seqWaiter)) }
func (h *seqHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// Waiter is told when the logs it watches have news: it is what a long poll
// waits on. One Waiter may watch many logs.
type Waiter struct {
	// C receives once MinBytes have become durable in the watched logs together,
	// or when one of them is trimmed or dropped. Give it a capacity of 1.
	C        chan struct{}
	MinBytes int64

	got   atomic.Int64
	fired atomic.Bool
}

// Reset makes a waiter that was woken ready for use again.
func (w *Waiter) Reset() {
	select {
	case <-w.C:
	default:
	}
	w.got.Store(0)
	w.fired.Store(false)
}

// Rearm is Reset for a C that is shared: what was sent to it stays there. Look for news behind
// it, not before.
func (w *Waiter) Rearm() {
	w.got.Store(0)
	w.fired.Store(false)
}

// add counts bytes that became durable.
func (w *Waiter) add(bytes int64) {
	if w.got.Add(bytes) >= w.MinBytes {
		w.fire()
	}
}

func (w *Waiter) fire() {
	if w.fired.CompareAndSwap(false, true) {
		send(w.C)
	}
}
