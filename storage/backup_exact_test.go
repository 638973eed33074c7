package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestBackupIsOneMoment: what batches changed together is together in the copy,
// however busy the store is: two logs, a key that counts, a set, and trims.
func TestBackupIsOneMoment(t *testing.T) {
	s, err := Open(vfs.NewMem(), Config{TailBytes: 64 << 10, JournalBytes: 512 << 10, CarryBytes: 2 << 10,
		SegmentBytes: 16 << 10, extentBytes: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	x := s.NewSet(&b)
	commit(t, s, &b)
	ls := makeLogs(t, s, 2)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { countTogether(t, s, ls, x, stop) })
	for range 6 {
		dst := vfs.NewMem()
		if err := s.Backup(context.Background(), dst); err != nil {
			t.Fatal(err)
		}
		if err := together(dst, ls, x.id); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	writer.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// countTogether commits batches that each add one to everything.
func countTogether(t *testing.T, s *Store, ls []*Log, x *Set, stop chan struct{}) {
	var b Batch
	for n := 1; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		if err := s.Admit(context.Background(), 4096); err != nil {
			t.Error(err)
			return
		}
		for i, l := range ls {
			b.Append(l, Entry{Count: 1, Bytes: make([]byte, 100+n*37*(i+1)%3000)})
		}
		b.Put([]byte("n"), []byte(fmt.Sprint(n)))
		b.Mark(x, Offset(n-1), Offset(n))
		if n%40 == 0 {
			b.Put([]byte("start"), []byte(fmt.Sprint(n-5)))
			b.Trim(ls[0], Offset(n-5))
		}
		if _, err := s.Submit(&b); err != nil {
			t.Error(err)
			return
		}
		b.Reset()
	}
}

func together(dst *vfs.Mem, ls []*Log, set SetID) error {
	s, err := Open(dst, Config{})
	if err != nil {
		return err
	}
	var n, start Offset
	v, _ := s.Get([]byte("n"))
	_, _ = fmt.Sscan(string(v), &n) // none before the first batch
	v, _ = s.Get([]byte("start"))
	_, _ = fmt.Sscan(string(v), &start)
	_, a, _ := s.Log(ls[0].id).Bounds()
	from, _, _ := s.Log(ls[0].id).Bounds()
	_, b, _ := s.Log(ls[1].id).Bounds()
	if floor := s.Set(set).Floor(); a != n || b != n || floor != n || from != start {
		err = fmt.Errorf("key %d, logs end at %d and %d, set %d; start %d, want %d", n, a, b, floor, from, start)
	}
	_, readErr := readAll(s)
	return errors.Join(err, readErr, s.Close())
}

// TestBackupOfADamagedStoreIsRefused: a copy must not hide damage.
func TestBackupOfADamagedStoreIsRefused(t *testing.T) {
	h := record(t, 3, append(busy(), "checkpoint", "marker")...)
	mem := h.mem
	for _, name := range mem.Names() {
		if strings.HasSuffix(name, ".seg") {
			must(t, mem.Corrupt(name, int64(len(mem.Bytes(name))/2), []byte{1, 2, 3}))
		}
	}
	s, err := Open(mem, h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeFiles()
	dst := vfs.NewMem()
	if err := s.Backup(context.Background(), dst); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want %v", err, ErrDamaged)
	}
	if dst.Bytes(currentName) != nil {
		t.Error("the refused copy has a CURRENT")
	}
}

// TestBackupFailsWithTheDestination: its errors end the backup, never the store.
func TestBackupFailsWithTheDestination(t *testing.T) {
	h := record(t, 3, append(busy(), "checkpoint", "marker")...)
	s, err := Open(h.mem, h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeFiles()
	learn := vfs.NewFaulty(vfs.NewMem())
	must(t, s.Backup(context.Background(), learn))
	for i, c := range learn.Calls() {
		if !c.Op.Mutates() || i%5 != 0 {
			continue
		}
		mem := vfs.NewMem()
		dst := vfs.NewFaulty(mem)
		dst.FailNth(c.Op, c.Nth, syscall.EIO)
		if err := s.Backup(context.Background(), dst); !errors.Is(err, syscall.EIO) || s.Err() != nil {
			t.Errorf("%v of %s fails: the backup answers %v, the store %v", c.Op, c.Name, err, s.Err())
		}
		if left, err := Open(mem.Kill(), h.cfg); err == nil {
			if verr := h.verify(left); verr != nil && mem.Bytes(currentName) != nil {
				t.Errorf("%v of %s fails: half a copy opens: %v", c.Op, c.Name, verr)
			}
			left.closeFiles()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Backup(ctx, vfs.NewMem()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestBackupSurvivesAPowerCut: once Backup has returned, the copy is on the device.
func TestBackupSurvivesAPowerCut(t *testing.T) {
	h := record(t, 5, append(busy(), "marker")...)
	s, err := Open(h.mem, h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeFiles()
	dst := vfs.NewMem()
	must(t, s.Backup(context.Background(), dst))
	for i := range uint64(5) {
		if err := h.reopen(dst.Crash(seeded(i))); err != nil {
			t.Error(err)
		}
	}
}

// TestBackupHoldsDeletionsBack: files that a trim gives up while they are copied
// stay until the copy is done, and go then.
func TestBackupHoldsDeletionsBack(t *testing.T) {
	s, f, mem := openFaulty(t, Config{manual: true, SegmentBytes: 4 << 10})
	defer s.closeFiles()
	l := makeLogsManual(t, s, 1)[0]
	var b Batch
	for range 10 {
		b.Append(l, Entry{Count: 1, Bytes: make([]byte, 4000)})
		submit(t, s, &b)
		must(t, s.commitAll(), s.flushAll())
	}
	must(t, s.checkpoint(false))
	trimmed := false
	f.FailIf(func(c vfs.Call) error {
		if c.Op == vfs.OpRead && strings.HasSuffix(c.Name, ".seg") && !trimmed {
			trimmed = true
			b.Trim(l, 10)
			submit(t, s, &b)
			must(t, s.commitAll(), s.checkpoint(false))
		}
		return nil
	})
	dst := vfs.NewMem()
	must(t, s.Backup(context.Background(), dst))
	copied, err := Open(dst, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := readAll(copied); n != 10 || err != nil || !trimmed {
		t.Errorf("%d entries in the copy, %v; want 10", n, err)
	}
	must(t, copied.Close())
	for _, name := range mem.Names() {
		if strings.HasSuffix(name, ".seg") {
			t.Errorf("%s is still there after the backup", name)
		}
	}
}

// makeLogsManual is makeLogs for a store without goroutines.
func makeLogsManual(t *testing.T, s *Store, n int) []*Log {
	t.Helper()
	ls := make([]*Log, n)
	var b Batch
	for i := range ls {
		ls[i] = s.NewLog(&b, LogOptions{})
	}
	submit(t, s, &b)
	must(t, s.commitAll())
	return ls
}
