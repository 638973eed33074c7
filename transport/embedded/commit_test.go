package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/storage/vfs"
)

// TestConsumedAndPublishedIsOneStep moves numbers from one topic to another, with a fact that counts them, over
// power cuts at any moment and without an inbox: each is there once.
func TestConsumedAndPublishedIsOneStep(t *testing.T) {
	const n = 60
	for seed := range uint64(12) {
		dice := rand.New(rand.NewPCG(seed, 5))
		fs := vfs.NewMem()
		h := start(t, fs, Config{Partitions: 2, Lease: 10 * time.Millisecond})
		in, out := tidings.Subscription{Group: "mover", Topics: []string{"in"}}, tidings.Subscription{Group: "sink", Topics: []string{"out"}}
		for _, s := range []tidings.Subscription{in, out} {
			if err := h.t.Declare(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			e := event("in", fmt.Sprint("k", i%7), i)
			if i%5 == 0 {
				e.Kind, e.Topic = tidings.KindCommand, "mover"
			}
			h.publish(t, e)
		}
		for moved := 0; moved < n; {
			fs.CutAfter(5 + dice.IntN(60))
			h.moveAll(t, in, dice)
			h.close()
			fs = fs.Crash(dice)
			h = start(t, fs, Config{Partitions: 2, Lease: 10 * time.Millisecond})
			moved = 0
			for range h.b.Facts("moved").All("") {
				moved++
			}
		}
		got := ids(receive(t, h.subscribe(t, out), n))
		if len(slices.Compact(slices.Clone(got))) != n {
			t.Fatalf("seed %d: got %v", seed, got)
		}
		h.close()
	}
}

// moveAll moves until the disk fails, or nothing comes.
func (h *host) moveAll(t *testing.T, in tidings.Subscription, dice *rand.Rand) {
	c, err := h.t.Subscribe(t.Context(), in)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for h.b.Err() == nil {
		got, err := c.Receive(ctx, 1+dice.IntN(9))
		if err != nil {
			return
		}
		dice.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		for len(got) > 0 {
			some := 1 + dice.IntN(len(got))
			if h.moveSome(t, got[:some]) != nil {
				return
			}
			got = got[some:]
		}
	}
}

func (h *host) moveSome(t *testing.T, ds []*tidings.Delivery) error {
	tx := h.b.Begin()
	for _, d := range ds {
		e := d.Event
		e.Kind, e.Topic = tidings.KindEvent, "out"
		tx.PutFact("moved", e.ID, []byte("1"))
		if err := h.t.Enlist(tx, e); err != nil {
			return err
		}
	}
	_, err := h.t.CommitWith(t.Context(), tx, ds...)
	return err
}

func TestATransactionThatIsRefusedSettlesNothing(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 1})
	c := h.subscribe(t, one("g"))
	command := event("g", "k", 2)
	command.Kind = tidings.KindCommand
	h.publish(t, event("orders", "k", 1), command)
	held := receive(t, c, 2)
	tx := h.b.Begin()
	tx.PutFact("f", string(make([]byte, 1000)), nil) // a key that is too long
	if _, err := h.t.CommitWith(t.Context(), tx, held...); !errors.Is(err, tidings.ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	for _, d := range held {
		if err := d.Nack(t.Context(), 0); err != nil {
			t.Errorf("nack %s: %v", d.ID, err)
		}
	}
	again := receive(t, c, 2)
	tx = h.b.Begin()
	tx.PutFact("f", "k", nil)
	confirm, err := h.t.CommitWith(t.Context(), tx, again...)
	if err != nil {
		t.Fatal(err)
	}
	if err := confirm.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range again {
		if err := d.Ack(t.Context()); !errors.Is(err, tidings.ErrLost) {
			t.Errorf("ack %s: %v", d.ID, err)
		}
		if _, err := h.t.CommitWith(t.Context(), h.b.Begin(), d); !errors.Is(err, tidings.ErrLost) {
			t.Errorf("commit with %s: %v", d.ID, err)
		}
	}
	stranger := &tidings.Delivery{}
	if _, err := h.t.CommitWith(t.Context(), h.b.Begin(), stranger); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

// TestWhatCannotBeWrittenIsNotSettled: a position has room for about 1,500 holes.
func TestWhatCannotBeWrittenIsNotSettled(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 1})
	s := one("g")
	s.Window = 10_000
	c := h.subscribe(t, s)
	var all []tidings.Event
	for n := range 8000 {
		all = append(all, event("orders", "k", n))
	}
	h.publish(t, all...)
	held := receive(t, c, len(all))
	for n := 1; n < len(held)-1; n += 2 {
		ack(t, held[n])
	}
	last := held[len(held)-2]
	if _, err := h.t.CommitWith(t.Context(), h.b.Begin(), last); !errors.Is(err, errRoom) {
		t.Fatalf("got %v", err)
	}
	if _, err := h.t.CommitWith(t.Context(), h.b.Begin(), held[0]); err != nil {
		t.Error(err)
	}
	if err := last.Nack(t.Context(), time.Millisecond); err != nil { // by a copy, and without a transaction
		t.Error(err)
	}
	if again := receive(t, c, 1)[0]; again.ID != last.ID || again.Attempt != 2 {
		t.Errorf("got %s, attempt %d", again.ID, again.Attempt)
	}
}

func TestACommitThatComesAfterTheLeaseIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, vfs.NewMem(), Config{Lease: time.Second})
		c := h.subscribe(t, tidings.Subscription{Group: "g"})
		command := event("g", "k", 1)
		command.Kind = tidings.KindCommand
		h.publish(t, command)
		first := receive(t, c, 1)[0]
		time.Sleep(2 * time.Second)
		second := receive(t, c, 1)[0]
		if _, err := h.t.CommitWith(t.Context(), h.b.Begin(), first); !errors.Is(err, tidings.ErrLost) {
			t.Errorf("got %v", err)
		}
		if _, err := h.t.CommitWith(t.Context(), h.b.Begin(), second); err != nil {
			t.Error(err)
		}
	})
}
