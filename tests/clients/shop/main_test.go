// Package shop runs the services of examples/shop as processes on brokers, and kills them.
package shop

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/tests/clients/server"
)

var (
	kills  = flag.Int("kills", 6, "how often a service is killed, on each broker")
	orders = flag.Int("orders", 200, "how many orders there are, on each broker")
	seed   = flag.Uint64("seed", 1, "of the customers' choices, and of who is killed when")
)

// binary is the program of the shop.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(engines.Main(func() int { return run(m) }))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tidings-shop-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = server.Build(dir, "./examples/shop/cmd/shop")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return server.Main(m)
}
