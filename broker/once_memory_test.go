package broker

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// TestALedgerTakesAtMost125Bytes of memory for each record, the room that it grows into
// included, and gives them back when they are old.
func TestALedgerTakesAtMost125Bytes(t *testing.T) {
	const n, most = 500_000, 125
	g := &ledger{time: time.Hour, most: n}
	before := heapNow()
	for i := range n {
		var o Once
		binary.BigEndian.PutUint64(o.Key[:], uint64(i)*0x9E3779B97F4A7C15)
		g.addLocked(new(storage.Batch), &o, Offset(i), int64(1+i))
	}
	grown := (heapNow() - before) / int64(len(g.kept))
	t.Logf("%d entries, %d bytes each", len(g.kept), grown)
	if grown > most {
		t.Errorf("an entry takes %d bytes, want at most %d", grown, most)
	}
	g.ageLocked(n + time.Hour.Milliseconds() - 1000)
	if left := heapNow() - before; left > 1<<20 {
		t.Errorf("when %d are left they take %d bytes", len(g.kept), left)
	}
	runtime.KeepAlive(g)
}
