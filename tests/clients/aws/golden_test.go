package aws

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// TestEveryRequestOfTheSDKIsUnderstood sends the requests that AWS keeps beside its SDK, with every field
// set: what they ask for is not there, but none is unknown or malformed.
func TestEveryRequestOfTheSDKIsUnderstood(t *testing.T) {
	files, err := filepath.Glob(moduleDir(t, "github.com/aws/aws-sdk-go-v2/service/sqs") + "/request_snapshot/*.snap")
	served, refused := actionsOfPage(t)
	if err != nil || len(files) != len(served)+len(refused) {
		t.Fatalf("%d requests for %d actions, %v", len(files), len(served)+len(refused), err)
	}
	s := server.Start(t)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := bytes.Cut(b, []byte("\n{"))
		if !ok {
			t.Fatalf("%s has no body", file)
		}
		r, err := http.NewRequest("POST", s.SQS, bytes.NewReader(append([]byte("{"), body...)))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(head)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
				r.Header.Set(name, value)
			}
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		code, _, _ := strings.Cut(resp.Header.Get("x-amzn-query-error"), ";")
		unbuilt := code == "AWS.SimpleQueueService.UnsupportedOperation"
		if slices.Contains([]string{"MalformedInput", "InvalidAction", "InternalError"}, code) ||
			unbuilt != slices.Contains(refused, name) {
			t.Errorf("%s: %d %s %s", name, resp.StatusCode, code, text)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestWhatTheServerDecodesIsWhatTheSDKHas compares wire/aws/testdata/golden, which the server's own tests
// decode and encode, with what this version of the SDK has.
func TestWhatTheServerDecodesIsWhatTheSDKHas(t *testing.T) {
	const sqs, sns = "github.com/aws/aws-sdk-go-v2/service/sqs", "github.com/aws/aws-sdk-go-v2/service/sns"
	for _, c := range []struct{ file, module, snapshots string }{
		{"sqs.requests", sqs, "request_snapshot/*.request.snap"},
		{"sqs.responses", sqs, "response_snapshot/*.response.snap"},
		{"sqs.errors", sqs, "response_snapshot/*.error.snap"},
		{"sns.requests", sns, "request_snapshot/*.request.snap"},
	} {
		paths, err := filepath.Glob(moduleDir(t, c.module) + "/" + c.snapshots)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s has no %s: %v", c.module, c.snapshots, err)
		}
		var lines []byte
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			head, body, _ := bytes.Cut(text, []byte("\n\n"))
			if _, after, ok := bytes.Cut(body, []byte("\n\n")); ok {
				body = after // of a request: the first lines were its method, and its header
			}
			name, _, _ := strings.Cut(filepath.Base(path), ".")
			if strings.HasSuffix(path, ".error.snap") {
				name += " " + string(head[:3])
			}
			lines = fmt.Appendf(lines, "%s %s\n", name, body)
		}
		have, err := os.ReadFile("../../../wire/aws/testdata/golden/" + c.file)
		if err != nil || !bytes.Equal(have, lines) {
			t.Errorf("wire/aws/testdata/golden/%s is not (%v):\n%s", c.file, err, lines)
		}
	}
}
