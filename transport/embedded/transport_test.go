package embedded

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/transport/transporttest"
)

// TestTransport is the suite of transports, in virtual time, on a disk in memory whose power is cut.
func TestTransport(t *testing.T) {
	var m *machine // of the check that runs
	transporttest.Run(t, transporttest.Harness{
		New:     func(t testing.TB) tidings.Transport { return m.client() },
		Kill:    func(testing.TB) { m.kill() },
		Restart: func(t testing.TB) { m.restart(t) },
		PublishRaw: func(ctx context.Context, topic string, r transporttest.Raw) error {
			return m.publishRaw(ctx, topic, r)
		},
		Around: func(t *testing.T, test func(t *testing.T)) {
			synctest.Test(t, func(t *testing.T) {
				m = &machine{dice: rand.New(rand.NewPCG(1, 2)), fs: vfs.NewMem()}
				m.restart(t)
				t.Cleanup(m.kill)
				test(t)
			})
		},
	})
}

// machine is where a broker runs with its clients, which are one process.
type machine struct {
	dice    *rand.Rand
	fs      *vfs.Mem
	b       *broker.Broker
	clients []*survivor
}

// survivor is a client that finds the broker after a restart.
type survivor struct {
	mu     sync.Mutex
	now    *Transport
	closed bool
}

func (m *machine) client() *survivor {
	s := &survivor{now: New(m.b, Config{})}
	m.clients = append(m.clients, s)
	return s
}

func (m *machine) restart(t testing.TB) {
	var err error
	if m.b, err = broker.Open("", broker.Config{FS: m.fs}); err != nil {
		t.Fatal(err)
	}
	for _, s := range m.clients {
		s.mu.Lock()
		if !s.closed {
			s.now = New(m.b, Config{})
		}
		s.mu.Unlock()
	}
}

// kill cuts the power.
func (m *machine) kill() {
	m.fs = m.fs.Crash(m.dice)
	for _, s := range m.clients {
		_ = s.current().Close(context.Background()) // what it writes is lost
	}
	_ = m.b.Close()
}

func (m *machine) publishRaw(ctx context.Context, topic string, r transporttest.Raw) error {
	found, err := m.clients[0].current().topic(ctx, topic)
	if err != nil {
		return err
	}
	rec := broker.Record{Value: r.Body}
	if r.Key != "" {
		rec.Key = []byte(r.Key)
	}
	if r.ContentType != "" {
		rec.Headers = headers(contentTypeHeader, r.ContentType)
	}
	for name, value := range r.Attributes {
		rec.Headers = append(rec.Headers, headers(attributePrefix+name, value)...)
	}
	a, err := found.Partition(0).Write(ctx, rec)
	if err != nil {
		return err
	}
	return a.Confirm.Wait(ctx)
}

func (s *survivor) current() *Transport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *survivor) Publish(ctx context.Context, events ...tidings.Event) error {
	return s.current().Publish(ctx, events...)
}

func (s *survivor) PublishAt(ctx context.Context, at time.Time, events ...tidings.Event) error {
	return s.current().PublishAt(ctx, at, events...)
}

func (s *survivor) Declare(ctx context.Context, sub tidings.Subscription) error {
	return s.current().Declare(ctx, sub)
}

func (s *survivor) Subscribe(ctx context.Context, sub tidings.Subscription) (tidings.Consumer, error) {
	return s.current().Subscribe(ctx, sub)
}

func (s *survivor) Capabilities() tidings.Capabilities { return s.current().Capabilities() }

func (s *survivor) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.current().Close(ctx)
}

func TestLogsGoWhereThoseOfServicesGo(t *testing.T) {
	if got := (Config{}).withDefaults().Logger; got != slog.Default() {
		t.Errorf("got %v, want the default of slog", got)
	}
}
