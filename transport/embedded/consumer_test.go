package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
)

// one is a subscription to one topic.
func one(group string) tidings.Subscription {
	return tidings.Subscription{Group: group, Topics: []string{"orders"}}
}

func closeIt(t *testing.T, c tidings.Consumer) {
	t.Helper()
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestWhereAGroupBeginsIsDurableFromItsDeclaration on.
func TestWhereAGroupBeginsIsDurableFromItsDeclaration(t *testing.T) {
	fs := vfs.NewMem()
	h := start(t, fs, Config{})
	h.publish(t, event("orders", "k", 1))
	early, late := one("early"), one("late")
	early.From = tidings.Earliest
	for _, s := range []tidings.Subscription{early, late} {
		if err := h.t.Declare(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	h.publish(t, event("orders", "k", 2))
	h = start(t, fs.Crash(rand.New(rand.NewPCG(1, 1))), Config{})
	early.From, late.From = tidings.Latest, tidings.Earliest // which is not asked any more
	if got := ids(receive(t, h.subscribe(t, early), 2)); !slices.Equal(got, []string{"k-1", "k-2"}) {
		t.Errorf("early got %v", got)
	}
	if got := ids(receive(t, h.subscribe(t, late), 1)); !slices.Equal(got, []string{"k-2"}) {
		t.Errorf("late got %v", got)
	}
}

func TestCloseGivesBackWhatIsNotSettled(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, one("g"))
	command := event("g", "k", 4)
	command.Kind = tidings.KindCommand
	h.publish(t, event("orders", "k", 1), event("orders", "k", 2), event("orders", "k", 3), command)
	held := receive(t, c, 4)
	ack(t, byID(held, "k-2"))
	closeIt(t, c)
	for _, d := range held {
		if err := d.Ack(t.Context()); !errors.Is(err, tidings.ErrLost) {
			t.Errorf("ack of %s after close: %v", d.ID, err)
		}
	}
	again := receive(t, h.subscribe(t, one("g")), 3)
	if got := ids(again); !slices.Equal(got, []string{"k-1", "k-3", "k-4"}) {
		t.Errorf("got %v", got)
	}
	for _, d := range again {
		if d.Attempt != 2 {
			t.Errorf("%s is attempt %d", d.ID, d.Attempt)
		}
	}
}

// TestAPartitionMovesWhenNothingOfItIsInHand any more.
func TestAPartitionMovesWhenNothingOfItIsInHand(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 2})
	first := h.subscribe(t, one("g"))
	keys := [2]string{}
	for n := 0; keys[0] == "" || keys[1] == ""; n++ {
		key := fmt.Sprint("k", n)
		keys[broker.KeyPartition([]byte(key), 2)] = key
	}
	h.publish(t, event("orders", keys[0], 1), event("orders", keys[1], 1), event("orders", keys[0], 2), event("orders", keys[1], 2))
	held := receive(t, first, 4)
	second := h.subscribe(t, one("g"))
	h.publish(t, event("orders", keys[0], 3), event("orders", keys[1], 3))
	stays := receive(t, first, 1)
	moves := slices.DeleteFunc(held, func(d *tidings.Delivery) bool { return d.Lane == stays[0].Lane })
	for _, d := range moves {
		nothing(t, first)
		nothing(t, second) // what is its own by now is in the hands of the first
		if err := d.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	got := receive(t, second, 3)
	if got[0].ID != moves[0].ID || got[0].Attempt != 2 || got[2].Key != moves[0].Key || got[2].Attempt != 1 {
		t.Errorf("got %v", ids(got))
	}
	closeIt(t, first)
	if got := receive(t, second, 3); got[0].Lane != stays[0].Lane {
		t.Errorf("got %v of %s", ids(got), got[0].Lane)
	}
}

// TestTransportsOfABrokerShareAGroup: a program may have several.
func TestTransportsOfABrokerShareAGroup(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	other := New(h.b, Config{})
	defer other.Close(context.Background())
	a := h.subscribe(t, one("g"))
	b, err := other.Subscribe(t.Context(), one("g"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		h.publish(t, event("orders", fmt.Sprint("k", n), n))
	}
	lanes := map[string]tidings.Consumer{}
	for _, c := range []tidings.Consumer{a, b} {
		for _, d := range receiveUntil(t, c, time.Now().Add(50*time.Millisecond)) {
			if lanes[d.Lane] == nil {
				lanes[d.Lane] = c
			} else if lanes[d.Lane] != c {
				t.Errorf("%s is read by both", d.Lane)
			}
		}
	}
	n := 0
	for _, c := range lanes {
		if c == a {
			n++
		}
	}
	if len(lanes) != 8 || n != 4 {
		t.Errorf("%d of %d partitions are the first one's", n, len(lanes))
	}
}

func TestANackWithADelayLeavesThePartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		h := start(t, fs, Config{Partitions: 1})
		c, other := h.subscribe(t, one("g")), h.subscribe(t, one("other"))
		h.publish(t, event("orders", "k", 1), event("orders", "k", 2))
		held := receive(t, c, 2)
		ack(t, receive(t, other, 2)...)
		at := time.Now().Add(time.Hour)
		if err := held[0].Nack(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		ack(t, held[1])
		if err := c.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g, _ := h.b.Group("", "g"); g != nil {
			if at, _ := g.Cursor("orders", 0); at.Offset != 2 {
				t.Errorf("the group is at %d", at.Offset)
			}
		}
		h.close()
		h = start(t, fs.Crash(rand.New(rand.NewPCG(2, 2))), Config{Partitions: 1})
		c, other = h.subscribe(t, one("g")), h.subscribe(t, one("other"))

		ctx, cancel := context.WithDeadline(t.Context(), at.Add(time.Second))
		defer cancel()
		again, err := c.Receive(ctx, 10)
		if err != nil || len(again) != 1 || time.Now().Before(at) {
			t.Fatalf("got %v, %v", ids(again), err)
		}
		equal(t, again[0].Event, event("orders", "k", 1))
		if again[0].Attempt != 2 || again[0].Kind != tidings.KindEvent {
			t.Errorf("attempt %d of a %v", again[0].Attempt, again[0].Kind)
		}
		if err := again[0].Nack(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if again := receiveUntil(t, c, time.Now().Add(61*time.Second)); len(again) != 1 || again[0].Attempt != 3 {
			t.Errorf("got %v", ids(again))
		}
		if got := receiveUntil(t, other, time.Now().Add(time.Minute)); len(got) > 0 {
			t.Errorf("another group got %v too", ids(got))
		}
	})
}

func TestALeaseThatEndsBringsTheEventBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, vfs.NewMem(), Config{Lease: 10 * time.Second})
		c := h.subscribe(t, tidings.Subscription{Group: "g"})
		command := event("g", "k", 1)
		command.Kind = tidings.KindCommand
		h.publish(t, command)
		first := receive(t, c, 1)[0]
		if d := time.Until(first.Deadline); d != 10*time.Second {
			t.Errorf("leased for %v", d)
		}
		time.Sleep(9 * time.Second)
		if err := first.Extend(t.Context(), 5*time.Second); err != nil {
			t.Error(err)
		}
		if got := receiveUntil(t, c, time.Now().Add(4*time.Second)); len(got) > 0 {
			t.Errorf("got %v", ids(got))
		}
		time.Sleep(2 * time.Second)
		if err := first.Extend(t.Context(), time.Second); !errors.Is(err, tidings.ErrLost) {
			t.Errorf("late extend: %v", err)
		}
		second := receiveUntil(t, c, time.Now().Add(time.Second))
		if len(second) != 1 || second[0].Attempt != 2 {
			t.Fatalf("got %v", ids(second))
		}
		if err := second[0].Nack(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if third := receiveUntil(t, c, time.Now().Add(time.Second)); len(third) != 1 || third[0].Attempt != 3 {
			t.Errorf("got %v", ids(third))
		}
	})
}

// TestWhatWaitedLongIsNotHandedOverAfterItsLease: its reader had no room for it.
func TestWhatWaitedLongIsNotHandedOverAfterItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, vfs.NewMem(), Config{Lease: 10 * time.Second})
		c := h.subscribe(t, tidings.Subscription{Group: "g", Window: 1})
		for n := range 2 {
			command := event("g", fmt.Sprint("k", n), n)
			command.Kind = tidings.KindCommand
			h.publish(t, command)
		}
		first := receive(t, c, 1)[0]
		time.Sleep(30 * time.Second)
		if err := first.Nack(t.Context(), 0); !errors.Is(err, tidings.ErrLost) {
			t.Errorf("nack after the lease: %v", err)
		}
		got := map[string]bool{}
		for range 2 {
			d := receive(t, c, 1)[0]
			if got[d.ID] = true; time.Until(d.Deadline) < 5*time.Second {
				t.Errorf("%s is leased for %v", d.ID, time.Until(d.Deadline))
			}
			ack(t, d)
		}
		if len(got) != 2 {
			t.Errorf("got %v", got)
		}
	})
}

func TestWhatIsSettledIsWrittenAMomentLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, vfs.NewMem(), Config{Partitions: 1})
		c := h.subscribe(t, one("g"))
		h.publish(t, event("orders", "k", 1))
		ack(t, receive(t, c, 1)...)
		at := func() broker.Cursor {
			g, err := h.b.Group("", "g")
			if err != nil {
				t.Fatal(err)
			}
			at, _ := g.Cursor("orders", 0)
			return at
		}
		time.Sleep(saveAfter)
		synctest.Wait()
		if got := at(); got.Offset != 1 {
			t.Errorf("at %d", got.Offset)
		}
		// A listener for Kafka must not think that it is abandoned.
		before := at().Time
		time.Sleep(refreshInterval + saveAfter)
		synctest.Wait()
		if got := at().Time; got.Sub(before) < refreshInterval {
			t.Errorf("written at %v, and at %v", before, got)
		}
	})
}

func TestRetentionThatPassesAGroupIsTold(t *testing.T) {
	var log bytes.Buffer
	h := start(t, vfs.NewMem(), Config{Partitions: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := h.t.Declare(t.Context(), one("g")); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		h.publish(t, event("orders", "k", n))
	}
	topic, err := h.b.Topic("", "orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Partition(0).Trim(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	c := h.subscribe(t, one("g"))
	if got := ids(receive(t, c, 2)); !slices.Equal(got, []string{"k-3", "k-4"}) {
		t.Errorf("got %v", got)
	}
	if _, err := topic.Partition(0).Trim(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	nothing(t, c)
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.t.Stats().Lost; got != 3 || !strings.Contains(log.String(), "events=3") {
		t.Errorf("lost %d:\n%s", got, log.String())
	}
}

func TestPartitionsThatATopicGetsAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, vfs.NewMem(), Config{Partitions: 1})
		c := h.subscribe(t, one("g"))
		got := make(chan []*tidings.Delivery)
		go func() { got <- receiveUntil(t, c, time.Now().Add(time.Second)) }()
		synctest.Wait()
		if err := h.b.GrowTopic(t.Context(), "", "orders", 4); err != nil {
			t.Error(err)
		}
		topic, _ := h.b.Topic("", "orders")
		for i := 1; i < 4; i++ {
			if _, err := topic.Partition(i).Write(t.Context(), broker.Record{Value: []byte("x")}); err != nil {
				t.Error(err)
			}
		}
		if got := <-got; len(got) != 3 {
			t.Errorf("got %v", ids(got))
		}
	})
}

// TestAnOperatorMovesAGroupThatHasNoConsumers.
func TestAnOperatorMovesAGroupThatHasNoConsumers(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 1})
	c := h.subscribe(t, one("g"))
	h.publish(t, event("orders", "k", 1), event("orders", "k", 2))
	ack(t, receive(t, c, 2)...)
	closeIt(t, c)
	topic, err := h.b.Topic("", "orders")
	if err != nil {
		t.Fatal(err)
	}
	tx := h.b.Begin()
	tx.SaveCursor("", "g", topic.Partition(0), broker.Cursor{Offset: 1})
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ids(receive(t, h.subscribe(t, one("g")), 1)); !slices.Equal(got, []string{"k-2"}) {
		t.Errorf("got %v", got)
	}
}

func TestATemporaryGroupGoesWithItsConsumer(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	s := one("answers")
	s.Temporary = true
	c := h.subscribe(t, s)
	if _, err := h.t.Subscribe(t.Context(), s); !errors.Is(err, broker.Denied) {
		t.Errorf("a second consumer: %v", err)
	}
	reply := event("answers", "k", 1)
	reply.Kind = tidings.KindReply
	h.publish(t, reply, event("orders", "k", 2))
	ack(t, receive(t, c, 2)...)
	closeIt(t, c)
	wantFailed(t, h.t.Publish(t.Context(), reply), tidings.ErrUnroutable, 0)
	if _, err := h.b.Group("", "answers"); !errors.Is(err, broker.NotFound) {
		t.Errorf("the group is there: %v", err)
	}
}

func TestAQueueThatKeepsNoOrderIsNoAddress(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	if _, _, err := h.b.DeclareQueue(t.Context(), broker.QueueSpec{Name: "g", Durable: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.t.Subscribe(t.Context(), one("g")); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	command := event("g", "k", 1)
	command.Kind = tidings.KindCommand
	h.publish(t, command) // for whoever reads it
}

func TestATopicThatIsDeletedEndsReading(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{})
	c := h.subscribe(t, one("g"))
	h.publish(t, event("orders", "k", 1))
	ack(t, receive(t, c, 1)...)
	if err := h.b.DeleteTopic(t.Context(), "", "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(t.Context(), 1); !errors.Is(err, broker.NotFound) {
		t.Errorf("got %v", err)
	}
	closeIt(t, c)
	c = h.subscribe(t, one("g"))
	h.publish(t, event("orders", "k", 2))
	receive(t, c, 1)
}

// TestAPartitionStaysWhileItIsRead, and then it moves.
func TestAPartitionStaysWhileItIsRead(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 2})
	first := h.subscribe(t, one("g")).(*consumer)
	for n := range 20 {
		h.publish(t, event("orders", fmt.Sprint("k", n), n))
	}
	_, parts, room, err := first.begin(100)
	if err != nil {
		t.Fatal(err)
	}
	read, err := first.read(parts, room)
	if err != nil || len(read) != 20 {
		t.Fatal(len(read), err)
	}
	second := h.subscribe(t, one("g"))
	nothing(t, second)
	got := first.handOver(nil, read)
	got = append(got, receive(t, second, 20-len(got))...)
	if len(slices.Compact(ids(got))) != 20 {
		t.Errorf("got %v", ids(got))
	}
}

// TestWhatWasReadForAPartitionThatMovesComesAgain, also to the same consumer.
func TestWhatWasReadForAPartitionThatMovesComesAgain(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 2})
	first := h.subscribe(t, one("g")).(*consumer)
	for n := range 20 {
		h.publish(t, event("orders", fmt.Sprint("k", n), n))
	}
	held := receive(t, first, 2) // of both, so that none moves
	_, parts, room, err := first.begin(100)
	if err != nil {
		t.Fatal(err)
	}
	read, err := first.read(parts, room)
	if err != nil {
		t.Fatal(err)
	}
	second := h.subscribe(t, one("g"))
	held = append(held, first.handOver(nil, read)...)
	closeIt(t, second)
	held = append(held, receive(t, first, 20-len(held))...)
	if len(slices.Compact(ids(held))) != 20 {
		t.Errorf("got %v", ids(held))
	}
}

// TestAWaitingReceiveIsWoken by what is settled, where its window was full, and by what is given back.
func TestAWaitingReceiveIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, vfs.NewMem(), Config{Partitions: 1})
		s := one("g")
		s.Window = 1
		c := h.subscribe(t, s)
		h.publish(t, event("orders", "k", 1), event("orders", "k", 2))
		first := receive(t, c, 1)[0]
		for _, settle := range []func(context.Context) error{
			func(ctx context.Context) error { return first.Nack(ctx, 0) },
			func(ctx context.Context) error { return first.Ack(ctx) },
		} {
			got := make(chan *tidings.Delivery)
			go func() { got <- receive(t, c, 1)[0] }()
			synctest.Wait()
			if err := settle(t.Context()); err != nil {
				t.Error(err)
			}
			first = <-got
		}
		if first.ID != "k-2" {
			t.Errorf("got %s", first.ID)
		}
		closeIt(t, c)
		c = h.subscribe(t, one("wide"))
		h.publish(t, event("orders", "k", 3))
		first = receive(t, c, 1)[0]
		got := make(chan *tidings.Delivery)
		go func() { got <- receive(t, c, 1)[0] }()
		synctest.Wait()
		if err := first.Nack(t.Context(), 0); err != nil {
			t.Error(err)
		}
		<-got
	})
}

// TestPositionsAreWrittenByWhoeverIsLeft of several transports.
func TestPositionsAreWrittenByWhoeverIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, vfs.NewMem(), Config{Partitions: 1})
		h.subscribe(t, one("g"))
		other := New(h.b, Config{})
		defer other.Close(context.Background())
		c, err := other.Subscribe(t.Context(), one("g"))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.t.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := other.Publish(t.Context(), event("orders", "k", 1)); err != nil {
			t.Fatal(err)
		}
		ack(t, receive(t, c, 1)...)
		time.Sleep(saveAfter)
		synctest.Wait()
		g, err := h.b.Group("", "g")
		if err != nil {
			t.Fatal(err)
		}
		if at, _ := g.Cursor("orders", 0); at.Offset != 1 {
			t.Errorf("at %d", at.Offset)
		}
	})
}

// TestNobodyLeavesDuringACommit: what it settles would be given back.
func TestNobodyLeavesDuringACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, vfs.NewMem(), Config{Partitions: 1})
		c := h.subscribe(t, one("g")).(*consumer)
		if err := c.g.takeTurn(t.Context()); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error)
		go func() { closed <- c.Close(context.Background()) }()
		synctest.Wait()
		c.g.mu.Lock()
		if len(c.parts) != 1 {
			t.Error("it has left")
		}
		c.g.mu.Unlock()
		c.g.giveTurn()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}
