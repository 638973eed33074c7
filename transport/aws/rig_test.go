package aws

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	wire "github.com/tidings-io/tidings/wire/aws"
	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind: every one has an owner whose Close waits for it.
// Tests wait for leases and delays of seconds and compute little: more of them than there are processors
// run side by side, unless -parallel says otherwise.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "16")
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// rig is a broker in this process, whose disk is memory, with its AWS listener.
type rig struct {
	testing.TB
	disk   *vfs.Mem
	addr   string
	broker *broker.Broker
	server *wire.Server
	topics *wire.Topics
	down   bool
}

func newRig(t testing.TB) *rig {
	r := &rig{TB: t, disk: vfs.NewMem(), addr: "127.0.0.1:0"}
	r.start()
	t.Cleanup(func() {
		if !r.down {
			r.check(r.stop())
		}
	})
	return r
}

func (r *rig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) start() {
	r.Helper()
	var err error
	r.topics, err = wire.NewTopics(wire.TopicsConfig{})
	r.check(err)
	r.broker, err = broker.Open("data", broker.Config{FS: r.disk,
		Props:  map[broker.PropsFormat]broker.PropsReader{broker.PropsSQS: wire.Props{}},
		Relays: map[string]func(*broker.Broker) broker.Relay{wire.TopicType: r.topics.Relay}})
	r.check(err)
	r.check(r.topics.Deliver())
	r.server, err = wire.Listen(r.broker, wire.Config{Addr: r.addr, Topics: r.topics})
	r.check(err)
	r.addr, r.down = r.server.Addr().String(), false
}

func (r *rig) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.down = true
	return errors.Join(r.server.Close(ctx), r.topics.Close(ctx), r.broker.Close())
}

// kill ends the broker as SIGKILL does: what it has not written by now is not there.
func (r *rig) kill() {
	r.Helper()
	disk := r.disk.Kill()
	_ = r.stop() // its disk is not the broker's any more
	r.disk = disk
}

// client is a configuration of the SDK for the rig, with a network of its own.
func (r *rig) client() (sdk.Config, *network) {
	n := &network{TB: r, under: &http.Transport{}, calls: map[string]int{}, fail: map[string]int{}}
	r.Cleanup(n.under.CloseIdleConnections)
	return sdk.Config{Region: "us-east-1", BaseEndpoint: sdk.String("http://" + r.addr), HTTPClient: n,
		Retryer: func() sdk.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 50 * time.Millisecond })
		},
		Credentials: sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
			return sdk.Credentials{AccessKeyID: "any", SecretAccessKey: "key"}, nil
		})}, n
}

func (r *rig) transport(c Config) (*Transport, *network) {
	r.Helper()
	client, n := r.client()
	c.AWS = client
	t, err := New(c)
	r.check(err)
	return t, n
}

// network counts requests by action, and can fail them before they reach the broker.
type network struct {
	testing.TB
	under *http.Transport

	mu    sync.Mutex
	calls map[string]int
	fail  map[string]int // how many of an action
}

func (n *network) Do(q *http.Request) (*http.Response, error) { return n.RoundTrip(q) }

func (n *network) RoundTrip(q *http.Request) (*http.Response, error) {
	_, action, _ := strings.Cut(q.Header.Get("X-Amz-Target"), ".")
	n.mu.Lock()
	n.calls[action]++
	fail := n.fail[action] > 0
	if fail {
		n.fail[action]--
	}
	n.mu.Unlock()
	if fail {
		return nil, errors.New("the network is down")
	}
	return n.under.RoundTrip(q)
}

func (n *network) count(action string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls[action]
}

func (n *network) failNext(action string, times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail[action] = times
}

// bounded is a context for what must come.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func event(topic, key, id string) tidings.Event {
	return tidings.Event{Topic: topic, Key: key, ID: id, Source: "test", Type: "test.v1",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), ContentType: "application/json",
		Payload: []byte(`{"n":1}`)}
}

func command(group, key, id string) tidings.Event {
	e := event(group, key, id)
	e.Kind = tidings.KindCommand
	return e
}

func (r *rig) publish(t *Transport, events ...tidings.Event) {
	r.Helper()
	r.check(t.Publish(bounded(r), events...))
}

// reader is a consumer that ends with its test.
type reader struct {
	*rig
	tidings.Consumer
}

func (r *rig) subscribe(t *Transport, group string, topics ...string) *reader {
	r.Helper()
	return r.read(t, tidings.Subscription{Group: group, Topics: topics})
}

func (r *rig) read(t *Transport, sub tidings.Subscription) *reader {
	r.Helper()
	c, err := t.Subscribe(bounded(r), sub)
	r.check(err)
	r.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return &reader{r, c}
}

// next waits for n deliveries.
func (r *reader) next(n int) (ds []*tidings.Delivery) {
	r.Helper()
	ctx := bounded(r)
	for len(ds) < n {
		more, err := r.Receive(ctx, n-len(ds))
		if err != nil {
			r.Fatalf("received %d of %d, then: %v", len(ds), n, err)
		}
		ds = append(ds, more...)
	}
	return ds
}

// nothing is what comes within a time.
func (r *reader) nothing(d time.Duration) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), d)
	defer cancel()
	if ds, err := r.Receive(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		r.Fatalf("received %v, %v, want nothing", ids(ds), err)
	}
}

func ids(ds []*tidings.Delivery) (all []string) {
	for _, d := range ds {
		all = append(all, d.ID)
	}
	return all
}

// raw is the clients of somebody who knows nothing of this package.
func (r *rig) raw() (*sqs.Client, *sns.Client) {
	c, _ := r.client()
	return sqs.NewFromConfig(c), sns.NewFromConfig(c)
}

type sqsName = sqstypes.QueueAttributeName

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func()) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { test() })
}
