package child

import (
	"bytes"
	"sync"
)

// TailBytes is how much a Tail keeps.
const TailBytes = 16 << 10

// Tail keeps the last TailBytes that were written to it. Its zero value is empty; it is for many
// goroutines.
type Tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write never fails.
func (b *Tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p...)
	if over := len(b.buf) - TailBytes; over > 0 {
		b.buf = bytes.Clone(b.buf[over:])
	}
	return len(p), nil
}

// String is what is kept.
func (b *Tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.buf)
}
