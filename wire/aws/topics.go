package aws

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

// TopicType is the type of exchange that a topic of SNS is.
const TopicType = "sns"

// Topics is what there is of SNS: the topics of one broker and who has subscribed to them. It is there
// whether or not a Server listens: what AMQP clients publish to a topic reaches its subscribers too.
//
// A topic is an exchange of type sns in the default namespace, as a queue of SQS is a queue. What SNS says
// of it stands in its argument sns. A subscription is a fact, see broker.Facts, and not a binding, since it
// outlives its queue.
type Topics struct {
	config TopicsConfig
	b      *broker.Broker
	url    atomic.Pointer[string] // where subscribers find the server
	signer atomic.Pointer[notify.Signer]
	lost   atomic.Int64 // notifications that had nowhere to go

	deliverer *notify.Deliverer // nil before Deliver
	life      context.Context   // ends when Close begins
	end       context.CancelFunc
	work      sync.WaitGroup // of replays
	replaying atomic.Int64   // how many there are

	// turn is held by the one change of topics and subscriptions that runs. It is no mutex,
	// because a change may wait for the disk; publishes do not wait for it.
	turn chan struct{}

	mu     sync.RWMutex
	topics map[*broker.Exchange]*topic
}

// TopicsConfig says how topics are called. The zero value is the default.
type TopicsConfig struct {
	// Account and Region stand in ARNs; default 000000000000 and us-east-1. Those in ARNs of requests
	// do not matter.
	Account, Region string
	// URL is where subscribers find the server: it stands in notifications, as the place of the
	// certificate and of what ends a subscription. Default http://localhost and the port of the Server.
	URL string
	// Replays is how many subscriptions have a replay under way at a time; default 100; beyond it
	// ReplayLimitExceeded.
	Replays int
	// Transport sends notifications over HTTP; default: see notify.Config.
	Transport http.RoundTripper
	Now       func() time.Time // default time.Now
	Logger    *slog.Logger     // default: nothing is logged
}

// NewTopics makes what a broker needs for topics: its Relay goes into broker.Config.Relays under TopicType.
func NewTopics(c TopicsConfig) (*Topics, error) {
	checked, err := Config{Account: c.Account, Region: c.Region, Now: c.Now, Logger: c.Logger}.checked()
	if err != nil {
		return nil, err
	}
	c.Account, c.Region, c.Now, c.Logger = checked.Account, checked.Region, checked.Now, checked.Logger
	if c.Replays = cmp.Or(c.Replays, 100); c.Replays < 0 {
		return nil, fmt.Errorf("aws: a limit of %d replays", c.Replays)
	}
	if c.URL != "" && !isURL(c.URL) {
		return nil, fmt.Errorf("aws: URL is %q, want http:// or https:// and a host", c.URL)
	}
	t := &Topics{config: c, turn: make(chan struct{}, 1), topics: map[*broker.Exchange]*topic{}}
	t.life, t.end = context.WithCancel(context.Background())
	t.listens("http://localhost:4566")
	return t, nil
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// listens says where a server listens, which counts where nothing was configured.
func (t *Topics) listens(at string) {
	at = strings.TrimRight(cmp.Or(t.config.URL, at), "/")
	t.url.Store(&at)
}

// hosts is the name that was configured for subscribers, if one was: they send a GET to it.
func (t *Topics) hosts() []string {
	if u, err := url.Parse(t.config.URL); err == nil && u.Hostname() != "" {
		return []string{u.Hostname()}
	}
	return nil
}

// Lost is how many notifications had nowhere to go: their queue was not there, or could not have them, and
// their subscription had no queue for dead letters, or that was not there.
func (t *Topics) Lost() int64 { return t.lost.Load() }

// DeadLetters are the queues that get what subscriptions cannot deliver, with the topics of these.
func (t *Topics) DeadLetters() map[string][]string {
	all := map[string][]string{}
	for _, p := range t.all() {
		for _, s := range p.live() {
			if s.dead != "" && !slices.Contains(all[s.dead], p.name()) {
				all[s.dead] = append(all[s.dead], p.name())
			}
		}
	}
	return all
}

// take waits for the turn to change something.
func (t *Topics) take(ctx context.Context) (done func(), err error) {
	select {
	case t.turn <- struct{}{}:
		return func() { <-t.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// takeFor waits for the turn of a request. From then on that is done to its end, also for a client that has gone: else
// what is in memory would not be what is on disk.
func (t *Topics) takeFor(c *call) (done func(), err error) {
	done, err = t.take(c.ctx)
	c.ctx = context.WithoutCancel(c.ctx)
	return done, err
}

// topic is one of SNS.
type topic struct {
	x    *broker.Exchange
	id   string
	subs atomic.Pointer[[]*subscription] // by id; replaced in a turn

	turn    chan struct{}                // of publishes, where the topic is FIFO
	archive atomic.Pointer[broker.Topic] // nil: there is none

	numbers  sync.Mutex // a leaf
	sequence uint64     // the last number of those
}

// argumentSNS is that of an exchange which is a topic.
const argumentSNS = "sns"

// declaredTopic is what SNS says of a topic.
type declaredTopic struct {
	id         string
	created    int64             // seconds
	attributes map[string]string // that were set
	tags       map[string]string
}

func declaredTopicOf(x *broker.Exchange) (d declaredTopic, ok bool) {
	v, _ := x.Spec().Args.Get(argumentSNS)
	args, ok := v.(broker.Args)
	d = declaredTopic{attributes: textsOf(args, "attributes"), tags: textsOf(args, "tags")}
	d.id, _, _ = args.Text("id")
	d.created, _, _ = args.Int("created")
	return d, ok && d.id != ""
}

func (d *declaredTopic) args() broker.Args {
	return broker.Args{{Name: argumentSNS, Value: broker.Args{
		{Name: "id", Value: d.id},
		{Name: "created", Value: d.created},
		{Name: "attributes", Value: argsOf(d.attributes)},
		{Name: "tags", Value: argsOf(d.tags)},
	}}}
}

func (p *topic) name() string { return p.x.Name().Name }

func (p *topic) declared() declaredTopic {
	d, _ := declaredTopicOf(p.x)
	return d
}

// subscriptions are all of the topic, those included that are over and can be taken back.
func (p *topic) subscriptions() []*subscription { return *p.subs.Load() }

// live are those that are not over.
func (p *topic) live() []*subscription {
	return slices.DeleteFunc(slices.Clone(p.subscriptions()), func(s *subscription) bool { return s.Ended })
}

// find is the subscription with an id; nil: there is none.
func (p *topic) find(id string) *subscription {
	all := p.subscriptions()
	if i, ok := slices.BinarySearchFunc(all, id, compareID); ok {
		return all[i]
	}
	return nil
}

func compareID(s *subscription, id string) int { return strings.Compare(s.id, id) }

// put makes a subscription one of the topic, in the place of one with its id. Called in a turn.
func (p *topic) put(s *subscription) {
	all := slices.Clone(p.subscriptions())
	i, there := slices.BinarySearchFunc(all, s.id, compareID)
	if there {
		all[i] = s
	} else {
		all = slices.Insert(all, i, s)
	}
	p.subs.Store(&all)
}

// drop forgets one. Called in a turn.
func (p *topic) drop(s *subscription) {
	all := slices.DeleteFunc(slices.Clone(p.subscriptions()), func(o *subscription) bool { return o.id == s.id })
	p.subs.Store(&all)
}

// named finds a topic by name; nil: there is none.
func (t *Topics) named(name string) *topic {
	x, err := t.b.Exchange("", name)
	if err != nil {
		return nil
	}
	return t.of(x)
}

// of is the topic that an exchange is; nil: it is none.
func (t *Topics) of(x *broker.Exchange) *topic {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.topics[x]
}

// adopt makes a topic of an exchange.
func (t *Topics) adopt(x *broker.Exchange) (*topic, bool) {
	d, ok := declaredTopicOf(x)
	if !ok {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if have := t.topics[x]; have != nil {
		return have, true
	}
	p := &topic{x: x, id: d.id}
	p.subs.Store(&[]*subscription{})
	if p.fifo() {
		p.turn = make(chan struct{}, 1)
	}
	t.topics[x] = p
	return p, true
}

func (t *Topics) forget(p *topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.topics, p.x)
}

// all lists the topics by name.
func (t *Topics) all() (list []*topic) {
	for _, x := range t.b.Exchanges("") {
		if p := t.of(x); p != nil {
			list = append(list, p)
		}
	}
	return list
}
