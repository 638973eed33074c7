package storage

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestMissingFileIsNeverSilentLoss removes each file of a store, one at a time.
func TestMissingFileIsNeverSilentLoss(t *testing.T) {
	partly := 0
	for seed := range uint64(6) {
		h := record(t, seed, append(busy(), "marker")...)
		for _, name := range h.mem.Names() {
			mem := h.mem.Kill()
			if err := mem.Remove(name); err != nil {
				t.Fatal(err)
			}
			whole, err := h.wrongData(mem)
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("seed %d, %s: %v", seed, name, err)
			}
			if !whole && err == nil && strings.HasSuffix(name, ".seg") {
				partly++
			}
		}
	}
	if partly == 0 {
		t.Error("no read answered damage without a segment file")
	}
}

// TestRefusedOpenChangesNothing: a damaged store is left as it is, for Repair.
func TestRefusedOpenChangesNothing(t *testing.T) {
	refused := 0
	for seed := range uint64(6) {
		h := record(t, seed, append(busy(), "marker")...)
		for _, f := range framesOf(t, h.mem) {
			mem := h.mem.Kill()
			must(t, mem.Corrupt(f.file, f.pos, make([]byte, sectorBytes)))
			before := disk(mem)
			s, err := Open(mem, h.cfg)
			if err == nil {
				s.closeFiles()
				continue
			}
			refused++
			if !errors.Is(err, ErrDamaged) || !maps.Equal(disk(mem), before) {
				t.Errorf("seed %d, frame %d: refused with %v, and the files changed", seed, f.seq, err)
			}
		}
	}
	if refused == 0 {
		t.Error("no Open was refused")
	}
}

// TestManifestCutWithinItsPaddingGoesOnAligned: checkpoints behind a cut must be
// found by the starts that follow.
func TestManifestCutWithinItsPaddingGoesOnAligned(t *testing.T) {
	h := record(t, 4, append(busy(), "marker")...)
	name := manifestName(1)
	size := int64(len(h.mem.Bytes(name)))
	for cut := int64(1); cut < 128; cut += 5 {
		mem := change(t, h.mem, name, func(f vfs.File) error { return f.Truncate(size - cut) })
		for start := range 3 {
			s, err := Open(mem, h.cfg)
			if err != nil {
				t.Fatalf("cut by %d, start %d: %v", cut, start, err)
			}
			if v, _ := s.Get([]byte("start")); start > 0 && string(v) != fmt.Sprint(start-1) {
				t.Fatalf("cut by %d, start %d: the last one put %q", cut, start, v)
			}
			for range 40 { // journal files are used again
				var b Batch
				b.Put([]byte("start"), []byte(fmt.Sprint(start)))
				b.Put([]byte("fill"), make([]byte, 3000))
				submit(t, s, &b)
				must(t, s.commitAll())
			}
			must(t, s.checkpoint(true))
			s.closeFiles()
			mem = mem.Kill()
		}
	}
}
