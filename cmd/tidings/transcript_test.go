package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

var update = flag.Bool("update", false, "write what commands say now into testdata/*.txt")

// TestTranscripts runs the commands in testdata/*.txt and compares exit code,
// stdout and stderr. A line starts with what it is:
//
//   - a comment
//     @server        a broker as dev runs it, on free ports, for the commands below
//     @serve         the same as serve runs it: nothing is auto-created
//     @tty           the commands below write to a terminal (@pipe: no longer)
//     @client        an AMQP connection: see dialAMQP
//     @env A=b       environment of the commands below
//     @reject q      a consumer takes all records of a queue and rejects them
//     @receive q     messages of a queue of SQS are received until none comes, with a visibility timeout of 0
//     $ ls -q        a command, words and 'quoted words'
//     < text         its standard input
//     | text         its stdout
//     ! text         its stderr
//     = 3            its exit code, if not 0
//
// What differs between runs is replaced: ADMIN, KAFKA, AMQP, MANAGEMENT, AWS, CLIENT, DATA, TIME, ID, MS.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := (&transcript{t: t}).play(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareLines(t, got, string(text))
		})
	}
}

func compareLines(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			from := max(0, i-3)
			t.Fatalf("line %d differs\ngot:\n%s\nwant:\n%s", i+1,
				strings.Join(g[from:min(i+4, len(g))], "\n"), strings.Join(w[from:min(i+4,
					len(w))], "\n"))
		}
	}
}

// transcript is one file being played.
type transcript struct {
	t      *testing.T
	node   *node
	client string // address of the AMQP client
	tty    bool
	env    map[string]string
	out    strings.Builder
}

func (p *transcript) play(text string) string {
	p.env = map[string]string{}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "|", "!", "=":
			continue // what it said last time
		case "$":
			var stdin strings.Builder
			p.out.WriteString(line + "\n")
			for i+1 < len(lines) && (lines[i+1] == "<" || strings.HasPrefix(lines[i+1], "< ")) {
				i++
				p.out.WriteString(lines[i] + "\n")
				stdin.WriteString(strings.TrimPrefix(strings.TrimPrefix(lines[i], "<"), " ") + "\n")
			}
			p.run(rest, stdin.String())
			continue
		case "@server":
			p.node = startTestNode(p.t, devDefaults())
		case "@serve":
			p.node = startTestNode(p.t, serveDefaults())
		case "@client":
			p.client = dialAMQP(p.t, p.node.amqp.Addr().String())
		case "@tty":
			p.tty = true
		case "@pipe":
			p.tty = false
		case "@reject":
			p.reject(rest)
		case "@receive":
			p.receive(rest)
		case "@env":
			name, value, _ := strings.Cut(rest, "=")
			p.env[name] = value
		}
		p.out.WriteString(line + "\n")
	}
	return p.out.String()
}

func (p *transcript) run(line, stdin string) {
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	env := p.getenv
	a := &app{
		in: strings.NewReader(stdin), out: &out, errOut: &errOut, env: env, now: time.Now,
		started: time.Now(), term: terminalOf(env, false, p.tty, p.tty),
	}
	code := a.run(ctx, words(p.t, p.real(line)))
	for _, part := range []struct{ mark, text string }{{"|", out.String()}, {"!",
		errOut.String()}} {
		text := strings.TrimSuffix(p.normal(part.text), "\n")
		if text == "" {
			continue
		}
		for l := range strings.SplitSeq(text, "\n") {
			p.out.WriteString(strings.TrimRight(part.mark+" "+l, " ") + "\n")
		}
	}
	if code != 0 {
		fmt.Fprintf(&p.out, "= %d\n", code)
	}
}

func (p *transcript) reject(queue string) {
	q, err := p.node.b.Queue("", queue)
	if err != nil {
		p.t.Fatal(err)
	}
	for {
		d, ok, err := q.Get(p.t.Context(), nil)
		if err != nil {
			p.t.Fatal(err)
		}
		if !ok {
			return
		}
		tx := p.node.b.Begin()
		tx.Settle(q, nil, d.ID, broker.Reject)
		p.commit(tx)
	}
}

func (p *transcript) receive(queue string) {
	for {
		var got struct{ Messages []struct{ Body string } }
		in := map[string]any{"QueueUrl": "/000000000000/" + queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
		if err := p.node.aws.Do(p.t.Context(), "sqs", "ReceiveMessage", in, &got); err != nil {
			p.t.Fatal(err)
		}
		if len(got.Messages) == 0 {
			break
		}
	}
	tx := p.node.b.Begin() // when this is on disk, so are the dead letters: they went before it
	tx.PutFact("transcript", "received", nil)
	p.commit(tx)
}

func (p *transcript) commit(tx *broker.Tx) {
	c, err := tx.Commit(p.t.Context())
	if err == nil {
		err = c.Wait(p.t.Context())
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *transcript) getenv(name string) string {
	if v, ok := p.env[name]; ok {
		return v
	}
	switch {
	case name == "TIDINGS_MANAGEMENT_URL" && p.node != nil:
		return "http://" + p.node.manage.Addr().String()
	case name == "TIDINGS_MANAGEMENT_URL":
		return "http://127.0.0.1:1"
	case name == "TIDINGS_SERVER" && p.node != nil:
		return p.node.admin.Addr().String()
	case name == "TIDINGS_SERVER":
		return "127.0.0.1:1" // nobody listens there
	}
	return ""
}

// normals replace what differs between runs.
var normals = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?`), "TIME"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`), "TIME"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`(in|after) \d+(\.\d+)?(ms|s|µs)`), "$1 MS"},
	{regexp.MustCompile(`"lagSeconds": \d\.\d+(e-\d+)?`), `"lagSeconds": 0.1`},
	{regexp.MustCompile(`"seconds": \d\.\d+(e-\d+)?`), `"seconds": 0.1`},
	{regexp.MustCompile(`"oldestSeconds": \d\.\d+(e-\d+)?`), `"oldestSeconds": 0.1`},
	{regexp.MustCompile(`"bytes": \d{7,}`), `"bytes": MANY`},
	{regexp.MustCompile(`pid \d+`), "pid PID"},
	{regexp.MustCompile(`\b0\.\d s\b`), "0.1 s"},
	{regexp.MustCompile(`\d+\.\d+ gb`), "SIZE"},
	{regexp.MustCompile(`"password_hash":"[^"]+"`), `"password_hash":"HASH"`},
	{regexp.MustCompile(`(PID|seconds\)|Total): \d+`), "$1: N"},
	{regexp.MustCompile(`\t\d\.\d{3}`), "\t0.100"},
}

func (p *transcript) normal(text string) string {
	if p.node != nil {
		text = strings.NewReplacer(
			p.node.admin.Addr().String(), "ADMIN", p.node.kafka.Addr().String(), "KAFKA",
			p.node.s.dataPath(), "DATA", p.node.s.Data, "DATA",
		).Replace(text)
		text = portNames(text, map[string]string{p.node.amqp.Addr().String(): "AMQP",
			p.node.manage.Addr().String(): "MANAGEMENT", p.node.aws.Addr().String(): "AWS", p.client: "CLIENT"})
	}
	for _, n := range normals {
		text = n.pattern.ReplaceAllString(text, n.with)
	}
	return text
}

// portNames replaces addresses, and their ports where they stand alone.
func portNames(text string, names map[string]string) string {
	for addr, name := range names {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			text = strings.ReplaceAll(text, addr, name)
			text = regexp.MustCompile(`\b`+port+`\b`).ReplaceAllString(text, name+"-PORT")
		}
	}
	return text
}

// real puts the data directory and what was replaced into a command.
func (p *transcript) real(line string) string {
	if p.node == nil {
		return line
	}
	amqp := p.node.amqp.Addr().String()
	_, port, _ := net.SplitHostPort(amqp)
	return strings.NewReplacer("DATA", p.node.s.Data, "KAFKA", p.node.kafka.Addr().String(),
		"AMQP-PORT", port, "AMQP", amqp,
		"CLIENT", p.client, "MANAGEMENT", p.node.manage.Addr().String()).Replace(line)
}

var discardLog = slog.New(slog.DiscardHandler)

func withFreePorts(s settings) settings {
	for _, addr := range []*string{&s.Kafka.Listen, &s.AMQP.Listen, &s.AMQP.Management, &s.AWS.Listen,
		&s.Admin.Listen} {
		*addr = "127.0.0.1:0"
	}
	s.Kafka.RebalanceDelay = 0
	return s
}

// startTestNode runs a broker with all faces on free ports until the test ends.
func startTestNode(t *testing.T, s settings) *node {
	t.Helper()
	n := startTestNodeOn(t, s)
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// startTestNodeOn leaves the closing to the test.
func startTestNodeOn(t *testing.T, s settings) *node {
	t.Helper()
	s.Data = filepath.Join(t.TempDir(), "data")
	n, err := startNode(t.Context(), withFreePorts(s), discardLog)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// words splits a command line: words, 'quoted words' and "quoted words".
func words(t *testing.T, line string) []string {
	t.Helper()
	var all []string
	var word strings.Builder
	var quote rune
	open := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, open = r, true
		case quote == 0 && r == ' ':
			if open {
				all = append(all, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if quote != 0 {
		t.Fatalf("unclosed quote in %q", line)
	}
	if open {
		all = append(all, word.String())
	}
	return all
}
