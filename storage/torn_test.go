package storage

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

var tornEvery = flag.Int("torn.every", 13, "tear the journal at every n-th byte of the last two frames")

// frameAt is a frame found in a journal file.
type frameAt struct {
	file string
	pos  int64
	frameInfo
}

func (f *frameAt) end() int64 { return f.pos + int64(f.total()) }

// framesOf lists the valid frames of the journal's current uses, by sequence.
func framesOf(t testing.TB, mem *vfs.Mem) (found []frameAt) {
	t.Helper()
	for _, name := range mem.Names() {
		if !strings.HasPrefix(name, journalDir+"/") {
			continue
		}
		p := mem.Bytes(name)
		head, ok, err := parseJournalHead(p)
		if err != nil {
			t.Fatal(err)
		}
		for at := blockSize; ok && at < len(p); at += blockSize {
			f, good := parseFrame(p[at:])
			if good && f.epoch == head.epoch {
				found = append(found, frameAt{name, int64(at), f})
			}
		}
	}
	slices.SortFunc(found, func(a, b frameAt) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.epoch, b.epoch))
	})
	return found
}

// change applies a change to one file of a copy of the file system.
func change(t testing.TB, mem *vfs.Mem, name string, f func(vfs.File) error) *vfs.Mem {
	t.Helper()
	c := mem.Kill()
	file, err := c.Open(name, vfs.OpenOptions{Write: true})
	if err == nil {
		err = errors.Join(f(file), file.Sync(), file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tears are the ways in which a journal can end in the middle of a write.
var tears = map[string]func(f vfs.File, at, end int64) error{
	"truncated": func(f vfs.File, at, _ int64) error { return f.Truncate(at) },
	"zeros":     func(f vfs.File, at, end int64) error { return overwrite(f, at, make([]byte, end-at)) },
	"garbage": func(f vfs.File, at, end int64) error {
		p := make([]byte, end-at)
		rng := rand.New(rand.NewPCG(uint64(at), 1))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		return overwrite(f, at, p)
	},
}

func overwrite(f vfs.File, at int64, p []byte) error {
	_, err := f.WriteAt(p, at)
	return err
}

// TestTornTailLosesOnlyTheTornFrames tears the journal at every byte of its
// last two frames: what comes before must be there, and the store goes on.
func TestTornTailLosesOnlyTheTornFrames(t *testing.T) {
	h := record(t, 4, slices.Concat([]string{"batch", "commit", "carry"}, times(6, "batch", "commit"))...)
	frames := framesOf(t, h.mem)
	last := frames[len(frames)-2:]
	if last[0].file != last[1].file || last[0].kind != frameData || last[1].kind != frameData {
		t.Fatalf("the last two frames are %+v", last)
	}
	for how, tear := range tears {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			for _, f := range last {
				for at := f.pos; at < f.end(); at += int64(*tornEvery) {
					torn := *h
					torn.acked = f.seq - 1
					torn.mem = change(t, h.mem, f.file, func(file vfs.File) error {
						return tear(file, at, last[1].end())
					})
					if err := torn.goesOn(torn.mem); err != nil {
						t.Fatalf("torn at byte %d of frame %d: %v", at-f.pos, f.seq, err)
					}
				}
			}
		})
	}
}

// goesOn is reopen with one more batch, which the next start must find.
func (h *history) goesOn(mem *vfs.Mem) error {
	s, err := Open(mem, h.cfg)
	if err != nil {
		return err
	}
	defer s.closeFiles()
	if err := h.verify(s); err != nil {
		return err
	}
	return h.addsOne(s, mem)
}

func (h *history) addsOne(s *Store, mem *vfs.Mem) error {
	k := h.found(s)
	var b Batch
	b.Put([]byte("after"), []byte("the crash"))
	if _, err := s.Submit(&b); err != nil {
		return err
	}
	if err := s.commitAll(); err != nil {
		return err
	}
	again, err := Open(mem.Kill(), h.cfg)
	if err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	defer again.closeFiles()
	want := h.models[k].clone()
	want.keys["after"] = "the crash"
	return want.compare(again)
}

// TestTornTailNoticesForgedFrames is the sabotage: where a torn frame carries
// a checksum that fits, the comparison must notice.
func TestTornTailNoticesForgedFrames(t *testing.T) {
	h := record(t, 4, times(6, "batch", "commit")...)
	frames := framesOf(t, h.mem)
	f := frames[len(frames)-1]
	mem := forge(t, h.mem, f)
	if err := h.reopen(mem); err == nil {
		t.Error("the last frame holds another key than was committed, and nobody noticed")
	}
}

// forge changes one byte of a frame's first key and makes the checksum fit.
func forge(t *testing.T, mem *vfs.Mem, f frameAt) *vfs.Mem {
	return change(t, mem, f.file, func(file vfs.File) error {
		p := mem.Bytes(f.file)[f.pos:f.end()]
		p[frameHeader+opHead] ^= 1
		putFrame(p, &f.frameInfo)
		return overwrite(file, f.pos, p)
	})
}

// TestShortJournalFileIsReplaced: a journal file that lost its end is too small
// to be used again. Found as a store that stalled for ever.
func TestShortJournalFileIsReplaced(t *testing.T) {
	h := record(t, 4, times(2, "batch", "commit")...)
	frames := framesOf(t, h.mem)
	f := frames[len(frames)-1]
	mem := change(t, h.mem, f.file, func(file vfs.File) error { return file.Truncate(f.pos + 100) })
	s, err := Open(mem, h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeFiles()
	for i := range 200 {
		var b Batch
		b.Put([]byte("k"), make([]byte, 4000))
		if _, err := s.Submit(&b); err != nil {
			t.Fatal(err)
		}
		if err := s.commitAll(); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
}

// TestLogNamesTheTornFrame: what was left out is not left out without a word.
func TestLogNamesTheTornFrame(t *testing.T) {
	h := record(t, 4, times(4, "batch", "commit")...)
	frames := framesOf(t, h.mem)
	last := frames[len(frames)-1]
	mem := change(t, h.mem, last.file, func(f vfs.File) error {
		_, err := f.WriteAt([]byte("torn"), last.pos+frameHeader)
		return err
	})
	var said bytes.Buffer
	cfg := h.cfg
	cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	s, err := Open(mem, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.closeFiles()
	if want := fmt.Sprintf("file=%s position=%d", last.file, last.pos); !strings.Contains(said.String(), want) {
		t.Errorf("the log says %q, want %q in it", said.String(), want)
	}
}
