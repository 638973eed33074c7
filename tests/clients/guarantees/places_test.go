package guarantees

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/engines"
	"github.com/tidings-io/tidings/tests/clients/server"
)

// place is a transport and a broker, and what is not promised there.
type place struct {
	name string
	open func(t testing.TB) host
	// unordered: nothing keeps the order of a key.
	unordered bool
	// positions that only grow.
	positions bool
	// forgets: a kill of the broker may take back what it was told of settlements, or double a publish.
	forgets bool
	// inside: the broker is in the program.
	inside bool
}

// host is a broker that runs.
type host struct {
	address string
	kill    func() // and start it again; nil where it is in the program
	// database names a database for one side.
	database func(side string) string
}

var places = []place{
	{name: "embedded", open: inside, positions: true, inside: true},
	{name: "Tidings over Kafka", open: tidingsKafka, positions: true},
	{name: "Tidings over AMQP", open: tidingsAMQP},
	{name: "Tidings over SQS", open: tidingsSQS, unordered: true, forgets: true},
	{name: "Tidings over SQS FIFO", open: tidingsFIFO},
	{name: "Apache Kafka", open: apacheKafka, positions: true},
	{name: "RabbitMQ", open: rabbitMQ, forgets: true},
}

// files are databases of SQLite.
func files(t testing.TB) func(string) string {
	dir := t.TempDir()
	return func(side string) string { return filepath.Join(dir, side+".db") }
}

func inside(t testing.TB) host {
	return host{address: "embedded:" + t.TempDir(), database: files(t)}
}

func ours(t testing.TB, address func(*server.Server) string) host {
	s := server.Start(t)
	again := func() {
		s.Kill()
		s.Restart()
	}
	return host{address: address(s), kill: again, database: files(t)}
}

func tidingsKafka(t testing.TB) host {
	return ours(t, func(s *server.Server) string { return "kafka://" + s.Kafka })
}

func tidingsAMQP(t testing.TB) host {
	return ours(t, func(s *server.Server) string { return s.AMQP })
}

func tidingsSQS(t testing.TB) host {
	return ours(t, func(s *server.Server) string { return strings.TrimSuffix(s.SQS, "/") + "/standard" })
}

func tidingsFIFO(t testing.TB) host {
	return ours(t, func(s *server.Server) string { return strings.TrimSuffix(s.SQS, "/") + "/fifo" })
}

// apacheKafka has both sides in PostgreSQL.
func apacheKafka(t testing.TB) host {
	k := engines.Kafka(t)
	again := func() {
		k.Kill()
		k.Restart()
	}
	return host{address: "kafka://" + k.Addr, kill: again, database: postgres(t)}
}

func rabbitMQ(t testing.TB) host {
	r := engines.RabbitMQ(t)
	again := func() {
		r.Kill()
		r.Restart()
	}
	return host{address: r.URL, kill: again, database: files(t)}
}
