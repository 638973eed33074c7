package tidings_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

type price struct{ Cents int64 }

var (
	askPrice  = tidings.DefineCommand[placed]("pricing", "shop.price.ask.v1")
	priceTold = tidings.Define[price]("prices", "shop.price.told.v1")
)

// pricing answers with the total, or fails for good where there is none.
func pricing(broker tidings.Transport) *tidings.Service {
	return tidings.NewService("pricing", broker).Subscribe(tidings.Policy{},
		tidings.Replier(askPrice, priceTold, func(_ context.Context, m tidings.Msg[placed]) (price, error) {
			if m.Data.Total == 0 {
				return price{}, tidings.Permanent(errors.New("no total"))
			}
			return price{m.Data.Total}, nil
		}))
}

func TestARequestIsAnsweredOrFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		server, client := run(t, pricing(broker)), run(t, tidings.NewService("shop", broker))
		got, err := tidings.Request(t.Context(), client.Service, askPrice.New(placed{Total: 7}), priceTold)
		equal(t, "answer", []any{got, err}, []any{price{7}, nil})

		_, err = tidings.Request(t.Context(), client.Service, askPrice.New(placed{}), priceTold)
		remote, ok := errors.AsType[*tidings.RemoteError](err)
		if !ok {
			t.Fatalf("got %v, want a RemoteError", err)
		}
		equal(t, "failure", *remote, tidings.RemoteError{Group: "pricing", Reason: "no total"})
		equal(t, "dead letters", len(broker.DeadLetters("pricing")), 1)

		server.end()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = tidings.Request(ctx, client.Service, askPrice.New(placed{Total: 7}), priceTold)
		equal(t, "nobody there", errors.Is(err, context.DeadlineExceeded), true)
		client.end()
		_, err = tidings.Request(t.Context(), client.Service, askPrice.New(placed{Total: 7}), priceTold)
		equal(t, "ended", errors.Is(err, tidings.ErrClosed), true)
	})
}

// A request that is handled again is answered with the same id; what comes late is dropped.
func TestARedeliveredRequestRepeatsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		slow := tidings.NewService("pricing", broker).Subscribe(tidings.Policy{},
			tidings.Replier(askPrice, priceTold, func(ctx context.Context, m tidings.Msg[placed]) (price, error) {
				time.Sleep(time.Duration(m.Data.Total) * time.Second)
				return price{m.Data.Total}, nil
			}))
		server, client := run(t, slow), run(t, tidings.NewService("shop", broker))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		late := askPrice.New(placed{Total: 3}, tidings.WithID("late"))
		_, err := tidings.Request(ctx, client.Service, late, priceTold)
		equal(t, "timed out", errors.Is(err, context.DeadlineExceeded), true)
		time.Sleep(2 * time.Second)

		got, err := tidings.Request(t.Context(), client.Service, late, priceTold)
		equal(t, "asked again", []any{got, err}, []any{price{3}, nil})
		var ids []string
		for _, e := range broker.Published() {
			if e.Kind == tidings.KindReply {
				ids = append(ids, e.ID)
				equal(t, "answer", []string{e.Source, e.Causation, e.Correlation}, []string{"pricing", "late", "late"})
			}
		}
		equal(t, "answers", []any{len(ids), ids[0] == ids[1], ids[0][14]}, []any{2, true, byte('5')})
		server.end()
		client.end()
	})
}

// Answers find the request that they belong to.
func TestRequestsDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		server, client := run(t, pricing(broker)), run(t, tidings.NewService("shop", broker))
		var all sync.WaitGroup
		for n := range int64(100) {
			all.Go(func() {
				got, err := tidings.Request(t.Context(), client.Service, askPrice.New(placed{Total: n + 1}), priceTold)
				if err != nil || got.Cents != n+1 {
					t.Errorf("asked %d, got %v, %v", n+1, got, err)
				}
			})
		}
		all.Wait()
		server.end()
		client.end()
	})
}

// The address for answers is made again when the broker has lost it.
func TestRequestsGoOnAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		server, client := run(t, pricing(broker)), run(t, tidings.NewService("shop", broker))
		for range 2 {
			got, err := tidings.Request(t.Context(), client.Service, askPrice.New(placed{Total: 7}), priceTold)
			equal(t, "answer", []any{got, err}, []any{price{7}, nil})
			broker.Crash()
			time.Sleep(time.Minute)
		}
		server.end()
		client.end()
	})
}

// A request that nobody waits for any more, by its address, is handled all the same.
func TestAnAnswerThatNobodyWaitsForIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := tidingstest.NewTransport()
		server := run(t, pricing(broker))
		ask := askPrice.New(placed{Total: 7})
		ask.ReplyTo = "gone"
		publish(t, broker, stamped(ask), stamped(askPrice.New(placed{Total: 7})))
		time.Sleep(time.Minute)
		equal(t, "counts", server.Health().Subscriptions[0].Counts, tidings.Counts{Received: 2, Handled: 2})
		server.end()
	})
}

func TestRequestRefusesWhatCannotBe(t *testing.T) {
	broker := tidingstest.NewTransport(tidingstest.WithCapabilities(func(c *tidings.Capabilities) { c.Temporary = false }))
	s := tidings.NewService("shop", broker)
	_, err := tidings.Request(t.Context(), s, askPrice.New(placed{}), priceTold)
	equal(t, "no temporary groups", errors.Is(err, tidings.ErrUnsupported), true)
	_, err = tidings.Request(t.Context(), s, order("a", 1), priceTold)
	equal(t, "an event", errors.Is(err, tidings.ErrType), true)
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err = tidings.Request(ctx, tidings.NewService("shop", tidingstest.NewTransport()), askPrice.New(placed{}), priceTold)
	equal(t, "does not run", errors.Is(err, context.DeadlineExceeded), true)
}

func TestDerivedIDsTellTextsApart(t *testing.T) {
	id := tidings.DerivedID("a", "b")
	equal(t, "of the same texts", tidings.DerivedID("a", "b"), id)
	equal(t, "of others", tidings.DerivedID("ab", "") == id, false)
}

// Nobody waits for a service that never runs.
func TestRequestsFailWhereRunRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := tidings.NewService("billing", tidingstest.NewTransport()).Subscribe(tidings.Policy{Concurrency: -1},
			tidings.OnAny("orders", func(context.Context, *tidings.Delivery) error { return nil }))
		if err := s.Run(t.Context()); err == nil {
			t.Error("no error")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := tidings.Request(ctx, s, placeOrder.New(placed{}), orderPlaced)
		if !errors.Is(err, tidings.ErrClosed) {
			t.Errorf("request: %v", err)
		}
	})
}
