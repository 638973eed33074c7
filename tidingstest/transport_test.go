package tidingstest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

type placed struct{ Order string }

var (
	orderPlaced = tidings.Define("orders", "shop.order.placed.v1",
		tidings.KeyBy(func(p placed) string { return p.Order }))
	chargeCard = tidings.DefineCommand[placed]("payments", "shop.charge.v1")
)

func order(n int) tidings.Event {
	e := orderPlaced.New(placed{fmt.Sprintf("o-%d", n)}, tidings.WithID(fmt.Sprintf("id-%d", n)))
	e.Source = "shop"
	return e
}

func orders(n int) (events []tidings.Event) {
	for i := range n {
		events = append(events, order(i))
	}
	return events
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %+v\nwant %+v", what, got, want)
	}
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func subscribe(t *testing.T, b *tidingstest.Transport, group string) tidings.Consumer {
	t.Helper()
	c, err := b.Subscribe(t.Context(), tidings.Subscription{Group: group, Topics: []string{"orders"}})
	is(t, "subscribe", err, nil)
	return c
}

// receive takes what comes until nothing has come for ten seconds, which is less than the lease.
func receive(t *testing.T, c tidings.Consumer) (ds []*tidings.Delivery) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		more, err := c.Receive(ctx, 10)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return ds
		}
		is(t, "receive", err, nil)
		ds = append(ds, more...)
	}
}

func ids(ds []*tidings.Delivery) (ids []string) {
	for _, d := range ds {
		ids = append(ids, fmt.Sprintf("%s/%d", d.ID, d.Attempt))
	}
	slices.Sort(ids)
	return ids
}

// handle acknowledges everything that comes, and returns how often each event came.
func handle(t *testing.T, c tidings.Consumer) map[string]int {
	t.Helper()
	times := map[string]int{}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ds, err := c.Receive(ctx, 1)
		cancel()
		if err != nil {
			return times
		}
		times[ds[0].ID]++
		is(t, "ack", ds[0].Ack(t.Context()), nil)
	}
}

func TestCrashForgetsAcksThatWereNotCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tidingstest.NewTransport(tidingstest.WithLease(0))
		c := subscribe(t, b, "billing")
		is(t, "publish", b.Publish(t.Context(), orders(4)...), nil)
		ds := receive(t, c)
		is(t, "ack", ds[0].Ack(t.Context()), nil)
		is(t, "commit", c.Commit(t.Context()), nil)
		is(t, "ack", ds[1].Ack(t.Context()), nil)
		is(t, "nack", ds[2].Nack(t.Context(), time.Hour), nil)
		b.Crash()
		if _, err := c.Receive(t.Context(), 1); err == nil {
			t.Error("the consumer survived a crash")
		}
		equal(t, "pending", b.Pending("billing"), 3)
		again := receive(t, subscribe(t, b, "billing"))
		equal(t, "again", ids(again), []string{ds[1].ID + "/2", ds[3].ID + "/2"})
	})
}

func TestACrashForgetsNoAckOfMoreThanASecondAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tidingstest.NewTransport()
		c := subscribe(t, b, "billing")
		is(t, "publish", b.Publish(t.Context(), orders(2)...), nil)
		for _, d := range receive(t, c) {
			is(t, "ack", d.Ack(t.Context()), nil)
			time.Sleep(time.Second)
		}
		b.Crash()
		equal(t, "pending", b.Pending("billing"), 0)
	})
}

func TestLeasesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tidingstest.NewTransport(tidingstest.WithLease(time.Second))
		c := subscribe(t, b, "billing")
		is(t, "publish", b.Publish(t.Context(), order(1)), nil)
		first, err := c.Receive(t.Context(), 1)
		is(t, "receive", err, nil)
		is(t, "extend", first[0].Extend(t.Context(), 5*time.Second), nil)
		start := time.Now()
		second, err := c.Receive(t.Context(), 1)
		is(t, "receive", err, nil)
		equal(t, "taken back after", time.Since(start), 5*time.Second)
		equal(t, "attempt", second[0].Attempt, 2)
		is(t, "late ack", first[0].Ack(t.Context()), tidings.ErrLost)
		is(t, "late extend", first[0].Extend(t.Context(), time.Hour), tidings.ErrLost)
		is(t, "ack", second[0].Ack(t.Context()), nil)
		equal(t, "pending", b.Pending("billing"), 0)
	})
}

func TestWhatIsNotInTheCapabilitiesIsRefused(t *testing.T) {
	b := tidingstest.NewTransport(tidingstest.WithCapabilities(func(c *tidings.Capabilities) {
		*c = tidings.Capabilities{MaxDelay: time.Minute, MaxSchedule: time.Minute, MaxBytes: 200}
	}))
	ctx := t.Context()
	_, err := b.Subscribe(ctx, tidings.Subscription{Group: "g", From: tidings.Earliest})
	is(t, "earliest", err, tidings.ErrUnsupported)
	_, err = b.Subscribe(ctx, tidings.Subscription{Group: "g", Temporary: true})
	is(t, "temporary", err, tidings.ErrUnsupported)
	is(t, "schedule", b.PublishAt(ctx, time.Now().Add(time.Hour), order(1)), tidings.ErrUnsupported)
	large := order(2)
	large.Payload = make([]byte, 200)
	is(t, "large", b.Publish(ctx, large), tidings.ErrTooLarge)

	c := subscribe(t, b, "g")
	is(t, "publish", b.Publish(ctx, order(1)), nil)
	ds, err := c.Receive(ctx, 1)
	is(t, "receive", err, nil)
	is(t, "nack", ds[0].Nack(ctx, time.Hour), tidings.ErrUnsupported)
	equal(t, "told", []any{ds[0].Lane, ds[0].Offset, ds[0].Attempt}, []any{"", int64(-1), 0})
}

func TestADroppedAckComesAgainAndADuplicateOnce(t *testing.T) {
	for what, faults := range map[string]tidingstest.Faults{
		"dropped": {DropAcks: 0.5}, "duplicate": {Duplicate: 0.5},
		"both": {DropAcks: 0.5, Duplicate: 0.5},
	} {
		var runs [2]map[string]int
		for i := range runs {
			synctest.Test(t, func(t *testing.T) {
				b := tidingstest.NewTransport(tidingstest.WithFaults(faults))
				c := subscribe(t, b, "billing")
				is(t, "publish", b.Publish(t.Context(), orders(100)...), nil)
				runs[i] = handle(t, c)
				equal(t, "pending", b.Pending("billing"), 0)
			})
		}
		more := 0
		for _, n := range runs[0] {
			more += n - 1
		}
		if len(runs[0]) != 100 || more < 30 {
			t.Errorf("%s: %d events, %d times more than once", what, len(runs[0]), more)
		}
		equal(t, what+": the second run", runs[1], runs[0])
	}
}

func TestReorderKeepsWhatIsPromised(t *testing.T) {
	for kind := tidings.Unordered; kind <= tidings.OrderKey; kind++ {
		synctest.Test(t, func(t *testing.T) {
			b := tidingstest.NewTransport(tidingstest.WithFaults(tidingstest.Faults{Reorder: 5}),
				tidingstest.WithCapabilities(func(c *tidings.Capabilities) { c.Order = kind }))
			c := subscribe(t, b, "billing")
			events := orders(100)
			for i := range events {
				events[i].Key = fmt.Sprint(i % 10)
			}
			is(t, "publish", b.Publish(t.Context(), events...), nil)
			var all []string
			byKey := map[string]bool{} // whether a key was out of order
			last := map[string]int{}
			for _, d := range receive(t, c) {
				n := slices.IndexFunc(events, func(e tidings.Event) bool { return e.ID == d.ID })
				byKey[d.Key] = byKey[d.Key] || n < last[d.Key]
				last[d.Key] = n
				all = append(all, d.ID)
			}
			mixed := !slices.EqualFunc(all, events,
				func(id string, e tidings.Event) bool { return id == e.ID })
			keysMixed := slices.Contains([]bool{byKey["0"], byKey["1"], byKey["2"], byKey["3"]}, true)
			equal(t, kind.String(), []bool{mixed, keysMixed},
				[]bool{kind != tidings.OrderQueue, kind == tidings.Unordered})
		})
	}
}

func TestAPublishFailsBeforeOrAfterTheEventsWereKept(t *testing.T) {
	b := tidingstest.NewTransport(tidingstest.WithFaults(tidingstest.Faults{
		Publish: map[int]tidingstest.PublishFault{1: tidingstest.FailBefore, 3: tidingstest.FailAfter}}))
	var failed []bool
	for n := range 4 {
		err := b.Publish(t.Context(), order(n))
		failed = append(failed, errors.Is(err, tidingstest.ErrFault))
	}
	equal(t, "failed", failed, []bool{true, false, true, false})
	var kept []string
	for _, e := range b.Published("orders") {
		kept = append(kept, e.ID)
	}
	equal(t, "kept", kept, []string{"id-1", "id-2", "id-3"})
}

func TestLostConsumersCanSubscribeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := tidingstest.Faults{Lose: 0.2, Slow: time.Second}
		b := tidingstest.NewTransport(tidingstest.WithFaults(faults))
		c := subscribe(t, b, "billing")
		is(t, "publish", b.Publish(t.Context(), orders(50)...), nil)
		lost, handled := 0, map[string]bool{}
		for len(handled) < 50 || b.Pending("billing") > 0 {
			ds, err := c.Receive(t.Context(), 5)
			if err != nil {
				is(t, "receive", err, tidingstest.ErrFault)
				is(t, "close", c.Close(t.Context()), nil)
				c = subscribe(t, b, "billing")
				lost++
			}
			for _, d := range ds {
				handled[d.ID] = true
				is(t, "ack", d.Ack(t.Context()), nil)
			}
			if err == nil {
				is(t, "commit", c.Commit(t.Context()), nil)
			}
		}
		if lost == 0 {
			t.Error("no consumer was lost")
		}
		equal(t, "lose", b.Lose("billing"), 1)
	})
}

func TestKeepBoundsWhatIsInMemory(t *testing.T) {
	b := tidingstest.NewTransport(tidingstest.WithKeep(10))
	c := subscribe(t, b, "billing")
	is(t, "ten", b.Publish(t.Context(), orders(10)...), nil)
	is(t, "eleven", b.Publish(t.Context(), order(10)), tidingstest.ErrFull)
	for range 3 {
		ds, err := c.Receive(t.Context(), 100)
		is(t, "receive", err, nil)
		for _, d := range ds {
			is(t, "ack", d.Ack(t.Context()), nil)
		}
		is(t, "commit", c.Commit(t.Context()), nil)
		is(t, "ten more", b.Publish(t.Context(), orders(10)...), nil)
	}
	equal(t, "published", len(b.Published()), 10)
	equal(t, "pending", b.Pending("billing"), 10)
}

func TestDeadLettersAreThoseOfTheGroup(t *testing.T) {
	b := tidingstest.NewTransport()
	dead := order(1)
	dead.Kind, dead.Topic = tidings.KindCommand, "billing.dlq"
	dead.Extensions = map[string]string{"origintopic": "orders", "dlqreason": "no"}
	is(t, "publish", b.Publish(t.Context(), dead), nil)
	got := b.DeadLetters("billing")
	equal(t, "dead letters", []any{len(got), got[0].Topic, got[0].Kind, got[0].Extensions},
		[]any{1, "orders", tidings.KindEvent, map[string]string{"dlqreason": "no"}})
	equal(t, "of another", b.DeadLetters("other"), []tidings.Event(nil))
}

func TestDeliverRunsTheHandlerOfTheType(t *testing.T) {
	boom := errors.New("boom")
	routes := []tidings.Route{
		tidings.OnAny("orders", func(context.Context, *tidings.Delivery) error { return nil }),
		tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
			if e, ok := tidings.Current(ctx); !ok || e.ID != m.ID {
				t.Error("the context is not that of the handling")
			}
			return boom
		}),
		tidings.OnBatch(tidings.Define[placed]("batches", "b"), 5,
			func(context.Context, []tidings.Msg[placed]) error { return boom }),
	}
	is(t, "typed", tidingstest.Deliver(t.Context(), order(1), routes...), boom)
	other := order(1)
	other.Type = "other"
	is(t, "any", tidingstest.Deliver(t.Context(), other, routes...), nil)
	other.Topic, other.Type = "batches", "b"
	is(t, "batch", tidingstest.Deliver(t.Context(), other, routes...), boom)
	is(t, "command", tidingstest.Deliver(t.Context(), chargeCard.New(placed{}), routes...),
		tidings.ErrNoRoute)
}

func ExampleNewTransport() {
	ctx := context.Background()
	faults := tidingstest.Faults{Seed: 7, Duplicate: 1}
	broker := tidingstest.NewTransport(tidingstest.WithFaults(faults))
	c, _ := broker.Subscribe(ctx, tidings.Subscription{Group: "billing", Topics: []string{"orders"}})
	e := orderPlaced.New(placed{"o-1"})
	e.Source = "shop"
	_ = broker.Publish(ctx, e)
	for range 2 {
		ds, _ := c.Receive(ctx, 10)
		fmt.Println(ds[0].Type, "attempt", ds[0].Attempt)
		_ = ds[0].Ack(ctx)
	}
	fmt.Println(broker.Pending("billing"), "pending")
	// Output:
	// shop.order.placed.v1 attempt 1
	// shop.order.placed.v1 attempt 2
	// 0 pending
}

// Await looks again after each change of the broker, and when the clock has changed something.
func TestAwaitWaitsForChangesAndForTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, looks := tidingstest.NewTransport(), 0
		published := func(n int) func() bool {
			return func() bool { looks++; return len(broker.Published()) >= n }
		}
		e := tidings.Define[string]("orders", "placed").New("x", tidings.WithID("1"))
		e.Source = "shop"
		begun := time.Now()
		if err := broker.PublishAt(t.Context(), begun.Add(time.Hour), e); err != nil {
			t.Fatal(err)
		}
		if err := broker.Await(t.Context(), published(1)); err != nil || time.Since(begun) != time.Hour {
			t.Errorf("got %v after %v, want the event after an hour", err, time.Since(begun))
		}
		go broker.Publish(t.Context(), e)
		if err := broker.Await(t.Context(), published(2)); err != nil || looks > 8 {
			t.Errorf("got %v after %d looks", err, looks)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := broker.Await(ctx, published(3)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
	})
}
