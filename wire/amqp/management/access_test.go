package management

import (
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/amqp"
)

// accessSteps are requests of guest, one after the other, with what they are answered.
var accessSteps = []struct {
	method, path, body string
	status             int
	want               string
}{
	// Virtual hosts.
	{"PUT", "/api/vhosts/sales", `{"description":"of Sales","tags":"eu, new","default_queue_type":"quorum"}`, 201, empty},
	{"PUT", "/api/vhosts/sales", `{"description":"of all Sales","tags":["eu"]}`, 204, empty},
	{"GET", "/api/vhosts/sales?columns=name,description,tags,default_queue_type,messages", "", 200,
		`{"default_queue_type":"classic","description":"of all Sales","messages":0,"name":"sales","tags":["eu"]}`},
	{"PUT", "/api/vhosts/a%2Fb%20c", "", 201, empty},
	{"GET", "/api/vhosts?columns=name", "", 200, `[{"name":"/"},{"name":"a/b c"},{"name":"sales"}]`},
	{"PUT", "/api/vhosts/bad", `{"default_queue_type":"fast"}`, 400, `Unsupported default queue type: fast`},
	{"PUT", "/api/vhosts/bad", `{"tracing":true}`, 501, noTracing},
	{"DELETE", "/api/vhosts/a%2Fb%20c", "", 204, empty},
	{"DELETE", "/api/vhosts/a%2Fb%20c", "", 404, missingDoc},
	{"DELETE", "/api/vhosts/%2F", "", 400, `cannot be deleted`},
	// Who makes one may do everything in it.
	{"GET", "/api/permissions/sales/guest", "", 200,
		`{"configure":".*","read":".*","user":"guest","vhost":"sales","write":".*"}`},
	{"PUT", "/api/queues/sales/q", `{"durable":true}`, 201, empty},
	{"PUT", "/api/queues/%2F/q", ``, 201, empty},
	{"PUT", "/api/exchanges/sales/x", `{"type":"topic"}`, 201, empty},
	{"POST", "/api/bindings/sales/e/x/q/q", `{"routing_key":"k"}`, 201, empty},
	{"POST", "/api/exchanges/sales/x/publish", `{"routing_key":"k","properties":{},"payload":"a",` +
		`"payload_encoding":"string"}`, 200, `{"routed":true}`},
	{"GET", "/api/queues?columns=name,vhost,messages", "", 200,
		`[{"messages":0,"name":"q","vhost":"/"},{"messages":1,"name":"q","vhost":"sales"}]`},
	{"GET", "/api/queues/sales?columns=vhost", "", 200, `[{"vhost":"sales"}]`},
	{"GET", "/api/queues/nowhere", "", 404, missingDoc},
	{"GET", "/api/bindings/sales?columns=source,vhost", "", 200,
		`[{"source":"","vhost":"sales"},{"source":"x","vhost":"sales"}]`},
	{"GET", "/api/exchanges/sales/x?columns=vhost", "", 200, `{"vhost":"sales"}`},
	{"GET", "/api/aliveness-test/sales", "", 200, `{"status":"ok"}`},

	// Users.
	{"PUT", "/api/users/ann", `{"password":"secret","tags":"management, policymaker"}`, 201, empty},
	{"GET", "/api/users/ann?columns=name,tags,hashing_algorithm", "", 200,
		`{"hashing_algorithm":"rabbit_password_hashing_sha256","name":"ann","tags":["management","policymaker"]}`},
	{"PUT", "/api/users/ann", `{"password":"secret","tags":[]}`, 204, empty},
	{"PUT", "/api/users/ann", `{"password":"secret"}`, 400, `tags_not_present`},
	{"PUT", "/api/users/ann", `{"password":"a","password_hash":"b","tags":""}`, 400,
		`both_password_and_password_hash_are_provided`},
	{"PUT", "/api/users/ann", `{"password_hash":"b","tags":""}`, 400, `password_hash is not base64`},
	{"PUT", "/api/users/ann", `{"password_hash":"YWJj","tags":""}`, 400, `the password hash has 3 bytes, want 36`},
	{"PUT", "/api/users/ann", `{"password_hash":"YWJj","hashing_algorithm":"crc","tags":""}`, 400, `crc`},
	{"PUT", "/api/users/ann", `{"password":"a","tags":"","limits":{"max-connections":1}}`, 501, noLimits},
	{"PUT", "/api/users/root", `{"administrator":true,"password_hash":""}`, 201, empty},
	{"GET", "/api/users/root", "", 200,
		`{"hashing_algorithm":"rabbit_password_hashing_sha256","limits":{},"name":"root","password_hash":"",` +
			`"tags":["administrator"]}`},
	{"PUT", "/api/users/bob", `{"tags":"","permissions":{"sales":{"configure":"","write":"","read":"^q"}}}`, 201, empty},
	{"GET", "/api/users?columns=name", "", 200, `[{"name":"ann"},{"name":"bob"},{"name":"guest"},{"name":"root"}]`},
	{"GET", "/api/users/without-permissions?columns=name", "", 200, `[{"name":"ann"},{"name":"root"}]`},

	// Permissions.
	{"PUT", "/api/permissions/%2F/ann", `{"configure":"a","write":"b","read":"c"}`, 201, empty},
	{"PUT", "/api/permissions/%2F/ann", `{"configure":"","write":"b","read":"c"}`, 204, empty},
	{"PUT", "/api/permissions/%2F/ann", `{"configure":"a","write":"b"}`, 400, `key_missing`},
	{"PUT", "/api/permissions/%2F/ann", `{"configure":"(","write":"b","read":"c"}`, 400, `missing closing )`},
	{"PUT", "/api/permissions/%2F/ann", `{"configure":"a(?=b)","write":"b","read":"c"}`, 400, `invalid`},
	{"PUT", "/api/permissions/nowhere/ann", `{"configure":"","write":"b","read":"c"}`, 400, `vhost_or_user_not_found`},
	{"PUT", "/api/permissions/%2F/nobody", `{"configure":"","write":"b","read":"c"}`, 400, `vhost_or_user_not_found`},
	{"GET", "/api/permissions/%2F/nobody", "", 404, missingDoc},
	{"GET", "/api/permissions/nowhere/ann", "", 404, missingDoc},
	{"GET", "/api/users/ann/permissions", "", 200,
		`[{"configure":"","read":"c","user":"ann","vhost":"/","write":"b"}]`},
	{"GET", "/api/users/nobody/permissions", "", 404, missingDoc},
	{"GET", "/api/vhosts/sales/permissions?columns=user,read", "", 200,
		`[{"read":"^q","user":"bob"},{"read":".*","user":"guest"}]`},
	{"GET", "/api/vhosts/nowhere/permissions", "", 404, missingDoc},
	{"GET", "/api/permissions?columns=user,vhost", "", 200, `[{"user":"ann","vhost":"/"},` +
		`{"user":"guest","vhost":"/"},{"user":"bob","vhost":"sales"},{"user":"guest","vhost":"sales"}]`},
	{"PUT", "/api/topic-permissions/%2F/ann", `{"exchange":"amq.topic","write":"^a","read":""}`, 201, empty},
	{"PUT", "/api/topic-permissions/%2F/ann", `{"exchange":"amq.topic","write":"^b","read":""}`, 204, empty},
	{"PUT", "/api/topic-permissions/%2F/ann", `{"exchange":"other","write":"^b","read":""}`, 201, empty},
	{"PUT", "/api/topic-permissions/%2F/ann", `{"write":"^b","read":""}`, 400, `key_missing`},
	{"PUT", "/api/topic-permissions/nowhere/ann", `{"exchange":"x","write":"^b","read":""}`, 400,
		`vhost_or_user_not_found`},
	{"GET", "/api/topic-permissions/%2F/ann/amq.topic", "", 200,
		`[{"exchange":"amq.topic","read":"","user":"ann","vhost":"/","write":"^b"}]`},
	{"DELETE", "/api/topic-permissions/%2F/ann/amq.topic", "", 204, empty},
	{"GET", "/api/topic-permissions", "", 200,
		`[{"exchange":"other","read":"","user":"ann","vhost":"/","write":"^b"}]`},
	{"GET", "/api/users/ann/topic-permissions?columns=exchange", "", 200, `[{"exchange":"other"}]`},
	{"GET", "/api/vhosts/%2F/topic-permissions?columns=exchange", "", 200, `[{"exchange":"other"}]`},
	{"DELETE", "/api/topic-permissions/%2F/ann", "", 204, empty},
	{"GET", "/api/topic-permissions/%2F/ann", "", 404, missingDoc},
	{"DELETE", "/api/topic-permissions/%2F/ann", "", 404, missingDoc},
	{"DELETE", "/api/permissions/%2F/ann", "", 204, empty},
	{"DELETE", "/api/permissions/%2F/ann", "", 404, missingDoc},

	// And away with it.
	{"DELETE", "/api/users/ann", "", 204, empty},
	{"DELETE", "/api/users/ann", "", 404, missingDoc},
	{"POST", "/api/users/bulk-delete", `{"users":["root","bob","nobody"]}`, 204, empty},
	{"POST", "/api/users/bulk-delete", `{}`, 400, `key_missing`},
	{"GET", "/api/users?columns=name", "", 200, `[{"name":"guest"}]`},
	{"DELETE", "/api/vhosts/sales", "", 204, empty},
	{"GET", "/api/queues?columns=vhost", "", 200, `[{"vhost":"/"}]`},
	{"GET", "/api/permissions?columns=vhost", "", 200, `[{"vhost":"/"}]`},
}

func TestVirtualHostsUsersAndPermissionsAreChanged(t *testing.T) {
	x := start(t, Config{})
	for _, step := range accessSteps {
		status, got, _ := x.send(x.request(step.method, step.path, step.body))
		whole := step.want == empty || strings.ContainsAny(step.want[:1], "{[")
		if status != step.status || whole && got != step.want || !strings.Contains(got, step.want) {
			t.Errorf("%s %s %s\ngot  %d %s\nwant %d %s", step.method, step.path, step.body, status, got,
				step.status, step.want)
		}
	}
}

// as sends a request of a user whose password is his name.
func (x *bench) as(user, method, path, body string) (status int, got string) {
	x.t.Helper()
	r := x.request(method, path, body)
	r.SetBasicAuth(user, user)
	status, got, _ = x.send(r)
	return status, got
}

// people makes a user for each tag, one with none, and the virtual host sales, in which all but
// the administrator have a permission to use the queue q.
func people(t *testing.T) *bench {
	x := start(t, Config{})
	x.do("PUT", "/api/vhosts/sales", "", 201)
	x.do("PUT", "/api/queues/sales/q", "", 201)
	x.do("PUT", "/api/queues/%2F/q", "", 201)
	for _, tag := range []string{"none", tagManagement, tagPolicymaker, tagMonitoring, tagAdministrator} {
		x.do("PUT", "/api/users/"+tag, `{"password":"`+tag+`","tags":"`+tag+`"}`, 201)
		if tag != tagAdministrator {
			x.do("PUT", "/api/permissions/sales/"+tag, `{"configure":"^q$","write":".*","read":".*"}`, 201)
		}
	}
	return x
}

func TestTagsSayWhoMayAskForWhat(t *testing.T) {
	x := people(t)
	const all = "management policymaker monitoring administrator"
	for _, c := range []struct {
		method, path, body string
		who                string // is not answered with 401
		refusal            string // of the others
	}{
		{"GET", "/api/whoami", "", all, "Not management user"},
		{"GET", "/api/overview", "", all, "Not management user"},
		{"GET", "/api/vhosts", "", all, "Not management user"},
		{"GET", "/api/queues", "", all, "Not management user"},
		{"GET", "/api/queues/sales/q", "", all, "Not management user"},
		{"GET", "/api/queues/%2F/q", "", tagAdministrator, "User not authorised to access virtual host"},
		{"GET", "/api/bindings/%2F", "", tagAdministrator, "User not authorised to access virtual host"},
		{"PUT", "/api/queues/%2F/q", "{}", "", "User not authorised to access virtual host"},
		{"GET", "/api/consumers/%2F", "", all, "Not management user"},
		{"GET", "/api/nodes", "", "monitoring administrator", "Not monitor user"},
		{"GET", "/api/vhosts/sales", "", tagAdministrator, "Not administrator user"},
		{"PUT", "/api/vhosts/sales", "{}", tagAdministrator, "Not administrator user"},
		{"GET", "/api/users", "", tagAdministrator, "Not administrator user"},
		{"PUT", "/api/users/eve", `{"tags":"administrator"}`, tagAdministrator, "Not administrator user"},
		{"GET", "/api/permissions", "", tagAdministrator, "Not administrator user"},
		{"PUT", "/api/permissions/%2F/none", "{}", tagAdministrator, "Not administrator user"},
		{"GET", "/api/topic-permissions", "", tagAdministrator, "Not administrator user"},
		{"GET", "/api/auth/hash_password/x", "", tagAdministrator, "Not administrator user"},
		{"PUT", "/api/cluster-name", "{}", tagAdministrator, "Not administrator user"},
	} {
		for _, user := range []string{"none", tagManagement, tagPolicymaker, tagMonitoring, tagAdministrator} {
			status, got := x.as(user, c.method, c.path, c.body)
			may := strings.Contains(" "+c.who+" ", " "+user+" ")
			switch {
			case may == (status == http.StatusUnauthorized):
				t.Errorf("%s %s as %s: %d %s", c.method, c.path, user, status, got)
			case may || user == "none" || user == tagAdministrator:
			case got != `{"error":"not_authorised","reason":"`+c.refusal+`"}`:
				t.Errorf("%s %s as %s\ngot  %s\nwant %s", c.method, c.path, user, got, c.refusal)
			}
		}
	}
	if _, got := x.as("none", "GET", "/api/whoami", ""); got !=
		`{"error":"not_authorised","reason":"Not management user"}` {
		t.Errorf("without a tag: %s", got)
	}
}

func TestListsShowWhatTheUserMaySee(t *testing.T) {
	x := people(t)
	const sales, both = `[{"vhost":"sales"}]`, `[{"vhost":"/"},{"vhost":"sales"}]`
	for user, want := range map[string]struct{ queues, vhosts string }{
		tagManagement:    {sales, `[{"name":"sales"}]`},
		tagMonitoring:    {sales, `[{"name":"/"},{"name":"sales"}]`},
		tagAdministrator: {both, `[{"name":"/"},{"name":"sales"}]`},
	} {
		if _, got := x.as(user, "GET", "/api/queues?columns=vhost", ""); got != want.queues {
			t.Errorf("queues for %s\ngot  %s\nwant %s", user, got, want.queues)
		}
		if _, got := x.as(user, "GET", "/api/vhosts?columns=name", ""); got != want.vhosts {
			t.Errorf("virtual hosts for %s\ngot  %s\nwant %s", user, got, want.vhosts)
		}
	}
	if _, got := x.as(tagManagement, "GET", "/api/overview?columns=object_totals.queues,listeners", ""); got !=
		`{"object_totals":{"queues":1}}` {
		t.Errorf("overview: %s", got)
	}
}

func TestConnectionsOfOthersAreForMonitors(t *testing.T) {
	x := people(t)
	x.dial("of guest")
	name := get[[]struct{ Name, Vhost string }](x, "/api/connections")[0].Name
	path := "/api/connections/" + strings.ReplaceAll(name, " ", "%20")
	const foreign = `{"error":"not_authorised","reason":"User not authorised to access object"}`
	for _, c := range []struct {
		user, method string
		status       int
	}{
		{tagManagement, "GET", 401}, {tagMonitoring, "GET", 200}, {tagManagement, "DELETE", 401},
		{tagMonitoring, "DELETE", 401}, {tagAdministrator, "DELETE", 204},
	} {
		status, got := x.as(c.user, c.method, path, "")
		if status != c.status || status == 401 && got != foreign {
			t.Errorf("%s as %s: %d %s, want %d", c.method, c.user, status, got, c.status)
		}
	}
	if _, got := x.as(tagManagement, "GET", "/api/connections", ""); got != "[]" {
		t.Errorf("connections of others are listed: %s", got)
	}
}

func TestChangesNeedThePermissionsOfAMQP(t *testing.T) {
	x := people(t)
	for _, c := range []struct {
		user, path string
		status     int
		want       string
	}{
		{tagManagement, "/api/queues/sales/q", 204, ""},
		{tagManagement, "/api/queues/sales/other", 401, `{"error":"not_authorised","reason":"configure access to ` +
			`queue 'other' in vhost 'sales' refused for user 'management'"}`},
		{tagAdministrator, "/api/queues/sales/q", 401, `{"error":"not_authorised","reason":"configure access to ` +
			`queue 'q' in vhost 'sales' refused for user 'administrator'"}`},
	} {
		if status, got := x.as(c.user, "PUT", c.path, ""); status != c.status || got != c.want {
			t.Errorf("%s as %s\ngot  %d %s\nwant %d %s", c.path, c.user, status, got, c.status, c.want)
		}
	}
}

func TestDeletingAVirtualHostClosesItsConnections(t *testing.T) {
	x := start(t, Config{})
	x.do("PUT", "/api/vhosts/sales", "", 201)
	c := x.dialIn("sales", "in sales")
	x.do("DELETE", "/api/vhosts/sales", "", 204)
	if got := string(c.expect(10, 50)); !strings.Contains(got, "CONNECTION_FORCED - vhost 'sales' is deleted") {
		t.Errorf("got %q", got)
	}
}

func TestAHashedPasswordCanBeGivenToAUser(t *testing.T) {
	x := start(t, Config{})
	hash := get[struct{ OK string }](x, "/api/auth/hash_password/se%2Fcret").OK
	if raw, err := base64.StdEncoding.DecodeString(hash); err != nil || len(raw) != 36 {
		t.Fatalf("got %q, want 36 bytes in base64", hash)
	}
	x.do("PUT", "/api/users/ann", `{"password_hash":"`+hash+`","tags":"administrator"}`, 201)
	if _, ok := x.amqp.Login("ann", "se/cret", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}); !ok {
		t.Error("the password is not right")
	}
}

func TestWhoAuthenticateLetsInIsAnAdministrator(t *testing.T) {
	x := startWith(t, amqp.Config{Authenticate: func(user, password string, _ net.Addr) bool {
		return user == password
	}}, Config{})
	if _, got := x.as("anyone", "GET", "/api/whoami", ""); got !=
		`{"is_internal_user":true,"name":"anyone","tags":["administrator"]}` {
		t.Errorf("got %s", got)
	}
	if status, got := x.as("anyone", "PUT", "/api/vhosts/sales", ""); status != 201 {
		t.Errorf("virtual host: %d %s", status, got)
	}
	if status, got := x.as("anyone", "PUT", "/api/queues/sales/q", ""); status != 201 {
		t.Errorf("queue: %d %s", status, got)
	}
}

func TestEveryHashAlgorithmHasAName(t *testing.T) {
	for _, a := range []broker.HashAlgorithm{broker.SHA256, broker.SHA512, broker.MD5} {
		if got, err := algorithmNamed(hashNames[a]); err != nil || got != a {
			t.Errorf("%d: got %d %v", a, got, err)
		}
	}
}
