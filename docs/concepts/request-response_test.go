package concepts_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
)

// page {
var (
	AskPrice  = tidings.DefineCommand[Order]("pricing", "shop.price.ask.v1")
	PriceTold = tidings.Define[int64]("prices", "shop.price.told.v1")
)

// pricing answers whoever asks.
func pricing(t tidings.Transport) *tidings.Service {
	return tidings.NewService("pricing", t).Subscribe(tidings.Policy{}, tidings.Replier(AskPrice, PriceTold,
		func(_ context.Context, m tidings.Msg[Order]) (int64, error) {
			if m.Data.Total < 0 {
				return 0, tidings.Permanent(errors.New("less than nothing"))
			}
			return m.Data.Total * 119 / 100, nil
		}))
}

// price waits for the answer, and no longer than it makes sense.
func price(ctx context.Context, svc *tidings.Service, o Order) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return tidings.Request(ctx, svc, AskPrice.New(o), PriceTold)
}

// page }

func Example_request() {
	t, _, end := memory()
	defer end()
	shop := tidings.NewService("shop", t)
	stop := running(pricing(t), shop)
	fmt.Println(price(context.Background(), shop, Order{"o-1", "ann", 1000}))
	_, err := price(context.Background(), shop, Order{"o-2", "ann", -1})
	failure, _ := errors.AsType[*tidings.RemoteError](err)
	fmt.Println(failure.Group, "gave up:", failure.Reason)
	stop()
	// Output:
	// 1190 <nil>
	// pricing gave up: less than nothing
}
