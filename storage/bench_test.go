package storage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// BenchmarkAppend appends records of 1 KiB on a real disk; every operation is
// durable before it counts. Each producer keeps a window of records in flight.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ logs, producers, window int }{
		{1, 1, 1000}, {1, 64, 1}, {16, 64, 16}, {2000, 64, 1}, {2000, 64, 16},
	} {
		b.Run(fmt.Sprintf("logs=%d/producers=%d/window=%d", c.logs, c.producers, c.window),
			func(b *testing.B) { benchAppend(b, c.logs, c.producers, c.window) })
	}
}

func benchAppend(b *testing.B, logs, producers, window int) {
	s, err := Open(vfs.OS(b.TempDir()), Config{})
	if err != nil {
		b.Fatal(err)
	}
	ls := makeLogs(b, s, logs)
	times := make([][]time.Duration, producers)
	b.SetBytes(1024)
	b.ResetTimer()
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() { times[p] = produce(b, s, ls, p, b.N/producers+1, window) })
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Sorted(func(yield func(time.Duration) bool) {
		for _, t := range times {
			for _, d := range t {
				if !yield(d) {
					return
				}
			}
		}
	})
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "rec/s")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func makeLogs(tb testing.TB, s *Store, n int) []*Log {
	ls := make([]*Log, n)
	var b Batch
	for i := range ls {
		ls[i] = s.NewLog(&b, LogOptions{})
	}
	commit(tb, s, &b)
	return ls
}

// commit submits a batch and waits until it is durable.
func commit(tb testing.TB, s *Store, b *Batch) Seq {
	tb.Helper()
	q, err := s.Submit(b)
	if err == nil {
		err = s.Await(context.Background(), q)
	}
	if err != nil {
		tb.Fatal(err)
	}
	b.Reset()
	return q
}

func produce(b *testing.B, s *Store, ls []*Log, id, n, window int) []time.Duration {
	type flight struct {
		seq Seq
		at  time.Time
	}
	var batch Batch
	record := make([]byte, 1024)
	var inFlight []flight
	var took []time.Duration
	ch := make(chan struct{}, 1)
	land := func(need int) {
		for len(inFlight) > need {
			f := inFlight[0]
			if s.Durable() < f.seq {
				s.Notify(ch, f.seq)
				<-ch
				continue
			}
			took = append(took, time.Since(f.at))
			inFlight = inFlight[1:]
		}
	}
	for i := range n {
		land(window - 1)
		if err := s.Admit(context.Background(), len(record)); err != nil {
			b.Error(err)
			return took
		}
		batch.Append(ls[(id+i*7)%len(ls)], Entry{Count: 1, Time: int64(i), Bytes: record})
		q, err := s.Submit(&batch)
		if err != nil {
			b.Error(err)
			return took
		}
		batch.Reset()
		inFlight = append(inFlight, flight{q, time.Now()})
	}
	land(0)
	return took
}
