package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/tidings-io/tidings/storage/vfs"
)

// openFaulty opens a store whose calls are counted.
func openFaulty(t *testing.T, c Config) (*Store, *vfs.Faulty, *vfs.Mem) {
	t.Helper()
	mem := vfs.NewMem()
	f := vfs.NewFaulty(mem)
	s, err := Open(f, c)
	if err != nil {
		t.Fatal(err)
	}
	return s, f, mem
}

func submit(t testing.TB, s *Store, b *Batch) Seq {
	t.Helper()
	q, err := s.Submit(b)
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	return q
}

// contents reads a log from an offset on.
func contents(t testing.TB, l *Log, from Offset) (texts []string) {
	t.Helper()
	var buf Buffer
	defer buf.Release()
	for _, end, _ := l.Bounds(); from < end; {
		if err := l.Read(&buf, from, 64<<10); err != nil || len(buf.Entries) == 0 {
			t.Fatalf("read %d of %d: %d entries, %v", from, end, len(buf.Entries), err)
		}
		for _, v := range buf.Entries {
			texts = append(texts, string(v.Bytes))
			from = v.Base + Offset(v.Count)
		}
	}
	return texts
}

func TestShortLivedVolatileLogsMakeNoCalls(t *testing.T) {
	s, f, _ := openFaulty(t, Config{manual: true})
	defer s.closeFiles()
	if err := s.flushRound(); err != nil { // it makes the second journal file
		t.Fatal(err)
	}
	before := f.Count(vfs.OpAny)
	var b Batch
	for range 100_000 {
		l := s.NewLog(&b, LogOptions{Volatile: true})
		b.Append(l, Entry{Count: 1, Bytes: []byte("reply")})
		submit(t, s, &b)
		b.Trim(l, 1)
		submit(t, s, &b)
		b.Drop(l)
		submit(t, s, &b)
	}
	if err := errors.Join(s.commitAll(), s.flushRound()); err != nil {
		t.Fatal(err)
	}
	if calls := f.Count(vfs.OpAny) - before; calls != 0 {
		t.Errorf("%d file system calls, the last: %+v", calls, f.Calls()[before+calls-1])
	}
	if n := len(s.durableLogs()); n != 0 || s.volatileBytes.Load() != 0 {
		t.Errorf("%d logs and %d bytes are left", n, s.volatileBytes.Load())
	}
}

func TestVolatileLogsLeaveNothingOnDisk(t *testing.T) {
	s, _, mem := openFaulty(t, Config{manual: true})
	before := disk(mem)
	var b Batch
	l := s.NewLog(&b, LogOptions{Volatile: true})
	for range 40 {
		b.Append(l, Entry{Count: 1, Bytes: make([]byte, 100<<10)})
	}
	submit(t, s, &b)
	if err := s.flushRound(); err != nil {
		t.Fatal(err)
	}
	if spilled(mem) == 0 || s.volatileBytes.Load() > volatileSpill {
		t.Errorf("%d files, %d bytes in memory; want a spill", spilled(mem), s.volatileBytes.Load())
	}
	if n := len(contents(t, l, 0)); n != 40 {
		t.Errorf("%d entries, want 40", n)
	}
	mem = mem.Kill()
	s, err := Open(mem, Config{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeFiles()
	if n := len(s.durableLogs()); n != 0 || spilled(mem) != 0 {
		t.Errorf("%d logs, %d spilled files after a restart", n, spilled(mem))
	}
	if got, want := len(disk(mem)), len(before)+1; got > want { // a second journal file
		t.Errorf("%d files after a restart, want %d: %v", got, want, mem.Names())
	}
}

func spilled(mem *vfs.Mem) (n int) {
	for _, name := range mem.Names() {
		if strings.HasPrefix(name, spillDir+"/") {
			n++
		}
	}
	return n
}

// TestConsumedSpillIsDeleted: files of a volatile log go when it is consumed or
// dropped, without a checkpoint, which may be far away.
func TestAVolatileLogLetsGoOfWhatWasTrimmed(t *testing.T) {
	s, _, _ := openFaulty(t, Config{manual: true})
	defer s.closeFiles()
	var b Batch
	l := s.NewLog(&b, LogOptions{Volatile: true})
	for range 100 {
		b.Append(l, Entry{Count: 1, Bytes: make([]byte, 1000)})
	}
	submit(t, s, &b)
	var held []weak.Pointer[byte]
	for _, x := range l.held {
		held = append(held, weak.Make(&x[0]))
	}
	for _, to := range []Offset{1, 2, 30, 80, 99, 100} {
		b.Trim(l, to)
		submit(t, s, &b)
		runtime.GC()
		for i, x := range held {
			if gone := x.Value() == nil; gone != (i < int(to)) {
				t.Fatalf("after a trim to %d, entry %d is gone: %v", to, i, gone)
			}
		}
	}
}

func TestConsumedSpillIsDeleted(t *testing.T) {
	for _, how := range []string{"trim", "drop"} {
		s, _, mem := openFaulty(t, Config{manual: true, SegmentBytes: 1 << 20})
		var b Batch
		l := s.NewLog(&b, LogOptions{Volatile: true})
		for range 10 {
			for range 10 {
				b.Append(l, Entry{Count: 1, Bytes: make([]byte, 100<<10)})
			}
			submit(t, s, &b)
			if err := s.flushRound(); err != nil {
				t.Fatal(err)
			}
		}
		if n := spilled(mem); n < 5 {
			t.Fatalf("%d spilled files, want several", n)
		}
		if how == "trim" {
			b.Trim(l, 95)
		} else {
			b.Drop(l)
		}
		submit(t, s, &b)
		if err := s.flushRound(); err != nil {
			t.Fatal(err)
		}
		if n := spilled(mem); n > 2 || how == "drop" && n > 0 {
			t.Errorf("%s: %d spilled files are left", how, n)
		}
		s.closeFiles()
	}
}

// TestVolatileEntriesOfAMixedBatchWaitForTheDurableOnes: what was submitted
// together becomes visible together, and nothing overtakes it.
func TestVolatileEntriesOfAMixedBatchWaitForTheDurableOnes(t *testing.T) {
	s, _, _ := openFaulty(t, Config{manual: true})
	defer s.closeFiles()
	var b Batch
	v := s.NewLog(&b, LogOptions{Volatile: true})
	b.Append(v, Entry{Count: 1, Bytes: []byte("first")})
	if q := submit(t, s, &b); q != s.Durable() {
		t.Errorf("a volatile batch is confirmed by %d, want %d: at once", q, s.Durable())
	}
	d := s.NewLog(&b, LogOptions{})
	b.Append(d, Entry{Count: 1, Bytes: []byte("durable")})
	b.Append(v, Entry{Count: 1, Bytes: []byte("with it")})
	submit(t, s, &b)
	b.Append(v, Entry{Count: 1, Bytes: []byte("behind it")})
	submit(t, s, &b)
	if got := fmt.Sprint(contents(t, v, 0), s.Log(d.id)); got != "[first] <nil>" {
		t.Errorf("before the disk: %s", got)
	}
	if err := s.commitAll(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(contents(t, v, 0), contents(t, d, 0)); got != "[first with it behind it] [durable]" {
		t.Errorf("after it: %s", got)
	}
}

// TestVolatileLogOfAMixedBatchCanBeDropped: the drop waits behind the batch that
// makes the log, else it would never go.
func TestVolatileLogOfAMixedBatchCanBeDropped(t *testing.T) {
	s, _, _ := openFaulty(t, Config{manual: true})
	defer s.closeFiles()
	var b Batch
	v := s.NewLog(&b, LogOptions{Volatile: true})
	b.Put([]byte("queue"), []byte("v"))
	submit(t, s, &b)
	b.Drop(v)
	submit(t, s, &b)
	if err := s.commitAll(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.durableLogs()); n != 0 {
		t.Errorf("%d logs are left, want none", n)
	}
}

func TestVolatileEntriesComeInOrderThroughASpill(t *testing.T) {
	s, _, _ := openFaulty(t, Config{manual: true, SegmentBytes: 256 << 10})
	defer s.closeFiles()
	var b Batch
	l := s.NewLog(&b, LogOptions{Volatile: true})
	var want []string
	for i := range 2000 {
		text := fmt.Sprint(i, string(bytes.Repeat([]byte("x"), i)))
		want = append(want, text)
		b.Append(l, Entry{Count: 1, Bytes: []byte(text)})
		submit(t, s, &b)
		if i%300 == 0 {
			if err := s.flushRound(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := contents(t, l, 0); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %d entries, want %d in order", len(got), len(want))
	}
}

// TestAdmitHoldsVolatileProducersBack: memory is bounded even where the disk is
// too full to spill, and nobody spins meanwhile.
func TestAdmitHoldsVolatileProducersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, _ := openFaulty(t, Config{})
		var b Batch
		l := s.NewLog(&b, LogOptions{Volatile: true})
		submit(t, s, &b)
		stuck := errors.New("stuck")
		f.Delay(vfs.OpWrite, time.Minute)
		for n := 0; n < volatileMax+volatileSpill; n += 1 << 20 {
			b.Append(l, Entry{Count: 1, Bytes: make([]byte, 1<<20)})
			submit(t, s, &b)
		}
		ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second, stuck)
		defer cancel()
		for range 3 {
			go func() { _ = s.Admit(ctx, 1) }() // they wait beside: one wake must reach all
		}
		if err := s.Admit(ctx, 1); !errors.Is(context.Cause(ctx), stuck) {
			t.Fatalf("admitted over %d bytes in memory: %v", s.volatileBytes.Load(), err)
		}
		f.Heal()
		admitted := make(chan error)
		for range 3 {
			go func() { admitted <- s.Admit(context.Background(), 1) }()
		}
		for range 3 {
			if err := <-admitted; err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDropDuringAFlushIsNoError: a checkpoint deletes the file of a log that is
// dropped or trimmed while the flusher is about to write it.
func TestDropDuringAFlushIsNoError(t *testing.T) {
	for _, how := range []string{"drop", "trim"} {
		s, f, mem := openFaulty(t, Config{manual: true, OpenFiles: 1, TailBytes: 256 << 10})
		ls := make([]*Log, 2)
		var b Batch
		for i := range ls {
			ls[i] = s.NewLog(&b, LogOptions{})
			b.Append(ls[i], Entry{Count: 1, Bytes: make([]byte, 1000)})
		}
		submit(t, s, &b)
		must(t, s.commitAll(), s.flushOldest(0), s.checkpoint(false))
		b.Append(ls[0], Entry{Count: 1, Bytes: make([]byte, 1000)})
		submit(t, s, &b)
		must(t, s.commitAll())
		done := false
		f.FailIf(func(c vfs.Call) error {
			if c.Op != vfs.OpOpen || !strings.HasPrefix(c.Name, segmentDir+"/01/") || done {
				return nil
			}
			done = true
			if how == "drop" {
				b.Drop(ls[0])
			} else {
				b.Trim(ls[0], 1)
			}
			submit(t, s, &b)
			must(t, s.commitAll(), s.checkpoint(true))
			return nil
		})
		if err := s.flushOldest(0); err != nil || !done {
			t.Errorf("%s: done %v; the flush answers %v", how, done, err)
		}
		if mem.Bytes(segmentName(false, ls[0].id, 0)) != nil {
			t.Errorf("%s: the file is still there", how)
		}
		s.closeFiles()
	}
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
