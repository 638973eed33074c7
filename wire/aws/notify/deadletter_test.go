package notify

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

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
