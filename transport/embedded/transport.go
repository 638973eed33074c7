package embedded

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// Config says how a broker is used. The zero value is the default.
type Config struct {
	// Namespace is where topics, groups and addresses are; "" is the one that clients of Kafka and
	// AWS see, and the virtual host / of AMQP.
	Namespace string
	// Partitions is how many a topic gets that is made; 0 is 8. Events of one key are in one of
	// them. It bounds how many consumers of a group get events of the topic at a time.
	Partitions int
	// Topic is how a topic is configured that is made.
	Topic broker.TopicConfig
	// Lease is how long a delivery from a group's address is a consumer's, unless it is extended;
	// 0 is 30 s. After a crash it holds on.
	Lease time.Duration
	// Window is what Subscription.Window is where that is 0; 0 is 1,024.
	Window int
	// Logger hears what an operator should know; nil is slog.Default().
	Logger *slog.Logger
}

// Defaults of Config.
const (
	defaultPartitions = 8
	defaultLease      = 30 * time.Second
	defaultWindow     = 1024
)

func (c Config) withDefaults() Config {
	c.Partitions = cmp.Or(c.Partitions, defaultPartitions)
	c.Lease = cmp.Or(c.Lease, defaultLease)
	c.Window = cmp.Or(c.Window, defaultWindow)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Transport is a broker inside the program as services use it. It is safe for use by many
// goroutines. A program may have several of one broker: they know of each other's consumers.
type Transport struct {
	b *broker.Broker
	c Config
	h *hub

	drafts sync.Pool     // of *draft
	turn   atomic.Uint32 // whose turn it is to get events without a key
	lost   atomic.Int64
	saver  saver

	life  context.Context // ends with Close
	end   context.CancelFunc
	loops sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	consumers map[*consumer]struct{}
	saving    bool // the saver runs
	moving    bool // the mover runs
}

var _ tidings.Transport = (*Transport)(nil)

// New makes a transport of a broker that is open. Close it before the broker.
func New(b *broker.Broker, c Config) *Transport {
	t := &Transport{b: b, c: c.withDefaults(), h: hubOf(b, c.Namespace),
		consumers: map[*consumer]struct{}{}}
	t.drafts.New = func() any { return &draft{t: t} }
	t.life, t.end = context.WithCancel(context.Background())
	t.saver.init()
	if _, err := b.Queue(t.c.Namespace, scheduledQueue); err == nil {
		t.startMover() // what is due need not wait for a call
	}
	return t
}

// Close closes all consumers, as their Close does, and ends the transport: what is called later is
// tidings.ErrClosed. The broker stays open.
func (t *Transport) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	var open []*consumer
	for c := range t.consumers {
		open = append(open, c)
	}
	t.mu.Unlock()
	var failed error
	for _, c := range open {
		if err := c.Close(ctx); failed == nil {
			failed = err
		}
	}
	t.end()
	t.loops.Wait()
	return failed
}

// Capabilities are those of the broker: see the package's comment for what they rest on.
func (t *Transport) Capabilities() tidings.Capabilities {
	return tidings.Capabilities{
		Order:        tidings.OrderKey,
		Replay:       true,
		Positions:    true,
		Attempts:     true,
		Temporary:    true,
		Transactions: true,
		MaxDelay:     tidings.Forever,
		MaxSchedule:  tidings.Forever,
		MaxBytes:     t.eventBytes(nil) - batchBytes,
	}
}

// Stats counts since New.
type Stats struct {
	// Lost is how many events retention took from topics before a group had come to them.
	Lost int64
}

// Stats returns the counts.
func (t *Transport) Stats() Stats { return Stats{Lost: t.lost.Load()} }

// start runs a loop that Close waits for, unless that was called, or the loop was started.
func (t *Transport) start(started *bool, loop func(context.Context)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || *started {
		return
	}
	*started = true
	t.loops.Go(func() { loop(t.life) })
}
