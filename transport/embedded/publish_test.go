package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/storage/vfs"
)

// wantFailed wants a *tidings.PublishError that names events.
func wantFailed(t *testing.T, err, kind error, failed ...int) {
	t.Helper()
	p, ok := errors.AsType[*tidings.PublishError](err)
	if !ok || !slices.Equal(p.Failed, failed) || !errors.Is(err, kind) {
		t.Errorf("got %v, want %v of %v", err, kind, failed)
	}
}

func TestAnEventThatCannotBePublishedKeepsNoneBack(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}})
	unencoded := tidings.Define[func()]("orders", "t").New(func() {})
	large := event("orders", "k", 2)
	large.Payload = make([]byte, 2<<20)
	nowhere := event("", "k", 3)
	reply := event("nobody", "k", 4)
	reply.Kind = tidings.KindReply
	err := h.t.Publish(t.Context(), event("orders", "k", 1), large, nowhere, reply, unencoded,
		event("not a name", "k", 5), event("orders", "k", 6))
	wantFailed(t, err, tidings.ErrTooLarge, 1, 2, 3, 4, 5)
	if got := ids(receive(t, c, 2)); !slices.Equal(got, []string{"k-1", "k-6"}) {
		t.Errorf("got %v", got)
	}
	wantFailed(t, h.t.Publish(t.Context(), reply), tidings.ErrUnroutable, 0)
	wantFailed(t, h.t.Publish(t.Context(), unencoded), unencoded.Err(), 0)
	nothing(t, c)
}

func TestOneCallMayBeMoreThanABatch(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 1})
	c := h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}})
	var all []tidings.Event
	for n := range 20 {
		all = append(all, event("orders", "k", n))
		all[n].Payload = bytes.Repeat([]byte{byte(n)}, 200<<10)
	}
	h.publish(t, all...)
	for n, d := range receive(t, c, len(all)) {
		if d.ID != all[n].ID || !bytes.Equal(d.Payload, all[n].Payload) {
			t.Fatalf("%d is %s with %d bytes", n, d.ID, len(d.Payload))
		}
	}
}

func TestMaxBytesIsWhatFits(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	e := event("orders", "k", 1)
	var s scratch
	rec := s.record(&e)
	e.Payload = make([]byte, h.t.Capabilities().MaxBytes-(recordBound(&rec)-len(rec.Value)))
	h.publish(t, e)
	e.Payload = make([]byte, h.t.Capabilities().MaxBytes+1)
	wantFailed(t, h.t.Publish(t.Context(), e), tidings.ErrTooLarge, 0)
}

// TestACallIsOneStep cuts the power within calls that go to many partitions and to an address.
func TestACallIsOneStep(t *testing.T) {
	for seed := range uint64(40) {
		dice := rand.New(rand.NewPCG(seed, 9))
		fs := vfs.NewMem()
		h := start(t, fs, Config{})
		s := tidings.Subscription{Group: "g", Topics: []string{"orders"}}
		if err := h.t.Declare(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		command := event("g", "k", 100)
		command.Kind = tidings.KindCommand
		events := []tidings.Event{command}
		for n := range 10 {
			events = append(events, event("orders", fmt.Sprint("k", n), n))
		}
		fs.CutAfter(1 + dice.IntN(4))
		kept := h.t.Publish(t.Context(), events...) == nil
		h.close()
		h = start(t, fs.Crash(dice), Config{})
		n := h.count(t)
		h.close()
		if n != 0 && n != len(events) || kept && n == 0 {
			t.Fatalf("seed %d: %d of %d are there, acknowledged: %v", seed, n, len(events), kept)
		}
	}
}

// count is how many events are in the topic, and in the address of the group.
func (h *host) count(t *testing.T) int {
	t.Helper()
	topic, err := h.b.Topic("", "orders")
	if err != nil {
		t.Fatal(err)
	}
	q, err := h.b.Queue("", "g")
	if err != nil {
		t.Fatal(err)
	}
	n := int(q.Stats().Ready)
	for i := range topic.Partitions() {
		_, end := topic.Partition(i).Bounds()
		n += int(end)
	}
	return n
}

func TestATopicThatWasDeletedIsMadeAgain(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	h.publish(t, event("orders", "k", 1))
	if err := h.b.DeleteTopic(t.Context(), "", "orders"); err != nil {
		t.Fatal(err)
	}
	h.publish(t, event("orders", "k", 2))
	got := receive(t, h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}, From: tidings.Earliest}), 1)
	if got[0].ID != "k-2" {
		t.Errorf("got %s", got[0].ID)
	}
}

// TestPublishAtIsOnceAndAtItsTime, also over a restart.
func TestPublishAtIsOnceAndAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		h := start(t, fs, Config{})
		s := tidings.Subscription{Group: "g", Topics: []string{"orders"}}
		if err := h.t.Declare(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		command := event("g", "k", 2)
		command.Kind = tidings.KindCommand
		at := time.Now().Add(time.Hour)
		for _, e := range []tidings.Event{event("orders", "k", 1), command} {
			if err := h.t.PublishAt(t.Context(), at, e); err != nil {
				t.Fatal(err)
			}
		}
		h.close()
		h = start(t, fs.Kill(), Config{})
		c := h.subscribe(t, s)
		got := receiveUntil(t, c, at.Add(10*time.Second))
		for _, d := range got {
			if time.Now().Before(at) {
				t.Errorf("%s came %v early", d.ID, time.Until(at))
			}
		}
		if got := ids(got); !slices.Equal(got, []string{"k-1", "k-2"}) {
			t.Errorf("got %v", got)
		}
		equal(t, byID(got, "k-1").Event, event("orders", "k", 1))
		equal(t, byID(got, "k-2").Event, command)
	})
}

func byID(ds []*tidings.Delivery, id string) *tidings.Delivery {
	return ds[slices.IndexFunc(ds, func(d *tidings.Delivery) bool { return d.ID == id })]
}

// receiveUntil receives until a time.
func receiveUntil(t *testing.T, c tidings.Consumer, at time.Time) (got []*tidings.Delivery) {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), at)
	defer cancel()
	for {
		more, err := c.Receive(ctx, 100)
		if errors.Is(err, context.DeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, more...)
	}
}

func TestEnlistHappensWithItsTransactionOrNotAtAll(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}})
	command := event("g", "k", 2)
	command.Kind = tidings.KindCommand
	for range 2 { // the first is never committed
		tx := h.b.Begin()
		tx.PutFact("test", "balance", []byte("5"))
		if err := h.t.Enlist(tx, event("orders", "k", 1), command); err != nil {
			t.Fatal(err)
		}
		if err := h.t.EnlistAt(tx, time.Now().Add(30*time.Millisecond), event("orders", "k", 3)); err != nil {
			t.Fatal(err)
		}
		nothing(t, c)
		if _, there := h.b.Facts("test").Get("balance"); there {
			t.Error("a fact of a transaction that is not committed")
		}
		if tx.Release(); t.Failed() {
			return
		}
	}
	tx := h.b.Begin()
	tx.PutFact("test", "balance", []byte("5"))
	if err := h.t.Enlist(tx, event("orders", "k", 1), command); err != nil {
		t.Fatal(err)
	}
	if err := h.t.EnlistAt(tx, time.Now().Add(30*time.Millisecond), event("orders", "k", 3)); err != nil {
		t.Fatal(err)
	}
	confirm, err := tx.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := confirm.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ids(receive(t, c, 3)); !slices.Equal(got, []string{"k-1", "k-2", "k-3"}) {
		t.Errorf("got %v", got)
	}
}

func TestEnlistAddsNothingWhereAnEventCannotBePublished(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}})
	large := event("orders", "k", 2)
	large.Payload = make([]byte, 2<<20)
	tx := h.b.Begin()
	wantFailed(t, h.t.Enlist(tx, event("orders", "k", 1), large), tidings.ErrTooLarge, 1)
	wantFailed(t, h.t.EnlistAt(tx, time.Now().Add(time.Hour), event("orders", "k", 1), large), tidings.ErrTooLarge, 1)
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	nothing(t, c)
}

func TestAClosedTransportPublishesNothing(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}})
	if err := h.t.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"publish":    h.t.Publish(t.Context(), event("orders", "k", 1)),
		"publish at": h.t.PublishAt(t.Context(), time.Now().Add(time.Hour), event("orders", "k", 1)),
		"enlist":     h.t.Enlist(h.b.Begin(), event("orders", "k", 1)),
		"declare":    h.t.Declare(t.Context(), tidings.Subscription{Group: "g"}),
	} {
		if !errors.Is(err, tidings.ErrClosed) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := c.Receive(t.Context(), 1); !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("receive: got %v", err)
	}
}

// TestEventsWithoutAKeyAreSpread over partitions, those of a call together.
func TestEventsWithoutAKeyAreSpread(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 4})
	for n := range 8 {
		h.publish(t, event("orders", "", 2*n), event("orders", "", 2*n+1))
	}
	topic, err := h.b.Topic("", "orders")
	if err != nil {
		t.Fatal(err)
	}
	for i := range topic.Partitions() {
		if _, end := topic.Partition(i).Bounds(); end != 4 {
			t.Errorf("partition %d has %d events, want 4", i, end)
		}
	}
}

func TestWhatReadersWouldNotTakeIsRefused(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	for what, spoil := range map[string]func(e *tidings.Event){
		"no type":     func(e *tidings.Event) { e.Type = "" },
		"no source":   func(e *tidings.Event) { e.Source = "" },
		"a name":      func(e *tidings.Event) { e.Extensions = map[string]string{"Color": "red"} },
		"a long name": func(e *tidings.Event) { e.Extensions = map[string]string{strings.Repeat("x", 250): "red"} },
		"another id":  func(e *tidings.Event) { e.Extensions = map[string]string{"id": "other"} },
		"a kind":      func(e *tidings.Event) { e.Extensions = map[string]string{"messagekind": "reply"} },
	} {
		for _, kind := range []tidings.Kind{tidings.KindEvent, tidings.KindCommand} {
			e := event("orders", "k", 1)
			spoil(&e)
			e.Kind = kind
			if h.t.Publish(t.Context(), e) == nil {
				t.Errorf("%s: a %v is not refused", what, kind)
			}
			if h.t.PublishAt(t.Context(), time.Now().Add(time.Hour), e) == nil {
				t.Errorf("%s: a %v for later is not refused", what, kind)
			}
		}
	}
}

func TestWhatIsNoScheduledEventIsPutAside(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, tidings.Subscription{Group: "g", Topics: []string{"orders"}})
	aside := h.subscribe(t, tidings.Subscription{Group: tidings.DeadLetters(scheduledQueue)})
	stray := event(scheduledQueue, "k", 1)
	stray.Kind = tidings.KindCommand
	h.publish(t, stray)
	at := time.Now().Add(time.Millisecond)
	if err := h.t.PublishAt(t.Context(), at, event("orders", "k", 2)); err != nil {
		t.Fatal(err)
	}
	if got := ids(receive(t, c, 1)); !slices.Equal(got, []string{"k-2"}) {
		t.Errorf("got %v", got)
	}
	if got := ids(receive(t, aside, 1)); !slices.Equal(got, []string{"k-1"}) {
		t.Errorf("put aside: %v", got)
	}
}
