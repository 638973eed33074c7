package aws

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
)

// rig is a broker with a listener.
type rig struct {
	t testing.TB
	c Config
	d vfs.FS
	n func() time.Time // the clock of the broker; nil: the real one
	b *broker.Broker
	s *Server

	topics *Topics
	at     string // TopicsConfig.URL
}

func start(t *testing.T, c Config) *rig {
	t.Helper()
	x := startOn(t, c, vfs.OS(t.TempDir()))
	t.Cleanup(x.close)
	return x
}

// startOn starts on a disk; the test shuts it.
func startOn(t *testing.T, c Config, d vfs.FS) *rig {
	t.Helper()
	c.Addr = "127.0.0.1:0"
	x := &rig{t: t, c: c, d: d}
	x.open()
	return x
}

// startTimed starts a rig whose clocks go on when let is called, and only then.
func startTimed(t *testing.T, c Config) (x *rig, let func(time.Duration)) {
	t.Helper()
	var ms atomic.Int64
	ms.Store(time.Now().UnixMilli())
	c.Addr, c.Now = "127.0.0.1:0", func() time.Time { return time.UnixMilli(ms.Load()) }
	x = &rig{t: t, c: c, d: vfs.OS(t.TempDir()), n: c.Now}
	x.open()
	t.Cleanup(x.close)
	return x, func(d time.Duration) { ms.Add(d.Milliseconds()) }
}

func (x *rig) open() {
	x.t.Helper()
	var err error
	x.topics, err = NewTopics(TopicsConfig{Account: x.c.Account, Region: x.c.Region, URL: x.at, Now: x.c.Now})
	if err != nil {
		x.t.Fatal(err)
	}
	x.b, err = broker.Open("data", broker.Config{FS: x.d, Now: x.n,
		Props:  map[broker.PropsFormat]broker.PropsReader{broker.PropsSQS: Props{}},
		Relays: map[string]func(*broker.Broker) broker.Relay{TopicType: x.topics.Relay}})
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.topics.Deliver(); err != nil {
		x.t.Fatal(err)
	}
	x.c.Topics = x.topics
	if x.s, err = Listen(x.b, x.c); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) close() {
	x.t.Helper()
	if err := x.shut(); err != nil {
		x.t.Error(err)
	}
}

func (x *rig) shut() error {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	http.DefaultClient.CloseIdleConnections()
	return errors.Join(x.s.Close(ctx), x.topics.Close(ctx), x.b.Close())
}

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, n)) }

// restart closes all and opens it again, on the same port: URLs of queues stay as they are.
func (x *rig) restart() {
	x.t.Helper()
	addr := x.s.Addr().String()
	x.close()
	x.c.Addr = addr
	x.open()
}

func (x *rig) url() string { return "http://" + x.s.Addr().String() }

// object is a JSON document.
type object = map[string]any

// json sends a request as SDKs do, and returns the answer's status, headers and document.
func (x *rig) send(action, body string) (int, http.Header, object) {
	x.t.Helper()
	r, err := http.NewRequest("POST", x.url()+"/", strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	r.Header.Set("Content-Type", jsonType)
	status, h, text := x.do(r)
	var doc object
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		x.t.Fatalf("%s: %d %q: %v", action, status, text, err)
	}
	return status, h, doc
}

func (x *rig) do(r *http.Request) (int, http.Header, string) {
	x.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	if resp.Header.Get("X-Amzn-RequestId") == "" && resp.StatusCode != http.StatusForbidden {
		x.t.Errorf("%s %s has no request id", r.Method, r.URL)
	}
	return resp.StatusCode, resp.Header, string(all)
}

// ok sends a document and wants an answer.
func (x *rig) ok(action string, in object) object {
	x.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		x.t.Fatal(err)
	}
	status, _, doc := x.send(action, string(body))
	if status != http.StatusOK {
		x.t.Fatalf("%s: %d %v", action, status, doc)
	}
	return doc
}

// fails wants an error: what is before the semicolon of x-amzn-query-error, and the message.
func (x *rig) fails(action string, in object) (code, message string) {
	x.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		x.t.Fatal(err)
	}
	return x.failsRaw(action, string(body))
}

func (x *rig) failsRaw(action, body string) (code, message string) {
	x.t.Helper()
	status, h, doc := x.send(action, body)
	if status < 400 {
		x.t.Fatalf("%s %.300s: %d %v, want an error", action, body, status, doc)
	}
	code, _, _ = strings.Cut(h.Get("x-amzn-query-error"), ";")
	message, _ = doc["message"].(string)
	return code, message
}

func (x *rig) wantError(action string, in object, code, message string) {
	x.t.Helper()
	if c, m := x.fails(action, in); c != code || m != message {
		x.t.Errorf("%s %.300v: got %s %q, want %s %q", action, in, c, m, code, message)
	}
}

// queue makes a queue and returns its URL.
func (x *rig) queue(name string, attributes ...string) string {
	x.t.Helper()
	set := object{}
	for i := 0; i+1 < len(attributes); i += 2 {
		set[attributes[i]] = attributes[i+1]
	}
	return x.ok("CreateQueue", object{"QueueName": name, "Attributes": set})["QueueUrl"].(string)
}

func (x *rig) put(queue, body string) object {
	x.t.Helper()
	return x.ok("SendMessage", object{"QueueUrl": queue, "MessageBody": body})
}

// get receives at most 10 messages. More are further arguments of the request: names and values.
func (x *rig) get(queue string, more ...any) (all []object) {
	x.t.Helper()
	in := object{"QueueUrl": queue, "MaxNumberOfMessages": 10}
	for i := 0; i+1 < len(more); i += 2 {
		in[more[i].(string)] = more[i+1]
	}
	list, _ := x.ok("ReceiveMessage", in)["Messages"].([]any)
	for _, m := range list {
		all = append(all, m.(object))
	}
	return all
}

// one receives exactly one message.
func (x *rig) one(queue string, more ...any) object {
	x.t.Helper()
	got := x.get(queue, more...)
	if len(got) != 1 {
		x.t.Fatalf("received %d messages, want 1: %v", len(got), got)
	}
	return got[0]
}

func (x *rig) attributes(queue string) object {
	x.t.Helper()
	return x.ok("GetQueueAttributes", object{"QueueUrl": queue, "AttributeNames": []string{"All"}})["Attributes"].(object)
}

// form sends a request of the query protocol.
func (x *rig) form(path string, pairs ...string) (int, string) {
	x.t.Helper()
	v := url.Values{"Version": {"2012-11-05"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest("POST", x.url()+path, strings.NewReader(v.Encode()))
	if err != nil {
		x.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	status, h, body := x.do(r)
	if kind := h.Get("Content-Type"); kind != "text/xml" {
		x.t.Errorf("the answer to a form is %s", kind)
	}
	return status, body
}

// node is any XML element.
type node struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
	Kids    []node `xml:",any"`
}

// at is the text of the element at a path; "" where there is none.
func (n *node) at(path ...string) string {
	if len(path) == 0 {
		return n.Text
	}
	for i := range n.Kids {
		if n.Kids[i].XMLName.Local == path[0] {
			return n.Kids[i].at(path[1:]...)
		}
	}
	return ""
}

func parseXML(t testing.TB, body string) (n node) {
	t.Helper()
	if err := xml.Unmarshal([]byte(body), &n); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return n
}
