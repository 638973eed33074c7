package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// tuneRuntime sets what a broker wants of Go's runtime, where the environment
// does not say otherwise.
//
// A write to the journal blocks its thread in the kernel, and for that long the
// scheduler may leave its P idle: with one P more than cores the other work
// goes on (measured +42 % with two spinning workers on two cores).
func tuneRuntime(env func(string) string) {
	if env("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	if env("GOGC") == "" && env("GOMEMLIMIT") == "" {
		keepSmall(newHeap())
	}
}

// smallHeap is the memory limit that is aimed at, in bytes. With the pages of
// the program itself it keeps a broker under full load at 64 MB.
const smallHeap = 48 << 20

// heap sets Go's memory limit after every collection. A broker's memory is
// buffers that come and go with the load; with GOGC=100 alone the garbage among
// them trebles the process (measured 174 MB for 64 MB at 1 kB records, for 10 % more throughput).
// A fixed limit would make the collector spin once a large store needs more for
// good, so the limit stays a third above what was alive. It is one of all memory, so what is not heap comes
// on top: a thousand requests that wait have many MB of stacks, and without those the collector
// ran three times a second for nothing.
type heap struct {
	sample []metrics.Sample // heapMetrics
	set    int64            // the limit in force
}

var heapMetrics = []string{"/gc/heap/live:bytes", "/memory/classes/total:bytes",
	"/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes",
	"/memory/classes/heap/released:bytes"}

func newHeap() *heap {
	h := &heap{}
	for _, name := range heapMetrics {
		h.sample = append(h.sample, metrics.Sample{Name: name})
	}
	return h
}

func (h *heap) limit() int64 {
	rest := h.rest()
	return limitFor(h.read(0), rest)
}

// rest is what is not there for objects: stacks, and what the runtime keeps for itself.
func (h *heap) rest() int64 {
	metrics.Read(h.sample)
	return h.read(1) - h.read(2) - h.read(3) - h.read(4)
}

func (h *heap) read(i int) int64 { return int64(h.sample[i].Value.Uint64()) }

func limitFor(live, rest int64) int64 { return max(smallHeap, live+live/3+rest) }

// keepSmall adjusts the limit now and after each collection: the finalizer of
// an object that nobody holds runs then, and arms the next. An idle broker does nothing.
func keepSmall(h *heap) {
	if limit := h.limit(); limit != h.set { // setting it stops the world for a moment
		h.set = limit
		debug.SetMemoryLimit(limit)
	}
	type canary struct{ self *heap }
	runtime.SetFinalizer(&canary{h}, func(c *canary) { keepSmall(c.self) })
}
