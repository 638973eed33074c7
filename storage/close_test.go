package storage

import (
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestCloseCommitsMoreThanTheRingHolds: the committer needs the flusher until
// its queue is empty.
func TestCloseCommitsMoreThanTheRingHolds(t *testing.T) {
	mem := vfs.NewMem()
	cfg := Config{TailBytes: 64 << 10, firstJournal: 32 << 10, JournalBytes: 128 << 10, CarryBytes: 1 << 10}
	s, err := Open(mem, cfg)
	if err != nil {
		t.Fatal(err)
	}
	logs := makeLogs(t, s, 50)
	var b Batch
	for range 40 {
		for _, l := range logs {
			b.Append(l, Entry{Count: 1, Bytes: make([]byte, 500)})
			if _, err := s.Submit(&b); err != nil {
				t.Fatal(err)
			}
			b.Reset()
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Close did not return: the committer waits for a flusher that is gone")
	}
	s, err = Open(mem, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		if _, durable, _ := s.Log(l.id).Bounds(); durable != 40 {
			t.Fatalf("log %d ends at %d, want 40", l.id, durable)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
