package rabbitmq

import (
	"context"
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/transporttest"
)

// TestTransport is the suite that every transport passes, against Tidings.
func TestTransport(t *testing.T) {
	r := serve(t)
	transporttest.Run(t, transporttest.Harness{
		New: func(t testing.TB) tidings.Transport { return openAt(t, r.addr) },
		Cut: func(t testing.TB) (tidings.Transport, func()) {
			p := transporttest.NewProxy(t, r.addr)
			return openAt(t, p.Addr()), p.Cut
		},
		Stall: func(t testing.TB) (tidings.Transport, func() func()) {
			p := transporttest.NewProxy(t, r.addr)
			return openAt(t, p.Addr()), p.Stall
		},
		Kill:       func(testing.TB) { r.crash() },
		Restart:    func(testing.TB) { r.start(r.disk) },
		PublishRaw: rawTo(r.url()),
		Quiet:      100 * time.Millisecond,
		Parallel:   true,
	})
}

func openAt(t testing.TB, addr string) tidings.Transport {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tr, err := Open(ctx, Config{URL: "amqp://guest:guest@" + addr + "/"})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// rawTo publishes as a program without the library does.
func rawTo(url string) func(context.Context, string, transporttest.Raw) error {
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
