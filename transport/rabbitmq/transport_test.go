package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
)

func TestEveryGroupGetsAnEventAndCompetitorsShareIt(t *testing.T) {
	tr := serve(t).open()
	a := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}})
	b := subscribe(t, tr, tidings.Subscription{Group: "b", Topics: []string{"orders"}})
	want := event("e1")
	want.Extensions = map[string]string{"color": "red"}
	publish(t, tr, want)
	for _, c := range []tidings.Consumer{a, b} {
		ds := receive(t, c, 1)
		equal(t, "event", ds[0].Event, want)
		equal(t, "attempt", ds[0].Attempt, 1)
		ack(t, c, ds...)
		closed(t, c)
	}
}

func TestEventsOfAQueueComeInTheirOrder(t *testing.T) {
	tr := serve(t).open()
	c := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}, Window: 10})
	events, names := numbered(1000)
	done := make(chan error, 1)
	go func() { done <- tr.Publish(t.Context(), events...) }()
	var got []string
	for len(got) < len(names) {
		ds := receive(t, c, 1)
		got = append(got, ids(ds)...)
		ack(t, c, ds...)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	equal(t, "ids", got, names)
	closed(t, c)
}

func TestACommandReachesOneGroupAndWaitsForIt(t *testing.T) {
	tr := serve(t).open()
	publish(t, tr, command("billing", "c1"))
	other := subscribe(t, tr, tidings.Subscription{Group: "other", Topics: []string{"orders"}})
	c := subscribe(t, tr, tidings.Subscription{Group: "billing", Topics: []string{"orders"}})
	ds := receive(t, c, 1)
	equal(t, "command", ds[0].Event, command("billing", "c1"))
	ack(t, c, ds...)
	nothing(t, other, 50*time.Millisecond)
	closed(t, c)
	closed(t, other)
}

func TestAReplyToNobodyIsUnroutable(t *testing.T) {
	tr := serve(t).open()
	reply := command("inbox", "r1")
	reply.Kind = tidings.KindReply
	err := tr.Publish(soon(t), event("e1"), reply)
	failed, ok := errors.AsType[*tidings.PublishError](err)
	if !ok || !errors.Is(err, tidings.ErrUnroutable) {
		t.Fatalf("got %v, want that reply as unroutable", err)
	}
	equal(t, "failed", failed.Failed, []int{1})

	c := subscribe(t, tr, tidings.Subscription{Group: "inbox", Temporary: true})
	publish(t, tr, reply)
	ds := receive(t, c, 1)
	equal(t, "reply", ds[0].Event, reply)
	ack(t, c, ds...)
	closed(t, c)
	if err := tr.Publish(soon(t), reply); !errors.Is(err, tidings.ErrUnroutable) {
		t.Errorf("after the end of the address: got %v, want unroutable", err)
	}
}

func TestNackWithoutADelayPutsAnEventBackToItsPlace(t *testing.T) {
	for _, kind := range []QueueType{Quorum, Classic} {
		t.Run(string(kind), func(t *testing.T) {
			tr := serve(t).open(func(c *Config) { c.QueueType = kind })
			c := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}, Window: 1})
			publish(t, tr, event("e1"), event("e2"))
			for attempt := 1; attempt <= 3; attempt++ {
				d := receive(t, c, 1)[0]
				equal(t, "id", d.ID, "e1")
				want := attempt
				if kind == Classic {
					want = min(want, 2) // that queue says only that there was another
				}
				equal(t, "attempt", d.Attempt, want)
				if attempt == 3 {
					ack(t, c, d)
				} else if err := d.Nack(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
			}
			ack(t, c, receive(t, c, 1)...)
			closed(t, c)
		})
	}
}

func TestADelayedEventComesToItsGroupAloneAndNotEarly(t *testing.T) {
	tr := serve(t).open()
	a := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}})
	b := subscribe(t, tr, tidings.Subscription{Group: "b", Topics: []string{"orders"}})
	want := event("e1")
	publish(t, tr, want)
	ack(t, b, receive(t, b, 1)...)
	for attempt, delay := range []time.Duration{30 * time.Millisecond, 310 * time.Millisecond, 0} {
		d := receive(t, a, 1)[0]
		equal(t, "event", d.Event, want)
		equal(t, "attempt", d.Attempt, attempt+1)
		if delay == 0 {
			ack(t, a, d)
			continue
		}
		begin := time.Now()
		if err := d.Nack(soon(t), delay); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if took := time.Since(begin); took < delay {
				t.Errorf("it came after %v, want at least %v", took, delay)
			}
		}()
	}
	nothing(t, b, 10*time.Millisecond)
	closed(t, a)
	closed(t, b)
}

func TestPublishAtWaitsAndDoesNotBlockWhatIsDueEarlier(t *testing.T) {
	tr := serve(t).open()
	c := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}})
	begin := time.Now()
	for _, e := range []struct {
		in time.Duration
		tidings.Event
	}{{time.Hour, event("late")}, {700 * time.Millisecond, event("third")},
		{300 * time.Millisecond, command("a", "second")}, {-time.Second, event("first")}} {
		if err := tr.PublishAt(soon(t), begin.Add(e.in), e.Event); err != nil {
			t.Fatal(err)
		}
	}
	ds := receive(t, c, 3)
	equal(t, "ids", ids(ds), []string{"first", "second", "third"})
	equal(t, "third", ds[2].Event, event("third"))
	equal(t, "second", ds[1].Event, command("a", "second"))
	if took := time.Since(begin); took < 700*time.Millisecond {
		t.Errorf("all had come after %v", took)
	}
	err := tr.PublishAt(soon(t), time.Now().Add(longestDelay+time.Minute), event("x"))
	if !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("beyond the longest delay: got %v, want unsupported", err)
	}
	closed(t, c)
}

func TestTheWindowBoundsWhatIsUnsettled(t *testing.T) {
	tr := serve(t).open()
	c := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}, Window: 3})
	events, names := numbered(7)
	publish(t, tr, events...)
	ds := receive(t, c, 3)
	nothing(t, c, 50*time.Millisecond)
	ack(t, c, ds[1]) // out of order: it alone is settled
	receive(t, c, 1)
	nothing(t, c, 50*time.Millisecond)
	closed(t, c)
	c = subscribe(t, tr, tidings.Subscription{Group: "a", Window: 10})
	want := append([]string{names[0]}, names[2:]...)
	again := receive(t, c, len(want))
	equal(t, "what was given back and the rest", ids(again), want)
	equal(t, "attempts", []int{again[0].Attempt, again[2].Attempt, again[5].Attempt}, []int{2, 2, 1})
	closed(t, c)
}

func TestWhatHasBeenCommittedIsNotDeliveredAgainAfterAKill(t *testing.T) {
	r := serve(t)
	tr := r.open()
	c := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}})
	events, names := numbered(100)
	publish(t, tr, events...)
	ack(t, c, receive(t, c, 60)...)
	r.kill()
	if _, err := c.Receive(soon(t), 100); err != nil {
		t.Log("what the library still had:", err)
	}
	_ = c.Close(soon(t))
	c = subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}})
	equal(t, "ids", ids(receive(t, c, 40)), names[60:])
	closed(t, c)
}

func TestAConsumerEndsWithItsConnection(t *testing.T) {
	r := serve(t)
	tr := r.open()
	c := subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}})
	publish(t, tr, event("e1"))
	d := receive(t, c, 1)[0]
	r.kill()
	_, err := c.Receive(soon(t), 1)
	if err == nil || errors.Is(err, tidings.ErrClosed) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("receive: got %v, want that the connection was lost", err)
	}
	if err := d.Ack(t.Context()); !errors.Is(err, tidings.ErrLost) {
		t.Errorf("ack: got %v, want lost", err)
	}
	if err := d.Extend(t.Context(), time.Minute); !errors.Is(err, tidings.ErrLost) {
		t.Errorf("extend: got %v, want lost", err)
	}
	closed(t, c)
	if _, err := c.Receive(soon(t), 1); !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("receive after close: got %v, want closed", err)
	}
	c = subscribe(t, tr, tidings.Subscription{Group: "a", Topics: []string{"orders"}})
	again := receive(t, c, 1)[0]
	equal(t, "id", again.ID, "e1")
	equal(t, "attempt", again.Attempt, 2)
	ack(t, c, again)
	closed(t, c)
}

// A shovel publishes the message again as it is, with the queue for its key: the group handles it for
// what it was.
func TestADeadLetterThatAShovelMovesIsRedriven(t *testing.T) {
	r := serve(t)
	tr := r.open()
	placed := tidings.Define[string]("orders", "placed")
	var mended atomic.Bool
	handled, dead := make(chan tidings.Event, 1), make(chan struct{}, 1)
	s := tidings.NewService("payment", tr, tidings.WithLogger(slog.New(slog.DiscardHandler)),
		tidings.WithObserver(tidings.Observer{DeadLettered: func(tidings.DeadLettered) { dead <- struct{}{} }}))
	s.Subscribe(tidings.Policy{}, tidings.On(placed, func(_ context.Context, m tidings.Msg[string]) error {
		if !mended.Load() {
			return tidings.Permanent(errors.New("no such card"))
		}
		handled <- m.Event
		return nil
	}))
	ctx, stop := context.WithCancel(soon(t))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	e := placed.New("o-1")
	if err := s.Publish(ctx, e); err != nil {
		t.Fatal(err)
	}
	<-dead
	mended.Store(true)
	shovel(t, r.url(), "payment.dlq", "payment")
	got := <-handled
	equal(t, "handled", []any{got.ID, got.Kind, got.Topic, got.Extensions},
		[]any{e.ID, tidings.KindEvent, "orders", map[string]string(nil)})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// shovel moves one message.
func shovel(t *testing.T, url, from, to string) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	m, ok, err := ch.Get(from, true)
	if err != nil || !ok {
		t.Fatalf("get: %v, %v", ok, err)
	}
	err = ch.Publish("", to, true, false, amqp.Publishing{Headers: m.Headers, ContentType: m.ContentType,
		DeliveryMode: m.DeliveryMode, CorrelationId: m.CorrelationId, ReplyTo: m.ReplyTo, MessageId: m.MessageId,
		Timestamp: m.Timestamp, Type: m.Type, Body: m.Body})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLogsGoWhereThoseOfServicesGo(t *testing.T) {
	c, err := Config{URL: "amqp://localhost/"}.checked()
	if err != nil || c.Logger != slog.Default() {
		t.Errorf("got %v, %v, want the default of slog", c.Logger, err)
	}
}

// Of a group that is single active one consumer has the events, and the next begins with what that had.
func TestConsumersOfASingleActiveGroupStandBy(t *testing.T) {
	r := serve(t)
	single := func(c *Config) { c.SingleActive = func(group string) bool { return group == "a" } }
	tr, other := r.open(single), r.open(single)
	sub := tidings.Subscription{Group: "a", Topics: []string{"orders"}}
	active := subscribe(t, tr, sub)
	standby := subscribe(t, other, sub)
	events, names := numbered(10)
	publish(t, tr, events...)
	equal(t, "in hand", ids(receive(t, active, 10)), names)
	nothing(t, standby, 50*time.Millisecond)
	closed(t, active)
	ds := receive(t, standby, 10)
	equal(t, "given back", ids(ds), names)
	ack(t, standby, ds...)
	closed(t, standby)
	err := r.open().Publish(soon(t), command("a", "c1"))
	if err == nil || !strings.Contains(err.Error(), "SingleActive") {
		t.Errorf("got %v, want that the queue has other arguments", err)
	}
}
