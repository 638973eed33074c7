package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// TestInspectOfASoundStoreFindsNothingAndChangesNothing.
func TestInspectOfASoundStoreFindsNothingAndChangesNothing(t *testing.T) {
	for seed := range uint64(6) {
		h := record(t, seed, append(busy(), "marker")...)
		before := disk(h.mem)
		r, err := Inspect(h.mem)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Damage) > 0 || !maps.Equal(disk(h.mem), before) {
			t.Errorf("seed %d: %v; changed %v", seed, r.Damage, !maps.Equal(disk(h.mem), before))
		}
		last := h.models[len(h.models)-1]
		if r.FormatVersion != 1 || r.Logs != len(last.logs) || r.Keys != len(last.keys) || r.Frames == 0 || r.Bytes == 0 {
			t.Errorf("seed %d: %+v; want %d logs and %d keys", seed, *r, len(last.logs), len(last.keys))
		}
	}
}

func TestInspectSaysWhoHoldsTheData(t *testing.T) {
	s, _, mem := openFaulty(t, Config{manual: true, Owner: "tidings serve, process 7"})
	defer s.closeFiles()
	for _, f := range []func() error{
		func() error { _, err := Inspect(mem); return err },
		func() error { _, err := Repair(mem, RepairOptions{AcceptLoss: true}); return err },
	} {
		if err := f(); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "process 7") {
			t.Errorf("got %v, want %v naming process 7", err, vfs.ErrLocked)
		}
	}
}

func TestInspectOfNothingIsNotExist(t *testing.T) {
	if _, err := Inspect(vfs.NewMem()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

// TestRepairRefusesANewerFormat: what it does not know it must not mend.
func TestRepairRefusesANewerFormat(t *testing.T) {
	h := record(t, 1, busy()...)
	for name, upgrade := range newer {
		mem := upgrade(t, h.mem)
		before := disk(mem)
		if _, err := Repair(mem, RepairOptions{AcceptLoss: true}); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, want %v", name, err, ErrFormat)
		}
		if !maps.Equal(disk(mem), before) {
			t.Errorf("%s: the files changed", name)
		}
	}
}

// TestRepairWithoutAcceptLossChangesNothing, and says what is damaged.
func TestRepairWithoutAcceptLossChangesNothing(t *testing.T) {
	h, _ := flipped(t, 2)
	before := disk(h.mem)
	r, err := Repair(h.mem, RepairOptions{})
	if !errors.Is(err, ErrDamaged) || len(r.Damage) == 0 {
		t.Errorf("got %v and %v", r, err)
	}
	if !maps.Equal(disk(h.mem), before) {
		t.Error("the files changed")
	}
}

// TestRepairOfASoundStoreDoesNothing.
func TestRepairOfASoundStoreDoesNothing(t *testing.T) {
	h := record(t, 2, append(busy(), "marker")...)
	before := disk(h.mem)
	r, err := Repair(h.mem, RepairOptions{AcceptLoss: true})
	if err != nil || len(r.Actions) > 0 || !maps.Equal(disk(h.mem), before) {
		t.Errorf("%v, %v; changed %v", r, err, !maps.Equal(disk(h.mem), before))
	}
}

// TestRepairCutsDamageOutOfSegments: reads pass over the hole, what else there is
// is there, and the report lists exactly what is not.
func TestRepairCutsDamageOutOfSegments(t *testing.T) {
	for seed := range uint64(8) {
		h, at := flipped(t, seed)
		pieces := map[string]string{}
		for name, content := range disk(h.mem) {
			pieces[name] = content
		}
		r, err := Repair(h.mem, RepairOptions{AcceptLoss: true})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(r.Damage) != len(at) || len(r.Lost) == 0 || len(r.Actions) == 0 {
			t.Errorf("seed %d: %d damages, %d lost, actions %v; %d files were damaged",
				seed, len(r.Damage), len(r.Lost), r.Actions, len(at))
		}
		if err := h.allBut(h.mem, r.Lost); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		inQuarantine(t, h.mem, r, pieces)
	}
}

// allBut opens a repaired store: all is there but what is lost, and it goes on.
func (h *history) allBut(mem *vfs.Mem, lost []Lost) error {
	for range 2 { // the second start finds what the first one left
		s, err := Open(mem, h.cfg)
		if err != nil {
			return err
		}
		for id, want := range h.models[h.found(s)].logs {
			if err := want.without(lost, id).equals(s.Log(id)); err != nil {
				return errors.Join(fmt.Errorf("log %d: %w (lost %v)", id, err, lost), s.Close())
			}
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

// without is the log after a repair: the bounds stay.
func (l *simLog) without(lost []Lost, id LogID) *simLog {
	left := &simLog{start: l.start, end: l.end}
	for _, e := range l.entries {
		gone := slices.ContainsFunc(lost, func(x Lost) bool {
			return x.Log == id && x.From < e.base+Offset(e.count) && e.base < x.To
		})
		if !gone {
			left.entries = append(left.entries, e)
		}
	}
	return left
}

// equals reads a log that may have holes.
func (l *simLog) equals(got *Log) error {
	if got == nil {
		return errors.New("missing")
	}
	if start, durable, end := got.Bounds(); start != l.start || durable != l.end || end != l.end {
		return fmt.Errorf("bounds %d %d %d, want %d %d", start, durable, end, l.start, l.end)
	}
	var buf Buffer
	defer buf.Release()
	off := l.start
	for _, e := range l.entries {
		if err := got.Read(&buf, off, 1); err != nil || len(buf.Entries) != 1 {
			return fmt.Errorf("%d entries at %d: %w", len(buf.Entries), off, err)
		}
		v := buf.Entries[0]
		if v.Base != e.base || v.Count != e.count || v.Time != e.time || !bytes.Equal(v.Bytes, e.data) {
			return fmt.Errorf("at %d: the entry %d+%d, want %d+%d", off, v.Base, v.Count, e.base, e.count)
		}
		off = v.Base + Offset(v.Count)
	}
	if err := got.Read(&buf, off, 1); err != nil || len(buf.Entries) != 0 {
		return fmt.Errorf("%d entries at %d, behind the last: %w", len(buf.Entries), off, err)
	}
	return nil
}

// inQuarantine finds each damaged range, as it was, and the report.
func inQuarantine(t *testing.T, mem *vfs.Mem, r *Report, before map[string]string) {
	t.Helper()
	files := disk(mem)
	text := files[r.Quarantine+"/report.txt"]
	for _, d := range r.Damage {
		was := before[d.File][d.Pos : d.Pos+d.Len]
		if !slices.Contains(slices.Collect(maps.Values(files)), was) || !strings.Contains(text, d.Error()) {
			t.Errorf("%v, %d bytes: not in the quarantine or not in the report", d, d.Len)
		}
	}
	for _, l := range r.Lost {
		if want := fmt.Sprintf("log %d: the records %d to %d are lost", l.Log, l.From, l.To-1); !strings.Contains(text, want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
}

// TestRepairGoesOnOverMissingFrames: of the journal every frame in turn is
// destroyed. What later frames say is there, offsets are not given out twice
// where a later frame or the manifest knows them, and the store works.
func TestRepairGoesOnOverMissingFrames(t *testing.T) {
	for seed := range uint64(3) {
		h := record(t, seed, append(busy(), "marker")...)
		repaired := 0
		for _, f := range framesOf(t, h.mem) {
			mem := h.mem.Kill()
			must(t, mem.Corrupt(f.file, f.pos, make([]byte, frameHeader)))
			if err := h.reopen(mem.Kill()); err == nil {
				continue // it was not needed
			}
			repaired++
			r, err := Repair(mem, RepairOptions{AcceptLoss: true})
			if err != nil {
				t.Fatalf("seed %d, frame %d: %v", seed, f.seq, err)
			}
			if err := h.onlyThis(mem, f.seq, r); err != nil {
				t.Errorf("seed %d, frame %d: %v\n%v", seed, f.seq, err, r.Actions)
			}
		}
		if repaired < 5 {
			t.Errorf("seed %d: only %d frames mattered", seed, repaired)
		}
	}
}

// onlyThis checks a store that lost one frame: keys have the values that all
// other frames leave, and logs hold a subset of what there was, in order.
func (h *history) onlyThis(mem *vfs.Mem, lost Seq, r *Report) error {
	if len(r.Damage) == 0 || len(r.Actions) == 0 {
		return fmt.Errorf("the report is empty: %+v", *r)
	}
	s, err := Open(mem, h.cfg)
	if err != nil {
		return err
	}
	defer s.closeFiles()
	last := len(h.seqs) - 1
	if v, _ := s.Get([]byte("#")); h.seqs[last] != lost && string(v) != h.models[last].keys["#"] {
		return fmt.Errorf("the last batch is %q, want %q", v, h.models[last].keys["#"])
	}
	for id, want := range h.models[last].logs {
		got := s.Log(id)
		if got == nil {
			continue // made by the lost frame
		}
		if err := want.someOf(got); err != nil {
			return fmt.Errorf("log %d: %w", id, err)
		}
	}
	_, err = readAll(s)
	return err
}

// someOf checks that what can be read was written, in order.
func (l *simLog) someOf(got *Log) error {
	var buf Buffer
	defer buf.Release()
	for off, end, _ := got.Bounds(); off < end; {
		if err := got.Read(&buf, off, 5000); err != nil {
			return err
		}
		if len(buf.Entries) == 0 {
			return nil
		}
		for _, v := range buf.Entries {
			same := slices.ContainsFunc(l.entries, func(e simEntry) bool {
				return e.base == v.Base && e.count == v.Count && bytes.Equal(e.data, v.Bytes)
			})
			if !same && v.Base >= l.start {
				return fmt.Errorf("the entry %d+%d was never written", v.Base, v.Count)
			}
			off = v.Base + Offset(v.Count)
		}
	}
	return nil
}

// TestRepairTakesIntactEntriesOfADamagedExtent.
func TestRepairTakesIntactEntriesOfADamagedExtent(t *testing.T) {
	for at := range 8 {
		s, _, mem := openFaulty(t, Config{manual: true, extentBytes: 4 << 10})
		l := makeLogsManual(t, s, 1)[0]
		var b Batch
		for i := range 8 {
			b.Append(l, Entry{Count: 1, Bytes: bytes.Repeat([]byte{byte(i)}, 1000)})
		}
		submit(t, s, &b)
		must(t, s.commitAll(), s.writeMarker())
		mem = mem.Kill()
		must(t, mem.Corrupt(segmentName(false, l.id, 0), segmentHeader+int64(at)*1044+500, []byte{255}))
		r, err := Repair(mem, RepairOptions{AcceptLoss: true})
		if err != nil {
			t.Fatal(err)
		}
		want := []Lost{{l.id, Offset(at), Offset(at) + 1}}
		if !slices.Equal(r.Lost, want) {
			t.Errorf("lost %v, want %v", r.Lost, want)
		}
		again, err := Open(mem, Config{manual: true})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := readAll(again); n != 7 || err != nil {
			t.Errorf("%d entries are left, %v; want 7", n, err)
		}
		if _, _, end := again.Log(l.id).Bounds(); end != 8 {
			t.Errorf("the next record would get offset %d, want 8", end)
		}
		again.closeFiles()
	}
}

// TestRepairBuildsANewManifest: every 64-byte line of it is damaged in turn. Of
// keys and sets older values may come back; records must not get lost that are
// intact in segments or in the journal.
func TestRepairBuildsANewManifest(t *testing.T) {
	h := record(t, 3, append(busy(), "checkpoint", "batch", "commit", "marker")...)
	name := manifestName(1)
	size := len(h.mem.Bytes(name))
	rng := rand.New(rand.NewPCG(5, 5))
	built, refused := 0, 0
	for at := 0; at < size; at += manifestAlign * (1 + rng.IntN(3)) {
		mem := h.mem.Kill()
		must(t, mem.Corrupt(name, int64(at), []byte{h.mem.Bytes(name)[at] ^ 0x10}))
		if err := h.reopen(mem.Kill()); err == nil {
			continue // the last edit: the journal still holds what it said
		}
		r, err := Repair(mem, RepairOptions{AcceptLoss: true})
		if errors.Is(err, ErrDamaged) {
			refused++
			continue
		}
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		built++
		if err := h.recordsKept(mem, r); err != nil {
			t.Errorf("byte %d: %v\n%v", at, err, strings.Join(r.Actions, "\n"))
		}
	}
	if built < 3 {
		t.Errorf("%d manifests were built, %d refused", built, refused)
	}
}

// recordsKept checks that every record is readable that the report does not list.
func (h *history) recordsKept(mem *vfs.Mem, r *Report) error {
	s, err := Open(mem, h.cfg)
	if err != nil {
		return err
	}
	defer s.closeFiles()
	for id, want := range h.models[len(h.models)-1].logs {
		got := s.Log(id)
		if got == nil {
			return fmt.Errorf("log %d is gone", id)
		}
		left := want.without(r.Lost, id)
		var buf Buffer
		for _, e := range left.entries {
			if err := got.Read(&buf, max(e.base, want.start), 1); err != nil || len(buf.Entries) == 0 || buf.Entries[0].Base != e.base {
				return fmt.Errorf("log %d: offset %d: %d entries, %w", id, e.base, len(buf.Entries), err)
			}
		}
		buf.Release()
	}
	return nil
}

// TestRepairFindsTheManifestWithoutCURRENT.
func TestRepairFindsTheManifestWithoutCURRENT(t *testing.T) {
	for how, damage := range map[string]func(*vfs.Mem) error{
		"missing": func(m *vfs.Mem) error { return m.Remove(currentName) },
		"garbage": func(m *vfs.Mem) error { return m.Corrupt(currentName, 0, []byte("what?")) },
		"a manifest that is not there": func(m *vfs.Mem) error {
			return m.Corrupt(currentName, 26, []byte("9"))
		},
	} {
		h := record(t, 3, append(busy(), "marker")...)
		must(t, damage(h.mem))
		if err := h.reopen(h.mem.Kill()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Open answers %v", how, err)
		}
		r, err := Repair(h.mem, RepairOptions{AcceptLoss: true})
		if err != nil {
			t.Errorf("%s: %v", how, err)
			continue
		}
		if err := h.reopen(h.mem.Kill()); err != nil || len(r.Lost) > 0 {
			t.Errorf("%s: %v; lost %v", how, err, r.Lost)
		}
	}
}

// TestRepairThatIsCutShortCanBeRunAgain: power is cut at every call of a repair.
func TestRepairThatIsCutShortCanBeRunAgain(t *testing.T) {
	h, _ := flipped(t, 4)
	whole := h.mem.Kill()
	want, err := Repair(whole, RepairOptions{AcceptLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	calls := whole.Mutations()
	for n := 1; n < calls; n += 1 + n/10 {
		mem := h.mem.Kill()
		mem.CutAfter(n)
		if _, err := Repair(mem, RepairOptions{AcceptLoss: true}); !errors.Is(err, vfs.ErrPowerCut) {
			t.Fatalf("cut at call %d: %v", n, err)
		}
		mem = mem.Crash(seeded(uint64(n)))
		r, err := Repair(mem, RepairOptions{AcceptLoss: true})
		if err != nil {
			t.Fatalf("run again after call %d: %v", n, err)
		}
		lost := want.Lost
		if len(r.Damage) > 0 && !slices.Equal(r.Lost, lost) {
			t.Errorf("run again after call %d: lost %v, want %v", n, r.Lost, lost)
		}
		if err := h.allBut(mem, lost); err != nil {
			t.Errorf("run again after call %d: %v", n, err)
		}
	}
}

// TestRepairReadsAroundUnreadableBlocks of the journal.
func TestRepairReadsAroundUnreadableBlocks(t *testing.T) {
	h := record(t, 4, append(times(6, "batch", "commit"), "marker")...)
	frames := framesOf(t, h.mem)
	f := frames[len(frames)/2]
	bad := badBlock{h.mem, f.file, f.pos}
	if err := h.reopen(bad); err == nil || errors.Is(err, ErrDamaged) {
		t.Fatalf("Open answers %v, want the error of the device", err)
	}
	r, err := Inspect(bad)
	if err != nil || len(r.Damage) == 0 || r.Damage[0].File != f.file {
		t.Errorf("inspect: %+v, %v", r, err)
	}
}

// TestRepairOfAnyDamageLeavesASoundStore: several kinds of damage at once, in any
// file. The store opens, gives out nothing that was not written, and takes more.
func TestRepairOfAnyDamageLeavesASoundStore(t *testing.T) {
	repaired, refused := 0, 0
	for seed := range uint64(*flips) {
		h := record(t, seed%7, append(busy(), "marker")...)
		rng := rand.New(rand.NewPCG(seed, 9))
		mem := wreck(t, h.mem, rng)
		r, err := Repair(mem, RepairOptions{AcceptLoss: true})
		if errors.Is(err, ErrDamaged) && r != nil && r.Quarantine == "" {
			refused++ // no checkpoint is left
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		repaired++
		if err := h.sound(mem); err != nil {
			t.Errorf("seed %d: %v\n%v", seed, err, strings.Join(r.Actions, "\n"))
		}
	}
	t.Logf("%d repaired, %d without a checkpoint", repaired, refused)
	if repaired < refused {
		t.Errorf("%d repaired, %d refused", repaired, refused)
	}
}

// wreck damages up to four places: flipped or random bytes, removed files, files
// cut short.
func wreck(t *testing.T, mem *vfs.Mem, rng *rand.Rand) *vfs.Mem {
	t.Helper()
	mem = mem.Kill()
	for range 1 + rng.IntN(4) {
		names := slices.DeleteFunc(mem.Names(), func(n string) bool { return n == lockName })
		name := names[rng.IntN(len(names))]
		size := int64(len(mem.Bytes(name)))
		switch n := rng.IntN(10); {
		case n == 0:
			must(t, mem.Remove(name))
		case n == 1 && size > 0:
			mem = change(t, mem, name, func(f vfs.File) error { return f.Truncate(rng.Int64N(size)) })
		case size > 0:
			at := rng.Int64N(size)
			bad := make([]byte, min(size-at, 1+rng.Int64N(2000)))
			for i := range bad {
				bad[i] = byte(rng.Uint32())
			}
			must(t, mem.Corrupt(name, at, bad))
		}
	}
	return mem
}

// sound opens a repaired store and uses it.
func (h *history) sound(mem *vfs.Mem) error {
	for range 2 {
		s, err := Open(mem, h.cfg)
		if err != nil {
			return err
		}
		last := h.models[len(h.models)-1]
		for _, l := range s.durableLogs() {
			if want := last.logs[l.id]; want != nil {
				if err := want.someOf(l); err != nil {
					return fmt.Errorf("log %d: %w", l.id, err)
				}
			}
		}
		if _, err := readAll(s); err != nil {
			return err
		}
		var b Batch
		b.Append(s.NewLog(&b, LogOptions{}), Entry{Count: 1, Bytes: []byte("new")})
		if _, err = s.Submit(&b); err == nil {
			err = s.commitAll()
		}
		if err = errors.Join(err, s.Close()); err != nil {
			return err
		}
	}
	return nil
}
