package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a broker in memory with a transport of it.
type host struct {
	fs *vfs.Mem
	b  *broker.Broker
	t  *Transport
}

func start(t *testing.T, fs *vfs.Mem, c Config) *host {
	t.Helper()
	b, err := broker.Open("", broker.Config{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{fs: fs, b: b, t: New(b, c)}
	t.Cleanup(h.close)
	return h
}

func (h *host) close() {
	_ = h.t.Close(context.Background())
	_ = h.b.Close()
}

func (h *host) publish(t *testing.T, events ...tidings.Event) {
	t.Helper()
	if err := h.t.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func (h *host) subscribe(t *testing.T, s tidings.Subscription) tidings.Consumer {
	t.Helper()
	c, err := h.t.Subscribe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// event is the n-th of a key.
func event(topic, key string, n int) tidings.Event {
	return tidings.Event{Topic: topic, ID: fmt.Sprintf("%s-%d", key, n), Source: "test", Type: "test.happened.v1",
		Key: key, ContentType: "text/plain", Payload: fmt.Appendf(nil, "payload %d", n),
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)}
}

// receive waits for n deliveries.
func receive(t *testing.T, c tidings.Consumer, n int) (got []*tidings.Delivery) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(got) < n {
		more, err := c.Receive(ctx, n-len(got))
		if err != nil {
			t.Fatalf("after %d of %d: %v", len(got), n, err)
		}
		got = append(got, more...)
	}
	return got
}

// nothing waits a moment in which nothing may come.
func nothing(t *testing.T, c tidings.Consumer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got, err := c.Receive(ctx, 10)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, %v", ids(got), err)
	}
}

func ids(ds []*tidings.Delivery) (all []string) {
	for _, d := range ds {
		all = append(all, d.ID)
	}
	slices.Sort(all)
	return all
}

func ack(t *testing.T, ds ...*tidings.Delivery) {
	t.Helper()
	for _, d := range ds {
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnEventArrivesAsItWasPublished(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}})
	want := event("orders", "k", 1)
	want.Subject, want.Schema, want.Correlation, want.Causation = "s", "urn:x", "co", "ca"
	want.ReplyTo, want.TraceParent, want.TraceState = "r", "00-1-2-3", "a=b"
	want.Extensions = map[string]string{"tenant": "blue"}
	h.publish(t, want)
	got := receive(t, c, 1)[0]
	equal(t, got.Event, want)
	if got.Lane != fmt.Sprintf("orders/%d", broker.KeyPartition([]byte("k"), 8)) || got.Offset != 0 || got.Attempt != 1 {
		t.Errorf("lane %q, offset %d, attempt %d", got.Lane, got.Offset, got.Attempt)
	}
	command := want
	command.Kind, command.Topic = tidings.KindCommand, "g"
	h.publish(t, command)
	got = receive(t, c, 1)[0]
	equal(t, got.Event, command)
	if got.Lane != "" || got.Offset != -1 || got.Attempt != 1 || got.Deadline.IsZero() {
		t.Errorf("lane %q, offset %d, attempt %d, until %v", got.Lane, got.Offset, got.Attempt, got.Deadline)
	}
	ack(t, got)
}

func equal(t *testing.T, got, want tidings.Event) {
	t.Helper()
	g := maps.Collect(got.Attributes())
	w := maps.Collect(want.Attributes())
	if !maps.Equal(g, w) || got.Topic != want.Topic || string(got.Payload) != string(want.Payload) {
		t.Errorf("got %v %q, want %v %q", g, got.Payload, w, want.Payload)
	}
}

func TestWhatWasCommittedDoesNotComeBack(t *testing.T) {
	fs := vfs.NewMem()
	h := start(t, fs, Config{Partitions: 1})
	s := tidings.Subscription{Group: "g", Topics: []string{"orders"}}
	c := h.subscribe(t, s)
	for n := range 5 {
		h.publish(t, event("orders", "k", n))
	}
	got := receive(t, c, 5)
	ack(t, got[0], got[2], got[3])
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	h2 := start(t, fs.Crash(rand.New(rand.NewPCG(1, 1))), Config{Partitions: 1})
	again := receive(t, h2.subscribe(t, s), 2)
	if got, want := ids(again), []string{"k-1", "k-4"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
