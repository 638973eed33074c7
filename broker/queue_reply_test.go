package broker

import (
	"context"
	"slices"
	"testing"

	"github.com/tidings-io/tidings/storage/vfs"
)

// "100,000 short-lived reply queues touch no file": nothing of them is on disk, and the journal
// does not hear of them.
func TestShortLivedReplyQueuesTouchNoFile(t *testing.T) {
	queues := 100_000
	if testing.Short() {
		queues = 1000
	}
	f := vfs.NewFaulty(vfs.NewMem())
	b := openOn(t, f)
	before := len(f.Calls())
	for range queues {
		replyOnce(t, b)
	}
	// What a new store does by itself: the marker behind its first frame, its second journal file.
	const itsOwn = 16
	calls := slices.DeleteFunc(f.Calls()[before:], func(c vfs.Call) bool { return c.Op == vfs.OpSpace })
	if n := len(calls); n > itsOwn {
		t.Errorf("%d calls for %d queues, the last: %+v", n, queues, calls[n-1])
	}
}

// replyOnce declares a queue of an owner, carries one reply through it, and deletes it.
func replyOnce(t *testing.T, b *Broker) {
	t.Helper()
	ctx := context.Background()
	owner := new(int)
	q, _, err := b.DeclareQueue(ctx, QueueSpec{Name: "reply", Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	x, err := b.Exchange("", "")
	if err != nil {
		t.Fatal(err)
	}
	tx := b.Begin()
	tx.Publish(x, QueueRecord{Key: "reply", Body: []byte("answer")})
	if _, err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	d, ok, err := q.Get(ctx, owner)
	if !ok || err != nil || string(d.Record.Body) != "answer" {
		t.Fatalf("got %q, %v, %v", d.Record.Body, ok, err)
	}
	tx = b.Begin()
	tx.Settle(q, nil, d.ID, Accept)
	if _, err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DeleteQueue(ctx, q, DeleteOptions{Owner: owner}); err != nil {
		t.Fatal(err)
	}
}
