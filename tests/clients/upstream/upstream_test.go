// Package upstream runs the tests that franz-go has for itself against the real program.
package upstream

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/server"
)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// beyond names tests of franz-go that cannot pass, with the reason.
var beyond = map[string]string{
	"TestTxnEtl":        "transactions are not served",
	"TestShareGroupETL": "share groups are not served",
	"TestConsumeRegex":  "it wants a topic __consumer_offsets; offsets are no topic here",
}

// within bounds one run of franz-go's tests.
const within = 5 * time.Minute

// TestFranzGosOwnTestsPass runs all tests of its package kgo, except for those beyond. The
// heart of them, TestGroupETL, sends records through chains of consumer groups, and none may be
// lost, repeated or out of order.
func TestFranzGosOwnTestsPass(t *testing.T) {
	var skip []string
	for name, reason := range beyond {
		t.Logf("not run: %s: %s", name, reason)
		skip = append(skip, "^"+name+"$")
	}
	s := server.Start(t)
	report(t, kgo(t, s, "-skip", strings.Join(skip, "|")))
}

// result is what a run of `go test` wrote, and how it ended.
type result struct {
	out []byte
	err error
}

// kgo runs the tests of franz-go's package kgo against the program.
func kgo(t *testing.T, s *server.Server, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{
		"test", "github.com/twmb/franz-go/pkg/kgo", "-count=1", "-v", "-timeout", within.String(),
	}, args...)...)
	cmd.Env = append(os.Environ(), "KGO_SEEDS="+s.Kafka, "KGO_TEST_RF=1", "KGO_LOG_LEVEL=none",
		"KGO_TEST_RECORDS=50000")
	// go test passes an interrupt on to the tests; killed, it would leave them.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	return result{out, err}
}

var (
	passed  = regexp.MustCompile(`(?m)^--- PASS: `)
	skipped = regexp.MustCompile(`(?m)^--- SKIP: (\S+)`)
	failed  = regexp.MustCompile(`(?m)^\s*--- FAIL: .*$`)
)

// report counts, and shows what failed.
func report(t *testing.T, r result) {
	t.Helper()
	t.Logf("%d tests passed, %d skipped by themselves", len(passed.FindAll(r.out, -1)),
		len(skipped.FindAll(r.out, -1)))
	if r.err == nil && passed.Match(r.out) {
		return
	}
	end := r.out[max(0, len(r.out)-6000):]
	t.Errorf("franz-go's tests: %v\n%s\n...\n%s", r.err, failed.FindAll(r.out, -1), end)
}
