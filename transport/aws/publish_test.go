package aws

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/tidings-io/tidings"
)

// small makes the queue of a group one that refuses what is larger than 1 KiB.
func (r *rig) small(t *Transport, group string) {
	r.Helper()
	url, err := t.places.queue(bounded(r), group)
	r.check(err)
	raw, _ := r.raw()
	_, err = raw.SetQueueAttributes(bounded(r), &sqs.SetQueueAttributesInput{QueueUrl: &url,
		Attributes: map[string]string{"MaximumMessageSize": "1024"}})
	r.check(err)
}

func large(e tidings.Event) tidings.Event {
	e.Payload = []byte(`"` + strings.Repeat("x", 2000) + `"`)
	return e
}

func failed(t *testing.T, err error, want ...int) {
	t.Helper()
	e, ok := errors.AsType[*tidings.PublishError](err)
	if !ok || !slices.Equal(e.Failed, want) {
		t.Fatalf("got %v (%#v), want that %v failed", err, err, want)
	}
}

func TestABatchThatFailsInPartNamesTheEventsThatFailed(t *testing.T) {
	r := newRig(t)
	tr, n := r.transport(Config{})
	r.small(tr, "g")
	var events []tidings.Event
	for i := range 25 {
		e := command("g", "k", string(rune('a'+i)))
		if i == 3 || i == 17 {
			e = large(e)
		}
		events = append(events, e)
	}
	err := tr.Publish(bounded(t), events...)
	failed(t, err, 3, 17)
	if got := n.count("SendMessageBatch"); got != 3 {
		t.Errorf("25 events took %d requests, want 3", got)
	}
	got := ids(r.subscribe(tr, "g").next(23))
	if slices.Sort(got); strings.Join(got, "") != "abcefghijklmnopqstuvwxy" {
		t.Errorf("received %v", got)
	}
}

func TestBehindAnEventThatFailedNoOtherOfItsKeyIsSent(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{FIFO: true})
	r.small(tr, "g")
	broken := command("g", "c", "c2")
	broken.Type = ""
	err := tr.Publish(bounded(t), command("g", "a", "a1"), large(command("g", "a", "a2")), command("g", "b", "b1"),
		command("g", "a", "a3"), command("g", "c", "c1"), broken, command("g", "c", "c3"), command("g", "b", "b2"))
	failed(t, err, 1, 3, 5, 6)
	// Published again without what cannot be, the order of each key is whole.
	r.publish(tr, command("g", "a", "a3"), command("g", "c", "c3"))
	order := map[string][]string{}
	c := r.subscribe(tr, "g")
	for range 6 {
		d := c.next(1)[0]
		order[d.Key] = append(order[d.Key], d.ID)
		r.check(d.Ack(bounded(t)))
		r.check(c.Commit(bounded(t)))
	}
	want := map[string][]string{"a": {"a1", "a3"}, "b": {"b1", "b2"}, "c": {"c1", "c3"}}
	if !reflect.DeepEqual(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
}

func TestARequestThatFailsFailsItsEventsAndThoseOfTheirKeys(t *testing.T) {
	r := newRig(t)
	tr, n := r.transport(Config{FIFO: true})
	_, err := tr.places.queue(bounded(t), "g")
	r.check(err)
	n.failNext("SendMessageBatch", 3) // all tries of the first request, which has a1 and b1
	err = tr.Publish(bounded(t), command("g", "a", "a1"), command("g", "a", "a2"), command("g", "b", "b1"))
	failed(t, err, 0, 1, 2)
	if got := n.count("SendMessageBatch"); got != 3 {
		t.Errorf("%d requests, want none behind what failed", got)
	}
}

func TestCutKeepsTheOrderOfGroups(t *testing.T) {
	of := func(text string, bytes int) (all []*message) {
		for _, c := range text {
			all = append(all, &message{group: string(c), bytes: bytes, index: len(all)})
		}
		return all
	}
	text := func(all []*message) (s string) {
		for _, m := range all {
			s += m.group
		}
		return s
	}
	for _, c := range []struct {
		waiting     string
		bytes       int
		apart       bool
		batch, rest string
	}{
		{"aab", 1, true, "ab", "a"},
		{"aab", 1, false, "aab", ""},
		{"abcdefghijkl", 1, true, "abcdefghij", "kl"},
		{"aaaaaaaaaaaa", 1, false, "aaaaaaaaaa", "aa"},
		{"abc", 60, true, "a", "bc"},
		{"abab", 40, true, "ab", "ab"},
	} {
		batch, rest := cut(of(c.waiting, c.bytes), 100, c.apart)
		if text(batch) != c.batch || text(rest) != c.rest {
			t.Errorf("%s: got %q and %q, want %q and %q", c.waiting, text(batch), text(rest), c.batch, c.rest)
		}
	}
	// One that found no room stays before a smaller one of its group.
	waiting := of("abb", 60)
	waiting[2].bytes = 10
	if batch, rest := cut(waiting, 100, true); text(batch) != "a" || text(rest) != "bb" {
		t.Errorf("got %q and %q", text(batch), text(rest))
	}
}

func TestATopicTakesAnEventOnceAndAnAddressEachTime(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{FIFO: true})
	c := r.subscribe(tr, "g", "orders", "returns")
	same := event("orders", "k", "1")
	other := same
	other.Source = "elsewhere" // ids are those of their source
	r.publish(tr, same)
	r.publish(tr, same, event("returns", "k", "1"), other, command("g", "k", "1"), command("g", "k", "1"))
	for range 5 {
		d := c.next(1)[0]
		r.check(d.Ack(bounded(t)))
		r.check(c.Commit(bounded(t)))
	}
	c.nothing(100 * time.Millisecond)
}

func TestCommandsToStandardQueuesCanWaitForFifteenMinutes(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	c := r.subscribe(tr, "g")
	at := time.Now().Add(300 * time.Millisecond)
	r.check(tr.PublishAt(bounded(t), at, command("g", "", "late")))
	r.publish(tr, command("g", "", "soon"))
	if got := ids(c.next(2)); !slices.Equal(got, []string{"soon", "late"}) || time.Now().Before(at) {
		t.Errorf("received %v %v before the time", got, time.Until(at))
	}
	fifo, _ := r.transport(Config{FIFO: true})
	for what, err := range map[string]error{
		"an event":        tr.PublishAt(bounded(t), time.Now().Add(time.Minute), command("g", "", "1"), event("orders", "", "2")),
		"in 16 minutes":   tr.PublishAt(bounded(t), time.Now().Add(16*time.Minute), command("g", "", "1")),
		"to a FIFO queue": fifo.PublishAt(bounded(t), time.Now().Add(time.Minute), command("g", "", "1")),
	} {
		if !errors.Is(err, tidings.ErrUnsupported) {
			t.Errorf("%s: got %v, want %v", what, err, tidings.ErrUnsupported)
		}
	}
	r.check(tr.PublishAt(bounded(t), time.Now().Add(-time.Hour), event("orders", "", "2"))) // at once
	c.nothing(50 * time.Millisecond)
}

func TestWhatWasDeletedIsMadeAgain(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	r.publish(tr, command("g", "", "1"), event("orders", "", "2"))
	queues, topics := r.raw()
	_, err := queues.DeleteQueue(bounded(t), &sqs.DeleteQueueInput{QueueUrl: sdk.String(tr.places.queues["g"])})
	r.check(err)
	_, err = topics.DeleteTopic(bounded(t), &sns.DeleteTopicInput{TopicArn: sdk.String(tr.places.topics["orders"])})
	r.check(err)
	r.publish(tr, command("g", "", "3"), event("orders", "", "4"))
	if got := ids(r.subscribe(tr, "g").next(1)); !slices.Equal(got, []string{"3"}) {
		t.Errorf("received %v", got)
	}
	_, err = topics.DeleteTopic(bounded(t), &sns.DeleteTopicInput{TopicArn: sdk.String(tr.places.topics["orders"])})
	r.check(err)
	c := r.subscribe(tr, "h", "orders") // whose ARN is remembered
	r.publish(tr, event("orders", "", "5"))
	c.next(1)
}

func TestSizesAreThoseThatAWSCounts(t *testing.T) {
	e := event("orders", "k", "1")
	m, err := encode(&e, mostTopicBytes)
	if err != nil {
		t.Fatal(err)
	}
	want := len(m.body)
	for name, value := range map[string]string{"content-type": "application/cloudevents+json", "type": "test.v1",
		"source": "test", "key": "k", "topic": "orders"} {
		want += len(name) + len("String") + len(value)
	}
	if m.bytes != want {
		t.Errorf("got %d bytes, want %d", m.bytes, want)
	}
	e.Payload = []byte(`"` + strings.Repeat("x", mostTopicBytes-want+len(e.Payload)-2) + `"`)
	if m, err = encode(&e, mostTopicBytes); err != nil || m.bytes != mostTopicBytes {
		t.Fatalf("%v, want one of exactly %d bytes", err, mostTopicBytes)
	}
	r := newRig(t)
	tr, _ := r.transport(Config{})
	c := r.subscribe(tr, "g", "orders")
	r.publish(tr, e, event("orders", "", "2"))
	c.next(2)
	e.Payload = append(e.Payload, ' ')
	if _, err = encode(&e, mostTopicBytes); !errors.Is(err, tidings.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, tidings.ErrTooLarge)
	}
}

// A command may be as large as its dead letter can be, and what comes back from there.
func TestTheLargestCommandHasADeadLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tr, _ := r.transport(Config{})
	e := command("g", "k", "1")
	e.ContentType = "text/plain"
	for size := mostQueueBytes * 3 / 4; ; size -= 48 {
		e.Payload = make([]byte, size)
		err := tr.Publish(bounded(t), e)
		if err == nil {
			break
		}
		if !errors.Is(err, tidings.ErrTooLarge) {
			t.Fatal(err)
		}
	}
	e.Topic = tidings.DeadLetters("g")
	e.Extensions = map[string]string{tidings.ExtDeadReason: strings.Repeat("x", 1000), tidings.ExtDeadAttempts: "8",
		tidings.ExtDeadAt: time.Now().Format(time.RFC3339Nano), tidings.ExtDeadGroup: "g"}
	r.publish(tr, e)
}

func TestWhatNoReaderCouldReadIsRefused(t *testing.T) {
	for what, change := range map[string]func(*tidings.Event){
		"no id":           func(e *tidings.Event) { e.ID = "" },
		"no source":       func(e *tidings.Event) { e.Source = "" },
		"no type":         func(e *tidings.Event) { e.Type = "" },
		"extension name":  func(e *tidings.Event) { e.Extensions = map[string]string{"A-b": "c"} },
		"taken extension": func(e *tidings.Event) { e.Extensions = map[string]string{"subject": "c"} },
		"late": func(e *tidings.Event) {
			e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
		},
		"extension a time": func(e *tidings.Event) { e.Extensions = map[string]string{"time": "now"} },
	} {
		e := event("orders", "", "1")
		change(&e)
		if _, err := encode(&e, mostTopicBytes); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestAnyKeyCanBeAMessageGroup(t *testing.T) {
	for key, plain := range map[string]bool{"order-1": true, strings.Repeat("x", 128): true, "a~!{}|": true,
		strings.Repeat("x", 129): false, "a b": false, "Zoë": false, "\x00": false} {
		got := groupID(key)
		if (got == key) != plain || len(got) > 128 || got != groupID(key) {
			t.Errorf("%q: got %q", key, got)
		}
	}
}
