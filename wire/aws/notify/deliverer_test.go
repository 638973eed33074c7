package notify

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAMessageIsPostedOnce(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.subscribe("a", nil)
		x.publish("a", "one")
		pass(time.Hour)
		x.want("a", "one 0s")
		if n := x.waiting("a"); n != 0 {
			t.Errorf("%d messages are left", n)
		}
		if got, want := x.d.Counts(), (Counts{Delivered: 1}); got != want {
			t.Errorf("counts are %+v, want %+v", got, want)
		}
	})
}

func TestWhatWaitedBeforeIsPosted(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.publish("a", "one", "two")
		x.subscribe("a", nil)
		pass(0)
		if got := len(x.arrived("a")); got != 2 {
			t.Errorf("%d posts, want 2", got)
		}
	})
}

func TestRetriesAreWhenThePolicySays(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.answer("a", status(500))
		x.queue("dead")
		x.subscribe("a", func(s *Subscription) {
			s.Policy.Retry = Retry{MinDelay: 5, MaxDelay: 60, Retries: 5, NoDelayRetries: 1, MinDelayRetries: 1,
				MaxDelayRetries: 1, Backoff: Linear}
		})
		x.publish("a", "one")
		pass(time.Hour)
		x.want("a", "one 0s", "one 0s", "one 5s", "one 10s", "one 1m10s", "one 2m10s")
		want := []string{"one: 500 the endpoint answered 500 Internal Server Error"}
		if got := x.dead("dead"); !slices.Equal(got, want) {
			t.Errorf("dead letters are %q, want %q", got, want)
		}
		if got, want := x.d.Counts(), (Counts{Failed: 6, DeadLettered: 1}); got != want {
			t.Errorf("counts are %+v, want %+v", got, want)
		}
	})
}

func TestAMessageIsPostedUntilTheEndpointTakesIt(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		n := 0
		x.answer("a", func(*http.Request) (int, error) {
			if n++; n == 1 {
				return 0, errors.New("connection refused")
			}
			return 204, nil
		})
		x.subscribe("a", nil)
		x.publish("a", "one")
		pass(time.Hour)
		x.want("a", "one 0s", "one 10s")
		if n := x.waiting("a"); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	})
}

func TestAnEndpointThatIsSilentFailsAfterTheTimeout(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.answer("a", never)
		x.queue("dead")
		x.subscribe("a", nil)
		x.publish("a", "one")
		pass(time.Hour)
		x.want("a", "one 0s", "one 25s", "one 50s")
		want := []string{"one: 0 the endpoint did not answer within 15s"}
		if got := x.dead("dead"); !slices.Equal(got, want) {
			t.Errorf("dead letters are %q, want %q", got, want)
		}
	})
}

func TestASlowEndpointDelaysNobodyElse(t *testing.T) {
	c := Config{Limits: Limits{PerEndpoint: 4, Extra: 8}}
	bubble(t, c, func(t *testing.T, x *rig) {
		var messages []string
		for i := range 20 {
			messages = append(messages, fmt.Sprint(i))
		}
		for i := range 20 { // they would take all help twice over, and are the first
			id := fmt.Sprint("slow", i)
			x.answer(id, func(r *http.Request) (int, error) {
				if sleep(r.Context(), 14*time.Second) != nil {
					return 0, r.Context().Err()
				}
				return 200, nil
			})
			if i%2 == 0 {
				x.answer(id, never)
			}
			x.publish(id, messages...)
			x.subscribe(id, nil)
		}
		pass(time.Second)
		begun := time.Since(x.begun)
		x.publish("fast", messages...)
		x.subscribe("fast", nil)
		pass(0)
		got := x.arrived("fast")
		if len(got) != len(messages) {
			t.Fatalf("%d messages have arrived, want %d at once", len(got), len(messages))
		}
		for _, a := range got {
			if !strings.HasSuffix(a, " "+begun.String()) {
				t.Errorf("%s, want after %v", a, begun)
			}
		}
		x.d.mu.Lock()
		for id, s := range x.d.subs {
			if s.helpers > 3 {
				t.Errorf("%s has %d posts at once", id, s.helpers+1)
			}
		}
		x.d.mu.Unlock()
		if n := x.d.Counts().Posting; n > 20+8 {
			t.Errorf("%d posts at once, want at most 28", n)
		}
		if n := len(x.d.extra); n == 0 {
			t.Error("nobody has help: the test shows nothing")
		}
	})
}

// waiter lets posts wait until it is told, and counts how many do at once.
type waiter struct {
	mu        sync.Mutex
	now, most int
	free      chan struct{}
}

func (w *waiter) answer(r *http.Request) (int, error) {
	w.mu.Lock()
	w.now++
	w.most = max(w.most, w.now)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.now--
		w.mu.Unlock()
	}()
	select {
	case <-w.free:
		return 200, nil
	case <-r.Context().Done():
		return 0, r.Context().Err()
	}
}

func TestAnEndpointThatTakesItGetsSeveralPostsAtOnce(t *testing.T) {
	for _, l := range []Limits{{PerEndpoint: 5}, {PerEndpoint: 1}, {PerEndpoint: 9, Extra: 2}} {
		bubble(t, Config{Limits: l}, func(t *testing.T, x *rig) {
			w := &waiter{free: make(chan struct{})}
			x.answer("a", w.answer)
			for i := range 50 {
				x.publish("a", fmt.Sprint(i))
			}
			x.subscribe("a", nil)
			pass(time.Second)
			want := min(l.PerEndpoint, x.d.config.Limits.Extra+1)
			if w.most != want {
				t.Errorf("%+v: %d posts at once, want %d", l, w.most, want)
			}
			close(w.free)
			pass(time.Second)
			if w.most > want || x.waiting("a") != 0 || len(x.arrived("a")) != 50 || len(x.d.extra) != 0 {
				t.Errorf("%+v: %d posts at once, %d messages wait, %d posts, %d helpers are left", l, w.most,
					x.waiting("a"), len(x.arrived("a")), len(x.d.extra))
			}
		})
	}
}

func TestAFailingEndpointHasNoHelp(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.answer("a", never)
		x.publish("a", "1")
		x.subscribe("a", nil)
		pass(15 * time.Second) // it has failed once
		for i := range 20 {
			x.publish("a", fmt.Sprint(i))
		}
		pass(time.Second)
		if n := x.d.Counts().Posting; n != 1 {
			t.Errorf("%d posts at once to an endpoint that fails, want 1", n)
		}
	})
	bubble(t, Config{}, func(t *testing.T, x *rig) { // one that has help when it begins to fail
		x.answer("a", never)
		for i := range 50 {
			x.publish("a", fmt.Sprint(i))
		}
		x.subscribe("a", nil)
		pass(time.Second)
		if n := x.d.Counts().Posting; n != 8 {
			t.Errorf("%d posts at once at first, want 8", n)
		}
		pass(15 * time.Second)
		if n := x.d.Counts().Posting; n != 1 {
			t.Errorf("%d posts at once once it has failed, want 1", n)
		}
	})
}

// A lease is what a retry waits for, and there is a limit of them.
func TestMoreThanCanWaitForARetryWaitsInTheQueue(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.close()
		x.leases = 2
		x.open()
		x.answer("a", status(500))
		x.publish("a", "1", "2", "3")
		x.subscribe("a", nil)
		pass(5 * time.Second)
		if got := len(x.arrived("a")); got != 2 {
			t.Errorf("%d posts, want 2", got)
		}
		x.answer("a", status(200))
		pass(time.Minute)
		if got := len(x.arrived("a")); got != 5 || x.waiting("a") != 0 {
			t.Errorf("%d posts, and %d wait", got, x.waiting("a"))
		}
	})
}

func TestThePolicyBoundsPostsPerSecond(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		for i := range 6 {
			x.publish("a", fmt.Sprint(i))
		}
		x.subscribe("a", func(s *Subscription) { s.Policy.PerSecond = 2 })
		pass(time.Minute)
		var when []string
		for _, a := range x.arrived("a") {
			when = append(when, strings.Fields(a)[1])
		}
		if want := []string{"0s", "500ms", "1s", "1.5s", "2s", "2.5s"}; !slices.Equal(when, want) {
			t.Errorf("posts are after %v, want %v", when, want)
		}
	})
}
