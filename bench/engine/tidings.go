package main

import (
	"context"
	"fmt"

	"github.com/tidings-io/tidings/broker"
)

// appender is a log of many partitions.
type appender interface {
	// Append adds a record to a partition and returns how to wait until it is on disk.
	Append(ctx context.Context, partition int) (confirm, error)
	Close() error
}

type confirm interface {
	Wait(context.Context) error
}

func open(ctx context.Context, side, dir string, partitions int) (appender, error) {
	switch side {
	case ours:
		return openBroker(ctx, dir, partitions)
	case twin:
		return openTwin(dir, partitions)
	}
	return nil, fmt.Errorf("no side %q", side)
}

// recordBytes is the size of a record with everything that its encoding adds.
const recordBytes = 1024

// embedded is a broker in this process with one topic.
type embedded struct {
	b     *broker.Broker
	topic *broker.Topic
	raw   []byte // a batch of one record
}

func openBroker(ctx context.Context, dir string, partitions int) (*embedded, error) {
	b, err := broker.Open(dir, broker.Config{})
	if err != nil {
		return nil, err
	}
	e := &embedded{b: b}
	e.topic, err = b.CreateTopic(ctx, broker.TopicSpec{Name: "bench", Partitions: partitions})
	if err != nil {
		return nil, err
	}
	const encoding = 71 // batch header, and a record without key and headers
	e.raw, err = broker.EncodeBatch(nil, broker.None,
		broker.Record{Value: make([]byte, recordBytes-encoding)})
	return e, err
}

// Append appends the batch, which all producers share: the engine does not change it.
func (e *embedded) Append(ctx context.Context, partition int) (confirm, error) {
	a, err := e.topic.Partition(partition).Append(ctx, e.raw)
	return a.Confirm, err
}

func (e *embedded) Close() error { return e.b.Close() }
