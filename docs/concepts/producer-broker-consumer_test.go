package concepts_test

import (
	"context"
	"fmt"

	"github.com/tidings-io/tidings"
)

func Example_decoupled() {
	transport, _, end := memory()
	defer end()
	ctx := context.Background()
	// page {
	// Once, when the consumer is deployed: its group exists, whether it runs or not.
	err := transport.Declare(ctx, tidings.Subscription{Group: "mail", Topics: []string{"orders"}})
	// page }
	check(err)
	// page {
	// The producer. Nobody reads yet, and it does not notice: nil means that the broker has it.
	shop := tidings.NewService("shop", transport)
	err = shop.Publish(ctx, OrderPlaced.New(Order{"o-1", "ann", 990}))
	// page }
	check(err)
	done := make(chan string, 1)
	stop := running(greets("mail", transport, done)) // later
	fmt.Println(<-done)
	stop()
	// Output: mail: heard of o-1
}
