package tidings_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// failing is a service whose handler notes when it is called, and fails with err.
func failing(t *testing.T, broker tidings.Transport, p tidings.Policy, err error) (*running, *journal) {
	t.Helper()
	var calls journal
	begun := time.Now()
	s := run(t, tidings.NewService("billing", broker).Subscribe(p,
		tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
			calls.add("%d after %v", m.Attempt, time.Since(begun))
			return err
		})))
	return s, &calls
}

// The zero policy tries three times at once and five times later, and then puts the event aside.
func TestTheZeroPolicyTriesEightTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, calls := failing(t, broker, tidings.Policy{}, errFlaky)
		publish(t, s, orderPlaced.New(placed{Order: "a"}, tidings.WithExtension("tenant", "t"), tidings.WithID("1")))
		time.Sleep(time.Hour)
		equal(t, "attempts", calls.all(), []string{"1 after 0s", "2 after 0s", "3 after 0s", "4 after 1s", "5 after 6s",
			"6 after 36s", "7 after 2m36s", "8 after 12m36s"})
		dead := broker.DeadLetters("billing")
		if len(dead) != 1 {
			t.Fatalf("%d dead letters", len(dead))
		}
		e := dead[0]
		equal(t, "dead letter", []string{e.ID, e.Source, e.Type, e.Key, e.Extensions["tenant"], e.Extensions["dlqreason"],
			e.Extensions["dlqattempts"], e.Extensions["dlqgroup"], e.Extensions["dlqtopic"]},
			[]string{"1", "billing", orderPlaced.Name(), "a", "t", "not now", "8", "billing", "orders"})
		at, err := time.Parse(time.RFC3339, e.Extensions["dlqat"])
		if err != nil || time.Since(at) > time.Hour {
			t.Errorf("dlqat %v, %v", at, err)
		}
		equal(t, "counts", s.Health().Subscriptions[0].Counts, tidings.Counts{Received: 1, Failed: 8, DeadLettered: 1})
		s.end()
	})
}

// An error that is Permanent goes to the dead letters at once, and so does what does not decode.
func TestPermanentErrorsAreNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, calls := failing(t, broker, tidings.Policy{}, fmt.Errorf("pay: %w", tidings.Permanent(errFlaky)))
		torn := order("b", 1)
		torn.Payload = []byte("{")
		publish(t, s, order("a", 1), torn)
		synctest.Wait()
		equal(t, "attempts", calls.all(), []string{"1 after 0s"})
		reasons := ""
		for _, e := range broker.DeadLetters("billing") {
			reasons += e.Extensions["dlqreason"] + "; "
		}
		if !strings.Contains(reasons, "pay: not now; ") || !strings.Contains(reasons, "decode shop.order.placed.v2: ") {
			t.Errorf("dead letters: %s", reasons)
		}
		s.end()
	})
}

// What the transport could not read is a dead letter, also where a route takes everything.
func TestMalformedRecordsAreDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		never := func(context.Context, *tidings.Delivery) error { t.Error("handled"); return nil }
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{}, tidings.OnAny("orders", never)))
		bad := order("a", 1)
		bad.Extensions = map[string]string{tidings.ExtMalformed: "no id"}
		publish(t, s, bad)
		synctest.Wait()
		dead := broker.DeadLetters("billing")
		equal(t, "dead letters", len(dead), 1)
		equal(t, "reason", dead[0].Extensions["dlqreason"], "malformed: no id")

		// Who reads the dead letters gets it as it is.
		var read journal
		letters := tidings.Route{Kind: tidings.KindCommand, Topic: "billing.dlq",
			Handler: tidings.HandlerFunc(func(_ context.Context, d *tidings.Delivery) error {
				read.add("%s", d.Extensions["dlqreason"])
				return nil
			})}
		reader := run(t, tidings.NewService("clerk", broker).Subscribe(tidings.Policy{}, letters))
		synctest.Wait()
		equal(t, "read", read.all(), []string{"malformed: no id"})
		reader.end()
		s.end()
	})
}

// RetryAfter has the event tried again after its time, whatever the delays; the attempt counts.
func TestRetryAfterReplacesTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, calls := failing(t, broker, tidings.Policy{Immediate: 1, Delays: []time.Duration{time.Second}},
			tidings.RetryAfter(errFlaky, time.Minute))
		publish(t, s, order("a", 1))
		time.Sleep(time.Hour)
		equal(t, "attempts", calls.all(), []string{"1 after 0s", "2 after 1m0s", "3 after 2m0s"})
		equal(t, "dead letters", len(broker.DeadLetters("billing")), 1)
		s.end()
	})
}

// An event that steps aside waits at the broker, and lets others of its key pass.
func TestStepAsideLetsOthersOfItsKeyPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		begun := time.Now()
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{StepAside: true, Immediate: 1, Delays: []time.Duration{time.Second, time.Minute}},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				done.add("%d try %d at %v", m.Data.Total, m.Attempt, time.Since(begun))
				if m.Data.Total == 1 {
					return errFlaky
				}
				return nil
			})))
		publish(t, s, order("a", 1), order("a", 2))
		synctest.Wait()
		equal(t, "in hand", s.Health().Subscriptions[0].InHand, 0)
		time.Sleep(time.Hour)
		equal(t, "attempts", done.all(), []string{"1 try 1 at 0s", "1 try 2 at 0s", "2 try 1 at 0s", "1 try 3 at 1s",
			"1 try 4 at 1m1s"})
		equal(t, "attempts counted", broker.DeadLetters("billing")[0].Extensions["dlqattempts"], "4")
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// A delay that RetryAfter asks for and the broker cannot wait is waited in hand.
func TestStepAsideWaitsInHandForWhatTheBrokerCannotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport(tidingstest.WithCapabilities(func(c *tidings.Capabilities) {
			c.MaxDelay = time.Minute
		}))
		s, calls := failing(t, broker, tidings.Policy{StepAside: true, Immediate: tidings.NoRetries,
			Delays: []time.Duration{time.Minute}}, tidings.RetryAfter(errFlaky, time.Hour))
		publish(t, s, order("a", 1))
		time.Sleep(time.Minute)
		equal(t, "held", s.Health().Subscriptions[0].Held, 1)
		time.Sleep(time.Hour)
		equal(t, "attempts", calls.all(), []string{"1 after 0s", "2 after 1h0m0s"})
		s.end()
	})
}

func TestUnknownTypesAreSkippedPutAsideOrFail(t *testing.T) {
	for mode, want := range map[tidings.Unknown]struct {
		err                 string
		dead, left, skipped int
	}{
		tidings.SkipUnknown:       {"", 0, 0, 1},
		tidings.DeadLetterUnknown: {"", 1, 0, 0},
		tidings.FailUnknown:       {`group billing: no route takes type "x" of orders`, 0, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			broker := tidingstest.NewTransport()
			s := tidings.NewService("billing", broker).Subscribe(tidings.Policy{Unknown: mode},
				tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error { return nil }))
			r := run(t, s)
			publish(t, s, order("a", 1), tidings.Define[string]("orders", "x").New("y"))
			synctest.Wait()
			counts := s.Health().Subscriptions[0].Counts
			equal(t, "handled", []int{int(counts.Handled), int(counts.Skipped)}, []int{1, want.skipped})
			r.stop()
			got := ""
			if err := <-r.over; err != nil {
				got = err.Error()
			}
			equal(t, "error", got, want.err)
			equal(t, "dead letters", len(broker.DeadLetters("billing")), want.dead)
			equal(t, "left", broker.Pending("billing"), want.left)
		})
	}
}

// A panic in a handler is its error. The log has the event and the stack.
func TestAPanicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var text bytes.Buffer
		s := run(t, tidings.NewService("billing", broker,
			tidings.WithLogger(slog.New(slog.NewTextHandler(&text, nil)))).Subscribe(
			tidings.Policy{Immediate: tidings.NoRetries, Delays: []time.Duration{}},
			tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error { panic("oh") })))
		e := order("a", 1)
		publish(t, s, e)
		synctest.Wait()
		equal(t, "reason", broker.DeadLetters("billing")[0].Extensions["dlqreason"], "handler panicked: oh")
		s.end()
		want := `msg="handler panicked" service=billing group=billing id=` + e.ID + " type=" + e.Type + " panic=oh stack="
		if !strings.Contains(text.String(), want) {
			t.Errorf("got %s, want %s", &text, want)
		}
	})
}

// Timeout bounds one attempt, by its context.
func TestATimeoutEndsTheContextOfAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var calls journal
		begun := time.Now()
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{Timeout: time.Minute, Immediate: 1, Delays: []time.Duration{}},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				<-ctx.Done()
				calls.add("%v %v", time.Since(begun), context.Cause(ctx))
				return ctx.Err()
			})))
		publish(t, s, order("a", 1))
		time.Sleep(time.Hour)
		cause := " attempt took longer than 1m0s: context deadline exceeded"
		equal(t, "attempts", calls.all(), []string{"1m0s" + cause, "2m0s" + cause})
		equal(t, "dead letters", len(broker.DeadLetters("billing")), 1)
		s.end()
	})
}

// A dead letter that cannot be published is tried again, its key held, and never dropped.
func TestADeadLetterThatCannotBePublishedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		if err := broker.Declare(t.Context(), tidings.Subscription{Group: "billing", Topics: []string{"orders"}}); err != nil {
			t.Fatal(err)
		}
		publish(t, broker, stamped(order("a", 1)))
		broker.SetFaults(tidingstest.Faults{FailPublish: 1, Seed: 2})
		s, _ := failing(t, broker, tidings.Policy{}, tidings.Permanent(errFlaky))
		synctest.Wait()
		publishes := len(broker.DeadLetters("billing")) // some fail after they were kept
		time.Sleep(10 * time.Minute)
		h := s.Health().Subscriptions[0]
		equal(t, "held", []any{h.InHand, h.Held, h.DeadLettered}, []any{1, 1, uint64(0)})
		if !strings.Contains(h.LastError, "publish to dead letters billing.dlq") {
			t.Errorf("last error %q", h.LastError)
		}
		s.end()
		equal(t, "given back", broker.Pending("billing"), 1)

		s, _ = failing(t, broker, tidings.Policy{}, tidings.Permanent(errFlaky))
		time.Sleep(10 * time.Second)
		broker.SetFaults(tidingstest.Faults{})
		time.Sleep(time.Minute)
		h = s.Health().Subscriptions[0]
		equal(t, "then", []any{h.InHand, h.DeadLettered}, []any{0, uint64(1)})
		if dead := len(broker.DeadLetters("billing")); dead <= publishes {
			t.Errorf("%d dead letters", dead)
		}
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// With BeforeHandle the broker is told, and has said so, before the handler runs, and nothing is
// tried again after a failure.
func TestBeforeHandleAcknowledgesFirstAndNeverTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var calls journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Ack: tidings.BeforeHandle},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				broker.Crash() // forgets what is not committed
				calls.add("%d pending %d", m.Data.Total, broker.Pending("billing"))
				return errFlaky
			})))
		publish(t, s, order("a", 1), order("a", 2), order("a", 3))
		time.Sleep(time.Minute)
		equal(t, "calls", calls.all(), []string{"1 pending 2", "2 pending 1", "3 pending 0"})
		equal(t, "abandoned", s.Health().Subscriptions[0].Abandoned, uint64(3))
		equal(t, "dead letters", len(broker.DeadLetters("billing")), 0)
		s.end()
	})
}

// With BeforeHandle an event whose acknowledgement the broker did not confirm is not handled.
func TestBeforeHandleDoesNotHandleWhatIsNotCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &forgetful{Transport: tidingstest.NewTransport(), fail: 2}
		s, calls := failing(t, broker, tidings.Policy{Ack: tidings.BeforeHandle}, nil)
		publish(t, s, order("a", 1), order("a", 2), order("a", 3))
		time.Sleep(time.Minute)
		equal(t, "calls", len(calls.all()), 1)
		s.end()
	})
}

// forgetful is a transport whose Commit fails so many times.
type forgetful struct {
	*tidingstest.Transport
	mu   sync.Mutex
	fail int
}

func (f *forgetful) Subscribe(ctx context.Context, s tidings.Subscription) (tidings.Consumer, error) {
	c, err := f.Transport.Subscribe(ctx, s)
	return &forgetfulConsumer{c, f}, err
}

type forgetfulConsumer struct {
	tidings.Consumer
	f *forgetful
}

func (c *forgetfulConsumer) Commit(ctx context.Context) error {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if c.f.fail > 0 {
		c.f.fail--
		return errors.New("no commit")
	}
	return c.Consumer.Commit(ctx)
}

// For each acknowledged publish, some attempt succeeds or the event is among the dead letters:
// with handlers that fail at random, and a broker that drops acknowledgements, duplicates, and
// fails.
func TestEveryEventIsHandledOrAmongTheDeadLetters(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			broker := tidingstest.NewTransport(tidingstest.WithFaults(tidingstest.Faults{Seed: seed, DropAcks: 0.1,
				Duplicate: 0.1, Lose: 0.02, FailPublish: 0.1, Slow: 10 * time.Millisecond}))
			handled := everythingHandled(t, broker, seed)
			broker.SetFaults(tidingstest.Faults{})
			lost, dead := 0, 0
			for _, e := range broker.DeadLetters("billing") {
				dead++
				handled.Store(e.ID, true)
			}
			for _, e := range broker.Published("orders") {
				if _, ok := handled.Load(e.ID); !ok {
					lost++
				}
			}
			equal(t, "lost", lost, 0)
			if n := broker.Pending("billing"); n != 0 || dead == 0 {
				t.Errorf("%d pending, %d dead letters", n, dead)
			}
		})
	}
}

// everythingHandled runs a service until nothing is left, and tells which ids it has handled.
func everythingHandled(t *testing.T, broker *tidingstest.Transport, seed uint64) *sync.Map {
	var handled sync.Map
	s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Delays: []time.Duration{time.Second}},
		tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
			n := uint64(m.Data.Total)*7919 + seed*31 + uint64(m.Attempt)*17
			if n%3 == 0 || m.Data.Total%40 == 0 {
				return errFlaky
			}
			handled.Store(m.ID, true)
			return nil
		})))
	for n := range 400 {
		for broker.Publish(t.Context(), stamped(order(fmt.Sprint("k", n%50), int64(n)))) != nil {
			time.Sleep(time.Millisecond)
		}
	}
	for range 200 {
		if time.Sleep(10 * time.Second); broker.Pending("billing") == 0 {
			break
		}
	}
	s.end()
	return &handled
}

func stamped(e tidings.Event) tidings.Event {
	e.Source = "shop"
	return e
}

// mute says nothing to the first publish of a dead letter.
type mute struct {
	tidings.Transport
	asked int
}

func (m *mute) Publish(ctx context.Context, events ...tidings.Event) error {
	if events[0].Topic == "billing.dlq" {
		if m.asked++; m.asked == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	return m.Transport.Publish(ctx, events...)
}

// A broker that never answers to a dead letter is asked again.
func TestADeadLetterWithoutAnAnswerIsPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, _ := failing(t, &mute{Transport: broker}, tidings.Policy{}, tidings.Permanent(errFlaky))
		publish(t, s, order("1", 1))
		time.Sleep(time.Minute)
		equal(t, "dead letters", len(broker.DeadLetters("billing")), 1)
		s.end()
	})
}

// A payload that middleware opens is closed for the next attempt, and among the dead letters.
func TestWhatHandlersChangeIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var seen journal
		open := func(next tidings.Handler) tidings.Handler {
			return tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
				seen.add("%s", d.Payload)
				d.Payload = append([]byte("opened "), d.Payload...)
				d.Extensions = map[string]string{"opened": "yes"}
				d.ID = "changed"
				return next.Handle(ctx, d)
			})
		}
		s := run(t, tidings.NewService("billing", broker, tidings.WithMiddleware(open)).Subscribe(
			tidings.Policy{Delays: []time.Duration{}}, tidings.OnAny("orders", func(context.Context, *tidings.Delivery) error {
				return errFlaky
			})))
		e := orderPlaced.New(placed{Order: "a"}, tidings.WithID("1"))
		e.Payload = []byte("sealed")
		publish(t, s, e)
		time.Sleep(time.Second)
		equal(t, "seen", seen.all(), []string{"sealed", "sealed", "sealed"})
		d := broker.DeadLetters("billing")[0]
		equal(t, "dead letter", []any{string(d.Payload), d.ID, d.Extensions["opened"]}, []any{"sealed", "1", ""})
		s.end()
	})
}

func TestRetryAfterAsideSpendsWhatIsLeftOfImmediate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var seen journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{StepAside: true, Delays: []time.Duration{}},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				seen.add("%d", m.Attempt)
				return tidings.RetryAfter(errFlaky, time.Second)
			})))
		publish(t, s, order("a", 1))
		time.Sleep(time.Minute)
		equal(t, "attempts", seen.all(), []string{"1", "4"})
		s.end()
	})
}

// What is as large as an event can be finds room among the dead letters, and holds its key no longer.
func TestTheLargestEventHasADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport(tidingstest.WithCapabilities(func(c *tidings.Capabilities) { c.MaxBytes = 1000 }))
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
			tidings.OnAny("orders", func(_ context.Context, d *tidings.Delivery) error {
				done.add("%s", d.ID)
				if d.ID == "large" {
					return tidings.Permanent(errors.New(strings.Repeat("x", 900)))
				}
				return nil
			})))
		large := orderPlaced.New(placed{Order: "a"}, tidings.WithID("large"))
		large.Payload = make([]byte, 700)
		publish(t, s, large, orderPlaced.New(placed{Order: "a"}, tidings.WithID("next")))
		time.Sleep(time.Hour)
		equal(t, "handled", done.all(), []string{"large", "next"})
		s.end()
	})
}

// tripping is an error that cannot even be read where it is a nil in an interface.
type tripping struct{ why string }

func (e *tripping) Error() string { return e.why }

// A nil pointer that is returned as an error fails the event, not the process.
func TestAnErrorThatCannotBeReadFailsTheEvent(t *testing.T) {
	cancelled := tidings.Define[placed]("orders", "shop.order.cancelled.v1")
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{Immediate: tidings.NoRetries, Delays: []time.Duration{}},
			tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error {
				var none *tripping
				return none
			}),
			tidings.OnBatch(cancelled, 2, func(context.Context, []tidings.Msg[placed]) error {
				var none *tripping
				return &tidings.BatchError{Failed: map[int]error{0: none, 1: none}}
			})))
		publish(t, s, order("a", 1), cancelled.New(placed{}), cancelled.New(placed{}))
		synctest.Wait()
		letters := broker.DeadLetters("billing")
		equal(t, "dead letters", len(letters), 3)
		equal(t, "last error", s.Health().Subscriptions[0].LastError, letters[0].Extensions[tidings.ExtDeadReason])
		s.end()
	})
}
