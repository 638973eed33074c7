package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/twmb/franz-go/pkg/kgo"
)

// defaultWindow is Subscription.Window where it is 0.
const defaultWindow = 1024

// heldBytes bounds the memory of retries that are not due.
const heldBytes = 64 << 20

// consumer reads one subscription. Records are polled by the goroutine in Receive; franz-go's own
// goroutines rebalance, and call assigned, revoked and lost; one of ours commits.
type consumer struct {
	transport *Transport
	client    *kgo.Client
	group     string
	temporary bool // a reader by itself, without a group at the broker
	window    int

	ctx    context.Context // of the client: the end of it cuts requests short
	cancel context.CancelFunc
	loop   sync.WaitGroup // commitLoop
	dirty  chan struct{}  // holds one where something may be to commit
	turn   chan struct{}  // holds one while somebody commits

	mu        sync.Mutex
	lanes     map[partition]*laneState
	leaving   map[*laneState]bool // being committed in a rebalance
	committed map[partition]committed
	ready     []*handed // given back, or due again
	held      retries   // not due yet
	paused    bool      // the address is not fetched: held is full
	inHand    int
	forgotten bool // settlements went with a partition before they were committed
	closed    bool
	failed    error              // why reading cannot go on
	interrupt context.CancelFunc // ends the wait of Receive
	room      int                // for the text beside an offset, in bytes
}

// membership is how the members of a group have its partitions. Records are registered between
// the end of a poll and AllowRebalance, so that none of a partition that went can come late;
// rebalances wait for that, and never for a handler.
func membership(group string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.HeartbeatInterval(time.Second), // how soon a member hears of one that left
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		// A partition without an offset was added to its topic later: see beginAt.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
	}
}

// reading bounds what one broker sends ahead of Receive, and leaves out what transactions of
// others have not committed.
func (c *Config) reading() []kgo.Opt {
	return []kgo.Opt{
		kgo.BrokerMaxReadBytes(int32(max(100<<20, c.MaxBytes+1<<20))),
		kgo.FetchMaxBytes(8 << 20), kgo.FetchMaxPartitionBytes(1 << 20),
		// A partition that comes to a broker waits for the fetch that is parked there.
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}
}

func (t *Transport) newConsumer(s tidings.Subscription) *consumer {
	c := &consumer{
		transport: t, group: s.Group, temporary: s.Temporary, window: s.Window,
		dirty: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		lanes: map[partition]*laneState{}, leaving: map[*laneState]bool{},
		committed: map[partition]committed{},
		interrupt: func() {}, room: maxMetadata,
	}
	setZero(&c.window, defaultWindow)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (t *Transport) subscribeGroup(s tidings.Subscription) (tidings.Consumer, error) {
	c := t.newConsumer(s)
	topics := append([]string{address(s.Group)}, s.Topics...)
	err := c.connect(append(membership(s.Group), kgo.ConsumeTopics(topics...),
		kgo.AdjustFetchOffsetsFn(c.begin), kgo.OnPartitionsRevoked(c.revoked),
		kgo.OnPartitionsLost(c.lost))...)
	if err != nil {
		return nil, err
	}
	c.loop.Go(c.commitLoop)
	return c, nil
}

func (c *consumer) connect(opts ...kgo.Opt) (err error) {
	opts = append(append(c.transport.config.reading(), kgo.WithContext(c.ctx)), opts...)
	if c.client, err = c.transport.client(opts...); err != nil {
		c.cancel()
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

// Receive returns what was given back or has become due before what is new.
func (c *consumer) Receive(ctx context.Context, max int) ([]*tidings.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("kafka: receive at most %d", max)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		got, err := c.next(ctx, max)
		if len(got) > 0 || err != nil {
			return got, err
		}
	}
}

// next waits once: for records, for a retry to become due, or for room in the window.
func (c *consumer) next(ctx context.Context, max int) ([]*tidings.Delivery, error) {
	got, err := c.takeReady(max)
	if err != nil {
		return nil, err
	}
	waiting, done := c.waiting(ctx, len(got) > 0)
	defer done()
	room := min(max-len(got), c.free())
	if room == 0 {
		if len(got) == 0 {
			<-waiting.Done()
		}
		return got, nil
	}
	more, err := c.poll(waiting, room)
	if len(got) > 0 && err != nil {
		err = nil // it is in c.failed, for the next call
	}
	return append(got, more...), err
}

// takeReady takes what waits in memory, at most max.
func (c *consumer) takeReady(max int) (got []*tidings.Delivery, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, tidings.ErrClosed
	}
	if c.failed != nil {
		return nil, c.failed
	}
	c.ready = append(c.ready, c.held.due(time.Now())...)
	for len(c.ready) > 0 && len(got) < max && c.inHand < c.window {
		h := c.ready[0]
		c.ready = c.ready[1:]
		got = append(got, c.handOutLocked(h))
	}
	return got, nil
}

func (c *consumer) free() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.window - c.inHand
}

// waiting is ctx until c.interrupt, or until a retry is due; with haste it has ended already.
func (c *consumer) waiting(ctx context.Context, haste bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if haste || c.closed || len(c.ready) > 0 && c.inHand < c.window {
		cancel()
	}
	c.interrupt = cancel
	if at, ok := c.held.next(); ok {
		until, expire := context.WithDeadline(ctx, at)
		return until, func() { expire(); cancel() }
	}
	return ctx, cancel
}

// poll gets new records, at most max, and registers them before the group may rebalance.
func (c *consumer) poll(ctx context.Context, max int) (got []*tidings.Delivery, err error) {
	c.pace()
	fetches := c.client.PollRecords(pollContext(ctx), max)
	defer c.client.AllowRebalance()
	for _, failure := range fetches.Errors() {
		if err := c.failure(ctx, failure); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for records := fetches.RecordIter(); !records.Done(); {
		h := c.registerLocked(records.Next())
		switch {
		case h == nil:
		case h.due.After(now):
			c.held.add(h)
		default:
			got = append(got, c.handOutLocked(h))
		}
	}
	return got, nil
}

// pollContext is nil, which makes PollRecords take what is there without waiting, where the wait
// is over before it began.
func pollContext(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return nil
	}
	return ctx
}

// pace stops fetching the address while there are too many retries to wait for.
func (c *consumer) pace() {
	c.mu.Lock()
	n, size, paused := len(c.held.heap), c.held.size, c.paused
	most := c.transport.config.ReadAhead
	switch {
	case n >= most || size >= heldBytes:
		c.paused = true
	case n <= most/2 && size <= heldBytes/2:
		c.paused = false
	}
	change, pause := c.paused != paused, c.paused
	c.mu.Unlock()
	switch {
	case change && pause:
		c.client.PauseFetchTopics(address(c.group))
	case change:
		c.client.ResumeFetchTopics(address(c.group))
	}
}

// failure is nil where franz-go tries again by itself, or where nothing has failed.
func (c *consumer) failure(waiting context.Context, f kgo.FetchError) error {
	switch {
	case waiting.Err() != nil && errors.Is(f.Err, waiting.Err()):
		return nil
	case errors.Is(f.Err, kgo.ErrClientClosed):
		return tidings.ErrClosed
	case !fatal(f.Err):
		c.transport.config.Logger.Warn("kafka: reading goes on after an error", "group", c.group,
			"topic", f.Topic, "partition", f.Partition, "error", f.Err)
		return nil
	}
	err := fmt.Errorf("kafka: group %q: read topic %q: %w", c.group, f.Topic, f.Err)
	c.fail(err)
	return err
}

// fail ends reading.
func (c *consumer) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
	}
	c.interrupt()
}

// Close commits what is settled and leaves the group, whose other members get the rest at once. A
// Temporary group's address is deleted. When ctx ends first, the broker finds out by the session
// timeout (45 s) that the member is gone.
func (c *consumer) Close(ctx context.Context) error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.interrupt()
	c.mu.Unlock()
	if again {
		return nil
	}
	err := c.client.LeaveGroupContext(ctx) // revoked commits
	if ctx.Err() != nil {
		c.cancel()
	}
	c.client.Close()
	c.client.AllowRebalance() // it polled what was buffered, and what leaves the group may wait for that
	c.cancel()
	c.loop.Wait()
	if c.dropAll() && err == nil {
		err = fmt.Errorf("what was settled last is delivered again: %w", tidings.ErrLost)
	}
	if c.temporary {
		err = errors.Join(err, c.transport.topics.remove(ctx, address(c.group)))
	}
	if err != nil {
		return fmt.Errorf("kafka: close group %q: %w", c.group, err)
	}
	return nil
}
