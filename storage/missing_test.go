package storage

import (
	"errors"
	"maps"
	"strings"
	"testing"
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
