package rabbitmq

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
)

func full() tidings.Event {
	e := event("e1")
	e.Subject, e.Schema, e.ReplyTo = "s", "urn:schema", "inbox"
	e.Correlation, e.Causation = "conv", "cause"
	e.TraceParent, e.TraceState = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b"
	e.Extensions = map[string]string{"color": "grün"}
	return e
}

// delivered is a message as a consumer of topic "orders" gets it.
func delivered(m amqp.Publishing) *amqp.Delivery {
	return &amqp.Delivery{Headers: m.Headers, ContentType: m.ContentType, MessageId: m.MessageId,
		CorrelationId: m.CorrelationId, ReplyTo: m.ReplyTo, Type: m.Type, Timestamp: m.Timestamp,
		Body: m.Body, Exchange: "orders", RoutingKey: "order.placed"}
}

func reader() *consumer { return &consumer{group: "billing", queue: "billing"} }

func TestAnEventTravelsWhole(t *testing.T) {
	m, err := encode(&[]tidings.Event{full()}[0], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "delivery mode", m.DeliveryMode, amqp.Persistent)
	equal(t, "properties", []string{m.ContentType, m.MessageId, m.CorrelationId, m.ReplyTo, m.Type},
		[]string{"application/json", "e1", "conv", "inbox", "order.placed"})
	if n := headerBytes(&m); n < 700 || n > 2000 {
		t.Errorf("headers of %d bytes", n)
	}
	got := reader().decode(delivered(m))
	equal(t, "event", got.Event, full())
	equal(t, "attempt and offset", []int64{int64(got.Attempt), got.Offset}, []int64{1, -1})
}

func TestAttributesTooLongForPropertiesTravelInHeaders(t *testing.T) {
	e := full()
	long := strings.Repeat("x", 300)
	e.Kind, e.Topic = tidings.KindCommand, "billing"
	e.ID, e.Type, e.ContentType, e.Correlation, e.ReplyTo = long, long, "text/"+long, long, long
	m, err := encode(&e, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	d := delivered(m)
	d.Exchange = ""
	equal(t, "event", reader().decode(d).Event, e)
}

func TestOtherModesOfCloudEventsAreRead(t *testing.T) {
	want := full()
	for _, prefix := range []string{"cloudEvents_", "ce-", "ce_"} {
		m, err := encode(&want, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		headers := amqp.Table{}
		for name, value := range m.Headers {
			headers[prefix+strings.TrimPrefix(name, headerPrefix)] = value
		}
		m.Headers = headers
		equal(t, prefix, reader().decode(delivered(m)).Event, want)
	}
	body, err := json.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	got := reader().decode(&amqp.Delivery{Exchange: "orders", Body: body,
		ContentType: "application/cloudevents+json; charset=utf-8"})
	equal(t, "structured", got.Event, want)
}

// Two messages without an id are two events, also where all else is equal.
func TestAForeignMessageIsAnEvent(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	d := &amqp.Delivery{Exchange: "orders", RoutingKey: "x", MessageId: "m1", Type: "Placed",
		ContentType:   "text/plain",
		CorrelationId: "c", ReplyTo: "r", Timestamp: at, Body: []byte("hello"), Headers: amqp.Table{
			"color": "red", "count": int32(7), "X-Other": "no name of an attribute", "id": "not the id",
			"table": amqp.Table{}, "traceparent": "00-1-2-3"}}
	want := tidings.Event{Topic: "orders", ID: "m1", Source: "rabbitmq:orders", Type: "Placed",
		ContentType: "text/plain",
		Correlation: "c", ReplyTo: "r", Time: at, Payload: []byte("hello"), TraceParent: "00-1-2-3",
		Extensions: map[string]string{"color": "red", "count": "7"}}
	equal(t, "event", reader().decode(d).Event, want)
	d.MessageId = ""
	if a, b := reader().decode(d).ID, reader().decode(d).ID; a == "" || a == b {
		t.Errorf("two messages without an id have the ids %q and %q", a, b)
	}
	got := reader().decode(&amqp.Delivery{RoutingKey: "billing", Body: []byte("x")})
	equal(t, "kind, topic and source", []any{got.Kind, got.Topic, got.Source},
		[]any{tidings.KindCommand, "billing", "rabbitmq:billing"})
}

func TestWhatIsNoValidEventIsForeignAndSaysWhy(t *testing.T) {
	for name, d := range map[string]*amqp.Delivery{
		"no attributes": {Headers: amqp.Table{"cloudEvents:specversion": "1.0"}},
		"version": {Headers: amqp.Table{"cloudEvents:specversion": "2.0", "cloudEvents:id": "1",
			"cloudEvents:source": "s", "cloudEvents:type": "t"}},
		"table": {Headers: amqp.Table{"cloudEvents:specversion": "1.0", "cloudEvents:id": amqp.Table{}}},
		"json":  {ContentType: tidings.StructuredType, Body: []byte("{")},
	} {
		got := reader().decode(d)
		if got.Extensions[tidings.ExtMalformed] == "" || got.ID == "" {
			t.Errorf("%s: got %+v, want that it is malformed", name, got.Event)
		}
	}
}

func TestAttemptsAreCountedByTheQueueAndByCopies(t *testing.T) {
	for _, test := range []struct {
		d    amqp.Delivery
		want int
	}{
		{amqp.Delivery{}, 1},
		{amqp.Delivery{Redelivered: true}, 2},
		{amqp.Delivery{Redelivered: true, Headers: amqp.Table{"x-delivery-count": int64(4)}}, 5},
		{amqp.Delivery{Headers: amqp.Table{"x-acquired-count": int64(6),
			"x-delivery-count": int64(4)}}, 7},
		{amqp.Delivery{Headers: amqp.Table{"attempt": "3"}}, 4},
		{amqp.Delivery{Headers: amqp.Table{"attempt": "3", "x-delivery-count": int64(1)}}, 5},
		{amqp.Delivery{Headers: amqp.Table{"attempt": "-3"}}, 1},
	} {
		if got := reader().decode(&test.d); got.Attempt != test.want {
			t.Errorf("%+v: got attempt %d, want %d", test.d.Headers, got.Attempt, test.want)
		}
	}
}

func TestACopyKeepsWhatWouldBeLostOnItsWay(t *testing.T) {
	d := &tidings.Delivery{Event: full(), Attempt: 3}
	e := copyOf(d, "billing")
	equal(t, "destination", []any{e.Kind, e.Topic}, []any{tidings.KindCommand, "billing"})
	m, err := encode(&e, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	arrived := delivered(m)
	arrived.Exchange, arrived.RoutingKey = delayPrefix+"quorum.03", delayKey(1, toQueue, "billing")
	got := reader().decode(arrived)
	equal(t, "event", got.Event, full())
	equal(t, "attempt", got.Attempt, 4)
}

func TestWhatIsTooLargeIsRefusedBeforeItIsSent(t *testing.T) {
	large := event("large")
	large.Payload = make([]byte, 11)
	if _, err := encode(&large, 10); !errors.Is(err, tidings.ErrTooLarge) {
		t.Errorf("payload: got %v, want too large", err)
	}
	wordy := event("wordy")
	wordy.Type = strings.Repeat("x", 256)
	if _, err := encode(&wordy, 1<<20); !errors.Is(err, tidings.ErrTooLarge) {
		t.Errorf("type: got %v, want too large", err)
	}
	tr := serve(t).open()
	heavy := event("heavy")
	heavy.Extensions = map[string]string{"weight": strings.Repeat("x", 140_000)}
	err := tr.Publish(soon(t), event("e1"), heavy, event("e2"))
	failed, ok := errors.AsType[*tidings.PublishError](err)
	if !ok || !errors.Is(err, tidings.ErrTooLarge) {
		t.Fatalf("attributes: got %v, want too large", err)
	}
	equal(t, "failed", failed.Failed, []int{1})
}

// What has as many attributes as a frame can have has a dead letter, with more of them, all the same.
func TestWhatIsPublishedHasADeadLetter(t *testing.T) {
	tr := serve(t).open()
	e := event("heavy")
	for n := 128 << 10; ; n -= 64 {
		e.Extensions = map[string]string{"weight": strings.Repeat("x", n)}
		err := tr.Publish(soon(t), e)
		if err == nil {
			break
		}
		if !errors.Is(err, tidings.ErrTooLarge) {
			t.Fatal(err)
		}
	}
	e.Kind, e.Topic = tidings.KindCommand, "billing.dlq"
	e.Extensions[tidings.ExtDeadGroup], e.Extensions[tidings.ExtDeadTopic] = "billing", "orders"
	e.Extensions[tidings.ExtDeadReason] = strings.Repeat("x", 1000)
	publish(t, tr, e)
	e.Topic = "billing" // and a way back
	publish(t, tr, e)
	publish(t, tr, copyOf(&tidings.Delivery{Event: e, Attempt: 2}, "billing"))
}

func TestWhatReadersWouldNotTakeIsRefused(t *testing.T) {
	for what, spoil := range map[string]func(e *tidings.Event){
		"no type":    func(e *tidings.Event) { e.Type = "" },
		"no source":  func(e *tidings.Event) { e.Source = "" },
		"a name":     func(e *tidings.Event) { e.Extensions = map[string]string{"Color": "red"} },
		"another id": func(e *tidings.Event) { e.Extensions = map[string]string{"id": "other"} },
	} {
		e := event("e1")
		spoil(&e)
		if _, err := encode(&e, 1<<20); err == nil {
			t.Errorf("%s: it is not refused", what)
		}
	}
}

func TestNamesThatABrokerWouldChangeAreRefused(t *testing.T) {
	config, err := Config{URL: "amqp://localhost"}.checked()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"orders\n", "or\rders", "orders\x00", "\xff"} {
		if _, err := config.name("topic", name); err == nil {
			t.Errorf("%q is not refused", name)
		}
	}
	if _, err := config.name("topic", "größe der Bestellung"); err != nil {
		t.Error(err)
	}
}

// What a foreign message says of itself does not make it poison.
func TestAForeignMessageIsNotMalformed(t *testing.T) {
	d := reader().decode(delivered(amqp.Publishing{Headers: amqp.Table{"malformed": "no", "tenant": "t"}}))
	equal(t, "extensions", d.Extensions, map[string]string{"tenant": "t"})
}
