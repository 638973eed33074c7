package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-io/tidings/console"
	"github.com/tidings-io/tidings/storage/vfs"
)

// output is a buffer that one goroutine writes and another waits for.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// wait returns when the output contains text.
func (o *output) wait(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.more:
		case <-timeout:
			t.Fatalf("waited for %q, got %q", text, o)
		}
	}
}

// running is a command that goes on in the background.
type running struct {
	out, errOut *output
	stop        context.CancelFunc
	exit        chan int
}

func start(t *testing.T, env map[string]string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{out: newOutput(), errOut: newOutput(), stop: cancel, exit: make(chan int, 1)}
	getenv := func(name string) string { return env[name] }
	a := &app{in: strings.NewReader(""), out: r.out, errOut: r.errOut, env: getenv, now: time.Now,
		started: time.Now(), term: terminalOf(getenv, false, false, false)}
	go func() { r.exit <- a.run(ctx, args) }()
	t.Cleanup(cancel)
	return r
}

// end stops the command, unless it has ended, and returns its exit code.
func (r *running) end(t *testing.T) int {
	t.Helper()
	r.stop()
	return r.wait(t)
}

func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.exit:
		return code
	case <-time.After(20 * time.Second):
		t.Fatalf("the command did not end; stdout %q, stderr %q", r.out, r.errOut)
		return 0
	}
}

// quietRuntime keeps dev and serve from changing the test binary's runtime.
var quietRuntime = map[string]string{"GOMAXPROCS": "2", "GOGC": "100"}

func TestDevPrintsWhereItIsAndStopsWithSuccess(t *testing.T) {
	data := t.TempDir()
	dev := start(t, quietRuntime, "dev", "--ports", "auto", "--data", data, "--topic", "orders:3")
	dev.out.wait(t, "data stays")
	want := regexp.MustCompile(`^tidings  ready in \d+ ms    data ` + regexp.QuoteMeta(data) +
		`    every acknowledged record is fsynced
  Kafka  127\.0\.0\.1:\d+
  AMQP   amqp://guest:guest@127\.0\.0\.1:\d+/
  management  http://guest:guest@127\.0\.0\.1:\d+/api
  AWS    http://127\.0\.0\.1:\d+  ·  SQS and SNS  ·  export AWS_ENDPOINT_URL=http://127\.0\.0\.1:\d+, any keys
  admin  http://127\.0\.0\.1:\d+/api/v1  ·  metrics  /metrics  ·  health  /healthz
  next:  tidings pub orders 'hello' --server 127\.0\.0\.1:\d+  ·  ` +
		`tidings sub orders --from start --server 127\.0\.0\.1:\d+  ·  ` +
		`kcat -b localhost:\d+ -L        Ctrl-C stops, data stays
$`)
	if got := dev.out.String(); !want.MatchString(got) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	second := start(t, quietRuntime, "dev", "--ports", "auto", "--data", data)
	if got := second.wait(t); got != exitConflict {
		t.Errorf("second dev: got exit code %d, want %d", got, exitConflict)
	}
	wantErr := regexp.MustCompile(`^error: the data in \S+ is in use by tidings dev ` +
		`\(pid \d+, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)\n  use that one: tidings ls\n`)
	if got := second.errOut.String(); !wantErr.MatchString(got) {
		t.Errorf("second dev: got\n%s\nwant\n%s", got, wantErr)
	}
	if got := dev.end(t); got != exitOK {
		t.Errorf("got exit code %d (%s), want 0", got, dev.errOut)
	}
	again := start(t, quietRuntime, "serve", "--ports", "auto", "--data", data)
	again.out.wait(t, "SIGTERM drains and stops")
	if got := again.end(t); got != exitOK {
		t.Errorf("serve on the same data: got exit code %d (%s), want 0", got, again.errOut)
	}
}

func TestRemoteAddressMustBeMeant(t *testing.T) {
	serve := start(t, quietRuntime, "serve", "--data", t.TempDir(), "--ports", "auto",
		"--kafka", "0.0.0.0:0")
	if got := serve.wait(t); got != exitUsage {
		t.Errorf("got exit code %d (%s), want %d", got, serve.errOut, exitUsage)
	}
	meant := start(t, quietRuntime, "serve", "--data", t.TempDir(), "--ports", "auto",
		"--kafka", "0.0.0.0:0", "--allow-remote")
	meant.out.wait(t, "drains")
	if got := meant.end(t); got != exitOK {
		t.Errorf("got exit code %d (%s), want 0", got, meant.errOut)
	}
}

func TestFailedStoreEndsTheServerWithTheReason(t *testing.T) {
	fs := vfs.NewFaulty(vfs.NewMem())
	s := devDefaults()
	s.fs = fs
	n := startTestNodeOn(t, s)
	c := newAPIClient(n.admin.Addr().String())
	defer c.Close()
	value := "x"
	records := []console.NewRecord{{Value: &value}}
	if _, err := c.Publish(t.Context(), "orders", records); err != nil {
		t.Fatal(err)
	}
	fs.FailFrom(vfs.OpWrite, 1, errors.New("the disk is on fire"))
	fs.FailFrom(vfs.OpSync, 1, errors.New("the disk is on fire"))
	if _, err := c.Publish(t.Context(), "orders", records); err == nil {
		t.Error("a publish that met a write error was acknowledged")
	}
	var f *failure
	err := n.run(t.Context())
	if !errors.As(err, &f) || f.exit != exitFailed || !strings.Contains(f.msg,
		"the disk is on fire") {
		t.Errorf("got %v, want a failure with the reason", err)
	}
}

func TestGroupWithMembersIsShownAndProtected(t *testing.T) {
	n := startTestNode(t, devDefaults())
	env := map[string]string{"TIDINGS_SERVER": n.admin.Addr().String()}
	c := newAPIClient(n.admin.Addr().String())
	defer c.Close()
	if got := start(t, env, "pub", "orders", "a", "b").wait(t); got != exitOK {
		t.Fatalf("pub: got exit code %d", got)
	}
	member := start(t, env, "sub", "orders", "--group", "billing", "-q")
	member.out.wait(t, "b\n")
	group, err := c.Group(t.Context(), "billing")
	if err != nil {
		t.Fatal(err)
	}
	if group.State != "Stable" || group.Members != 1 || len(group.MemberList) != 1 ||
		group.MemberList[0].Client != "tidings" || len(group.MemberList[0].Assigned) != 1 {
		t.Errorf("got %+v, want one member that reads orders", group)
	}
	for _, args := range [][]string{
		{"reset", "billing", "orders", "--to", "start", "--yes"},
		{"rm", "group/billing", "--yes"},
	} {
		cmd := start(t, env, args...)
		if got := cmd.wait(t); got != exitConflict || !strings.Contains(cmd.errOut.String(),
			"has members") {
			t.Errorf("%v: got exit code %d, %s, want %d", args, got, cmd.errOut, exitConflict)
		}
	}
	if got := member.end(t); got != exitInterrupted {
		t.Errorf("the member: got exit code %d (%s), want %d", got, member.errOut, exitInterrupted)
	}
	group, err = c.Group(t.Context(), "billing")
	if err != nil || len(group.Cursors) != 1 || group.Cursors[0].Offset != 2 ||
		group.State != "Empty" {
		t.Errorf("after it left: got %+v, %v, want the cursor at 2", group, err)
	}
	if got := start(t, env, "reset", "billing", "--to", "start", "--yes").wait(t); got != exitOK {
		t.Errorf("reset: got exit code %d, want 0", got)
	}
}

func TestReaderSaysThatTheServerWentAway(t *testing.T) {
	n := startTestNodeOn(t, devDefaults())
	env := map[string]string{"TIDINGS_SERVER": n.admin.Addr().String()}
	if got := start(t, env, "pub", "orders", "a").wait(t); got != exitOK {
		t.Fatalf("pub: got exit code %d", got)
	}
	reader := start(t, env, "sub", "orders", "--from", "start", "-q")
	reader.out.wait(t, "a\n")
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	if got := reader.wait(t); got != exitUnreachable ||
		!strings.Contains(reader.errOut.String(), "the server went away") {
		t.Errorf("got exit code %d, %s, want %d", got, reader.errOut, exitUnreachable)
	}
}

func TestKafkaPortIsRecognised(t *testing.T) {
	n := startTestNode(t, devDefaults())
	says(t, exitUnreachable, "a Kafka port: if it is one:  --kafka "+n.kafka.Addr().String(),
		"ls", "--server", n.kafka.Addr().String())
}

func TestSlowInputIsPublishedAsItComes(t *testing.T) {
	n := startTestNode(t, devDefaults())
	env := map[string]string{"TIDINGS_SERVER": n.admin.Addr().String()}
	if got := start(t, env, "create", "orders").wait(t); got != exitOK {
		t.Fatalf("create: got exit code %d", got)
	}
	reader := start(t, env, "sub", "orders", "--from", "start", "-q")
	in, write := io.Pipe()
	a := &app{in: in, out: io.Discard, errOut: io.Discard, now: time.Now,
		env: func(name string) string { return env[name] }}
	done := make(chan int, 1)
	go func() { done <- a.run(context.Background(), []string{"pub", "orders"}) }()
	for _, line := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(write, line+"\n"); err != nil {
			t.Fatal(err)
		}
		reader.out.wait(t, line+"\n") // while the input is still open
	}
	write.Close()
	if got := <-done; got != exitOK {
		t.Errorf("pub: got exit code %d, want 0", got)
	}
	reader.end(t)
}

// configured is a node that runs with a configuration file on its own file system.
func configured(t *testing.T, fs vfs.FS, file string) (*node, error) {
	t.Helper()
	s, err := settingsOf(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.fs, s.Data = fs, t.TempDir()
	return startNode(t.Context(), withFreePorts(s), discardLog)
}

const configuredThings = `
topics: [orders]
aws:
  queues: [dead, {name: jobs, visibility: 1m, dead-letter-queue: dead, max-receives: 3, attributes: {DelaySeconds: "0"}}]
  topics: [alerts, {name: invoices, display-name: Invoices, tags: {team: a}}]
bind:
- {from: alerts, to: jobs, raw: true, filter: {level: [high]}, dead-letter-queue: dead}
- {from: sns/alerts, to: topic/orders, filter: '{"x":[1]}', filter-scope: body}
- {from: sns/invoices, to: exchange/amq.topic, key: log}
- {from: amq.topic, to: sns/alerts, key: 'a.#'}
- {from: topic/orders, to: sns/alerts, from-start: true}
- {from: amq.headers, to: jobs, args: {x-match: any, n: 1}}
`

func TestConfiguredThingsAreThereAndStayAsTheyAre(t *testing.T) {
	fs := vfs.NewMem()
	n, err := configured(t, fs, configuredThings)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"show sns/alerts": "queue/jobs\tsqs\tconfirmed\tyes\t0\t0.000\tdead\t{\"level\":[\"high\"]}\n" +
			"topic/orders\tkafka\tconfirmed\tno\t-\t-\t-\tbody {\"x\":[1]}\n",
		"show sns/invoices":         "exchange/amq.topic#log\tamqp\tconfirmed\tno\t-\t-\t-\t-\n",
		"show exchange/amq.topic":   "amq.topic\texchange/alerts\ta.#\t\n",
		"show exchange/amq.headers": "amq.headers\tqueue/jobs\t\tn=1 x-match=any\n",
	}
	check := func() {
		t.Helper()
		for command, text := range want {
			if got := mustCommand(t, n, strings.Fields(command)...); got != text {
				t.Errorf("%s: got %q\nwant %q", command, got, text)
			}
		}
	}
	check()
	mustCommand(t, n, "unbind", "sns/alerts", "jobs")
	mustCommand(t, n, "bind", "sns/alerts", "jobs")
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	if n, err = configured(t, fs, strings.Replace(configuredThings, "visibility: 1m", "visibility: 2m", 1)); err != nil {
		t.Fatal(err)
	}
	defer n.close()
	want["show sns/alerts"] = "queue/jobs\tsqs\tconfirmed\tno\t0\t0.000\t-\t-\n" +
		"topic/orders\tkafka\tconfirmed\tno\t-\t-\t-\tbody {\"x\":[1]}\n"
	check()
	if got := mustCommand(t, n, "show", "queue/jobs", "-o", "json"); !strings.Contains(got, `"VisibilityTimeout": "60"`) {
		t.Errorf("got %s, want a visibility of 60 as it was", got)
	}
}

func TestConfiguredThingThatCannotBeMadeIsNamed(t *testing.T) {
	for file, want := range map[string]string{
		"aws: {queues: [{name: jobs, dead-letter-queue: dead}]}": "queue jobs: The specified queue does not exist.",
		"aws: {queues: [no name]}":                               "queue no name: ",
		"aws: {topics: [no name]}":                               "topic of SNS no name: Invalid parameter: Topic Name",
		"bind: [{from: shop, to: jobs}]":                         `bind shop jobs: no exchange named "shop"`,
		"bind: [{from: amq.topic, to: jobs}]":                    `bind amq.topic jobs: no queue named "jobs"`,
		"bind: [{from: topic/orders, to: exchange/amq.topic}]":   `bind topic/orders exchange/amq.topic: no topic named "orders"`,
		"bind: [{from: amq.topic, to: sns/alerts}]":              `bind amq.topic sns/alerts: no topic of SNS named "alerts"`,
		"bind: [{from: sns/alerts, to: jobs}]":                   `bind sns/alerts jobs: no topic of SNS named "alerts"`,
		"aws: {topics: [alerts]}\nbind: [{from: alerts, to: 'http://x/', filter: {a: 1}}]": "bind alerts http://x/: " +
			"Invalid parameter: Attributes Reason: FilterPolicy",
	} {
		n, err := configured(t, vfs.NewMem(), file)
		var f *failure
		if n != nil || !errors.As(err, &f) || !strings.HasPrefix(f.msg, want) {
			t.Errorf("%s: got %v, want %s", file, err, want)
		}
	}
}

func TestDevSaysWhatEmptiesAWS(t *testing.T) {
	dev := start(t, quietRuntime, "dev", "--ports", "auto", "--data", t.TempDir(), "--aws-reset", "--aws-keys", "AKID:secret")
	dev.out.wait(t, "data stays")
	want := regexp.MustCompile(`(?m)^  AWS    http://(\S+)  ·  SQS and SNS  ·  export AWS_ENDPOINT_URL=http://(\S+)` +
		`  ·  POST /_tidings/reset deletes it all$`)
	if got := want.FindStringSubmatch(dev.out.String()); got == nil || got[1] != got[2] {
		t.Errorf("got\n%s\nwant %s", dev.out.String(), want)
	}
	if got := dev.end(t); got != exitOK {
		t.Errorf("got exit code %d (%s), want 0", got, dev.errOut)
	}
}
