package engines

import (
	"context"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// TestRabbitMQKeepsConfirmedMessagesOverSIGKILL publishes persistent messages with confirms to durable
// queues of both types that were declared just before, and gets them after a restart.
func TestRabbitMQKeepsConfirmedMessagesOverSIGKILL(t *testing.T) {
	began := time.Now()
	r := RabbitMQ(t)
	ready := time.Since(began)
	const n = 100
	queues := []string{"classic", "quorum"}
	for _, queue := range queues {
		publishRabbitMQ(t, rabbitMQChannel(t, r), queue, n)
	}
	r.Kill()
	t.Logf("rabbitmq was ready in %v, and after SIGKILL in %v", ready, r.Restart())
	for _, queue := range queues {
		ch := rabbitMQChannel(t, r)
		for i := range n {
			m, ok, err := ch.Get(queue, true)
			if want := fmt.Sprint("message ", i); err != nil || !ok || string(m.Body) != want {
				t.Fatalf("%s: got %q, %v, %v, want %q", queue, m.Body, ok, err, want)
			}
		}
	}
}

func rabbitMQChannel(t *testing.T, r *RabbitMQEngine) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// publishRabbitMQ declares a queue of the type that its name says.
func publishRabbitMQ(t *testing.T, ch *amqp.Channel, queue string, n int) {
	t.Helper()
	kind := amqp.Table{amqp.QueueTypeArg: queue}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, kind); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), "", queue, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: fmt.Append(nil, "message ", i)})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := c.WaitContext(bounded(t)); !ok || err != nil {
			t.Fatalf("message %d was not confirmed: %v", i, err)
		}
	}
}

// bounded is a context for one call of a client.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
