package storage

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// disk is the content of every file but LOCK, which names its last holder.
func disk(mem *vfs.Mem) map[string]string {
	files := map[string]string{}
	for _, name := range mem.Names() {
		if name != lockName {
			files[name] = string(mem.Bytes(name))
		}
	}
	return files
}

func TestSecondOpenSaysWhoHoldsTheData(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS(t.TempDir())} {
		s, err := Open(fs, Config{Owner: "tidings serve, process 4121"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(fs, Config{Owner: "tidings dev, process 4122"})
		if !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "tidings serve, process 4121") {
			t.Errorf("%s: got %v, want %v naming process 4121", name, err, vfs.ErrLocked)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(fs, Config{})
		if err != nil {
			t.Fatalf("%s: after Close: %v", name, err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// newer gives the files of a store versions that this program does not know.
var newer = map[string]func(t *testing.T, mem *vfs.Mem) *vfs.Mem{
	"CURRENT": func(t *testing.T, mem *vfs.Mem) *vfs.Mem {
		return change(t, mem, currentName, func(f vfs.File) error {
			return overwrite(f, 0, fmt.Appendf(nil, currentText, formatVersion+1, 1))
		})
	},
	"journal": func(t *testing.T, mem *vfs.Mem) *vfs.Mem {
		frames := framesOf(t, mem)
		return change(t, mem, frames[len(frames)-1].file, func(f vfs.File) error {
			return newerHead(f, formatVersion+1)
		})
	},
}

func newerHead(f vfs.File, version uint32) error {
	p := make([]byte, 64)
	if _, err := f.ReadAt(p, 0); err != nil {
		return err
	}
	le.PutUint32(p[4:], version)
	le.PutUint32(p[60:], checksum(p[:60]))
	return overwrite(f, 0, p)
}

func TestNewerFormatIsRefusedAndNothingChanged(t *testing.T) {
	h := record(t, 1, busy()...)
	for name, upgrade := range newer {
		mem := upgrade(t, h.mem)
		before := disk(mem)
		s, err := Open(mem, h.cfg)
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, want %v", name, err, ErrFormat)
		}
		if err == nil {
			s.closeFiles()
		}
		if !maps.Equal(disk(mem), before) {
			t.Errorf("%s: Open changed the files of a newer version", name)
		}
	}
}

func TestNewerSegmentIsRefused(t *testing.T) {
	h := record(t, 1, busy()...)
	for _, name := range h.mem.Names() {
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		mem := change(t, h.mem, name, func(f vfs.File) error { return newerHead(f, formatVersion+1) })
		before := mem.Bytes(name)
		s, err := Open(mem, h.cfg)
		if err == nil {
			_, err = readAll(s)
			s.closeFiles()
		}
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, want %v", name, err, ErrFormat)
		}
		if string(mem.Bytes(name)) != string(before) {
			t.Errorf("%s of a newer version was changed", name)
		}
	}
}

// readAll reads every entry of every log and returns the first error.
func readAll(s *Store) (entries int, err error) {
	var buf Buffer
	defer buf.Release()
	for _, l := range s.durableLogs() {
		off, end, _ := l.Bounds()
		for off < end {
			if err := l.Read(&buf, off, 1<<20); err != nil {
				return entries, fmt.Errorf("log %d at %d: %w", l.id, off, err)
			}
			for _, v := range buf.Entries {
				off, entries = v.Base+Offset(v.Count), entries+1
			}
			if len(buf.Entries) == 0 {
				break
			}
		}
	}
	return entries, nil
}

// TestRestartsLeaveNoJournalFilesBehind: a store that is opened and closed all
// day must not grow by a journal file each time.
func TestRestartsLeaveNoJournalFilesBehind(t *testing.T) {
	mem := vfs.NewMem()
	s := newScript(1, func(vfs.FS) vfs.FS { return mem })
	if err := s.do("open"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := s.do("batch", "commit", "close", "open"); err != nil {
			t.Fatal(err)
		}
	}
	names, err := mem.List(journalDir)
	if err != nil || len(names) > 3 {
		t.Errorf("20 restarts left %d journal files: %v, %v", len(names), names, err)
	}
}

// TestTimeDoesNotGoBackAcrossRestarts: frames carry the wall clock, which an
// operator may set back.
func TestTimeDoesNotGoBackAcrossRestarts(t *testing.T) {
	clock := time.UnixMilli(9_000_000)
	s := newScript(1, nil)
	s.cfg.Now = func() time.Time { return clock }
	if err := s.do("open", "batch", "commit", "checkpoint"); err != nil {
		t.Fatal(err)
	}
	s.mem = s.mem.Kill()
	clock = time.UnixMilli(1_000_000)
	if err := s.do("open", "batch", "commit"); err != nil {
		t.Fatal(err)
	}
	frames := framesOf(t, s.mem)
	if got := frames[len(frames)-1].time; got != 9_000_000 {
		t.Errorf("a frame after the restart has time %d, want 9000000", got)
	}
}
