package storage

import (
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestIndexesInMemoryAreBounded, whether segments are only written or also read.
func TestIndexesInMemoryAreBounded(t *testing.T) {
	s, err := Open(vfs.NewMem(), Config{SegmentBytes: minSegmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	l := makeLogs(t, s, 1)[0]
	const segments = 2 * maxIndexes
	for range segments {
		var b Batch
		b.Append(l, Entry{Count: 1, Bytes: make([]byte, minSegmentBytes)})
		commit(t, s, &b)
		if err := l.flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, done := range []string{"written", "read"} {
		if n := indexesInMemory(l); n > maxIndexes+1 { // and that of the open one
			t.Errorf("%s: %d indexes of %d segments are in memory, want %d", done, n, segments, maxIndexes)
		}
		readRange(t, l, 0, segments)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestIndexThatIsLoadedTwiceStays: two readers that load the same index at once
// must not make the cache drop it while others are older.
func TestIndexThatIsLoadedTwiceStays(t *testing.T) {
	var c indexCache
	l, hot := &Log{}, &segment{sealed: true, idx: &index{}}
	for range maxIndexes {
		c.loaded(l, hot)
	}
	for range maxIndexes - 1 {
		c.loaded(l, &segment{sealed: true, idx: &index{}})
	}
	if hot.idx == nil {
		t.Error("the index was dropped, though 64 fit")
	}
}

func indexesInMemory(l *Log) (n int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, g := range l.segs {
		if g.idx != nil {
			n++
		}
	}
	return n
}
