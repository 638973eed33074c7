package concepts_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/tidings-io/tidings"
)

// page {
// worker is one instance. Start as many as there is work for: those of one name are one group, and
// share its events.
func worker(t tidings.Transport, work func(context.Context, tidings.Msg[Order]) error) *tidings.Service {
	return tidings.NewService("worker", t).Subscribe(tidings.Policy{Concurrency: 32},
		tidings.On(OrderPlaced, work))
}

// page }

func Example_scaling() {
	transport, _, end := memory()
	defer end()
	var all sync.WaitGroup
	work := func(context.Context, tidings.Msg[Order]) error {
		all.Done()
		return nil
	}
	stop := running(worker(transport, work), worker(transport, work), worker(transport, work))
	shop := tidings.NewService("shop", transport)
	for i := range 300 {
		all.Add(1)
		check(shop.Publish(context.Background(), OrderPlaced.New(Order{fmt.Sprint("o-", i), "ann", 1})))
	}
	all.Wait()
	stop()
	fmt.Println("300 orders, by three")
	// Output: 300 orders, by three
}
