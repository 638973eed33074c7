package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// benchKafka makes load through Kafka's protocol.
func (a *app) benchKafka(ctx context.Context, f benchFlags) (results []benchResult, err error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	k, err := a.kafkaOf(ctx, c)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	remove, err := a.benchTopic(ctx, c, &f)
	if err != nil {
		return nil, err
	}
	defer func() {
		// Also after Ctrl-C: what was made for the benchmark does not stay.
		err = firstError(err, remove(context.WithoutCancel(ctx)))
	}()
	if f.mode != "consume" {
		r, err := k.benchProduce(ctx, f)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	if f.mode != "produce" {
		r, err := k.benchConsume(ctx, f)
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

// benchProduce runs the producers, each with a client of its own.
func (k *kafkaClient) benchProduce(ctx context.Context, f benchFlags) (benchResult, error) {
	load := &kafkaLoad{k: k, f: f}
	took, err := f.eachProducer(func(_ int, n int64) error { return load.produce(ctx, n) })
	if err != nil {
		return benchResult{}, err
	}
	done := load.lat.n.Load()
	r := load.lat.result("produce", done, done*int64(f.size), took)
	r.Errors = load.failures.Load()
	return r, nil
}

// eachProducer runs the producers at once, each with its share of the records,
// and returns how long they took together.
func (f benchFlags) eachProducer(run func(i int, n int64) error) (time.Duration, error) {
	errs := make(chan error, f.producers)
	start := time.Now()
	for i := range f.producers {
		n := f.records / int64(f.producers)
		if int64(i) < f.records%int64(f.producers) {
			n++
		}
		go func() { errs <- run(i, n) }()
	}
	var first error
	for range f.producers {
		first = firstError(first, <-errs)
	}
	return time.Since(start), first
}

// kafkaLoad is what the producers share.
type kafkaLoad struct {
	k        *kafkaClient
	f        benchFlags
	lat      latencies
	failures atomic.Int64
	firstErr atomic.Pointer[error]
}

func (l *kafkaLoad) produce(ctx context.Context, n int64) error {
	codec, err := l.f.codec()
	if err != nil {
		return err
	}
	cl, err := l.k.open(
		kgo.DefaultProduceTopic(l.f.topic), kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(l.f.linger), kgo.MaxBufferedRecords(l.f.inFlight),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	values := newValues(l.f.size)
	for i := int64(0); i < n && l.firstErr.Load() == nil; i++ {
		sent := time.Now()
		cl.Produce(ctx, &kgo.Record{Value: values.next(sent)}, func(_ *kgo.Record, err error) {
			l.acknowledged(sent, err)
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := l.firstErr.Load(); err != nil {
		return l.k.fail(*err, "topic", l.f.topic)
	}
	return nil
}

func (l *kafkaLoad) acknowledged(sent time.Time, err error) {
	if err != nil {
		l.failures.Add(1)
		l.firstErr.CompareAndSwap(nil, &err)
		return
	}
	l.lat.add(time.Since(sent))
}

func (f benchFlags) codec() (kgo.CompressionCodec, error) {
	switch f.compression {
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, usage("no compression " + quote(f.compression))
}

// values makes record values: a time stamp, then bytes that compress about as
// well as JSON does.
type values struct {
	size  int
	block []byte
}

// valueBlock is how many values are cut from one allocation.
const valueBlock = 64

func newValues(size int) *values { return &values{size: size} }

func (v *values) next(at time.Time) []byte {
	if len(v.block) < v.size {
		v.block = make([]byte, valueBlock*v.size)
		for i := range v.block {
			v.block[i] = "{\"id\":\"o-1234\",\"total\":42.10}"[i*7%29]
		}
	}
	value := v.block[:v.size:v.size]
	v.block = v.block[v.size:]
	binary.BigEndian.PutUint64(value, uint64(at.UnixNano()))
	return value
}

// benchConsume reads the whole topic from its start.
func (k *kafkaClient) benchConsume(ctx context.Context, f benchFlags) (benchResult, error) {
	bounds, err := k.bounds(ctx, f.topic)
	if err != nil {
		return benchResult{}, err
	}
	want := int64(0)
	from := map[int32]kgo.Offset{}
	for _, p := range bounds[f.topic] {
		want += p.End - p.Start
		from[int32(p.Partition)] = kgo.NewOffset().At(p.Start)
	}
	if want == 0 {
		return benchResult{}, conflict("topic %q is empty", f.topic)
	}
	cl, err := k.open(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.topic: from}))
	if err != nil {
		return benchResult{}, err
	}
	defer cl.Close()
	var none latencies
	got, bytes, start := int64(0), int64(0), time.Now()
	for got < want {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return benchResult{}, fmt.Errorf("read %s of %s: %w",
				count(got), count(want), ctx.Err())
		}
		for _, e := range fetches.Errors() {
			return benchResult{}, k.fail(e.Err, "topic", f.topic)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			bytes += int64(len(r.Value))
		})
	}
	return none.result("consume", got, bytes, time.Since(start)), nil
}

// asCode returns the code of a failure, or "".
func asCode(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return ""
}
