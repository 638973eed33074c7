package kafka_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTheEndOfOnePublishFailsNoOther: their records may be in one batch.
func TestTheEndOfOnePublishFailsNoOther(t *testing.T) {
	t.Parallel()
	r := serve(t)
	held := &gate{buffered: make(chan string, 10)}
	tr := r.transport(held.keep)
	if err := tr.Declare(bounded(t), mail); err != nil {
		t.Fatal(err)
	}
	open := held.close() // the producer has no id yet, and collects
	ended := make(chan error, 2)
	send := func(ctx context.Context, id string) {
		go func() { ended <- tr.Publish(ctx, event("orders", id, "k")) }()
		<-held.buffered
	}
	ctx, cancel := context.WithCancel(t.Context())
	send(ctx, "ends")
	send(bounded(t), "beside it")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	open()
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
}

// TestTwoWhoDeclareAGroupMissNothing holds the first back between its requests, while a second one
// declares and publishes.
func TestTwoWhoDeclareAGroupMissNothing(t *testing.T) {
	t.Parallel()
	r := serve(t)
	quick := r.transport()
	publish(t, quick, events("orders", 0, 5)...)
	held := &gate{buffered: make(chan string, 1), asked: make(chan func(), 1)}
	slow := r.transport(held.keep)
	ended := make(chan error, 1)
	go func() { ended <- slow.Declare(bounded(t), mail) }()
	open := <-held.asked
	if err := quick.Declare(bounded(t), mail); err != nil {
		t.Fatal(err)
	}
	publish(t, quick, events("orders", 5, 10)...)
	open()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantIDs(t, receive(t, subscribe(t, quick, mail), 5), 5, 10)
}

// gate can hold back what a transport writes to its broker, and tells what its producer takes.
type gate struct {
	mu       sync.RWMutex // held while nothing passes
	buffered chan string
	asked    chan func() // gets what opens the gate, once something was asked of offsets
	once     sync.Once
}

func (g *gate) keep(c *kafka.Config) {
	c.Options = append(c.Options, kgo.WithHooks(g),
		kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return gatedConn{conn, g}, err
		}))
}

func (g *gate) close() (open func()) {
	g.mu.Lock()
	return g.mu.Unlock
}

func (g *gate) OnProduceRecordBuffered(r *kgo.Record) { g.buffered <- string(r.Value) }

// OnBrokerWrite closes the gate behind the first ListOffsets or OffsetFetch.
func (g *gate) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if g.asked != nil && (key == 2 || key == 9) {
		g.once.Do(func() { g.asked <- g.close() })
	}
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c gatedConn) Write(b []byte) (int, error) {
	c.gate.mu.RLock()
	defer c.gate.mu.RUnlock()
	return c.Conn.Write(b)
}

// TestATopicThatWasDeletedIsMadeAgain by the next publish after one that failed.
func TestATopicThatWasDeletedIsMadeAgain(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	publish(t, tr, event("orders", "1", "k"))
	if _, err := r.admin().DeleteTopic(bounded(t), "orders"); err != nil {
		t.Fatal(err)
	}
	ctx, e := bounded(t), event("orders", "2", "k")
	for err := tr.Publish(ctx, e); err != nil; err = tr.Publish(ctx, e) {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	c := subscribe(t, tr, tidings.Subscription{Group: "mail", Topics: []string{"orders"}, From: tidings.Earliest})
	if d := receive(t, c, 1)[0]; d.ID != "2" {
		t.Errorf("got %s", d.ID)
	}
}

// TestCloseEndsWithItsContext also while the broker is gone.
func TestCloseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	c := subscribe(t, tr, mail)
	publish(t, tr, event("orders", "1", "k"))
	ack(t, receive(t, c, 1)...)
	r.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := c.Close(ctx); err == nil {
		t.Error("it left a group whose broker is gone")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	r.start() // for the end of the test
}

func TestAClosedTransportIsErrClosed(t *testing.T) {
	t.Parallel()
	r := serve(t)
	tr := r.transport()
	publish(t, tr, event("orders", "1", "k"))
	if err := tr.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := tr.Publish(bounded(t), event("orders", "1", "k")); !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if _, err := tr.Subscribe(bounded(t), tidings.Subscription{Group: "new"}); !errors.Is(err, tidings.ErrClosed) {
		t.Errorf("subscribe: %v", err)
	}
}

func TestConnectionsAreEncryptedWithTLS(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	r := serveTLS(t, &tls.Config{Certificates: certified.TLS.Certificates})
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	publish(t, r.transport(func(c *kafka.Config) { c.TLS = &tls.Config{RootCAs: roots} }), event("orders", "1", "k"))
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	for what, c := range map[string]kafka.Config{
		"no seeds":     {},
		"partitions":   {Seeds: []string{"x"}, Partitions: -1},
		"compression":  {Seeds: []string{"x"}, Compression: "brotli"},
		"mechanism":    {Seeds: []string{"x"}, SASL: &kafka.SASL{Mechanism: "md5"}},
		"large events": {Seeds: []string{"x"}, MaxBytes: 1 << 31},
	} {
		if tr, err := kafka.New(c); err == nil {
			t.Errorf("%s: no error", what)
			tr.Close(t.Context())
		}
	}
	for _, mechanism := range []string{"", "plain", "scram-sha-256", "scram-sha-512"} {
		tr, err := kafka.New(kafka.Config{Seeds: []string{"x"}, SASL: &kafka.SASL{Mechanism: mechanism, User: "u", Password: "p"}})
		if err != nil {
			t.Errorf("%q: %v", mechanism, err)
			continue
		}
		tr.Close(t.Context())
	}
}

// TestAnAddressThatKeepsTooLittleIsRefused: a delayed retry could expire before it is due.
func TestAnAddressThatKeepsTooLittleIsRefused(t *testing.T) {
	t.Parallel()
	r := serve(t)
	hour := "3600000"
	_, err := r.admin().CreateTopic(bounded(t), 1, -1, map[string]*string{"retention.ms": &hour}, "mail.direct")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.transport().Declare(bounded(t), mail); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	short := r.transport(func(c *kafka.Config) { c.MaxDelay = 30 * time.Minute })
	if err := short.Declare(bounded(t), mail); err != nil {
		t.Error(err)
	}
}

// TestATopicMayHaveABoundOfItsOwn below that of the transport.
func TestATopicMayHaveABoundOfItsOwn(t *testing.T) {
	t.Parallel()
	r := serve(t)
	bound := "5000"
	_, err := r.admin().CreateTopic(bounded(t), 1, -1, map[string]*string{"max.message.bytes": &bound}, "orders")
	if err != nil {
		t.Fatal(err)
	}
	tr := r.transport()
	e := event("orders", "1", "k")
	e.Payload = make([]byte, 5000)
	if err := tr.Publish(bounded(t), e); !errors.Is(err, tidings.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	publish(t, tr, events("orders", 0, 100)...) // in several batches
}
