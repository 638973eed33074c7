package concepts_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/tidings-io/tidings"
)

// page {
// ResizePhoto is work: any instance of "photos" may do it, one of them does.
var ResizePhoto = tidings.DefineCommand[string]("photos", "shop.photo.resize.v1")

func photos(t tidings.Transport, resize func(context.Context, tidings.Msg[string]) error) *tidings.Service {
	return tidings.NewService("photos", t).Subscribe(tidings.Policy{Concurrency: 4},
		tidings.Handle(ResizePhoto, resize))
}

// page }

func Example_workQueue() {
	transport, _, end := memory()
	defer end()
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	resize := func(_ context.Context, m tidings.Msg[string]) error {
		mu.Lock()
		defer mu.Unlock()
		if seen[m.Data]++; seen[m.Data] == 1 {
			all.Done()
		}
		return nil
	}
	stop := running(photos(transport, resize), photos(transport, resize)) // two instances
	shop := tidings.NewService("shop", transport)
	for i := range 100 {
		all.Add(1)
		check(shop.Publish(context.Background(), ResizePhoto.New(fmt.Sprint("photo-", i))))
	}
	all.Wait()
	stop()
	fmt.Println(len(seen), "photos")
	// Output: 100 photos
}
