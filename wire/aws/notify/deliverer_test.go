package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
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

func TestWhatTheEndpointRefusesIsNotRetried(t *testing.T) {
	for code, posts := range map[int]int{200: 1, 202: 1, 301: 1, 307: 1, 400: 1, 403: 1, 404: 1, 410: 1, 429: 3, 500: 3,
		503: 3} {
		bubble(t, Config{}, func(t *testing.T, x *rig) {
			x.answer("a", status(code))
			x.queue("dead")
			x.subscribe("a", nil)
			x.publish("a", "one")
			pass(time.Hour)
			if got := len(x.arrived("a")); got != posts {
				t.Errorf("%d: %d posts, want %d", code, got, posts)
			}
			if dead := x.dead("dead"); len(dead) != min(code/300, 1) {
				t.Errorf("%d: dead letters are %q", code, dead)
			}
		})
	}
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

func TestWhatCannotBeDeliveredMovesToTheDeadLetterQueue(t *testing.T) {
	var got *Letter
	var to *broker.Queue
	c := Config{DeadLetter: func(l *Letter) (*broker.Queue, broker.QueueRecord) {
		got = l
		return to, broker.QueueRecord{Body: l.Post.Body}
	}}
	bubble(t, c, func(t *testing.T, x *rig) {
		to = x.queue("dead")
		x.answer("a", status(404))
		x.subscribe("a", nil)
		x.post("a", Post{Type: Message, MessageID: "m", Raw: true, Body: []byte("one"),
			Attributes: map[string]Attribute{"own": {"Binary", "AgME"}}})
		pass(time.Second)
		if x.waiting("a") != 0 || to.Stats().Ready != 1 {
			t.Fatalf("%d wait, and there are %d dead letters", x.waiting("a"), to.Stats().Ready)
		}
		as := got.Attributes()
		id := as["RequestID"]
		delete(as, "RequestID")
		want := map[string]Attribute{"own": {"Binary", "AgME"}, "ErrorCode": {"Number", "404"},
			"ErrorMessage": {"String", "the endpoint answered 404 Not Found"}}
		if !maps.Equal(as, want) || id.Type != "String" || !requestID.MatchString(id.Value) {
			t.Errorf("attributes are %v and %v, want %v", as, id, want)
		}
		if got.Subscription.ID != "a" || got.Post.MessageID != "m" || !got.Time.Equal(x.begun) {
			t.Errorf("the letter is %+v", got)
		}
		x.restart(true) // neither here nor there twice
		if n := x.queue("dead").Stats().Ready + x.waiting("a"); n != 1 {
			t.Errorf("there are %d messages after a power cut, want 1", n)
		}
	})
}

var requestID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestWithoutADeadLetterQueueMessagesAreDropped(t *testing.T) {
	for name, dead := range map[string]string{"none": "", "one that is not there": "dead"} {
		bubble(t, Config{}, func(t *testing.T, x *rig) {
			x.answer("a", status(404))
			x.subscribe("a", func(s *Subscription) { s.DeadLetters = dead })
			x.publish("a", "one")
			pass(time.Hour)
			if got := x.d.Counts(); got.Dropped != 1 || got.DeadLettered != 0 || x.waiting("a") != 0 {
				t.Errorf("%s: counts are %+v, and %d wait", name, got, x.waiting("a"))
			}
		})
	}
}

// The queue may go between the question for it and the move.
func TestADeadLetterQueueThatGoesMeanwhileDropsTheMessage(t *testing.T) {
	var x *rig
	c := Config{DeadLetter: func(*Letter) (*broker.Queue, broker.QueueRecord) {
		q := x.queue("dead")
		x.delete(q)
		return q, broker.QueueRecord{}
	}}
	bubble(t, c, func(t *testing.T, r *rig) {
		x = r
		x.answer("a", status(404))
		x.subscribe("a", nil)
		x.publish("a", "one")
		pass(time.Hour)
		if got := x.d.Counts(); got.Dropped != 1 || x.waiting("a") != 0 {
			t.Errorf("counts are %+v, and %d wait", got, x.waiting("a"))
		}
	})
}

func TestADeadLetterQueueThatIsFullLosesNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.answer("a", status(404))
		most := int64(1)
		_, _, err := x.b.DeclareQueue(context.Background(), broker.QueueSpec{Name: "dead", Durable: true,
			Settings: broker.QueueSettings{MaxLength: &most, Overflow: broker.RejectPublish}})
		if err != nil {
			t.Fatal(err)
		}
		x.subscribe("a", nil)
		x.publish("a", "one", "two")
		pass(time.Second)
		if got := x.waiting("a"); got != 1 {
			t.Fatalf("%d messages wait for room, want 1", got)
		}
		first := x.dead("dead")
		pass(time.Hour)
		if all := append(first, x.dead("dead")...); len(all) != 2 || x.waiting("a") != 0 {
			t.Errorf("dead letters are %q, and %d wait", all, x.waiting("a"))
		}
	})
}

func TestConfirmationsAreRetriedAndNeverDeadLetters(t *testing.T) {
	for _, kind := range []Type{SubscriptionConfirmation, UnsubscribeConfirmation} {
		bubble(t, Config{}, func(t *testing.T, x *rig) {
			x.answer("a", status(500))
			x.queue("dead")
			x.subscribe("a", nil)
			x.post("a", Post{Type: kind, Body: []byte("one")})
			pass(time.Hour)
			x.want("a", "one 0s", "one 10s", "one 20s")
			if got := x.dead("dead"); got != nil {
				t.Errorf("dead letters are %q", got)
			}
		})
	}
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

func TestARecordThatIsNoPostIsDropped(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, x *rig) {
		x.subscribe("a", nil)
		x.record("a", broker.QueueRecord{Body: []byte("by AMQP")})
		x.record("a", broker.QueueRecord{Format: broker.PropsSNS, Props: []byte{1, 1, 0, 200}})
		pass(time.Hour)
		x.want("a")
		if got := x.d.Counts(); got.Dropped != 2 || x.waiting("a") != 0 {
			t.Errorf("counts are %+v, and %d wait", got, x.waiting("a"))
		}
	})
}

func TestSecretsAreInNoLogAndNoDeadLetter(t *testing.T) {
	var log strings.Builder
	c := Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	bubble(t, c, func(t *testing.T, x *rig) {
		x.answer("host", func(*http.Request) (int, error) { return 0, errors.New("connection refused") })
		x.queue("dead")
		x.subscribe("host", func(s *Subscription) {
			s.Policy.Retry.Retries = 0
			s.Endpoint, _ = ParseEndpoint("http", "http://user:secret@host/path?token=secret")
		})
		x.publish("host", "one")
		pass(time.Hour)
		dead := x.dead("dead")
		if !slices.Equal(dead, []string{"one: 0 connection refused"}) {
			t.Errorf("dead letters are %q", dead)
		}
		if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, "http://host/path") {
			t.Errorf("the log has\n%s", text)
		}
	})
}
