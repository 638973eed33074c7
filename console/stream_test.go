package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// stream opens a record stream; its lines come through the scanner.
func (h *bench) stream(query string) (*bufio.Scanner, context.CancelFunc) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	h.t.Cleanup(cancel)
	r := h.request("GET", "/api/v1/topics/orders/records?"+query, "").WithContext(ctx)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 {
		body, _ := io.ReadAll(resp.Body)
		h.t.Fatalf("%s: got %d %s", query, resp.StatusCode, body)
	}
	return bufio.NewScanner(resp.Body), cancel
}

// nextLine waits for one line.
func nextLine(t *testing.T, lines *bufio.Scanner) StreamLine {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("the stream ended: %v", lines.Err())
	}
	var line StreamLine
	if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", lines.Text(), err)
	}
	return line
}

// values reads a whole stream as "partition@offset=value", or what else it said.
func (h *bench) values(query string) string {
	h.t.Helper()
	var got []string
	lines, _ := h.stream(query)
	for lines.Scan() {
		var line StreamLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			h.t.Fatal(err)
		}
		switch {
		case line.Error != nil:
			got = append(got, "error "+line.Error.Code)
		case line.Skipped != nil:
			got = append(got, fmt.Sprintf("skipped %d-%d", line.Skipped.From, line.Skipped.To))
		default:
			got = append(got, fmt.Sprintf("%d@%d=%s", line.Partition, line.Offset, *line.Value))
		}
	}
	return strings.Join(got, " ")
}

func TestStreamStartsWhereItIsTold(t *testing.T) {
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	h := newBench(t, Config{Now: func() time.Time { return start.Add(10 * time.Second) }})
	h.write(h.topic("orders", 1), 0, start, "a", "b", "c", "d", "e")
	for query, want := range map[string]string{
		"from=start":                     "0@0=a 0@1=b 0@2=c 0@3=d 0@4=e",
		"from=end":                       "",
		"from=2":                         "0@2=c 0@3=d 0@4=e",
		"from=5":                         "",
		"from=-2":                        "0@3=d 0@4=e",
		"from=-100":                      "0@0=a 0@1=b 0@2=c 0@3=d 0@4=e",
		"from=-7s":                       "0@3=d 0@4=e",
		"from=2026-01-31T12:00:04Z":      "0@4=e",
		"from=2026-02-01T00:00:00Z":      "",
		"from=start&limit=2":             "0@0=a 0@1=b",
		"from=3&limit=100":               "0@3=d 0@4=e",
		"from=start&limit=3&follow=true": "0@0=a 0@1=b 0@2=c",
	} {
		if got := h.values(query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestWrongStreamRequestsAreRefused(t *testing.T) {
	h := newBench(t, Config{})
	h.write(h.topic("orders", 2), 0, time.Now(), "a")
	const path = "/api/v1/topics/orders/records?"
	h.wantProblem(416, "out_of_range", "GET", path+"from=7", "")
	h.wantProblem(400, "invalid", "GET", path+"from=yesterday", "")
	h.wantProblem(400, "invalid", "GET", path+"partition=2", "")
	h.wantProblem(400, "invalid", "GET", path+"partition=-1", "")
	h.wantProblem(400, "invalid", "GET", path+"partition=x", "")
	h.wantProblem(400, "invalid", "GET", path+"limit=-1", "")
	h.wantProblem(400, "invalid", "GET", path+"follow=maybe", "")
	h.wantProblem(400, "invalid", "GET", path+"offset=3", "")
	h.wantProblem(404, "not_found", "GET", "/api/v1/topics/nothing/records", "")
}

func TestStreamMergesPartitionsByTime(t *testing.T) {
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	h := newBench(t, Config{Limits: Limits{StreamBytes: 1}}) // one batch of one partition at a time
	orders := h.topic("orders", 3)
	h.write(orders, 0, start, "a0", "a1", "a2")
	h.write(orders, 1, start.Add(500*time.Millisecond), "b0", "b1")
	h.write(orders, 0, start.Add(3*time.Second), "a3")
	all := h.values("from=start")
	if got, want := len(strings.Fields(all)), 6; got != want {
		t.Errorf("got %d records (%s), want %d", got, all, want)
	}
	for _, order := range [][]string{{"0@0=a0", "0@1=a1", "0@2=a2", "0@3=a3"}, {"1@0=b0",
		"1@1=b1"}} {
		inOrder(t, all, order)
	}
	h = newBench(t, Config{})
	orders = h.topic("orders", 3)
	h.write(orders, 0, start, "a0", "a1", "a2")
	h.write(orders, 1, start.Add(500*time.Millisecond), "b0", "b1")
	want := "0@0=a0 1@0=b0 0@1=a1 1@1=b1 0@2=a2"
	if got := h.values("from=start"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := h.values("from=start&partition=1"), "1@0=b0 1@1=b1"; got != want {
		t.Errorf("one partition: got %q, want %q", got, want)
	}
}

func inOrder(t *testing.T, all string, parts []string) {
	t.Helper()
	at := -1
	for _, p := range parts {
		next := strings.Index(all, p)
		if next <= at {
			t.Errorf("%s is missing or out of order in %q", p, all)
		}
		at = next
	}
}

func TestOffsetsStayInOrderThoughTimesDoNot(t *testing.T) {
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	h := newBench(t, Config{})
	orders := h.topic("orders", 2)
	h.write(orders, 0, start.Add(time.Hour), "late")
	h.write(orders, 0, start, "early")
	h.write(orders, 1, start.Add(time.Minute), "other")
	if got, want := h.values("from=start"), "1@0=other 0@0=late 0@1=early"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFollowingStreamWakesForNewRecords(t *testing.T) {
	h := newBench(t, Config{})
	orders := h.topic("orders", 2)
	lines, _ := h.stream("from=end&follow=true")
	for i, partition := range []int{1, 0, 1} {
		value := fmt.Sprint("v", i)
		h.write(orders, partition, time.Now(), value)
		if got := nextLine(t, lines); *got.Value != value || got.Partition != partition {
			t.Fatalf("got %+v, want %s of partition %d", got, value, partition)
		}
	}
}

func TestReadingMovesNoCursor(t *testing.T) {
	h := newBench(t, Config{})
	orders := h.topic("orders", 1)
	h.write(orders, 0, time.Now(), "a", "b")
	h.cursor("billing", orders, 0, 1)
	h.values("from=start")
	if got := fetch[GroupDetail](h, "/api/v1/groups/billing").Cursors[0].Offset; got != 1 {
		t.Errorf("got cursor %d, want 1", got)
	}
}

func TestStreamEndsWithItsTopic(t *testing.T) {
	h := newBench(t, Config{})
	h.write(h.topic("orders", 1), 0, time.Now(), "a")
	lines, _ := h.stream("from=start&follow=true")
	nextLine(t, lines)
	h.want(200, "DELETE", "/api/v1/topics/orders", "")
	if got := nextLine(t, lines); got.Error == nil || got.Error.Code != "not_found" {
		t.Errorf("got %+v, want the error not_found", got)
	}
	if lines.Scan() {
		t.Errorf("got another line %s, want the end", lines.Text())
	}
}

func TestDeletedRecordsAreSkippedWithANote(t *testing.T) {
	h := newBench(t, Config{})
	orders := h.topic("orders", 1)
	for _, v := range []string{"a", "b", "c"} {
		h.write(orders, 0, time.Now(), v)
	}
	s := newSource(orders.Partition(0), 0, false)
	m := &merge{topic: "orders", sources: []*source{s}, budget: 1 << 20}
	if _, err := orders.Partition(0).Trim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	var got []string
	for !m.finished() {
		round, err := m.next()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range round {
			got = append(got, string(l.json[:20]))
		}
	}
	if want := `[{"skipped":{"partiti {"topic":"orders","p]`; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestStreamsBeyondTheLimitAreRefused(t *testing.T) {
	h := newBench(t, Config{Limits: Limits{Streams: 1}})
	h.write(h.topic("orders", 1), 0, time.Now(), "a")
	lines, leave := h.stream("from=start&follow=true")
	nextLine(t, lines)
	h.wantProblem(503, "busy", "GET", "/api/v1/topics/orders/records?from=start", "")
	leave()
	h.wait(func() bool { return len(h.s.streams) == 0 })
	if got, want := h.values("from=start"), "0@0=a"; got != want {
		t.Errorf("after the first has left: got %q, want %q", got, want)
	}
}

// wait polls for what has no signal of its own: the server noticing that a
// client has gone.
func (h *bench) wait(done func() bool) {
	h.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	timeout := time.After(5 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-timeout:
			h.t.Fatal("it did not come to be within 5 s")
		}
	}
}

func TestSlowReaderIsNotReadAheadOf(t *testing.T) {
	m := &Metrics{}
	h := newBench(t, Config{Metrics: m, Limits: Limits{StreamBytes: 64 << 10}})
	orders := h.topic("orders", 1)
	value := strings.Repeat("x", 32<<10)
	for range 512 { // 16 MiB, far beyond what sockets buffer
		h.write(orders, 0, time.Now(), value)
	}
	lines, _ := h.stream("from=start&follow=true")
	lines.Buffer(nil, 1<<20)
	nextLine(t, lines)
	out := &m.of(orders).bytesOut
	h.wait(func() bool { return out.Load() > 0 })
	if got := out.Load(); got > 12<<20 {
		t.Errorf("the server read %d bytes ahead of a reader that took one record", got)
	}
}

func TestCloseEndsStreams(t *testing.T) {
	h := newBench(t, Config{})
	h.write(h.topic("orders", 1), 0, time.Now(), "a")
	lines, _ := h.stream("from=start&follow=true")
	nextLine(t, lines)
	if err := h.s.Close(t.Context()); err != nil {
		t.Errorf("close: got %v, want nil", err)
	}
	if lines.Scan() {
		t.Errorf("got another line %s, want the end", lines.Text())
	}
}

// The stream reads to the end, the topic goes, then the stream begins to wait: no
// wake-up comes any more.
func TestStreamEndsThoughItsTopicWentBeforeItWaited(t *testing.T) {
	h := newBench(t, Config{})
	orders := h.topic("orders", 1)
	m := &merge{topic: "orders", sources: []*source{newSource(orders.Partition(0), 0, true)},
		budget: 1 << 20, exists: func() error {
			_, err := h.b.TopicByID(orders.ID())
			return err
		}}
	h.want(200, "DELETE", "/api/v1/topics/orders", "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := m.wait(ctx); broker.KindOf(err) != broker.NotFound {
		t.Errorf("got %v, want not found", err)
	}
}
