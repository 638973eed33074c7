package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// aged is a log of n entries of 1,000 bytes, two to a segment, the i-th at time 10*i.
func aged(t *testing.T, s *Store, n int) *Log {
	t.Helper()
	l := makeLogsManual(t, s, 1)[0]
	var b Batch
	for i := range n {
		b.Append(l, Entry{Count: 1, Time: int64(10 * i), Bytes: make([]byte, 1000)})
		submit(t, s, &b)
		must(t, s.commitAll(), s.flushAll())
	}
	return l
}

// twoPerSegment makes segments of 4 KiB, of which aged fills half: the third
// entry does not fit.
var twoPerSegment = Config{manual: true, SegmentBytes: 4 << 10}

func TestExpiredByTimeNamesWholeSegments(t *testing.T) {
	s, _, _ := openFaulty(t, twoPerSegment)
	defer s.closeFiles()
	l := aged(t, s, 10)
	per := int(l.segs[0].end)
	for before := int64(0); before <= 110; before += 5 {
		want := Offset(0)
		for want < 10 {
			end := min(want+Offset(per), 10)
			if 10*int64(end-1) >= before {
				break
			}
			want = end
		}
		if got := l.Expired(before, -1); got != want {
			t.Errorf("expired before %d: %d, want %d (%d entries a segment)", before, got, want, per)
		}
	}
	if got := l.Expired(-1, -1); got != 0 {
		t.Errorf("without limits: %d", got)
	}
}

func TestExpiredBySizeKeepsAtLeastThat(t *testing.T) {
	s, _, _ := openFaulty(t, twoPerSegment)
	defer s.closeFiles()
	l := aged(t, s, 10)
	size := l.SizeBytes()
	if size != 10*(1000+entryHeader) {
		t.Fatalf("%d bytes", size)
	}
	for keep := int64(0); keep <= size+1000; keep += 300 {
		to := l.Expired(-1, keep)
		left := (10 - int64(to)) * (1000 + entryHeader)
		per := int64(l.segs[0].end) * (1000 + entryHeader)
		if left < min(keep, size) || left-per >= keep && to < 10 && left > per {
			t.Errorf("keep %d: from %d on %d bytes are left, a segment has %d", keep, to, left, per)
		}
	}
}

// TestExpiredSeesTheTail: records that are in no segment yet count like others.
func TestExpiredSeesTheTail(t *testing.T) {
	s, _, _ := openFaulty(t, twoPerSegment)
	defer s.closeFiles()
	l := aged(t, s, 4)
	var b Batch
	b.Append(l, Entry{Count: 1, Time: 500, Bytes: []byte("new")})
	submit(t, s, &b)
	must(t, s.commitAll())
	if got := fmt.Sprint(l.Expired(100, -1), l.Expired(600, -1)); got != "4 5" {
		t.Errorf("expired before 100 and 600: %s, want 4 5", got)
	}
}

// segmentFiles counts the files of segments and their indexes.
func segmentFiles(mem *vfs.Mem) (n int) {
	for _, name := range mem.Names() {
		if strings.HasPrefix(name, segmentDir+"/") {
			n++
		}
	}
	return n
}

// TestTrimmedAndDroppedFilesGoWithTheNextCheckpoint, not before: until then the
// manifest names them.
func TestTrimmedAndDroppedFilesGoWithTheNextCheckpoint(t *testing.T) {
	for _, how := range []string{"trim", "drop"} {
		s, _, mem := openFaulty(t, twoPerSegment)
		l := aged(t, s, 12)
		must(t, s.checkpoint(false))
		before := segmentFiles(mem)
		var b Batch
		if how == "trim" {
			b.Trim(l, 11)
		} else {
			b.Drop(l)
		}
		submit(t, s, &b)
		must(t, s.commitAll())
		if n := segmentFiles(mem); n != before {
			t.Errorf("%s: %d files before the checkpoint, want %d", how, n, before)
		}
		must(t, s.checkpoint(false))
		if n, most := segmentFiles(mem), map[string]int{"trim": 2, "drop": 0}[how]; n > most {
			t.Errorf("%s: %d of %d files are left after the checkpoint", how, n, before)
		}
		must(t, s.Close())
		again, err := Open(mem, twoPerSegment)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Log(l.id); how == "drop" && got != nil {
			t.Error("the dropped log is back")
		} else if how == "trim" {
			if start, _, end := got.Bounds(); start != 11 || end != 12 {
				t.Errorf("trimmed: %d to %d, want 11 to 12", start, end)
			}
		}
		again.closeFiles()
	}
}

// TestReadersInFlightSurviveTrimsAndDrops: they get what they asked for, or that
// it is out of range or dropped, and nothing else.
func TestReadersInFlightSurviveTrimsAndDrops(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS(t.TempDir())} {
		s, err := Open(fs, Config{SegmentBytes: 8 << 10, TailBytes: 64 << 10, JournalBytes: 256 << 10,
			CarryBytes: 1 << 10, OpenFiles: 3})
		if err != nil {
			t.Fatal(err)
		}
		l := makeLogs(t, s, 1)[0]
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() { readUntil(t, l, stop) })
		}
		var b Batch
		for i := range 300 {
			b.Append(l, Entry{Count: 1, Time: int64(i), Bytes: fmt.Appendf(nil, "%01000d", i)})
			if _, durable, _ := l.Bounds(); i%10 == 9 {
				b.Trim(l, durable-5)
			}
			commit(t, s, &b)
			if i%25 == 24 {
				must(t, s.Checkpoint(context.Background()))
			}
		}
		b.Drop(l)
		commit(t, s, &b)
		must(t, s.Checkpoint(context.Background()))
		close(stop)
		readers.Wait()
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func readUntil(t *testing.T, l *Log, stop chan struct{}) {
	var buf Buffer
	defer buf.Release()
	for {
		select {
		case <-stop:
			return
		default:
		}
		start, durable, _ := l.Bounds()
		for off := start; off < durable; {
			err := l.Read(&buf, off, 3000)
			if errors.Is(err, ErrOutOfRange) || errors.Is(err, ErrDropped) {
				break
			}
			if err != nil || len(buf.Entries) == 0 {
				t.Errorf("read %d: %d entries, %v", off, len(buf.Entries), err)
				return
			}
			for _, v := range buf.Entries {
				if want := fmt.Sprintf("%01000d", v.Base); string(v.Bytes) != want {
					t.Errorf("offset %d holds %.20q", v.Base, v.Bytes)
				}
				off = v.Base + 1
			}
		}
		if _, _, err := l.Find(int64(durable)); err != nil && !errors.Is(err, ErrDropped) {
			t.Errorf("find: %v", err)
		}
	}
}
