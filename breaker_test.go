package tidings_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// The breaker opens after so many failures in a row, one event is tried after its pause, and
// attempts that it holds back are not counted against any event.
func TestTheBreakerHoldsEverythingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var calls, breaker journal
		var healthy atomic.Bool
		begun := time.Now()
		after := func() time.Duration { return time.Since(begun) }
		s := run(t, tidings.NewService("billing", broker, tidings.WithObserver(tidings.Observer{
			BreakerOpened: func(_ string, pause time.Duration) { breaker.add("opened at %v for %v", after(), pause) },
			BreakerClosed: func(string) { breaker.add("closed at %v", after()) },
		})).Subscribe(
			tidings.Policy{Concurrency: 4, Immediate: 2, Delays: []time.Duration{},
				Breaker: tidings.Breaker{Failures: 5, Pause: time.Minute}},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				if !healthy.Load() {
					calls.add("%v", after())
					time.Sleep(time.Second)
					return errFlaky
				}
				return nil
			})))
		for n := range 10 {
			publish(t, s, order(fmt.Sprint("k", n), 1))
		}
		time.Sleep(30 * time.Second)
		if n := len(calls.all()); n < 5 || n > 8 {
			t.Errorf("%d attempts, want 5 and what had begun", n)
		}
		equal(t, "state", s.Health().Subscriptions[0].State, tidings.Broken)
		at := len(calls.all())
		time.Sleep(time.Minute)
		equal(t, "trial", calls.all()[at:], []string{"1m2s"})
		healthy.Store(true)
		time.Sleep(time.Minute)
		equal(t, "breaker", breaker.all(), []string{"opened at 2s for 1m0s", "opened at 1m3s for 1m0s", "closed at 2m3s"})
		counts := s.Health().Subscriptions[0].Counts
		equal(t, "handled", counts.Handled+counts.DeadLettered, uint64(10))
		if counts.DeadLettered > 2 { // those that failed three times, of at most nine failures
			t.Errorf("%d dead letters: attempts were counted that were held back", counts.DeadLettered)
		}
		s.end()
	})
}

// An open breaker stops receiving.
func TestAnOpenBreakerStopsReceiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, _ := failing(t, broker, tidings.Policy{Breaker: tidings.Breaker{Failures: 1, Pause: time.Hour}}, errFlaky)
		publish(t, s, order("a", 1))
		synctest.Wait()
		publish(t, s, order("b", 1)) // the receive that had begun takes it
		synctest.Wait()
		publish(t, s, order("c", 1))
		synctest.Wait()
		equal(t, "in hand", s.Health().Subscriptions[0].InHand, 2)
		s.end()
		equal(t, "given back", broker.Pending("billing"), 3)
	})
}

// Permanent failures are about one event, and do not open the breaker.
func TestPermanentFailuresDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, _ := failing(t, broker, tidings.Policy{Breaker: tidings.Breaker{Failures: 2}}, tidings.Permanent(errFlaky))
		publish(t, s, order("a", 1), order("b", 1), order("c", 1))
		synctest.Wait()
		equal(t, "dead letters", s.Health().Subscriptions[0].DeadLettered, uint64(3))
		equal(t, "healthy", s.Health().OK(), true)
		s.end()
	})
}

// Failures with a success between them do not open the breaker.
func TestFailuresWithSuccessesBetweenDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var opened atomic.Int64
		o := tidings.Observer{BreakerOpened: func(string, time.Duration) { opened.Add(1) }}
		s := run(t, tidings.NewService("billing", broker, tidings.WithObserver(o)).Subscribe(
			tidings.Policy{Breaker: tidings.Breaker{Failures: 2}},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				if m.Attempt == 1 {
					return errFlaky
				}
				return nil
			})))
		for n := range int64(5) {
			publish(t, s, order("a", n))
		}
		synctest.Wait()
		equal(t, "opened", opened.Load(), int64(0))
		equal(t, "handled", s.Health().Subscriptions[0].Handled, uint64(5))
		s.end()
	})
}

// A breaker that opened when nothing was left in hand tries what comes next after its pause.
func TestABreakerWithoutEventsTriesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var healthy atomic.Bool
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{Immediate: tidings.NoRetries, Delays: []time.Duration{},
				Breaker: tidings.Breaker{Failures: 1, Pause: time.Minute}},
			tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error {
				if healthy.Load() {
					return nil
				}
				return errFlaky
			})))
		publish(t, s, order("a", 1))
		synctest.Wait()
		equal(t, "in hand", s.Health().Subscriptions[0].InHand, 0)
		publish(t, s, order("b", 1)) // the receive that had begun takes it
		time.Sleep(time.Minute + time.Second)
		equal(t, "after the trial", s.Health().Subscriptions[0].InHand, 0)
		healthy.Store(true)
		publish(t, s, order("c", 1))
		time.Sleep(2 * time.Minute)
		equal(t, "handled", s.Health().Subscriptions[0].Handled, uint64(1))
		equal(t, "healthy", s.Health().OK(), true)
		s.end()
	})
}

// Attempts that end because the broker took the events back do not open the breaker.
func TestLostDeliveriesDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var opened atomic.Int64
		o := tidings.Observer{BreakerOpened: func(string, time.Duration) { opened.Add(1) }}
		s := run(t, tidings.NewService("billing", broker, tidings.WithObserver(o)).Subscribe(
			tidings.Policy{Breaker: tidings.Breaker{Failures: 2}},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				if m.Attempt == 1 {
					<-ctx.Done()
				}
				return ctx.Err()
			})))
		for n := range 5 {
			publish(t, s, order(fmt.Sprint("k", n), 1))
		}
		synctest.Wait()
		broker.Crash()
		time.Sleep(time.Minute)
		equal(t, "opened", opened.Load(), int64(0))
		equal(t, "handled", s.Health().Subscriptions[0].Counts,
			tidings.Counts{Received: 10, Handled: 5, Lost: 5})
		s.end()
	})
}
