package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

// said is an output that tells when a text has come.
type said struct {
	bytes.Buffer
	text string
	came chan struct{} // closed when the text is there
}

func (s *said) Write(p []byte) (int, error) {
	had := strings.Contains(s.String(), s.text)
	n, err := s.Buffer.Write(p)
	if !had && strings.Contains(s.String(), s.text) {
		close(s.came)
	}
	return n, err
}

// subscriber is a sub of a topic of SNS that runs.
type subscriber struct {
	out  bytes.Buffer
	said *said
	stop context.CancelFunc
	exit chan int
}

// subscribed runs sub until it has subscribed.
func subscribed(t *testing.T, n *node, args ...string) *subscriber {
	t.Helper()
	s := &subscriber{said: &said{text: "subscribed to", came: make(chan struct{})}, exit: make(chan int, 1)}
	var ctx context.Context
	ctx, s.stop = context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(s.stop)
	env := func(name string) string {
		if name == "TIDINGS_SERVER" {
			return n.admin.Addr().String()
		}
		return ""
	}
	a := &app{in: strings.NewReader(""), out: &s.out, errOut: s.said, env: env, now: time.Now,
		started: time.Now(), term: terminalOf(env, false, false, false)}
	go func() { s.exit <- a.run(ctx, append([]string{"sub"}, args...)) }()
	select {
	case <-s.said.came:
	case code := <-s.exit:
		t.Fatalf("sub ended with %d: %s", code, s.said)
	}
	return s
}

func (s *subscriber) wants(t *testing.T, exit int, out string) {
	t.Helper()
	if code := <-s.exit; code != exit || s.out.String() != out {
		t.Errorf("got exit %d and %q, want %d and %q; %s", code, s.out.String(), exit, out, s.said)
	}
}

func TestSubOfSNSReadsWhatIsPublishedAndLeavesNothing(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "sns", "alerts")
	both := subscribed(t, n, "sns/alerts", "-n", "2", "-f", `%t %v [%h]\n`)
	some := subscribed(t, n, "alerts", "-q", "--expect", "1", "--filter", `{"level":["high"]}`)
	document := subscribed(t, n, "alerts", "-q", "--raw=false", "-n", "1", "--filter", `{"level":["high"]}`)
	mustCommand(t, n, "pub", "sns/alerts", "one", "--subject", "S")
	mustCommand(t, n, "pub", "alerts", "two", "--header", "level=high")
	both.wants(t, exitOK, "sns/alerts one []\nsns/alerts two [level=high]\n")
	some.wants(t, exitOK, "two\n")
	if code := <-document.exit; code != exitOK || !strings.Contains(document.out.String(), `"Message" : "two"`) {
		t.Errorf("got exit %d and %q, want a document around two", code, document.out.String())
	}
	nothingLeft(t, n)
}

// The queue of its own is FIFO where the topic is: groups stay in order.
func TestSubOfAFIFOTopicOfSNS(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "sns", "orders.fifo", "--content-dedup")
	s := subscribed(t, n, "orders.fifo", "-n", "3", "-q")
	mustCommand(t, n, "pub", "orders.fifo", "one", "two", "one", "three", "--group", "g")
	s.wants(t, exitOK, "one\ntwo\nthree\n")
	if got := mustCommand(t, n, "ls", "-q"); got != "orders.fifo\n" {
		t.Errorf("left over is %q, want only orders.fifo", got)
	}
}

// SQS names an attribute, the command line says what it may be.
func TestCreateSQSSaysWhatIsAllowed(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "sqs", "there")
	for _, test := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"jobs", "--visibility", "13h"}, exitUsage, "visibility: 0 to 12h"},
		{[]string{"jobs", "--delay", "16m"}, exitUsage, "delay: 0 to 15m"},
		{[]string{"jobs", "--wait", "21s"}, exitUsage, "wait: 0 to 20s"},
		{[]string{"jobs", "--retention", "30s"}, exitUsage, "retention: 1m to 14d"},
		{[]string{"jobs", "--max-size", "3"}, exitUsage, "max-size: 1,024 to 1,048,576 bytes"},
		{[]string{"jobs", "--content-dedup"}, exitUsage, "content-dedup: of a queue whose name ends with .fifo"},
		{[]string{"jobs", "--high-throughput"}, exitUsage, "high-throughput: of a queue whose name ends with .fifo"},
		{[]string{"there", "--visibility", "1m"}, exitConflict, "see it:       tidings show queue/there"},
	} {
		exit, said := command(t, t.Context(), n, io.Discard, append([]string{"create", "sqs"}, test.args...)...)
		if exit != test.exit || !strings.Contains(said, test.want) {
			t.Errorf("create sqs %s: got %d and %q, want %d and %s", test.args, exit, said, test.exit, test.want)
		}
	}
}

// AWS names a parameter, the command line its flag.
func TestPubSaysWhichFlagFIFOWants(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "sns", "orders.fifo")
	mustCommand(t, n, "create", "sqs", "jobs.fifo")
	for _, to := range []string{"sns/orders.fifo", "queue/jobs.fifo"} {
		for want, args := range map[string][]string{"--group NAME": nil, "--dedup-id ID": {"--group", "g"}} {
			exit, said := command(t, t.Context(), n, io.Discard, append(args, "pub", to, "one")...)
			if exit != exitUsage || !strings.Contains(said, want) {
				t.Errorf("pub %s %s: got %d and %q, want %s", to, args, exit, said, want)
			}
		}
	}
}

func TestSubOfSNSLeavesNothingWhenItIsInterrupted(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "sns", "alerts")
	s := subscribed(t, n, "sns/alerts")
	if got := mustCommand(t, n, "ls", "queues", "-q"); !strings.HasPrefix(got, "tidings-sub-") {
		t.Fatalf("while it reads there is %q, want its queue", got)
	}
	s.stop()
	s.wants(t, exitInterrupted, "")
	nothingLeft(t, n)
}

func nothingLeft(t *testing.T, n *node) {
	t.Helper()
	if got := mustCommand(t, n, "ls", "-q"); got != "alerts\n" {
		t.Errorf("left over is %q, want only alerts", got)
	}
	if got := mustCommand(t, n, "show", "sns/alerts"); got != "" {
		t.Errorf("left over are subscriptions: %s", got)
	}
}

// A queue in which notifications wait for an HTTP endpoint says so.
func TestQueueOfAnEndpointSaysWhoseItIs(t *testing.T) {
	asked := make(chan struct{}, 100)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		w.WriteHeader(http.StatusOK)
	}))
	defer endpoint.Close()
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "sns", "alerts")
	mustCommand(t, n, "bind", "sns/alerts", endpoint.URL+"/hook")
	<-asked // for its confirmation
	queue := strings.TrimSpace(mustCommand(t, n, "ls", "queues", "-q"))
	want := endpoint.URL + "/hook of sns/alerts"
	if !strings.HasPrefix(queue, outboxPrefix) {
		t.Fatalf("got %q, want a queue of SNS's own", queue)
	}
	if got := mustCommand(t, n, "ls", "queues"); !strings.HasSuffix(got, "\t"+want+"\n") {
		t.Errorf("got %q, want %s", got, want)
	}
	got := mustCommand(t, n, "show", "queue/"+queue, "-o", "table")
	if !strings.Contains(got, "  waits for "+want+"\n") {
		t.Errorf("got %q, want %s", got, want)
	}
	if got := mustCommand(t, n, "lag", "sns/alerts"); !strings.HasPrefix(got, "-\t"+want+"\t") {
		t.Errorf("got %q, want the lag of the endpoint", got)
	}
}

// What an endpoint does not take waits for it, also while it is leased until the next try.
func TestWhatAnEndpointRefusesWaits(t *testing.T) {
	refused := make(chan struct{}, 100)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-amz-sns-message-type") == "Notification" {
			w.WriteHeader(http.StatusServiceUnavailable)
			refused <- struct{}{}
			return
		}
		var doc struct{ SubscribeURL string }
		_ = json.NewDecoder(r.Body).Decode(&doc)
		if answer, err := http.Get(doc.SubscribeURL); err == nil {
			answer.Body.Close()
		}
		refused <- struct{}{}
	}))
	defer endpoint.Close()
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "sns", "alerts")
	mustCommand(t, n, "bind", "sns/alerts", endpoint.URL+"/hook")
	<-refused // it has confirmed
	mustCommand(t, n, "pub", "sns/alerts", "fire")
	<-refused
	to := endpoint.URL + "/hook"
	want := to + "\thttp\tconfirmed\tno\t1\t-\t"
	if got := mustCommand(t, n, "show", "sns/alerts"); !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	want = "-\t" + to + " of sns/alerts\t0\t1\t-\n"
	if got := mustCommand(t, n, "lag", "sns/alerts"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a redrive takes back to a queue of SQS is received as if it had never died.
func TestRedriveCountsReceivesFromTheStart(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "sqs", "dead")
	mustCommand(t, n, "create", "sqs", "jobs", "--dead-letter-queue", "dead", "--max-receives", "1")
	mustCommand(t, n, "pub", "jobs", "one")
	(&transcript{t: t, node: n}).receive("jobs")
	mustCommand(t, n, "dlq", "redrive", "dead")
	var got struct {
		Messages []struct {
			Body       string
			Attributes map[string]string
		}
	}
	in := map[string]any{"QueueUrl": "/000000000000/jobs", "AttributeNames": []string{"All"}}
	if err := n.aws.Do(t.Context(), "sqs", "ReceiveMessage", in, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Messages) != 1 || got.Messages[0].Body != "one" {
		t.Fatalf("got %+v, want one", got)
	}
	has := got.Messages[0].Attributes
	if has["ApproximateReceiveCount"] != "1" || has["DeadLetterQueueSourceArn"] != "" {
		t.Errorf("got %v, want a first receive and no source", has)
	}
}

// A server that does not listen for AWS still has topics of SNS, and says why it does not say more.
func TestTopicsOfSNSAreListedWhereAWSIsOff(t *testing.T) {
	fs := vfs.NewMem()
	n, err := configured(t, fs, "aws: {topics: [alerts]}")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	s := withFreePorts(serveDefaults())
	s.fs, s.Data, s.AWS.Listen = fs, t.TempDir(), off
	if n, err = startNode(t.Context(), s, discardLog); err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if got := mustCommand(t, n, "ls"); got != "alerts\tsns\t-\t-\t-\t-\n" {
		t.Errorf("got %q, want a topic without numbers", got)
	}
	for _, args := range [][]string{{"show", "sns/alerts"}, {"pub", "sns/alerts", "x"}, {"rm", "alerts"},
		{"bind", "alerts", "jobs"}, {"sub", "alerts"}, {"lag", "alerts"}} {
		exit, said := command(t, t.Context(), n, io.Discard, args...)
		if exit != exitFailed || said != "error: aws: this server does not listen for AWS\n" {
			t.Errorf("%v: got exit %d and %q", args, exit, said)
		}
	}
}
