package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// benchEmbedded measures the engine without a network, one batch per record, as
// a Go program that embeds it would use it.
func (a *app) benchEmbedded(ctx context.Context, f benchFlags) (results []benchResult, err error) {
	if entries, err := os.ReadDir(f.embedded); err == nil && len(entries) > 0 {
		return nil, conflict("%s is not empty", f.embedded).
			hint("hint", "name a new directory, on the disk to be measured")
	}
	if err := os.MkdirAll(f.embedded, 0o755); err != nil {
		return nil, err
	}
	tuneRuntime(a.env)
	b, err := broker.Open(f.embedded, broker.Config{})
	if err != nil {
		return nil, storeFailure(err, f.embedded)
	}
	defer func() { err = firstError(err, b.Close(), os.RemoveAll(f.embedded)) }()
	t, err := b.CreateTopic(ctx, broker.TopicSpec{Name: "bench", Partitions: f.partitions})
	if err != nil {
		return nil, err
	}
	r, err := embeddedProduce(ctx, t, f)
	if err != nil {
		return nil, err
	}
	results = append(results, r)
	if f.mode == "both" {
		r, err = embeddedConsume(t, f)
		results = append(results, r)
	}
	return results, err
}

func embeddedProduce(ctx context.Context, t *broker.Topic, f benchFlags) (benchResult, error) {
	var lat latencies
	took, err := f.eachProducer(func(i int, n int64) error {
		p := &embeddedProducer{t: t, f: f, lat: &lat, turn: i}
		return p.run(ctx, n)
	})
	if err != nil {
		return benchResult{}, err
	}
	done := lat.n.Load()
	return lat.result("produce", done, done*int64(f.size), took), nil
}

// embeddedProducer appends from one goroutine.
type embeddedProducer struct {
	t    *broker.Topic
	f    benchFlags
	lat  *latencies
	turn int // the next partition
}

// onTheWay is a record that is not acknowledged yet.
type onTheWay struct {
	confirm broker.Confirm
	sent    time.Time
}

func (p *embeddedProducer) run(ctx context.Context, n int64) error {
	if p.f.inFlight == 1 {
		return p.append(ctx, n, func(r onTheWay) error { return p.await(ctx, r) })
	}
	return p.pipeline(ctx, n)
}

// pipeline lets a second goroutine wait, so that inFlight records are on their
// way at once: in the channel, and one on each side of it.
func (p *embeddedProducer) pipeline(ctx context.Context, n int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan onTheWay, p.f.inFlight-2)
	waited := make(chan error, 1)
	go func() {
		defer cancel() // the appender stops too
		for r := range sent {
			if err := p.await(ctx, r); err != nil {
				waited <- err
				return
			}
		}
		waited <- nil
	}()
	err := p.append(ctx, n, func(r onTheWay) error {
		select {
		case sent <- r:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(sent)
	return errors.Join(<-waited, ignoreCancel(err))
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// append appends n records and hands each to then.
func (p *embeddedProducer) append(
	ctx context.Context, n int64, then func(onTheWay) error,
) error {
	values := newValues(p.f.size)
	var raw []byte
	for range n {
		part := p.t.Partition(p.turn % p.t.Partitions())
		p.turn++
		at := time.Now()
		var err error
		rec := broker.Record{Value: values.next(at), Time: at}
		raw, err = broker.EncodeBatch(raw[:0], broker.None, rec)
		if err != nil {
			return err
		}
		appended, err := part.Append(ctx, raw)
		if err != nil {
			return err
		}
		if err := then(onTheWay{appended.Confirm, at}); err != nil {
			return err
		}
	}
	return nil
}

func (p *embeddedProducer) await(ctx context.Context, r onTheWay) error {
	if err := r.confirm.Wait(ctx); err != nil {
		return err
	}
	p.lat.add(time.Since(r.sent))
	return nil
}

// embeddedReadBytes is how much is read at once.
const embeddedReadBytes = 1 << 20

func embeddedConsume(t *broker.Topic, f benchFlags) (benchResult, error) {
	var none latencies
	got, start := int64(0), time.Now()
	for i := range t.Partitions() {
		p := t.Partition(i)
		at, end := p.Bounds()
		for at < end {
			n, err := readSome(p, at)
			if err != nil {
				return benchResult{}, err
			}
			at += broker.Offset(n)
			got += n
		}
	}
	return none.result("consume", got, got*int64(f.size), time.Since(start)), nil
}

func readSome(p *broker.Partition, at broker.Offset) (n int64, err error) {
	var buf broker.Buffer
	defer buf.Release()
	if err := p.Read(&buf, at, embeddedReadBytes); err != nil {
		return 0, err
	}
	for _, e := range buf.Entries {
		n += int64(e.Count)
	}
	return n, nil
}
