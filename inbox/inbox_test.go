package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/inbox"
	"github.com/tidings-io/tidings/tidingstest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	goleak.VerifyTestMain(m)
}

type placed struct {
	Order string
	N     int
}

var (
	orderPlaced = tidings.Define("orders", "shop.order.placed.v1", tidings.KeyBy(func(p placed) string { return p.Order }))
	bill        = tidings.DefineCommand[placed]("billing", "billing.bill.v1")
	errFlaky    = errors.New("not now")
)

// memory is a Store whose transactions take turns; Tx is the effects of one.
type memory struct {
	mu        sync.Mutex
	ids       map[string]bool
	positions map[string]int64
	effects   map[string]int
	pruned    []time.Duration
}

type effects struct{ names []string }

func newMemory() *memory {
	return &memory{ids: map[string]bool{}, positions: map[string]int64{}, effects: map[string]int{}}
}

func (m *memory) Once(ctx context.Context, group, id string, fn func(context.Context, *effects) error) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids[group+" "+id] {
		return true, nil
	}
	err := m.commit(ctx, fn)
	m.ids[group+" "+id] = err == nil
	return false, err
}

func (m *memory) Advance(ctx context.Context, group, lane string, offset int64,
	fn func(context.Context, *effects) error) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, ok := m.positions[group+" "+lane]; ok && last >= offset {
		return true, nil
	}
	err := m.commit(ctx, fn)
	if err == nil {
		m.positions[group+" "+lane] = offset
	}
	return false, err
}

func (m *memory) commit(ctx context.Context, fn func(context.Context, *effects) error) error {
	var tx effects
	err := fn(ctx, &tx)
	if err == nil {
		for _, name := range tx.names {
			m.effects[name]++
		}
	}
	return err
}

func (m *memory) Prune(_ context.Context, age time.Duration) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pruned = append(m.pruned, age)
	return 0, errFlaky
}

// note is a handler that fails the first time for some of the events.
func note() func(context.Context, *effects, tidings.Msg[placed]) error {
	var mu sync.Mutex
	tried := map[string]bool{}
	return func(_ context.Context, tx *effects, m tidings.Msg[placed]) error {
		name := fmt.Sprintf("%s/%d", m.Data.Order, m.Data.N)
		tx.names = append(tx.names, name)
		mu.Lock()
		defer mu.Unlock()
		first := !tried[name]
		tried[name] = true
		if first && m.Data.N%3 == 0 {
			return errFlaky
		}
		return nil
	}
}

// serve runs a service in a bubble until everything has settled, and ends it.
func serve(t *testing.T, broker *tidingstest.Transport, p tidings.Policy, r tidings.Route, events ...tidings.Event) {
	t.Helper()
	s := tidings.NewService("billing", broker).Subscribe(p, r)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	<-s.Ready()
	if err := broker.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func orders(keys, each int) (events []tidings.Event) {
	for n := range each {
		for key := range keys {
			e := orderPlaced.New(placed{fmt.Sprint("order-", key), n})
			e.Source = "shop"
			events = append(events, e)
		}
	}
	return events
}

// missing counts events without exactly one effect.
func (m *memory) missing(keys, each int) (wrong int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range keys {
		for n := range each {
			if m.effects[fmt.Sprintf("order-%d/%d", key, n)] != 1 {
				wrong++
			}
		}
	}
	return wrong
}

var faults = tidingstest.Faults{Seed: 5, DropAcks: 0.2, Duplicate: 0.3, Reorder: 10, Lose: 0.02}

func TestEveryEventHasOneEffectWhateverTheBrokerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		serve(t, tidingstest.NewTransport(tidingstest.WithFaults(faults)), tidings.Policy{},
			inbox.On(m, orderPlaced, note()), orders(20, 20)...)
		if n := m.missing(20, 20); n > 0 || len(m.effects) != 400 {
			t.Errorf("%d of %d have not one effect", n, len(m.effects))
		}
	})
}

func TestAPositionPassesNothingByWhateverTheBrokerDoes(t *testing.T) {
	for _, byLane := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			r := inbox.OnPosition(m, orderPlaced, note())
			r.ByLane = byLane
			serve(t, tidingstest.NewTransport(tidingstest.WithFaults(faults)),
				tidings.Policy{Immediate: tidings.NoRetries}, r, orders(20, 20)...)
			n := m.missing(20, 20)
			if byLane && (n > 0 || len(m.positions) > 4 || len(m.ids) > 0) {
				t.Errorf("%d have not one effect, %d positions, %d ids", n, len(m.positions), len(m.ids))
			}
			if !byLane && n == 0 {
				t.Error("nothing is passed by without the order of lanes: the test shows nothing")
			}
		})
	}
}

func TestACommandHasOneEffect(t *testing.T) {
	m := newMemory()
	e := bill.New(placed{Order: "a"})
	e.Source = "shop"
	h := inbox.Handle(m, bill, func(_ context.Context, tx *effects, m tidings.Msg[placed]) error {
		tx.names = append(tx.names, m.Data.Order)
		return nil
	})
	for range 2 {
		if err := tidingstest.Deliver(t.Context(), e, h); err != nil {
			t.Fatal(err)
		}
	}
	if m.effects["a"] != 1 || h.Kind != tidings.KindCommand || h.Topic != "billing" {
		t.Errorf("effects %v of %+v", m.effects, h)
	}
}

func TestEventsOfTwoSourcesMayHaveOneID(t *testing.T) {
	m := newMemory()
	h := inbox.On(m, orderPlaced, func(_ context.Context, tx *effects, m tidings.Msg[placed]) error {
		tx.names = append(tx.names, m.Source)
		return nil
	})
	for _, source := range []string{"shop", "market", "shop"} {
		e := orderPlaced.New(placed{}, tidings.WithID("1"))
		e.Source = source
		if err := tidingstest.Deliver(t.Context(), e, h); err != nil {
			t.Fatal(err)
		}
	}
	if m.effects["shop"] != 1 || m.effects["market"] != 1 {
		t.Errorf("effects %v", m.effects)
	}
}

// Or one of them would be skipped as a duplicate of the other.
func TestEventsAreOneOnlyWithOneSourceAndOneID(t *testing.T) {
	of := map[string]string{}
	long := strings.Repeat("x", inbox.MaxName)
	for _, e := range []tidings.Event{{Source: "shop", ID: "eu 1"}, {Source: "shop eu", ID: "1"}, {Source: "shop", ID: " eu 1"},
		{Source: "shop ", ID: "eu 1"}, {Source: "", ID: "1"}, {Source: long, ID: "1"}, {Source: long, ID: "2"},
		{Source: long[1:], ID: "x 1"}, {Source: long, ID: long}} {
		id, name := inbox.ID(&e), fmt.Sprintf("%.20q %.20q", e.Source, e.ID)
		if err := inbox.Check(id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if other, taken := of[id]; taken {
			t.Errorf("%s has the id of %s", name, other)
		}
		of[id] = name
	}
}

func TestAHandlerKnowsItsGroupOnlyFromAService(t *testing.T) {
	for _, r := range []tidings.Route{inbox.On(newMemory(), orderPlaced, note()),
		inbox.OnPosition(newMemory(), orderPlaced, note())} {
		err := r.Handler.Handle(t.Context(), &tidings.Delivery{Event: orderPlaced.New(placed{}), Lane: "l"})
		if err == nil {
			t.Error("handled as no group")
		}
	}
}

func TestPoisonNeverReachesTheStore(t *testing.T) {
	e := orderPlaced.New(placed{})
	e.Payload = []byte("{")
	for _, r := range []tidings.Route{inbox.On(newMemory(), orderPlaced, note()),
		inbox.OnPosition(newMemory(), orderPlaced, note())} {
		ctx := tidings.Handling(t.Context(), "billing", "billing", &e)
		if err := r.Handler.Handle(ctx, &tidings.Delivery{Event: e, Lane: "l"}); !tidings.IsPermanent(err) {
			t.Errorf("%v, want a permanent error", err)
		}
	}
}

func TestAPositionNeedsATransportThatHasThemAndAPolicyThatKeepsTheOrder(t *testing.T) {
	none := tidingstest.WithCapabilities(func(c *tidings.Capabilities) { c.Positions = false })
	for name, s := range map[string]*tidings.Service{
		"no positions": tidings.NewService("billing", tidingstest.NewTransport(none)).
			Subscribe(tidings.Policy{}, inbox.OnPosition(newMemory(), orderPlaced, note())),
		"stepping aside": tidings.NewService("billing", tidingstest.NewTransport()).
			Subscribe(tidings.Policy{StepAside: true}, inbox.OnPosition(newMemory(), orderPlaced, note())),
	} {
		if err := s.Run(t.Context()); !errors.Is(err, tidings.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
}

func TestADeliveryWithoutAPositionIsRememberedByItsID(t *testing.T) {
	m := newMemory()
	e := orderPlaced.New(placed{Order: "a", N: 1})
	e.Source = "shop"
	for range 2 {
		if err := tidingstest.Deliver(t.Context(), e, inbox.OnPosition(m, orderPlaced, note())); err != nil {
			t.Fatal(err)
		}
	}
	if m.effects["a/1"] != 1 || len(m.ids) != 1 || len(m.positions) != 0 {
		t.Errorf("effects %v, ids %v", m.effects, m.ids)
	}
}

func TestKeepPrunesAtOnceAndEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		ctx, stop := context.WithTimeout(t.Context(), 2*inbox.PruneEvery+time.Minute)
		defer stop()
		inbox.Keep(ctx, m, 24*time.Hour)
		if fmt.Sprint(m.pruned) != "[24h0m0s 24h0m0s 24h0m0s]" {
			t.Errorf("pruned %v", m.pruned)
		}
	})
}
