package main

import (
	"context"
	"time"
)

// side is a library with its connections to one broker.
type side interface {
	// declare makes a topic, and groups that get what is published to it from then on.
	declare(ctx context.Context, topic string, groups ...string) error
	// publisher returns what publishes one order and returns when the broker has it. Many call it
	// at once.
	publisher(topic string) publisher
	// fill publishes so many orders as fast as it can.
	fill(ctx context.Context, topic string, keyed bool, n int) error
	// handle decodes orders and hands them to a function until ctx ends. It returns when
	// everything was settled as far as the library does that by itself, and since when.
	handle(ctx context.Context, topic, group string, h how, fn handler) (settled time.Time, err error)
	close(ctx context.Context) error
}

type (
	publisher func(ctx context.Context, key string, o order) error
	handler   func(ctx context.Context, o order) error
)

// how is how a group handles: so many at once, and whether it must keep the order of keys.
type how struct {
	atOnce  int
	ordered bool
}

// keyOf is the key of an order, "" where there are to be none.
func keyOf(o *order, keyed bool) string {
	if keyed {
		return o.Customer
	}
	return ""
}
