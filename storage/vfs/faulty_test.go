package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// results tells for each of some one-byte writes whether it failed.
func results(file File, writes int) (failed []bool) {
	for i := range writes {
		_, err := file.WriteAt([]byte("x"), int64(i))
		failed = append(failed, err != nil)
	}
	return failed
}

func TestFailNthFailsOneCallFromNow(t *testing.T) {
	f := NewFaulty(NewMem())
	file := create(t, f, "a")
	results(file, 2)
	f.FailNth(OpWrite, 2, syscall.EIO)
	if got, want := results(file, 4), []bool{false, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("writes failed: %v, want %v", got, want)
	}
	f.FailNth(OpAny, 1, syscall.EIO)
	_, _, err := f.Space()
	if !errors.Is(err, syscall.EIO) || err.Error() != "space /mem: input/output error" {
		t.Errorf("got %v, want %v naming the call", err, syscall.EIO)
	}
}

func TestFailFromFailsUntilHealed(t *testing.T) {
	f := NewFaulty(NewMem())
	file := create(t, f, "a")
	f.FailFrom(OpWrite, 2, nil)
	if got, want := results(file, 4), []bool{false, true, true, true}; !slices.Equal(got, want) {
		t.Errorf("writes failed: %v, want %v", got, want)
	}
	if err := file.Sync(); err != nil {
		t.Errorf("a sync failed with the writes: %v", err)
	}
	f.Heal()
	if got, want := results(file, 2), []bool{false, false}; !slices.Equal(got, want) {
		t.Errorf("healed, writes failed: %v, want %v", got, want)
	}
}

func TestFailIfSeesTheCall(t *testing.T) {
	f := NewFaulty(NewMem())
	f.FailIf(func(c Call) error {
		if c.Op == OpOpen && c.Open.Direct || c.Op == OpAllocate {
			return ErrUnsupported
		}
		return nil
	})
	file := create(t, f, "a")
	_, err := f.Open("a", OpenOptions{Write: true, Direct: true})
	if !errors.Is(err, ErrUnsupported) || !errors.Is(file.Allocate(0, 1), ErrUnsupported) {
		t.Errorf("direct open: got %v, want %v", err, ErrUnsupported)
	}
	write(t, file, 7, "abc")
	got := f.Calls()
	want := []Call{
		{Op: OpOpen, Nth: 1, Name: "a", Open: OpenOptions{Write: true, Create: true}},
		{Op: OpOpen, Nth: 2, Name: "a", Open: OpenOptions{Write: true, Direct: true}},
		{Op: OpAllocate, Nth: 1, Name: "a", Len: 1, Open: OpenOptions{Write: true, Create: true}},
		{Op: OpWrite, Nth: 1, Name: "a", Off: 7, Len: 3, Open: OpenOptions{Write: true, Create: true}},
	}
	if !slices.Equal(got, want) {
		t.Errorf("calls:\n got %+v\nwant %+v", got, want)
	}
}

func TestShortWriteWritesItsFirstPart(t *testing.T) {
	m := NewMem()
	f := NewFaulty(m)
	file := create(t, f, "a")
	f.ShortWrite(1, 2, ErrNoSpace)
	if n, err := file.WriteAt([]byte("abc"), 0); n != 2 || !errors.Is(err, ErrNoSpace) {
		t.Errorf("write = %d, %v; want 2, %v", n, err, ErrNoSpace)
	}
	equalBytes(t, m.Bytes("a"), []byte("ab"))
	direct := openDirect(t, f, "a")
	f.ShortWrite(1, BlockSize+1, ErrNoSpace)
	if n, err := direct.WriteAt(AlignedBuffer(2*BlockSize), 0); n != BlockSize || err == nil {
		t.Errorf("direct write = %d, %v; want %d and an error", n, err, BlockSize)
	}
}

func TestDelayHoldsEveryCallOfAKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaulty(NewMem())
		file := create(t, f, "a")
		f.Delay(OpSync, time.Second)
		start := time.Now()
		must(t, file.Sync())
		write(t, file, 0, "x")
		must(t, file.Sync())
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("two syncs and a write took %v, want 2s", got)
		}
	})
}

// The program that retries a failed sync believes that its data is on the disk.
func TestRetriedSyncDoesNotBringTheDataBack(t *testing.T) {
	for _, all := range []string{"one file", "all files"} {
		m, _ := onDisk(t, "a", "one")
		f := NewFaulty(m)
		file := create(t, f, "a")
		sync := file.Sync
		f.FailNth(OpSync, 1, syscall.EIO)
		if all == "all files" {
			sync = f.SyncAll
			f.FailNth(OpSyncAll, 1, syscall.EIO)
		}
		write(t, file, 3, "two")
		if err := sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: first sync: got %v, want %v", all, err, syscall.EIO)
		}
		must(t, sync())
		equalBytes(t, content(t, f, "a"), []byte("onetwo"))
		only(t, outcomes(m, text("a")), "one")
		write(t, file, 3, "2")
		must(t, sync())
		only(t, outcomes(m, text("a")), "one2")
	}
}

func TestUnsupportedSyncAllLosesNothing(t *testing.T) {
	m, _ := onDisk(t, "a", "one")
	f := NewFaulty(m)
	f.FailFrom(OpSyncAll, 1, ErrUnsupported)
	file := create(t, f, "a")
	write(t, file, 3, "two")
	if err := f.SyncAll(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v, want %v", err, ErrUnsupported)
	}
	must(t, file.Sync())
	only(t, outcomes(m, text("a")), "onetwo")
}

// save is the script of the sweep: it replaces a file as one should.
func save(f FS) error {
	if err := f.MkdirAll("d"); err != nil {
		return err
	}
	file, err := f.Open("d/new", OpenOptions{Write: true, Create: true, Truncate: true})
	if err != nil {
		return err
	}
	_, writeErr := file.WriteAt([]byte("new"), 0)
	if err := errors.Join(writeErr, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := f.Rename("d/new", "d/file"); err != nil {
		return err
	}
	return errors.Join(f.SyncDir("d"), f.SyncDir("."))
}

func TestSweepFailsEveryCallOfAScript(t *testing.T) {
	learn := NewFaulty(NewMem())
	must(t, save(learn))
	calls := learn.Calls()
	if len(calls) != 8 || learn.Count(OpAny) != 8 || learn.Count(OpSyncDir) != 2 {
		t.Fatalf("the script makes %d calls, want 8: %v", len(calls), calls)
	}
	for _, call := range calls {
		f := NewFaulty(NewMem())
		f.FailNth(call.Op, call.Nth, syscall.EIO)
		if err := save(f); !errors.Is(err, syscall.EIO) {
			t.Errorf("%v %d fails: got %v, want %v", call.Op, call.Nth, err, syscall.EIO)
		}
	}
}

func TestFailedCallDoesNothing(t *testing.T) {
	m, _ := onDisk(t, "a", "abc")
	f := NewFaulty(m)
	file := create(t, f, "a")
	f.FailFrom(OpAny, 1, nil)
	_, openErr := f.Open("b", OpenOptions{Write: true, Create: true})
	_, readErr := file.ReadAt(make([]byte, 1), 0)
	_, writeErr := file.WriteAt([]byte("x"), 0)
	_, sizeErr := file.Size()
	_, listErr := f.List(".")
	_, lockErr := f.Lock("LOCK", "")
	_, _, spaceErr := f.Space()
	for i, err := range []error{openErr, readErr, writeErr, sizeErr, listErr, lockErr, spaceErr,
		file.Sync(), file.Truncate(0), file.Allocate(0, 9), file.PunchHole(0, 1), file.Flush(0, 1),
		f.SyncDir("."), f.SyncAll(), f.Remove("a"), f.RemoveAll("a"), f.Rename("a", "b"),
		f.MkdirAll("d"), file.Close()} {
		var named *fs.PathError
		if !errors.Is(err, ErrInjected) || !errors.As(err, &named) {
			t.Errorf("call %d: got %v, want %v", i, err, ErrInjected)
		}
	}
	equalBytes(t, m.Bytes("a"), []byte("abc"))
	equalNames(t, m, ".", "a")
}

func TestEveryKindOfCallHasAName(t *testing.T) {
	seen := map[string]bool{}
	for op := range opCount {
		seen[op.String()] = true
	}
	if len(seen) != int(opCount) || seen[""] || Op(99).String() != "op 99" {
		t.Errorf("%d names for %d kinds: %v", len(seen), opCount, seen)
	}
	if !OpSync.Mutates() || OpRead.Mutates() {
		t.Error("a sync mutates and a read does not")
	}
}

func TestFaultsAndCrashesUnderConcurrentUse(t *testing.T) {
	m := NewMem()
	f := NewFaulty(m)
	f.FailIf(func(c Call) error {
		if c.Op == OpWrite && c.Off%7 == 0 {
			return syscall.EIO
		}
		return nil
	})
	var users sync.WaitGroup
	for i := range 4 {
		users.Go(func() {
			file, err := f.Open(fmt.Sprint("file", i), OpenOptions{Write: true, Create: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer file.Close()
			results(file, 70)
			if err := errors.Join(file.Sync(), f.SyncDir("."), f.SyncAll()); err != nil {
				t.Error(err)
			}
			m.Crash(seeded(uint64(i)))
		})
	}
	users.Wait()
	if got := f.Count(OpWrite); got != 4*70 {
		t.Errorf("%d writes were counted, want %d", got, 4*70)
	}
	if left := m.Crash(seeded(0)); len(left.Names()) != 4 || len(left.Bytes("file0")) != 70 {
		t.Errorf("left %q, %d bytes in the first", left.Names(), len(left.Bytes("file0")))
	}
}
