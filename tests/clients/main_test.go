package clients

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/tests/clients/server"
)

var matrixFile = flag.String("matrix", "", "file to write the matrix of clients and scenarios to")

func TestMain(m *testing.M) {
	if config := os.Getenv(memberEnv); config != "" {
		os.Exit(runGoMember(config))
	}
	flag.Parse()
	// Scenarios wait for sessions to time out more than they compute.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "6")
	}
	code := server.Main(m)
	if err := theMatrix.publish(*matrixFile); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// named is a client with the version of its module that this module requires.
func named(client, path string) string {
	text, _ := os.ReadFile("go.mod")
	for line := range strings.Lines(string(text)) {
		if word := strings.Fields(line); len(word) >= 2 && word[0] == path {
			return client + " " + word[1][1:]
		}
	}
	return client + " ?"
}

// callWithin bounds what a client does at a time.
const callWithin = 45 * time.Second

// bounded is a context for one call of a client.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), callWithin)
	t.Cleanup(cancel)
	return ctx
}

// judge is franz-go, looking at what the client under test has done.
type judge struct {
	franzAdmin
	t    *testing.T
	seed string
}

func newJudge(t *testing.T, s *server.Server) judge {
	t.Helper()
	a, err := newFranzAdmin(s.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return judge{a, t, s.Kafka}
}

// makeTopic creates a topic.
func (j judge) makeTopic(topic string, partitions int) {
	j.t.Helper()
	if err := j.createTopic(bounded(j.t), topic, partitions, nil); err != nil {
		j.t.Fatalf("create topic %s: %v", topic, err)
	}
}

// stored reads n records, and checks that no more are there.
func (j judge) stored(topic string, n int) []record {
	j.t.Helper()
	records, err := franz{}.read(bounded(j.t), j.seed, topic, n)
	if err != nil {
		j.t.Fatalf("the judge reads %s: got %d of %d records: %v", topic, len(records), n, err)
	}
	if end := j.end(topic); end != int64(n) {
		j.t.Fatalf("%s: %d records are stored, want %d", topic, end, n)
	}
	return records
}

// end is the sum of the end offsets of a topic.
func (j judge) end(topic string) int64 {
	j.t.Helper()
	ends, err := j.ListEndOffsets(bounded(j.t), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		j.t.Fatalf("end of %s: %v", topic, err)
	}
	var sum int64
	for _, p := range ends[topic] {
		sum += p.Offset
	}
	return sum
}

// awaitCommitted waits until the group has committed n records of the topic. Nothing tells
// when a client's commit has arrived, so the judge asks again and again.
func (j judge) awaitCommitted(group, topic string, n int64) {
	j.t.Helper()
	limit := time.Now().Add(patience)
	for {
		got, err := j.committed(bounded(j.t), group, topic)
		if err == nil && got == n {
			return
		}
		if time.Now().After(limit) {
			j.t.Fatalf("group %s has committed %d records of %s (error %v), want %d",
				group, got, topic, err, n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// send opens a producer of the driver, sends and closes it.
func send(t *testing.T, d driver, seed string, o produceOptions, records []record) {
	t.Helper()
	p, err := d.open(seed, o)
	if err != nil {
		t.Fatalf("open a producer: %v", err)
	}
	if err := p.send(bounded(t), records); err != nil {
		t.Errorf("send: %v", err)
	}
	if err := p.close(); err != nil {
		t.Fatalf("close the producer: %v", err)
	}
}

// read reads with the client under test.
func read(t *testing.T, d driver, seed, topic string, n int) []record {
	t.Helper()
	records, err := d.read(bounded(t), seed, topic, n)
	if err != nil {
		t.Fatalf("read: got %d of %d records: %v", len(records), n, err)
	}
	return records
}
