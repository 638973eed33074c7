// Package asyncapi has AsyncAPI's own parser read the documents that the library writes.
package asyncapi

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/need"
)

const written = "../../../asyncapi/testdata/shop.json"

// TestAsyncAPIsOwnParserReadsTheDocument without an error or a warning.
func TestAsyncAPIsOwnParserReadsTheDocument(t *testing.T) {
	out, err := check(t, written)
	if err != nil || !strings.Contains(out, "4 operations") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTheParserFindsWhatIsWrong, so that its verdict means something.
func TestTheParserFindsWhatIsWrong(t *testing.T) {
	text, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	changed := strings.Replace(string(text), `"action": "send"`, `"action": "shout"`, 1)
	if err := os.WriteFile(bad, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := check(t, bad); err == nil || !strings.Contains(out, "action") {
		t.Errorf("an unknown action was taken: %v\n%s", err, out)
	}
}

func check(t *testing.T, file string) (string, error) {
	t.Helper()
	if _, err := os.Stat("node_modules/@asyncapi/parser"); err != nil {
		need.Without(t, "asyncapi", "npm ci in tests/clients/asyncapi brings it")
	}
	out, err := exec.Command("node", "check.js", file).CombinedOutput()
	return string(out), err
}
