package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// flipped is a store with one bit flipped in each segment file, and where.
func flipped(t *testing.T, seed uint64) (h *history, at map[string]int64) {
	h = record(t, seed, append(busy(), "checkpoint", "marker")...)
	at = map[string]int64{}
	rng := rand.New(rand.NewPCG(seed, 3))
	s, err := Open(h.mem, h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.durableLogs() {
		for _, g := range l.segmentsNow() {
			if l.start.Load() <= int64(g.base) {
				at[g.name] = g.begin + rng.Int64N(g.length-g.begin)
			}
		}
	}
	must(t, s.Close())
	for name, pos := range at {
		must(t, h.mem.Corrupt(name, pos, []byte{h.mem.Bytes(name)[pos] ^ 4}))
	}
	return h, at
}

// TestScrubFindsEveryFlippedBit: each is reported, with the bytes and the offsets
// that cannot be read, and nothing else.
func TestScrubFindsEveryFlippedBit(t *testing.T) {
	for seed := range uint64(6) {
		h, at := flipped(t, seed)
		s, err := Open(h.mem, h.cfg)
		if err != nil {
			t.Fatal(err)
		}
		found, err := s.Scrub(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range found {
			pos, ok := at[d.File]
			if !ok || pos < d.Pos || pos >= d.Pos+d.Len {
				t.Errorf("seed %d: reported %v of %d bytes, the flip is at %d", seed, d, d.Len, pos)
			}
			delete(at, d.File)
			unreadable(t, s.Log(d.Log), d)
		}
		if len(at) > 0 {
			t.Errorf("seed %d: not found: %v", seed, at)
		}
		must(t, s.Close())
	}
}

// unreadable checks that the offsets of a damage answer it, and no others.
func unreadable(t *testing.T, l *Log, d *Damage) {
	t.Helper()
	var buf Buffer
	defer buf.Release()
	got := new(Damage)
	if err := l.Read(&buf, d.From, 1); !errors.As(err, &got) || got.File != d.File {
		t.Errorf("read %d of log %d: %v, want %v", d.From, l.id, err, d)
	}
	if _, end, _ := l.Bounds(); d.To < end {
		err := l.Read(&buf, d.To, 1)
		if errors.As(err, &got) && got.File == d.File && got.From == d.To {
			t.Errorf("read %d of log %d, behind the damage: %v", d.To, l.id, err)
		}
	}
}

func TestScrubFindsNothingInASoundStore(t *testing.T) {
	for seed := range uint64(10) {
		h := record(t, seed, append(busy(), "marker")...)
		s, err := Open(h.mem, h.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := s.Scrub(context.Background()); err != nil || len(found) > 0 {
			t.Errorf("seed %d: %v, %v", seed, found, err)
		}
		s.closeFiles()
	}
}

// TestScrubReadsAtItsRate, and stops when it is told to.
func TestScrubReadsAtItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(vfs.NewMem(), Config{ScrubBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		l := makeLogs(t, s, 1)[0]
		var b Batch
		for range 10 {
			b.Append(l, Entry{Count: 1, Bytes: make([]byte, 1<<20)})
		}
		commit(t, s, &b)
		start := time.Now()
		if _, err := s.Scrub(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 9*time.Second || took > 15*time.Second {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if _, err := s.Scrub(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: got %v", err)
		}
		closed := make(chan error)
		go func() {
			_, err := s.Scrub(context.Background())
			closed <- err
		}()
		time.Sleep(time.Second)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-closed; !errors.Is(err, ErrClosed) {
			t.Errorf("closed: got %v", err)
		}
	})
}

// TestScrubFindsEntriesInTheWrongPlace: an intact entry that is not the one that
// belongs there, as a misdirected write leaves it.
func TestScrubFindsEntriesInTheWrongPlace(t *testing.T) {
	s, _, mem := openFaulty(t, Config{manual: true})
	defer s.closeFiles()
	l := makeLogsManual(t, s, 1)[0]
	var b Batch
	for i := range 10 {
		b.Append(l, Entry{Count: 1, Bytes: bytes.Repeat([]byte{byte(i)}, 100)})
	}
	submit(t, s, &b)
	must(t, s.commitAll(), s.flushAll())
	name := segmentName(false, l.id, 0)
	const size = entryHeader + 100
	second := mem.Bytes(name)[segmentHeader+size : segmentHeader+2*size]
	must(t, mem.Corrupt(name, segmentHeader+5*size, second))
	found, err := s.Scrub(context.Background())
	want := []*Damage{{File: name, Pos: segmentHeader + 5*size, Len: size, Log: l.id, From: 5, To: 6,
		Why: "an entry of the offsets 1 to 2 where it does not belong"}}
	if err != nil || fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("got %v, %v\nwant %v", found, err, want)
	}
}

// badBlock is a file system with blocks that the device cannot read.
type badBlock struct {
	vfs.FS
	name string
	pos  int64
}

type badFile struct {
	vfs.File
	pos int64
}

var errUnreadable = errors.New("input/output error")

func (b badBlock) Open(name string, o vfs.OpenOptions) (vfs.File, error) {
	f, err := b.FS.Open(name, o)
	if err != nil || name != b.name {
		return f, err
	}
	return badFile{f, b.pos}, nil
}

// ReadAt reads up to the bad block, as pread does.
func (f badFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= f.pos || off >= f.pos+blockSize {
		return f.File.ReadAt(p, off)
	}
	n, err := f.File.ReadAt(p[:max(0, f.pos-off)], off)
	if err == nil {
		err = errUnreadable
	}
	return n, err
}

// TestScrubGoesOnBehindAnUnreadableBlock: a device that answers an error for a
// block costs the entries in it.
func TestScrubGoesOnBehindAnUnreadableBlock(t *testing.T) {
	mem := vfs.NewMem()
	s, err := Open(mem, Config{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	l := makeLogsManual(t, s, 1)[0]
	var b Batch
	for range 100 {
		b.Append(l, Entry{Count: 1, Bytes: make([]byte, 956)}) // 1000 with its header
	}
	submit(t, s, &b)
	must(t, s.commitAll(), s.flushAll(), s.Close())
	s, err = Open(badBlock{mem, segmentName(false, l.id, 0), 10 * blockSize}, Config{manual: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeFiles()
	found, err := s.Scrub(context.Background())
	if err != nil || len(found) != 1 || found[0].From != 40 || found[0].To != 45 {
		t.Errorf("got %v, %v; want the offsets 40 to 45", found, err)
	}
	var buf Buffer
	if err := l.Read(&buf, 0, 1); err != nil {
		t.Errorf("read before the block: %v", err)
	}
	if err := s.Log(l.id).Read(&buf, 42, 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("read within the block: %v", err)
	}
}

// TestCheckerAgreesWithReads: whatever is damaged, what the checker calls intact
// can be read, and what it calls damaged cannot.
func TestCheckerAgreesWithReads(t *testing.T) {
	h := record(t, 3, append(busy(), "checkpoint", "marker")...)
	rng := rand.New(rand.NewPCG(11, 11))
	names := slices.DeleteFunc(h.mem.Names(), func(n string) bool { return !strings.HasSuffix(n, ".seg") })
	for range *flips / 2 {
		mem := h.mem.Kill()
		name := names[rng.IntN(len(names))]
		size := int64(len(mem.Bytes(name)))
		at := rng.Int64N(size)
		bad := make([]byte, min(size-at, 1+rng.Int64N(3000)))
		for i := range bad {
			bad[i] = byte(rng.Uint32())
		}
		must(t, mem.Corrupt(name, at, bad))
		s, err := Open(mem, h.cfg)
		if err != nil {
			t.Fatal(err)
		}
		found, err := s.Scrub(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range h.models[h.found(s)].logs {
			if err := want.matches(s.Log(id), found); err != nil {
				t.Errorf("%d bytes at %d of %s: log %d: %v (scrub: %v)", len(bad), at, name, id, err, found)
			}
		}
		s.closeFiles()
	}
}

// matches reads entry by entry: what lies in found must answer damage, all else
// must be right.
func (l *simLog) matches(got *Log, found []*Damage) error {
	var buf Buffer
	defer buf.Release()
	for _, e := range l.entries {
		lost := slices.ContainsFunc(found, func(d *Damage) bool {
			return d.Log == got.id && d.From <= e.base && e.base < d.To
		})
		err := got.Read(&buf, max(e.base, l.start), 1)
		if err == nil {
			_, err = l.match(buf.Entries, max(e.base, l.start))
		}
		if lost != errors.Is(err, ErrDamaged) || !lost && err != nil {
			return fmt.Errorf("offset %d: lost %v, read %w", e.base, lost, err)
		}
	}
	return nil
}
