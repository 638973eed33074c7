package embedded

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/wire/amqp"
)

func headers(pairs ...string) (all []broker.Header) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, broker.Header{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return all
}

// write puts records into a topic as other programs do.
func (h *host) write(t *testing.T, topic string, recs ...broker.Record) {
	t.Helper()
	found, err := h.t.topic(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	a, err := found.Partition(0).Write(t.Context(), recs...)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Confirm.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsOfOthersAreRead(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 1})
	c := h.subscribe(t, one("g"))
	h.write(t, "orders",
		broker.Record{Key: []byte("k"), Value: []byte(`{"a":1}`), Headers: headers("ce_specversion", "1.0", "ce_id", "1",
			"ce_source", "/s", "ce_type", "t", "content-type", "application/json", "ce_time", "2026-01-02T03:04:05Z",
			"ce_tenant", "blue", "other", "x")},
		broker.Record{Key: []byte("k"), Headers: headers("content-type", "application/cloudevents+json; charset=UTF-8"),
			Value: []byte(`{"specversion":"1.0","id":"2","source":"/s","type":"t","data":{"a":1}}`)},
		broker.Record{Key: []byte("k"), Value: []byte("plain"), Headers: headers("content-type", "text/plain",
			"tenant", "blue", "Not-A-Name", "x", "id", "mine", "time", "yesterday")},
		broker.Record{})
	want := []tidings.Event{
		{Topic: "orders", ID: "1", Source: "/s", Type: "t", Key: "k", ContentType: "application/json",
			Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Extensions: map[string]string{"tenant": "blue"},
			Payload: []byte(`{"a":1}`)},
		{Topic: "orders", ID: "2", Source: "/s", Type: "t", Key: "k", ContentType: "application/json",
			Payload: []byte(`{"a":1}`)},
		{Topic: "orders", ID: "orders/0/2", Source: "embedded:orders", Key: "k", ContentType: "text/plain",
			Extensions: map[string]string{"tenant": "blue"}, Payload: []byte("plain")},
		{Topic: "orders", ID: "orders/0/3", Source: "embedded:orders"},
	}
	for i, d := range receive(t, c, len(want)) {
		equal(t, d.Event, want[i])
	}
}

// The content type says what the mode is, in any case (Kafka protocol binding, section 3); what is in
// structured mode may have the headers of binary mode as well (section 3.3.3).
func TestTheContentTypeTellsTheMode(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 1})
	c := h.subscribe(t, one("g"))
	structured := []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"a"}`)
	h.write(t, "orders",
		broker.Record{Value: structured, Headers: headers("content-type", "Application/CloudEvents+JSON")},
		broker.Record{Value: structured, Headers: headers("content-type", tidings.StructuredType, "ce_specversion", "1.0",
			"ce_id", "1", "ce_source", "/s", "ce_type", "t")})
	want := tidings.Event{Topic: "orders", ID: "1", Source: "/s", Type: "t", ContentType: "text/plain", Payload: []byte("a")}
	for _, d := range receive(t, c, 2) {
		equal(t, d.Event, want)
	}
}

func TestMalformedRecordsAreDeliveredAndSaySo(t *testing.T) {
	h := start(t, vfs.NewMem(), Config{Partitions: 1})
	c := h.subscribe(t, one("g"))
	h.write(t, "orders",
		broker.Record{Value: []byte("1"), Headers: headers("ce_specversion", "0.3", "ce_id", "1", "ce_source", "s", "ce_type", "t")},
		broker.Record{Value: []byte("2"), Headers: headers("ce_specversion", "1.0", "ce_id", "1", "ce_source", "s")},
		broker.Record{Value: []byte("3"), Headers: headers("ce_specversion", "1.0", "ce_id", "1", "ce_source", "s", "ce_type",
			"t", "ce_time", "yesterday")},
		broker.Record{Value: []byte("4"), Headers: headers("content-type", tidings.StructuredType)},
		broker.Record{Value: []byte("5"), Headers: headers("ce_specversion", "1.0", "ce_id", "1", "ce_source", "s", "ce_type",
			"t", "ce_not-a-name", "x")})
	for i, d := range receive(t, c, 5) {
		if d.Extensions[tidings.ExtMalformed] == "" || d.Type != "" || string(d.Payload) != string(rune('1'+i)) {
			t.Errorf("%d is %+v", i, d.Event)
		}
	}
}

// TestClientsOfAMQPReadAnAddress, and those of SQS by the crossing.
func TestClientsOfAMQPReadAnAddress(t *testing.T) {
	e := event("g", "k", 1)
	e.Kind, e.Correlation, e.ReplyTo, e.Subject = tidings.KindCommand, "co", "answers", strings.Repeat("long ", 100)
	var s scratch
	rec := s.message("g", &e, 2)
	all := map[string]any{}
	for _, a := range (amqp.Props{}).Properties(rec.Props) {
		all[a.Name] = a.Value
	}
	for name, want := range map[string]any{"content_type": "text/plain", "delivery_mode": uint8(2), "correlation_id": "co",
		"reply_to": "answers", "message_id": "k-1", "type": "test.happened.v1"} {
		if all[name] != want {
			t.Errorf("%s is %v (%T), want %v", name, all[name], all[name], want)
		}
	}
	headers := map[string]any{}
	for _, a := range (amqp.Props{}).Headers(rec.Props) {
		headers[a.Name] = a.Value
	}
	for name, want := range map[string]string{"specversion": "1.0", "id": "k-1", "subject": e.Subject, "partitionkey": "k",
		"messagekind": "command", "attempt": "2", "time": "2026-01-02T03:04:05.678Z"} {
		if headers["cloudEvents:"+name] != want {
			t.Errorf("%s is %v, want %v", name, headers["cloudEvents:"+name], want)
		}
	}
	crossing := map[string]any{}
	for _, a := range (amqp.Props{}).Crossing(&rec) {
		crossing[a.Name] = a.Value
	}
	if crossing["ce_id"] != "k-1" || crossing["content-type"] != "text/plain" {
		t.Errorf("SQS gets %v", crossing)
	}
}

// TestMessagesOfOthersAreRead: those of AMQP as they lie there, any other by the crossing.
func TestMessagesOfOthersAreRead(t *testing.T) {
	b, err := broker.Open("", broker.Config{FS: vfs.NewMem(), Props: map[broker.PropsFormat]broker.PropsReader{
		broker.PropsSQS: likeSQS{}}})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{b: b, t: New(b, Config{})}
	t.Cleanup(h.close)
	c := h.subscribe(t, tidings.Subscription{Group: "g"})
	q, err := b.Queue("", "g")
	if err != nil {
		t.Fatal(err)
	}
	tx := b.Begin()
	tx.Move(q, broker.QueueRecord{Key: "g", Body: []byte("bare")})
	tx.Move(q, broker.QueueRecord{Key: "g", Format: broker.PropsAMQP, Props: []byte("\x20\x00\x00\x00\x00\x09torn"), Body: []byte("torn")})
	tx.Move(q, broker.QueueRecord{Key: "g", Format: broker.PropsSQS, Props: []byte("x"), Body: []byte("sqs")})
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range receive(t, c, 3) {
		switch string(d.Payload) {
		case "bare":
			if d.Kind != tidings.KindCommand || d.Topic != "g" || d.Type != "" || !strings.HasPrefix(d.ID, "g/") {
				t.Errorf("got %+v", d.Event)
			}
		case "torn":
			if d.Extensions[tidings.ExtMalformed] == "" {
				t.Errorf("got %+v", d.Event)
			}
		case "sqs":
			if d.ID != "from-sqs" || d.Type != "t" || !d.Time.Equal(time.Unix(5, 0)) {
				t.Errorf("got %+v", d.Event)
			}
		}
	}
}

// TestHeadersOfAnyTypeAreRead, with lists and tables passed over.
func TestHeadersOfAnyTypeAreRead(t *testing.T) {
	table := "\x0ecloudEvents:idS\x00\x00\x00\x0242" + "\x12cloudEvents_sourcex\x00\x00\x00\x01s" + "\x07ce-flagt\x01" +
		"\x01ab\xff" + "\x01bB\xff" + "\x01cs\xff\xfe" + "\x01du\xff\xfe" + "\x01eI\xff\xff\xff\xfd" + "\x01fi\x00\x00\x00\x05" +
		"\x01gl\x00\x00\x00\x00\x00\x00\x00\x07" + "\x01hT\x00\x00\x00\x00\x00\x00\x00\x05" +
		"\x01jF\x00\x00\x00\x00" + "\x01kA\x00\x00\x00\x00" + "\x01lD\x00\x00\x00\x00\x00" + "\x01mf\x00\x00\x00\x00" +
		"\x01nd\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01oV"
	props := "\xe0\x00\x0atext/plain\x04gzip\x00\x00\x00" + string([]byte{byte(len(table))}) + table
	got, err := headersOf([]byte(props))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, h := range got {
		all = append(all, h.Key+"="+string(h.Value))
	}
	want := "content-type=text/plain ce_id=42 ce_source=s ce_flag=true a=-1 b=255 c=-2 d=65534 e=-3 f=5 g=7 h=1970-01-01T00:00:05Z"
	if got := strings.Join(all, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// likeSQS reads properties as wire/aws does.
type likeSQS struct{ amqp.Props }

func (likeSQS) Crossing(*broker.QueueRecord) broker.Args {
	return broker.Args{{Name: "ce_specversion", Value: "1.0"}, {Name: "ce_id", Value: "from-sqs"},
		{Name: "ce_source", Value: []byte("s")}, {Name: "ce_type", Value: "t"}, {Name: "nothing", Value: nil},
		{Name: "ce_time", Value: time.Unix(5, 0)}, {Name: "count", Value: int64(3)}}
}

// FuzzProperties: whatever lies in a queue, it is read or refused.
func FuzzProperties(f *testing.F) {
	e := event("g", "k", 1)
	var s scratch
	f.Add(s.message("g", &e, 1).Props)
	f.Add([]byte("\xff\xff\x00\x01"))
	f.Add([]byte("\x20\x00\x00\x00\x00\x09\x04ce_bb\x01\x02"))
	f.Fuzz(func(t *testing.T, props []byte) {
		got, err := headersOf(props)
		if err != nil && got != nil {
			t.Errorf("got %v and %v", got, err)
		}
	})
}

// Clients of Kafka may write what nobody can read: the broker looks at the checksum only. It is passed
// over, one malformed event tells of it, and what is behind it is delivered.
func TestWhatCannotBeDecodedIsPassedOver(t *testing.T) {
	fs := vfs.NewMem()
	h := start(t, fs, Config{Partitions: 1})
	c := h.subscribe(t, one("g"))
	h.publish(t, event("orders", "k", 1))
	h.writeRaw(t, "orders", broker.Zstd)
	h.writeRaw(t, "orders", broker.Gzip)
	h.publish(t, event("orders", "k", 2))
	got := receive(t, c, 4)
	var told []string
	for _, d := range got {
		told = append(told, d.ID)
		if malformed := d.Extensions[tidings.ExtMalformed] != ""; malformed != strings.HasPrefix(d.ID, "orders/0/") {
			t.Errorf("%s has the extensions %v", d.ID, d.Extensions)
		}
	}
	want := []string{"k-1", "orders/0/1", "orders/0/3", "k-2"}
	if !slices.Equal(told, want) {
		t.Errorf("got %q, want %q", told, want)
	}
	ack(t, got[:len(got)-1]...)
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = h.subscribe(t, one("g"))
	if again := receive(t, c, 1)[0]; again.ID != "k-2" {
		t.Errorf("got %s again, want k-2", again.ID)
	}
}

// writeRaw writes a batch of two records that is said to be compressed, and is not.
func (h *host) writeRaw(t *testing.T, topic string, codec broker.Compression) {
	t.Helper()
	raw, err := broker.EncodeBatch(nil, broker.None, broker.Record{Value: []byte("1")}, broker.Record{Value: []byte("2")})
	if err != nil {
		t.Fatal(err)
	}
	raw[22] |= byte(codec)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	found, err := h.t.topic(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	a, err := found.Partition(0).Append(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Confirm.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}
