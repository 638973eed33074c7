package amqp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/need"
	"github.com/tidings-io/tidings/tests/clients/server"
)

// within bounds one run of a suite.
const within = 5 * time.Minute

// TestAmqp091GosOwnTestsPass runs the whole suite of the Go client. One of its tests raises an alarm by
// rabbitmqctl: the program is that too.
func TestAmqp091GosOwnTestsPass(t *testing.T) {
	s := server.Start(t, "--management", "localhost:15672") // the suite knows no other place
	ctl := filepath.Join(t.TempDir(), "rabbitmqctl")
	script := fmt.Sprintf("#!/bin/sh\nexec %q rabbitmqctl --url %q \"$@\"\n", server.Binary(), s.Management)
	if err := os.WriteFile(ctl, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "", []string{"AMQP_URL=" + s.AMQP, "RABBITMQ_RABBITMQCTL_PATH=" + ctl}, "go", "test",
		"-tags", "integration", "github.com/rabbitmq/amqp091-go", "-count=1", "-v", "-timeout", within.String())
	passed := len(regexp.MustCompile(`(?m)^--- PASS: `).FindAll(out, -1))
	t.Logf("amqp091-go: %d tests passed", passed)
	left := regexp.MustCompile(`(?m)^--- (FAIL|SKIP): .*$`).FindAll(out, -1)
	if err != nil || passed < 240 || len(left) > 0 {
		t.Errorf("amqp091-go: %v\n%s\n...\n%s", err, left, out[max(0, len(out)-4000):])
	}
}

var (
	countOf = regexp.MustCompile(`(?m)^# (tests|pass|fail|cancelled) (\d+)$`)
	notOk   = regexp.MustCompile(`(?m)^ +not ok \d+ - (.*)$`)
)

// TestAmqplibsOwnTestsPass runs the whole suite of the Node.js client.
func TestAmqplibsOwnTestsPass(t *testing.T) {
	dir := filepath.Join("..", "amqplib", "node_modules", "amqplib")
	_, missing := os.Stat(dir)
	if _, err := exec.LookPath("node"); err != nil || missing != nil {
		need.Without(t, "amqplib", fmt.Sprintf("npm ci in tests/clients/amqplib (%v, %v)", err, missing))
	}
	server.Start(t, "--amqp", "localhost:5672") // the suite knows no other place
	out, _ := run(t, dir, []string{"URL=amqp://localhost"}, "node", "--test", "--test-timeout=20000")
	t.Logf("amqplib: %s", countOf.FindAll(out, -1))
	if !strings.Contains(string(out), "\n# pass 319\n") || !strings.Contains(string(out), "\n# fail 0\n") {
		t.Errorf("amqplib: these failed: %q\n%s", notOk.FindAll(out, -1), out[max(0, len(out)-4000):])
	}
}

// run runs a program to its end, or ends it.
func run(t *testing.T, dir string, env []string, program string, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.CombinedOutput()
}
