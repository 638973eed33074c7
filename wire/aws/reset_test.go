package aws

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

// resetBy asks for a reset, with headers in pairs.
func (x *rig) resetBy(method string, headers ...string) (int, string) {
	x.t.Helper()
	r, err := http.NewRequest(method, x.url()+resetPath, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	status, _, body := x.do(r)
	return status, body
}

// filled makes a queue and a topic of SNS with messages, and what a reset leaves: a queue of AMQP.
func (x *rig) filled() {
	x.t.Helper()
	q := x.queue("jobs")
	x.put(q, "waits")
	topic := x.topic("alerts")
	x.subscribe(topic, q)
	x.announce(topic, "waits too")
	kept := x.archivedTopic("news.fifo")
	x.announce(kept, "is kept", "MessageGroupId", "g", "MessageDeduplicationId", "1")
	if _, _, err := x.b.DeclareQueue(x.t.Context(), broker.QueueSpec{Name: "mail", Durable: true}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) names() string {
	x.t.Helper()
	var all []string
	for _, q := range x.b.Queues("") {
		all = append(all, q.Name().Name)
	}
	for _, kept := range x.b.Topics("") {
		all = append(all, kept.Name().Name)
	}
	topics := x.snsOK("ListTopics")
	return strings.Join(append(all, topics.members("Topics", "TopicArn")...), " ")
}

func testReset(t *testing.T) {
	x := start(t, Config{Reset: true})
	x.filled()
	if status, body := x.resetBy("POST"); status != 200 || body != "{}\n" {
		t.Fatalf("got %d %q, want 200 {}", status, body)
	}
	if got := x.names(); got != "mail" {
		t.Errorf("left over are %q, want only mail of AMQP", got)
	}
	x.restart()
	if got := x.names(); got != "mail" {
		t.Errorf("after a restart there are %q, want only mail of AMQP", got)
	}
	x.queue("jobs")
	if got := x.get(x.queue("jobs")); len(got) != 0 {
		t.Errorf("a queue made anew has %v", got)
	}
}

func testNoReset(t *testing.T) {
	x := start(t, Config{})
	x.filled()
	before := x.names()
	if status, said := x.resetBy("POST"); status != 404 || !strings.Contains(said, "--aws-reset") {
		t.Errorf("without the flag: got %d %s, want 404 and the flag", status, said)
	}
	if got := x.names(); got != before {
		t.Errorf("got %q, want %q", got, before)
	}

	y := start(t, Config{Reset: true, Keys: map[string]string{"AKID": "secret"}})
	for _, test := range []struct {
		what, method string
		headers      []string
		status       int
	}{
		{"a web page", "POST", []string{"Origin", "http://localhost:3000"}, 403},
		{"a form of another site", "POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a GET", "GET", nil, 405},
		{"no signature where there are keys", "POST", nil, 403},
	} {
		if status, body := y.resetBy(test.method, test.headers...); status != test.status {
			t.Errorf("%s: got %d %s, want %d", test.what, status, body, test.status)
		}
	}
}
