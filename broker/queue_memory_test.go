package broker

import (
	"fmt"
	"os"
	"runtime"
	"testing"
)

// heapNow is the bytes that live after a collection.
func heapNow() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools let go in the first goes in the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// waitingRecords is how many records wait in TestRecordsThatWaitTakeNoMemory;
// TIDINGS_QUEUE_RECORDS plays with others, a million takes some seconds.
const waitingRecords = 100_000

// TestRecordsThatWaitTakeNoMemory: a waiting record is bytes on the disk and nothing
// more, also after a restart.
func TestRecordsThatWaitTakeNoMemory(t *testing.T) {
	n := waitingRecords
	if v := os.Getenv("TIDINGS_QUEUE_RECORDS"); v != "" {
		if _, err := fmt.Sscan(v, &n); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	b, q := openQueueDir(t, dir)
	before := heapNow()
	fillQueue(t, b, n)
	if err := b.store.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	grown := heapNow() - before
	if ready := q.Stats().Ready; ready != int64(n) {
		t.Fatalf("%d are ready", ready)
	}
	t.Logf("%d records: %d bytes of heap more, %.2f each", n, grown, float64(grown)/float64(n))
	if grown > 6<<20 {
		t.Errorf("%d records that wait take %d bytes of memory", n, grown)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, _ = openQueueDir(t, dir)
	if after := heapNow() - before; after > 6<<20 {
		t.Errorf("after a restart they take %d bytes", after)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func openQueueDir(t *testing.T, dir string) (*Broker, *Queue) {
	b, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: "jobs", Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	return b, q
}

func fillQueue(t *testing.T, b *Broker, n int) {
	x, err := b.Exchange("", "")
	if err != nil {
		t.Fatal(err)
	}
	var last Confirm
	for i := 0; i < n; {
		tx := b.Begin()
		for end := min(i+1000, n); i < end; i++ {
			tx.Publish(x, QueueRecord{Key: "jobs", Body: make([]byte, 100)})
		}
		if last, err = tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := last.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestIdleQueueIsSmallAndHasNoGoroutine: it takes at most 2.25 KiB, the race detector included.
func TestIdleQueueIsSmallAndHasNoGoroutine(t *testing.T) {
	const n, most = 2000, 9 << 8
	for name, durable := range map[string]bool{"durable": true, "in memory": false} {
		b, _ := openQueueDir(t, t.TempDir())
		var queues []*Queue
		declare := func(from, to int) {
			for i := from; i < to; i++ {
				spec := QueueSpec{Name: fmt.Sprint("idle", i), Durable: durable}
				q, _, err := b.DeclareQueue(ctx, spec)
				if err != nil {
					t.Fatal(err)
				}
				queues = append(queues, q)
			}
		}
		declare(0, 10)
		before, routines := heapNow(), runtime.NumGoroutine()
		declare(10, 10+n)
		each := (heapNow() - before) / n
		t.Logf("%s: %d bytes each", name, each)
		if each > most {
			t.Errorf("%s: an idle queue takes %d bytes, want at most %d", name, each, most)
		}
		if more := runtime.NumGoroutine() - routines; more > 2 { // of a checkpoint, say
			t.Errorf("%s: %d goroutines for %d queues", name, more, n)
		}
		runtime.KeepAlive(queues)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
