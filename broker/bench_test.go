package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// openOnDisk opens a broker in a temporary directory, with every append synced.
func openOnDisk(b *testing.B) *Broker {
	b.Helper()
	br, err := Open(b.TempDir(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := br.Close(); err != nil {
			b.Error(err)
		}
	})
	return br
}

func benchTopic(b *testing.B, br *Broker, partitions int) *Topic {
	b.Helper()
	t, err := br.CreateTopic(context.Background(), TopicSpec{Name: "bench", Partitions: partitions})
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func oneKiB(b *testing.B) []byte {
	raw, err := EncodeBatch(nil, None, Record{Value: make([]byte, 1024-batchHeader-10)})
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// BenchmarkAppend1Producer1000InFlight: one goroutine appends batches of one 1 KiB
// record and waits for the oldest confirm when a thousand are open.
func BenchmarkAppend1Producer1000InFlight(b *testing.B) {
	br := openOnDisk(b)
	p := benchTopic(b, br, 1).Partition(0)
	appendWithWindow(b, p, oneKiB(b), nil)
}

// BenchmarkAppendIdempotent is the same with a producer id: every append also
// writes the producer's state.
func BenchmarkAppendIdempotent1Producer1000InFlight(b *testing.B) {
	br := openOnDisk(b)
	p := benchTopic(b, br, 1).Partition(0)
	seq := int32(0)
	appendWithWindow(b, p, oneKiB(b), func(raw []byte) {
		setProducer(raw, 1, 0, seq)
		sealBatch(raw)
		seq++
	})
}

// BenchmarkAppendObserved is the same with an observer that wants the bytes.
func BenchmarkAppendObserved1Producer1000InFlight(b *testing.B) {
	var seen atomic.Int64
	br, err := Open(b.TempDir(), Config{Observer: observerFunc(func(Event) { seen.Add(1) })})
	if err != nil {
		b.Fatal(err)
	}
	appendWithWindow(b, benchTopic(b, br, 1).Partition(0), oneKiB(b), nil)
	if err := br.Close(); err != nil {
		b.Fatal(err)
	}
	if want := int64(b.N) + 1; seen.Load() != want {
		b.Errorf("observed %d events, want %d", seen.Load(), want)
	}
}

func appendWithWindow(b *testing.B, p *Partition, raw []byte, each func([]byte)) {
	const window = 1000
	ctx := context.Background()
	open := make([]Confirm, window)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := open[i%window].Wait(ctx); err != nil {
			b.Fatal(err)
		}
		if each != nil {
			each(raw)
		}
		a, err := p.Append(ctx, raw)
		if err != nil {
			b.Fatal(err)
		}
		open[i%window] = a.Confirm
	}
	for _, c := range open {
		if err := c.Wait(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

// BenchmarkAppend2000Partitions64Producers: 64 goroutines append batches of one
// 1 KiB record to 2,000 partitions in turn, each with so many open confirms. It
// reports the 99th percentile of the time from append to confirm.
func BenchmarkAppend2000Partitions64Producers(b *testing.B) {
	for _, window := range []int{1, 16} {
		b.Run(fmt.Sprintf("%dInFlight", window), func(b *testing.B) {
			appendToMany(b, 64, window)
		})
	}
}

func appendToMany(b *testing.B, producers, window int) {
	br := openOnDisk(b)
	t := benchTopic(b, br, 2000)
	raw := oneKiB(b)
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, producers)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	b.ResetTimer()
	var group sync.WaitGroup
	for n := range producers {
		group.Go(func() {
			w := confirmWindow{open: make([]timed, window)}
			for i := n; left.Add(-1) >= 0; i += producers {
				a, err := t.Partition(i%2000).Append(context.Background(), raw)
				if err == nil {
					err = w.push(a.Confirm)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
			if err := w.drain(); err != nil {
				b.Error(err)
			}
			took[n] = w.took
		})
	}
	group.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

// confirmWindow waits for the oldest confirm before it takes another one.
type confirmWindow struct {
	open []timed
	next int
	took []time.Duration
}

type timed struct {
	Confirm
	since time.Time
}

func (w *confirmWindow) push(c Confirm) error {
	slot := &w.open[w.next]
	w.next = (w.next + 1) % len(w.open)
	if err := w.settle(slot); err != nil {
		return err
	}
	*slot = timed{c, time.Now()}
	return nil
}

func (w *confirmWindow) settle(slot *timed) error {
	if slot.since.IsZero() {
		return nil
	}
	err := slot.Wait(context.Background())
	w.took = append(w.took, time.Since(slot.since))
	slot.since = time.Time{}
	return err
}

func (w *confirmWindow) drain() error {
	for range w.open {
		slot := &w.open[w.next]
		w.next = (w.next + 1) % len(w.open)
		if err := w.settle(slot); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkStreamsAppend appends single events with an expected version to a
// thousand streams, a thousand in flight.
func BenchmarkStreamsAppend(b *testing.B) {
	br := openOnDisk(b)
	ctx := context.Background()
	s, err := br.CreateStreams(ctx, "", "bench")
	if err != nil {
		b.Fatal(err)
	}
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("stream-%d", i)
	}
	rec := Record{Value: make([]byte, 200)}
	open := make([]Confirm, len(names))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		slot := i % len(names)
		if err := open[slot].Wait(ctx); err != nil {
			b.Fatal(err)
		}
		a, err := s.Append(ctx, names[slot], Expect(i/len(names)), rec)
		if err != nil {
			b.Fatal(err)
		}
		open[slot] = a.Confirm
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

// BenchmarkParseBatch is the check of one 1 KiB batch that came from outside.
func BenchmarkParseBatch(b *testing.B) {
	raw := oneKiB(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseBatch(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadBack reads what was appended, in steps of 1 MiB.
func BenchmarkReadBack(b *testing.B) {
	br := openOnDisk(b)
	p := benchTopic(b, br, 1).Partition(0)
	raw := oneKiB(b)
	var last Appended
	for range 50_000 {
		var err error
		if last, err = p.Append(context.Background(), raw); err != nil {
			b.Fatal(err)
		}
	}
	if err := last.Confirm.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
	_, end := p.Bounds()
	var buf Buffer
	defer buf.Release()
	b.SetBytes(int64(len(raw)) * int64(end))
	b.ReportAllocs()
	for b.Loop() {
		for from := Offset(0); from < end; {
			if err := p.Read(&buf, from, 1<<20); err != nil {
				b.Fatal(err)
			}
			e := buf.Entries[len(buf.Entries)-1]
			from = e.Base + Offset(e.Count)
		}
	}
}
