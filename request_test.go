package tidings_test

import (
	"context"
	"errors"
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
