package concepts_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// page {
// ProductChanged says which product, and nothing else.
type ProductChanged struct {
	SKU string `json:"sku"`
}

var ProductChangedEvent = tidings.Define("products", "shop.product.changed.v1",
	tidings.KeyBy(func(p ProductChanged) string { return p.SKU }))

// onChange asks the owner what the product is now.
func onChange(catalog Catalog, index func(Product) error) tidings.Route {
	return tidings.On(ProductChangedEvent,
		func(ctx context.Context, m tidings.Msg[ProductChanged]) error {
			p, err := catalog.Product(ctx, m.Data.SKU)
			switch {
			case errors.Is(err, ErrBusy):
				return tidings.RetryAfter(err, 20*time.Second) // as its Retry-After says
			case errors.Is(err, ErrGone):
				return nil // a later event will say that it was deleted
			case err != nil:
				return err
			}
			return index(p)
		})
}

// page }

type Product struct {
	SKU     string
	Price   int64
	Version int
}

type Catalog map[string]Product

var (
	ErrBusy = errors.New("catalog: 429 too many requests")
	ErrGone = errors.New("catalog: no such product")
)

func (c Catalog) Product(_ context.Context, sku string) (Product, error) {
	if sku == "busy" {
		return Product{}, ErrBusy
	}
	p, ok := c[sku]
	if !ok {
		return p, ErrGone
	}
	return p, nil
}

func Example_notification() {
	catalog := Catalog{"tea": {"tea", 400, 1}}
	first := ProductChangedEvent.New(ProductChanged{"tea"})
	catalog["tea"] = Product{"tea", 450, 2} // before anybody has read the first event
	second := ProductChangedEvent.New(ProductChanged{"tea"})
	route := onChange(catalog, func(p Product) error {
		fmt.Println("version", p.Version)
		return nil
	})
	ctx := context.Background()
	fmt.Println(tidingstest.Deliver(ctx, first, route), tidingstest.Deliver(ctx, second, route))
	fmt.Println(tidingstest.Deliver(ctx, ProductChangedEvent.New(ProductChanged{"busy"}), route))
	fmt.Println(tidingstest.Deliver(ctx, ProductChangedEvent.New(ProductChanged{"gone"}), route))
	// Output:
	// version 2
	// version 2
	// <nil> <nil>
	// catalog: 429 too many requests
	// <nil>
}
