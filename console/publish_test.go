package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

func TestPublishedRecordsAreReadBackAsTheyWere(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	h := newBench(t, Config{Now: func() time.Time { return now }})
	h.topic("orders", 1)
	h.want(200, "POST", "/api/v1/topics/orders/records", `{"records":[
		{"key":"o-1","value":"<a&b>","headers":[{"key":"n","value":"1"},{"key":"n","value":null}]},
		{"keyBase64":"/w==","valueBase64":"/wA=","time":"2026-01-01T00:00:00Z"},
		{"value":""},
		{}]}`)
	got := h.want(200, "GET", "/api/v1/topics/orders/records?from=start", "")
	want := `{"topic":"orders","partition":0,"offset":0,"time":"2026-01-31T12:00:00Z","key":"o-1",` +
		`"value":"<a&b>","headers":[{"key":"n","value":"1"},{"key":"n","value":null}]}
{"topic":"orders","partition":0,"offset":1,"time":"2026-01-01T00:00:00Z","key":null,"keyBase64":"/w==",` +
		`"value":null,"valueBase64":"/wA="}
{"topic":"orders","partition":0,"offset":2,"time":"2026-01-31T12:00:00Z","key":null,"value":""}
{"topic":"orders","partition":0,"offset":3,"time":"2026-01-31T12:00:00Z","key":null,"value":null}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlacesAreInTheOrderOfTheRequest(t *testing.T) {
	h := newBench(t, Config{})
	h.topic("orders", 3)
	answer := h.want(200, "POST", "/api/v1/topics/orders/records", `{"records":[
		{"value":"a","partition":2},{"value":"b","partition":0},{"value":"c","partition":2},
		{"value":"d","key":"21"}]}`)
	var got Published
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	byKey := broker.KeyPartition([]byte("21"), 3)
	want := []Place{{"orders", 2, 0}, {"orders", 0, 0}, {"orders", 2, 1}, {"orders", byKey, 0}}
	if byKey == 0 {
		want[3].Offset = 1
	}
	if byKey == 2 {
		want[3].Offset = 2
	}
	if !reflect.DeepEqual(got.Records, want) {
		t.Errorf("got %v, want %v", got.Records, want)
	}
}

func TestPublishIsAllOrNothing(t *testing.T) {
	h := newBench(t, Config{})
	h.topic("orders", 2)
	p := h.wantProblem(400, "invalid", "POST", "/api/v1/topics/orders/records",
		`{"records":[{"value":"a"},{"value":"b","partition":2}]}`)
	if want := "record 1: topic orders has no partition 2 (it has 2, from 0)"; p.Message != want {
		t.Errorf("got %q, want %q", p.Message, want)
	}
	h.wantProblem(400, "invalid", "POST", "/api/v1/topics/orders/records",
		`{"records":[{"value":"a"},{"value":"b","valueBase64":"aGk="}]}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/topics/orders/records", `{"records":[]}`)
	if got := fetch[TopicDetail](h, "/api/v1/topics/orders").Records; got != 0 {
		t.Errorf("got %d records, want none", got)
	}
}

func TestRequestBeyondALimitIsRefused(t *testing.T) {
	h := newBench(t, Config{Limits: Limits{BodyBytes: 1000, PublishRecords: 2}})
	h.topic("orders", 1)
	const path = "/api/v1/topics/orders/records"
	h.wantProblem(413, "too_large", "POST", path, `{"records":[{},{},{}]}`)
	h.wantProblem(413, "too_large", "POST", path,
		`{"records":[{"value":"`+strings.Repeat("x", 1000)+`"}]}`)
}

func TestManyRecordsOfOnePartitionAreSplitIntoBatches(t *testing.T) {
	h := newBench(t, Config{})
	h.topic("orders", 1)
	value := strings.Repeat("x", 300<<10)
	h.want(200, "POST", "/api/v1/topics/orders/records",
		fmt.Sprintf(`{"records":[{"value":%q},{"value":%q},{"value":%q}]}`, value, value, value))
	h.b.Observe(&broker.Delivered{Partition: mustTopic(t, h, "orders").Partition(0)})
	if got := fetch[TopicDetail](h, "/api/v1/topics/orders").PartitionList[0].End; got != 3 {
		t.Errorf("got end %d, want 3", got)
	}
}

func TestUnknownTopicIsCreatedOnlyWhereAllowed(t *testing.T) {
	h := newBench(t, Config{})
	h.wantProblem(404, "not_found", "POST", "/api/v1/topics/orders/records", `{"records":[{}]}`)
	h = newBench(t, Config{AutoCreate: true, Partitions: 3})
	h.want(200, "POST", "/api/v1/topics/orders/records", `{"records":[{}]}`)
	if got := fetch[TopicDetail](h, "/api/v1/topics/orders"); got.Partitions != 3 ||
		got.Records != 1 {
		t.Errorf("got %+v, want 3 partitions and 1 record", got)
	}
	h.wantProblem(400, "invalid", "POST", "/api/v1/topics/no%20name/records", `{"records":[{}]}`)
}

func mustTopic(t *testing.T, h *bench, name string) *broker.Topic {
	t.Helper()
	topic, err := h.b.Topic("", name)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func TestSlowBodyIsGivenUp(t *testing.T) {
	h := newBench(t, Config{Limits: Limits{BodyTime: 20 * time.Millisecond}})
	h.topic("orders", 1)
	c, err := net.Dial("tcp", h.s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /api/v1/topics/orders/records HTTP/1.1\r\nHost: localhost\r\n"+
		"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	answer, _ := io.ReadAll(c) // it also ends the connection
	if got := string(answer); !strings.HasPrefix(got, "HTTP/1.1 408 ") ||
		!strings.Contains(got, `"code":"timeout"`) {
		t.Errorf("got %q, want 408 timeout", got)
	}
}
