package management

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

const (
	missingDoc = `{"error":"Object Not Found","reason":"Not Found"}`
	empty      = ``
)

// steps are requests, one after the other, with what they are answered.
var steps = []struct {
	method, path, body string
	status             int
	want               string // of the body; without braces: it is part of it
}{
	// Who is there.
	{"GET", "/api/whoami", "", 200, `{"is_internal_user":true,"name":"guest","tags":["administrator"]}`},
	{"GET", "/api/overview", "", 200, `"product_name":"Tidings"`},
	{"GET", "/api/nodes/tidings@localhost", "", 200, `"running":true`},
	{"GET", "/api/nodes/rabbit@localhost", "", 404, missingDoc},
	{"GET", "/api/vhosts/%2F", "", 200, `"name":"/"`},
	{"GET", "/api/vhosts/%2f/", "", 200, `"name":"/"`},
	{"GET", "/api/vhosts/other", "", 404, missingDoc},
	{"GET", "/api/users/guest", "", 200, `"limits":{},"name":"guest"`},
	{"GET", "/api/users/other", "", 404, missingDoc},
	{"GET", "/api/permissions/%2F/guest", "", 200,
		`{"configure":".*","read":".*","user":"guest","vhost":"/","write":".*"}`},

	// What is not there, or not built.
	{"GET", "/", "", 404, missingDoc},
	{"GET", "/api/no/such/thing", "", 404, missingDoc},
	{"PATCH", "/api/whoami", "", 405, `method_not_allowed`},
	{"PUT", "/api/cluster-name", "{}", 501, noName},
	{"GET", "/api/vhost-limits", "", 501, noLimits},

	// Queues.
	{"PUT", "/api/queues/%2F/q", `{"durable":"true","arguments":{"x-max-length":7}}`, 201, empty},
	{"PUT", "/api/queues/%2F/q", `{"durable":true,"arguments":{"x-max-length":7}}`, 204, empty},
	{"PUT", "/api/queues/%2F/q", `{"durable":false}`, 400, `{"error":"bad_request","reason":"inequivalent arg ` +
		`'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"}`},
	{"PUT", "/api/queues/%2F/q", `[`, 400, `not_json`},
	{"PUT", "/api/queues/%2F/q2", `{"arguments":{"x-message-ttl":"soon"}}`, 400, `invalid arg 'x-message-ttl'`},
	{"PUT", "/api/queues/%2F/amq.q", ``, 401, `contains reserved prefix`},
	{"PUT", "/api/queues/other/q", ``, 404, missingDoc},
	{"GET", "/api/queues/%2F/q", "", 200, `"arguments":{"x-max-length":7}`},
	{"GET", "/api/queues/%2F/none", "", 404, missingDoc},

	// Streams, which are topics.
	{"PUT", "/api/queues/%2F/s", `{"durable":true,"arguments":{"x-queue-type":"stream"}}`, 201, empty},
	{"PUT", "/api/queues/%2F/s", `{"durable":true,"arguments":{"x-queue-type":"stream"}}`, 204, empty},
	{"POST", "/api/exchanges/%2F/amq.default/publish", `{"properties":{},"routing_key":"s","payload":"hello",` +
		`"payload_encoding":"string"}`, 200, `{"routed":true}`},
	{"GET", "/api/queues/%2F?columns=name,type,messages", "", 200,
		`[{"messages":0,"name":"q","type":"classic"},{"messages":1,"name":"s","type":"stream"}]`},
	{"GET", "/api/queues/%2F/s", "", 200, `"arguments":{"x-queue-type":"stream"},"auto_delete":false,` +
		`"consumer_details":[],"consumers":0,"durable":true,"exclusive":false,`},
	{"POST", "/api/queues/%2F/s/get", `{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}`, 501,
		`basic.get not supported by stream queues queue 's' in vhost '/'`},
	{"DELETE", "/api/queues/%2F/s/contents", "", 501, `purge not supported by queue 's' in vhost '/'`},
	{"POST", "/api/bindings/%2F/e/amq.fanout/q/s", `{}`, 201, empty},
	{"GET", "/api/bindings/%2F/e/amq.fanout/q/s", "", 200, `"destination":"s","destination_type":"queue"`},
	{"GET", "/api/queues/%2F/s/bindings?columns=source", "", 200, `[{"source":""},{"source":"amq.fanout"}]`},
	{"DELETE", "/api/bindings/%2F/e/amq.fanout/q/s/~", "", 204, empty},
	{"DELETE", "/api/queues/%2F/s?if-empty=true", "", 400, `queue 's' in vhost '/' not empty`},
	{"DELETE", "/api/queues/%2F/s", "", 204, empty},
	{"GET", "/api/queues/%2F/s", "", 404, missingDoc},

	// Exchanges and bindings.
	{"PUT", "/api/exchanges/%2F/x", `{"type":"topic","durable":true}`, 201, empty},
	{"PUT", "/api/exchanges/%2F/x", `{"type":"topic","durable":true}`, 204, empty},
	{"PUT", "/api/exchanges/%2F/x", `{"type":"fanout","durable":true}`, 400, `inequivalent arg 'type'`},
	{"GET", "/api/exchanges/%2F/x", "", 200, `{"arguments":{},"auto_delete":false,"durable":true,` +
		`"internal":false,"name":"x","type":"topic","vhost":"/"}`},
	{"POST", "/api/bindings/%2F/e/x/q/q", `{"routing_key":"a/b.#"}`, 201, empty},
	{"POST", "/api/bindings/%2F/e/x/q/none", `{}`, 404, missingDoc},
	{"POST", "/api/bindings/%2F/e/amq.fanout/e/x", `{}`, 201, empty},
	{"GET", "/api/bindings/%2F/e/x/q/q", "", 200, `[{"arguments":{},"destination":"q","destination_type":"queue",` +
		`"properties_key":"a%2Fb.%23","routing_key":"a/b.#","source":"x","vhost":"/"}]`},
	{"GET", "/api/bindings/%2F/e/x/q/q/a%252Fb.%2523", "", 200, `"routing_key":"a/b.#"`},
	{"GET", "/api/bindings/%2F/e/x/q/q/other", "", 404, missingDoc},
	{"GET", "/api/bindings/%2F/e/amq.fanout/e/x/~", "", 200, `"destination_type":"exchange"`},
	{"GET", "/api/exchanges/%2F/x/bindings/source", "", 200, `"destination":"q"`},
	{"GET", "/api/exchanges/%2F/x/bindings/destination", "", 200, `"source":"amq.fanout"`},
	{"GET", "/api/queues/%2F/q/bindings?columns=source", "", 200, `[{"source":""},{"source":"x"}]`},

	// Messages.
	{"POST", "/api/exchanges/%2F/x/publish", `{"routing_key":"a/b.c","properties":{"delivery_mode":2,` +
		`"headers":{"n":1}},"payload":"hello","payload_encoding":"string"}`, 200, `{"routed":true}`},
	{"POST", "/api/exchanges/%2F/x/publish", `{"routing_key":"other","properties":{},"payload":"",` +
		`"payload_encoding":"string"}`, 200, `{"routed":false}`},
	{"POST", "/api/exchanges/%2F/amq.default/publish", `{"routing_key":"q","properties":[],"payload":"/w==",` +
		`"payload_encoding":"base64"}`, 200, `{"routed":true}`},
	{"POST", "/api/exchanges/%2F/x/publish", `{"routing_key":"k"}`, 400, `key_missing`},
	{"POST", "/api/exchanges/%2F/x/publish", `{"routing_key":"k","properties":{"expiration":"soon"},"payload":"",` +
		`"payload_encoding":"string"}`, 400, `invalid expiration`},
	{"POST", "/api/exchanges/%2F/none/publish", `{}`, 404, missingDoc},
	{"POST", "/api/queues/%2F/q/get", `{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}`, 200,
		`[{"exchange":"x","message_count":1,"payload":"hello","payload_bytes":5,"payload_encoding":"string",` +
			`"properties":{"delivery_mode":2,"headers":{"n":1}},"redelivered":false,"routing_key":"a/b.c"}]`},
	{"POST", "/api/queues/%2F/q/get", `{"count":"9","ackmode":"ack_requeue_false","encoding":"auto","truncate":2}`,
		200, `[{"exchange":"x","message_count":1,"payload":"he","payload_bytes":5,"payload_encoding":"string",` +
			`"properties":{"delivery_mode":2,"headers":{"n":1}},"redelivered":true,"routing_key":"a/b.c"},` +
			`{"exchange":"","message_count":0,"payload":"/w==","payload_bytes":1,"payload_encoding":"base64",` +
			`"properties":{},"redelivered":false,"routing_key":"q"}]`},
	{"POST", "/api/queues/%2F/q/get", `{"count":1,"ackmode":"keep","encoding":"auto"}`, 400, `key_missing`},
	{"GET", "/api/queues?columns=name,messages,message_stats.publish", "", 200,
		`[{"message_stats":{"publish":2},"messages":0,"name":"q"}]`},
	{"PUT", "/api/exchanges/%2F/later", `{"type":"x-delayed-message","arguments":{"x-delayed-type":"fanout"}}`,
		201, empty},
	{"POST", "/api/exchanges/%2F/later/publish", `{"routing_key":"","properties":{"headers":{"x-delay":60000}},` +
		`"payload":"","payload_encoding":"string"}`, 200, `{"routed":true}`},
	{"GET", "/api/exchanges/%2F/later?columns=messages_delayed", "", 200, `{"messages_delayed":1}`},
	{"DELETE", "/api/exchanges/%2F/later", "", 204, empty},
	{"DELETE", "/api/queues/%2F/q/contents", "", 204, empty},

	// Checks.
	{"GET", "/api/aliveness-test/%2F", "", 200, `{"status":"ok"}`},
	{"GET", "/api/health/checks/alarms", "", 200, `{"status":"ok"}`},
	{"GET", "/api/health/checks/local-alarms", "", 200, `{"status":"ok"}`},
	{"GET", "/api/health/checks/virtual-hosts", "", 200, `{"status":"ok"}`},
	{"GET", "/api/health/checks/port-listener/1", "", 503, `"reason":"No active listener"`},
	{"GET", "/api/health/checks/protocol-listener/amqp091", "", 200, `{"protocol":"amqp091","status":"ok"}`},
	{"GET", "/api/health/checks/protocol-listener/mqtt", "", 503, `{"missing":"mqtt","protocols":["amqp","http"],` +
		`"reason":"No active listener","status":"failed"}`},

	// And away with it.
	{"DELETE", "/api/bindings/%2F/e/x/q/q/a%252Fb.%2523", "", 204, empty},
	{"DELETE", "/api/bindings/%2F/e/x/q/q/a%252Fb.%2523", "", 404, missingDoc},
	{"DELETE", "/api/exchanges/%2F/amq.topic", "", 401, `deletion of system exchange`},
	{"DELETE", "/api/exchanges/%2F/x?if-unused=true", "", 204, empty},
	{"DELETE", "/api/exchanges/%2F/x", "", 404, missingDoc},
	{"DELETE", "/api/queues/%2F/q?if-empty=true", "", 204, empty},
	{"DELETE", "/api/queues/%2F/q", "", 404, missingDoc},
}

func TestRequestsAreAnsweredAsByRabbitMQ(t *testing.T) {
	x := start(t, Config{})
	for _, step := range steps {
		status, got, h := x.send(x.request(step.method, step.path, step.body))
		whole := step.want == empty || strings.ContainsAny(step.want[:1], "{[")
		if status != step.status || whole && got != step.want || !strings.Contains(got, step.want) {
			t.Errorf("%s %s %s\ngot  %d %s\nwant %d %s", step.method, step.path, step.body, status, got,
				step.status, step.want)
		}
		if got != "" && h.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %q", step.method, step.path, h.Get("Content-Type"))
		}
	}
}

func TestABindingIsFoundWhereItsLocationSays(t *testing.T) {
	x := start(t, Config{})
	x.do("PUT", "/api/queues/%2F/q", "", 201)
	for _, body := range []string{`{}`, `{"routing_key":"a ~/%"}`, `{"arguments":{"x-match":"all","n":1}}`,
		`{"routing_key":"k","arguments":{"n":[1.5,{"deep":null}]}}`} {
		_, _, h := x.send(x.request("POST", "/api/bindings/%2F/e/amq.headers/q/q", body))
		x.do("GET", h.Get("Location"), "", 200)
		x.do("DELETE", h.Get("Location"), "", 204)
		x.do("GET", h.Get("Location"), "", 404)
	}
}

// "503 while the disk is nearly full, or the process takes more than its memory limit"
func TestMemoryAboveItsLimitIsAnAlarm(t *testing.T) {
	x := start(t, Config{})
	x.amqp.SetMemoryLimit(1)
	want := `{"alarms":[{"node":"tidings@localhost","resource":"memory"}],` +
		`"reason":"There are alarms in effect in the cluster","status":"failed"}`
	if got := x.do("GET", "/api/health/checks/alarms", "", 503); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if node := get[[]object](x, "/api/nodes")[0]; node["mem_alarm"] != true || node["mem_limit"] != 1.0 {
		t.Errorf("got %v, want an alarm at 1 byte", node)
	}
	x.amqp.SetMemoryLimit(0)
	x.do("GET", "/api/health/checks/alarms", "", 200)
}

func TestWhoMayNotConnectMayNotAsk(t *testing.T) {
	x := start(t, Config{})
	for _, password := range []string{"", "wrong"} {
		r := x.request("GET", "/api/overview", "")
		r.SetBasicAuth("guest", password)
		if status, body, h := x.send(r); status != 401 || h.Get("WWW-Authenticate") == "" ||
			body != `{"error":"not_authorized","reason":"Login failed"}` {
			t.Errorf("password %q: %d %s", password, status, body)
		}
	}
	r := x.request("GET", "/api/overview", "")
	r.Header.Del("Authorization")
	if status, _, _ := x.send(r); status != 401 {
		t.Errorf("no password: %d", status)
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	x := start(t, Config{Hosts: []string{"broker.test"}})
	own := "http://" + x.m.Addr().String()
	for _, test := range []struct {
		host, origin, site string
		want               int
	}{
		{"", "", "", 200},
		{"localhost:1", "", "", 200},
		{"broker.test", "", "", 200},
		{"", own, "same-origin", 200},
		{"rebound.example", "", "", 403},
		{"8.8.8.8:15672", "", "", 403},
		{"", "http://evil.example", "", 403},
		{"", "null", "", 403},
		{"", "", "cross-site", 403},
		{"", "", "same-site", 403},
	} {
		r := x.request("GET", "/api/whoami", "")
		if test.host != "" {
			r.Host = test.host
		}
		for name, v := range map[string]string{"Origin": test.origin, "Sec-Fetch-Site": test.site} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		if status, body, _ := x.send(r); status != test.want {
			t.Errorf("%+v: %d %s", test, status, body)
		}
	}
}

func TestABodyBeyondItsLimitIsRefused(t *testing.T) {
	x := start(t, Config{Limits: Limits{BodyBytes: 100}})
	body := `{"durable":true,"arguments":{"x":"` + strings.Repeat("y", 100) + `"}}`
	x.do("PUT", "/api/queues/%2F/q", body, 413)
	x.do("GET", "/api/queues/%2F/q", "", 404)
}

func TestGetTakesNoMoreThanItsLimits(t *testing.T) {
	x := start(t, Config{Limits: Limits{GetMessages: 3, GetBytes: 10}})
	x.do("PUT", "/api/queues/%2F/q", "", 201)
	publish := func(payload string) {
		x.do("POST", "/api/exchanges/%2F/amq.default/publish", `{"routing_key":"q","properties":{},"payload":"`+
			payload+`","payload_encoding":"string"}`, 200)
	}
	take := func() (list []object) {
		got := x.do("POST", "/api/queues/%2F/q/get", `{"count":9,"ackmode":"ack_requeue_false","encoding":"auto"}`, 200)
		if err := json.Unmarshal([]byte(got), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	for _, payload := range []string{"a", "b", "c", "123456", "123456", "d"} {
		publish(payload)
	}
	if n := []int{len(take()), len(take()), len(take())}; !reflect.DeepEqual(n, []int{3, 2, 1}) {
		t.Errorf("took %v", n)
	}
}

func TestAListIsSortedAndPaged(t *testing.T) {
	x := start(t, Config{})
	for _, name := range []string{"b", "orders", "a", "order-lines"} {
		x.do("PUT", "/api/queues/%2F/"+name, "", 201)
	}
	got := get[object](x, "/api/queues?page=1&page_size=1&name=order&sort=name&sort_reverse=true&columns=name")
	want := object{"total_count": 4., "filtered_count": 2., "item_count": 1., "page": 1., "page_size": 1.,
		"page_count": 2., "items": []any{object{"name": "orders"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	x.do("GET", "/api/queues?page=2&name=^a$&use_regex=true", "", 400)
	x.do("GET", "/api/queues?page=1&page_size=501", "", 400)
	x.do("GET", "/api/queues?name=(&use_regex=true", "", 400)
}

func TestEveryKindOfErrorHasAStatus(t *testing.T) {
	for _, k := range broker.Kinds() {
		if kindStatus[k] == 0 {
			t.Errorf("%v has no status", k)
		}
	}
}

// TestThePageNamesEveryRoute compares docs/wire/amqp-management.md with the table of routes.
func TestThePageNamesEveryRoute(t *testing.T) {
	page, err := os.ReadFile("../../../docs/wire/amqp-management.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range routes {
		if !strings.Contains(string(page), "`"+rt.path+"`") {
			t.Errorf("%s is not on the page", rt.path)
		}
	}
}

// Expressions are compiled to thousands of times their length: long ones are refused.
func TestLongExpressionsAreRefused(t *testing.T) {
	x := start(t, Config{})
	for n, status := range map[int]int{longestExpression: 200, longestExpression + 1: 400} {
		x.do("GET", "/api/queues?use_regex=true&name="+strings.Repeat("a", n), "", status)
	}
}

// 201 is for what is new, also where the virtual host made a stream of it.
func TestAStreamByDefaultIsNewOnce(t *testing.T) {
	x := start(t, Config{})
	x.do("PUT", "/api/vhosts/v", `{"default_queue_type":"stream"}`, 201)
	x.do("PUT", "/api/queues/v/s", `{"durable":true}`, 201)
	x.do("PUT", "/api/queues/v/s", `{"durable":true}`, 204)
	x.do("PUT", "/api/queues/v/s", `{"durable":true,"arguments":{"x-queue-type":"classic"}}`, 201)
}
