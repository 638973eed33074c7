package tidings_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// Deliveries with a deadline are extended while they are handled, and while they wait behind a
// held key.
func TestDeadlinesAreExtended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport(tidingstest.WithLease(30 * time.Second))
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{Timeout: tidings.NoTimeout, Immediate: tidings.NoRetries, Delays: []time.Duration{10 * time.Minute}},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				done.add("%s %d try %d", m.Key, m.Data.Total, m.Attempt)
				if m.Data.Total == 1 && m.Attempt == 1 {
					return errFlaky
				}
				time.Sleep(10 * time.Minute)
				return ctx.Err()
			})))
		publish(t, s, order("held", 1), order("held", 2), order("slow", 3))
		time.Sleep(time.Hour)
		equal(t, "handled", sorted(done.all()), []string{"held 1 try 1", "held 1 try 2", "held 2 try 1", "slow 3 try 1"})
		equal(t, "lost", s.Health().Subscriptions[0].Lost, uint64(0))
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// A delivery that the broker has taken back is dropped without being settled: the context of its
// handler ends with ErrLost, and what waits is not handled.
func TestALostDeliveryIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := altered{Transport: tidingstest.NewTransport(), deliver: func(d *tidings.Delivery) {
			d.Settler = notExtended(d.Settler, tidings.ErrLost)
		}}
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Timeout: tidings.NoTimeout},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				<-ctx.Done()
				done.add("%d %v", m.Data.Total, context.Cause(ctx))
				time.Sleep(time.Second) // the other is lost as well meanwhile
				return nil
			})))
		publish(t, s, order("a", 1), order("a", 2))
		time.Sleep(20 * time.Second)
		equal(t, "handled", done.all(), []string{"1 delivery lost"})
		h := s.Health().Subscriptions[0]
		equal(t, "health", []any{h.InHand, h.Lost}, []any{0, uint64(2)})
		equal(t, "pending", broker.Pending("billing"), 2)
		s.stop()
		<-s.over
	})
}

// Where the broker cannot be asked to extend, it is asked again, and when the deadline has passed
// the delivery is lost.
func TestADeadlineThatCannotBeExtendedIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := altered{Transport: tidingstest.NewTransport(), deliver: func(d *tidings.Delivery) {
			d.Settler = notExtended(d.Settler, errFlaky)
		}}
		var done journal
		begun := time.Now()
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Timeout: tidings.NoTimeout},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				<-ctx.Done()
				done.add("%v after %v", context.Cause(ctx), time.Since(begun).Round(time.Second))
				return nil
			})))
		publish(t, s, order("a", 1))
		time.Sleep(31 * time.Second)
		equal(t, "handled", done.all()[0], "delivery lost after 30s")
		s.stop()
		<-s.over
	})
}

// What is behind a lost delivery of its key does not pass it: both come again, in their order.
func TestALostDeliveryTakesWithItWhatIsBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := altered{Transport: tidingstest.NewTransport(), deliver: func(d *tidings.Delivery) {
			if d.ID == "1" && d.Attempt == 1 {
				d.Settler = notExtended(d.Settler, tidings.ErrLost)
			}
		}}
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Timeout: tidings.NoTimeout},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				done.add("%d", m.Data.Total)
				if m.Data.Total == 1 && m.Attempt == 1 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})))
		events := []tidings.Event{order("a", 1), order("a", 2), order("a", 3)}
		events[0].ID = "1"
		publish(t, s, events...)
		time.Sleep(time.Hour)
		equal(t, "handled", done.all(), []string{"1", "1", "2", "3"})
		equal(t, "in hand", s.Health().Subscriptions[0].InHand, 0)
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// An event that could not step aside is held, and extended like any other.
func TestWhatCouldNotStepAsideIsExtended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := altered{Transport: tidingstest.NewTransport(tidingstest.WithLease(30 * time.Second)),
			deliver: func(d *tidings.Delivery) {
				d.Settler = nacking{d.Settler, func(context.Context) error {
					time.Sleep(20 * time.Second) // it takes so long to find that it cannot
					return errFlaky
				}}
			}}
		var done journal
		begun := time.Now()
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{StepAside: true, Immediate: tidings.NoRetries, Delays: []time.Duration{10 * time.Minute}},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				done.add("%d at %v", m.Attempt, time.Since(begun))
				if m.Attempt == 1 {
					return errFlaky
				}
				return nil
			})))
		publish(t, s, order("a", 1))
		time.Sleep(time.Hour)
		equal(t, "handled", done.all(), []string{"1 at 0s", "2 at 10m20s"})
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// What was acknowledged before it is handled has no deadline any more, and cannot be lost.
func TestAnAcknowledgedEventCannotBeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := altered{Transport: tidingstest.NewTransport(), deliver: func(d *tidings.Delivery) {
			d.Settler = notExtended(d.Settler, tidings.ErrLost)
		}}
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{Ack: tidings.BeforeHandle, Timeout: tidings.NoTimeout},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				time.Sleep(time.Minute)
				broker.Crash()
				time.Sleep(time.Minute)
				done.add("%v", ctx.Err())
				return nil
			})))
		publish(t, s, order("a", 1))
		time.Sleep(time.Hour)
		equal(t, "handled", done.all(), []string{"<nil>"})
		h := s.Health().Subscriptions[0].Counts
		equal(t, "counts", []uint64{h.Handled, h.Lost}, []uint64{1, 0})
		s.end()
	})
}

// What was settled more than a second ago does not come again after a crash.
func TestSettlementsAreCommittedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				done.add("%d", m.Data.Total)
				return nil
			})))
		publish(t, s, order("a", 1), order("a", 2))
		time.Sleep(2 * time.Second)
		publish(t, s, order("a", 3))
		synctest.Wait()
		broker.Crash()
		time.Sleep(time.Minute)
		equal(t, "handled", done.all(), []string{"1", "2", "3", "3"})
		s.end()
	})
}

// Where a lane has gone to another consumer, which handles what was in hand of it, nothing of that is
// begun: it would come after what the other has handled.
func TestWhatWentWithItsLaneIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var moved atomic.Bool
		broker := altered{Transport: tidingstest.NewTransport(tidingstest.WithLease(0)), deliver: func(d *tidings.Delivery) {
			extend := d.Settler.Extend
			d.Settler = extending{d.Settler, func(ctx context.Context, by time.Duration) error {
				if moved.Load() {
					return tidings.ErrLost
				}
				return extend(ctx, by)
			}}
		}}
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				time.Sleep(time.Second)
				done.add("%d", m.Data.Total)
				return nil
			}),
			tidings.OnBatch(orderShipped, 2, func(_ context.Context, ms []tidings.Msg[placed]) error {
				for _, m := range ms {
					done.add("batch %d", m.Data.Total)
				}
				time.Sleep(time.Second)
				return nil
			})))
		for i := range int64(4) {
			publish(t, s, order("a", i), orderShipped.New(placed{"b", i}))
		}
		time.Sleep(500 * time.Millisecond)
		moved.Store(true)
		time.Sleep(time.Minute)
		equal(t, "handled", sorted(done.all()), []string{"0", "batch 0", "batch 1"})
		h := s.Health().Subscriptions[0]
		equal(t, "health", []any{h.InHand, h.Running, h.Lost}, []any{0, 0, uint64(5)})
		s.end()
	})
}

var orderShipped = tidings.Define("orders", "shop.order.shipped.v1", tidings.KeyBy(func(p placed) string { return p.Order }))
