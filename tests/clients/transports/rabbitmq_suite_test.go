package transports

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/transport/rabbitmq"
	"github.com/tidings-io/tidings/transport/transporttest"
)

// TestRabbitMQ is the suite that every transport passes, against RabbitMQ.
func TestRabbitMQ(t *testing.T) {
	for _, kind := range []rabbitmq.QueueType{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(string(kind), func(t *testing.T) {
			e := engines.RabbitMQ(t)
			transporttest.Run(t, transporttest.Harness{
				New: func(t testing.TB) tidings.Transport {
					return openRabbit(t, e.URL, kind)
				},
				Cut: func(t testing.TB) (tidings.Transport, func()) {
					p, url := rabbitProxy(t, e.URL)
					return openRabbit(t, url, kind), p.Cut
				},
				Stall: func(t testing.TB) (tidings.Transport, func() func()) {
					p, url := rabbitProxy(t, e.URL)
					return openRabbit(t, url, kind), p.Stall
				},
				Kill:       func(testing.TB) { e.Kill() },
				Restart:    func(testing.TB) { e.Restart() },
				PublishRaw: rawToRabbit(e.URL),
				Patience:   20 * time.Second,
				Parallel:   true,
			})
		})
	}
}

func rabbitProxy(t testing.TB, broker string) (*transporttest.Proxy, string) {
	t.Helper()
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	p := transporttest.NewProxy(t, u.Host)
	u.Host = p.Addr()
	return p, u.String()
}

func openRabbit(t testing.TB, url string, kind rabbitmq.QueueType) tidings.Transport {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tr, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: url, QueueType: kind})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// rawToRabbit publishes as a program without the library does.
func rawToRabbit(url string) func(context.Context, string, transporttest.Raw) error {
	return func(_ context.Context, topic string, m transporttest.Raw) error {
		conn, err := amqp.Dial(url)
		if err != nil {
			return err
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		headers := amqp.Table{}
		for name, value := range m.Attributes {
			headers["cloudEvents:"+name] = value
		}
		err = ch.Publish(topic, m.Key, false, false, amqp.Publishing{Headers: headers,
			MessageId: m.ID, ContentType: m.ContentType, Body: m.Body})
		return errors.Join(err, ch.Close())
	}
}
