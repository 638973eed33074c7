package aws

import (
	"bytes"
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
