package main

import (
	"context"
	"errors"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// bare is the broker in the process without the library: what is published is the order alone, and
// one goroutine reads all partitions in turn. It has no envelopes, policies, timeouts and retries,
// and saves where it is at the end only.
type bare struct {
	b *broker.Broker
	setting
}

func newBare(_ context.Context, dir string, s setting) (side, error) {
	b, err := broker.Open(dir, broker.Config{})
	return &bare{b, s}, err
}

func (l *bare) declare(ctx context.Context, topic, _ string) error {
	_, err := l.b.CreateTopic(ctx, broker.TopicSpec{Name: topic, Partitions: l.partitions})
	return err
}

// publisher appends orders as one batch to the partition of the first, and waits until they are on
// disk.
func (l *bare) publisher(topic string, _ bool) publisher {
	return func(ctx context.Context, orders ...order) error {
		t, err := l.b.Topic("", topic)
		if err != nil {
			return err
		}
		recs := make([]broker.Record, len(orders))
		for i := range orders {
			recs[i].Key = []byte(orders[i].Customer)
			if recs[i].Value, err = l.format.encode(orders[i]); err != nil {
				return err
			}
		}
		raw, err := broker.EncodeBatch(nil, broker.None, recs...)
		if err != nil {
			return err
		}
		partition := broker.KeyPartition(recs[0].Key, l.partitions)
		a, err := t.Partition(partition).Append(ctx, raw)
		if err != nil {
			return err
		}
		return a.Confirm.Wait(ctx)
	}
}

func (l *bare) bulk() (inACall, atOnce int) { return 500, 1 }

func (l *bare) handle(ctx context.Context, topic, group string, _ how, fn handler) (
	time.Time, error) {
	t, err := l.b.Topic("", topic)
	if err != nil {
		return time.Time{}, err
	}
	r := bareReader{wake: make(chan struct{}, 1), fn: fn, decode: l.format.decode}
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
	parts  []*barePart
	wake   chan struct{}
	fn     handler
	decode func([]byte, *order) error
	in     broker.RecordReader
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
			if err := r.decode(rec.Value, &o); err != nil {
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
