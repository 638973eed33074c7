package storage

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

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
			if err := s.do(word); err != nil || !s.store.space.full.Load() {
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
	if err := s.tolerate(nil, vfs.ErrNoSpace); err != nil || !s.space.full.Load() {
		t.Errorf("got %v, want nil and a full disk", err)
	}
	if err := s.tolerate(synced(vfs.ErrNoSpace)); err == nil {
		t.Error("a failed sync was taken for a full disk")
	}
}
