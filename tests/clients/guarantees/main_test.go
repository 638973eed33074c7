package guarantees

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/tests/clients/guarantees/worker"
	"github.com/tidings-io/tidings/tests/clients/server"
)

var (
	kills = flag.Int("kills", 6, "how many processes are killed in each place")
	seed  = flag.Uint64("seed", rand.Uint64(), "of all random choices, the moments of kills among them")
)

func TestMain(m *testing.M) {
	if plan := os.Getenv(worker.Variable); plan != "" {
		os.Exit(worker.Main(plan))
	}
	flag.Parse()
	fmt.Printf("seed %d\n", *seed)
	os.Exit(engines.Main(func() int { return server.Main(m) }))
}
