package transports

import (
	"flag"
	"os"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/engines"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(engines.Main(m.Run))
}
