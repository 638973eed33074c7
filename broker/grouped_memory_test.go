package broker

import (
	"fmt"
	"testing"
)

// TestRecordSortedIntoAGroupTakesAtMost24Bytes of memory while it waits, 8 of them its
// offset, and one of a group of its own at most 320; behind the window it takes nothing.
func TestRecordSortedIntoAGroupTakesAtMost24Bytes(t *testing.T) {
	const n = 100_000
	for _, c := range []struct {
		name         string
		groups, most int
		window       int
	}{
		{"100 groups", 100, 24, 0}, {"one group", 1, 24, 0}, {"each its own", n, 320, 0},
		{"beyond the window", 100, 2, 1000},
	} {
		b, err := Open(t.TempDir(), Config{Limits: Limits{GroupWindow: c.window}})
		if err != nil {
			t.Fatal(err)
		}
		q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: "jobs", Durable: true, Settings: QueueSettings{Groups: OrderedGroups}})
		if err != nil {
			t.Fatal(err)
		}
		fillGroups(t, b, n, c.groups)
		if err := b.store.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		q.mu.Lock()
		q.groupReadyLocked(q.lanes[0])
		sorted := q.lanes[0].groups.waiting
		q.mu.Unlock()
		if want := n; sorted != want && c.window == 0 {
			t.Errorf("%s: %d are sorted, want %d", c.name, sorted, want)
		}
		before := heapNow()
		q.mu.Lock()
		q.lanes[0].groups.drain()
		q.lanes[0].groups = nil
		q.mu.Unlock()
		each := int(before-heapNow()) / n
		t.Logf("%s: %d bytes each", c.name, each)
		if each > c.most {
			t.Errorf("%s: a record that waits takes %d bytes, want at most %d", c.name, each, c.most)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fillGroups publishes records of groups in turn.
func fillGroups(t testing.TB, b *Broker, n, groups int) {
	x, err := b.Exchange("", "")
	if err != nil {
		t.Fatal(err)
	}
	var last Confirm
	for i := 0; i < n; {
		tx := b.Begin()
		for end := min(i+1000, n); i < end; i++ {
			tx.Publish(x, QueueRecord{Key: "jobs", Group: fmt.Sprint("group-", i%groups), Body: make([]byte, 100)})
		}
		if last, err = tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := last.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}
