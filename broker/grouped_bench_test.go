package broker

import (
	"testing"
	"time"
)

// BenchmarkReceive10FromGroups beside a queue without: one receiver that discards what it has
// taken, of records that were just published, and of those that a restart left to be sorted.
func BenchmarkReceive10FromGroups(b *testing.B) {
	for _, c := range []struct {
		name   string
		groups Groups
		reopen bool
	}{
		{"none", NoGroups, false}, {"fair", FairGroups, false}, {"ordered", OrderedGroups, false},
		{"none/reopened", NoGroups, true}, {"fair/reopened", FairGroups, true}, {"ordered/reopened", OrderedGroups, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			br, q := openGroups(b, dir, c.groups)
			fillGroups(b, br, b.N, 1000)
			if c.reopen {
				if err := br.Close(); err != nil {
					b.Fatal(err)
				}
				br, q = openGroups(b, dir, c.groups)
			}
			b.ReportAllocs()
			b.ResetTimer()
			receiveAll(b, q, b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			if err := br.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func openGroups(b *testing.B, dir string, groups Groups) (*Broker, *Queue) {
	b.Helper()
	br, err := Open(dir, Config{})
	if err != nil {
		b.Fatal(err)
	}
	q, _, err := br.DeclareQueue(ctx, QueueSpec{Name: "jobs", Durable: true, Settings: QueueSettings{Groups: groups}})
	if err != nil {
		b.Fatal(err)
	}
	return br, q
}

// receiveAll takes ten at a time, and waits for the last discard.
func receiveAll(b *testing.B, q *Queue, n int) {
	var last Confirm
	for n > 0 {
		ds, err := q.Receive(ctx, ReceiveOptions{Max: 10, Lease: time.Minute})
		if err != nil || len(ds) == 0 {
			b.Fatalf("%d are left, %v", n, err)
		}
		n -= len(ds)
		tx := q.b.Begin()
		for i := range ds {
			tx.Discard(q, ds[i].ID)
		}
		if last, err = tx.Commit(ctx); err != nil {
			b.Fatal(err)
		}
		tx.Release()
	}
	if err := last.Wait(ctx); err != nil {
		b.Fatal(err)
	}
}
