package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bufferBytes is what the client may hold, as in franz-go's own benchmark.
const bufferBytes = 250 << 20

// newProducer is an idempotent client with acks=all. Linger and batches are franz-go's defaults,
// as in its own benchmark.
func (s *scenario) newProducer(addr string, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(bufferBytes/s.size + 1),
	}, more...)...)
}

// value is what every record holds.
func (s *scenario) value() []byte {
	v := make([]byte, s.size)
	for i := range v {
		v[i] = byte('a' + i*7%26)
	}
	return v
}

// sink counts acknowledgements and keeps the first error.
type sink struct {
	acknowledged atomic.Int64
	failure      atomic.Pointer[error]
}

func (k *sink) done(_ *kgo.Record, err error) {
	if err != nil {
		k.failure.CompareAndSwap(nil, &err)
		return
	}
	k.acknowledged.Add(1)
}

func (k *sink) err() error {
	if p := k.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// produceAll sends the scenario's records as fast as they are taken.
func produceAll(ctx context.Context, s *scenario, addr string) (measure.Outcome, error) {
	return s.produceWith(ctx, addr, 1)
}

// produceTogether is produceAll by eight clients, each with connections of its own.
func produceTogether(ctx context.Context, s *scenario, addr string) (measure.Outcome, error) {
	return s.produceWith(ctx, addr, 8)
}

func (s *scenario) produceWith(
	ctx context.Context, addr string, clients int,
) (measure.Outcome, error) {
	var k sink
	var wg sync.WaitGroup
	errs := make([]error, clients)
	start := time.Now()
	for i := range clients {
		wg.Go(func() { errs[i] = s.send(ctx, addr, s.records/int64(clients), &k) })
	}
	wg.Wait()
	took := time.Since(start)
	err := errors.Join(errors.Join(errs...), k.err())
	n := k.acknowledged.Load()
	if want := s.records / int64(clients) * int64(clients); err == nil && n != want {
		err = fmt.Errorf("%d of %d records were acknowledged", n, want)
	}
	return measure.Outcome{Records: n, Took: took}, err
}

// send is one client of produceWith.
func (s *scenario) send(ctx context.Context, addr string, n int64, k *sink) error {
	cl, err := s.newProducer(addr)
	if err != nil {
		return err
	}
	defer cl.Close()
	value := s.value()
	for range n {
		cl.Produce(ctx, kgo.SliceRecord(value), k.done)
	}
	return cl.Flush(ctx)
}

// consumeAll reads what produceAll has sent, from the start.
func consumeAll(ctx context.Context, s *scenario, addr string) (measure.Outcome, error) {
	from := map[int32]kgo.Offset{}
	for p := range s.partitions {
		from[int32(p)] = kgo.NewOffset().AtStart()
	}
	// The sizes are those of franz-go's own benchmark.
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.MaxConcurrentFetches(3),
		kgo.FetchMaxBytes(5<<20),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return measure.Outcome{}, err
	}
	defer cl.Close()
	start := time.Now()
	got := int64(0)
	for got < s.records {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return measure.Outcome{}, fmt.Errorf("after %d records: %w", got, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if len(r.Value) == s.size {
				got++
			}
		})
	}
	return measure.Outcome{Records: got, Took: time.Since(start)}, nil
}

// publishPaced sends 500 records a second, each at once and on its own. Sending never waits for
// an answer, so a server that stalls does not hide the wait of those behind.
func publishPaced(ctx context.Context, s *scenario, addr string) (measure.Outcome, error) {
	const every = time.Second / 500
	cl, err := s.newProducer(addr, kgo.ProducerLinger(0))
	if err != nil {
		return measure.Outcome{}, err
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, kgo.SliceRecord(s.value())).FirstErr(); err != nil {
		return measure.Outcome{}, err // and with that, connections and metadata are there
	}
	var k sink
	times := make([]time.Duration, s.records)
	start := time.Now()
	for i := range times {
		time.Sleep(time.Until(start.Add(time.Duration(i) * every)))
		sent := time.Now()
		cl.Produce(ctx, kgo.SliceRecord(s.value()), func(r *kgo.Record, err error) {
			times[i] = time.Since(sent)
			k.done(r, err)
		})
	}
	err = errors.Join(cl.Flush(ctx), k.err())
	return measure.Outcome{Records: s.records, Took: time.Since(start), Times: times}, err
}

const (
	manyProducers = 64
	manyWindow    = 16
	manyTime      = 5 * time.Second
)

// warmMany sends some records to every partition, so that their files are there.
func warmMany(ctx context.Context, s *scenario, addr string) error {
	cl, err := s.newProducer(addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	var k sink
	value := s.value()
	for i := range warmRecords * s.partitions {
		cl.Produce(ctx, &kgo.Record{Value: value, Partition: int32(i % s.partitions)}, k.done)
	}
	return errors.Join(cl.Flush(ctx), k.err())
}

// warmRecords is how many each partition gets before produceMany.
const warmRecords = 12

// produceMany lets many clients send single records to many partitions, each with a window of
// unacknowledged ones, for a while.
func produceMany(ctx context.Context, s *scenario, addr string) (measure.Outcome, error) {
	clients := make([]*kgo.Client, manyProducers)
	for i := range clients {
		cl, err := s.newProducer(addr, kgo.ProducerLinger(0),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return measure.Outcome{}, err
		}
		defer cl.Close()
		clients[i] = cl
	}
	var k sink
	var all [][]time.Duration
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	for i, cl := range clients {
		wg.Go(func() {
			times := s.sendWindow(ctx, cl, i, &k)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times)
		})
	}
	wg.Wait()
	out := measure.Outcome{Took: time.Since(start)}
	for _, times := range all {
		out.Times = append(out.Times, times...)
	}
	out.Records = int64(len(out.Times))
	return out, k.err()
}

// sendWindow is one of produceMany's clients. It returns how long each record took.
func (s *scenario) sendWindow(
	ctx context.Context, cl *kgo.Client, id int, k *sink,
) []time.Duration {
	var mu sync.Mutex
	var times []time.Duration
	window := make(chan struct{}, manyWindow)
	value := s.value()
	end := time.Now().Add(manyTime)
	for i := id; time.Now().Before(end) && k.err() == nil; i += manyProducers {
		window <- struct{}{}
		sent := time.Now()
		r := &kgo.Record{Value: value, Partition: int32(i % s.partitions)}
		cl.Produce(ctx, r, func(r *kgo.Record, err error) {
			k.done(r, err)
			mu.Lock()
			times = append(times, time.Since(sent))
			mu.Unlock()
			<-window
		})
	}
	if err := cl.Flush(ctx); err != nil {
		k.done(nil, err)
	}
	return times
}
