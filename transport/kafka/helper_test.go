package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/transport/kafka"
	wire "github.com/tidings-io/tidings/wire/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// rig is a Tidings in this process, on a disk in memory, that transports reach by its port.
type rig struct {
	t      *testing.T
	disk   *vfs.Mem
	broker *broker.Broker
	server *wire.Server
	addr   string
	tls    *tls.Config
}

func serve(t *testing.T) *rig {
	t.Helper()
	return serveTLS(t, nil)
}

func serveTLS(t *testing.T, c *tls.Config) *rig {
	t.Helper()
	r := &rig{t: t, disk: vfs.NewMem(), addr: "127.0.0.1:0", tls: c}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	c := broker.Config{FS: r.disk}
	c.Storage.TailBytes, c.Storage.JournalBytes, c.Storage.CarryBytes = 1<<20, 4<<20, 8<<10
	if r.broker, err = broker.Open("data", c); err != nil {
		r.t.Fatal(err)
	}
	r.server, err = wire.Listen(r.broker, wire.Config{
		Addr: r.addr, TLS: r.tls, Logger: slog.New(slog.DiscardHandler),
		Limits: wire.Limits{MinSessionTimeout: session},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = r.server.Addr().String()
}

func (r *rig) stop() {
	r.cut()
	r.broker.Close()
}

// cut ends the listener and its connections, so that nothing is answered any more.
func (r *rig) cut() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.server.Close(ctx)
}

// crash ends the broker as SIGKILL would. What was answered is on the disk that it leaves.
func (r *rig) crash() {
	r.cut()
	disk := r.disk.Kill()
	r.broker.Close()
	r.disk = disk
}

// kill ends the broker as SIGKILL would, and starts another one on what it leaves on disk.
func (r *rig) kill() {
	r.t.Helper()
	r.crash()
	r.start()
}

// transport connects to the broker; the test closes it at its end.
func (r *rig) transport(change ...func(*kafka.Config)) *kafka.Transport {
	r.t.Helper()
	tr := dial(r.t, r.addr, change...)
	r.t.Cleanup(func() {
		if err := tr.Close(bounded(r.t)); err != nil {
			r.t.Error(err)
		}
	})
	return tr
}

// dial makes a transport that is quick to hear of changes.
func dial(t testing.TB, addr string, change ...func(*kafka.Config)) *kafka.Transport {
	t.Helper()
	c := kafka.Config{
		Seeds: []string{addr}, Partitions: 2, CommitEvery: 20 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
		Options: []kgo.Opt{
			kgo.HeartbeatInterval(50 * time.Millisecond), kgo.MetadataMinAge(10 * time.Millisecond),
			kgo.FetchMaxWait(50 * time.Millisecond), kgo.RetryBackoffFn(soon),
		},
	}
	for _, f := range change {
		f(&c)
	}
	tr, err := kafka.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// session is how long a member that could not say goodbye holds up its group.
const session = time.Second

func soon(int) time.Duration { return 20 * time.Millisecond }

// client is a plain Kafka client of the broker.
func (r *rig) client(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(r.addr), kgo.DisableClientMetrics())...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

func (r *rig) admin() *kadm.Client { return kadm.NewClient(r.client()) }

// bounded is a context for one wait, which outlives the test's own in its cleanups.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func subscribe(t *testing.T, tr *kafka.Transport, s tidings.Subscription) tidings.Consumer {
	t.Helper()
	c, err := tr.Subscribe(bounded(t), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(bounded(t)) })
	return c
}

func publish(t *testing.T, p tidings.Publisher, events ...tidings.Event) {
	t.Helper()
	if err := p.Publish(bounded(t), events...); err != nil {
		t.Fatal(err)
	}
}

// event is one of a topic, with the id and the key.
func event(topic, id, key string) tidings.Event {
	return tidings.Event{
		Topic: topic, ID: id, Source: "shop", Type: "shop.tested.v1", Key: key,
		ContentType: "application/json", Payload: []byte(`{"id":"` + id + `"}`),
	}
}

func events(topic string, from, to int) (out []tidings.Event) {
	for i := from; i < to; i++ {
		out = append(out, event(topic, fmt.Sprint(i), fmt.Sprint("key-", i%7)))
	}
	return out
}

// receive waits for n deliveries.
func receive(t *testing.T, c tidings.Consumer, n int) (got []*tidings.Delivery) {
	t.Helper()
	ctx := bounded(t)
	for len(got) < n {
		more, err := c.Receive(ctx, n-len(got))
		if err != nil {
			t.Fatalf("after %d of %d deliveries: %v", len(got), n, err)
		}
		got = append(got, more...)
	}
	return got
}

// nothing sees that no delivery comes for a while.
func nothing(t *testing.T, c tidings.Consumer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	if got, err := c.Receive(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %d deliveries, %v", len(got), err)
	}
}

func ack(t *testing.T, ds ...*tidings.Delivery) {
	t.Helper()
	for _, d := range ds {
		if err := d.Ack(t.Context()); err != nil {
			t.Fatalf("ack %s: %v", d.ID, err)
		}
	}
}

func commit(t *testing.T, c tidings.Consumer) {
	t.Helper()
	if err := c.Commit(bounded(t)); err != nil {
		t.Fatal(err)
	}
}

func closed(t *testing.T, c tidings.Consumer) {
	t.Helper()
	if err := c.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
}
