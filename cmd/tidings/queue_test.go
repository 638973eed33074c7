package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/console"
)

// command runs a command against a node and returns what it wrote.
func command(
	t *testing.T, ctx context.Context, n *node, out io.Writer, args ...string,
) (exit int, errOut string) {
	t.Helper()
	var said bytes.Buffer
	env := func(name string) string {
		if name == "TIDINGS_SERVER" {
			return n.admin.Addr().String()
		}
		return ""
	}
	a := &app{in: strings.NewReader(""), out: out, errOut: &said, env: env, now: time.Now,
		started: time.Now(), term: terminalOf(env, false, false, false)}
	return a.run(ctx, args), said.String()
}

func mustCommand(t *testing.T, n *node, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if exit, said := command(t, t.Context(), n, &out, args...); exit != 0 {
		t.Fatalf("tidings %s: exit %d, %s", strings.Join(args, " "), exit, said)
	}
	return out.String()
}

// TestAnAMQPClientMayDeclareAgainWhatACommandHasMade: the flags stand for its arguments.
func TestAnAMQPClientMayDeclareAgainWhatACommandHasMade(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "queue", "mail", "--ttl", "1m", "--expires", "2h", "--max-length", "10",
		"--overflow", "reject-publish", "--dead-letter-queue", "dead", "--priority", "3", "--delivery-limit", "5",
		"--single-active", "--auto-delete", "--arg", "x-queue-mode=lazy")
	mustCommand(t, n, "create", "exchange", "shop", "--type", "topic", "--alternate", "rest")
	amqp := n.amqp.Direct(t.Context(), "", broker.User{Name: "guest"})
	spec := broker.QueueSpec{Name: "mail", Durable: true, AutoDelete: true, Args: broker.Args{
		{Name: "x-message-ttl", Value: int32(60000)}, {Name: "x-expires", Value: int32(7200000)},
		{Name: "x-max-length", Value: int32(10)}, {Name: "x-overflow", Value: "reject-publish"},
		{Name: "x-dead-letter-exchange", Value: ""}, {Name: "x-dead-letter-routing-key", Value: "dead"},
		{Name: "x-max-priority", Value: int32(3)}, {Name: "x-delivery-limit", Value: int32(5)},
		{Name: "x-single-active-consumer", Value: true}, {Name: "x-queue-mode", Value: "lazy"}}}
	if err := amqp.DeclareQueue(spec); err != nil {
		t.Errorf("queue: %v", err)
	}
	spec.Args[0].Value = int32(60001)
	if err := amqp.DeclareQueue(spec); err == nil {
		t.Error("a queue with another time to live was taken for the same")
	}
	err := amqp.DeclareExchange(broker.ExchangeSpec{Name: "shop", Type: "topic", Durable: true,
		Args: broker.Args{{Name: "alternate-exchange", Value: "rest"}}})
	if err != nil {
		t.Errorf("exchange: %v", err)
	}
}

// stopsAfter is an output that fails, or calls, after some writes.
type stopsAfter struct {
	bytes.Buffer
	writes int
	then   func() error
}

func (s *stopsAfter) Write(p []byte) (int, error) {
	if s.writes == 0 {
		return 0, io.ErrClosedPipe
	}
	if s.writes--; s.writes == 0 && s.then != nil {
		return len(p), errors.Join(s.then(), justCount(s.Buffer.Write(p)))
	}
	return s.Buffer.Write(p)
}

func justCount(_ int, err error) error { return err }

func ready(t *testing.T, n *node, queue string) []string {
	t.Helper()
	return strings.Fields(mustCommand(t, n, "sub", "queue/"+queue, "-q"))
}

// TestTakeAcceptsWhatItHasWrittenAndNothingElse: by Ctrl-C after two records, and by a
// pipe that takes no third.
func TestTakeAcceptsWhatItHasWrittenAndNothingElse(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "queue", "mail")
	mustCommand(t, n, "pub", "mail", "a", "b", "c", "d", "e")
	ctx, interrupt := context.WithCancel(t.Context())
	out := &stopsAfter{writes: 2, then: func() error { interrupt(); return nil }}
	exit, said := command(t, ctx, n, out, "sub", "mail", "--take", "-q")
	if exit != exitInterrupted {
		t.Errorf("interrupted: exit %d, %s", exit, said)
	}
	written := strings.Fields(out.String())
	left := awaitReady(t, n, 5-len(written))
	if got := strings.Join(append(written, left...), ""); got != "abcde" {
		t.Errorf("wrote %v and left %v, want every record in one of the two", written, left)
	}
	out = &stopsAfter{writes: 1}
	if exit, _ := command(t, t.Context(), n, out, "sub", "mail", "--take", "-q"); exit != exitFailed {
		t.Errorf("closed pipe: exit %d, want %d", exit, exitFailed)
	}
	rest := awaitReady(t, n, len(left)-1)
	if out.String() != left[0]+"\n" || strings.Join(rest, "") != strings.Join(left[1:], "") {
		t.Errorf("wrote %q and left %v, want the first of %v and the rest", out.String(), rest, left)
	}
}

// awaitReady returns what waits in the queue, once the server has seen the consumer go.
func awaitReady(t *testing.T, n *node, want int) []string {
	t.Helper()
	q, err := n.b.Queue("", "mail")
	if err != nil {
		t.Fatal(err)
	}
	wake := make(chan struct{}, 1)
	for q.Stats().Subscriptions > 0 { // ours is the last: it gets what the other gives back
		s, err := q.Subscribe(broker.SubscribeOptions{Wake: wake})
		if err != nil {
			t.Fatal(err)
		}
		if q.Stats().Ready < int64(want) {
			<-wake
		}
		s.Close()
	}
	return ready(t, n, "mail")
}

// TestRedriveTellsHowFarItIs with a clock that runs.
func TestRedriveTellsHowFarItIs(t *testing.T) {
	n := startTestNode(t, devDefaults())
	mustCommand(t, n, "create", "queue", "dead")
	mustCommand(t, n, "create", "queue", "mail")
	values := strings.Fields(strings.Repeat("x ", 250))
	mustCommand(t, n, append([]string{"pub", "dead"}, values...)...)
	var said bytes.Buffer
	now := time.Now()
	later := func() time.Time { now = now.Add(2 * time.Second); return now }
	a := &app{out: io.Discard, errOut: &said, now: later}
	c := newAPIClient(n.admin.Addr().String())
	defer c.Close()
	if err := a.redrive(t.Context(), c, "dead", console.Redrive{To: "queue/mail"}); err != nil {
		t.Fatal(err)
	}
	want := "100 of 250 records\n200 of 250 records\nmoved 250 records out of queue dead\n"
	if said.String() != want {
		t.Errorf("said %q, want %q", said.String(), want)
	}
}
