package concepts_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	store "github.com/tidings-io/tidings/store/embedded"
)

func Example_health() {
	transport, _, end := memory()
	defer end()
	svc := greets("mail", transport, make(chan string, 1))
	stop := running(svc)
	// page {
	for _, s := range svc.Health().Subscriptions {
		fmt.Println(s.Group, s.State, "in hand:", s.InHand, "waiting for another attempt:", s.Held)
	}
	// page }
	stop()
	// Output: mail receiving in hand: 0 waiting for another attempt: 0
}

// page {
// readYourWrites waits until a table has what was appended at a position, or ctx ends.
func readYourWrites(ctx context.Context, st *store.Store, position int64) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := Turnover.Status(ctx, st, st.Checkpoints())
		if err != nil || status.Position >= position {
			return err // status.Lag and status.Behind say how far the table is behind
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// page }

func Example_lag() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, st, end := memory()
	defer end()
	for range 3 {
		_, err := st.Append(ctx, Accounts.Stream("ann"), eventstore.Any, Deposited.New(Amount{100}))
		check(err)
	}
	status, err := Turnover.Status(ctx, st, st.Checkpoints())
	fmt.Println(status.Lag, "behind", err)
	go func() { _ = Turnover.CatchUp(ctx, st, st.Checkpoints(), projection.Options{}) }()
	fmt.Println(readYourWrites(ctx, st, 3))
	// Output:
	// 3 behind <nil>
	// <nil>
}
