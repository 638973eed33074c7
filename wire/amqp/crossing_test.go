package amqp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
)

// A message that comes out of a stream is the one that went in: exchange, routing key, body, and
// the exact bytes of its properties, whatever they are.
func TestAMessageComesOutOfATopicAsItWentIn(t *testing.T) {
	for seed := range uint64(3000) {
		d := &propsDie{rand.New(rand.NewPCG(seed, 3))}
		in := broker.QueueRecord{Exchange: d.name(), Key: d.name(), Body: []byte(d.text()),
			Format: broker.PropsAMQP, Props: d.props(t)}
		rec := recordOf(in)
		out := fromTopic(&rec, noLimit, nil)
		if out.Exchange != in.Exchange || out.Key != in.Key || string(out.Body) != string(in.Body) ||
			!bytes.Equal(out.Props, in.Props) {
			t.Fatalf("seed %d\ngot  %q %q %q %x\nwant %q %q %q %x\nheaders %q", seed, out.Exchange, out.Key,
				out.Body, out.Props, in.Exchange, in.Key, in.Body, in.Props, rec.Headers)
		}
		with := fromTopic(&rec, noLimit, Table{{"x-stream-offset", int64(7)}})
		p, err := parseProperties(with.Props)
		if v, _ := p.Headers.Get("x-stream-offset"); v != int64(7) || err != nil {
			t.Fatalf("seed %d: got the offset %v, %v", seed, v, err)
		}
		p.Headers = p.Headers.without("x-stream-offset")
		if before, _ := parseProperties(in.Props); !before.has(hasHeaders) {
			p.present &^= hasHeaders
		}
		if got, err := p.append(nil); !bytes.Equal(got, in.Props) || err != nil {
			t.Fatalf("seed %d: with an offset\ngot  %x, %v\nwant %x", seed, got, err, in.Props)
		}
	}
}

// recordOf is the record that the broker makes of a message.
func recordOf(in broker.QueueRecord) broker.Record {
	rec := broker.Record{Value: in.Body, Headers: Props{}.TopicHeaders(&in), Time: time.Unix(5, 0)}
	if in.Key != "" {
		rec.Key = []byte(in.Key)
	}
	return rec
}

// propsDie rolls properties.
type propsDie struct{ *rand.Rand }

func (d *propsDie) name() string {
	names := []string{"", "orders", "content-type", "traceparent", "cloudEvents:id", "cloudEvents_id", "ce_id",
		"amqp-exchange", "amqp-properties", "x-stream-offset-not", "delivery-mode", "message-id", "\xff\xfe",
		strings.Repeat("n", 255)}
	return names[d.IntN(len(names))]
}

func (d *propsDie) text() string {
	texts := []string{"", "text", "5", "2026-01-02T03:04:05Z", "\xff", strings.Repeat("t", 200)}
	return texts[d.IntN(len(texts))]
}

func (d *propsDie) value(depth int) any {
	switch d.IntN(20) {
	case 0:
		return nil
	case 1:
		return d.IntN(2) == 0
	case 2:
		return int8(d.Int())
	case 3:
		return uint8(d.Int())
	case 4:
		return int16(d.Int())
	case 5:
		return uint16(d.Int())
	case 6:
		return int32(d.Int())
	case 7:
		return uint32(d.Int())
	case 8:
		return int64(d.Uint64())
	case 9:
		return d.Float32()
	case 10:
		return d.Float64()
	case 11:
		return Decimal{uint8(d.IntN(12)), uint32(d.Int())}
	case 12:
		return Timestamp(d.Uint64() >> d.IntN(64))
	case 13:
		return []byte(d.text())
	case 14:
		if depth > 0 {
			return d.table(depth - 1)
		}
	case 15:
		if depth > 0 {
			return []any{d.value(depth - 1), d.value(depth - 1)}
		}
	}
	return d.text()
}

func (d *propsDie) table(depth int) (t Table) {
	for range d.IntN(4) {
		t = append(t, Field{d.name(), d.value(depth)})
	}
	return t
}

// props are properties as they travel; one in a few has what no client sends.
func (d *propsDie) props(t *testing.T) []byte {
	p := Properties{ContentType: d.text(), ContentEncoding: d.text(), Headers: d.table(3),
		DeliveryMode: uint8(d.IntN(3)), Priority: uint8(d.IntN(256)), CorrelationID: d.text(), ReplyTo: d.text(),
		Expiration: d.text(), MessageID: d.text(), Timestamp: Timestamp(d.Uint64() >> d.IntN(64)),
		Type: d.text(), UserID: d.text(), AppID: d.text(), ClusterID: d.text()}
	p.present = propertyFlag(d.Uint32()) & knownFlags
	if d.IntN(2) == 0 {
		p.present, p.DeliveryMode = p.present|hasDeliveryMode, persistent
	}
	raw, err := p.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What a Kafka client reads of a message: each property and header under its name.
func TestPropertiesAreHeadersInATopic(t *testing.T) {
	p := Properties{present: knownFlags, ContentType: "application/json", ContentEncoding: "gzip",
		DeliveryMode: persistent, Priority: 7, CorrelationID: "c", ReplyTo: "r", Expiration: "60000",
		MessageID: "m", Timestamp: 1767323045, Type: "created", UserID: "guest", AppID: "shop", ClusterID: "",
		Headers: Table{{"traceparent", "00-1-2-01"}, {"n", int32(-5)}, {"yes", true}, {"none", nil},
			{"pi", 3.5}, {"price", Decimal{2, 150}}, {"at", Timestamp(0)}, {"bytes", []byte{1}},
			{"cloudEvents:type", "t"}, {"cloudEvents_id", "1"},
			{"nested", Table{{"b", int64(1)}, {"a", []any{"x", []byte{255}, nil, false, Timestamp(0)}}}}}}
	raw, err := p.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range (Props{}).TopicHeaders(&broker.QueueRecord{Exchange: "x", Props: raw}) {
		switch {
		case h.Key == headerExact:
			equal(t, headerExact, h.Value, raw)
		case h.Value == nil:
			got = append(got, h.Key)
		default:
			got = append(got, h.Key+"="+string(h.Value))
		}
	}
	equal(t, "headers", got, []string{"amqp-exchange=x", "content-type=application/json",
		"content-encoding=gzip", "priority=7", "correlation-id=c", "reply-to=r", "expiration=60000", "message-id=m",
		"timestamp=2026-01-02T03:04:05Z", "type=created", "user-id=guest", "app-id=shop", "cluster-id=",
		"traceparent=00-1-2-01", "n=-5", "yes=true", "none", "pi=3.5", "price=1.50", "at=1970-01-01T00:00:00Z",
		"bytes=\x01", "ce_type=t", "ce_id=1", `nested={"b":1,"a":["x","/w==",null,false,"1970-01-01T00:00:00Z"]}`})
}

// The exact bytes travel only where the headers do not say the same.
func TestPlainMessagesCrossWithoutASecondCopy(t *testing.T) {
	p := Properties{present: hasContentType | hasHeaders | hasDeliveryMode | hasMessageID | hasTimestamp,
		ContentType: "text/plain", DeliveryMode: persistent, MessageID: "m", Timestamp: 1,
		Headers: Table{{"traceparent", "00"}, {"cloudEvents:id", "1"}}}
	raw, err := p.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range (Props{}).TopicHeaders(&broker.QueueRecord{Props: raw}) {
		if h.Key == headerExact {
			t.Errorf("got a second copy %x", h.Value)
		}
	}
}

// What a consumer of the stream gets of a record that a Kafka client has sent.
func TestARecordOfATopicIsAMessage(t *testing.T) {
	at := time.UnixMilli(1767323045678)
	long := strings.Repeat("k", 256)
	for _, test := range []struct {
		name    string
		rec     broker.Record
		key     string
		props   Properties
		headers Table
	}{
		{"plain", broker.Record{Key: []byte("k"), Value: []byte("v")}, "k", Properties{}, nil},
		{"no time", broker.Record{Value: []byte("v"), Time: time.Time{}}, "", Properties{}, nil},
		{"properties", broker.Record{Value: []byte{}, Time: at, Headers: []broker.Header{
			{Key: "content-type", Value: []byte("a/b")}, {Key: "priority", Value: []byte("9")},
			{Key: "content-type", Value: []byte("c/d")}, {Key: "ce_id", Value: []byte("1")},
			{Key: "timestamp", Value: []byte("soon")}, {Key: "null"}}}, "",
			Properties{present: hasContentType | hasPriority | hasTimestamp, ContentType: "a/b", Priority: 9,
				Timestamp: 1767323045},
			Table{{"content-type", "c/d"}, {"cloudEvents:id", "1"}, {"timestamp", "soon"}, {"null", nil},
				{headerMillis, int64(1767323045678)}}},
		{"tombstone", broker.Record{Key: []byte(long)}, "", Properties{},
			Table{{headerKey, long}, {headerTombstone, true}}},
		{"no text", broker.Record{Key: []byte{0xff}, Value: []byte{}}, "", Properties{},
			Table{{headerKey, "\xff"}}},
		{"what has no place", broker.Record{Value: []byte{}, Headers: []broker.Header{
			{Key: long, Value: []byte("1")}, {Key: "content-type", Value: []byte(long)},
			{Key: "large", Value: make([]byte, 5000)}}}, "", Properties{},
			Table{{"content-type", long}, {headerLeftOut, int64(2)}}},
		{"not ours", broker.Record{Value: []byte{}, Headers: []broker.Header{
			{Key: headerExact, Value: []byte{0, 0}}}}, "", Properties{},
			Table{{headerExact, "\x00\x00"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := test.props
			want.present |= hasDeliveryMode
			want.DeliveryMode, want.Headers = persistent, test.headers
			if test.headers != nil {
				want.present |= hasHeaders
			}
			got := fromTopic(&test.rec, 4096, nil)
			p, err := parseProperties(got.Props)
			equal(t, "error", err, nil)
			equal(t, "key", got.Key, test.key)
			equal(t, "exchange", got.Exchange, "")
			equal(t, "properties", fmt.Sprintf("%+v", p), fmt.Sprintf("%+v", want))
		})
	}
}

// Dead letters say in a topic what they say in a queue.
func TestDeadLettersCross(t *testing.T) {
	in := broker.QueueRecord{Exchange: "dlx", Key: "k", Deaths: []broker.Death{{Reason: broker.Rejected,
		Queue: "q", Count: 1, Time: time.Unix(9, 0), Keys: []string{"k"}, Expiration: -1}}}
	rec := recordOf(in)
	p, err := parseProperties(fromTopic(&rec, noLimit, nil).Props)
	if err != nil {
		t.Fatal(err)
	}
	death, _ := p.Headers.Get("x-death")
	equal(t, "x-death", death, any([]any{Table{{"count", int64(1)}, {"reason", "rejected"}, {"queue", "q"},
		{"time", Timestamp(9)}, {"exchange", ""}, {"routing-keys", []any{"k"}}}}))
}

// Whatever a Kafka client sends is a message that fits a frame, or the part of it that does.
func TestAnyRecordOfATopicIsAMessage(t *testing.T) {
	const limit = 3000
	for seed := range uint64(3000) {
		d := &propsDie{rand.New(rand.NewPCG(seed, 5))}
		rec := broker.Record{Key: bytes.Repeat([]byte("k"), d.IntN(2)*d.IntN(5000)),
			Time: time.Unix(d.Int64N(1e10), 0)}
		names := []string{"content-type", "content-encoding", "priority", "correlation-id", "reply-to",
			"expiration", "message-id", "timestamp", "type", "user-id", "app-id", "cluster-id", headerExchange, headerExact,
			headerKey, headerMillis, headerLeftOut, "ce_", "", strings.Repeat("n", 300), d.name()}
		for range d.IntN(40) {
			h := broker.Header{Key: names[d.IntN(len(names))]}
			switch d.IntN(4) {
			case 0:
				h.Value = make([]byte, d.IntN(4000))
			case 1:
				h.Value = d.props(t)
			case 2:
				h.Value = []byte(d.text())
			}
			rec.Headers = append(rec.Headers, h)
		}
		got := fromTopic(&rec, limit, Table{{"x-stream-offset", int64(1)}, {"x-stream-partition", int64(1)}})
		p, err := parseProperties(got.Props)
		if offset, _ := p.Headers.Get("x-stream-offset"); err != nil || offset != int64(1) {
			t.Fatalf("seed %d: got %x, %v", seed, got.Props, err)
		}
		if n := len(got.Props); n > limit+streamFrameBytes-contentHeadBytes-8 || len(got.Key) > maxShortString {
			t.Fatalf("seed %d: got %d bytes of properties, a key of %d", seed, n, len(got.Key))
		}
	}
}

func TestPropertiesOfAnotherProtocolAreNotTakenForAMQPs(t *testing.T) {
	q, _, err := serve(t).broker.DeclareQueue(t.Context(), broker.QueueSpec{Name: "q"})
	if err != nil {
		t.Fatal(err)
	}
	d := &broker.Delivery{Record: broker.QueueRecord{Format: broker.PropsSQS, Props: []byte{0xff, 0xff, 0xff, 0xff}}}
	d.Record.Deaths = []broker.Death{{Reason: broker.Rejected, Queue: "q", Count: 1}}
	if p, err := parseProperties(propsOf(q, d)); err != nil || len(p.Headers) == 0 || p.MessageID != "" {
		t.Errorf("got %+v, %v, want only x-death", p, err)
	}
	d.Record.Deaths = nil
	if got := propsOf(q, d); string(got) != "\x00\x00" {
		t.Errorf("got %x, want none", got)
	}
}

func TestPropertiesOfAnotherProtocolAreThoseOfTheSameNameOrHeaders(t *testing.T) {
	at, long := time.UnixMilli(1700000000123), strings.Repeat("c", 256)
	got, err := parseProperties(foreignProps(broker.Args{
		{Name: "message-id", Value: "m-1"}, {Name: "timestamp", Value: at}, {Name: "group-id", Value: "g"},
		{Name: "content-type", Value: "a/b"}, {Name: "content-type", Value: "c/d"}, {Name: "priority", Value: "7"},
		{Name: "correlation-id", Value: long}, {Name: "ce_type", Value: "created"}, {Name: "sum", Value: []byte{0xff}},
		{Name: "delivery-mode", Value: "1"}, {Name: strings.Repeat("n", 256), Value: "has no place"}}))
	if err != nil {
		t.Fatal(err)
	}
	want := broker.Args{{Name: "content_type", Value: "a/b"}, {Name: "headers", Value: broker.Args{
		{Name: "timestamp_in_ms", Value: at.UnixMilli()}, {Name: "group-id", Value: "g"},
		{Name: "content-type", Value: "c/d"}, {Name: "correlation-id", Value: long},
		{Name: "cloudEvents:type", Value: "created"}, {Name: "sum", Value: []byte{0xff}},
		{Name: "delivery-mode", Value: "1"}}},
		{Name: "delivery_mode", Value: int64(2)}, {Name: "priority", Value: int64(7)},
		{Name: "message_id", Value: "m-1"}, {Name: "timestamp", Value: at.Truncate(time.Second).UTC()}}
	if !broker.EqualValues(got.args(), want) {
		t.Errorf("got %v, want %v", got.args(), want)
	}
	if got := foreignProps(broker.Args{{Name: "large", Value: strings.Repeat("x", foreignBytes)}}); string(got) != "\x00\x00" {
		t.Errorf("what no frame holds: got %d bytes, want none", len(got))
	}
}

func TestWhatCrossesOfAMessage(t *testing.T) {
	p := Properties{present: hasContentType | hasHeaders | hasDeliveryMode | hasPriority | hasTimestamp, ContentType: "a/b",
		DeliveryMode: 1, Priority: 7, Timestamp: 5, Headers: Table{{"n", int32(5)}, {"cloudEvents:type", "created"},
			{"list", []any{"a", int64(1)}}, {"price", Decimal{Scale: 2, Value: 150}}, {"none", nil}, {"sum", []byte{1}}}}
	raw, err := p.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := broker.Args{{Name: "content-type", Value: "a/b"}, {Name: "priority", Value: int64(7)},
		{Name: "timestamp", Value: time.Unix(5, 0)}, {Name: "n", Value: int64(5)}, {Name: "ce_type", Value: "created"},
		{Name: "list", Value: `["a",1]`}, {Name: "price", Value: "1.50"}, {Name: "none"}, {Name: "sum", Value: []byte{1}}}
	if got := (Props{}).Crossing(&broker.QueueRecord{Props: raw, Key: "q"}); !broker.EqualValues(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	want = broker.Args{{Name: "amqp-exchange", Value: "shop"}, {Name: "amqp-routing-key", Value: "k"}}
	for _, props := range [][]byte{nil, {0xff}} {
		if got := (Props{}).Crossing(&broker.QueueRecord{Props: props, Exchange: "shop", Key: "k"}); !broker.EqualValues(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestARecordThatGetsAnotherKeyTellsItsOwn(t *testing.T) {
	other := "mail"
	for _, test := range []struct {
		key  []byte
		to   *string
		want string
	}{{[]byte("k"), nil, "k <none>"}, {[]byte("k"), &other, " k"}, {[]byte{0xff}, nil, " \xff"}, {[]byte{0xff}, &other, " \xff"},
		{nil, nil, " <none>"}, {nil, &other, " <none>"}, {[]byte{}, &other, " "}} {
		rec := FromTopic(&broker.Record{Key: test.key, Value: []byte("v")}, test.to)
		p, err := parseProperties(rec.Props)
		own, there := p.Headers.Get("kafka-key")
		if !there {
			own = "<none>"
		}
		if got := fmt.Sprint(rec.Key, " ", own); err != nil || got != test.want {
			t.Errorf("%q: got %q, want %q; %v", test.key, got, test.want, err)
		}
	}
}
