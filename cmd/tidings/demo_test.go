package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/tidings-io/tidings/examples/shop"
	"github.com/tidings-io/tidings/storage/vfs"
)

// tidings dev --demo runs the shop on the broker, with live orders, until it is stopped.
func TestADemoSells(t *testing.T) {
	s := devDefaults()
	s.fs, s.Data = vfs.NewMem(), t.TempDir()
	n, err := startNode(t.Context(), withFreePorts(s), discardLog)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if n.demo, err = startDemo(t.Context(), n, &said); err != nil {
		t.Fatal(err)
	}
	sold := awaitSales(t, n.demo)
	n.demo.tell(sold)
	if err := n.close(); err != nil {
		t.Error(err)
	}
	if !bytes.Contains(said.Bytes(), []byte("orders completed")) {
		t.Errorf("it said %q", said.String())
	}
}

func awaitSales(t *testing.T, d *demo) shop.Books {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		b, err := shop.Open(ctx, d.buyer)
		if err != nil {
			t.Fatal(err)
		}
		if b.Completed > 0 {
			return b
		}
		time.Sleep(10 * time.Millisecond) // a customer comes when he comes
	}
}
