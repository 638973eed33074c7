package notify

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

func TestAPostIsReadAsItWasWritten(t *testing.T) {
	for _, p := range []Post{
		{Type: Message, MessageID: "22b80b92", Body: []byte("{}")},
		{Type: Message, MessageID: "1", Raw: true, Body: []byte("x"), Attributes: map[string]Attribute{
			"a": {"String", "\u00fc"}, "b": {"Binary", "AgME"}}},
		{Type: SubscriptionConfirmation, Body: []byte("{}")},
		{Type: UnsubscribeConfirmation, MessageID: strings.Repeat("x", 300), Body: []byte("{}")},
	} {
		rec := p.Record()
		got, err := ParsePost(&rec)
		if err != nil || !reflect.DeepEqual(*got, p) {
			t.Errorf("%+v is read as %+v, %v", p, got, err)
		}
		for n := range rec.Props {
			cut := rec
			cut.Props = rec.Props[:n]
			if got, err := ParsePost(&cut); err == nil {
				t.Errorf("%d bytes of %d are read as %+v", n, len(rec.Props), got)
			}
		}
	}
	rec := (&Post{Type: Message}).Record()
	for name, spoil := range map[string]func(*broker.QueueRecord){
		"format":  func(r *broker.QueueRecord) { r.Format = broker.PropsSQS },
		"version": func(r *broker.QueueRecord) { r.Props[0] = 2 },
		"type 0":  func(r *broker.QueueRecord) { r.Props[1] = 0 },
		"type 4":  func(r *broker.QueueRecord) { r.Props[1] = 4 },
		"raw":     func(r *broker.QueueRecord) { r.Props[2] = 2 },
		"more":    func(r *broker.QueueRecord) { r.Props = append(r.Props, 0) },
	} {
		other := rec
		other.Props = append([]byte(nil), rec.Props...)
		spoil(&other)
		if _, err := ParsePost(&other); err == nil {
			t.Errorf("another %s is read", name)
		}
	}
}

func FuzzParsePost(f *testing.F) {
	p := Post{Type: Message, Raw: true, MessageID: "1", Attributes: map[string]Attribute{"a": {"b", "c"}}}
	f.Add(p.Record().Props)
	f.Fuzz(func(t *testing.T, props []byte) {
		p, err := ParsePost(&broker.QueueRecord{Format: broker.PropsSNS, Props: props})
		if err != nil {
			return
		}
		rec := p.Record()
		if again, err := ParsePost(&rec); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%x: %+v, then %+v, %v", props, p, again, err)
		}
	})
}

func TestOnlyHTTPAndHTTPSAreEndpoints(t *testing.T) {
	for _, x := range []struct {
		protocol, url string
		ok            bool
	}{
		{"http", "http://localhost:8080/a?b=c", true}, {"https", "https://example.com", true},
		{"http", "http://[::1]:80/", true}, {"http", "http://user:pass@example.com/", true},
		{"http", "https://example.com", false}, {"https", "http://example.com", false},
		{"ftp", "ftp://example.com", false}, {"file", "file:///etc/passwd", false}, {"http", "http://", false},
		{"http", "http:///path", false}, {"http", "http://:80/", false}, {"http", "example.com", false},
		{"http", "", false}, {"http", "http://a b/", false}, {"http", "http://a/\n", false},
		{"http", "http://a/" + strings.Repeat("x", 2048), false}, {"http", "http:example.com", false},
	} {
		_, err := ParseEndpoint(x.protocol, x.url)
		if (err == nil) != x.ok {
			t.Errorf("%s %q: %v", x.protocol, x.url, err)
		}
	}
}

func TestEndpointsAreShownWithoutTheirPassword(t *testing.T) {
	for url, want := range map[string]string{
		"http://user:secret@host:1/p?q=1":  "http://user:****@host:1/p?q=1",
		"http://user:sec@ret@host/@x":      "http://user:****@host/@x",
		"http://us%40er:secret@host?a@b":   "http://us%40er:****@host?a@b",
		"http://user@host/":                "http://user@host/",
		"http://host/a@b":                  "http://host/a@b",
		"http://user:@host":                "http://user:****@host",
		"http://user:secret@[::1]:80/#a@b": "http://user:****@[::1]:80/#a@b",
	} {
		e, err := ParseEndpoint("http", url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if got := e.Shown(); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			text := fmt.Sprintf(format, e) + fmt.Sprintf(format, Subscription{Endpoint: e})
			if strings.Contains(text, "sec") || strings.Contains(text, "q=1") {
				t.Errorf("%s of %s prints %s", format, url, text)
			}
		}
	}
}
