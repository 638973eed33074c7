package notify

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

func TestARemovedSubscriptionGetsNothingMore(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.subscribe("a", nil)
		x.d.Remove("a")
		x.d.Remove("a")
		pass(0)
		x.publish("a", "one")
		pass(time.Hour)
		x.want("a")
		if n := x.waiting("a"); n != 1 {
			t.Errorf("%d messages wait, want 1", n)
		}
		x.subscribe("a", nil)
		pass(0)
		x.want("a", "one 1h0m0s")
	})
}

func TestASubscriptionCanChange(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.answer("a", status(500))
		x.subscribe("a", nil)
		x.publish("a", "one")
		pass(time.Second)
		x.subscribe("a", func(s *Subscription) { s.Endpoint = x.subscription("b").Endpoint })
		pass(time.Hour)
		x.want("a", "one 0s")
		x.want("b", "one 10s")
	})
}

func TestASubscriptionEndsWhenAllIsDelivered(t *testing.T) {
	for _, n := range []int{0, 1, 30} {
		var over atomic.Int32
		ended := func(id string) {
			if over.Add(1); id != "a" {
				t.Errorf("%s is over", id)
			}
		}
		bubble(t, Config{Ended: ended}, func(t *testing.T, x *rig) {
			var failed atomic.Bool
			x.answer("a", func(*http.Request) (int, error) {
				if failed.CompareAndSwap(false, true) {
					return 500, nil
				}
				return 200, nil
			})
			x.subscribe("a", nil)
			for i := range n {
				x.publish("a", fmt.Sprint(i))
			}
			pass(time.Second)
			x.subscribe("a", func(s *Subscription) { s.Ends = true })
			pass(0)
			if failed.Load() && over.Load() > 0 {
				t.Errorf("it is over before its retry")
			}
			pass(time.Hour)
			if over.Load() != 1 || x.waiting("a") != 0 {
				t.Errorf("%d times over, and %d messages wait", over.Load(), x.waiting("a"))
			}
		})
	}
}

// The last post is a helper's: nobody else sees that it was.
func TestASubscriptionEndsWithTheLastPost(t *testing.T) {
	var after atomic.Int64
	var x *rig
	c := Config{Ended: func(string) { after.Store(int64(time.Since(x.begun))) }}
	bubble(t, c, func(t *testing.T, r *rig) {
		x = r
		x.answer("a", func(r *http.Request) (int, error) {
			d := time.Second
			if r.Header.Get("X-Amz-Sns-Message-Id") == "id of slow" {
				d = 10 * time.Second
			}
			time.Sleep(d) // of the bubble
			return 200, nil
		})
		x.publish("a", "quick", "slow")
		x.subscribe("a", nil)
		pass(2 * time.Second)
		x.subscribe("a", func(s *Subscription) { s.Ends = true })
		pass(time.Minute)
		if got := time.Duration(after.Load()); got != 10*time.Second {
			t.Errorf("it is over after %v, want 10s", got)
		}
	})
}

func TestASubscriptionThatEndedCanBeginAgain(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.subscribe("a", func(s *Subscription) { s.Ends = true })
		pass(time.Second)
		x.subscribe("a", nil)
		x.publish("a", "one")
		pass(0)
		x.want("a", "one 1s")
	})
}

// Somebody takes the end back while it is told.
func TestASubscriptionCanBeTakenBackAtItsEnd(t *testing.T) {
	var x *rig
	c := Config{Ended: func(string) { x.subscribe("a", nil) }}
	bubble(t, c, func(t *testing.T, r *rig) {
		x = r
		x.subscribe("a", func(s *Subscription) { s.Ends = true })
		pass(time.Second)
		x.publish("a", "one")
		pass(0)
		x.want("a", "one 1s")
	})
}

// Somebody takes the end back while it is told, and ends it again: that is told too.
func TestASubscriptionThatEndsTwiceTellsBothEnds(t *testing.T) {
	var x *rig
	var once sync.Once
	c := Config{Ended: func(string) { once.Do(func() { x.publish("a", "two") }) }}
	bubble(t, c, func(t *testing.T, r *rig) {
		x = r
		x.publish("a", "one")
		x.subscribe("a", func(s *Subscription) { s.Ends = true })
		pass(0)
		x.want("a", "one 0s", "two 0s")
	})
}

func TestASubscriptionEndsWithItsQueue(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.subscribe("a", nil)
		pass(0)
		x.delete(x.queue(QueueName("a")))
		pass(0)
		if err := x.d.Set(x.subscription("a")); broker.KindOf(err) != broker.NotFound {
			t.Errorf("Set without a queue: %v", err)
		}
		x.subscribe("a", nil) // with a queue of the same name
		x.publish("a", "one")
		pass(0)
		x.want("a", "one 0s")
	})
}

func TestThereIsALimitOfEndpoints(t *testing.T) {
	bubble(t, Config{Limits: Limits{Endpoints: 2}}, func(t *testing.T, x *rig) {
		x.subscribe("a", nil)
		x.subscribe("b", nil)
		x.queue(QueueName("c"))
		if err := x.d.Set(x.subscription("c")); broker.KindOf(err) != broker.Full {
			t.Errorf("a third: %v", err)
		}
		x.d.Remove("a")
		if err := x.d.Set(x.subscription("c")); err != nil {
			t.Errorf("after one has gone: %v", err)
		}
	})
	if _, err := NewDeliverer(nil, Config{Limits: Limits{Extra: -1}}); err == nil {
		t.Error("a negative limit is taken")
	}
}
