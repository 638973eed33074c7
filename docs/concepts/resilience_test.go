package concepts_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tidingstest"
)

// page {
// Every field has a default: this is Policy{} with three of them changed.
var patient = tidings.Policy{
	Timeout: 5 * time.Second,                                        // of one attempt
	Delays:  []time.Duration{time.Second, time.Minute, time.Hour},   // after two attempts at once
	Breaker: tidings.Breaker{Failures: 20, Pause: 30 * time.Second}, // in a row, whichever events
}

// charge tells the runtime what it knows about an error.
func charge(ctx context.Context, m tidings.Msg[Order]) error {
	err := bank(ctx, m.Data)
	switch {
	case errors.Is(err, errNoSuchCard):
		return tidings.Permanent(err) // trying again will not mend it: to the dead letters, now
	case errors.Is(err, errBusy):
		return tidings.RetryAfter(err, 10*time.Second) // it said when
	}
	return err // tried again as the policy says
}

// page }

var (
	errNoSuchCard = errors.New("no such card")
	errBusy       = errors.New("busy")
	repaired      atomic.Bool
)

func bank(_ context.Context, o Order) error {
	if repaired.Load() || o.Customer != "bob" {
		return nil
	}
	return errNoSuchCard
}

func Example_resilience() {
	t := tidingstest.NewTransport()
	dead, charged := make(chan struct{}, 1), make(chan string, 1)
	observer := tidings.Observer{
		DeadLettered: func(tidings.DeadLettered) { dead <- struct{}{} },
		Handled: func(h tidings.Handled) {
			if h.Err == nil {
				charged <- h.Delivery.Key
			}
		},
	}
	stop := running(tidings.NewService("payment", t, tidings.WithObserver(observer), quiet()).
		Subscribe(patient, tidings.Handle(ChargeCard, charge)))
	shop := tidings.NewService("shop", t)
	check(shop.Publish(context.Background(), ChargeCard.New(Order{"o-1", "bob", 990})))
	<-dead
	for _, e := range t.DeadLetters("payment") {
		fmt.Println(e.Key, "died of:", e.Extensions[tidings.ExtDeadReason])
	}
	repaired.Store(true)
	n, err := redrive(context.Background(), t)
	fmt.Println(n, "put back,", <-charged, "charged", err)
	stop()
	// Output:
	// o-1 died of: no such card
	// 1 put back, o-1 charged <nil>
}

// page {
// redrive puts dead letters back to their group, and to nobody else, with the ids they always had.
func redrive(ctx context.Context, t tidings.Transport) (int, error) {
	return tidings.Redrive(ctx, t, "payment", tidings.RedriveMax(1000), tidings.RedriveWait(time.Second))
}

// page }
