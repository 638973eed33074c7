package main

import (
	"runtime"
	"runtime/debug"
)

// gcPercent keeps the garbage collector's overhead of memory small: the live
// heap of a broker is its buffers, a few tens of megabytes that do not grow with the load.
const gcPercent = 50

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
		debug.SetGCPercent(gcPercent)
	}
}
