package console

import (
	"fmt"
	"net/http"
	"testing"
)

// attack is a request with headers as a browser or an attacker sends them.
type attack struct {
	name    string
	method  string
	path    string
	host    string // "": the server's own
	headers map[string]string
	status  int
}

func TestRequestsOfOtherOriginsAreRefused(t *testing.T) {
	h := newBench(t, Config{Hosts: []string{"tidings.internal"}})
	h.topic("orders", 1)
	own := h.s.Addr().String()
	publish, list := "/api/v1/topics/orders/records", "/api/v1/topics"
	for _, a := range []attack{
		{"curl reads", "GET", list, "", nil, 200},
		{"localhost", "GET", list, "localhost:7070", nil, 200},
		{"localhost without port", "GET", list, "LOCALHOST", nil, 200},
		{"ipv6 loopback", "GET", list, "[::1]:7070", nil, 200},
		{"configured name", "GET", list, "tidings.internal:7070", nil, 200},
		{"rebound name", "GET", list, "evil.example:7070", nil, 403},
		{"name that starts with localhost", "GET", list, "localhost.evil.example", nil, 403},
		{"address of another machine", "GET", list, "192.168.1.7:7070", nil, 403},
		{"own page reads", "GET", list, "", map[string]string{
			"Origin": "http://" + own, "Sec-Fetch-Site": "same-origin"}, 200},
		{"foreign page reads", "GET", list, "", map[string]string{
			"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
		{"page of another port reads", "GET", list, "", map[string]string{
			"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, 403},
		{"sandboxed page reads", "GET", list, "", map[string]string{"Origin": "null"}, 403},
		{"no-cors image of a foreign page", "GET", list, "", map[string]string{
			"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		{"metrics for a foreign page", "GET", "/metrics", "", map[string]string{
			"Origin": "https://evil.example"}, 403},
		{"a link is followed", "GET", "/api/v1", "", map[string]string{
			"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200},
		{"curl publishes", "POST", publish, "", nil, 200},
		{"own page publishes", "POST", publish, "", map[string]string{
			"Origin": "http://" + own, "Sec-Fetch-Site": "same-origin"}, 200},
		{"foreign page publishes", "POST", publish, "", map[string]string{
			"Origin": "https://evil.example"}, 403},
		{"https page of the same name publishes", "POST", publish, "", map[string]string{
			"Origin": "https://" + own}, 403},
		{"foreign navigation publishes", "POST", publish, "", map[string]string{
			"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403},
		{"form of an old browser", "POST", publish, "", map[string]string{
			"Content-Type": "application/x-www-form-urlencoded"}, 415},
		{"form as text", "POST", publish, "", map[string]string{"Content-Type": "text/plain"}, 415},
		{"no type at all", "POST", publish, "", map[string]string{"Content-Type": ""}, 415},
		{"type with a charset", "POST", publish, "", map[string]string{
			"Content-Type": "application/json; charset=utf-8"}, 200},
		{"preflight of a foreign page", "OPTIONS", publish, "", map[string]string{
			"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}, 403},
		{"foreign page deletes", "DELETE", "/api/v1/topics/orders", "", map[string]string{
			"Origin": "https://evil.example"}, 403},
		{"delete without type", "DELETE", "/api/v1/topics/orders", "", map[string]string{
			"Content-Type": ""}, 415},
	} {
		t.Run(a.name, func(t *testing.T) { a.run(t, h) })
	}
	if got, want := fetch[TopicDetail](h, "/api/v1/topics/orders").Records, int64(3); got != want {
		t.Errorf("records after all attacks: got %d, want %d", got, want)
	}
}

func (a attack) run(t *testing.T, h *bench) {
	sub := *h
	sub.t = t
	r := sub.request(a.method, a.path, `{"records":[{"value":"x"}]}`)
	r.Host = a.host
	for k, v := range a.headers {
		r.Header.Set(k, v)
		if v == "" {
			r.Header.Del(k)
		}
	}
	status, body := sub.do(r)
	if status != a.status {
		t.Errorf("got %d %s, want %d", status, body, a.status)
	}
}

func TestNoAnswerInvitesOtherOrigins(t *testing.T) {
	h := newBench(t, Config{})
	for _, path := range []string{"/api/v1", "/metrics", "/healthz", "/nothing"} {
		resp, err := http.Get(h.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := fmt.Sprint(resp.Header["Access-Control-Allow-Origin"],
			resp.Header["X-Content-Type-Options"], resp.Header["Cross-Origin-Resource-Policy"])
		if want := "[] [nosniff] [same-origin]"; got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestAddressBeyondLoopbackMustBeAllowed(t *testing.T) {
	h := newBench(t, Config{})
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "example.org:0", "192.168.1.7:0"} {
		if s, err := Listen(h.b, Config{Addr: addr}); err == nil {
			s.Close(t.Context())
			t.Errorf("%s: got a listener, want an error", addr)
		}
	}
	s, err := Listen(h.b, Config{Addr: "0.0.0.0:0", AllowRemote: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	remote := &bench{t: t, b: h.b, s: s, url: "http://" + s.Addr().String()}
	for host, want := range map[string]int{"10.1.2.3:7070": 200, "evil.example": 403} {
		r := remote.request("GET", "/api/v1", "")
		r.Host = host
		if got, body := remote.do(r); got != want {
			t.Errorf("host %s: got %d %s, want %d", host, got, body, want)
		}
	}
}
