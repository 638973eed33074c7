package kafka_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRecordsAreCloudEventsInBinaryMode as the Kafka protocol binding 1.0.2, section 3.2, has them.
func TestRecordsAreCloudEventsInBinaryMode(t *testing.T) {
	t.Parallel()
	r := serve(t)
	e := event("orders", "1", "o-1")
	e.Subject, e.Extensions = "o-1", map[string]string{"tenant": "ä"}
	e.Time = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	publish(t, r.transport(), e)
	got := r.record("orders")
	want := []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("1")},
		{Key: "ce_source", Value: []byte("shop")}, {Key: "ce_type", Value: []byte("shop.tested.v1")},
		{Key: "ce_subject", Value: []byte("o-1")}, {Key: "ce_time", Value: []byte("2020-01-02T03:04:05Z")},
		{Key: "content-type", Value: []byte("application/json")},
		{Key: "ce_partitionkey", Value: []byte("o-1")}, {Key: "ce_tenant", Value: []byte("ä")},
	}
	if !reflect.DeepEqual(got.Headers, want) {
		t.Errorf("headers\ngot  %s\nwant %s", got.Headers, want)
	}
	if string(got.Key) != "o-1" || string(got.Value) != `{"id":"1"}` {
		t.Errorf("key %q, value %q", got.Key, got.Value)
	}
	if age := time.Since(got.Timestamp); age > time.Hour {
		t.Errorf("the record is %v old to retention", age)
	}
}

// record waits for the first record of a topic.
func (r *rig) record(topic string) *kgo.Record {
	r.t.Helper()
	reader := r.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	fetches := reader.PollRecords(bounded(r.t), 1)
	if err := fetches.Err(); err != nil {
		r.t.Fatal(err)
	}
	return fetches.Records()[0]
}

// TestKeysGoWhereJavaClientsPutThem: murmur2 of the key, as Java's default partitioner.
func TestKeysGoWhereJavaClientsPutThem(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.Partitions = 12 })
	c := subscribe(t, tr, mail)
	hashes := map[string]int32{ // Utils.murmur2 in Kafka's tests
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829,
	}
	for key := range hashes {
		publish(t, tr, event("orders", key, key))
	}
	for _, d := range receive(t, c, len(hashes)) {
		want := fmt.Sprint("orders/", hashes[d.Key]&0x7fffffff%12)
		if d.Lane != want {
			t.Errorf("key %q is in %s, want %s", d.Key, d.Lane, want)
		}
	}
}

// TestForeignRecords are events without a type, whose headers are extensions where they can be.
func TestForeignRecords(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport(func(c *kafka.Config) { c.Partitions = 1 })
	c := subscribe(t, tr, mail)
	at := time.UnixMilli(time.Now().UnixMilli()).UTC()
	err := r.client().ProduceSync(bounded(t), &kgo.Record{
		Topic: "orders", Key: []byte("k"), Value: []byte{0, 1}, Timestamp: at,
		Headers: []kgo.RecordHeader{
			{Key: "content-type", Value: []byte("x/y")}, {Key: "tenant", Value: []byte("a")},
			{Key: "X-Odd", Value: []byte("left out")}, {Key: "id", Value: []byte("not the id")},
		},
	}).FirstErr()
	if err != nil {
		t.Fatal(err)
	}
	want := tidings.Event{
		Topic: "orders", ID: "orders/0/0", Source: "kafka:orders", Time: at, ContentType: "x/y", Key: "k",
		Extensions: map[string]string{"tenant": "a"}, Payload: []byte{0, 1},
	}
	d := receive(t, c, 1)[0]
	if !reflect.DeepEqual(d.Event, want) {
		t.Errorf("got  %+v\nwant %+v", d.Event, want)
	}
	// A delayed retry of it is the same, though it has no type.
	if err := d.Nack(bounded(t), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if again := receive(t, c, 1)[0]; !reflect.DeepEqual(again.Event, want) || again.Attempt != 2 {
		t.Errorf("attempt %d\ngot  %+v\nwant %+v", again.Attempt, again.Event, want)
	}
}

// TestAForeignRecordAtAnAddressIsACommand to its group.
func TestAForeignRecordAtAnAddressIsACommand(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, tidings.Subscription{Group: "billing"})
	err := r.client().ProduceSync(bounded(t), &kgo.Record{Topic: "billing.direct", Value: []byte("x")}).FirstErr()
	if err != nil {
		t.Fatal(err)
	}
	if d := receive(t, c, 1)[0]; d.Kind != tidings.KindCommand || d.Topic != "billing" {
		t.Errorf("got %+v", d.Event)
	}
}

func TestWhatReadersWouldNotTakeIsRefused(t *testing.T) {
	t.Parallel()
	tr := serve(t).transport()
	for what, spoil := range map[string]func(e *tidings.Event){
		"no type":     func(e *tidings.Event) { e.Type = "" },
		"a name":      func(e *tidings.Event) { e.Extensions = map[string]string{"Color": "red"} },
		"a late time": func(e *tidings.Event) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		e := event("orders", "1", "o-1")
		spoil(&e)
		if tr.Publish(t.Context(), e) == nil {
			t.Errorf("%s: it is not refused", what)
		}
	}
}
