package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// benchOf runs a bench and returns its results.
func benchOf(t *testing.T, env map[string]string, args ...string) []benchResult {
	t.Helper()
	cmd := start(t, env, append([]string{"bench", "-o", "json"}, args...)...)
	if code := cmd.wait(t); code != exitOK {
		t.Fatalf("%v: got exit code %d: %s", args, code, cmd.errOut)
	}
	var doc struct{ Results []benchResult }
	if err := json.Unmarshal([]byte(cmd.out.String()), &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Results
}

func checkBench(t *testing.T, got []benchResult, phases string, records int64) {
	t.Helper()
	var names []string
	for _, r := range got {
		names = append(names, r.Phase)
		if r.Records != records || r.Errors != 0 || r.Seconds <= 0 || r.P50 > r.P99 ||
			r.P99 > r.Max {
			t.Errorf("got %+v, want %d records and latencies in order", r, records)
		}
	}
	if names := strings.Join(names, " "); names != phases {
		t.Errorf("got phases %s, want %s", names, phases)
	}
}

func TestBenchCountsEveryRecordAndCleansUp(t *testing.T) {
	n := startTestNode(t, devDefaults())
	env := map[string]string{"TIDINGS_SERVER": n.admin.Addr().String()}
	for _, name := range compressions {
		checkBench(t, benchOf(t, env, "-n", "2001", "--size", "100", "-p", "3", "--producers", "2",
			"--compression", name), "produce consume", 2001)
	}
	if left := n.b.Topics(""); len(left) != 0 {
		t.Errorf("the bench left %d topics", len(left))
	}
	checkBench(t, benchOf(t, env, "produce", "-n", "10", "--topic", "mine"), "produce", 10)
	checkBench(t, benchOf(t, env, "consume", "--topic", "mine"), "consume", 10)
	if left := n.b.Topics(""); len(left) != 1 {
		t.Errorf("got %d topics, want the one that was named", len(left))
	}
}

func TestEmbeddedBenchCountsEveryRecordAndCleansUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bench")
	for _, inFlight := range []string{"1", "2", "100"} {
		checkBench(t, benchOf(t, quietRuntime, "--embedded", dir, "-n", "501", "-p", "4",
			"--producers", "3", "--in-flight", inFlight), "produce consume", 501)
	}
	if names, _ := filepath.Glob(dir); len(names) != 0 {
		t.Errorf("the bench left %v", names)
	}
}
