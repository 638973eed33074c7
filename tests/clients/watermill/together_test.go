package watermill

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tests/clients/server"
	tidingskafka "github.com/tidings-io/tidings/transport/kafka"
	"github.com/tidings-io/tidings/transport/rabbitmq"
)

// page {
// asCloudEvents has a publisher of Watermill write CloudEvents: its metadata are headers of Kafka and
// AMQP, and message attributes of SNS and SQS.
func asCloudEvents(pub message.Publisher, source string) (message.Publisher, error) {
	return message.MessageTransformPublisherDecorator(func(m *message.Message) {
		m.Metadata.Set("ce_specversion", "1.0")
		m.Metadata.Set("ce_id", m.UUID)
		m.Metadata.Set("ce_source", source)
		m.Metadata.Set("ce_type", m.Metadata.Get("name")) // as package cqrs sets it
	})(pub)
}

// page }

// side is one broker as both libraries see it.
type side struct {
	pub     message.Publisher
	sub     message.Subscriber
	ours    tidings.Transport
	foreign string // what the id of a message that is no event looks like
	source  string
}

func eachBroker(t *testing.T, test func(t *testing.T, s side)) {
	srv := server.Start(t)
	t.Run("kafka", func(t *testing.T) { test(t, overKafka(t, srv.Kafka)) })
	t.Run("amqp", func(t *testing.T) { test(t, overAMQP(t, srv.AMQP)) })
}

func overKafka(t *testing.T, addr string) side {
	pub, err := kafka.NewPublisher(kafka.PublisherConfig{Brokers: []string{addr},
		Marshaler: kafka.DefaultMarshaler{}}, watermill.NopLogger{})
	must(t, err)
	oldest := kafka.DefaultSaramaSubscriberConfig()
	oldest.Consumer.Offsets.Initial = sarama.OffsetOldest // it may join after the publish
	sub, err := kafka.NewSubscriber(kafka.SubscriberConfig{Brokers: []string{addr}, ConsumerGroup: "theirs",
		Unmarshaler: kafka.DefaultMarshaler{}, OverwriteSaramaConfig: oldest}, watermill.NopLogger{})
	must(t, err)
	ours, err := tidingskafka.New(tidingskafka.Config{Seeds: []string{addr}})
	must(t, err)
	t.Cleanup(func() {
		must(t, pub.Close())
		must(t, sub.Close())
		must(t, ours.Close(context.Background()))
	})
	return side{pub, sub, ours, `^orders/\d+/\d+$`, "kafka:orders"}
}

// overAMQP has a durable exchange of type topic for each topic, as the library has.
func overAMQP(t *testing.T, url string) side {
	config := amqp.NewDurablePubSubConfig(url, amqp.GenerateQueueNameTopicNameWithSuffix("theirs"))
	config.Exchange.Type = "topic"
	config.QueueBind.GenerateRoutingKey = func(string) string { return "#" }
	pub, err := amqp.NewPublisher(config, watermill.NopLogger{})
	must(t, err)
	sub, err := amqp.NewSubscriber(config, watermill.NopLogger{})
	must(t, err)
	ours, err := rabbitmq.Open(t.Context(), rabbitmq.Config{URL: url})
	must(t, err)
	t.Cleanup(func() {
		must(t, pub.Close())
		must(t, sub.Close())
		must(t, ours.Close(context.Background()))
	})
	return side{pub, sub, ours, `^[0-9a-f-]{36}$`, "rabbitmq:orders"}
}

// A message of Watermill is a foreign event: its payload as it is, no type, no key, and another id
// than its UUID.
func TestAMessageOfWatermillIsAForeignEvent(t *testing.T) {
	eachBroker(t, func(t *testing.T, s side) {
		c := s.subscribe(t)
		m := message.NewMessage("their-uuid", []byte(`{"order":"o-1"}`))
		m.Metadata.Set("tenant", "blue")
		m.Metadata.Set("correlation_id", "c-1")
		must(t, s.pub.Publish("orders", m))
		e := receive(t, c).Event
		if !regexp.MustCompile(s.foreign).MatchString(e.ID) || e.Source != s.source || e.Type != "" ||
			e.Key != "" || e.Topic != "orders" || string(e.Payload) != `{"order":"o-1"}` {
			t.Errorf("got %+v", e)
		}
		if len(e.Extensions) != 1 || e.Extensions["tenant"] != "blue" {
			t.Errorf("extensions %v: names with '_' have no place there", e.Extensions)
		}
	})
}

func TestAPublisherOfWatermillCanWriteCloudEvents(t *testing.T) {
	eachBroker(t, func(t *testing.T, s side) {
		c := s.subscribe(t)
		pub, err := asCloudEvents(s.pub, "shop")
		must(t, err)
		m := message.NewMessage("their-uuid", []byte(`{"order":"o-1"}`))
		m.Metadata.Set("name", "shop.order.placed.v1")
		must(t, pub.Publish("orders", m))
		e := receive(t, c).Event
		if e.ID != "their-uuid" || e.Source != "shop" || e.Type != "shop.order.placed.v1" ||
			string(e.Payload) != `{"order":"o-1"}` {
			t.Errorf("got %+v", e)
		}
	})
}

// An event is a message to Watermill: the attributes are metadata, the UUID is empty.
func TestWatermillReadsEvents(t *testing.T) {
	placed := tidings.Define[Placed]("orders", "shop.order.placed.v1")
	for name, prefix := range map[string]string{"kafka": "ce_", "amqp": "cloudEvents:"} {
		t.Run(name, func(t *testing.T) {
			srv := server.Start(t)
			s := map[string]func() side{"kafka": func() side { return overKafka(t, srv.Kafka) },
				"amqp": func() side { return overAMQP(t, srv.AMQP) }}[name]()
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			must(t, s.ours.Declare(ctx, tidings.Subscription{Group: "ours", Topics: []string{"orders"}}))
			messages, err := s.sub.Subscribe(ctx, "orders")
			must(t, err)
			e := placed.New(Placed{"o-1", 990})
			tidings.Stamp(ctx, "shop", &e)
			must(t, s.ours.Publish(ctx, e))
			m := <-messages
			m.Ack()
			if m.UUID != "" || m.Metadata.Get(prefix+"id") != e.ID || m.Metadata.Get(prefix+"type") != e.Type ||
				string(m.Payload) != string(e.Payload) {
				t.Errorf("got %q %v %s", m.UUID, m.Metadata, m.Payload)
			}
		})
	}
}

func (s side) subscribe(t *testing.T) tidings.Consumer {
	t.Helper()
	c, err := s.ours.Subscribe(t.Context(), tidings.Subscription{Group: "ours", Topics: []string{"orders"}})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close(context.Background())) })
	return c
}

func receive(t *testing.T, c tidings.Consumer) *tidings.Delivery {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ds, err := c.Receive(ctx, 1)
	must(t, err)
	must(t, ds[0].Ack(ctx))
	return ds[0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
