package transports

import (
	"context"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKafkaCloudEventsAreReadByTheSDK: what the transport publishes is an event to the SDK of the
// CloudEvents project, attribute by attribute.
func TestKafkaCloudEventsAreReadByTheSDK(t *testing.T) {
	r := newKafkaRig(t)
	sent := fullEvent(r.run + "-orders")
	r.must(r.transport.Publish(r.bounded(), sent))
	reader := kafkaClient(t, engines.SharedKafka(t).Addr, kgo.ConsumeTopics(sent.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	fetches := reader.PollRecords(r.bounded(), 1)
	r.must(fetches.Err())
	record := fetches.Records()[0]
	message := kafka_sarama.NewMessageFromConsumerMessage(saramaRecord(record))
	if message.ReadEncoding() != binding.EncodingBinary {
		t.Fatalf("encoding %v", message.ReadEncoding())
	}
	got, err := binding.ToEvent(t.Context(), message)
	r.must(err)
	r.must(got.Validate())
	for _, name := range []string{"kafkaoffset", "kafkapartition", "kafkatopic"} {
		got.SetExtension(name, nil) // the SDK adds where it was
	}
	if string(got.Data()) != string(sent.Payload) || string(record.Key) != sent.Key {
		t.Errorf("key %q, data %q", record.Key, got.Data())
	}
	if got, want := sdkAttributes(got), maps.Collect(sent.Attributes()); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestKafkaCloudEventsOfTheSDKAreRead in binary and in structured mode.
func TestKafkaCloudEventsOfTheSDKAreRead(t *testing.T) {
	for name, mode := range map[string]func(context.Context) context.Context{
		"binary": binding.WithForceBinary, "structured": binding.WithForceStructured,
	} {
		t.Run(name, func(t *testing.T) {
			r := newKafkaRig(t)
			c := r.subscribe("orders")
			want := fullEvent(r.run + "-orders")
			message := &sarama.ProducerMessage{}
			r.must(kafka_sarama.WriteProducerMessage(mode(t.Context()), binding.ToMessage(sdkEvent(t, want)), message))
			client := kafkaClient(t, engines.SharedKafka(t).Addr)
			r.must(client.ProduceSync(r.bounded(), kgoRecord(t, want.Topic, message)).FirstErr())
			if got := r.receive(c, 1)[0].Event; !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func fullEvent(topic string) tidings.Event {
	return tidings.Event{
		Topic: topic, ID: "1", Source: "/shop", Type: "order.placed.v1", Subject: "o-1",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC), ContentType: "application/json",
		Schema: "https://example.org/order", Key: "o-1", Correlation: "c", Causation: "b", ReplyTo: "r",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: "a=b",
		Extensions: map[string]string{"tenant": "ä"}, Payload: []byte(`{"order":"o-1"}`),
	}
}

// sdkEvent is an event as the SDK has it.
func sdkEvent(t *testing.T, e tidings.Event) *cloudevents.Event {
	t.Helper()
	out := cloudevents.New()
	out.SetID(e.ID)
	out.SetSource(e.Source)
	out.SetType(e.Type)
	out.SetSubject(e.Subject)
	out.SetTime(e.Time)
	out.SetDataSchema(e.Schema)
	for name, value := range e.Attributes() {
		switch name {
		case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema":
		default:
			out.SetExtension(name, value)
		}
	}
	if err := out.SetData(e.ContentType, e.Payload); err != nil {
		t.Fatal(err)
	}
	return &out
}

// sdkAttributes are all attributes of an event of the SDK as text.
func sdkAttributes(e *cloudevents.Event) map[string]string {
	out := map[string]string{
		"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type(),
		"subject": e.Subject(), "time": e.Time().Format(time.RFC3339Nano),
		"datacontenttype": e.DataContentType(), "dataschema": e.DataSchema(),
	}
	for name, value := range e.Extensions() {
		out[name], _ = value.(string)
	}
	return out
}

func saramaRecord(r *kgo.Record) *sarama.ConsumerMessage {
	m := &sarama.ConsumerMessage{Topic: r.Topic, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

func kgoRecord(t *testing.T, topic string, m *sarama.ProducerMessage) *kgo.Record {
	t.Helper()
	r := &kgo.Record{Topic: topic}
	var err error
	if r.Value, err = m.Value.Encode(); err != nil {
		t.Fatal(err)
	}
	if m.Key != nil {
		if r.Key, err = m.Key.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	return r
}
