package kafka_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

var histories = flag.Int("kafka.histories", 1, "random histories to play")

// TestNothingIsLostWhateverHappens: members come and go, deliveries are settled, given back now or
// later or not at all, the broker is killed. Every event is acknowledged in the end, none twice
// once that was committed, and nothing is left.
func TestNothingIsLostWhateverHappens(t *testing.T) {
	for seed := range uint64(*histories) {
		h := history{
			rig: serve(t), dice: rand.New(rand.NewPCG(seed, 7)), more: make(chan struct{}, 1),
			done: map[string]bool{}, kept: map[string]bool{}, twice: map[string]bool{},
		}
		h.play(80)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// history is one run. Each member has a goroutine; the broker dies between steps of the main one.
type history struct {
	*rig
	tr    *kafka.Transport
	mu    sync.Mutex
	dice  *rand.Rand
	done  map[string]bool // was acknowledged
	kept  map[string]bool // and that was committed
	twice map[string]bool
	more  chan struct{}
}

func (h *history) play(events int) {
	h.tr = h.transport(func(c *kafka.Config) {
		c.ReadAhead = 10
		c.Options = append(c.Options, kgo.SessionTimeout(session)) // those that close while the broker is away
	})
	if err := h.tr.Declare(bounded(h.t), mail); err != nil {
		h.t.Fatal(err)
	}
	ctx, end := context.WithCancel(bounded(h.t))
	var members sync.WaitGroup
	for range 3 {
		members.Go(func() {
			for ctx.Err() == nil {
				h.visit(ctx)
			}
		})
	}
	for n := 0; n < events; n += 20 {
		h.publishAll(ctx, n, n+20)
		if n%40 == 0 {
			h.kill()
		}
	}
	for !h.complete(events) && ctx.Err() == nil {
		select {
		case <-h.more:
		case <-ctx.Done():
		}
	}
	end()
	members.Wait()
	before := len(h.done)
	complete := h.complete(events)
	h.leftovers(events)
	if !complete {
		h.show()
		h.t.Errorf("%d of %d events were acknowledged before the end, %d after it",
			before, events, len(h.done))
	}
}

func (h *history) complete(events int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.done) == events
}

func (h *history) publishAll(ctx context.Context, from, to int) {
	batch := events("orders", from, to)
	for err := h.tr.Publish(ctx, batch...); err != nil; err = h.tr.Publish(ctx, batch...) {
		if ctx.Err() != nil {
			h.t.Error(err)
			return
		}
		for _, e := range batch {
			h.doubt(e.ID)
		}
	}
}

// visit is one member, from its join to its end.
func (h *history) visit(ctx context.Context) {
	c, err := h.tr.Subscribe(ctx, mail)
	if err != nil {
		return // the broker is away
	}
	defer c.Close(bounded(h.t))
	for range 3 + h.roll(20) {
		wait, enough := context.WithTimeout(ctx, 200*time.Millisecond)
		ds, err := c.Receive(wait, 1+h.roll(8))
		enough()
		if err != nil {
			return // also where the rest is in somebody's hands, ours perhaps
		}
		var acked []string
		for _, d := range ds {
			if h.deal(ctx, d) {
				acked = append(acked, d.ID)
			}
		}
		if h.roll(3) == 0 && c.Commit(ctx) == nil {
			h.keep(acked)
		}
	}
}

// deal does something with a delivery, and says whether that was an acknowledgement.
func (h *history) deal(ctx context.Context, d *tidings.Delivery) bool {
	h.mu.Lock()
	if h.kept[d.ID] && !h.twice[d.ID] {
		h.t.Errorf("%s came again, attempt %d, in %s", d.ID, d.Attempt, d.Lane)
	}
	h.mu.Unlock()
	switch h.roll(8) {
	case 0:
		_ = d.Nack(ctx, 0)
	case 1:
		_ = d.Nack(ctx, time.Duration(1+h.roll(40))*time.Millisecond)
		h.doubt(d.ID)
	case 2: // left in hand
	default:
		if d.Ack(ctx) == nil {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.done[d.ID] = true
			select {
			case h.more <- struct{}{}:
			default:
			}
			return true
		}
	}
	return false
}

func (h *history) keep(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.kept[id] = true
	}
}

// doubt is about an event that may be there twice: a delayed copy is, until its original is
// settled in a commit.
func (h *history) doubt(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.twice[id] = true
}

func (h *history) roll(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dice.IntN(n)
}

// leftovers acknowledges what comes yet, and wants nothing to come then.
func (h *history) leftovers(events int) {
	c := subscribe(h.t, h.tr, mail)
	for {
		quiet := 300 * time.Millisecond
		if !h.complete(events) {
			quiet = patience
		}
		ctx, cancel := context.WithTimeout(context.Background(), quiet)
		ds, err := c.Receive(ctx, 100)
		cancel()
		if err != nil {
			break
		}
		ack(h.t, ds...)
		for _, d := range ds {
			h.done[d.ID] = true
		}
	}
	commit(h.t, c)
	closed(h.t, c)
	nothing(h.t, subscribe(h.t, h.tr, mail))
}

// show tells where events are that did not come, and where the group is.
func (h *history) show() {
	offsets, err := h.admin().FetchOffsets(bounded(h.t), "mail")
	if err != nil {
		h.t.Error(err)
	}
	for _, at := range offsets.Sorted() {
		h.t.Logf("%s/%d: %d %q", at.Topic, at.Partition, at.At, at.Metadata)
	}
	reader := h.client(kgo.ConsumeTopics("orders", "mail.direct"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			for _, header := range r.Headers {
				if header.Key == "ce_id" && !h.done[string(header.Value)] {
					h.t.Logf("%s is in %s/%d at %d", header.Value, r.Topic, r.Partition, r.Offset)
				}
			}
		})
	}
}
