package embedded_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
	transport "github.com/tidings-io/tidings/transport/embedded"
)

type parcel struct{ N int }

var (
	sent     = tidings.Define("sent", "pipeline.sent.v1", tidings.KeyBy(func(parcel) string { return "k" }))
	received = tidings.Define("received", "pipeline.received.v1", tidings.KeyBy(func(parcel) string { return "k" }))
)

const parcels = 60

// TestConsumingEffectsAndPublishingAreOneStep: a consumer remembers the position of what it handles,
// counts it in a stream and a value, and publishes, all in one transaction, while the power is cut at
// random. In the end each event has had one effect and is published once, in order.
func TestConsumingEffectsAndPublishingAreOneStep(t *testing.T) {
	cuts := 0
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 19))
		fs := vfs.NewMem()
		p := openPipeline(t, fs)
		for i := range parcels {
			e := sent.New(parcel{i}, tidings.WithID(fmt.Sprint(i)))
			e.Source = "pipeline"
			if err := p.tr.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		fs.CutAfter(3 + rng.IntN(40))
		for p.handle(t) < parcels {
			if cuts++; cuts == 1000 {
				t.Fatal("it makes no progress")
			}
			p.close(t)
			fs = fs.Crash(rng)
			p = openPipeline(t, fs)
			fs.CutAfter(3 + rng.IntN(40))
		}
		p.close(t)
		p = openPipeline(t, fs.Kill())
		p.check(t)
		if p.close(t); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if cuts < 6 {
		t.Errorf("the power was cut %d times: the test shows nothing", cuts)
	}
}

type pipeline struct {
	b     *broker.Broker
	tr    *transport.Transport
	store *embedded.Store
}

func openPipeline(t *testing.T, fs vfs.FS) *pipeline {
	t.Helper()
	b, err := broker.Open("data", broker.Config{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	tr := transport.New(b, transport.Config{Partitions: 1})
	return &pipeline{b, tr, openStore(t, b, embedded.Config{Publisher: tr})}
}

// close ends all, also where the power is gone: then nothing of it can succeed.
func (p *pipeline) close(t *testing.T) {
	p.tr.Close(context.WithoutCancel(t.Context()))
	_ = p.b.Close()
}

// handle handles events until all are or the power is gone. It returns how many are.
func (p *pipeline) handle(t *testing.T) int {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		select {
		case <-p.b.Failed():
			cancel()
		case <-ctx.Done():
		}
	}()
	c, err := p.tr.Subscribe(ctx, tidings.Subscription{Group: "g", Topics: []string{"sent"}, From: tidings.Earliest})
	if err != nil {
		return 0
	}
	defer c.Close(ctx)
	for {
		ds, err := c.Receive(ctx, 7)
		if err != nil {
			return 0
		}
		for _, d := range ds {
			if _, err := p.store.Advance(ctx, "g", d.Lane, d.Offset, effect(d.Event)); err != nil {
				return 0
			}
			if err := d.Ack(ctx); err != nil {
				return 0
			}
			if d.ID == fmt.Sprint(parcels-1) {
				return parcels
			}
		}
	}
}

func effect(e tidings.Event) func(ctx context.Context, tx *embedded.Tx) error {
	return func(ctx context.Context, tx *embedded.Tx) error {
		data, err := sent.Decode(e)
		if err != nil {
			return err
		}
		was, _ := tx.Get("handled")
		tx.Put("handled", append(append([]byte{}, was...), fmt.Sprintf("%d;", data.N)...))
		if _, err := tx.Append(ctx, "handled", eventstore.Expect(data.N), note(fmt.Sprint(data.N))); err != nil {
			return err
		}
		return tx.Publish(ctx, received.New(data))
	}
}

func (p *pipeline) check(t *testing.T) {
	t.Helper()
	var want strings.Builder
	var all []string
	for i := range parcels {
		fmt.Fprintf(&want, "%d;", i)
		all = append(all, fmt.Sprint(i))
	}
	if v, _ := p.store.Get("handled"); string(v) != want.String() {
		t.Errorf("value\ngot  %s\nwant %s", v, want.String())
	}
	same(t, "stream", streamOf(t, p.store, "handled"), all)
	topic, err := p.b.Topic("", "received")
	if err != nil {
		t.Fatal(err)
	}
	if _, end := topic.Partition(0).Bounds(); end != parcels {
		t.Errorf("%d events published, want %d", end, parcels)
	}
}
