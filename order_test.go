package tidings_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// keyModel checks what handlers do against the promise: of each key one at a time, and the last
// time that each event was handled in the order of publishing.
type keyModel struct {
	mu       sync.Mutex
	active   map[string]int
	handled  map[string][]int64 // with success, in that order
	overlaps int
	most     int // handlers at once
	now      int
}

func newKeyModel() *keyModel {
	return &keyModel{active: map[string]int{}, handled: map[string][]int64{}}
}

func (m *keyModel) enter(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.active[key]++; m.active[key] > 1 {
		m.overlaps++
	}
	m.now++
	m.most = max(m.most, m.now)
}

func (m *keyModel) note(key string, n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.handled[key] = append(m.handled[key], n)
	}
}

func (m *keyModel) leave(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active[key]--
	m.now--
}

// check wants the events 1 to n of each key. Where the broker hands events out again, one may
// come again later: then the first time of each counts.
func (m *keyModel) check(t *testing.T, keys, n int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	equal(t, "handlers of one key at once", m.overlaps, 0)
	equal(t, "keys", len(m.handled), keys)
	for key, got := range m.handled {
		next := int64(1)
		for _, e := range got {
			if e > next {
				t.Fatalf("key %s: %d was handled when it was the turn of %d: %v", key, e, next, got)
			}
			if e == next {
				next++
			}
		}
		if next != int64(n)+1 {
			t.Errorf("key %s: %d events handled, want %d", key, next-1, n)
		}
	}
}

// checkLast wants that the last time that each event of a key was handled was in order.
func (m *keyModel) checkLast(t *testing.T, keys, n int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	equal(t, "handlers of one key at once", m.overlaps, 0)
	equal(t, "keys", len(m.handled), keys)
	for key, got := range m.handled {
		last := map[int64]int{}
		for at, e := range got {
			last[e] = at
		}
		for e := int64(2); e <= int64(n); e++ {
			if last[e] < last[e-1] {
				t.Errorf("key %s: %d was last handled before %d: %v", key, e, e-1, got)
			}
		}
		equal(t, key, len(last), n)
	}
}

// Order per key holds under concurrency 64 with failing and retried events, also when the broker
// drops acknowledgements, duplicates events and loses consumers, and no two handlers run for one
// key at once.
func TestOrderPerKeyHoldsUnderConcurrencyAndRetries(t *testing.T) {
	for seed := range uint64(8) {
		f := tidingstest.Faults{Seed: seed}
		if seed > 0 {
			f.DropAcks, f.Duplicate, f.Lose, f.Slow = 0.05, 0.05, 0.02, 20*time.Millisecond
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { orderUnder(t, f) })
		})
	}
}

// orderUnder handles 12 events of each of 80 keys, of which a third of the attempts fail.
func orderUnder(t *testing.T, f tidingstest.Faults) {
	const keys, each = 80, 12
	broker := tidingstest.NewTransport(tidingstest.WithFaults(f))
	model := newKeyModel()
	random := func(n int64) *rand.Rand { return rand.New(rand.NewPCG(f.Seed, uint64(n))) }
	handle := func(_ context.Context, m tidings.Msg[placed]) (err error) {
		model.enter(m.Key)
		r := random(m.Data.Total ^ int64(len(m.ID)) ^ int64(m.Attempt)<<32)
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
		if r.IntN(3) == 0 && m.Attempt < 6 {
			err = errFlaky
		}
		model.note(m.Key, m.Data.Total, err)
		model.leave(m.Key)
		return err
	}
	s := run(t, tidings.NewService("billing", broker, tidings.WithDrain(time.Minute)).Subscribe(
		tidings.Policy{Concurrency: 64, Window: 300, Breaker: tidings.Breaker{Failures: tidings.NoBreaker}},
		tidings.On(orderPlaced, handle)))
	for n := range int64(each) {
		for k := range keys {
			publish(t, s, order(fmt.Sprint("k", k), n+1))
		}
		time.Sleep(time.Millisecond)
	}
	for range 200 {
		if time.Sleep(10 * time.Second); broker.Pending("billing") == 0 {
			break
		}
	}
	s.end()
	equal(t, "pending", broker.Pending("billing"), 0)
	model.check(t, keys, each)
	if model.most > 64 || model.most < 40 {
		t.Errorf("%d handlers ran at once, want up to 64", model.most)
	}
}

// A held key that fills the window stalls its subscription, and Health says so.
func TestTheWindowBoundsWhatIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := generous{tidingstest.NewTransport()}
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{Window: 10, Immediate: tidings.NoRetries, Delays: []time.Duration{time.Hour}},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				if m.Key == "held" && m.Data.Total == 1 && m.Attempt == 1 {
					return errFlaky
				}
				done.add("%s", m.Key)
				return nil
			})))
		for n := range int64(20) {
			publish(t, s, order("held", n+1))
		}
		publish(t, s, order("free", 1))
		synctest.Wait()
		h := s.Health().Subscriptions[0]
		equal(t, "in hand", []any{h.InHand, h.Held, h.State}, []any{10, 1, tidings.Stalled})
		equal(t, "handled", done.all(), []string(nil))
		time.Sleep(time.Hour)
		synctest.Wait()
		equal(t, "handled", len(done.all()), 21)
		equal(t, "healthy", s.Health().OK(), true)
		s.end()
	})
}

// generous is a transport that hands out more than a window.
type generous struct{ *tidingstest.Transport }

func (g generous) Subscribe(ctx context.Context, s tidings.Subscription) (tidings.Consumer, error) {
	s.Window = 1000
	return g.Transport.Subscribe(ctx, s)
}

// Distinct keys go on while one is held for minutes.
func TestAHeldKeyDoesNotSlowOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		begun := time.Now()
		var last, handled atomic.Int64
		s := run(t, tidings.NewService("billing", broker).Subscribe(
			tidings.Policy{Concurrency: 4, Immediate: tidings.NoRetries, Delays: []time.Duration{10 * time.Minute}},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				if m.Key == "k0" {
					return errFlaky
				}
				time.Sleep(time.Millisecond)
				last.Store(int64(time.Since(begun)))
				handled.Add(1)
				return nil
			})))
		for n := range 1000 {
			publish(t, s, order(fmt.Sprint("k", n%8), int64(n)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "handled", handled.Load(), int64(875))
		if took := time.Duration(last.Load()); took > 300*time.Millisecond {
			t.Errorf("875 events of 1 ms by 4 handlers took %v", took)
		}
		s.end()
		equal(t, "given back", broker.Pending("billing"), 125)
	})
}

// Order per key holds while the services of a group come and go, and nothing is lost.
func TestOrderPerKeyHoldsWhileServicesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, each = 40, 12
		broker := tidingstest.NewTransport()
		model := newKeyModel()
		handle := func(_ context.Context, m tidings.Msg[placed]) (err error) {
			model.enter(m.Key)
			time.Sleep(time.Duration(m.Data.Total%5) * 10 * time.Millisecond)
			if (m.Data.Total+int64(len(m.Key))+int64(m.Attempt))%3 == 0 {
				err = errFlaky
			}
			model.note(m.Key, m.Data.Total, err)
			model.leave(m.Key)
			return err
		}
		policy := tidings.Policy{Concurrency: 16, Breaker: tidings.Breaker{Failures: tidings.NoBreaker}}
		another := func() *running {
			return run(t, tidings.NewService("billing", broker).Subscribe(policy, tidings.On(orderPlaced, handle)))
		}
		stays, goes := another(), another()
		for n := range int64(each) {
			for k := range keys {
				publish(t, broker, stamped(order(fmt.Sprint("k", k), n+1)))
			}
			time.Sleep(50 * time.Millisecond)
			goes.end()
			goes = another()
		}
		time.Sleep(time.Hour)
		goes.end()
		stays.end()
		equal(t, "pending", broker.Pending("billing"), 0)
		model.check(t, keys, each)
		for key, handled := range model.handled { // without faults nothing is handled twice
			equal(t, key, len(handled), each)
		}
	})
}

// Events of one key in one lane are handled one after the other, whatever their routes.
func TestRoutesByLaneAndByKeyDoNotHandleAKeyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		model := newKeyModel()
		h := func(_ context.Context, d *tidings.Delivery) error {
			model.enter(d.Key)
			time.Sleep(time.Second)
			model.leave(d.Key)
			return nil
		}
		byLane := tidings.OnAny("orders", h, "shop.order.placed.v2")
		byLane.ByLane = true
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{}, byLane, tidings.OnAny("orders", h)))
		other := order("a", 2)
		other.Type = "other"
		publish(t, s, order("a", 1), other)
		time.Sleep(time.Minute)
		equal(t, "at once", model.overlaps, 0)
		s.end()
	})
}
