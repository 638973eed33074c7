package tidings_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
)

// BenchmarkDispatch is what a service costs for each event, with a handler that does nothing and
// a broker that costs nothing: with keys in their order, without keys, and a naive twin, which
// hands events to goroutines through a channel, without order, timeouts or retries.
func BenchmarkDispatch(b *testing.B) {
	for _, keys := range []int{0, 1000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) { benchmarkService(b, keys, tidings.Policy{}) })
	}
	b.Run("no timeout", func(b *testing.B) {
		benchmarkService(b, 1000, tidings.Policy{Timeout: tidings.NoTimeout})
	})
	b.Run("naive", benchmarkNaive)
}

func benchmarkService(b *testing.B, keys int, p tidings.Policy) {
	var done atomic.Int64
	over := make(chan struct{})
	n := int64(b.N)
	s := tidings.NewService("bench", &source{left: b.N, keys: names(keys)}).Subscribe(p,
		tidings.OnAny("orders", func(context.Context, *tidings.Delivery) error {
			if done.Add(1) == n {
				close(over)
			}
			return nil
		}))
	ctx, stop := context.WithCancel(b.Context())
	b.ReportAllocs()
	b.ResetTimer()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-over
	b.StopTimer()
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

func benchmarkNaive(b *testing.B) {
	src := &source{left: b.N}
	work := make(chan *tidings.Delivery, 1024)
	var handlers sync.WaitGroup
	b.ReportAllocs()
	for range 16 {
		handlers.Go(func() {
			for d := range work {
				_ = d.Ack(b.Context())
			}
		})
	}
	for src.left > 0 {
		ds, _ := src.Receive(b.Context(), 1024)
		for _, d := range ds {
			work <- d
		}
	}
	close(work)
	handlers.Wait()
}

func names(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("order-%d", i))
	}
	return keys
}

// source is a transport that has so many events of topic orders, and whose settlements cost
// nothing.
type source struct {
	left, sent int
	keys       []string
}

func (s *source) Receive(ctx context.Context, max int) ([]*tidings.Delivery, error) {
	n := min(max, s.left)
	if n == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	slab := make([]tidings.Delivery, n)
	ds := make([]*tidings.Delivery, n)
	for i := range slab {
		slab[i].Topic, slab[i].Type, slab[i].Settler = "orders", "t", free{}
		if len(s.keys) > 0 {
			slab[i].Key = s.keys[s.sent%len(s.keys)]
		}
		ds[i] = &slab[i]
		s.sent++
	}
	s.left -= n
	return ds, nil
}

func (s *source) Commit(context.Context) error { return nil }
func (s *source) Close(context.Context) error  { return nil }

func (s *source) Publish(context.Context, ...tidings.Event) error              { return nil }
func (s *source) PublishAt(context.Context, time.Time, ...tidings.Event) error { return nil }
func (s *source) Declare(context.Context, tidings.Subscription) error          { return nil }
func (s *source) Capabilities() (c tidings.Capabilities)                       { return c }
func (s *source) Subscribe(context.Context, tidings.Subscription) (tidings.Consumer, error) {
	return s, nil
}

// free is a Settler for which nothing happens.
type free struct{}

func (free) Ack(context.Context) error                   { return nil }
func (free) Nack(context.Context, time.Duration) error   { return nil }
func (free) Extend(context.Context, time.Duration) error { return nil }
