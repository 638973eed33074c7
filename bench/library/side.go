package main

import (
	"context"
	"time"
)

// side is a library with its connections to one broker.
type side interface {
	// declare makes a topic, and a group that gets what is published to it from then on.
	declare(ctx context.Context, topic, group string) error
	// publisher returns what publishes orders and returns when the broker has them. Many call it at
	// once.
	publisher(topic string, keyed bool) publisher
	// bulk says how a backlog is published fastest: so many in a call, so many calls at once.
	bulk() (inACall, atOnce int)
	// handle decodes orders and hands them to a function until ctx ends. It returns when
	// everything was settled as far as the library does that by itself, and since when.
	handle(ctx context.Context, topic, group string, h how, fn handler) (settled time.Time, err error)
	close(ctx context.Context) error
}

type (
	publisher func(ctx context.Context, orders ...order) error
	handler   func(ctx context.Context, o order) error
)

// how is how a group handles: so many at once, and whether it must keep the order of keys.
type how struct {
	atOnce  int
	ordered bool
}

// setting is what both sides are told of a load.
type setting struct {
	partitions int // of a topic, where there are such
	format     format
}

// keyOf is the key of an order, "" where there are to be none.
func keyOf(o *order, keyed bool) string {
	if keyed {
		return o.Customer
	}
	return ""
}
