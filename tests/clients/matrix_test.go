package clients

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tidings-io/tidings/tests/clients/need"
)

// drivers are the columns of the matrix.
var drivers = []driver{franz{}, ibm{}, segmentio{}, kcat{}, kafkajs{}}

// scenario is a row of the matrix.
type scenario struct {
	name string
	run  func(*testing.T, driver)
}

// The scenarios that some client lacks.
const (
	produceSnappy   = "produce and consume, snappy"
	produceLz4      = "produce and consume, lz4"
	produceZstd     = "produce and consume, zstd"
	timestamps      = "timestamps"
	producerKill    = "producer outlives SIGKILL, at least once"
	idempotentKill  = "idempotent producer outlives SIGKILL, once each"
	topicLife       = "create and delete topics"
	morePartitions  = "add partitions"
	describeConfig  = "describe configs"
	groupLife       = "list, describe and delete groups"
	deletingRecords = "delete records"
	staticMember    = "static member returns without a rebalance"
)

var scenarios = []scenario{
	{"produce and consume, uncompressed", produceWith("none")},
	{"produce and consume, gzip", produceWith("gzip")},
	{produceSnappy, produceWith("snappy")},
	{produceLz4, produceWith("lz4")},
	{produceZstd, produceWith("zstd")},
	{"null keys, tombstones, bytes, large values", oddRecords},
	{"headers", headersTravel},
	{timestamps, timestampsTravel},
	{"unknown topic is created", unknownTopicIsCreated},
	{producerKill, producerOutlivesKill},
	{idempotentKill, idempotentProducerOutlivesKill},
	{"group grows, shrinks and loses a member", groupRebalances},
	{"group resumes after SIGTERM", groupResumesAfterStop},
	{"group resumes after SIGKILL", groupResumesAfterKill},
	{staticMember, staticMemberReturns},
	{"offsets by time", offsetsByTime},
	{topicLife, topicsComeAndGo},
	{morePartitions, partitionsAreAdded},
	{describeConfig, configIsDescribed},
	{groupLife, groupsAreAdministered},
	{deletingRecords, recordsAreDeleted},
}

// TestClients tells every scenario with every client.
func TestClients(t *testing.T) {
	for _, d := range drivers {
		t.Run(strings.Fields(d.name())[0], func(t *testing.T) {
			t.Parallel()
			for _, s := range scenarios {
				t.Run(s.name, func(t *testing.T) { tell(t, d, s) })
			}
		})
	}
}

// tell runs one field of the matrix.
func tell(t *testing.T, d driver, s scenario) {
	t.Parallel()
	reason := d.missing()
	defer func() { theMatrix.note(d, s, t, reason) }()
	if reason != "" && need.Named(strings.Fields(d.name())[0]) {
		t.Fatal(reason)
	}
	if reason == "" {
		reason = d.lacks()[s.name]
	}
	if reason != "" {
		t.Skip(reason)
	}
	s.run(t, d)
}

// theMatrix is what the run has found.
var theMatrix matrix

// matrix remembers what became of each client and scenario.
type matrix struct {
	mu      sync.Mutex
	results map[string]string // by client and scenario: ok, FAIL or the reason of a skip
}

func (m *matrix) note(d driver, s scenario, t *testing.T, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results == nil {
		m.results = make(map[string]string)
	}
	result := "ok"
	switch {
	case t.Failed():
		result = "FAIL"
	case reason != "":
		result = reason
	}
	m.results[d.name()+"\n"+s.name] = result
}

// publish prints the matrix, and writes it to a file if one is named. It is silent when
// nothing was run.
func (m *matrix) publish(file string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.results) == 0 {
		return nil
	}
	text := m.table()
	fmt.Print(text)
	if file == "" {
		return nil
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// table has a row for each scenario, a column for each client, and notes below.
func (m *matrix) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-50s", "")
	for _, d := range drivers {
		fmt.Fprintf(&b, "  %-18s", d.name())
	}
	var notes []string
	for _, s := range scenarios {
		fmt.Fprintf(&b, "\n%-50s", s.name)
		for _, d := range drivers {
			field := m.results[d.name()+"\n"+s.name]
			if field != "" && field != "ok" && field != "FAIL" {
				notes = appendNew(notes, field)
				field = fmt.Sprintf("- (%d)", position(notes, field))
			}
			fmt.Fprintf(&b, "  %-18s", field)
		}
	}
	b.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "(%d) %s\n", i+1, note)
	}
	return b.String()
}

func appendNew(list []string, s string) []string {
	if position(list, s) == 0 {
		list = append(list, s)
	}
	return list
}

// position counts from 1; 0 is not there.
func position(list []string, s string) int {
	for i := range list {
		if list[i] == s {
			return i + 1
		}
	}
	return 0
}

// TestEveryScenarioThatIsLackedExists keeps the reasons of the drivers true.
func TestEveryScenarioThatIsLackedExists(t *testing.T) {
	known := make(map[string]bool)
	for _, s := range scenarios {
		known[s.name] = true
	}
	for _, d := range drivers {
		for name := range d.lacks() {
			if !known[name] {
				t.Errorf("%s lacks %q, which is no scenario", d.name(), name)
			}
		}
	}
}
