package broker

import "testing"

func benchQueue(b *testing.B, br *Broker, durable bool) *Queue {
	b.Helper()
	q, _, err := br.DeclareQueue(ctx, QueueSpec{Name: "bench", Durable: durable})
	if err != nil {
		b.Fatal(err)
	}
	return q
}

// publishWindow publishes n records of 1 KiB, ten in a Tx, and waits for the oldest
// confirm when a thousand are open.
func publishWindow(b *testing.B, br *Broker, n int) {
	const perTx, window = 10, 1000
	x, err := br.Exchange("", "")
	if err != nil {
		b.Error(err)
		return
	}
	rec := QueueRecord{Key: "bench", Body: make([]byte, 1024)}
	open := make([]Confirm, 0, n/perTx+1)
	for i := 0; i < n; i += perTx {
		tx := br.Begin()
		for range min(perTx, n-i) {
			tx.Publish(x, rec)
		}
		c, err := tx.Commit(ctx)
		if open = append(open, c); len(open) > window/perTx && err == nil {
			err = open[len(open)-1-window/perTx].Wait(ctx)
		}
		if err != nil {
			b.Error(err)
			return
		}
	}
	if err := open[len(open)-1].Wait(ctx); err != nil {
		b.Error(err)
	}
}

// consumeAll takes and accepts n records with a prefetch of 500, and waits until the
// last settle is on disk.
func consumeAll(b *testing.B, q *Queue, n int) {
	var credit Credit
	credit.SetLimit(500)
	wake := make(chan struct{}, 1)
	s, err := q.Subscribe(SubscribeOptions{Wake: wake, Credits: []*Credit{&credit}})
	if err != nil {
		b.Error(err)
		return
	}
	defer s.Close()
	var ds []Delivery
	var last Confirm
	for n > 0 {
		if ds, err = s.Take(ds[:0], 64); err != nil {
			b.Error(err)
			return
		}
		if len(ds) == 0 {
			<-wake
			continue
		}
		n -= len(ds)
		tx := q.b.Begin()
		for i := range ds {
			tx.Settle(q, s, ds[i].ID, Accept)
		}
		if last, err = tx.Commit(ctx); err != nil {
			b.Error(err)
			return
		}
	}
	if err := last.Wait(ctx); err != nil {
		b.Error(err)
	}
}

// BenchmarkQueuePublish1KiB1000InFlight: one publisher, each record confirmed.
func BenchmarkQueuePublish1KiB1000InFlight(b *testing.B) {
	br := openOnDisk(b)
	benchQueue(b, br, true)
	b.SetBytes(1024)
	b.ReportAllocs()
	b.ResetTimer()
	publishWindow(b, br, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkQueueTake1KiBPrefetch500: one consumer of a queue that is full.
func BenchmarkQueueTake1KiBPrefetch500(b *testing.B) {
	br := openOnDisk(b)
	q := benchQueue(b, br, true)
	publishWindow(b, br, b.N)
	b.SetBytes(1024)
	b.ReportAllocs()
	b.ResetTimer()
	consumeAll(b, q, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkQueueThrough1KiB: publisher and consumer at once, what most queues do.
func BenchmarkQueueThrough1KiB(b *testing.B) {
	for name, durable := range map[string]bool{"durable": true, "memory": false} {
		b.Run(name, func(b *testing.B) {
			br := openOnDisk(b)
			q := benchQueue(b, br, durable)
			b.SetBytes(1024)
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan struct{})
			go func() { defer close(done); publishWindow(b, br, b.N) }()
			consumeAll(b, q, b.N)
			<-done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
