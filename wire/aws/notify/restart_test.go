package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

func TestWhatIsNotDeliveredIsDeliveredAfterARestart(t *testing.T) {
	for _, how := range []string{"close", "power cut"} {
		bubble(t, Config{}, func(t *testing.T, x *rig) {
			x.answer("a", status(500))
			x.subscribe("a", nil)
			x.publish("a", "one")
			pass(time.Second) // it waits for a retry, in 9 seconds
			x.record("other", broker.QueueRecord{})
			x.restart(how == "power cut")
			x.answer("a", status(200))
			x.subscribe("a", nil)
			pass(time.Hour)
			x.want("a", "one 0s", "one 10s")
			if n := x.waiting("a"); n != 0 {
				t.Errorf("%s: %d messages are left", how, n)
			}
		})
	}
}

// restart closes all and opens it again, perhaps with what a power cut has left.
func (x *rig) restart(cut bool) {
	x.t.Helper()
	if cut {
		x.disk.CutAfter(0)
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		_ = x.d.Close(ctx)
		_ = x.b.Close()
		x.disk = crashed(x.t, x.disk)
	} else {
		x.close()
	}
	x.open()
}

func TestRetriesAreCountedOverARestart(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.answer("a", status(500))
		x.queue("dead")
		x.subscribe("a", nil)
		x.publish("a", "one")
		pass(15 * time.Second)
		x.restart(false)
		x.subscribe("a", nil)
		pass(time.Hour)
		x.want("a", "one 0s", "one 10s", "one 20s")
		if got := x.dead("dead"); len(got) != 1 {
			t.Errorf("dead letters are %q, want one", got)
		}
	})
}

func TestCloseWaitsForThePostsUnderWay(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.answer("a", func(*http.Request) (int, error) {
			time.Sleep(10 * time.Second) // of the bubble
			return 200, nil
		})
		x.subscribe("a", nil)
		x.publish("a", "one")
		pass(time.Second)
		if err := x.d.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if after := time.Since(x.begun); after != 10*time.Second || x.waiting("a") != 0 {
			t.Errorf("Close returned after %v, and %d messages wait", after, x.waiting("a"))
		}
		err := x.d.Set(x.subscription("a"))
		if broker.KindOf(err) != broker.Closed {
			t.Errorf("Set after Close: %v", err)
		}
	})
}

func TestAPostThatCloseCutsIsDeliveredAfterARestart(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.answer("a", never)
		x.subscribe("a", func(s *Subscription) { s.Policy.Retry.Retries = 0 })
		x.publish("a", "one")
		pass(time.Second)
		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		if err := x.d.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if after := time.Since(x.begun); after != 2*time.Second {
			t.Errorf("Close returned after %v", after)
		}
		x.restart(false)
		x.answer("a", status(200))
		x.subscribe("a", nil)
		pass(0)
		x.want("a", "one 0s", "one 2s")
	})
}

// Random answers, and power cuts in the midst of it: each message that was on disk is taken by the
// endpoint or is a dead letter, at last.
func TestPowerCutsLoseNothing(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		bubble(t, Config{}, func(t *testing.T, x *rig) {
			var mu sync.Mutex
			done := map[string]bool{}
			x.answer("a", func(r *http.Request) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				code := []int{200, 200, 500, 500, 404, 429}[rng.IntN(6)]
				if code == 200 {
					done[r.Header.Get("X-Amz-Sns-Message-Id")] = true
				}
				return code, nil
			})
			for round := range 4 {
				x.queue("dead")
				for i := range 10 {
					x.publish("a", fmt.Sprint(round, "-", i))
				}
				x.subscribe("a", nil)
				mu.Lock()
				cut := rng.IntN(40)
				mu.Unlock()
				x.disk.CutAfter(cut)
				pass(12 * time.Second)
				x.restart(true)
			}
			x.queue("dead")
			x.subscribe("a", nil)
			pass(time.Hour)
			mu.Lock()
			defer mu.Unlock()
			for _, letter := range x.dead("dead") {
				body, _, _ := strings.Cut(letter, ":")
				done["id of "+body] = true
			}
			if len(done) != 40 || x.waiting("a") != 0 {
				t.Errorf("seed %d: %d messages of 40 are taken or dead, and %d wait", seed, len(done), x.waiting("a"))
			}
		})
	}
}

// Wherever the power is cut, a dead letter is in one of its two queues, and not in both.
func TestADeadLetterIsMovedInOneStep(t *testing.T) {
	for cut := range 20 {
		bubble(t, Config{}, func(t *testing.T, x *rig) {
			x.answer("a", status(404))
			x.queue("dead")
			x.publish("a", "one")
			x.disk.CutAfter(cut)
			x.subscribe("a", nil)
			pass(time.Second)
			x.restart(true)
			if n := x.queue("dead").Stats().Ready + x.waiting("a"); n != 1 {
				t.Errorf("after %d writes there are %d messages, want 1", cut, n)
			}
		})
	}
}
