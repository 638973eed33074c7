// Package crossing publishes with one protocol's client and reads with another's, against the real
// program: each row of docs/crossing.md.
package crossing

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/server"
)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// patience bounds every wait.
const patience = 20 * time.Second

// sides are clients of each protocol, for one row.
type sides struct {
	t     *testing.T
	ctx   context.Context
	kafka *kgo.Client
	ch    *amqp091.Channel // in confirm mode
	url   string
	seed  string
	admin string
	sqs   *sqs.Client
	sns   *sns.Client
	topic string // of Kafka, that there is, of one partition
}

// meet connects all to a server, and makes a topic as a Kafka client does.
func meet(t *testing.T, s *server.Server, topic string, partitions int32) *sides {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	if _, err := kadm.NewClient(kafka).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	x := &sides{t: t, ctx: ctx, kafka: kafka, url: s.AMQP, seed: s.Kafka, admin: s.Admin, topic: topic}
	x.connectAWS(s.SQS)
	x.ch = x.channel()
	if err := x.ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *sides) channel() *amqp091.Channel {
	x.t.Helper()
	c, err := amqp091.Dial(x.url)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { c.Close() })
	ch, err := c.Channel()
	if err != nil {
		x.t.Fatal(err)
	}
	return ch
}

// publish sends a message and says whether it was confirmed.
func (x *sides) publish(exchange, key string, m amqp091.Publishing) bool {
	x.t.Helper()
	c, err := x.ch.PublishWithDeferredConfirmWithContext(x.ctx, exchange, key, false, false, m)
	if err != nil {
		x.t.Fatal(err)
	}
	acked, err := c.WaitContext(x.ctx)
	if err != nil {
		x.t.Fatal(err)
	}
	return acked
}

// sent publishes one message to the topic, by its name, and reads it with Kafka.
func (x *sides) sent(m amqp091.Publishing) *kgo.Record {
	x.t.Helper()
	if !x.publish("", x.topic, m) {
		x.t.Fatal("nacked")
	}
	return x.fetch(x.topic, 1)[0]
}

// fetch reads n records of a topic from its beginning.
func (x *sides) fetch(topic string, n int) []*kgo.Record {
	x.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(x.seed), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	var all []*kgo.Record
	for len(all) < n {
		got := c.PollFetches(x.ctx)
		if err := got.Err(); err != nil {
			x.t.Fatalf("%d of %d records: %v", len(all), n, err)
		}
		all = append(all, got.Records()...)
	}
	if len(all) > n {
		x.t.Fatalf("got %d records, want %d", len(all), n)
	}
	return all
}

// produce sends records with Kafka.
func (x *sides) produce(all ...*kgo.Record) {
	x.t.Helper()
	for _, r := range all {
		r.Topic = x.topic
	}
	if err := x.kafka.ProduceSync(x.ctx, all...).FirstErr(); err != nil {
		x.t.Fatal(err)
	}
}

// replay consumes the stream with AMQP, n messages of it.
func (x *sides) replay(n int, args amqp091.Table) []amqp091.Delivery {
	x.t.Helper()
	ch := x.channel()
	defer ch.Close()
	if err := ch.Qos(max(n, 1), 0, false); err != nil {
		x.t.Fatal(err)
	}
	deliveries, err := ch.ConsumeWithContext(x.ctx, x.topic, "", false, false, false, false, args)
	if err != nil {
		x.t.Fatal(err)
	}
	var all []amqp091.Delivery
	for len(all) < n {
		select {
		case d, ok := <-deliveries:
			if !ok {
				x.t.Fatalf("the consumer ended after %d of %d messages", len(all), n)
			}
			all = append(all, d)
		case <-x.ctx.Done():
			x.t.Fatalf("%d of %d messages within %v", len(all), n, patience)
		}
	}
	return all
}

var fromFirst = amqp091.Table{"x-stream-offset": "first"}

// got produces one record and consumes it.
func (x *sides) got(r *kgo.Record) amqp091.Delivery {
	x.t.Helper()
	x.produce(r)
	return x.replay(1, fromFirst)[0]
}

// header is a header's value as text; "<nil>" and "<none>" where there is none.
func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name && h.Value == nil {
			return "<nil>"
		}
		if h.Key == name {
			return string(h.Value)
		}
	}
	return "<none>"
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
