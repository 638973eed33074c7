package transports

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/tidings-io/tidings/transport/transporttest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKafka is the suite that every transport passes, against Apache Kafka.
func TestKafka(t *testing.T) {
	k := engines.Kafka(t)
	transporttest.Run(t, transporttest.Harness{
		New: func(t testing.TB) tidings.Transport { return kafkaTransport(t, k.Addr) },
		Cut: func(t testing.TB) (tidings.Transport, func()) {
			p := transporttest.NewProxy(t, k.Addr)
			return kafkaTransport(t, k.Addr, kafkaThrough(p)), p.Cut
		},
		Kill:       func(testing.TB) { k.Kill() },
		Restart:    func(testing.TB) { k.Restart() },
		PublishRaw: kafkaRaw(kafkaClient(t, k.Addr)),
		Patience:   time.Minute,
	})
}

// kafkaThrough leads a client to its broker through a proxy, whatever address the broker tells.
func kafkaThrough(p *transporttest.Proxy) func(*kafka.Config) {
	return func(c *kafka.Config) {
		c.Options = append(c.Options, kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.Addr())
		}))
	}
}

func kafkaTransport(t testing.TB, addr string, change ...func(*kafka.Config)) *kafka.Transport {
	t.Helper()
	c := kafka.Config{Seeds: []string{addr}, Partitions: 2, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	tr, err := kafka.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// kafkaClient is a client without the library.
func kafkaClient(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func kafkaRaw(client *kgo.Client) func(context.Context, string, transporttest.Raw) error {
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
