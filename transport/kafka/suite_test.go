package kafka_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/tidings-io/tidings/transport/transporttest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTransport is the suite that every transport passes, against Tidings.
func TestTransport(t *testing.T) {
	r := serve(t)
	transporttest.Run(t, transporttest.Harness{
		New: func(t testing.TB) tidings.Transport { return dial(t, r.addr) },
		Cut: func(t testing.TB) (tidings.Transport, func()) {
			p := transporttest.NewProxy(t, r.addr)
			return dial(t, p.Addr(), through(p)), p.Cut
		},
		Kill:       func(testing.TB) { r.crash() },
		Restart:    func(testing.TB) { r.start() },
		PublishRaw: rawTo(r.client()),
		Quiet:      50 * time.Millisecond,
	})
}

// through leads a client to its broker through a proxy, whatever address the broker tells.
func through(p *transporttest.Proxy) func(*kafka.Config) {
	return func(c *kafka.Config) {
		c.Options = append(c.Options, kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.Addr())
		}))
	}
}

// rawTo produces as a program without the library does.
func rawTo(client *kgo.Client) func(context.Context, string, transporttest.Raw) error {
	return func(ctx context.Context, topic string, m transporttest.Raw) error {
		r := &kgo.Record{Topic: topic, Value: m.Body}
		if m.Key != "" {
			r.Key = []byte(m.Key)
		}
		if m.ContentType != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "content-type", Value: []byte(m.ContentType)})
		}
		for name, value := range m.Attributes {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ce_" + name, Value: []byte(value)})
		}
		return client.ProduceSync(ctx, r).FirstErr()
	}
}
