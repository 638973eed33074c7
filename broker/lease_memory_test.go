package broker

import (
	"runtime"
	"testing"
	"time"
)

// TestLeaseTakesAtMost100Bytes of memory beside its key on disk, and nothing when it is over.
func TestLeaseTakesAtMost100Bytes(t *testing.T) {
	const n, most = 50_000, 100
	b, err := Open(t.TempDir(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, durable := range map[string]bool{"durable": true, "in memory": false} {
		q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: "jobs", Durable: durable})
		if err != nil {
			t.Fatal(err)
		}
		fillQueue(t, b, n)
		if err := b.store.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		before := heapNow()
		ids := make([]DeliveryID, 0, n)
		for len(ids) < n {
			ds, err := q.Receive(ctx, ReceiveOptions{Max: 256, Lease: time.Hour})
			if err != nil || len(ds) == 0 {
				t.Fatalf("received %d, %v", len(ds), err)
			}
			for i := range ds {
				ids = append(ids, ds[i].ID)
			}
		}
		own := int64(cap(ids)) * 24
		if err := b.store.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		all := (heapNow() - before - own) / n
		q.mu.Lock()
		q.leases, q.lanes[0].received = nil, nil // what stays is of the keys
		q.mu.Unlock()
		keys := (heapNow() - before - own) / n
		t.Logf("%s: a lease takes %d bytes, and its key %d", name, all-keys, keys)
		if all-keys > most {
			t.Errorf("%s: a lease takes %d bytes, want at most %d", name, all-keys, most)
		}
		runtime.KeepAlive(ids)
		if _, err := b.DeleteQueue(ctx, q, DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
