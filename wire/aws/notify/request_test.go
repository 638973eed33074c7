package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
)

// network is a deliverer with an endpoint that listens.
type network struct {
	t    testing.TB
	b    *broker.Broker
	d    *Deliverer
	url  string
	got  chan *http.Request // with its body read
	body chan string
}

func listen(t testing.TB, reacts http.HandlerFunc) *network {
	t.Helper()
	x := &network{t: t, got: make(chan *http.Request, 16), body: make(chan string, 16)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if x.got != nil {
			x.got <- r
			x.body <- string(b)
		}
		reacts(w, r)
	}))
	x.url = s.URL
	var err error
	if x.b, err = broker.Open("data", broker.Config{FS: vfs.NewMem()}); err != nil {
		t.Fatal(err)
	}
	if x.d, err = NewDeliverer(x.b, Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
		defer stop()
		if err := x.d.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := x.b.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return x
}

// send posts to the endpoint under this address, and returns what came.
func (x *network) send(p Post, address string, policy Policy) (*http.Request, string) {
	x.t.Helper()
	ctx := context.Background()
	q, _, err := x.b.DeclareQueue(ctx, QueueSpec("1"))
	if err != nil {
		x.t.Fatal(err)
	}
	e, err := ParseEndpoint("http", address)
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.d.Set(Subscription{ID: "1", ARN: "arn:sub", TopicARN: "arn:topic", Endpoint: e, Policy: policy}); err != nil {
		x.t.Fatal(err)
	}
	tx := x.b.Begin()
	tx.Move(q, p.Record())
	if _, err := tx.Commit(ctx); err != nil {
		x.t.Fatal(err)
	}
	return <-x.got, <-x.body
}

func ok(http.ResponseWriter, *http.Request) {}

// The headers are those of recorded requests of SNS.
func TestRequestsHaveTheHeadersOfSNS(t *testing.T) {
	x := listen(t, ok)
	csv := DefaultPolicy()
	csv.ContentType = "text/csv"
	for _, c := range []struct {
		p      Post
		policy Policy
		want   map[string]string
	}{
		{Post{Type: Message, MessageID: "m", Body: []byte("{}")}, DefaultPolicy(), map[string]string{
			"Content-Type": "text/plain; charset=UTF-8", "X-Amz-Sns-Message-Type": "Notification",
			"X-Amz-Sns-Message-Id": "m", "X-Amz-Sns-Topic-Arn": "arn:topic", "X-Amz-Sns-Subscription-Arn": "arn:sub"}},
		{Post{Type: Message, MessageID: "m", Raw: true, Body: []byte("a,b")}, csv, map[string]string{
			"Content-Type": "text/csv", "X-Amz-Sns-Message-Type": "Notification", "X-Amz-Sns-Message-Id": "m",
			"X-Amz-Sns-Topic-Arn": "arn:topic", "X-Amz-Sns-Subscription-Arn": "arn:sub",
			"X-Amz-Sns-Rawdelivery": "true"}},
		{Post{Type: SubscriptionConfirmation, MessageID: "m", Body: []byte("{}")}, csv, map[string]string{
			"Content-Type": "text/plain; charset=UTF-8", "X-Amz-Sns-Message-Type": "SubscriptionConfirmation",
			"X-Amz-Sns-Message-Id": "m", "X-Amz-Sns-Topic-Arn": "arn:topic"}},
		{Post{Type: UnsubscribeConfirmation, MessageID: "m", Body: []byte("{}")}, csv, map[string]string{
			"Content-Type": "text/plain; charset=UTF-8", "X-Amz-Sns-Message-Type": "UnsubscribeConfirmation",
			"X-Amz-Sns-Message-Id": "m", "X-Amz-Sns-Topic-Arn": "arn:topic", "X-Amz-Sns-Subscription-Arn": "arn:sub"}},
	} {
		r, body := x.send(c.p, x.url+"/path?a=b", c.policy)
		c.want["User-Agent"], c.want["Content-Length"] = agent, fmt.Sprint(len(body))
		c.want["Accept-Encoding"] = ""
		got := map[string]string{"Accept-Encoding": ""}
		for name := range r.Header {
			got[name] = r.Header.Get(name)
		}
		if g, w := text(t, got), text(t, c.want); g != w {
			t.Errorf("headers are\n%s\nwant\n%s", g, w)
		}
		if r.Method != "POST" || r.URL.String() != "/path?a=b" || body != string(c.p.Body) || r.ProtoMajor != 1 {
			t.Errorf("%s %s %s has %q", r.Method, r.URL, r.Proto, body)
		}
	}
}

func TestCredentialsOfTheURLAreSent(t *testing.T) {
	x := listen(t, ok)
	r, _ := x.send(Post{Type: Message}, strings.Replace(x.url, "://", "://us%40er:p%3Ass@", 1), DefaultPolicy())
	if user, password, ok := r.BasicAuth(); !ok || user != "us@er" || password != "p:ss" {
		t.Errorf("user %q, password %q", user, password)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, code := range []int{301, 302, 307, 308} {
		var x *network
		x = listen(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, x.url+"/elsewhere", code)
		})
		x.send(Post{Type: Message}, x.url, DefaultPolicy())
		x.settled()
		select {
		case r := <-x.got:
			t.Errorf("%d: a second request, to %s", code, r.URL)
		default:
		}
	}
}

// settled returns when the queue is empty: a further receiver finds nothing, for as long as it is under way.
func (x *network) settled() {
	x.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if err := x.d.Close(ctx); err != nil {
		x.t.Error(err)
	}
	q, err := x.b.Queue("", QueueName("1"))
	if err != nil {
		x.t.Fatal(err)
	}
	if n := q.Stats(); n.Ready+n.Leased != 0 {
		x.t.Errorf("%d messages are left", n.Ready+n.Leased)
	}
}

// What an endpoint answers is not held in memory, and does not keep a post from its end.
func TestLongAnswersAreNotRead(t *testing.T) {
	read := make(chan int, 1)
	x := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		for ; n < 1<<30; n += 1 << 20 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		read <- n
	})
	x.send(Post{Type: Message}, x.url, DefaultPolicy())
	if n := <-read; n >= 1<<30 {
		t.Errorf("%d bytes were taken", n)
	}
	x.settled()
}

// A document that arrives can be checked with the certificate.
func TestWhatArrivesIsSigned(t *testing.T) {
	x, s, n := listen(t, ok), newSigner(t), example()
	if err := s.Sign(n); err != nil {
		t.Fatal(err)
	}
	_, body := x.send(Post{Type: Message, Body: n.Envelope().Document("http://a/")}, x.url, DefaultPolicy())
	if !json.Valid([]byte(body)) {
		t.Fatalf("the body is %s", body)
	}
	if err := stockValidation(t, s.Certificate(), []byte(body)); err != nil {
		t.Error(err)
	}
}

// BenchmarkDeliver is what a message costs from the queue to an endpoint on this machine, and out of the queue:
// both ends of the connection, and the server's half of it.
func BenchmarkDeliver(b *testing.B) {
	var left atomic.Int64
	done := make(chan struct{})
	x := listen(b, func(http.ResponseWriter, *http.Request) {
		if left.Add(-1) == 0 {
			close(done)
		}
	})
	x.got = nil
	q, _, err := x.b.DeclareQueue(b.Context(), QueueSpec("1"))
	if err != nil {
		b.Fatal(err)
	}
	p := Post{Type: Message, MessageID: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", Body: make([]byte, 1024)}
	for range b.N {
		tx := x.b.Begin()
		tx.Move(q, p.Record())
		if _, err := tx.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	left.Store(int64(b.N))
	e, err := ParseEndpoint("http", x.url)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if err := x.d.Set(Subscription{ID: "1", Endpoint: e, Policy: DefaultPolicy()}); err != nil {
		b.Fatal(err)
	}
	<-done
	b.StopTimer()
}
