package aws

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// signed is one of the examples of AWS Signature Version 4's own test suite: get-vanilla.
func TestSignatureIsThatOfAWSsExample(t *testing.T) {
	r, err := http.NewRequest("GET", "http://example.amazonaws.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	g := signature{key: "AKIDEXAMPLE", date: "20150830", region: "us-east-1", service: "service",
		headers: []string{"host", "x-amz-date"}, time: "20150830T123600Z"}
	want := "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	if got := g.sign(r, nil, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"); got != want {
		t.Errorf("signature is %s, want %s", got, want)
	}
}

// sign signs a request as SDKs do.
func sign(r *http.Request, body, key, secret string, at time.Time) {
	signHeaders(r, body, key, secret, at, "host", "x-amz-date", "x-amz-target")
}

func signHeaders(r *http.Request, body, key, secret string, at time.Time, headers ...string) {
	g := signature{key: key, date: at.UTC().Format("20060102"), region: "eu-west-1", service: "sqs",
		headers: headers, time: at.UTC().Format(sigTime)}
	r.Header.Set("X-Amz-Date", g.time)
	r.Header.Set("Authorization", sigAlgorithm+" Credential="+key+"/"+g.date+"/eu-west-1/sqs/aws4_request, SignedHeaders="+
		strings.Join(g.headers, ";")+", Signature="+g.sign(r, []byte(body), secret))
}

func testKeys(t *testing.T) {
	now := time.Now()
	x := start(t, Config{Keys: map[string]string{"AKID": "secret"}, Now: func() time.Time { return now }})
	for _, c := range []struct {
		what, key, secret, body string
		at                      time.Time
		change                  func(*http.Request)
		want                    string
	}{
		{what: "right", key: "AKID", secret: "secret", at: now},
		{what: "14 minutes ago", key: "AKID", secret: "secret", at: now.Add(-14 * time.Minute)},
		{what: "other secret", key: "AKID", secret: "other", at: now, want: "SignatureDoesNotMatch"},
		{what: "other key", key: "AKIE", secret: "secret", at: now, want: "InvalidClientTokenId"},
		{what: "16 minutes ago", key: "AKID", secret: "secret", at: now.Add(-16 * time.Minute), want: "RequestExpired"},
		{what: "in an hour", key: "AKID", secret: "secret", at: now.Add(time.Hour), want: "RequestExpired"},
		{what: "other body", key: "AKID", secret: "secret", at: now, body: `{"MaxResults":1}`, want: "SignatureDoesNotMatch"},
		{what: "other action", key: "AKID", secret: "secret", at: now, want: "SignatureDoesNotMatch",
			change: func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSQS.CreateQueue") }},
		{what: "target without signature", at: now, want: "IncompleteSignature",
			change: func(r *http.Request) { signHeaders(r, "{}", "AKID", "secret", now, "host", "x-amz-date") }},
		{what: "no signature", at: now, want: "MissingAuthenticationToken",
			change: func(r *http.Request) { r.Header.Del("Authorization") }},
		{what: "basic", at: now, want: "IncompleteSignature",
			change: func(r *http.Request) { r.SetBasicAuth("guest", "guest") }},
	} {
		body := "{}"
		if c.body != "" {
			body = c.body
		}
		r, err := http.NewRequest("POST", x.url(), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = r.URL.Host
		r.Header.Set("X-Amz-Target", "AmazonSQS.ListQueues")
		sign(r, "{}", c.key, c.secret, c.at)
		if c.change != nil {
			c.change(r)
		}
		status, h, text := x.do(r)
		got, _, _ := strings.Cut(h.Get("X-Amzn-Query-Error"), ";")
		if c.want == "RequestExpired" && (status != 400 || !strings.Contains(text, "15 min.)")) {
			t.Errorf("%s: %d %s", c.what, status, text)
		}
		if got != c.want || c.want == "" && status != 200 {
			t.Errorf("%s: %d %s %s, want %q", c.what, status, got, text, c.want)
		}
	}
}
