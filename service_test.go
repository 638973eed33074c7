package tidings_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var errFlaky = errors.New("not now")

// running is a service that runs until its test ends it.
type running struct {
	*tidings.Service
	t    *testing.T
	stop context.CancelFunc
	over chan error
}

// run runs a service in a bubble; it is ready when run returns.
func run(t *testing.T, s *tidings.Service) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{s, t, stop, make(chan error, 1)}
	go func() { r.over <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-r.over:
		stop()
		t.Fatalf("run: %v", err)
	}
	return r
}

// end stops the service and wants its run to have ended well.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.over; err != nil {
		r.t.Errorf("run: %v", err)
	}
}

func publish(t *testing.T, p tidings.Publisher, events ...tidings.Event) {
	t.Helper()
	if err := p.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// placeOrder is a command to a service that is named like a topic.
var placeOrder = tidings.DefineCommand[placed]("orders", "shop.order.place.v1")

func sorted(text []string) []string {
	slices.Sort(text)
	return text
}

func order(id string, total int64) tidings.Event {
	return orderPlaced.New(placed{Order: id, Total: total})
}

// journal is what handlers have done, in its order.
type journal struct {
	mu   sync.Mutex
	text []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.text...)
}

func TestAServiceHandlesWhatIsPublishedAndDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				done.add("%s %d", m.Data.Order, m.Data.Total)
				return nil
			})))
		publish(t, s, order("a", 1), order("a", 2), order("a", 3))
		synctest.Wait()
		equal(t, "handled", done.all(), []string{"a 1", "a 2", "a 3"})
		equal(t, "healthy", s.Health().OK(), true)
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
		equal(t, "state", s.Health().Subscriptions[0].State, tidings.Stopped)
	})
}

func TestAFailingEventHoldsItsKeyOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Immediate: tidings.NoRetries,
			Delays: []time.Duration{time.Minute, 10 * time.Minute}},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				done.add("%s %d try %d", m.Data.Order, m.Data.Total, m.Attempt)
				if m.Data.Order == "a" && m.Data.Total == 1 && m.Attempt < 3 {
					return errFlaky
				}
				return nil
			})))
		publish(t, s, order("a", 1), order("a", 2))
		synctest.Wait()
		publish(t, s, order("b", 1))
		synctest.Wait()
		equal(t, "at first", done.all(), []string{"a 1 try 1", "b 1 try 1"})
		equal(t, "held", s.Health().Subscriptions[0].Held, 1)
		time.Sleep(11*time.Minute + time.Second)
		equal(t, "later", done.all()[2:], []string{"a 1 try 2", "a 1 try 3", "a 2 try 1"})
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

// laneRoute handles orders in the order of their lane.
func laneRoute(fn func(m tidings.Msg[placed]) error) tidings.Route {
	r := tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error { return fn(m) })
	r.ByLane = true
	return r
}

func TestAFailingEventHoldsItsLaneWhereItsRouteAsksForThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport(tidingstest.WithLanes(1))
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Immediate: tidings.NoRetries,
			Delays: []time.Duration{time.Minute}},
			laneRoute(func(m tidings.Msg[placed]) error {
				done.add("%s %d", m.Data.Order, m.Data.Total)
				if m.Data.Order == "a" && len(done.all()) == 1 {
					return errFlaky
				}
				return nil
			})))
		publish(t, s, order("a", 1), order("b", 2), order("c", 3))
		synctest.Wait()
		equal(t, "while a is held", done.all(), []string{"a 1"})
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "in the end", done.all(), []string{"a 1", "a 1", "b 2", "c 3"})
		s.end()
	})
}

func TestARouteRefusesWhatItsTransportLacks(t *testing.T) {
	r := laneRoute(func(tidings.Msg[placed]) error { return nil })
	r.Needs = func(p tidings.Policy, c tidings.Capabilities) error {
		if p.Concurrency != 3 || !c.Positions {
			t.Errorf("asked about %+v and %+v", p, c)
		}
		return tidings.ErrUnsupported
	}
	s := tidings.NewService("billing", tidingstest.NewTransport()).Subscribe(tidings.Policy{Concurrency: 3}, r)
	if err := s.Run(t.Context()); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("run: %v, want ErrUnsupported", err)
	}
}

// With FailUnknown the event stays where it is, and nothing of its key is handled before it.
func TestWhatIsBehindAnUnknownEventWaitsForTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		s := tidings.NewService("billing", broker).Subscribe(tidings.Policy{Unknown: tidings.FailUnknown, Concurrency: 1},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				done.add("%d", m.Data.Total)
				return nil
			}))
		r := run(t, s)
		strange := order("a", 1)
		strange.Type = "strange"
		publish(t, s, strange, order("a", 2))
		if err := <-r.over; err == nil {
			t.Error("run ended well")
		}
		equal(t, "handled", len(done.all()), 0)
		r.stop()
	})
}

func TestSubscribeHasNoEffectOnceRunWasCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := run(t, tidings.NewService("billing", tidingstest.NewTransport()))
		s.Subscribe(tidings.Policy{}, tidings.OnAny("orders", func(context.Context, *tidings.Delivery) error { return nil }))
		if err := s.Handle(t.Context(), order("a", 1)); !errors.Is(err, tidings.ErrNoRoute) {
			t.Errorf("handle: %v", err)
		}
		equal(t, "topology", len(s.Topology().Receives), 0)
		s.end()
	})
}

func TestSubscriptionsOfARunThatFailedAreStopped(t *testing.T) {
	broker := tidingstest.NewTransport()
	s := tidings.NewService("billing", refusing{broker, "second"}).
		Subscribe(tidings.Policy{}, tidings.OnAny("orders", func(context.Context, *tidings.Delivery) error { return nil })).
		Subscribe(tidings.Policy{Group: "second"}, tidings.OnAny("orders", func(context.Context, *tidings.Delivery) error { return nil }))
	if err := s.Run(t.Context()); err == nil {
		t.Error("no error")
	}
	for _, sub := range s.Health().Subscriptions {
		equal(t, sub.Group, sub.State, tidings.Stopped)
	}
}

// refusing lets one group not in.
type refusing struct {
	tidings.Transport
	group string
}

func (f refusing) Subscribe(ctx context.Context, s tidings.Subscription) (tidings.Consumer, error) {
	if s.Group == f.group {
		return nil, errFlaky
	}
	return f.Transport.Subscribe(ctx, s)
}
