package tidings_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

func ignore(context.Context, tidings.Msg[placed]) error { return nil }

// What is wrong with a policy or route is the error of Run, before anything is read.
func TestRunRefusesWhatCannotBe(t *testing.T) {
	less := tidingstest.WithCapabilities(func(c *tidings.Capabilities) { c.MaxDelay, c.Replay = time.Minute, false })
	for want, declare := range map[string]func(*tidings.Service){
		"group s: two routes take type shop.order.placed.v1 of orders": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{}, tidings.On(orderPlaced, ignore)).Subscribe(tidings.Policy{},
				tidings.On(orderPlacedV1, func(context.Context, tidings.Msg[placedV1]) error { return nil }))
		},
		"group s: two routes take the rest of orders": func(s *tidings.Service) {
			any := func(context.Context, *tidings.Delivery) error { return nil }
			s.Subscribe(tidings.Policy{}, tidings.OnAny("orders", any), tidings.OnAny("orders", any))
		},
		"group s: it has two policies": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{}, tidings.On(orderPlaced, ignore)).
				Subscribe(tidings.Policy{Concurrency: 2}, tidings.On(orderPlacedV1, nil))
		},
		"group s: step aside for 10m0s, longer than 1m0s: not supported by this transport": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{StepAside: true, Delays: []time.Duration{time.Second, 10 * time.Minute}},
				tidings.On(orderPlaced, ignore))
		},
		"group s: begin with the earliest: not supported by this transport": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{From: tidings.Earliest}, tidings.On(orderPlaced, ignore))
		},
		"group s: its dead letters would come back to it": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{DeadLetter: "s"}, tidings.On(orderPlaced, ignore))
		},
		"group s: a route of orders needs either a handler or a batch handler": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{}, tidings.Route{Topic: "orders"})
		},
		"group s: a route needs a topic, or the address of commands": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{}, tidings.Route{})
		},
		"group s: a delay of -1ns is negative": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{Delays: []time.Duration{-1}}, tidings.On(orderPlaced, ignore))
		},
		"group s: a concurrency, window or pause is negative": func(s *tidings.Service) {
			s.Subscribe(tidings.Policy{Window: -1}, tidings.On(orderPlaced, ignore))
		},
	} {
		broker := tidingstest.NewTransport(less)
		s := tidings.NewService("s", broker)
		declare(s)
		err := s.Run(t.Context())
		if err == nil || err.Error() != "service s: "+want {
			t.Errorf("got  %v\nwant service s: %s", err, want)
		}
		if strings.HasSuffix(want, "by this transport") && !errors.Is(err, tidings.ErrUnsupported) {
			t.Errorf("%v is not ErrUnsupported", err)
		}
		equal(t, "ready", s.Health().Ready, false)
	}
}

// One Run serves several policies and groups, events and commands.
func TestOneRunServesSeveralGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var done journal
		note := func(ctx context.Context, m tidings.Msg[placed]) error {
			done.add("%s %s in %s", m.Kind, m.Type, tidings.Group(ctx))
			return nil
		}
		askBilling := tidings.DefineCommand[placed]("billing", "bill")
		s := run(t, tidings.NewService("billing", broker).
			Subscribe(tidings.Policy{}, tidings.On(orderPlaced, note), tidings.Handle(askBilling, note)).
			Subscribe(tidings.Policy{Group: "audit", Concurrency: 1}, tidings.On(orderPlaced, note), tidings.Handle(placeOrder, note)).
			Subscribe(tidings.Policy{}, tidings.On(tidings.Define[placed]("prices", "price"), note)))
		publish(t, s, order("a", 1), placeOrder.New(placed{}), askBilling.New(placed{}))
		synctest.Wait()
		equal(t, "handled", sorted(done.all()), []string{
			"command bill in billing", "command shop.order.place.v1 in orders",
			"event shop.order.placed.v2 in audit", "event shop.order.placed.v2 in billing"})
		var groups []string
		for _, h := range s.Health().Subscriptions {
			groups = append(groups, h.Group+": "+strings.Join(h.Topics, " "))
		}
		equal(t, "groups", groups, []string{"billing: orders prices", "audit: orders", "orders: "})
		s.end()
	})
}

// What is published inside a handler continues the conversation, and has its service as source.
func TestHandlersPublishInTheConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var s *running
		s = run(t, tidings.NewService("billing", broker).Subscribe(tidings.Policy{},
			tidings.On(orderPlaced, func(ctx context.Context, m tidings.Msg[placed]) error {
				return s.Publish(ctx, placeOrder.New(placed{}))
			})))
		cause := stamped(order("a", 1))
		cause.TraceParent = "00-x-y-01"
		publish(t, broker, cause)
		synctest.Wait()
		e := broker.Published("orders")[1]
		equal(t, "stamped", []string{e.Source, e.Correlation, e.Causation, e.TraceParent},
			[]string{"billing", cause.ID, cause.ID, "00-x-y-01"})
		s.end()
	})
}

// The publisher of a service can be wrapped, and an observer hears of everything.
func TestPublishersAreWrappedAndObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var heard, published journal
		o := tidings.Observer{
			Received: func(group string, n int) { heard.add("received %s %d", group, n) },
			Handled:  func(h tidings.Handled) { heard.add("handled %s %v %v", h.Group, h.Took, h.Err) },
			Retried:  func(r tidings.Retried) { heard.add("retried %s after %v: %v", r.Group, r.After, r.Err) },
			Skipped:  func(group string, d *tidings.Delivery) { heard.add("skipped %s %s", group, d.Type) },
			Published: func(p tidings.Published) {
				published.add("published %d %s %v", len(p.Events), p.Events[0].Source, p.Err)
			},
			DeadLettered: func(d tidings.DeadLettered) {
				heard.add("dead letter of %s in %s: %v", d.Group, d.Letters, d.Err)
			},
		}
		counted := 0
		wrap := func(p tidings.Publisher) tidings.Publisher { return &counting{p, &counted} }
		s := run(t, tidings.NewService("billing", broker, tidings.WithObserver(o), tidings.WithPublisher(wrap)).Subscribe(
			tidings.Policy{Immediate: tidings.NoRetries, Delays: []time.Duration{time.Second}},
			tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error {
				time.Sleep(time.Millisecond)
				return errFlaky
			})))
		publish(t, s, order("a", 1))
		time.Sleep(time.Minute)
		publish(t, s, tidings.Define[int]("orders", "other").New(1))
		synctest.Wait()
		equal(t, "heard", heard.all(), []string{"received billing 1", "handled billing 1ms not now",
			"retried billing after 1s: not now", "handled billing 1ms not now",
			"dead letter of billing in billing.dlq: not now",
			"received billing 1", "skipped billing other"})
		equal(t, "published", published.all(), []string{"published 1 billing <nil>", "published 1 billing <nil>"})
		equal(t, "publishes", counted, 2)
		s.end()
	})
}

type counting struct {
	tidings.Publisher
	n *int
}

func (c *counting) Publish(ctx context.Context, events ...tidings.Event) error {
	*c.n++
	return c.Publisher.Publish(ctx, events...)
}

// Middleware wraps every attempt, the first outermost.
func TestMiddlewareWrapsEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		var calls journal
		layer := func(name string) tidings.Middleware {
			return func(h tidings.Handler) tidings.Handler {
				return tidings.HandlerFunc(func(ctx context.Context, d *tidings.Delivery) error {
					calls.add("%s %d", name, d.Attempt)
					return h.Handle(ctx, d)
				})
			}
		}
		s := run(t, tidings.NewService("s", broker, tidings.WithMiddleware(layer("outer"), layer("inner"))).Subscribe(
			tidings.Policy{Immediate: 1, Delays: []time.Duration{}},
			tidings.On(orderPlaced, func(context.Context, tidings.Msg[placed]) error { return errFlaky })))
		publish(t, s, order("a", 1))
		synctest.Wait()
		equal(t, "calls", calls.all(), []string{"outer 1", "inner 1", "outer 2", "inner 2"})
		s.end()
	})
}

// An event that could not be encoded keeps all of a call from being published.
func TestPublishRefusesWhatCouldNotBeEncoded(t *testing.T) {
	broker := tidingstest.NewTransport()
	s := tidings.NewService("s", broker)
	bad := tidings.Define[func()]("orders", "n").New(nil)
	err := s.Publish(t.Context(), order("a", 1), bad)
	failed, ok := errors.AsType[*tidings.PublishError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	equal(t, "failed", failed.Failed, []int{0, 1})
	equal(t, "published", len(broker.Published()), 0)
}

func TestPublishAtPublishesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		s := tidings.NewService("s", broker)
		if err := s.PublishAt(t.Context(), time.Now().Add(time.Hour), order("a", 1)); err != nil {
			t.Fatal(err)
		}
		equal(t, "now", len(broker.Published()), 0)
		time.Sleep(time.Hour)
		equal(t, "then", broker.Published()[0].Source, "s")
	})
}

func TestTopologyTellsWhatIsDeclared(t *testing.T) {
	s := tidings.NewService("pricing", tidingstest.NewTransport()).Produces(priceTold).Subscribe(tidings.Policy{},
		tidings.Replier(askPrice, priceTold, func(context.Context, tidings.Msg[placed]) (p price, err error) { return }),
		tidings.On(orderPlaced, ignore))
	top := s.Topology()
	equal(t, "sends", []any{top.Service, top.Sends[0].Name()}, []any{"pricing", "shop.price.told.v1"})
	var got []string
	for _, r := range top.Receives {
		reply := "nothing"
		if r.Reply != nil {
			reply = r.Reply.Name()
		}
		got = append(got, strings.Join([]string{r.Group, r.Kind.String(), r.Topic, r.Describes[0].Name(), reply, r.DeadLetters}, " "))
	}
	equal(t, "receives", got, []string{
		"pricing command pricing shop.price.ask.v1 shop.price.told.v1 pricing.dlq",
		"pricing event orders shop.order.placed.v2 nothing pricing.dlq"})
	equal(t, "policy", top.Receives[0].Policy.Concurrency, 16)
}

// Importing the package adds nothing but the standard library to a build.
func TestTheLibraryImportsTheStandardLibraryOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "imports", strings.Fields(string(out)), []string{"github.com/tidings-io/tidings"})
}
