package storage

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestCheckpointPutOffForSpaceForgetsNothing: what a checkpoint was about to
// write must be in the next one when the disk had no room for it.
func TestCheckpointPutOffForSpaceForgetsNothing(t *testing.T) {
	for _, word := range []string{"checkpoint", "carry"} {
		for seed := range uint64(8) {
			var f *vfs.Faulty
			s := newScript(seed, func(fs vfs.FS) vfs.FS {
				f = vfs.NewFaulty(fs)
				return f
			})
			words := append(times(12, "batch", "commit"), word, "batch", "drop", "commit")
			if err := s.do(append([]string{"open"}, words...)...); err != nil {
				t.Fatal(err)
			}
			f.FailIf(func(c vfs.Call) error {
				if c.Op == vfs.OpWrite && strings.HasPrefix(c.Name, "MANIFEST") {
					return vfs.ErrNoSpace
				}
				return nil
			})
			if err := s.do(word); err != nil || !s.store.space.isFull() {
				t.Fatalf("the checkpoint was not put off: %v", err)
			}
			f.Heal()
			if err := s.do("close"); err != nil {
				t.Fatal(err)
			}
			if err := s.history().reopen(s.mem.Kill()); err != nil {
				t.Errorf("%s, seed %d: %v", word, seed, err)
			}
		}
	}
}

// TestLargeEditPutOffForSpaceIsNotTakenForDamage: of an edit of several records
// some were written whole when the disk was full; a shorter edit then stands in
// front of them.
func TestLargeEditPutOffForSpaceIsNotTakenForDamage(t *testing.T) {
	mem := vfs.NewMem()
	f := vfs.NewFaulty(mem)
	s, err := Open(f, Config{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	for i := range 5 {
		b.Put([]byte{byte(i)}, make([]byte, 900<<10))
		if _, err = s.Submit(&b); err == nil {
			err = s.commitAll()
		}
		if err != nil {
			t.Fatal(err)
		}
		b.Reset()
	}
	f.ShortWrite(1, 4<<20, vfs.ErrNoSpace)
	if err := s.checkpoint(true); !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatalf("got %v, want %v", err, vfs.ErrNoSpace)
	}
	for i := range 5 {
		b.Delete([]byte{byte(i)})
	}
	if _, err = s.Submit(&b); err == nil {
		err = errors.Join(s.commitAll(), s.checkpoint(true))
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(mem.Kill(), Config{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer again.closeFiles()
	if n := len(slices.Collect(keysOf(again))); n != 0 {
		t.Errorf("%d keys are left, want none", n)
	}
}

func keysOf(s *Store) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range s.Scan(nil) {
			if !yield(string(k)) {
				return
			}
		}
	}
}

// TestErrorBesideAFullDiskIsStillAnError: what poisons must not hide behind what
// does not.
func TestErrorBesideAFullDiskIsStillAnError(t *testing.T) {
	s, err := Open(vfs.NewMem(), Config{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeFiles()
	if err := s.tolerate(vfs.ErrNoSpace, syscall.EIO); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want %v", err, syscall.EIO)
	}
	if err := s.tolerate(nil, vfs.ErrNoSpace); err != nil || !s.space.isFull() {
		t.Errorf("got %v, want nil and a full disk", err)
	}
	if err := s.tolerate(synced(vfs.ErrNoSpace)); err == nil {
		t.Error("a failed sync was taken for a full disk")
	}
}

// fill appends to a log until the store is full, and returns how many records fit.
func fill(t *testing.T, s *Store, l *Log, size int) (n int) {
	t.Helper()
	for ; n < 10_000; n++ {
		err := s.Admit(context.Background(), size)
		if errors.Is(err, ErrFull) {
			return n
		}
		var b Batch
		b.Append(l, Entry{Count: 1, Bytes: make([]byte, size)})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, &b)
		time.Sleep(10 * time.Millisecond) // in the bubble's time: the flusher looks every second
	}
	t.Fatal("the disk never filled")
	return n
}

// TestFullDiskRefusesAppendsUntilSpaceIsFreed: appends are refused, all else goes
// on, and trimming makes room without a restart.
func TestFullDiskRefusesAppendsUntilSpaceIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		mem.SetCapacity(64 << 20)
		s, err := Open(mem, Config{SegmentBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		l := makeLogs(t, s, 1)[0]
		for round := range 3 {
			n := fill(t, s, l, 200<<10)
			if n < 10 {
				t.Fatalf("round %d: %d records fit", round, n)
			}
			start, _, end := l.Bounds()
			readRange(t, l, start, end)
			if err := s.Admit(context.Background(), 0); err != nil {
				t.Fatalf("a settle is refused: %v", err)
			}
			var b Batch
			b.Put([]byte("round"), []byte{byte(round)})
			b.Delete([]byte("nothing"))
			b.Trim(l, end)
			commit(t, s, &b)
			time.Sleep(3 * spaceEvery)
			if st := s.Stats(); st.Full {
				t.Fatalf("round %d: trimmed, and still full with %d bytes free", round, st.DiskFree)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func readRange(t *testing.T, l *Log, from, to Offset) {
	t.Helper()
	var buf Buffer
	defer buf.Release()
	for off := from; off < to; {
		if err := l.Read(&buf, off, 1<<20); err != nil || len(buf.Entries) == 0 {
			t.Fatalf("read %d: %d entries, %v", off, len(buf.Entries), err)
		}
		for _, v := range buf.Entries {
			off = v.Base + Offset(v.Count)
		}
	}
}

// TestDiskFilledByOthersIsNotAnError: another program takes all the space, and
// gives it back.
func TestDiskFilledByOthersIsNotAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		var full atomic.Bool
		f := vfs.NewFaulty(mem)
		f.FailIf(func(c vfs.Call) error {
			writes := c.Op == vfs.OpWrite && !strings.HasPrefix(c.Name, journalDir) || c.Op == vfs.OpAllocate
			if full.Load() && (writes || c.Op == vfs.OpOpen && c.Open.Create) {
				return vfs.ErrNoSpace
			}
			return nil
		})
		s, err := Open(f, Config{TailBytes: 1 << 20, JournalBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		ls := makeLogs(t, s, 10)
		full.Store(true)
		var last Seq
		for i := range 400 { // more than ring and journal take: the committer waits
			var b Batch
			b.Append(ls[i%10], Entry{Count: 1, Bytes: make([]byte, 32<<10)})
			if last, err = s.Submit(&b); err != nil {
				t.Fatal(err)
			}
		}
		before := f.Count(vfs.OpAny)
		time.Sleep(20 * time.Second)
		if s.Durable() >= last || s.Err() != nil {
			t.Fatalf("durable %d of %d, %v; want a committer that waits", s.Durable(), last, s.Err())
		}
		if calls := f.Count(vfs.OpAny) - before; calls > 4000 {
			t.Errorf("%d calls in 20 seconds of a full disk", calls)
		}
		if err := s.Admit(context.Background(), 1); !errors.Is(err, ErrFull) {
			t.Errorf("admitted on a full disk: %v", err)
		}
		full.Store(false)
		if err := s.Await(context.Background(), last); err != nil {
			t.Fatal(err)
		}
		for _, l := range ls {
			readRange(t, l, 0, 40)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSmallJournalIsMoreThanOneFile: a single file can never be used again, and
// the store would stall for ever once it is full.
func TestSmallJournalIsMoreThanOneFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(vfs.NewMem(), Config{TailBytes: 256 << 10, JournalBytes: 1 << 20, CarryBytes: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		l := makeLogs(t, s, 1)[0]
		for range 300 {
			var b Batch
			b.Append(l, Entry{Count: 1, Bytes: make([]byte, 16<<10)})
			commit(t, s, &b)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWhoWaitsForAFullDiskIsTold: a producer held back by the disk is not left
// waiting when that fills, and is refused as long as writes fail, however much
// space the file system says is free.
func TestWhoWaitsForAFullDiskIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		f := vfs.NewFaulty(mem)
		s, err := Open(f, Config{TailBytes: 1 << 20, JournalBytes: 4 << 20, PendingBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		l := makeLogs(t, s, 1)[0]
		f.FailIf(func(c vfs.Call) error {
			if c.Op == vfs.OpAllocate || c.Op == vfs.OpOpen && c.Open.Create {
				return vfs.ErrNoSpace
			}
			return nil
		})
		var last Seq
		refused := 0
		for refused < 3 {
			err := s.Admit(context.Background(), 32<<10)
			if errors.Is(err, ErrFull) {
				refused++
				time.Sleep(10*spaceEvery + time.Millisecond)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if refused > 0 && s.stalled.Load() {
				t.Fatal("admitted while the committer waits for a full disk")
			}
			var b Batch
			b.Append(l, Entry{Count: 1, Bytes: make([]byte, 32<<10)})
			if last, err = s.Submit(&b); err != nil {
				t.Fatal(err)
			}
		}
		f.Heal()
		if err := s.Await(context.Background(), last); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBatchLongerThanAFrameWaitsForAFullDisk: it cannot go into the journal whole,
// and neither it nor the store is given up.
func TestBatchLongerThanAFrameWaitsForAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := vfs.NewFaulty(vfs.NewMem())
		s, err := Open(f, Config{TailBytes: 1 << 20, JournalBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		l := makeLogs(t, s, 1)[0]
		f.FailIf(func(c vfs.Call) error {
			if c.Op == vfs.OpAllocate {
				return vfs.ErrNoSpace
			}
			return nil
		})
		var b Batch
		for range 10 {
			b.Append(l, Entry{Count: 1, Bytes: make([]byte, 100<<10)})
		}
		q, err := s.Submit(&b)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*spaceEvery + spaceEvery/2) // between two looks
		if s.Durable() >= q || s.Err() != nil || !s.Stats().Full {
			t.Fatalf("durable %d of %d, full %v, %v", s.Durable(), q, s.Stats().Full, s.Err())
		}
		f.Heal()
		if err := s.Await(context.Background(), q); err != nil {
			t.Fatal(err)
		}
		readRange(t, l, 0, 10)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFloodedDiskKeepsWhatDeletionsNeed: producers that do not wait for their
// confirms fill a small disk faster than it is looked at. What was admitted becomes
// durable, deletions go through, and the store can be closed, opened and used again.
func TestFloodedDiskKeepsWhatDeletionsNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		mem := vfs.NewMem()
		mem.SetCapacity(96 << 20)
		for round := range 3 {
			s, err := Open(mem, Config{})
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			var b Batch
			l := s.NewLog(&b, LogOptions{})
			commit(t, s, &b)
			last, n := flood(t, s, l)
			if n < 100 {
				t.Fatalf("round %d: %d records fit", round, n)
			}
			if err := s.Await(ctx, last); err != nil {
				t.Fatal(err)
			}
			readRange(t, l, 0, Offset(n))
			if round < 2 { // the last time it is closed while the disk is full
				b.Reset()
				b.Drop(l)
				commit(t, s, &b)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(mem, Config{})
		if err != nil {
			t.Fatalf("opened while the disk is full: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// flood appends without waiting until the store refuses.
func flood(t *testing.T, s *Store, l *Log) (last Seq, n int) {
	t.Helper()
	for ; n < 10_000; n++ {
		err := s.Admit(context.Background(), 100<<10)
		if errors.Is(err, ErrFull) {
			return last, n
		}
		var b Batch
		b.Append(l, Entry{Count: 1, Bytes: make([]byte, 100<<10)})
		if err == nil {
			last, err = s.Submit(&b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the disk never filled")
	return last, n
}

// TestCloseEndsThoughTheDiskStaysFull: what waits was acknowledged to nobody.
func TestCloseEndsThoughTheDiskStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		f := vfs.NewFaulty(mem)
		s, err := Open(f, Config{TailBytes: 1 << 20, JournalBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		l := makeLogs(t, s, 1)[0]
		f.FailIf(func(c vfs.Call) error {
			writes := c.Op == vfs.OpWrite && !strings.HasPrefix(c.Name, journalDir)
			if writes || c.Op == vfs.OpAllocate || c.Op == vfs.OpOpen && c.Open.Create {
				return vfs.ErrNoSpace
			}
			return nil
		})
		var last Seq
		for range 400 {
			var b Batch
			b.Append(l, Entry{Count: 1, Bytes: make([]byte, 32<<10)})
			if last, err = s.Submit(&b); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		acked := s.Durable()
		if acked >= last {
			t.Fatal("everything found its place")
		}
		if err := s.Close(); !errors.Is(err, vfs.ErrNoSpace) {
			t.Errorf("close: %v, want %v", err, vfs.ErrNoSpace)
		}
		s, err = Open(mem.Kill(), Config{TailBytes: 1 << 20, JournalBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if s.recovered < acked {
			t.Errorf("frame %d was durable, %d came back", acked, s.recovered)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
