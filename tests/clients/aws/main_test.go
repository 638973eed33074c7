// Package aws drives the real program with the AWS SDK for Go, which checks checksums and makes types of
// errors, and with boto3 where Python has it.
package aws

import (
	"flag"
	"os"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/server"
)

var (
	need  = flag.String("need", "", "what must be there, or the tests fail: boto3")
	kills = flag.Int("kills", 20, "how often the program is killed")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(server.Main(m))
}
