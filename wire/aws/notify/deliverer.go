package notify

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// Config says what a Deliverer needs of those that know subscriptions and queues of SQS.
type Config struct {
	// DeadLetter says where a message goes that cannot be delivered, and as what: a record of
	// that queue. With no queue it is dropped. Nil: all are.
	DeadLetter func(*Letter) (*broker.Queue, broker.QueueRecord)
	// Ended is called once a subscription with Ends has nothing more to deliver: its queue can
	// be deleted. Where that does not happen it may be called again. It may call Set and Remove, and not
	// Close.
	Ended func(id string)
	// Transport sends requests; default: one of net/http's that speaks HTTP/1.1, goes through the
	// proxies of the environment, and trusts the certificates that the system does.
	Transport http.RoundTripper
	Logger    *slog.Logger // default: nothing is logged
	Limits    Limits
}

// Limits bound what endpoints can take of this machine. A zero field is its default.
type Limits struct {
	Endpoints   int // subscriptions; default 4096, each with a goroutine; a further one is kind Full
	PerEndpoint int // posts at once to a subscription; default 8
	// Extra is how many posts there can be at once beyond the first of each subscription; default 256.
	Extra         int
	ResponseBytes int64         // of an answer's body, that are read and thrown away; default 64 KiB
	Timeout       time.Duration // of a post, until the end of the answer; default 15 s, which is SNS's
}

func (l *Limits) check() error {
	l.Endpoints = cmp.Or(l.Endpoints, 4096)
	l.PerEndpoint = cmp.Or(l.PerEndpoint, 8)
	l.Extra = cmp.Or(l.Extra, 256)
	l.ResponseBytes = cmp.Or(l.ResponseBytes, 64<<10)
	l.Timeout = cmp.Or(l.Timeout, 15*time.Second)
	if l.Endpoints < 0 || l.PerEndpoint < 0 || l.Extra < 0 || l.ResponseBytes < 0 || l.Timeout < 0 {
		return errors.New("sns: a limit is negative")
	}
	return nil
}

// Subscription is what a Deliverer has to know of one.
type Subscription struct {
	ID            string // names its queue, see QueueName
	ARN, TopicARN string
	Endpoint      Endpoint
	Policy        Policy
	DeadLetters   string // for Config.DeadLetter to understand; "": there are none
	// Ends says that the subscription is over when its queue is empty: see Config.Ended.
	Ends bool
}

// Letter is a message that cannot be delivered.
type Letter struct {
	Subscription Subscription
	Post         *Post
	Time         time.Time // when it was published
	Failure      *Failure  // the last one
}

// Counts are since the deliverer was made.
type Counts struct {
	Delivered    uint64 // posts that an endpoint took
	Failed       uint64 // posts that it did not
	DeadLettered uint64 // messages
	Dropped      uint64 // messages that no dead letter queue took
	Posting      int64  // posts now
}

// Deliverer posts messages to HTTP and HTTPS subscriptions, at least once and in no promised order: each
// stays in the queue of its subscription, over restarts, until the endpoint has taken it or its retries are
// over. What is retried waits on its own: others are posted meanwhile.
//
// Each subscription has a goroutine that takes from its queue and posts. While there is more and the endpoint
// takes it, further ones help out, up to a bound for each and one for all: so an endpoint that is slow, or
// dead, takes nothing from another but help. One that fails has no help.
//
// What a retry waits for is a lease of the queue: nothing ticks.
type Deliverer struct {
	b      *broker.Broker
	config Config
	client *http.Client
	extra  chan struct{} // one for each helper

	receiving, posts context.Context // end when Close begins; when it does not wait any longer
	stop, cut        context.CancelFunc
	work             sync.WaitGroup

	counts struct {
		delivered, failed, deadLettered, dropped atomic.Uint64
		posting                                  atomic.Int64
	}

	mu     sync.Mutex // guards what is below
	subs   map[string]*subscriber
	closed bool
}

// NewDeliverer returns one without subscriptions. Errors: of the limits.
func NewDeliverer(b *broker.Broker, c Config) (*Deliverer, error) {
	if err := c.Limits.check(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Transport == nil {
		c.Transport = newTransport(c.Limits)
	}
	d := &Deliverer{b: b, config: c, extra: make(chan struct{}, c.Limits.Extra),
		subs: map[string]*subscriber{}}
	// A redirect would let an endpoint choose whom this machine talks to.
	d.client = &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	d.receiving, d.stop = context.WithCancel(context.Background())
	d.posts, d.cut = context.WithCancel(context.Background())
	return d, nil
}

// Set delivers to a subscription from now on, or in another way than before. Its queue must be there.
// Kinds: NotFound (the queue), Full (Limits.Endpoints), Closed.
func (d *Deliverer) Set(s Subscription) error {
	q, err := d.b.Queue("", QueueName(s.ID))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.subs[s.ID]
	switch {
	case d.closed:
		return &broker.Error{Kind: broker.Closed, Op: "deliver", Name: s.ID}
	case old != nil && old.q == q && old.life.Err() == nil:
		old.change(s)
		return nil
	case old != nil:
		old.leave()
	case len(d.subs) >= d.config.Limits.Endpoints:
		return &broker.Error{Kind: broker.Full, Op: "deliver", Name: s.ID}
	}
	x := newSubscriber(d, q, s)
	d.subs[s.ID] = x
	d.work.Go(x.serve)
	return nil
}

// Remove ends a subscription. A post that is under way goes on. What is in the queue stays there.
func (d *Deliverer) Remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.subs[id]; s != nil {
		s.leave()
		delete(d.subs, id)
	}
}

// Counts returns what was done so far.
func (d *Deliverer) Counts() Counts {
	c := &d.counts
	return Counts{Delivered: c.delivered.Load(), Failed: c.failed.Load(), DeadLettered: c.deadLettered.Load(),
		Dropped: c.dropped.Load(), Posting: c.posting.Load()}
}

// Close takes no more messages, waits for the posts that are under way, and returns when nothing runs any
// more. When ctx ends before that, they are cut, and it returns ctx's error: they will be delivered after a
// restart. Call it before Close of the broker.
func (d *Deliverer) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop()
	done := make(chan struct{})
	go func() {
		d.work.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	d.cut()
	<-done
	d.client.CloseIdleConnections()
	return err
}

// retire ends a subscription that is over, unless it has been set otherwise meanwhile, or has something to deliver
// again.
func (d *Deliverer) retire(s *subscriber) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, _ := s.current()
	over := now.Ends && Empty(s.q)
	if over {
		s.leave()
	}
	return over
}

// help lets another goroutine work for a subscription, if there is one to spare.
func (d *Deliverer) help(s *subscriber) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || s.helpers >= d.config.Limits.PerEndpoint-1 {
		return
	}
	select {
	case d.extra <- struct{}{}:
		s.helpers++
		d.work.Go(s.assist)
	default:
	}
}

func (d *Deliverer) helped(s *subscriber) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.helpers--
	<-d.extra
}
