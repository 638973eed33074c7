package soak

import (
	"encoding/binary"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/tidings-io/tidings/tests/clients/server"
)

const (
	waitingMemory = 100 << 20
	confirmWindow = 2000
	prefetch      = 2000
	messageBytes  = 128
)

// TestManyMessagesWaitOnDiskAndNotInMemory has messages of 128 bytes wait in a durable queue, kills
// the broker, and takes them: each once, in order.
func TestManyMessagesWaitOnDiskAndNotInMemory(t *testing.T) {
	s := server.Start(t)
	began := time.Now()
	publishMany(t, s.AMQP, *records)
	rate(t, "published", *records, began)
	wantMemory(t, "memory, all of them waiting", s.Memory().Peak, waitingMemory)

	s.Kill()
	wantTime(t, "start after SIGKILL", s.Restart(), killedStart)
	began = time.Now()
	takeMany(t, s.AMQP, *records)
	rate(t, "taken", *records, began)
	wantMemory(t, "memory, started and taken", s.Memory().Peak, waitingMemory)
}

// openQueue declares the queue on a channel of its own connection.
func openQueue(t *testing.T, url string) *amqp091.Channel {
	t.Helper()
	c, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(topic, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	return ch
}

// publishMany publishes n numbered messages and returns when all are confirmed.
func publishMany(t *testing.T, url string, n int64) {
	t.Helper()
	ch := openQueue(t, url)
	confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, confirmWindow))
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirmed := int64(0)
	confirm := func() {
		if c, ok := <-confirms; !ok || !c.Ack {
			t.Fatalf("after %d confirms: got %v, open %v", confirmed, c, ok)
		}
		confirmed++
	}
	for i := range n {
		if i-confirmed >= confirmWindow {
			confirm()
		}
		body := make([]byte, messageBytes)
		binary.BigEndian.PutUint64(body, uint64(i))
		if err := ch.PublishWithContext(t.Context(), "", topic, false, false,
			amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: body}); err != nil {
			t.Fatalf("after %d messages: %v", i, err)
		}
	}
	for confirmed < n {
		confirm()
	}
}

// takeMany takes n messages, acknowledging many at once, and checks that each is the next.
func takeMany(t *testing.T, url string, n int64) {
	t.Helper()
	ch := openQueue(t, url)
	if err := ch.Qos(prefetch, 0, false); err != nil {
		t.Fatal(err)
	}
	deliveries, err := ch.ConsumeWithContext(t.Context(), topic, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		d, ok := <-deliveries
		if !ok || binary.BigEndian.Uint64(d.Body) != uint64(i) {
			t.Fatalf("after %d messages: got %.8x, open %v", i, d.Body, ok)
		}
		if i%(prefetch/2) == prefetch/2-1 || i == n-1 {
			if err := d.Ack(true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if q, err := ch.QueueDeclarePassive(topic, true, false, false, false, nil); err != nil || q.Messages != 0 {
		t.Fatalf("at the end %d messages wait (%v), want none", q.Messages, err)
	}
}
