package notify

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
)

// rig is a deliverer on a broker in memory, in a bubble whose time moves when everything waits. Endpoints are
// functions: there is no network.
type rig struct {
	t      *testing.T
	disk   *vfs.Mem
	c      Config
	b      *broker.Broker
	d      *Deliverer
	begun  time.Time
	leases int // broker.Limits.Leases

	mu      sync.Mutex
	answers map[string]answer // by host
	posts   []arrival
}

// answer is how an endpoint reacts: with a status, or an error.
type answer func(*http.Request) (int, error)

// arrival is a post that came to an endpoint.
type arrival struct {
	host, body string
	after      time.Duration // since the rig began
	header     http.Header
}

func status(code int) answer { return func(*http.Request) (int, error) { return code, nil } }

// never is an endpoint that takes a connection, and says nothing.
func never(r *http.Request) (int, error) {
	<-r.Context().Done()
	return 0, r.Context().Err()
}

// answer is how an endpoint reacts from now on.
func (x *rig) answer(host string, reacts answer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answers[host] = reacts
}

// RoundTrip makes the rig a network.
func (x *rig) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	x.posts = append(x.posts, arrival{r.URL.Host, string(body), time.Since(x.begun), r.Header})
	reacts := x.answers[r.URL.Host]
	x.mu.Unlock()
	if reacts == nil {
		reacts = status(200)
	}
	code, err := reacts(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("thanks"))}, nil
}

// bubble runs a test with a rig.
func bubble(t *testing.T, c Config, f func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &rig{t: t, c: c, disk: vfs.NewMem(), begun: time.Now(), answers: map[string]answer{}}
		x.open()
		f(t, x)
		x.close()
	})
}

func (x *rig) open() {
	x.t.Helper()
	var err error
	if x.b, err = broker.Open("data", broker.Config{FS: x.disk, Limits: broker.Limits{Leases: x.leases}}); err != nil {
		x.t.Fatal(err)
	}
	x.c.Transport = x
	if x.c.DeadLetter == nil {
		x.c.DeadLetter = x.deadLetter
	}
	if x.d, err = NewDeliverer(x.b, x.c); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) close() {
	x.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := x.d.Close(ctx); err != nil {
		x.t.Error(err)
	}
	if err := x.b.Close(); err != nil {
		x.t.Error(err)
	}
}

// deadLetter shows in the record what a letter says.
func (x *rig) deadLetter(l *Letter) (*broker.Queue, broker.QueueRecord) {
	if l.Subscription.DeadLetters == "" {
		x.t.Error("a subscription without a dead letter queue is asked for it")
	}
	q, err := x.b.Queue("", l.Subscription.DeadLetters)
	if err != nil {
		return nil, broker.QueueRecord{}
	}
	as := l.Attributes()
	return q, broker.QueueRecord{Body: l.Post.Body, Key: as["ErrorCode"].Value + " " + as["ErrorMessage"].Value}
}

func (x *rig) queue(name string) *broker.Queue {
	x.t.Helper()
	q, _, err := x.b.DeclareQueue(context.Background(), broker.QueueSpec{Name: name, Durable: true})
	if err != nil {
		x.t.Fatal(err)
	}
	return q
}

func (x *rig) delete(q *broker.Queue) {
	x.t.Helper()
	if _, err := x.b.DeleteQueue(context.Background(), q, broker.DeleteOptions{}); err != nil {
		x.t.Error(err)
	}
}

// subscription is one to http://<id>/, with two retries after 10 seconds each.
func (x *rig) subscription(id string) Subscription {
	x.t.Helper()
	e, err := ParseEndpoint("http", "http://"+id+"/path?query")
	if err != nil {
		x.t.Fatal(err)
	}
	p := DefaultPolicy()
	p.Retry.MinDelay, p.Retry.MaxDelay, p.Retry.Retries = 10, 10, 2
	return Subscription{ID: id, ARN: "arn:aws:sns:us-east-1:000000000000:t:" + id, Endpoint: e, Policy: p,
		TopicARN: "arn:aws:sns:us-east-1:000000000000:t", DeadLetters: "dead"}
}

// subscribe begins to deliver to http://<id>/, perhaps in another way.
func (x *rig) subscribe(id string, change func(*Subscription)) {
	x.t.Helper()
	x.queue(QueueName(id))
	s := x.subscription(id)
	if change != nil {
		change(&s)
	}
	if err := x.d.Set(s); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) publish(id string, bodies ...string) {
	x.t.Helper()
	for _, body := range bodies {
		x.post(id, Post{Type: Message, MessageID: "id of " + body, Body: []byte(body)})
	}
}

func (x *rig) post(id string, p Post) {
	x.t.Helper()
	x.record(id, p.Record())
}

func (x *rig) record(id string, rec broker.QueueRecord) {
	x.t.Helper()
	tx := x.b.Begin()
	tx.Move(x.queue(QueueName(id)), rec)
	confirm, err := tx.Commit(context.Background())
	if err == nil {
		err = confirm.Wait(context.Background())
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// pass lets time pass: all that is to happen meanwhile has happened.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// arrived are the posts to an endpoint: "body after".
func (x *rig) arrived(host string) (out []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.posts {
		if a.host == host {
			out = append(out, a.body+" "+a.after.String())
		}
	}
	return out
}

func (x *rig) want(host string, want ...string) {
	x.t.Helper()
	if got := x.arrived(host); !slices.Equal(got, want) {
		x.t.Errorf("%s got %q, want %q", host, got, want)
	}
}

// dead are the records of a queue: "body: error".
func (x *rig) dead(name string) (out []string) {
	x.t.Helper()
	for {
		m, ok, err := x.queue(name).Get(context.Background(), nil)
		if err != nil {
			x.t.Fatal(err)
		}
		if !ok {
			return out
		}
		out = append(out, string(m.Record.Body)+": "+m.Record.Key)
	}
}

func (x *rig) waiting(id string) int64 {
	n := x.queue(QueueName(id)).Stats()
	return n.Ready + n.Leased
}

// crashed is what a disk has after a power cut: what was not synced is gone.
func crashed(t *testing.T, m *vfs.Mem) *vfs.Mem {
	t.Helper()
	return m.Crash(rand.New(rand.NewPCG(1, 1)))
}
