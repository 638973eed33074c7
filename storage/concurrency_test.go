package storage

import (
	"context"
	"errors"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestCloseWhileBusy: users are told, nothing submitted is lost, and no
// goroutine stays.
func TestCloseWhileBusy(t *testing.T) {
	defer goleak.VerifyNone(t)
	for range 5 {
		mem := vfs.NewMem()
		s, err := Open(mem, Config{TailBytes: 256 << 10, JournalBytes: 2 << 20, SegmentBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		ls := makeLogs(t, s, 8)
		var users sync.WaitGroup
		var mu sync.Mutex
		submitted := 0
		started := make(chan struct{}, 100)
		for i := range 4 {
			users.Go(func() {
				for n := 0; ; n++ {
					var b Batch
					b.Append(ls[(i+n)%8], Entry{Count: 1, Bytes: make([]byte, 3000)})
					if _, err := s.Submit(&b); err != nil {
						check(t, err, ErrClosed)
						return
					}
					mu.Lock()
					submitted++
					mu.Unlock()
					send(started)
					if err := s.Admit(context.Background(), 3000); err != nil {
						check(t, err, ErrClosed)
						return
					}
				}
			})
		}
		users.Go(func() {
			for s.Err() == nil {
				if err := s.Checkpoint(context.Background()); err != nil {
					check(t, err, ErrClosed)
					return
				}
			}
		})
		for range 50 {
			<-started
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		users.Wait()
		again, err := Open(mem, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := readAll(again); n != submitted || err != nil {
			t.Errorf("%d entries after the restart, %v; want %d", n, err, submitted)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func check(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
