package tidings_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// batches is a service with a batch handler that notes what it gets, and fails as fail says.
func batches(t *testing.T, broker tidings.Transport, p tidings.Policy, max int,
	fail func(ms []tidings.Msg[placed]) error) (*running, *journal) {
	t.Helper()
	var calls journal
	begun := time.Now()
	s := run(t, tidings.NewService("billing", broker).Subscribe(p,
		tidings.OnBatch(orderPlaced, max, func(_ context.Context, ms []tidings.Msg[placed]) error {
			var names []string
			for _, m := range ms {
				names = append(names, fmt.Sprint(m.Key, m.Data.Total))
			}
			calls.add("%s after %v", strings.Join(names, " "), time.Since(begun))
			return fail(ms)
		})))
	return s, &calls
}

// A batch is handed over when it is full, or when its first event has waited long enough; events
// of one key come in their order, also within a batch.
func TestABatchIsBoundedBySizeAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, calls := batches(t, broker, tidings.Policy{}, 3, func([]tidings.Msg[placed]) error { return nil })
		publish(t, s, order("a", 1), order("a", 2), order("b", 1), order("a", 3))
		time.Sleep(time.Second)
		equal(t, "batches", calls.all(), []string{"a1 a2 b1 after 0s", "a3 after 10ms"})
		equal(t, "handled", s.Health().Subscriptions[0].Handled, uint64(4))
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// Of a batch that failed in part, what failed is tried again, and what is behind it of its key
// with it.
func TestABatchFailsInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		failed := false
		s, calls := batches(t, broker, tidings.Policy{Immediate: tidings.NoRetries, Delays: []time.Duration{time.Minute}}, 4,
			func([]tidings.Msg[placed]) error {
				if failed {
					return nil
				}
				failed = true
				return &tidings.BatchError{Failed: map[int]error{1: errFlaky}}
			})
		publish(t, s, order("b", 1), order("a", 1), order("a", 2), order("c", 1), order("a", 3))
		time.Sleep(time.Second)
		equal(t, "not settled", broker.Pending("billing"), 3)
		time.Sleep(time.Hour)
		equal(t, "batches", calls.all(), []string{"b1 a1 a2 c1 after 0s", "a1 a2 a3 after 1m0.01s"})
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// Events of a batch that do not decode fail by themselves; any other error is that of all.
func TestABatchFailsAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, calls := batches(t, broker, tidings.Policy{Immediate: 1, Delays: []time.Duration{}}, 3,
			func([]tidings.Msg[placed]) error { return errFlaky })
		torn := order("b", 1)
		torn.Payload = []byte("{")
		publish(t, s, order("a", 1), torn, order("c", 1))
		time.Sleep(time.Minute)
		equal(t, "batches", calls.all(), []string{"a1 c1 after 0s", "a1 c1 after 10ms"})
		equal(t, "dead letters", len(broker.DeadLetters("billing")), 3)
		s.end()
	})
}

// Order per key holds for batches under concurrency with events that fail at random.
func TestOrderPerKeyHoldsForBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, each = 20, 30
		broker := tidingstest.NewTransport()
		model := newKeyModel()
		s, _ := batches(t, broker, tidings.Policy{Concurrency: 8}, 10, func(ms []tidings.Msg[placed]) error {
			failed := map[int]error{}
			entered := map[string]bool{}
			for _, m := range ms {
				if !entered[m.Key] { // a batch may have several of a key
					entered[m.Key] = true
					model.enter(m.Key)
				}
			}
			time.Sleep(5 * time.Millisecond)
			for i, m := range ms {
				if (m.Data.Total*31+int64(m.Attempt)*7)%4 == 0 && m.Attempt < 6 {
					failed[i] = errFlaky
				}
				model.note(m.Key, m.Data.Total, failed[i])
			}
			for key := range entered {
				model.leave(key)
			}
			return &tidings.BatchError{Failed: failed}
		})
		for n := range int64(each) {
			for k := range keys {
				publish(t, s, order(fmt.Sprint("k", k), n+1))
			}
		}
		for range 100 {
			if time.Sleep(10 * time.Second); broker.Pending("billing") == 0 {
				break
			}
		}
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
		model.checkLast(t, keys, each)
	})
}

// Events that are handled at most once are acknowledged before their batch is handled.
func TestABatchIsAcknowledgedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s, calls := batches(t, broker, tidings.Policy{Ack: tidings.BeforeHandle}, 2, func([]tidings.Msg[placed]) error {
			broker.Crash()
			return errors.New("no")
		})
		publish(t, s, order("a", 1), order("b", 1))
		time.Sleep(time.Minute)
		equal(t, "batches", calls.all(), []string{"a1 b1 after 0s"})
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// Poison goes to the dead letters unseen, also behind an event of its key in a batch that is not full.
func TestPoisonIsNotInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{}, tidings.Route{Topic: "orders",
			Batch: tidings.BatchHandlerFunc(func(_ context.Context, ds []*tidings.Delivery) error {
				for _, d := range ds {
					done.add("%s", d.ID)
				}
				return nil
			})}))
		bad := orderPlaced.New(placed{Order: "a"}, tidings.WithID("bad"), tidings.WithExtension(tidings.ExtMalformed, "no"))
		publish(t, s, orderPlaced.New(placed{Order: "a"}, tidings.WithID("good")), bad)
		time.Sleep(time.Second)
		equal(t, "handled", done.all(), []string{"good"})
		equal(t, "dead letters", len(broker.DeadLetters("billing")), 1)
		s.end()
	})
}

func TestANilBatchErrorSaysThatNoneFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Delays: []time.Duration{}}, tidings.Route{Topic: "orders",
			Batch: tidings.BatchHandlerFunc(func(_ context.Context, ds []*tidings.Delivery) error {
				var failed *tidings.BatchError
				return failed
			})}))
		publish(t, s, order("a", 1))
		time.Sleep(time.Minute)
		equal(t, "handled", s.Health().Subscriptions[0].Handled, uint64(1))
		s.end()
	})
}
