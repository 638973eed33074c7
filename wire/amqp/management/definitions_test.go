package management

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
)

// logged is a log that a test reads.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// startLogging starts a broker whose management server's log can be read.
func startLogging(t *testing.T) (*bench, *logged) {
	log := &logged{}
	return start(t, Config{Logger: slog.New(slog.NewTextHandler(log, nil))}), log
}

// equipment is something of each kind that definitions have, and of what they have not.
var equipment = []struct{ method, path, body string }{
	{"PUT", "/api/vhosts/sales", `{"description":"what is sold","tags":"eu,new","default_queue_type":"quorum"}`},
	{"PUT", "/api/users/ann", `{"password":"secret","tags":"monitoring,policymaker"}`},
	{"PUT", "/api/users/certificate", `{"password_hash":"","tags":""}`},
	{"PUT", "/api/permissions/sales/ann", `{"configure":"^a","write":".*","read":""}`},
	{"DELETE", "/api/permissions/sales/guest", ``},
	{"PUT", "/api/topic-permissions/sales/ann", `{"exchange":"news","write":"^a","read":"^b"}`},
	{"PUT", "/api/permissions/sales/guest", `{"configure":".*","write":".*","read":".*"}`},
	{"PUT", "/api/policies/sales/p", `{"pattern":"^o","definition":{"max-length":9,"overflow":"drop-head"},` +
		`"priority":3,"apply-to":"queues"}`},
	{"PUT", "/api/operator-policies/%2F/bounds", `{"pattern":".*","definition":{"max-length":99},"priority":1}`},
	{"PUT", "/api/exchanges/sales/news", `{"type":"topic","durable":true,"internal":true,` +
		`"arguments":{"alternate-exchange":"amq.fanout"}}`},
	{"PUT", "/api/exchanges/%2F/short", `{"type":"fanout","auto_delete":true}`},
	{"PUT", "/api/queues/sales/orders", `{"durable":true,"arguments":{"x-message-ttl":60000,"note":{"a":[1,"x",2.5]}}}`},
	{"PUT", "/api/queues/%2F/work", `{"durable":true,"auto_delete":true,"arguments":{"x-max-priority":3}}`},
	{"PUT", "/api/queues/%2F/audit", `{"durable":true,"arguments":{"x-queue-type":"stream","x-max-age":"1D"}}`},
	{"PUT", "/api/queues/%2F/fleeting", `{"durable":false}`},
	{"POST", "/api/bindings/sales/e/news/q/orders", `{"routing_key":"a.*","arguments":{"k":1.5}}`},
	{"POST", "/api/bindings/sales/e/amq.topic/e/news", `{"routing_key":"#"}`},
	{"POST", "/api/bindings/%2F/e/short/q/audit", `{"routing_key":""}`},
	{"POST", "/api/bindings/%2F/e/short/q/work", `{"routing_key":""}`},
	{"POST", "/api/bindings/%2F/e/short/q/fleeting", `{"routing_key":""}`},
}

// equip makes all of it, and a message, which no export has.
func (x *bench) equip() {
	x.t.Helper()
	for _, step := range equipment {
		if status, body, _ := x.send(x.request(step.method, step.path, step.body)); status > 299 {
			x.t.Fatalf("%s %s: %d %s", step.method, step.path, status, body)
		}
	}
	x.do("POST", "/api/exchanges/%2F/amq.default/publish",
		`{"routing_key":"work","properties":{},"payload":"a","payload_encoding":"string"}`, 200)
}

// TestDefinitionsComeBackEqual exports, imports into a broker that has nothing, and exports again.
func TestDefinitionsComeBackEqual(t *testing.T) {
	x := start(t, Config{})
	x.equip()
	c := x.dial("owner")
	c.call(1, 20, 10, short(""))
	c.call(1, 50, 10, "\x00\x00"+short("mine")+"\x04"+long("")) // exclusive
	want := x.do("GET", "/api/definitions", "", 200)
	for _, part := range []string{`"name":"ann"`, `"component":"operator_policy"`, `"name":"audit"`,
		`"destination":"orders"`, `"routing_key":"#"`, `"name":"short"`} {
		if !strings.Contains(want, part) {
			t.Errorf("%s is not in\n%s", part, want)
		}
	}
	for _, part := range []string{`"mine"`, `"fleeting"`, `"amq.direct"`, `"source":""`} {
		if strings.Contains(want, part) {
			t.Errorf("%s is in\n%s", part, want)
		}
	}
	y := start(t, Config{})
	for range 2 { // an import may be repeated
		y.do("POST", "/api/definitions", want, 204)
		if got := y.do("GET", "/api/definitions", "", 200); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
	r := y.request("GET", "/api/whoami", "")
	r.SetBasicAuth("ann", "secret")
	if status, body, _ := y.send(r); status != 200 {
		t.Errorf("the password did not come along: %d %s", status, body)
	}
}

// TestAVirtualHostsDefinitionsGoIntoAnother exports one virtual host and imports it by another name.
func TestAVirtualHostsDefinitionsGoIntoAnother(t *testing.T) {
	x := start(t, Config{})
	x.equip()
	doc := x.do("GET", "/api/definitions/sales", "", 200)
	if strings.Contains(doc, `"vhost"`) || strings.Contains(doc, `"users"`) {
		t.Errorf("got %s, want neither virtual hosts nor users", doc)
	}
	x.do("POST", "/api/definitions/none", doc, 404)
	x.do("PUT", "/api/vhosts/copy", "", 201)
	x.do("POST", "/api/definitions/copy", doc, 204)
	got := x.do("GET", "/api/definitions/copy", "", 200)
	if want := strings.ReplaceAll(doc, `"original_vhost_name":"sales"`, `"original_vhost_name":"copy"`); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	const reason = "the document does not say in which virtual host it is"
	if got := x.do("POST", "/api/definitions", doc, 400); !strings.Contains(got, reason) {
		t.Errorf("got %s, want %s", got, reason)
	}
}

// TestRabbitMQsExportsAreImported takes files that RabbitMQ wrote, and logs what has no meaning here.
func TestRabbitMQsExportsAreImported(t *testing.T) {
	for _, c := range []struct {
		file    string
		ignored []string
		has     []string
	}{
		{"definitions-3.10.8.json", []string{"limits of a user", "vhost-limits", "ha-mode", "mirrors", "cluster_name"},
			[]string{`"name":"sales"`, `"name":"u1"`, `"max-length":100`, `"max-length":9`, `"x-max-age":"1D"`}},
		{"definitions-3.10.8-rabbitmqctl.json", []string{"limits of a user", "limits of a virtual host",
			"vhost-limits", "ha-params", "cluster_name"},
			[]string{`"description":"d"`, `"tags":["a","b"]`, `"max-length":100`, `"routing_key":"a.*"`}},
		{"definitions-4.0.json", []string{"vhost-limits", "shovel", "cluster_tags", "limits of a user"},
			[]string{`"default_queue_type":"quorum"`, `"delivery-limit":5`, `"max-length":100`, `"name":"dlx"`}},
	} {
		t.Run(c.file, func(t *testing.T) {
			doc, err := os.ReadFile("testdata/" + c.file)
			if err != nil {
				t.Fatal(err)
			}
			x, log := startLogging(t)
			x.do("POST", "/api/definitions", string(doc), 204)
			x.do("POST", "/api/definitions", string(doc), 204)
			got := x.do("GET", "/api/definitions", "", 200)
			for _, part := range c.has {
				if !strings.Contains(got, part) {
					t.Errorf("%s is not in\n%s", part, got)
				}
			}
			if strings.Contains(got, "ha-mode") {
				t.Errorf("there is a setting without a meaning in\n%s", got)
			}
			for _, name := range c.ignored {
				if !strings.Contains(log.String(), name) {
					t.Errorf("the log does not say that %s was ignored:\n%s", name, log)
				}
			}
		})
	}
}

// TestAnImportStopsAtTheFirstError tells what it has done before.
func TestAnImportStopsAtTheFirstError(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`[]`, `not_json`},
		{`{"users":[{"name":"a","tags":""},{"name":"b"}]}`, `user 'b': tags_not_present; imported before it: 1 users`},
		{`{"vhosts":[{"name":"v"}],"permissions":[{"user":"nobody","vhost":"v","configure":"","write":"","read":""}]}`,
			`permission of 'nobody': vhost_or_user_not_found; imported before it: 1 virtual hosts`},
		{`{"vhosts":[{"name":"v"}],"queues":[{"name":"q","vhost":"v","durable":true},{"name":"q2","vhost":"w"}]}`,
			`queue 'q2': Please create virtual host \"w\" prior to importing definitions.; ` +
				`imported before it: 1 virtual hosts, 1 queues`},
		{`{"queues":[{"name":"","vhost":"/"}]}`, `queue '': it has no name`},
		{`{"queues":[{"name":"q"}]}`, `queue 'q': the document does not say in which virtual host it is`},
		{`{"queues":[{"name":"q","vhost":"/","arguments":{"x-message-ttl":"soon"}}]}`,
			`queue 'q': invalid arg 'x-message-ttl'`},
		{`{"exchanges":[{"name":"x","vhost":"/","type":"x-recent-history"}]}`, `exchange 'x': `},
		{`{"policies":[{"name":"p","vhost":"/","pattern":"(","definition":{"max-length":1}}]}`,
			`policy 'p': Validation failed`},
		{`{"parameters":[{"component":"operator_policy","name":"p","vhost":"/","value":7}]}`,
			`parameter 'p': the value is no policy`},
		{`{"bindings":[{"source":"none","destination":"q","destination_type":"queue","vhost":"/"}]}`,
			`binding 'none to q': no `},
		{`{"bindings":[{"source":"amq.topic","destination":"q","destination_type":"shelf","vhost":"/"}]}`,
			`binding 'amq.topic to q': destination_type must be queue or exchange`},
	} {
		x := start(t, Config{})
		status, got, _ := x.send(x.request("POST", "/api/definitions", c.doc))
		if status < 400 || status > 499 || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %d %s, want %s", c.doc, status, got, c.want)
		}
	}
}

// What is there and was declared otherwise is left as it is, and the log says so.
func TestAnImportLeavesQueuesAndExchangesAsTheyAre(t *testing.T) {
	x, log := startLogging(t)
	x.do("PUT", "/api/queues/%2F/q", `{"durable":true,"arguments":{"x-max-length":7}}`, 201)
	x.do("PUT", "/api/exchanges/%2F/x", `{"type":"topic","durable":true}`, 201)
	before := x.do("GET", "/api/definitions", "", 200)
	x.do("POST", "/api/definitions", `{"queues":[{"name":"q","vhost":"/","durable":true}],`+
		`"exchanges":[{"name":"x","vhost":"/","type":"direct","durable":true}]}`, 204)
	if got := x.do("GET", "/api/definitions", "", 200); got != before {
		t.Errorf("got\n%s\nwant\n%s", got, before)
	}
	for _, part := range []string{"what=queue name=q", "what=exchange name=x"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log does not say %s:\n%s", part, log)
		}
	}
}

// An administrator imports into virtual hosts in which he may do nothing, and may do nothing there
// afterwards; others export and import nothing.
func TestAnImportNeedsAnAdministratorAndNoPermission(t *testing.T) {
	x := start(t, Config{})
	x.do("POST", "/api/definitions", `{"vhosts":[{"name":"v"}],"users":[{"name":"ann","password":"s",`+
		`"tags":"monitoring,policymaker"}],"queues":[{"name":"q","vhost":"v","durable":true}]}`, 204)
	x.do("GET", "/api/queues/v/q", "", 200)
	x.do("GET", "/api/permissions/v/guest", "", 404)
	x.do("PUT", "/api/queues/v/q2", "", 401)
	for _, method := range []string{"GET", "POST"} {
		for _, path := range []string{"/api/definitions", "/api/definitions/v"} {
			r := x.request(method, path, "{}")
			r.SetBasicAuth("ann", "s")
			if status, body, _ := x.send(r); status != 401 {
				t.Errorf("%s %s: got %d %s, want 401", method, path, status, body)
			}
		}
	}
}

// Where nothing is said of a virtual host, what is there stays.
func TestAVirtualHostOfWhichNothingIsSaidStaysAsItIs(t *testing.T) {
	x := start(t, Config{})
	x.do("PUT", "/api/vhosts/v", `{"description":"mine","tags":"a"}`, 201)
	x.do("POST", "/api/definitions", `{"vhosts":[{"name":"v"},{"name":"w"}]}`, 204)
	if doc := get[object](x, "/api/vhosts/v?columns=description"); doc["description"] != "mine" {
		t.Errorf("got %v, want it as it was", doc)
	}
	x.do("GET", "/api/vhosts/w", "", 200)
}

func TestListsOfPairsAreObjects(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"a":1}`, `{"a":1}`},
		{`[["a",1],["b",[["c","d"]]]]`, `{"a":1,"b":{"c":"d"}}`},
		{`[]`, `{}`},
		{`["a","b"]`, `["a","b"]`},
		{`[[1,2]]`, `[[1,2]]`},
		{`[["a",1],"b"]`, `[["a",1],"b"]`},
		{`7`, `7`},
	} {
		var l loose
		if err := json.Unmarshal([]byte(c.in), &l); err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(l.value); string(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

// A queue that lasts may have a name of the server: the import is no client, and gives it again.
func TestQueuesWithNamesOfTheServerAreImported(t *testing.T) {
	x := start(t, Config{})
	c := x.dial("")
	c.call(1, 20, 10, short(""))
	c.call(1, 50, 10, "\x00\x00"+short("")+"\x02"+long(""))
	doc := x.do("GET", "/api/definitions", "", 200)
	if !strings.Contains(doc, `"amq.gen-`) {
		t.Fatalf("got %s", doc)
	}
	other := start(t, Config{})
	other.do("POST", "/api/definitions", doc, 204)
	if got := other.do("GET", "/api/definitions", "", 200); got != doc {
		t.Errorf("got  %s\nwant %s", got, doc)
	}
	other.do("PUT", "/api/queues/%2F/amq.mine", `{"durable":true}`, 401)
}
