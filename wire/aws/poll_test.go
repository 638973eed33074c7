package aws

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// poll is a long poll of 20 seconds that has begun; end waits for its answer.
type poll struct {
	status int
	body   string
	err    error
	done   sync.WaitGroup
	stop   context.CancelFunc
}

func (x *rig) poll(queue string) *poll {
	x.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &poll{stop: stop}
	x.t.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, "POST", x.url(),
		strings.NewReader(`{"QueueUrl":"`+queue+`","WaitTimeSeconds":20}`))
	if err != nil {
		x.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "AmazonSQS.ReceiveMessage")
	p.done.Go(func() {
		resp, err := http.DefaultClient.Do(r)
		if p.err = err; err != nil {
			return
		}
		defer resp.Body.Close()
		var b strings.Builder
		_ = resp.Write(&b)
		p.status, p.body = resp.StatusCode, b.String()
	})
	x.polls(1)
	return p
}

// polls waits until so many receives are under way.
func (x *rig) polls(n int64) {
	x.t.Helper()
	for end := time.Now().Add(10 * time.Second); x.s.polls.Load() != n; runtime.Gosched() {
		if time.Now().After(end) {
			x.t.Fatalf("%d receives are under way, want %d", x.s.polls.Load(), n)
		}
	}
}

// end wants the answer long before the 20 seconds are over.
func (x *rig) end(p *poll) {
	x.t.Helper()
	late := time.AfterFunc(10*time.Second, p.stop)
	p.done.Wait()
	if !late.Stop() {
		x.t.Fatal("the long poll has not ended")
	}
}

func testLongPoll(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	p := x.poll(q)
	x.put(q, "news")
	x.end(p)
	if p.err != nil || p.status != 200 || !strings.Contains(p.body, `"Body":"news"`) {
		t.Errorf("answer is %d %s %v", p.status, p.body, p.err)
	}
	x.put(x.queue("other", "ReceiveMessageWaitTimeSeconds", "20"), "waits")
	x.one(x.queue("other")) // does not wait where something is ready
}

func testLongPollDeleted(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	p := x.poll(q)
	x.ok("DeleteQueue", object{"QueueUrl": q})
	x.end(p)
	if p.status != 400 || !strings.Contains(p.body, "#QueueDoesNotExist") {
		t.Errorf("answer is %d %s %v", p.status, p.body, p.err)
	}
}

func testClientGone(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	p := x.poll(q)
	p.stop()
	p.done.Wait()
	x.polls(0)
	x.put(q, "a")
	if m := x.one(q, "AttributeNames", []string{"All"}); m["Attributes"].(object)["ApproximateReceiveCount"] != "1" {
		t.Errorf("received %v", m)
	}
}

// deaf is a connection that takes no answer, or fails at its end.
type deaf struct {
	http.ResponseWriter
	write, flush error
}

func (d deaf) Write(b []byte) (int, error) { return len(b), d.write }
func (d deaf) FlushError() error           { return d.flush }

func testUnheard(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders", "VisibilityTimeout", "43200")
	for i, w := range []deaf{{write: io.ErrClosedPipe}, {flush: io.ErrClosedPipe}} {
		x.put(q, "a")
		w.ResponseWriter = httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/", strings.NewReader(`{"QueueUrl":"`+q+`"}`))
		r.Header.Set("X-Amz-Target", "AmazonSQS.ReceiveMessage")
		x.s.serve(w, r)
		m := x.one(q, "AttributeNames", []string{"All"})
		if m["Attributes"].(object)["ApproximateReceiveCount"] != "2" {
			t.Errorf("%d: received %v", i, m)
		}
		x.ok("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": m["ReceiptHandle"]})
	}
	x.put(q, "b")
	heard := httptest.NewRecorder()
	hears := struct{ http.ResponseWriter }{heard} // it cannot be told to flush
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"QueueUrl":"`+q+`"}`))
	r.Header.Set("X-Amz-Target", "AmazonSQS.ReceiveMessage")
	x.s.serve(hears, r)
	if got := x.get(q); len(got) != 0 || !strings.Contains(heard.Body.String(), `"Body":"b"`) {
		t.Errorf("one heard %s, and another received %v", heard.Body, got)
	}
}

func testCloseEndsPolls(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	p := x.poll(q)
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if err := x.s.Close(ctx); err != nil {
		t.Error(err)
	}
	x.end(p)
	if p.status != 200 || !strings.HasSuffix(p.body, "{}") {
		t.Errorf("answer is %d %s %v", p.status, p.body, p.err)
	}
}

func testDelay(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders", "DelaySeconds", "900")
	x.put(q, "later")
	x.ok("SendMessage", object{"QueueUrl": q, "MessageBody": "soon", "DelaySeconds": 1})
	x.ok("SendMessage", object{"QueueUrl": q, "MessageBody": "now", "DelaySeconds": 0})
	if a := x.attributes(q); a[attrDelayed] != "2" || a[attrReady] != "1" {
		t.Errorf("attributes are %v", a)
	}
	began := time.Now()
	if m := x.one(q); m["Body"] != "now" {
		t.Errorf("received %v", m)
	}
	x.restart()
	if m := x.one(q, "WaitTimeSeconds", 20); m["Body"] != "soon" || time.Since(began) > 15*time.Second {
		t.Errorf("received %v", m)
	}
}

func testFair(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	for _, body := range []string{"a1", "a2", "a3", "b1", "-1", "-2"} {
		in := object{"QueueUrl": q, "MessageBody": body}
		if body[0] != '-' {
			in["MessageGroupId"] = body[:1]
		}
		x.ok("SendMessage", in)
	}
	for range 2 {
		out := x.ok("ReceiveMessage", object{"QueueUrl": q, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0,
			"MessageSystemAttributeNames": []string{"MessageGroupId"}})
		got := ""
		for _, one := range out["Messages"].([]any) {
			m := one.(object)
			attributes, _ := m["Attributes"].(object)
			group, _ := attributes["MessageGroupId"].(string)
			got += m["Body"].(string) + group + " "
		}
		if want := "a1a b1b -1 a2a -2 a3a "; got != want {
			t.Errorf("received %s, want %s", got, want)
		}
		x.restart()
	}
}

func testTwelveHours(t *testing.T) {
	now := time.Now()
	x := start(t, Config{Now: func() time.Time { return now }})
	q := x.queue("orders")
	x.put(q, "a")
	in := object{"QueueUrl": q, "ReceiptHandle": x.one(q)["ReceiptHandle"], "VisibilityTimeout": 43200}
	x.ok("ChangeMessageVisibility", in)
	now = now.Add(time.Hour)
	x.wantError("ChangeMessageVisibility", in, "InvalidParameterValue",
		"Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is "+
			"beyond the limit [43200 seconds]")
	in["VisibilityTimeout"] = 11 * 3600
	x.ok("ChangeMessageVisibility", in)
}

func testChecksums(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	sent := x.ok("SendMessage", object{"QueueUrl": q, "MessageBody": "a", "MessageAttributes": object{
		"shop.id":   object{"DataType": "Number.int", "StringValue": "7"},
		"shop.name": object{"DataType": "String", "StringValue": "grün"},
		"logo":      object{"DataType": "Binary.png", "BinaryValue": "AQID"}},
		"MessageSystemAttributes": object{"AWSTraceHeader": object{"DataType": "String", "StringValue": "Root=1"}}})
	// Computed by the rule in AWS's developer guide, outside of this program.
	if sent["MD5OfMessageAttributes"] != sumAll {
		t.Errorf("sent %v, want the checksum %s", sent, sumAll)
	}
	for names, want := range map[string]struct {
		sum   string
		names int
	}{"All": {sumAll, 3}, ".*": {sumAll, 3}, "*": {sumAll, 3}, "shop.*": {sumShop, 2}, "logo": {sumLogo, 1}, "none": {"", 0}} {
		m := x.one(q, "VisibilityTimeout", 0, "MessageAttributeNames", []string{names})
		got, _ := m["MD5OfMessageAttributes"].(string)
		if attributes, _ := m["MessageAttributes"].(object); got != want.sum || len(attributes) != want.names {
			t.Errorf("%s: received %v, want the checksum %q", names, m, want.sum)
		}
	}
	if m := x.one(q, "AttributeNames", []string{"AWSTraceHeader"}); m["Attributes"].(object)["AWSTraceHeader"] != "Root=1" {
		t.Errorf("received %v", m)
	}
}

// The checksums of the attributes that testChecksums sends.
const (
	sumAll  = "b4e3341ec2bf6cd5bcacfe25d5739d97"
	sumShop = "3fb92bc0a5b521d5a05ddd8a487357ce"
	sumLogo = "8884ca246db0ffae415274ddf52fa861"
)
