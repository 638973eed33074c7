package storage

import (
	"fmt"
	"testing"
)

// TestSmallTailMakesNoSegmentFile: a log that gets a record now and then is
// carried forward from journal file to journal file, for as long as it is small.
func TestSmallTailMakesNoSegmentFile(t *testing.T) {
	s, _, mem := openFaulty(t, Config{manual: true, TailBytes: 1 << 20, JournalBytes: 4 << 20, CarryBytes: 4 << 10})
	ls := makeLogsManual(t, s, 3)
	quiet, busy, grows := ls[0], ls[1], ls[2]
	var b Batch
	b.Append(quiet, Entry{Count: 1, Bytes: []byte("once")})
	submit(t, s, &b)
	for i := range 100 {
		for range 5 {
			b.Append(busy, Entry{Count: 1, Bytes: make([]byte, 9000)})
			submit(t, s, &b)
		}
		b.Append(grows, Entry{Count: 1, Bytes: fmt.Appendf(nil, "%0100d", i)})
		submit(t, s, &b)
		must(t, s.commitAll(), s.flushRound(), s.checkpoint(true))
		if i%30 == 29 {
			must(t, s.Close())
			var err error
			if s, err = Open(mem, s.cfg); err != nil {
				t.Fatal(err)
			}
			quiet, busy, grows = s.Log(quiet.id), s.Log(busy.id), s.Log(grows.id)
		}
	}
	defer s.closeFiles()
	if name := segmentName(false, quiet.id, 0); mem.Bytes(name) != nil || len(quiet.segs) > 0 {
		t.Errorf("%s was made for one small record", name)
	}
	if len(grows.segs) != 1 {
		t.Errorf("a log of 100 records of 144 bytes has %d segments, want 1: beyond 4 KiB", len(grows.segs))
	}
	if got := fmt.Sprint(contents(t, quiet, 0), len(contents(t, grows, 0)), len(contents(t, busy, 0))); got != "[once] 100 500" {
		t.Errorf("got %s", got)
	}
}
