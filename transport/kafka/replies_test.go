package kafka

import (
	"context"
	"fmt"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	wire "github.com/tidings-io/tidings/wire/kafka"
)

// TestAddressesOfRepliesAreForgotten once they are gone, and those that are there are kept.
func TestAddressesOfRepliesAreForgotten(t *testing.T) {
	ctx := t.Context()
	b, err := broker.Open("", broker.Config{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := wire.Listen(b, wire.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	tr, err := New(Config{Seeds: []string{s.Addr().String()}, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(context.Background())
	for _, alive := range []string{"a.direct", "b.direct", "c.direct"} {
		if err := tr.topics.ensure(ctx, alive); err != nil {
			t.Fatal(err)
		}
		if err := tr.replies.use(ctx, alive); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 * manyReplies { // of which none is there
		if err := tr.replies.use(ctx, fmt.Sprint("gone-", n, ".direct")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(tr.replies.line); n != len(tr.replies.seen) || n > manyReplies+3 {
		t.Errorf("%d addresses are remembered, %d of them by name", n, len(tr.replies.seen))
	}
	for _, alive := range []string{"a.direct", "b.direct", "c.direct"} {
		if !tr.replies.seen[alive] {
			t.Errorf("%s was forgotten", alive)
		}
	}
}
