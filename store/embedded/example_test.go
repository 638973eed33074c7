package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/store/embedded"
)

// memory is a store whose data is in memory: give broker.Open a directory and leave FS out to
// keep it.
func memory() (*embedded.Store, func() error) {
	b, err := broker.Open("data", broker.Config{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	s, err := embedded.Open(context.Background(), b, embedded.Config{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	return s, b.Close
}

// Do changes several things in one step, or none of them.
func ExampleStore_Do() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	reserve := func(ctx context.Context, tx *embedded.Tx) error {
		stock, _ := tx.Get("stock")
		if len(stock) == 0 {
			return errors.New("out of stock")
		}
		tx.Put("stock", stock[1:])
		_, err := tx.Append(ctx, "order-1", eventstore.Any, note("reserved"))
		return err
	}
	fmt.Println(store.Do(ctx, reserve))
	err := store.Do(ctx, func(_ context.Context, tx *embedded.Tx) error {
		tx.Put("stock", []byte("xx"))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Do(ctx, reserve))
	stock, _ := store.Get("stock")
	fmt.Println(len(stock), "left")
	// Output:
	// out of stock
	// <nil>
	// 1 left
}

// Once handles an event once, however often it is delivered. Package inbox calls it for handlers.
func ExampleStore_Once() {
	ctx := context.Background()
	store, end := memory()
	defer end()
	for range 2 {
		already, err := store.Once(ctx, "billing", "event-1", func(ctx context.Context, tx *embedded.Tx) error {
			_, err := tx.Append(ctx, "invoices", eventstore.Any, note("invoice of event-1"))
			return err
		})
		fmt.Println(already, err)
	}
	head, err := store.Head(ctx)
	fmt.Println(head, "invoice", err)
	// Output:
	// false <nil>
	// true <nil>
	// 1 invoice <nil>
}
