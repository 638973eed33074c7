package storage

import "sync/atomic"

type counters struct {
	frames, syncs, checkpoints atomic.Uint64
	journalBytes, extentBytes  atomic.Uint64
}

// Stats is a snapshot of what a store holds and did since Open.
type Stats struct {
	Frames, Syncs, Checkpoints uint64
	JournalBytes, ExtentBytes  uint64 // written
	PendingBytes               int64  // submitted, not durable
	Logs, Segments, OpenFiles  int
	Keys                       int
	DiskFree, DiskTotal        int64
	Full                       bool // disk pressure: appends are refused
	DirectIO                   bool // the journal bypasses the page cache
}

// Stats counts.
func (s *Store) Stats() Stats {
	st := Stats{
		Frames: s.counts.frames.Load(), Syncs: s.counts.syncs.Load(),
		Checkpoints:  s.counts.checkpoints.Load(),
		JournalBytes: s.counts.journalBytes.Load(), ExtentBytes: s.counts.extentBytes.Load(),
		PendingBytes: s.pending.Load(), OpenFiles: s.files.count(),
		DiskFree: s.space.free.Load(), DiskTotal: s.space.total.Load(),
		Full: s.space.isFull(), DirectIO: s.journal.direct,
	}
	for _, l := range s.durableLogs() {
		st.Logs++
		l.mu.RLock()
		st.Segments += len(l.segs)
		l.mu.RUnlock()
	}
	s.state.RLock()
	defer s.state.RUnlock()
	st.Keys = len(s.keys)
	return st
}
