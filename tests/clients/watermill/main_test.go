package watermill

import (
	"os"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/server"
)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
