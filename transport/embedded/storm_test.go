package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/storage/vfs"
)

// TestKeysStayInOrderWhileConsumersComeAndGo: eight publishers, consumers that live for a moment, four that
// handle for each; the race detector sees the rest.
func TestKeysStayInOrderWhileConsumersComeAndGo(t *testing.T) {
	const publishers, each = 8, 400
	h := start(t, vfs.NewMem(), Config{})
	if err := h.t.Declare(t.Context(), one("g")); err != nil {
		t.Fatal(err)
	}
	s := &storm{t: t, h: h, left: publishers * each, last: map[string]int{}, done: make(chan struct{})}
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for n := range each {
				h.publish(t, event("orders", fmt.Sprint("k", p), n+1))
			}
		})
	}
	for i := range 3 {
		all.Go(func() { s.consumers(time.Duration(i+1) * 5 * time.Millisecond) })
	}
	all.Wait()
}

type storm struct {
	t    *testing.T
	h    *host
	mu   sync.Mutex
	left int
	last map[string]int
	done chan struct{}
}

// consumers live one after the other until all is handled.
func (s *storm) consumers(life time.Duration) {
	for {
		select {
		case <-s.done:
			return
		default:
		}
		c, err := s.h.t.Subscribe(s.t.Context(), one("g"))
		if err != nil {
			s.t.Error(err)
			return
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), life)
		s.handle(ctx, c)
		cancel()
		if err := c.Close(s.t.Context()); err != nil {
			s.t.Error(err)
			return
		}
	}
}

// handle settles all that it gets before it ends: nothing is given back. Events of different partitions are
// settled side by side.
func (s *storm) handle(ctx context.Context, c tidings.Consumer) {
	for {
		got, err := c.Receive(ctx, 50)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			s.t.Error(err)
		}
		if err != nil {
			return
		}
		lanes := map[string][]*tidings.Delivery{}
		for _, d := range got {
			lanes[d.Lane] = append(lanes[d.Lane], d)
		}
		var all sync.WaitGroup
		for _, ds := range lanes {
			all.Go(func() {
				for _, d := range ds {
					s.note(d)
					if err := d.Ack(context.WithoutCancel(ctx)); err != nil {
						s.t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
}

func (s *storm) note(d *tidings.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p, n int
	if _, err := fmt.Sscanf(d.ID, "k%d-%d", &p, &n); err != nil || n != s.last[d.Key]+1 {
		s.t.Errorf("%s came after %d", d.ID, s.last[d.Key])
	}
	s.last[d.Key] = n
	if s.left--; s.left == 0 {
		close(s.done)
	}
}
