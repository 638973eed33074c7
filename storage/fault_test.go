package storage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

var faultsEvery = flag.Int("faults.every", 6, "fail every n-th call of the scripted runs")

// everything is a short run for fault sweeps with almost every kind of call.
func everything() []string {
	return slices.Concat([]string{"open"}, times(6, "batch", "commit"), []string{"carry"},
		times(5, "batch", "batch", "commit"), []string{"flush", "checkpoint"},
		times(3, "batch", "commit"), []string{"drop", "commit", "rewrite", "checkpoint", "batch", "commit",
			"close", "open", "batch", "commit", "carry", "batch", "commit", "marker"})
}

// manyFiles is a run that has enough dirty files to sync them all at once.
func manyFiles() []string {
	return []string{"open", "wide", "commit", "flush", "checkpoint", "drop", "commit", "checkpoint", "batch", "commit"}
}

// sweep is one way to run a script with faults.
type sweep struct {
	words []string
	// wrap stands between the store and the faults.
	wrap   func(vfs.FS) vfs.FS
	direct bool // the journal may be written directly
	part   int  // of a failing write, this many bytes are written
	seed   uint64
}

func (w *sweep) faulty(mem *vfs.Mem) *vfs.Faulty {
	f := vfs.NewFaulty(mem)
	if !w.direct {
		f.FailIf(func(c vfs.Call) error {
			if c.Op == vfs.OpOpen && c.Open.Direct {
				return vfs.ErrUnsupported
			}
			return nil
		})
	}
	return f
}

// run runs the script and stops at the first error, as a process does.
func (w *sweep) run(f *vfs.Faulty, mem *vfs.Mem) (*script, error) {
	s := newScript(w.seed, func(vfs.FS) vfs.FS { return w.wrapped(f) })
	s.mem = mem
	return s, s.do(w.words...)
}

func (w *sweep) wrapped(f *vfs.Faulty) vfs.FS {
	if w.wrap == nil {
		return f
	}
	return w.wrap(f)
}

// calls learns what the script does to the disk.
func (w *sweep) calls(t *testing.T) (calls []vfs.Call) {
	t.Helper()
	mem := vfs.NewMem()
	f := w.faulty(mem)
	if _, err := w.run(f, mem); err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Calls() {
		if c.Op.Mutates() && (c.Op != vfs.OpOpen || c.Open.Create || c.Open.Truncate) {
			calls = append(calls, c)
		}
	}
	return calls
}

// failing runs the script with one fault, and returns what is wrong with the
// store afterwards, or with what the next start finds.
func (w *sweep) failing(c vfs.Call, errno error) error {
	mem := vfs.NewMem()
	f := w.faulty(mem)
	if c.Op == vfs.OpWrite && w.part > 0 {
		f.ShortWrite(c.Nth, w.part, errno)
	} else {
		f.FailNth(c.Op, c.Nth, errno)
	}
	s, err := w.run(f, mem)
	if s.store == nil {
		return (&history{cfg: s.cfg, models: s.h.models, seqs: s.h.seqs}).reopen(mem.Kill())
	}
	if err := s.sound(err); err != nil {
		return err
	}
	s.history()
	if s.store.Err() != nil {
		_ = s.store.Close() // answers the poison
	}
	return errors.Join(s.noSyncTwice(f.Calls(), c), s.survives(w.seed))
}

// sound checks a store after its script ended with err or with nil.
func (s *script) sound(err error) error {
	if err == nil || s.store.closing {
		return nil // deferred; or the second Open failed
	}
	if s.store.Err() == nil {
		return fmt.Errorf("%w, and the store is not poisoned", err)
	}
	var b Batch
	b.Put([]byte("k"), nil)
	if _, err := s.store.Submit(&b); !errors.Is(err, ErrPoisoned) {
		return fmt.Errorf("poisoned, and Submit answers %v", err)
	}
	last := s.h.seqs[len(s.h.seqs)-1]
	if err := s.store.Await(context.Background(), last); last > s.store.Durable() && !errors.Is(err, ErrPoisoned) {
		return fmt.Errorf("poisoned, and Await answers %v", err)
	}
	return nil
}

// survives opens what is left, after the process ended and after a power cut.
func (s *script) survives(seed uint64) error {
	if err := s.h.reopen(s.h.mem.Kill()); err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	for i := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, i))
		if err := s.h.reopen(s.h.mem.Crash(rng)); err != nil {
			return fmt.Errorf("after power cut %d: %w", i, err)
		}
	}
	return nil
}

// noSyncTwice reports that a store goes on after a failed sync, and syncs the
// file again, unless it was made anew. A later Open is another process.
func (s *script) noSyncTwice(calls []vfs.Call, failed vfs.Call) error {
	if !isSync(failed) || s.store.Err() != nil {
		return nil
	}
	at := slices.IndexFunc(calls, func(c vfs.Call) bool { return c.Op == failed.Op && c.Nth == failed.Nth })
	for _, c := range calls[at+1:] {
		again := c.Name == failed.Name
		if c.Op == vfs.OpLock || again && c.Op == vfs.OpOpen && c.Open.Truncate {
			return nil
		}
		if again && isSync(c) {
			return fmt.Errorf("%s was synced again after its sync had failed", c.Name)
		}
	}
	return nil
}

func isSync(c vfs.Call) bool {
	return c.Op == vfs.OpSync || c.Op == vfs.OpSyncAll || c.Op == vfs.OpSyncDir
}

// every runs the sweep over each n-th call, and returns the first fault after
// which something is wrong.
func (w *sweep) every(t *testing.T, n int) error {
	for i, c := range w.calls(t) {
		if i%n != int(w.seed)%n {
			continue
		}
		for _, errno := range []error{syscall.EIO, vfs.ErrNoSpace} {
			if err := w.failing(c, errno); err != nil {
				return fmt.Errorf("%v of %s fails (call %d of its kind, %d bytes at %d) with %q: %w",
					c.Op, c.Name, c.Nth, c.Len, c.Off, errno, err)
			}
		}
	}
	return nil
}

// TestDiskErrorsLoseNothingAcknowledged fails every call of a run that changes
// the disk, one at a time, with EIO and with ENOSPC. Either the store is poisoned
// and every waiter hears of it, or the work is put off; a failed sync is never
// tried again, and a restart finds everything that was acknowledged.
func TestDiskErrorsLoseNothingAcknowledged(t *testing.T) {
	for name, w := range map[string]*sweep{
		"direct":          {words: everything(), direct: true, seed: 1},
		"buffered":        {words: everything(), seed: 2},
		"many files":      {words: manyFiles(), direct: true, seed: 3},
		"short writes":    {words: everything(), direct: true, seed: 4, part: 700},
		"short, buffered": {words: everything(), seed: 5, part: 5000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := w.every(t, *faultsEvery); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFaultSweepNoticesARetriedSync is the sabotage: a file system whose failed
// syncs are tried again until they succeed loses what the first one gave up.
func TestFaultSweepNoticesARetriedSync(t *testing.T) {
	w := &sweep{words: everything(), seed: 2, wrap: func(fs vfs.FS) vfs.FS { return stubborn{fs} }}
	if err := w.every(t, 1); err == nil {
		t.Error("every failed sync was retried, and no loss was noticed")
	}
}

// stubborn takes the second answer of a sync for the truth.
type stubborn struct{ vfs.FS }

type stubbornFile struct{ vfs.File }

func (s stubborn) Open(name string, o vfs.OpenOptions) (vfs.File, error) {
	f, err := s.FS.Open(name, o)
	if err != nil {
		return nil, err
	}
	return stubbornFile{f}, nil
}

func (f stubbornFile) Sync() error {
	if err := f.File.Sync(); err == nil {
		return nil
	}
	return f.File.Sync()
}
