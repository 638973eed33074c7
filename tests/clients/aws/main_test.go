// Package aws drives the real program with AWS's SDKs for Go, JavaScript and Python, its command line, Celery
// and Watermill: tours of all actions, the suites and stories of applications, and a load under which the
// program is killed. Clients that are not in Go are engines, which .ci/run installs: see engines in
// engine_test.go.
package aws

import (
	"flag"
	"os"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/server"
)

var kills = flag.Int("kills", 20, "how often the program is killed")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(server.Main(m))
}
