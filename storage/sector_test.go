package storage

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

var flips = flag.Int("flips", 60, "bits to flip in each file, one at a time")

const sectorBytes = 512

// past is what the journal files held at earlier moments of a run, latest last.
type past []map[string]string

// recordPast is record that also keeps what the journal held before each third
// word: the content of stale sectors.
func recordPast(t testing.TB, seed uint64, words ...string) (h *history, p past) {
	t.Helper()
	s := newScript(seed, nil)
	for i, w := range append([]string{"open"}, words...) {
		if i%3 == 0 {
			p = append(p, disk(s.mem))
		}
		if err := s.do(w); err != nil {
			t.Fatal(err)
		}
	}
	h = s.history()
	h.mem = h.mem.Kill()
	return h, p
}

// stale is the last content of a sector that differs from what it holds now.
func (p past) stale(name string, at int, now []byte) []byte {
	for _, files := range slices.Backward(p) {
		old := files[name]
		if at+len(now) <= len(old) && old[at:at+len(now)] != string(now) {
			return []byte(old[at : at+len(now)])
		}
	}
	return nil
}

// spoil are the contents that a damaged sector may have instead of its own.
func (p past) spoil(name string, at int, now []byte) map[string][]byte {
	random := make([]byte, len(now))
	rng := rand.New(rand.NewPCG(uint64(at), 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	return map[string][]byte{
		"zeroed": make([]byte, len(now)), "random": random, "stale": p.stale(name, at, now),
	}
}

// TestDamagedJournalSectorIsNeverSilentLoss damages every sector of the journal,
// one at a time: nothing acknowledged may be missing unless Open says where.
func TestDamagedJournalSectorIsNeverSilentLoss(t *testing.T) {
	for seed := range uint64(2) {
		h, p := recordPast(t, seed, append(busy(), "marker")...)
		for _, name := range journalFiles(h.mem) {
			t.Run(fmt.Sprint(seed, name), func(t *testing.T) {
				t.Parallel()
				damaged := h.eachSector(t, p, name)
				t.Logf("%d of the damaged sectors were reported", damaged)
			})
		}
	}
}

func journalFiles(mem *vfs.Mem) (names []string) {
	for _, name := range mem.Names() {
		if strings.HasPrefix(name, journalDir+"/") {
			names = append(names, name)
		}
	}
	return names
}

func (h *history) eachSector(t *testing.T, p past, name string) (reported int) {
	content := h.mem.Bytes(name)
	for at := 0; at < len(content); at += sectorBytes {
		now := content[at:min(at+sectorBytes, len(content))]
		for how, bad := range p.spoil(name, at, now) {
			if bad == nil || bytes.Equal(bad, now) {
				continue
			}
			mem := h.mem.Kill()
			if err := mem.Corrupt(name, int64(at), bad); err != nil {
				t.Fatal(err)
			}
			err := h.reopen(mem)
			if errors.Is(err, ErrDamaged) {
				reported++
			}
			if err := expectDamageAt(err, name, int64(at)); err != nil {
				t.Errorf("sector at %d %s: %v", at, how, err)
			}
		}
	}
	return reported
}

// expectDamageAt accepts no error, or a *Damage that covers a sector.
func expectDamageAt(err error, name string, at int64) error {
	d := new(Damage)
	if err == nil {
		return nil
	}
	if !errors.As(err, &d) {
		return err
	}
	if d.File != name || at+sectorBytes <= d.Pos || d.Len > 0 && d.Pos+d.Len <= at {
		return fmt.Errorf("damage is reported elsewhere: %w (%d bytes)", d, d.Len)
	}
	return nil
}

// TestSectorTestNoticesAClassifierThatIsOff is the sabotage: where no frame says
// what was durable before it, damage looks like a torn tail, and the comparison
// must notice what is lost.
func TestSectorTestNoticesAClassifierThatIsOff(t *testing.T) {
	h := record(t, 1, append(times(4, "batch", "commit"), "marker")...)
	frames := framesOf(t, h.mem)
	mem := h.mem.Kill()
	for _, f := range frames {
		f.durable = 0
		p := bytes.Clone(mem.Bytes(f.file)[f.pos:f.end()])
		putFrame(p, &f.frameInfo)
		if err := mem.Corrupt(f.file, f.pos, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.reopen(mem.Kill()); err != nil {
		t.Fatalf("without damage: %v", err)
	}
	middle := frames[len(frames)/2]
	if err := mem.Corrupt(middle.file, middle.pos, make([]byte, sectorBytes)); err != nil {
		t.Fatal(err)
	}
	err := h.reopen(mem)
	if err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want a comparison that misses acknowledged frames", err)
	}
}

// TestBitFlipsNeverGiveWrongData flips bits of every kind of file: reads answer
// a *Damage or what was written.
func TestBitFlipsNeverGiveWrongData(t *testing.T) {
	h := record(t, 3, append(busy(), "marker")...)
	rng := rand.New(rand.NewPCG(7, 7))
	var opened, refused, partly atomic.Int64
	for _, name := range h.mem.Names() {
		size := int64(len(h.mem.Bytes(name)))
		if name == lockName || size == 0 {
			continue
		}
		for range *flips {
			at, bit := rng.Int64N(size), byte(1)<<rng.IntN(8)
			mem := h.mem.Kill()
			if err := mem.Corrupt(name, at, []byte{mem.Bytes(name)[at] ^ bit}); err != nil {
				t.Fatal(err)
			}
			switch whole, err := h.wrongData(mem); {
			case err != nil && (errors.Is(err, ErrDamaged) || errors.Is(err, ErrFormat)):
				refused.Add(1)
			case err != nil:
				t.Errorf("%s byte %d bit %#x: %v", name, at, bit, err)
			case whole:
				opened.Add(1)
			default:
				partly.Add(1)
			}
		}
	}
	t.Logf("whole %d, refused %d, some reads damaged %d", opened.Load(), refused.Load(), partly.Load())
}

// wrongData opens a store with a flipped bit. Reads may answer a *Damage (whole
// is false then); all they do give out must be what was written.
func (h *history) wrongData(mem *vfs.Mem) (whole bool, err error) {
	s, err := Open(mem, h.cfg)
	if err != nil {
		return false, err
	}
	defer s.closeFiles()
	if err = h.verify(s); err == nil || !errors.Is(err, ErrDamaged) {
		return true, err
	}
	for id, want := range h.models[h.found(s)].logs {
		if err := want.subset(s.Log(id)); err != nil {
			return false, fmt.Errorf("log %d: %w", id, err)
		}
	}
	return false, nil
}

// subset compares what can be read of a log: the entries outside of damage.
func (l *simLog) subset(got *Log) error {
	var buf Buffer
	defer buf.Release()
	for off := l.start; off < l.end; {
		err := got.Read(&buf, off, 3000)
		d := new(Damage)
		if errors.As(err, &d) && d.From <= off && d.To > off {
			off = d.To
			continue
		}
		if err != nil || len(buf.Entries) == 0 {
			return fmt.Errorf("%d entries at %d: %w", len(buf.Entries), off, err)
		}
		if off, err = l.match(buf.Entries, off); err != nil {
			return err
		}
	}
	return nil
}

// match checks entries read from an offset on, and returns the next offset.
func (l *simLog) match(views []View, off Offset) (Offset, error) {
	for _, v := range views {
		i := slices.IndexFunc(l.entries, func(e simEntry) bool { return e.base+Offset(e.count) > off })
		w := l.entries[i]
		if v.Base != w.base || v.Count != w.count || v.Time != w.time || !bytes.Equal(v.Bytes, w.data) {
			return off, fmt.Errorf("entry at %d is %d+%d, want %d+%d", off, v.Base, v.Count, w.base, w.count)
		}
		off = v.Base + Offset(v.Count)
	}
	return off, nil
}

// TestBitFlipTestNoticesWrongData is the sabotage: a flipped bit whose checksums
// were made to fit must be noticed by the comparison.
func TestBitFlipTestNoticesWrongData(t *testing.T) {
	h := record(t, 3, append(busy(), "marker")...)
	for _, name := range h.mem.Names() {
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		p := h.mem.Bytes(name)[segmentHeader:]
		e, ok := parseEntry(p)
		if !ok || e.patch != 0 {
			continue
		}
		p[entryHeader] ^= 1
		le.PutUint32(p[36:], checksum(p[entryHeader:e.total()]))
		le.PutUint32(p[40:], checksum(p[:40]))
		mem := h.mem.Kill()
		if err := mem.Corrupt(name, segmentHeader, p); err != nil {
			t.Fatal(err)
		}
		if _, err := h.wrongData(mem); err != nil && !errors.Is(err, ErrDamaged) {
			return
		}
	}
	t.Error("no segment with a forged entry was noticed")
}
