package tidings_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// A handler in progress finishes with a live context after the context of Run ended; what waits is
// given back and not lost.
func TestDrainLetsHandlersFinishAndGivesBackTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{Concurrency: 2},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				time.Sleep(10 * time.Second)
				done.add("%s %v", m.Key, ctx.Err())
				return nil
			})))
		for n := range 5 {
			publish(t, s, order(fmt.Sprint("k", n), 1))
		}
		time.Sleep(time.Second)
		begun := time.Now()
		s.stop()
		synctest.Wait()
		equal(t, "state", s.Health().Subscriptions[0].State, tidings.Draining)
		s.end()
		equal(t, "drained after", time.Since(begun), 9*time.Second)
		equal(t, "handled", sorted(done.all()), []string{"k0 <nil>", "k1 <nil>"})
		equal(t, "given back", broker.Pending("billing"), 3)
		other := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(_ context.Context, m tidings.Msg[placed]) error {
				done.add("again %s", m.Key)
				return nil
			})))
		synctest.Wait()
		equal(t, "then", sorted(done.all())[:3], []string{"again k2", "again k3", "again k4"})
		other.end()
	})
}

// When the drain is over the contexts of handlers end, and Run returns a second later even if some
// go on; what they had is given back.
func TestADrainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		begun := time.Now()
		s := run(t, tidings.NewService("billing", broker, tidings.WithDrain(time.Minute)).Subscribe(
			tidings.Policy{Timeout: tidings.NoTimeout},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				<-ctx.Done()
				done.add("%s ends after %v: %v", m.Key, time.Since(begun), context.Cause(ctx))
				if m.Key == "deaf" {
					time.Sleep(time.Hour)
					return nil
				}
				return ctx.Err()
			})))
		publish(t, s, order("deaf", 1), order("quick", 1))
		synctest.Wait()
		s.stop()
		err := <-s.over
		if err == nil || !strings.Contains(err.Error(), "group billing: 1 handlers did not end within 1m1s") {
			t.Errorf("run: %v", err)
		}
		equal(t, "returned after", time.Since(begun), 61*time.Second)
		equal(t, "contexts", sorted(done.all()), []string{"deaf ends after 1m0s: service has stopped",
			"quick ends after 1m0s: service has stopped"})
		equal(t, "given back", broker.Pending("billing"), 2)
		time.Sleep(2 * time.Hour)
		equal(t, "not settled later", broker.Pending("billing"), 2)
	})
}

// A handler may ask other services during the drain.
func TestRequestsAreAnsweredDuringTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		server := run(t, pricing(broker))
		var s *running
		s = run(t, tidings.NewService("shop", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				time.Sleep(time.Second)
				p, err := tidings.Request(ctx, s.Service, askPrice.New(placed{Total: 7}), priceTold)
				done.add("%d %v", p.Cents, err)
				return err
			})))
		publish(t, s, order("a", 1))
		synctest.Wait()
		s.end()
		equal(t, "answer", done.all(), []string{"7 <nil>"})
		server.end()
	})
}

// Where receiving fails the service subscribes again, with pauses; Health shows it meanwhile.
func TestAServiceSubscribesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &away{Transport: tidingstest.NewTransport(tidingstest.WithLease(0))}
		var done journal
		s := run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				if m.Key == "slow" && m.Attempt == 1 {
					<-ctx.Done()
					done.add("%v", context.Cause(ctx))
					return ctx.Err()
				}
				done.add("%s", m.Key)
				return nil
			})))
		publish(t, s, order("slow", 1))
		synctest.Wait()
		broker.gone.Store(true)
		broker.Crash()
		time.Sleep(time.Minute)
		h := s.Health()
		equal(t, "health", []any{h.OK(), h.Subscriptions[0].State, h.Subscriptions[0].LastError, h.Subscriptions[0].Lost},
			[]any{false, tidings.Reconnecting, "subscribe billing: no broker", uint64(1)})
		if n := broker.tries.Load(); n < 8 || n > 20 {
			t.Errorf("%d tries in a minute", n)
		}
		broker.gone.Store(false)
		publish(t, s, order("b", 1))
		time.Sleep(time.Minute)
		equal(t, "handled", done.all()[0], "delivery lost")
		equal(t, "handled", sorted(done.all()[1:]), []string{"b", "slow"})
		equal(t, "healthy", s.Health().OK(), true)
		s.end()
		equal(t, "pending", broker.Pending("billing"), 0)
	})
}

var errNoBroker = errors.New("no broker")

// away is a transport whose broker cannot be reached at times.
type away struct {
	*tidingstest.Transport
	gone  atomic.Bool
	tries atomic.Int64
}

func (a *away) Subscribe(ctx context.Context, s tidings.Subscription) (tidings.Consumer, error) {
	a.tries.Add(1)
	if a.gone.Load() {
		return nil, errNoBroker
	}
	return a.Transport.Subscribe(ctx, s)
}

// A service whose broker is away ends all the same.
func TestAServiceEndsWithoutItsBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &away{Transport: tidingstest.NewTransport()}
		s, _ := failing(t, broker, tidings.Policy{}, nil)
		broker.gone.Store(true)
		broker.Crash()
		time.Sleep(5 * time.Second)
		begun := time.Now()
		s.end()
		equal(t, "ended after", time.Since(begun), time.Duration(0))
	})
}

// A service that is stopped before it has begun ends without an error.
func TestAServiceCanBeStoppedBeforeItHasBegun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := tidings.NewService("s", tidingstest.NewTransport()).Subscribe(tidings.Policy{}, tidings.On(orderPlaced, ignore))
	equal(t, "error", s.Run(ctx), nil)
	equal(t, "ready", s.Health().Ready, false)
}

// The first subscribe that fails is the error of Run; nothing stays subscribed.
func TestRunFailsWhereItCannotSubscribe(t *testing.T) {
	broker := &away{Transport: tidingstest.NewTransport()}
	broker.gone.Store(true)
	s := tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
		tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error { return nil }))
	err := s.Run(t.Context())
	if !errors.Is(err, errNoBroker) || !strings.Contains(err.Error(), "service billing: subscribe billing") {
		t.Errorf("run: %v", err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "has run") {
		t.Errorf("run again: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := tidings.Request(ctx, s, askPrice.New(placed{}), priceTold); !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("request: %v, want ErrClosed", err)
	}
}

// A broker that does not answer keeps a service no longer than its handlers may: what is asked of it
// before or after them ends with the drain, too.
func TestADrainEndsThoughTheBrokerIsSilent(t *testing.T) {
	for what, policy := range map[string]tidings.Policy{
		"nack":   {StepAside: true, Immediate: tidings.NoRetries},
		"commit": {Ack: tidings.BeforeHandle},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				silence := func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				}
				broker := altered{tidingstest.NewTransport(),
					func(d *tidings.Delivery) { d.Settler = nacking{d.Settler, silence} }, silence}
				s := run(t, tidings.NewService("billing", broker, tidings.WithDrain(time.Minute)).Subscribe(policy,
					tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error { return errFlaky })))
				publish(t, s, order("a", 1))
				synctest.Wait()
				begun := time.Now()
				s.end()
				equal(t, "returned after", time.Since(begun), time.Minute)
			})
		})
	}
}
