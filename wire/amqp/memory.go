package amqp

import (
	"errors"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// memoryAlarm holds publishers back while the process takes more memory than it may. What the
// broker keeps in memory is bounded without it: it is for who shares a machine, and for tests of
// clients.
type memoryAlarm struct {
	limit  atomic.Int64 // bytes; 0: none
	looked atomic.Int64 // when, in ns
	used   atomic.Int64 // bytes, then
}

// memoryEvery is for how long a look at the memory is good.
const memoryEvery = 100 * time.Millisecond

var errMemory = errors.New("the process takes more memory than its limit")

// SetMemoryLimit has publishers wait while the process takes more than so many bytes, and tells
// them by connection.blocked, as RabbitMQ does above its vm_memory_high_watermark. 0: no limit,
// which is the default.
func (s *Server) SetMemoryLimit(bytes int64) {
	s.memory.limit.Store(bytes)
	s.memory.looked.Store(0)
}

// Memory is what the process takes, and its limit; 0: none.
func (s *Server) Memory() (used, limit int64) { return processMemory(), s.memory.limit.Load() }

// over says that the process takes more than it may. Without a limit it costs a load.
func (a *memoryAlarm) over() bool {
	limit := a.limit.Load()
	if limit == 0 {
		return false
	}
	now := time.Now().UnixNano()
	if last := a.looked.Load(); now-last > int64(memoryEvery) && a.looked.CompareAndSwap(last, now) {
		a.used.Store(processMemory())
	}
	return a.used.Load() > limit
}

// processMemory is what the runtime has of the system's memory.
func processMemory() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}
