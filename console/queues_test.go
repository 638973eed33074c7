package console

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// oneArgument has one argument and keeps properties as text.
type oneArgument struct{}

func (oneArgument) Queue(spec *broker.QueueSpec) error {
	s, args := &spec.Settings, spec.Args
	n, ok, err := args.Int("x-max-length")
	if ok {
		s.MaxLength = &n
	}
	if text, ok, _ := args.Text("x-overflow"); ok && text == "reject-publish" {
		s.Overflow = broker.RejectPublish
	}
	s.DeadLetterTo, s.DeadLetters, _ = args.Text("x-dead-letter-exchange")
	if key, ok, _ := args.Text("x-dead-letter-routing-key"); ok {
		s.DeadLetterKey = &key
	}
	return err
}

func (oneArgument) Alternate(args broker.Args) (string, error) {
	name, _, err := args.Text("alternate-exchange")
	return name, err
}

func (oneArgument) Describe(rec *broker.QueueRecord, properties broker.Args) error {
	n, _, err := properties.Int("priority")
	rec.Priority = uint8(n)
	return err
}

func queueBench(t *testing.T) *bench { return newBench(t, Config{Queues: oneArgument{}}) }

func (h *bench) queue(body string) {
	h.t.Helper()
	h.want(201, "POST", "/api/v1/queues", body)
}

// put publishes values into a queue.
func (h *bench) put(queue string, values ...string) {
	h.t.Helper()
	var doc QueuePublish
	for _, v := range values {
		doc.Records = append(doc.Records, NewQueueRecord{Value: &v})
	}
	body, _ := json.Marshal(doc)
	h.want(200, "POST", "/api/v1/queues/"+queue+"/records", string(body))
}

// lines reads a stream to its end.
func lines[T any](t *testing.T, text string) (all []T) {
	t.Helper()
	for line := range strings.Lines(text) {
		var doc T
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, doc)
	}
	return all
}

func (h *bench) look(queue string) (values []string) {
	h.t.Helper()
	for _, r := range lines[QueueRecord](h.t, h.want(200, "GET", "/api/v1/queues/"+queue+"/records", "")) {
		values = append(values, *r.Value)
	}
	return values
}

func TestQueuesAreCreatedShownAndDeleted(t *testing.T) {
	h := queueBench(t)
	h.queue(`{"name":"jobs","args":{"x-max-length":2,"x-overflow":"reject-publish"}}`)
	h.put("jobs", "a", "b")
	got := fetch[QueueDetail](h, "/api/v1/queues/jobs")
	two := int64(2)
	want := QueueDetail{
		Queue:    Queue{Name: "jobs", ID: got.ID, Durable: true, Ready: 2, Bytes: got.Bytes},
		Args:     map[string]any{"x-max-length": 2.0, "x-overflow": "reject-publish"},
		Settings: QueueSettings{MaxLength: &two, Overflow: "reject-publish"}, Counts: QueueCounts{Published: 2},
		Policies: []string{}, Bindings: []Binding{}, OldestSeconds: got.OldestSeconds,
	}
	if !reflect.DeepEqual(got, want) || got.OldestSeconds < 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if list := fetch[Queues](h, "/api/v1/queues").Queues; len(list) != 1 || list[0] != got.Queue {
		t.Errorf("list: got %+v, want %+v", list, got.Queue)
	}
	full := h.want(200, "POST", "/api/v1/queues/jobs/records", `{"records":[{"value":"c"}]}`)
	if !strings.Contains(full, `{"queues":0,"refused":true}`) {
		t.Errorf("publish to a full queue: got %s", full)
	}
	h.wantProblem(409, "exists", "POST", "/api/v1/queues", `{"name":"jobs"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/queues", `{"name":"amq.x"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/queues", `{"name":"y","args":{"x-max-length":"many"}}`)
	h.wantProblem(409, "conflict", "DELETE", "/api/v1/queues/jobs?ifEmpty=true", `{}`)
	h.wantProblem(400, "invalid", "DELETE", "/api/v1/queues/jobs?ifempty=true", `{}`)
	if p := h.wantProblem(404, "not_found", "GET", "/api/v1/queues/jbos", ""); p.Hint != "did you mean jobs?" {
		t.Errorf("hint: got %q", p.Hint)
	}
	if got := h.want(200, "POST", "/api/v1/queues/jobs/purge", `{}`); !strings.Contains(got, `"purged":2`) {
		t.Errorf("purge: got %s", got)
	}
	h.want(200, "DELETE", "/api/v1/queues/jobs?ifEmpty=true", `{}`)
	h.wantProblem(404, "not_found", "DELETE", "/api/v1/queues/jobs", `{}`)
}

func TestExchangesLeadToQueues(t *testing.T) {
	h := queueBench(t)
	h.queue(`{"name":"mail"}`)
	h.want(201, "POST", "/api/v1/exchanges", `{"name":"shop","type":"topic","args":{"alternate-exchange":"amq.fanout"}}`)
	h.want(201, "POST", "/api/v1/exchanges/shop/bindings", `{"queue":"mail","key":"order.*"}`)
	h.want(201, "POST", "/api/v1/exchanges/shop/bindings", `{"toExchange":"amq.direct","key":"#"}`)
	got := fetch[ExchangeDetail](h, "/api/v1/exchanges/shop")
	want := ExchangeDetail{
		Exchange: Exchange{Name: "shop", Type: "topic", Durable: true, Alternate: "amq.fanout", BoundTo: 2},
		Args:     map[string]any{"alternate-exchange": "amq.fanout"},
		Bindings: []Binding{{Source: "shop", ToExchange: "amq.direct", Key: "#"},
			{Source: "shop", Queue: "mail", Key: "order.*"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	answer := h.want(200, "POST", "/api/v1/exchanges/shop/records",
		`{"records":[{"key":"order.created","value":"hello"},{"key":"other","value":"nowhere"}]}`)
	if answer != `{"records":[{"queues":1,"refused":false},{"queues":0,"refused":false}]}`+"\n" {
		t.Errorf("publish: got %s", answer)
	}
	if got := h.look("mail"); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("mail has %q", got)
	}
	h.want(200, "POST", "/api/v1/exchanges/amq.default/records", `{"records":[{"key":"mail","value":"x"}]}`)
	for _, x := range fetch[Exchanges](h, "/api/v1/exchanges").Exchanges {
		if (x.Name != "shop") != x.BuiltIn {
			t.Errorf("exchange %s: built in %v", x.Name, x.BuiltIn)
		}
	}
	h.want(200, "DELETE", "/api/v1/exchanges/shop/bindings", `{"queue":"mail","key":"order.*"}`)
	h.wantProblem(404, "not_found", "DELETE", "/api/v1/exchanges/shop/bindings", `{"queue":"mail","key":"order.*"}`)
	h.wantProblem(409, "conflict", "DELETE", "/api/v1/exchanges/shop?ifUnused=true", `{}`)
	h.want(200, "DELETE", "/api/v1/exchanges/shop", `{}`)
	h.wantProblem(404, "not_found", "GET", "/api/v1/exchanges/shop", "")
	h.wantProblem(400, "invalid", "DELETE", "/api/v1/exchanges/amq.topic", `{}`)
	h.wantProblem(400, "invalid", "DELETE", "/api/v1/exchanges/amq.default", `{}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/exchanges", `{"name":"x","type":"square"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/exchanges/amq.default/bindings", `{"queue":"mail"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/exchanges/amq.topic/bindings", `{"key":"k"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/exchanges/amq.rabbitmq.trace/records",
		`{"records":[{"value":"x"}]}`)
}

func TestBrowsingTakesNothing(t *testing.T) {
	h := queueBench(t)
	h.queue(`{"name":"jobs"}`)
	h.put("jobs", "a", "b", "c")
	for range 2 {
		if got := h.look("jobs"); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("got %q", got)
		}
	}
	some := lines[QueueRecord](t, h.want(200, "GET", "/api/v1/queues/jobs/records?limit=2", ""))
	if len(some) != 2 || some[0].Deliveries != 0 || some[1].Offset != 1 || some[0].Key != "jobs" {
		t.Errorf("got %+v", some)
	}
	if st := fetch[QueueDetail](h, "/api/v1/queues/jobs"); st.Ready != 3 || st.Counts.Delivered != 0 {
		t.Errorf("got %+v, want 3 ready and none delivered", st)
	}
	h.wantProblem(400, "invalid", "GET", "/api/v1/queues/jobs/records?limit=0", "")
	h.wantProblem(400, "invalid", "GET", "/api/v1/queues/jobs/records?limit=10001", "")
	h.wantProblem(400, "invalid", "GET", "/api/v1/queues/jobs/records?from=start", "")
}

// eater is a client that consumes.
type eater struct {
	h    *bench
	resp *http.Response
	in   *bufio.Scanner
	name string
}

func (h *bench) eat(queue, body string) *eater {
	h.t.Helper()
	resp, err := http.DefaultClient.Do(h.request("POST", "/api/v1/queues/"+queue+"/consume", body))
	if err != nil || resp.StatusCode != 200 {
		h.t.Fatalf("consume: %v, %v", resp, err)
	}
	e := &eater{h: h, resp: resp, in: bufio.NewScanner(resp.Body)}
	h.t.Cleanup(func() { resp.Body.Close() })
	first, _ := e.line()
	e.name = first.Consumer
	return e
}

func (e *eater) line() (doc ConsumeLine, more bool) {
	e.h.t.Helper()
	if !e.in.Scan() {
		return doc, false
	}
	if err := json.Unmarshal(e.in.Bytes(), &doc); err != nil {
		e.h.t.Fatal(err)
	}
	return doc, true
}

func (e *eater) want(values ...string) (last int64) {
	e.h.t.Helper()
	for _, v := range values {
		doc, more := e.line()
		if !more || doc.Value == nil || *doc.Value != v {
			e.h.t.Fatalf("got %+v, want %s", doc, v)
		}
		last = doc.Delivery
	}
	return last
}

func (e *eater) settle(upTo int64, outcome string) string {
	e.h.t.Helper()
	return e.h.want(200, "POST", "/api/v1/consumers/"+e.name+"/settle",
		fmt.Sprintf(`{"upTo":%d,"outcome":%q}`, upTo, outcome))
}

func TestConsumingSettlesWhatIsSaidAndReturnsTheRest(t *testing.T) {
	h := queueBench(t)
	h.queue(`{"name":"jobs"}`)
	h.put("jobs", "a", "b", "c", "d")
	e := h.eat("jobs", `{"follow":true,"prefetch":3}`)
	last := e.want("a", "b", "c")
	if got := e.settle(last-1, "accept"); !strings.Contains(got, `"settled":2`) {
		t.Errorf("settle: got %s", got)
	}
	e.want("d")
	h.put("jobs", "e")
	e.want("e")
	if got := e.settle(last-1, "accept"); !strings.Contains(got, `"settled":0`) {
		t.Errorf("settle again: got %s", got)
	}
	e.resp.Body.Close() // c, d and e go back
	again := h.eat("jobs", `{"limit":3}`)
	doc, _ := again.line()
	for doc.Value == nil { // the stream before had not ended yet
		again = h.eat("jobs", `{"limit":3}`)
		doc, _ = again.line()
	}
	if *doc.Value != "c" || doc.Deliveries != 1 {
		t.Errorf("got %+v, want c, delivered once before", doc)
	}
	again.settle(again.want("d", "e"), "accept")
	if _, more := again.line(); more {
		t.Error("the stream goes on beyond its limit")
	}
	if got := h.look("jobs"); got != nil {
		t.Errorf("%q are left", got)
	}
	h.wantProblem(404, "not_found", "POST", "/api/v1/consumers/nobody/settle", `{"upTo":1,"outcome":"accept"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/consumers/nobody/settle", `{"upTo":1,"outcome":"ack"}`)
	h.wantProblem(400, "invalid", "POST", "/api/v1/queues/jobs/consume", `{"prefetch":5001}`)
}

func TestConsumingEndsWhereNothingIsReady(t *testing.T) {
	h := queueBench(t)
	h.queue(`{"name":"jobs"}`)
	h.put("jobs", "a", "b", "c")
	e := h.eat("jobs", `{"prefetch":2}`)
	e.settle(e.want("a", "b"), "accept")
	e.settle(e.want("c"), "requeue")
	if _, more := e.line(); more {
		t.Error("the stream goes on")
	}
	e = h.eat("jobs", `{}`)
	e.settle(e.want("c"), "reject")
	if st := fetch[QueueDetail](h, "/api/v1/queues/jobs"); st.Ready+st.Leased != 0 || st.Counts.Rejected != 1 {
		t.Errorf("got %+v", st)
	}
}

// deadBench has a queue jobs of which "a", "b" and "c" have died into dead.
func deadBench(t *testing.T) *bench {
	h := queueBench(t)
	h.queue(`{"name":"dead"}`)
	h.queue(`{"name":"jobs","args":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"dead"}}`)
	h.put("jobs", "a", "b", "c")
	e := h.eat("jobs", `{}`)
	e.settle(e.want("a", "b", "c"), "reject")
	e.line()
	return h
}

func (h *bench) redrive(body string) []Redriven {
	h.t.Helper()
	return lines[Redriven](h.t, h.want(200, "POST", "/api/v1/queues/dead/redrive", body))
}

func TestRedriveTakesRecordsBackToWhereTheyDied(t *testing.T) {
	h := deadBench(t)
	row := fetch[DeadLetters](h, "/api/v1/deadletters").DeadLetters
	want := []DeadLetterQueue{{Queue: "dead", Ready: 3, OldestSeconds: row[0].OldestSeconds, Examined: 3,
		From: []string{"jobs"}, Reasons: []DeathCount{{"rejected", 3}}}}
	if !reflect.DeepEqual(row, want) {
		t.Errorf("got %+v, want %+v", row, want)
	}
	first := lines[QueueRecord](t, h.want(200, "GET", "/api/v1/queues/dead/records?limit=1", ""))[0]
	if d := first.Deaths; len(d) != 1 || d[0].Queue != "jobs" || d[0].Reason != "rejected" || d[0].Count != 1 {
		t.Errorf("deaths: got %+v", d)
	}
	if got := h.redrive(`{"max":1}`); len(got) != 1 || got[0].Moved != 1 || !got[0].Done || got[0].Total != 1 {
		t.Errorf("one: got %+v", got)
	}
	h.put("dead", "stranger")
	got := h.redrive(`{}`)
	if last := got[len(got)-1]; last.Moved != 2 || last.Skipped != 1 || !last.Done || len(last.Why) != 1 {
		t.Errorf("all: got %+v", got)
	}
	if got := h.look("jobs"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("jobs has %q", got)
	}
	if got := h.look("dead"); !slices.Equal(got, []string{"stranger"}) {
		t.Errorf("dead has %q", got)
	}
	h.queue(`{"name":"other"}`)
	h.redrive(`{"to":"other"}`)
	if got := h.look("other"); !slices.Equal(got, []string{"stranger"}) {
		t.Errorf("other has %q", got)
	}
	h.wantProblem(400, "invalid", "POST", "/api/v1/queues/dead/redrive", `{"to":"dead"}`)
	h.wantProblem(404, "not_found", "POST", "/api/v1/queues/dead/redrive", `{"to":"nothing"}`)
}

func TestRedriveLosesNothingWhereTheQueueIsFull(t *testing.T) {
	h := deadBench(t)
	h.queue(`{"name":"small","args":{"x-max-length":2,"x-overflow":"reject-publish"}}`)
	got := h.redrive(`{"to":"small"}`)
	var last ErrorDocument
	body := h.want(200, "POST", "/api/v1/queues/dead/redrive", `{"to":"small"}`)
	if err := json.Unmarshal([]byte(body), &last); err != nil || last.Error.Code != "full" {
		t.Errorf("got %+v and %s, want an error full", got, body)
	}
	if got := h.look("dead"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("dead has %q, want all three in order", got)
	}
}

func TestQueuesAreInLagAndMetrics(t *testing.T) {
	h := newBench(t, Config{Queues: oneArgument{}, Limits: Limits{MetricQueues: 2}, Now: time.Now})
	for _, name := range []string{"a", "b", "c", "d"} {
		h.queue(`{"name":"` + name + `"}`)
		h.put(name, "x")
	}
	h.put("a", "y")
	e := h.eat("a", `{"limit":1}`)
	e.want("x")
	lag := fetch[Lags](h, "/api/v1/lag?queue=a").Queues
	if len(lag) != 1 || lag[0].Ready != 1 || lag[0].Leased != 1 || lag[0].OldestSeconds < 0 {
		t.Errorf("lag of one: got %+v", lag)
	}
	if all := fetch[Lags](h, "/api/v1/lag").Queues; len(all) != 4 {
		t.Errorf("lag: got %+v, want 4 queues", all)
	}
	text := h.want(200, "GET", "/metrics", "")
	for _, want := range []string{
		`tidings_queue_ready_records{queue="a"} 1`, `tidings_queue_leased_records{queue="a"} 1`,
		`tidings_queue_published_total{queue="a"} 2`, `tidings_queue_delivered_total{queue="a"} 1`,
		`tidings_queue_ready_records{queue="_other"} 2`, `tidings_queue_published_total{queue="_other"} 2`,
		`tidings_queue_accepted_total{queue="b"} 0`, `tidings_queues 4`, `tidings_exchanges 7`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics: want %s", want)
		}
	}
	if strings.Contains(text, `queue="c"`) {
		t.Error("metrics: more queues than the limit have series of their own")
	}
	q, _, err := h.b.DeclareQueue(t.Context(), broker.QueueSpec{Name: "mine", Owner: h})
	if err != nil {
		t.Fatal(err)
	}
	h.put("mine", "x")
	if _, err := h.b.DeleteQueue(t.Context(), q, broker.DeleteOptions{Owner: h}); err != nil {
		t.Fatal(err)
	}
	for want := `tidings_queue_published_total{queue="_other"} 3`; !strings.Contains(text, want); {
		if t.Context().Err() != nil {
			t.Fatal("an exclusive queue that is gone is not in the sum")
		}
		text = h.want(200, "GET", "/metrics", "") // its deletion is told soon
	}
}

// A publisher may give any time: one that JSON has no word for must not hide what waits behind it.
func TestTimesThatJSONDoesNotHaveAreNumbers(t *testing.T) {
	for at, want := range map[int64]string{0: `"1970-01-01T00:00:00Z"`, 1 << 40: "1099511627776", -1 << 40: "-1099511627776"} {
		got, err := json.Marshal(argDocument(time.Unix(at, 0)))
		if err != nil || string(got) != want {
			t.Errorf("%d: got %s, %v, want %s", at, got, err, want)
		}
	}
}
