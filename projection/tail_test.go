package projection_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/tidings-io/tidings/eventstore"
	"github.com/tidings-io/tidings/projection"
	"github.com/tidings-io/tidings/store/embedded"
)

// followed counts who follows a store, and how often one began to.
type followed struct {
	*embedded.Store
	began, now atomic.Int64
}

func (f *followed) Follow(ctx context.Context, from int64) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		f.began.Add(1)
		f.now.Add(1)
		defer f.now.Add(-1)
		f.Store.Follow(ctx, from)(yield)
	}
}

// In PostgreSQL each takes a connection.
func TestARunFollowsItsStoreOnceAsLongAsItKeepsUp(t *testing.T) {
	s := &followed{Store: open(t)}
	handled := make(chan int64, 10_000)
	p := projection.Define("p", 1, projection.On(Deposited,
		func(_ context.Context, _ *embedded.Tx, _ Deposit, r eventstore.Recorded) error {
			handled <- r.Position
			return nil
		}))
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- p.Run(ctx, s, s.Checkpoints(), projection.Options{Logger: quiet}) }()
	next := int64(1)
	deposited := func(n int) {
		deposit(t.Context(), s.Store, "a", make([]int, n)...)
		for range n {
			if got := <-handled; got != next {
				t.Errorf("handled position %d, want %d", got, next)
			}
			next++
		}
	}
	for range 30 {
		deposited(1)
	}
	if n := s.began.Load(); n > 1 {
		t.Errorf("it began to follow %d times", n)
	}
	deposited(3000) // more than one that follows is to read again
	deposited(1)
	stop()
	if err := <-over; err != nil || s.now.Load() != 0 {
		t.Errorf("%v, and %d follow after its end", err, s.now.Load())
	}
}
