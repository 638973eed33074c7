package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/kafka"
)

func TestAnEventComesAsItWasPublished(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders"}})
	sent := tidings.Event{
		Topic: "orders", ID: "1", Source: "shop", Type: "order.placed.v1", Subject: "o-1",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), ContentType: "text/plain",
		Schema: "urn:x", Key: "k", Correlation: "c", Causation: "b", ReplyTo: "r",
		TraceParent: "tp", TraceState: "ts", Extensions: map[string]string{"tenant": "ä"},
		Payload: []byte("hello"),
	}
	publish(t, tr, sent)
	d := receive(t, c, 1)[0]
	if !reflect.DeepEqual(d.Event, sent) {
		t.Errorf("got  %+v\nwant %+v", d.Event, sent)
	}
	if d.Attempt != 0 || !d.Deadline.IsZero() || !strings.HasPrefix(d.Lane, "orders/") || d.Offset != 0 {
		t.Errorf("attempt %d, deadline %v, lane %q, offset %d", d.Attempt, d.Deadline, d.Lane, d.Offset)
	}
	ack(t, d)
	commit(t, c)
}

// TestLatestIsSettledWhenDeclareReturns publishes right after, before anybody reads.
func TestLatestIsSettledWhenDeclareReturns(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	publish(t, tr, events("orders", 0, 10)...)
	s := tidings.Subscription{Group: "mail", Topics: []string{"orders"}}
	if err := tr.Declare(bounded(t), s); err != nil {
		t.Fatal(err)
	}
	publish(t, tr, events("orders", 10, 20)...)
	if err := tr.Declare(bounded(t), s); err != nil { // changes nothing
		t.Fatal(err)
	}
	wantIDs(t, receive(t, subscribe(t, tr, s), 10), 10, 20)
}

// TestATopicThatIsNewToAGroupWithMembers begins where it ends when Subscribe returns.
func TestATopicThatIsNewToAGroupWithMembers(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	publish(t, tr, events("refunds", 0, 10)...)
	subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders"}})
	both := subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders", "refunds"}})
	publish(t, tr, events("refunds", 10, 20)...)
	wantIDs(t, receive(t, both, 10), 10, 20)
}

func TestEarliestBeginsWithWhatTheTopicHas(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	publish(t, tr, events("orders", 0, 10)...)
	c := subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders"}, From: tidings.Earliest})
	wantIDs(t, receive(t, c, 10), 0, 10)
}

// TestACommandWaitsForItsHandler also where the group has never been declared.
func TestACommandWaitsForItsHandler(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	command := event("billing", "1", "")
	command.Kind = tidings.KindCommand
	publish(t, tr, command)
	c := subscribe(t, tr, tidings.Subscription{Group: "billing"})
	d := receive(t, c, 1)[0]
	if d.Kind != tidings.KindCommand || d.Topic != "billing" || d.ID != "1" {
		t.Errorf("got %+v", d.Event)
	}
}

func TestAReplyToAnAddressThatIsGoneIsUnroutable(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, tidings.Subscription{Group: "replies-1", Temporary: true})
	reply := event("replies-1", "1", "")
	reply.Kind = tidings.KindReply
	publish(t, tr, reply)
	if d := receive(t, c, 1)[0]; d.Kind != tidings.KindReply || d.Topic != "replies-1" {
		t.Errorf("got %+v", d.Event)
	}
	closed(t, c)
	if err := tr.Publish(bounded(t), reply); !errors.Is(err, tidings.ErrUnroutable) {
		t.Errorf("got %v", err)
	}
}

func TestATemporaryGroupReadsTopicsToo(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	publish(t, tr, events("orders", 0, 10)...)
	s := tidings.Subscription{Group: "tail", Topics: []string{"orders"}, Temporary: true}
	late := subscribe(t, tr, s)
	s.Group, s.From = "all", tidings.Earliest
	all := subscribe(t, tr, s)
	publish(t, tr, events("orders", 10, 20)...)
	wantIDs(t, receive(t, late, 10), 10, 20)
	wantIDs(t, receive(t, all, 20), 0, 20)
	commit(t, all)
	if _, err := tr.Subscribe(bounded(t), s); err == nil {
		t.Error("a temporary group was subscribed to twice")
	}
}

func TestWhatIsTooLargeIsToldAndTheRestPublished(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.MaxBytes = 10_000 })
	c := subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders"}})
	batch := events("orders", 0, 3)
	batch[1].Payload = make([]byte, 10_000)
	err := tr.Publish(bounded(t), batch...)
	failed, ok := errors.AsType[*tidings.PublishError](err)
	if !ok || !errors.Is(err, tidings.ErrTooLarge) || !slices.Equal(failed.Failed, []int{1}) {
		t.Fatalf("got %v", err)
	}
	got := receive(t, c, 2)
	if ids := idsOf(got); !slices.Equal(ids, []string{"0", "2"}) {
		t.Errorf("got %v", ids)
	}
}

func TestWhatIsNotSupportedIsRefused(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	soon := time.Now().Add(time.Minute)
	if err := tr.PublishAt(bounded(t), soon, event("orders", "1", "")); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("publish at a time: %v", err)
	}
	c := subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders"}})
	if err := tr.PublishAt(bounded(t), time.Now(), event("orders", "1", "")); err != nil {
		t.Errorf("publish at once: %v", err)
	}
	d := receive(t, c, 1)[0]
	if err := d.Nack(t.Context(), 25*time.Hour); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("nack: %v", err)
	}
	ack(t, d)
}

func TestNamesThatKafkaDoesNotTakeAreRefused(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	for _, topic := range []string{"", "a b", "ä", ".", "mail.direct", strings.Repeat("x", 250)} {
		if err := tr.Publish(bounded(t), event(topic, "1", "")); err == nil {
			t.Errorf("topic %q was published to", topic)
		}
	}
	bad := event("orders", "1", "")
	for _, name := range []string{"Tenant", "a-b", "id", "traceparent"} {
		bad.Extensions = map[string]string{name: "x"}
		if err := tr.Publish(bounded(t), bad); err == nil {
			t.Errorf("an extension %q was published", name)
		}
	}
}

func TestReceiveAndCloseEndWaits(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Receive(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	got := make(chan error)
	go func() {
		_, err := c.Receive(context.Background(), 1)
		got <- err
	}()
	closed(t, c)
	if err := <-got; !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestTheWindowBoundsWhatIsInHand: Receive waits when it is full.
func TestTheWindowBoundsWhatIsInHand(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders"}, Window: 4})
	publish(t, tr, events("orders", 0, 10)...)
	got := receive(t, c, 4)
	nothing(t, c)
	more := make(chan []*tidings.Delivery)
	go func() { ds, _ := c.Receive(bounded(t), 10); more <- ds }()
	ack(t, got[0])
	if ds := <-more; len(ds) != 1 {
		t.Errorf("got %d deliveries for a window with room for one", len(ds))
	}
}

func idsOf(ds []*tidings.Delivery) (ids []string) {
	for _, d := range ds {
		ids = append(ids, d.ID)
	}
	slices.Sort(ids)
	return ids
}

// wantIDs wants each of the ids from..to-1 once.
func wantIDs(t *testing.T, ds []*tidings.Delivery, from, to int) {
	t.Helper()
	want := map[string]bool{}
	for i := from; i < to; i++ {
		want[fmt.Sprint(i)] = true
	}
	got := map[string]bool{}
	for _, d := range ds {
		got[d.ID] = true
	}
	if len(ds) != to-from || !maps.Equal(got, want) {
		t.Errorf("got %v, want %d to %d", idsOf(ds), from, to-1)
	}
}

// The addresses of dead letters take what topics of others take, which may be more than a broker's default.
func TestAnEventOfALargeTopicHasADeadLetter(t *testing.T) {
	r := serve(t)
	large := "3000000"
	if _, err := r.admin().CreateTopic(bounded(t), 1, 1, map[string]*string{"max.message.bytes": &large}, "orders"); err != nil {
		t.Fatal(err)
	}
	tr := r.transport(func(c *kafka.Config) { c.MaxBytes, c.Compression = 2_000_000, "none" })
	e := tidings.Event{Topic: "orders", ID: "1", Source: "test", Type: "t", Payload: make([]byte, 1_900_000)}
	if err := tr.Publish(bounded(t), e); err != nil {
		t.Fatal(err)
	}
	e.Kind, e.Topic = tidings.KindCommand, tidings.DeadLetters("billing")
	e.Extensions = map[string]string{tidings.ExtDeadGroup: "billing", tidings.ExtDeadTopic: "orders"}
	if err := tr.Publish(bounded(t), e); err != nil {
		t.Error(err)
	}
}
