package storage

import (
	"errors"
	"io/fs"
	"sync"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestBackupTakenUnderLoadOpensWithAllThatWasDurable writes, trims and
// checkpoints while backups are taken, and opens each of them.
func TestBackupTakenUnderLoadOpensWithAllThatWasDurable(t *testing.T) {
	cfg := Config{TailBytes: 64 << 10, firstJournal: 32 << 10, JournalBytes: 128 << 10, CarryBytes: 1 << 10,
		SegmentBytes: 8 << 10, extentBytes: 4 << 10}
	s, err := Open(vfs.NewMem(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	logs := makeLogs(t, s, 8)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { writeUntil(t, s, logs, stop) })
	for range 5 {
		before := make([]Offset, len(logs))
		for i, l := range logs {
			_, before[i], _ = l.Bounds()
		}
		dst := vfs.NewMem()
		if err := s.Backup(t.Context(), dst); err != nil {
			t.Fatal(err)
		}
		if err := s.Backup(t.Context(), dst); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("over another store: got %v, want %v", err, fs.ErrExist)
		}
		openBackup(t, dst, cfg, logs, before)
	}
	close(stop)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeUntil(t *testing.T, s *Store, logs []*Log, stop chan struct{}) {
	var b Batch
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		l := logs[n%len(logs)]
		b.Append(l, Entry{Count: 1, Bytes: make([]byte, 100+n%6000)})
		if start, durable, _ := l.Bounds(); n%50 == 0 {
			b.Trim(l, (start+durable)/2)
		}
		q, err := s.Submit(&b)
		if err == nil {
			err = s.Await(t.Context(), q)
		}
		if err != nil {
			t.Error(err)
			return
		}
		b.Reset()
	}
}

// openBackup opens a copy and reads all of it.
func openBackup(t *testing.T, dst *vfs.Mem, cfg Config, logs []*Log, before []Offset) {
	t.Helper()
	s, err := Open(dst, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range logs {
		if _, durable, _ := s.Log(l.id).Bounds(); durable < before[i] {
			t.Errorf("log %d ends at %d in the copy, %d was durable before", l.id, durable, before[i])
		}
	}
	if _, err := readAll(s); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
