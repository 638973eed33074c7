package amqp

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

var streamType = Field{"x-queue-type", "stream"}

// stream declares a stream on channel 1.
func (c *client) stream(name string, args ...Field) *queueDeclareOk {
	c.t.Helper()
	return c.queue(queueDeclare{queue: name, durable: true, arguments: append(Table{streamType}, args...)})
}

// replay consumes a stream from an offset on.
func (c *client) replay(channel uint16, queue string, offset any, args ...Field) {
	c.t.Helper()
	c.consume(channel, basicConsume{queue: queue,
		arguments: append(Table{{"x-stream-offset", offset}}, args...)})
}

// offsets reads n deliveries, and shows each with its offset.
func (c *client) offsets(channel uint16, n int) string {
	c.t.Helper()
	var got []string
	for range n {
		d, m := wantMessage[*basicDeliver](c, channel)
		at, _ := m.props.Headers.Get("x-stream-offset")
		got = append(got, fmt.Sprintf("%v:%s%s", at, m.body, star(d.redelivered)))
	}
	return strings.Join(got, " ")
}

// Each consumer of a stream gets every message, as often as it asks, in order and never
// redelivered; acks, nacks and rejects only give credit back.
func TestEveryConsumerOfAStreamGetsAllMessages(t *testing.T) {
	r := serve(t)
	c := r.dial()
	equal(t, "declare", *c.stream("s"), queueDeclareOk{queue: "s"})
	c.put("s", "a", "b", "c", "d", "e", "f", "g")
	for channel := uint16(2); channel < 4; channel++ {
		c.open(channel)
		c.qos(channel, 2, false)
		c.replay(channel, "s", "first")
		equal(t, "at first", c.offsets(channel, 2), "0:a 1:b")
		c.sync(channel)
		c.send(channel, &basicAck{deliveryTag: 1})
		equal(t, "for an ack", c.offsets(channel, 1), "2:c")
		c.send(channel, &basicNack{deliveryTag: 3, multiple: true, requeue: true})
		equal(t, "for a nack", c.offsets(channel, 2), "3:d 4:e")
		c.send(channel, &basicReject{deliveryTag: 4})
		equal(t, "for a reject", c.offsets(channel, 1), "5:f")
		c.send(channel, &basicRecover{requeue: true})
		equal(t, "for a recover", c.recovered(channel, 1), "6:g")
		c.sync(channel)
	}
	equal(t, "declared again", *c.stream("s"), queueDeclareOk{queue: "s", messageCount: 7, consumerCount: 2})
	c.send(2, &basicAck{deliveryTag: 99})
	c.ended(2, replyPreconditionFailed, &basicAck{})
	c.shut(3)
	c.put("s", "h")
	c = r.kill().dial()
	c.qos(1, 10, false)
	c.replay(1, "s", int32(5))
	equal(t, "after a kill", c.offsets(1, 3), "5:f 6:g 7:h")
}

// recovered reads recover-ok and n deliveries, in whatever order the two come.
func (c *client) recovered(channel uint16, n int) string {
	c.t.Helper()
	got, ok := []string{}, false
	for !ok || len(got) < n {
		m := c.nextOn(channel)
		switch d := m.method.(type) {
		case *basicRecoverOk:
			ok = true
		case *basicDeliver:
			at, _ := m.props.Headers.Get("x-stream-offset")
			got = append(got, fmt.Sprintf("%v:%s%s", at, m.body, star(d.redelivered)))
		default:
			c.t.Fatalf("got %v", m.id())
		}
	}
	return strings.Join(got, " ")
}

// x-stream-offset has RabbitMQ's meaning.
func TestAStreamIsConsumedFromAnOffset(t *testing.T) {
	c := serve(t).dial()
	c.stream("s")
	c.put("s", "a")
	c.put("s", "b")
	for _, test := range []struct {
		offset any
		want   string
	}{
		{"first", "0:a 1:b"}, {"last", "1:b"}, {int8(1), "1:b"}, {int64(0), "0:a 1:b"},
		{Timestamp(time.Now().Add(-time.Hour).Unix()), "0:a 1:b"}, {"1h", "0:a 1:b"}, {"2Y", "0:a 1:b"},
		{"next", ""}, {int64(99), ""}, {Timestamp(time.Now().Add(time.Hour).Unix()), ""},
	} {
		t.Run(fmt.Sprint(test.offset), func(t *testing.T) {
			c.t = t
			c.open(2)
			c.qos(2, 10, false)
			c.replay(2, "s", test.offset)
			n := len(strings.Fields(test.want))
			equal(t, "got", c.offsets(2, n), test.want)
			c.sync(2)
			c.shut(2)
		})
	}
	c.t = t
	for _, offset := range []any{"soon", "0h", "", int32(-1), 1.5, true} {
		c.open(2)
		c.qos(2, 10, false)
		consume := &basicConsume{queue: "s", arguments: Table{{"x-stream-offset", offset}}}
		c.send(2, consume)
		text := c.ended(2, replyPreconditionFailed, consume)
		if !strings.Contains(text, "invalid arg 'x-stream-offset' for queue 's' in vhost '/'") {
			t.Errorf("offset %v: got %q", offset, text)
		}
	}
	c.qos(1, 10, false)
	c.consume(1, basicConsume{queue: "s"})
	c.put("s", "c")
	equal(t, "by default", c.offsets(1, 1), "2:c")
}

// What a stream cannot do is refused with RabbitMQ's replies.
func TestWhatAStreamCannotDoIsRefused(t *testing.T) {
	const s = "queue 's' in vhost '/'"
	args := func(f ...Field) Table { return append(Table{streamType}, f...) }
	declare := func(t Table) *queueDeclare { return &queueDeclare{queue: "n", durable: true, arguments: t} }
	for _, test := range []struct {
		m    method
		code uint16
		text string
	}{
		{&basicConsume{queue: "s"}, replyPreconditionFailed, "consumer prefetch count is not set for stream " + s},
		{&basicGet{queue: "s"}, replyNotImplemented, "basic.get not supported by stream queues " + s},
		{&queuePurge{queue: "s"}, replyNotImplemented, "purge not supported by " + s},
		{&queueDeclare{queue: "n", arguments: args()}, replyPreconditionFailed,
			"invalid property 'non-durable' for queue 'n' in vhost '/'"},
		{&queueDeclare{queue: "n", durable: true, exclusive: true, arguments: args()}, replyPreconditionFailed,
			"invalid property 'exclusive-owner' for queue 'n' in vhost '/'"},
		{&queueDeclare{queue: "n", durable: true, autoDelete: true, arguments: args()}, replyPreconditionFailed,
			"invalid property 'auto-delete' for queue 'n' in vhost '/'"},
		{&queueDeclare{durable: true, arguments: args()}, replyPreconditionFailed,
			"Cannot declare a server-named queue for type rabbit_stream_queue"},
		{declare(args(Field{"x-message-ttl", int32(1)})), replyPreconditionFailed,
			"invalid arg 'x-message-ttl' for queue 'n' in vhost '/' of queue type rabbit_stream_queue"},
		{declare(args(Field{"x-max-age", "7W"})), replyPreconditionFailed,
			"invalid arg 'x-max-age' for queue 'n' in vhost '/': invalid_max_age"},
		{declare(args(Field{"x-stream-max-segment-size-bytes", int64(3_000_000_001)})), replyPreconditionFailed,
			"Exceeded max value for x-stream-max-segment-size-bytes"},
		{&queueDeclare{queue: "s", durable: true, arguments: args(Field{"x-max-age", "1h"})},
			replyPreconditionFailed, "inequivalent arg 'x-max-age' for " + s + ": " +
				"received the value '1h' of type 'longstr' but current is none"},
		{&queueDeclare{queue: "s", arguments: args()}, replyPreconditionFailed,
			"inequivalent arg 'durable' for " + s + ": received 'false' but current is 'true'"},
		{&queueDeclare{queue: "q", durable: true, arguments: args()}, replyPreconditionFailed,
			"inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': " +
				"received the value 'stream' of type 'longstr' but current is none"},
	} {
		t.Run(test.text, func(t *testing.T) {
			c := serve(t).dial()
			c.stream("s")
			c.queue(queueDeclare{queue: "q", durable: true})
			c.send(1, test.m)
			name := replyNames[test.code] + " - "
			if test.code == replyNotImplemented {
				equal(t, "text", c.gone(test.code, test.m.id()), name+test.text)
				return
			}
			equal(t, "text", c.ended(1, test.code, test.m), name+test.text)
		})
	}
	c := serve(t).dial()
	c.stream("s")
	c.qos(1, 1, false)
	consume := &basicConsume{queue: "s", noAck: true}
	c.send(1, consume)
	equal(t, "no ack", c.gone(replyNotImplemented, consume.id()),
		"NOT_IMPLEMENTED - automatic acknowledgement not supported by stream "+s)
}

// The arguments of a stream are settings of its topic, kept as they were given.
func TestArgumentsOfAStreamAreSettingsOfItsTopic(t *testing.T) {
	r := serve(t)
	c := r.dial()
	all := []Field{{"x-max-length-bytes", int64(5000)}, {"x-max-age", "7D"},
		{"x-stream-max-segment-size-bytes", int32(1 << 20)}, {"x-initial-cluster-size", int32(3)}}
	c.stream("s", all...)
	c.stream("plain")
	r = r.kill()
	c = r.dial()
	c.stream("s", all...)
	topic, err := r.broker.Topic("", "s")
	if err != nil {
		t.Fatal(err)
	}
	want := broker.TopicConfig{RetentionTime: 7 * 24 * time.Hour, RetentionBytes: 5000, SegmentBytes: 1 << 20,
		BatchBytes: 16<<20 + 1<<20}
	equal(t, "config", topic.Config(), want)
	equal(t, "partitions", topic.Partitions(), 1)
	topic, err = r.broker.Topic("", "plain")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "without arguments", [2]any{topic.Config().RetentionTime, topic.Config().RetentionBytes},
		[2]any{broker.Forever, int64(-1)})
}

// Every topic is a stream of its name, unless a queue has that.
func TestEveryTopicIsAStream(t *testing.T) {
	r := serve(t)
	topic, err := r.broker.CreateTopic(t.Context(), broker.TopicSpec{Name: "k", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		for _, v := range []string{"a", "b"} {
			appended, err := topic.Partition(i).Write(t.Context(), broker.Record{Value: []byte(v)})
			if err != nil || appended.Confirm.Wait(t.Context()) != nil {
				t.Fatal(err)
			}
		}
	}
	c := r.dial()
	equal(t, "passive", *c.queue(queueDeclare{queue: "k", passive: true}),
		queueDeclareOk{queue: "k", messageCount: 4})
	equal(t, "as a stream", *c.stream("k"), queueDeclareOk{queue: "k", messageCount: 4})
	c.qos(1, 10, false)
	c.replay(1, "k", "first")
	seen := map[string]string{}
	for range 4 {
		_, m := wantMessage[*basicDeliver](c, 1)
		part, _ := m.props.Headers.Get("x-stream-partition")
		seen[fmt.Sprint(part)] += m.body
	}
	equal(t, "all partitions", seen, map[string]string{"0": "ab", "1": "ab"})
	c.open(2)
	c.qos(2, 10, false)
	c.replay(2, "k", int64(1), Field{"x-stream-partition", int64(1)})
	equal(t, "one", c.offsets(2, 1), "1:b")
	consume := &basicConsume{queue: "k", arguments: Table{{"x-stream-offset", int64(0)}}}
	c.send(2, consume)
	c.ended(2, replyPreconditionFailed, consume)
	c.put("k", "by its name")
	equal(t, "new", c.deliveries(1, 1), "by its name")

	c.queue(queueDeclare{queue: "k", durable: true})
	c.put("k", "in the queue")
	equal(t, "the queue wins", c.get("k"), "in the queue")
	c.send(1, &queueDelete{queue: "k"})
	want[*queueDeleteOk](c, 1)
	equal(t, "the stream again", c.ready("k"), 5)
	c.sync(1)
}

// Consumers hear that their stream is gone, whoever deleted it; so do the bindings.
func TestAConsumerEndsWithItsStream(t *testing.T) {
	r := serve(t)
	c, other := r.dial(), r.dial()
	c.stream("s")
	c.put("s", "a")
	c.exchange(exchangeDeclare{exchange: "x", kind: "fanout", durable: true})
	c.bind("s", "x", "")
	other.qos(1, 1, false) // it hears of the end without credit too
	other.consume(1, basicConsume{queue: "s", consumerTag: "o", arguments: Table{{"x-stream-offset", "first"}}})
	equal(t, "before", other.offsets(1, 1), "0:a")
	c.qos(1, 5, false)
	c.consume(1, basicConsume{queue: "s", consumerTag: "c"})
	for _, m := range []*queueDelete{{queue: "s", ifUnused: true}, {queue: "s", ifEmpty: true}} {
		c.open(2)
		c.send(2, m)
		c.ended(2, replyPreconditionFailed, m)
	}
	c.send(1, &queueDelete{queue: "s"})
	equal(t, "delete", want[*queueDeleteOk](c, 1).messageCount, uint32(1))
	equal(t, "cancelled", want[*basicCancel](c, 1).consumerTag, "c")
	equal(t, "cancelled", want[*basicCancel](other, 1).consumerTag, "o")
	other.send(1, &basicAck{deliveryTag: 1})
	other.sync(1)
	if _, err := r.broker.Topic("", "s"); err == nil {
		t.Error("the topic is still there")
	}
	passive := &queueDeclare{queue: "s", passive: true}
	c.send(1, passive)
	c.ended(1, replyNotFound, passive)
	c.open(1)
	c.stream("s")
	c.putWith(&basicPublish{exchange: "x"}, durably, "unbound")
	equal(t, "of a new one", c.ready("s"), 0)
}

// The channel's own credit bounds streams and queues together.
func TestStreamsShareTheCreditOfTheirChannel(t *testing.T) {
	c := serve(t).dial()
	c.stream("s")
	c.queue(queueDeclare{queue: "q", durable: true})
	c.put("s", "a", "b")
	c.open(2)
	c.qos(2, 1, true)
	c.qos(2, 5, false)
	c.replay(2, "s", "first")
	equal(t, "stream", c.offsets(2, 1), "0:a")
	c.consume(2, basicConsume{queue: "q", consumerTag: "q"})
	c.put("q", "1")
	c.sync(2)
	c.send(2, &basicAck{deliveryTag: 1})
	first := c.nextOn(2)
	c.sync(2)
	c.send(2, &basicAck{deliveryTag: 2})
	second := c.nextOn(2)
	equal(t, "both", len(first.body+second.body), 2)
	c.send(2, &basicAck{deliveryTag: 3}, &basicCancel{consumerTag: "q"})
	want[*basicCancelOk](c, 2)
	c.put("s", "c")
	equal(t, "then", c.offsets(2, 1), "2:c")
}

// A transaction gives credit back, and publishes, when it is committed.
func TestStreamsInATransaction(t *testing.T) {
	c := serve(t).dial()
	c.stream("s")
	c.put("s", "a", "b")
	c.open(2)
	c.send(2, &txSelect{})
	want[*txSelectOk](c, 2)
	c.qos(2, 1, false)
	c.replay(2, "s", "first")
	equal(t, "first", c.offsets(2, 1), "0:a")
	c.send(2, &basicAck{deliveryTag: 1})
	c.sync(2)
	c.send(2, &txRollback{})
	want[*txRollbackOk](c, 2)
	c.sync(2)
	c.send(2, &basicAck{deliveryTag: 1})
	c.publish(2, &basicPublish{routingKey: "s"}, durably, "c")
	c.sync(2)
	equal(t, "before the commit", c.ready("s"), 2)
	c.send(2, &txCommit{})
	got := []string{}
	for range 2 {
		m := c.nextOn(2)
		got = append(got, m.id().String()+m.body)
	}
	ok := (&txCommitOk{}).id().String()
	if all := strings.Join(got, " "); !strings.Contains(all, "b") || !strings.Contains(all, ok) {
		t.Errorf("got %q, want commit-ok and b", all)
	}
	equal(t, "after the commit", c.ready("s"), 3)
}

// A message that is larger than a topic accepts is nacked; a stream of AMQP takes what a queue takes.
func TestATopicRefusesWhatIsTooLarge(t *testing.T) {
	r := serve(t)
	if _, err := r.broker.CreateTopic(context.Background(), broker.TopicSpec{Name: "k"}); err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	c.stream("s")
	large := strings.Repeat("x", 2<<20)
	c.put("s", large)
	c.send(1, &confirmSelect{})
	want[*confirmSelectOk](c, 1)
	c.publish(1, &basicPublish{routingKey: "k", mandatory: true}, durably, large)
	equal(t, "nack", want[*basicNack](c, 1).deliveryTag, uint64(1))
	c.qos(1, 1, false)
	c.replay(1, "s", "first")
	_, m := wantMessage[*basicDeliver](c, 1)
	equal(t, "body", len(m.body), len(large))
}

// A replay of many messages comes complete, and in its order.
func TestStreamsAreReplayedInFull(t *testing.T) {
	c := serve(t).dial()
	c.stream("s")
	var bodies []string
	for i := range 3000 {
		bodies = append(bodies, fmt.Sprintf("%d %s", i, strings.Repeat("x", i%700)))
	}
	c.put("s", bodies...)
	c.qos(1, 100, false)
	c.replay(1, "s", "first")
	for i, body := range bodies {
		d, m := wantMessage[*basicDeliver](c, 1)
		if m.body != body {
			t.Fatalf("got %.10q, want %.10q", m.body, body)
		}
		if i%50 == 49 {
			c.send(1, &basicAck{deliveryTag: d.deliveryTag, multiple: true})
		}
	}
}

// "Kafka's clients see the topics of the virtual host /: a stream of another is for AMQP's clients alone."
func TestAStreamIsOfItsVirtualHost(t *testing.T) {
	r := serve(t)
	r.vhost("sales")
	r.permit("sales", "guest", ".*", ".*", ".*")
	c := r.enter("guest", "sales")
	c.stream("s")
	c.put("s", "a")
	if _, err := r.broker.Topic("", "s"); err == nil || len(r.broker.Topics("")) > 0 {
		t.Error("it is a topic of /")
	}
	c.qos(1, 1, false)
	c.replay(1, "s", "first")
	equal(t, "got", c.offsets(1, 1), "0:a")
	here := r.dial()
	here.send(1, &queueDeclare{queue: "s", passive: true})
	here.ended(1, replyNotFound, &queueDeclare{})
}
