package tidings_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
)

type placed struct {
	Order string
	Total int64
}

type placedV1 struct{ Order string }

var (
	orderPlacedV0 = tidings.Define[string]("orders", "shop.order.placed.v0")
	orderPlacedV1 = tidings.Define("orders", "shop.order.placed.v1",
		tidings.Upcast(orderPlacedV0, func(s string) (placedV1, error) { return placedV1{Order: s}, nil }))
	orderPlaced = tidings.Define("orders", "shop.order.placed.v2",
		tidings.KeyBy(func(p placed) string { return p.Order }),
		tidings.Upcast(orderPlacedV1, func(o placedV1) (placed, error) {
			if o.Order == "" {
				return placed{}, errors.New("no order")
			}
			return placed{Order: o.Order, Total: -1}, nil
		}))
)

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %+v\nwant %+v", what, got, want)
	}
}

func TestTheTypeDecidesTopicNameAndKey(t *testing.T) {
	e := orderPlaced.New(placed{Order: "o-1", Total: 990})
	equal(t, "destination", []any{e.Kind, e.Topic, e.Type, e.Key, e.Subject},
		[]any{tidings.KindEvent, "orders", "shop.order.placed.v2", "o-1", "o-1"})
	equal(t, "payload", string(e.Payload), `{"Order":"o-1","Total":990}`)
	if len(e.ID) != 36 || e.ID[14] != '7' {
		t.Errorf("id %q is not a UUIDv7", e.ID)
	}
	got, err := orderPlaced.Decode(e)
	equal(t, "data", got, placed{Order: "o-1", Total: 990})
	equal(t, "error", err, nil)
}

func TestTheTypeNamesTheSchemaOfItsData(t *testing.T) {
	e := tidings.Define("orders", "placed", tidings.WithSchema[placed]("https://example.com/placed")).New(placed{})
	equal(t, "dataschema", e.Schema, "https://example.com/placed")
}

func TestReadersOfATypeTakeOlderOnes(t *testing.T) {
	for _, old := range []tidings.Event{orderPlacedV1.New(placedV1{"o-1"}), orderPlacedV0.New("o-1")} {
		got, err := orderPlaced.Decode(old)
		equal(t, old.Type, got, placed{Order: "o-1", Total: -1})
		equal(t, "error", err, nil)
	}
}

func TestWhatDoesNotDecodeIsPermanent(t *testing.T) {
	torn := orderPlaced.New(placed{})
	torn.Payload = []byte("{")
	avro := orderPlaced.New(placed{})
	avro.ContentType = "application/avro"
	for what, e := range map[string]tidings.Event{
		"torn": torn, "other content": avro, "upcast": orderPlacedV1.New(placedV1{}), "other type": {Type: "x"},
	} {
		if _, err := orderPlaced.Decode(e); !tidings.IsPermanent(err) {
			t.Errorf("%s: got %v, want a permanent error", what, err)
		}
	}
}

func TestDataThatDoesNotEncodeIsAnErrorOfTheEvent(t *testing.T) {
	e := tidings.Define[func()]("t", "n").New(func() {})
	if e.Err() == nil {
		t.Error("a function was encoded as JSON")
	}
	if e := orderPlaced.New(placed{}, tidings.WithExtension("Not-Valid", "x")); e.Err() == nil {
		t.Error("a name of an extension that CloudEvents does not have was taken")
	}
}

// An event comes back from structured mode as it was, whatever its data is.
func TestStructuredModeKeepsAllOfAnEvent(t *testing.T) {
	for _, data := range []struct{ contentType, payload string }{
		{"application/json", `{"a":[1,"ü"]}`}, {"application/json", "{torn"}, {"text/plain", "a\"b"},
		{"application/avro", "\x00\xff"}, {"", ""}, {"application/json", "\"\xff\""}, {"application/vnd.x+json; charset=utf-8", "7"},
	} {
		want := orderPlaced.New(placed{Order: "o-1"}, tidings.WithExtension("tenant", "t\u2028\"1"))
		want.Source, want.Correlation, want.Causation = "shop", "c-1", "c-0"
		want.TraceParent, want.TraceState, want.ReplyTo = "00-x-y-01", "a=b", "r"
		want.Kind, want.Schema = tidings.KindCommand, "https://example.com/s"
		want.ContentType, want.Payload = data.contentType, []byte(data.payload)
		text, err := json.Marshal(&want)
		if err != nil {
			t.Fatal(err)
		}
		got := tidings.Event{Topic: want.Topic}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Payload) == 0 {
			got.Payload = []byte{}
		}
		equal(t, data.contentType, got, want)
	}
}

// CloudEvents JSON format, section 3.1.2: data without a content type is JSON, and says so from then on.
func TestStructuredDataWithoutAContentTypeIsJSON(t *testing.T) {
	other := tidings.Define("orders", "t", tidings.WithCodec[placed](upperCodec{}, tidings.JSON))
	for text, want := range map[string]string{
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"Order":"o-1"}}`: "application/json",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":null,
			"data":{"Order":"o-1"}}`: "application/json",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AAE="}`: "",
		`{"specversion":"1.0","id":"1","source":"s","type":"t"}`:                      "",
	} {
		var e tidings.Event
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		equal(t, text, e.ContentType, want)
		if want == "" {
			continue
		}
		got, err := other.Decode(e)
		equal(t, text, []any{got, err}, []any{placed{Order: "o-1"}, nil})
	}
}

// upperCodec is one that reads nothing of others.
type upperCodec struct{}

func (upperCodec) ContentType() string        { return "application/upper" }
func (upperCodec) Encode(any) ([]byte, error) { return []byte("UP"), nil }
func (upperCodec) Decode([]byte, any) error   { return errors.New("it is not upper") }

func TestStructuredModeRefusesWhatIsNoCloudEvent(t *testing.T) {
	for text, want := range map[string]string{
		`{"specversion":null,"id":"1","source":"s","type":"t"}`:              "needs specversion",
		`{"specversion":"1.0","id":"1","source":"s"}`:                        "needs specversion",
		`{"specversion":"0.3","id":"1","source":"s","type":"t"}`:             "is not 1.0",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","time":"x"}`:  "attribute time",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","A":"x"}`:     "a name is",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","a":{"b":1}}`: "not a string",
		`[]`: "cannot unmarshal",
	} {
		var e tidings.Event
		if err := json.Unmarshal([]byte(text), &e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %q", text, err, want)
		}
	}
}

func TestWhatIsPublishedInAHandlerContinuesTheConversation(t *testing.T) {
	cause := orderPlaced.New(placed{Order: "o-1"})
	cause.TraceParent = "00-x-y-01"
	ctx := tidings.Handling(t.Context(), "billing", "billing-group", &cause)
	e := orderPlaced.New(placed{})
	tidings.Stamp(ctx, "", &e)
	equal(t, "stamped", []string{e.Source, e.Correlation, e.Causation, e.TraceParent},
		[]string{"billing", cause.ID, cause.ID, "00-x-y-01"})
	equal(t, "group", tidings.Group(ctx), "billing-group")

	first := orderPlaced.New(placed{})
	tidings.Stamp(t.Context(), "shop", &first)
	equal(t, "a first event", []string{first.Source, first.Correlation, first.Causation}, []string{"shop", first.ID, ""})
	again := e
	tidings.Stamp(t.Context(), "other", &again)
	equal(t, "stamped again", again, e)
}

func TestEventsKeepTheirTimeInUTC(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("CET", 3600))
	e := orderPlaced.New(placed{}, tidings.WithTime(at))
	equal(t, "time", e.Time, at.UTC())
}

// RFC 3339, section 5.6: T and Z may be in lower case.
func TestTimesAreReadAsTheirStandardHasThem(t *testing.T) {
	for _, text := range []string{"2026-03-01T12:00:00.5Z", "2026-03-01t13:00:00.5+01:00", "2026-03-01t12:00:00.5z"} {
		var e tidings.Event
		if err := e.SetAttribute("time", text); err != nil {
			t.Error(err)
		}
		equal(t, text, e.Time, time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC))
	}
}

func TestCheckRefusesWhatReadersWouldNotTakeForTheEvent(t *testing.T) {
	good := tidings.Event{ID: "1", Source: "s", Type: "t", Extensions: map[string]string{"color": "red"}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(e *tidings.Event){
		"no id":       func(e *tidings.Event) { e.ID = "" },
		"no source":   func(e *tidings.Event) { e.Source = "" },
		"no type":     func(e *tidings.Event) { e.Type = "" },
		"a late time": func(e *tidings.Event) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a name":      func(e *tidings.Event) { e.Extensions = map[string]string{"Color": "red"} },
		"a long name": func(e *tidings.Event) {
			e.Extensions = map[string]string{strings.Repeat("x", tidings.MaxAttribute+1): "red"}
		},
		"another id":   func(e *tidings.Event) { e.Extensions = map[string]string{"id": "2"} },
		"another kind": func(e *tidings.Event) { e.Extensions = map[string]string{"messagekind": "reply"} },
		"a version":    func(e *tidings.Event) { e.Extensions = map[string]string{"specversion": "1.0"} },
	} {
		e := good
		spoil(&e)
		if e.Check() == nil {
			t.Errorf("%s: it is not refused", what)
		}
	}
	unencoded := tidings.Define[func()]("orders", "t").New(func() {})
	if err := unencoded.Check(); !errors.Is(err, unencoded.Err()) || err == nil {
		t.Errorf("got %v, want %v", err, unencoded.Err())
	}
}

func TestNamesAreThoseThatReadersTake(t *testing.T) {
	type v struct{}
	up := func(v) (v, error) { return v{}, nil }
	one := tidings.Define[v]("t", "one")
	two := tidings.DefineCommand("t", "two", tidings.Upcast(one, up))
	three := tidings.Define("t", "three", tidings.Upcast(two, up))
	equal(t, "names", tidings.Names(three), []string{"three", "one", "two"})
	equal(t, "of the first", tidings.Names(one), []string{"one"})
}

// A key that JSON cannot have does not become another one.
func TestStructuredModeRefusesWhatIsNotUTF8(t *testing.T) {
	e := orderPlaced.New(placed{}, tidings.WithKey("Gr\xfc\xdfe"))
	e.Source = "shop"
	if text, err := e.MarshalJSON(); err == nil {
		t.Errorf("got %s", text)
	}
}
