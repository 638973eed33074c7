package amqp

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// allProperties is what goldenHeader says.
var allProperties = Properties{
	present:         knownFlags &^ hasClusterID,
	ContentType:     "text/plain",
	ContentEncoding: "gzip",
	Headers:         Table{{"k", "v"}},
	DeliveryMode:    persistent,
	Priority:        9,
	CorrelationID:   "corr",
	ReplyTo:         "back",
	Expiration:      "60000",
	MessageID:       "m1",
	Timestamp:       1_700_000_000,
	Type:            "order",
	UserID:          "guest",
	AppID:           "app",
}

func TestGoldenHeader(t *testing.T) {
	want := unhex(t, goldenHeader)
	f, _, err := parseFrame(want, minFrameMax)
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseContentHeader(f.payload)
	if err != nil || h.bodySize != 5 {
		t.Fatalf("got %+v, %v", h, err)
	}
	p, err := parseProperties(h.properties)
	if err != nil || !reflect.DeepEqual(p, allProperties) {
		t.Fatalf("got %+v, %v\nwant %+v", p, err, allProperties)
	}
	if got, err := p.append(nil); err != nil || !bytes.Equal(got, h.properties) {
		t.Fatalf("got  %x, %v\nwant %x", got, err, h.properties)
	}
	if got := appendContentHeader(nil, 1, h); !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
}

func TestWhatRoutingNeedsIsFoundWithoutAllocating(t *testing.T) {
	raw, err := allProperties.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(100, func() {
		x, err := indexProperties(raw)
		if err != nil || x.deliveryMode() != persistent || x.priority() != 9 ||
			string(x.replyTo()) != "back" || string(x.expiration()) != "60000" ||
			string(x.userID()) != "guest" || len(x.headers()) != 8 {
			t.Errorf("got %+v, %v", x, err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
	x, _ := indexProperties(raw)
	if k, ok := x.headers().find("k"); !ok || k != "v" {
		t.Errorf("found %v, %v", k, ok)
	}
}

func TestAbsentPropertiesAreNothing(t *testing.T) {
	x, err := indexProperties([]byte{0, 0})
	if err != nil || x.deliveryMode() != 0 || x.priority() != 0 || x.replyTo() != nil ||
		x.expiration() != nil || x.userID() != nil || x.headers() != nil {
		t.Fatalf("got %+v, %v", x, err)
	}
	p := Properties{ReplyTo: "not said to be there"}
	if got, err := p.append(nil); err != nil || !bytes.Equal(got, []byte{0, 0}) {
		t.Fatalf("got %x, %v", got, err)
	}
}

// Each of the 14 alone, so that none hides behind the order of another.
func TestEveryPropertyTravelsAlone(t *testing.T) {
	for i := range knownProperties {
		p := allProperties
		p.ClusterID = "cluster"
		p.present = hasContentType >> i
		raw, err := p.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseProperties(raw)
		if err != nil || got.present != p.present {
			t.Fatalf("property %d: got %+v, %v", i, got, err)
		}
		if again, err := got.append(nil); err != nil || !bytes.Equal(again, raw) || len(raw) < 3 {
			t.Fatalf("property %d: got %x, %v, want %x", i, again, err, raw)
		}
		for end := range raw {
			if _, err := indexProperties(raw[:end]); code(err) != replySyntaxError {
				t.Fatalf("property %d, %d of %d bytes: %v", i, end, len(raw), err)
			}
		}
		if _, err := indexProperties(append(raw, 0)); code(err) != replySyntaxError {
			t.Fatalf("property %d and a byte more: %v", i, err)
		}
	}
}

// What nobody knows comes behind what everybody knows, and is passed on as it came.
func TestUnknownPropertiesAreTolerated(t *testing.T) {
	for name, test := range map[string]struct {
		raw string
		ok  bool
	}{
		"no more flags, said twice":     {"1001 0001 0000 02", true},
		"an unknown one":                {"1002 02 0378797a", true},
		"an unknown one without a byte": {"1002 02", true},
		"one in the second word":        {"1001 8000 02 0378797a", true},
		"bytes without a flag":          {"1001 0000 02 0378797a", false},
		"flags without an end":          {"1001 0001", false},
		"a known one cut short":         {"8002 0a61", false},
	} {
		want := Properties{present: hasDeliveryMode, DeliveryMode: persistent}
		p, err := parseProperties(unhex(t, test.raw))
		switch {
		case test.ok && (err != nil || !reflect.DeepEqual(p, want)):
			t.Errorf("%s: got %+v, %v", name, p, err)
		case !test.ok && code(err) != replySyntaxError:
			t.Errorf("%s: got %+v, %v", name, p, err)
		}
	}
}

func TestPropertiesThatCannotTravelAreRefused(t *testing.T) {
	for _, p := range []Properties{
		{present: hasReplyTo, ReplyTo: strings.Repeat("x", 256)},
		{present: hasHeaders, Headers: Table{{"n", 1}}},
	} {
		got, err := p.append([]byte("before"))
		if code(err) != replyInternalError || string(got) != "before" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	for _, raw := range []string{"2000 00000003 0161 7a", "2000 00000004 0161 56"} {
		if _, err := indexProperties(unhex(t, raw)); code(err) != replySyntaxError {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestAContentHeaderIsOfClassBasic(t *testing.T) {
	for payload, want := range map[string]uint16{
		"003c 0000 0000000000000005 0000": 0,
		"0032 0000 0000000000000005 0000": replyUnexpectedFrame,
		"003c 0001 0000000000000005 0000": replyUnexpectedFrame,
		"003c 0000 0000000000000005 00":   replyFrameError,
		"":                                replyFrameError,
	} {
		if _, err := parseContentHeader(unhex(t, payload)); code(err) != want {
			t.Errorf("%q: %v, want %d", payload, err, want)
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add(unhex(f, goldenHeader)[frameHeadBytes+contentHeadBytes:])
	f.Add(unhex(f, "1001 8000 02 0378797a"))
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p Properties
		var err error
		limitAllocation(t, len(raw), func() { p, err = parseProperties(raw) })
		x, indexed := indexProperties(raw)
		if (err == nil) != (indexed == nil) {
			t.Fatalf("index says %v, parse %v", indexed, err)
		}
		if err != nil {
			if code(err) != replySyntaxError {
				t.Fatal(err)
			}
			return
		}
		if p.DeliveryMode != x.deliveryMode() || p.Priority != x.priority() ||
			p.ReplyTo != string(x.replyTo()) || p.Expiration != string(x.expiration()) ||
			p.UserID != string(x.userID()) {
			t.Fatalf("index %+v, parsed %+v", x, p)
		}
		first, err := p.append(nil)
		if err != nil || len(first) > len(raw) {
			t.Fatalf("%d bytes became %d, %v", len(raw), len(first), err)
		}
		again, err := parseProperties(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.append(nil); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("got, %v\n%x, want\n%x", err, second, first)
		}
	})
}

func BenchmarkIndexProperties(b *testing.B) {
	raw, _ := allProperties.append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := indexProperties(raw); err != nil {
			b.Fatal(err)
		}
	}
}
