package aws

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	// What the suite of watermill-aws imports: this module pins it.
	_ "github.com/ThreeDotsLabs/watermill-aws/sqs"
	_ "github.com/aws/aws-sdk-go-v2/config"
	_ "github.com/stretchr/testify/require"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// TestWatermillsOwnTestsPass runs the suite of watermill-aws for SQS: publishers and subscribers that make
// their queues, many at a time, with messages that are not acknowledged. All but one, which has ten
// subscribers of a standard queue and wants what they receive in order: nothing keeps that from where the
// messages come to where it collects them.
func TestWatermillsOwnTestsPass(t *testing.T) {
	watermillSuite(t, "sqs", 39, "-skip", "^TestPubSub$/^TestPublishSubscribeInOrder$")
}

// watermillSuite runs the suite of one of its packages, of which so many tests and parts of tests pass.
func watermillSuite(t *testing.T, pkg string, want int, flags ...string) {
	t.Helper()
	const within = 4 * time.Minute
	s := server.Start(t)
	args := append([]string{"test", "-modfile", movedSuite(t, pkg, strings.TrimPrefix(s.SQS, "http://")),
		watermillAWS + "/" + pkg, "-count=1", "-v", "-timeout", within.String()}, flags...)
	out, err := run(t, within, nil, "go", args...)
	passed := len(regexp.MustCompile(`(?m)^ *--- PASS: `).FindAll(out, -1))
	t.Logf("watermill-aws/%s: %d tests passed", pkg, passed)
	failed := regexp.MustCompile(`(?m)^ *--- FAIL: .*$`).FindAll(out, -1)
	if err != nil || passed < want || len(failed) > 0 {
		t.Errorf("%v\n%s\n...\n%s", err, failed, out[max(0, len(out)-4000):])
	}
}

const watermillAWS = "github.com/ThreeDotsLabs/watermill-aws"

// movedSuite is a go.mod with a copy of the suite, which knows one place, localhost:4566: in the copy that is
// where the server is.
func movedSuite(t *testing.T, pkg, host string) string {
	t.Helper()
	dir := t.TempDir()
	suite, mod := filepath.Join(dir, "suite"), filepath.Join(dir, "go.mod")
	if err := os.CopyFS(suite, os.DirFS(moduleDir(t, watermillAWS))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(suite, pkg, "pubsub_test.go")
	edit(t, file, file, func(text string) string {
		return strings.ReplaceAll(text, `"localhost:4566"`, strconv.Quote(host))
	})
	edit(t, "../go.mod", mod, func(text string) string {
		return text + fmt.Sprintf("\nreplace %s => %s\n", watermillAWS, suite)
	})
	sum, err := os.ReadFile("../go.sum")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

// edit writes what a file becomes, which must be something else.
func edit(t *testing.T, from, to string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		t.Fatalf("%s is not what it was", from)
	}
	if err := os.WriteFile(to, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}
