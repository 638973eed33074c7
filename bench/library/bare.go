package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// bare is the broker in the process without the library: what is published is the order alone, and
// one goroutine reads all partitions in turn. It has no envelopes, policies, timeouts and retries,
// and saves where it is at the end only.
type bare struct {
	b          *broker.Broker
	partitions int
}

func newBare(_ context.Context, dir string, partitions int) (side, error) {
	b, err := broker.Open(dir, broker.Config{})
	return &bare{b, partitions}, err
}

func (l *bare) declare(ctx context.Context, topic string, groups ...string) error {
	if _, err := l.topic(topic); err == nil {
		return nil
	}
	_, err := l.b.CreateTopic(ctx, broker.TopicSpec{Name: topic, Partitions: l.partitions})
	return err
}

func (l *bare) topic(name string) (*broker.Topic, error) { return l.b.Topic("", name) }

func (l *bare) publisher(topic string) publisher {
	return func(ctx context.Context, key string, o order) error {
		return l.append(ctx, topic, broker.KeyPartition([]byte(key), l.partitions), key, o)
	}
}

// append appends orders as one batch, and waits until they are on disk.
func (l *bare) append(ctx context.Context, topic string, partition int, key string,
	orders ...order) error {
	t, err := l.topic(topic)
	if err != nil {
		return err
	}
	recs := make([]broker.Record, len(orders))
	for i := range orders {
		value, err := json.Marshal(orders[i])
		if err != nil {
			return err
		}
		recs[i] = broker.Record{Key: []byte(key), Value: value}
	}
	raw, err := broker.EncodeBatch(nil, broker.None, recs...)
	if err != nil {
		return err
	}
	a, err := t.Partition(partition).Append(ctx, raw)
	if err != nil {
		return err
	}
	return a.Confirm.Wait(ctx)
}

func (l *bare) fill(ctx context.Context, topic string, _ bool, n int) error {
	for from := 0; from < n; from += fillBatch {
		var orders []order
		for i := from; i < min(n, from+fillBatch); i++ {
			orders = append(orders, newOrder(i))
		}
		partition := from / fillBatch % l.partitions
		if err := l.append(ctx, topic, partition, "", orders...); err != nil {
			return err
		}
	}
	return nil
}

func (l *bare) handle(ctx context.Context, topic, group string, _ how, fn handler) (
	time.Time, error) {
	t, err := l.topic(topic)
	if err != nil {
		return time.Time{}, err
	}
	r := bareReader{wake: make(chan struct{}, 1), fn: fn}
	for i := range t.Partitions() {
		p := &barePart{p: t.Partition(i), waiter: broker.Waiter{C: r.wake, MinBytes: 1}}
		p.p.Watch(&p.waiter)
		defer p.p.Unwatch(&p.waiter)
		defer p.buf.Release()
		r.parts = append(r.parts, p)
	}
	if err := r.run(ctx); err != nil && ctx.Err() == nil {
		return time.Time{}, err
	}
	tx := l.b.Begin()
	for _, p := range r.parts {
		tx.SaveCursor("", group, p.p, broker.Cursor{Offset: p.at})
	}
	confirm, err := tx.Commit(context.WithoutCancel(ctx))
	return time.Now(), errors.Join(err, confirm.Wait(context.WithoutCancel(ctx)))
}

func (l *bare) close(context.Context) error { return l.b.Close() }

type bareReader struct {
	parts []*barePart
	wake  chan struct{}
	fn    handler
	in    broker.RecordReader
}

type barePart struct {
	p      *broker.Partition
	waiter broker.Waiter
	buf    broker.Buffer
	at     broker.Offset
}

// readBytes is how much of a partition is read at once.
const readBytes = 256 << 10

func (r *bareReader) run(ctx context.Context) error {
	for ctx.Err() == nil {
		read := 0
		for _, p := range r.parts {
			p.waiter.Rearm()
			n, err := r.read(ctx, p)
			if err != nil {
				return err
			}
			read += n
		}
		if read > 0 {
			continue
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
		}
	}
	return nil
}

func (r *bareReader) read(ctx context.Context, p *barePart) (n int, err error) {
	if _, end := p.p.Bounds(); p.at >= end {
		return 0, nil
	}
	if err := p.p.Read(&p.buf, p.at, readBytes); err != nil {
		return 0, err
	}
	for i := range p.buf.Entries {
		if err := r.in.Open(p.buf.Entries[i].Bytes); err != nil {
			return n, err
		}
		for rec, ok, err := r.in.Next(); ok || err != nil; rec, ok, err = r.in.Next() {
			if err != nil {
				return n, err
			}
			var o order
			if err := json.Unmarshal(rec.Value, &o); err != nil {
				return n, err
			}
			if err := r.fn(ctx, o); err != nil || ctx.Err() != nil {
				return n, err
			}
			p.at++
			n++
		}
	}
	return n, nil
}
