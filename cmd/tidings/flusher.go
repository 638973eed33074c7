package main

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// flushDelay is how long a record may wait in the output buffer: short enough
// for eyes, long enough to write in large pieces at full speed.
const flushDelay = 20 * time.Millisecond

// flusher is a buffer that is flushed a moment after it was written to.
type flusher struct {
	mu    sync.Mutex // guards w; held while writing to the terminal or pipe
	w     *bufio.Writer
	timer *time.Timer
}

func newFlusher(w io.Writer) *flusher {
	f := &flusher{w: bufio.NewWriterSize(w, 64<<10)}
	f.timer = time.AfterFunc(time.Hour, func() { _ = f.flush() })
	f.timer.Stop()
	return f
}

// flush writes what is buffered. An error sticks: close reports it.
func (f *flusher) flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.w.Flush()
}

// write calls with the buffer, which will be flushed soon.
func (f *flusher) write(with func(*bufio.Writer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	empty := f.w.Buffered() == 0
	with(f.w)
	if empty {
		f.timer.Reset(flushDelay)
	}
}

// close flushes the rest.
func (f *flusher) close() error {
	f.timer.Stop()
	return f.flush()
}
