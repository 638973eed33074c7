// Package amqp drives the real program with RabbitMQ's clients: their own suites, and a load
// under which the program is killed.
package amqp

import (
	"flag"
	"os"
	"testing"

	_ "go.uber.org/goleak" // amqp091-go's own tests import it: this module pins it

	"github.com/tidings-io/tidings/tests/clients/server"
)

var kills = flag.Int("kills", 20, "how often the program is killed")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(server.Main(m))
}
