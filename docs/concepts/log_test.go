package concepts_test

import (
	"context"
	"fmt"

	"github.com/tidings-io/tidings"
)

func Example_replay() {
	transport, _, end := memory()
	defer end()
	shop := tidings.NewService("shop", transport)
	for i := range 3 {
		id := fmt.Sprintf("o-%d", i+1)
		check(shop.Publish(context.Background(), OrderPlaced.New(Order{id, "ann", 100})))
	}
	sums := make(chan int64)
	sum := int64(0)
	add := func(_ context.Context, m tidings.Msg[Order]) error {
		sum += m.Data.Total
		sums <- sum
		return nil
	}
	// page {
	// A new group that begins with what was published before it was thought of.
	revenue := tidings.NewService("revenue", transport)
	revenue.Subscribe(tidings.Policy{From: tidings.Earliest, Concurrency: 1},
		tidings.On(OrderPlaced, add))
	// page }
	stop := running(revenue)
	for range 3 {
		fmt.Println(<-sums)
	}
	stop()
	// Output:
	// 100
	// 200
	// 300
}
