package crossing

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// rows are those of docs/crossing.md: first those about topics of Kafka and AMQP's clients.
var rows = map[string]func(t *testing.T, x *sides){
	"value":              value,
	"key":                key,
	"partition":          partition,
	"time":               timeOfAMessage,
	"properties":         properties,
	"headers":            headers,
	"exchange":           exchange,
	"trace context":      traceContext,
	"correlation id":     correlationID,
	"CloudEvents":        cloudEvents,
	"exact bytes":        exactBytes,
	"dead letters":       deadLetters,
	"order of publishes": orderOfPublishes,
	"durability":         durability,
	"transaction":        transaction,
	"too large":          tooLarge,

	"body":                       body,
	"tombstone":                  tombstone,
	"routing key":                routingKey,
	"odd key":                    oddKey,
	"time of a record":           timeOfARecord,
	"headers of a record":        headersOfARecord,
	"named headers":              namedHeaders,
	"trace context of a record":  traceContextOfARecord,
	"correlation id of a record": correlationIDOfARecord,
	"CloudEvents of a record":    cloudEventsOfARecord,
	"delivery mode":              deliveryMode,
	"compression":                compression,
	"offset":                     offset,
	"several partitions":         severalPartitions,
	"replay":                     replay,
	"user id of a record":        userID,
}

// partitions of a row's topic, where it is not one.
var partitions = map[string]int32{"partition": 3, "several partitions": 3}

func init() {
	for _, more := range []map[string]func(*testing.T, *sides){queueRows, topicRows, linkRows} {
		for name, play := range more {
			if rows[name] != nil {
				panic("two rows are called " + name)
			}
			rows[name] = play
		}
	}
}

// TestEveryRowOfTheTable plays each row of the page, and finds a test for each.
func TestEveryRowOfTheTable(t *testing.T) {
	s := server.Start(t)
	for i, row := range rowsOf(t) {
		t.Run(row, func(t *testing.T) {
			play := rows[row]
			if play == nil {
				t.Fatal("the row has no test")
			}
			play(t, meet(t, s, fmt.Sprintf("row-%d", i), max(partitions[row], 1)))
		})
	}
}

// rowsOf are the first cells of the page's tables.
func rowsOf(t *testing.T) (names []string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "crossing.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(page), "\n## ")
	for line := range strings.Lines(tables) {
		cells := strings.Split(line, " | ")
		name, ok := strings.CutPrefix(cells[0], "| ")
		if ok && name != "row" {
			names = append(names, name)
		}
	}
	if len(names) != len(rows) {
		t.Errorf("the page has %d rows, there are tests for %d", len(names), len(rows))
	}
	return names
}

func value(t *testing.T, x *sides) {
	all := []byte{0, 1, 0xff, 'x'}
	equal(t, "value", string(x.sent(amqp091.Publishing{Body: all}).Value), string(all))
	x.publish("", x.topic, amqp091.Publishing{})
	if v := x.fetch(x.topic, 2)[1].Value; v == nil || len(v) > 0 {
		t.Errorf("got %v, want an empty value", v)
	}
}

func key(t *testing.T, x *sides) {
	x.bind("keys", "fanout", x.topic)
	x.publish("keys", "a/é", amqp091.Publishing{Headers: amqp091.Table{"CC": []any{"other"}}})
	x.publish("keys", "", amqp091.Publishing{})
	got := x.fetch(x.topic, 2)
	equal(t, "key", string(got[0].Key), "a/é")
	equal(t, "CC", header(got[0], "CC"), `["other"]`)
	if got[1].Key != nil {
		t.Errorf("got %q, want null", got[1].Key)
	}
}

// bind makes an exchange that leads to queues and topics.
func (x *sides) bind(name, kind string, to ...string) {
	x.t.Helper()
	err := x.ch.ExchangeDeclare(name, kind, true, false, false, false, nil)
	for i := 0; i < len(to) && err == nil; i++ {
		err = x.ch.QueueBind(to[i], "#", name, false, nil)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func partition(t *testing.T, x *sides) {
	x.bind("by-key", "fanout", x.topic)
	keys := []string{"a", "b", "c", "21", "foobar"}
	place := map[string]int32{}
	for _, k := range keys {
		x.publish("by-key", k, amqp091.Publishing{})
		x.produce(&kgo.Record{Key: []byte(k)}) // franz-go's default partitioner is Kafka's
	}
	for _, r := range x.fetch(x.topic, 2*len(keys)) {
		if p, known := place[string(r.Key)]; known && p != r.Partition {
			t.Errorf("key %q is in partitions %d and %d", r.Key, p, r.Partition)
		}
		place[string(r.Key)] = r.Partition
	}
	equal(t, "keys", len(place), len(keys))
}

func timeOfAMessage(t *testing.T, x *sides) {
	before := time.Now().Truncate(time.Millisecond)
	at := x.sent(amqp091.Publishing{Timestamp: time.Unix(5, 0)}).Timestamp
	if at.Before(before) || at.After(time.Now()) {
		t.Errorf("got %v, want between %v and now", at, before)
	}
}

func properties(t *testing.T, x *sides) {
	r := x.sent(amqp091.Publishing{ContentType: "text/plain", ContentEncoding: "gzip", Priority: 7,
		CorrelationId: "c", ReplyTo: "r", Expiration: "1", MessageId: "m",
		Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Type: "t", UserId: "guest", AppId: "a",
		DeliveryMode: amqp091.Persistent})
	for name, want := range map[string]string{"content-type": "text/plain", "content-encoding": "gzip",
		"priority": "7", "correlation-id": "c", "reply-to": "r", "expiration": "1", "message-id": "m",
		"timestamp": "2026-01-02T03:04:05Z", "type": "t", "user-id": "guest", "app-id": "a",
		"delivery-mode": "<none>"} {
		equal(t, name, header(r, name), want)
	}
}

func headers(t *testing.T, x *sides) {
	r := x.sent(amqp091.Publishing{Headers: amqp091.Table{"text": "é", "bytes": []byte{0xff}, "n": int32(-5),
		"pi": 3.5, "yes": true, "at": time.Unix(0, 0), "none": nil, "price": amqp091.Decimal{Scale: 2, Value: 150},
		"table": amqp091.Table{"a": []any{int64(1), "b"}}}})
	for name, want := range map[string]string{"text": "é", "bytes": "\xff", "n": "-5", "pi": "3.5",
		"yes": "true", "at": "1970-01-01T00:00:00Z", "none": "<nil>", "price": "1.50", "table": `{"a":[1,"b"]}`} {
		equal(t, name, header(r, name), want)
	}
}

func exchange(t *testing.T, x *sides) {
	x.bind("shop", "topic", x.topic)
	x.publish("shop", "k", amqp091.Publishing{})
	x.publish("", x.topic, amqp091.Publishing{})
	got := x.fetch(x.topic, 2)
	equal(t, "exchange", header(got[0], "amqp-exchange"), "shop")
	equal(t, "the default one", header(got[1], "amqp-exchange"), "")
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func traceContext(t *testing.T, x *sides) {
	r := x.sent(amqp091.Publishing{Headers: amqp091.Table{"traceparent": trace, "tracestate": "a=1", "baggage": "b=2"}})
	equal(t, "traceparent", header(r, "traceparent"), trace)
	equal(t, "tracestate", header(r, "tracestate"), "a=1")
	equal(t, "baggage", header(r, "baggage"), "b=2")
}

func correlationID(t *testing.T, x *sides) {
	equal(t, "id", header(x.sent(amqp091.Publishing{CorrelationId: "order-7"}), "correlation-id"), "order-7")
}

func cloudEvents(t *testing.T, x *sides) {
	r := x.sent(amqp091.Publishing{ContentType: "application/json", Headers: amqp091.Table{
		"cloudEvents:type": "created", "cloudEvents_id": "7"}})
	equal(t, "type", header(r, "ce_type"), "created")
	equal(t, "id", header(r, "ce_id"), "7")
	equal(t, "content-type", header(r, "content-type"), "application/json")
}

func exactBytes(t *testing.T, x *sides) {
	plain := amqp091.Publishing{ContentType: "text/plain", DeliveryMode: amqp091.Persistent,
		Headers: amqp091.Table{"a": "b"}}
	r := x.sent(plain)
	equal(t, "of a plain message", header(r, "amqp-properties"), "<none>")
	odd := amqp091.Publishing{Headers: amqp091.Table{"n": int32(5), "deep": amqp091.Table{"x": []any{true, nil}},
		"cloudEvents_id": "1"}, DeliveryMode: amqp091.Transient, Priority: 3, Body: []byte("b")}
	x.publish("", x.topic, odd)
	d := x.replay(2, fromFirst)[1]
	want := amqp091.Table{"x-stream-offset": int64(1)}
	for k, v := range odd.Headers {
		want[k] = v
	}
	if !reflect.DeepEqual(d.Headers, want) {
		t.Errorf("headers: got %v, want %v", d.Headers, want)
	}
	equal(t, "mode", d.DeliveryMode, 1)
	equal(t, "priority", d.Priority, 3)
	equal(t, "routing key", d.RoutingKey, x.topic)
	equal(t, "body", string(d.Body), "b")
}

func deadLetters(t *testing.T, x *sides) {
	_, err := x.ch.QueueDeclare("dying", true, false, false, false, amqp091.Table{
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": x.topic})
	if err != nil {
		t.Fatal(err)
	}
	x.publish("", "dying", amqp091.Publishing{Body: []byte("last words")})
	d, ok, err := x.ch.Get("dying", false)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := d.Reject(false); err != nil {
		t.Fatal(err)
	}
	r := x.fetch(x.topic, 1)[0]
	equal(t, "value", string(r.Value), "last words")
	if got := header(r, "x-death"); !strings.Contains(got, `"reason":"rejected","queue":"dying"`) {
		t.Errorf("x-death: got %s", got)
	}
}

func orderOfPublishes(t *testing.T, x *sides) {
	const n = 500
	var last *amqp091.DeferredConfirmation
	for i := range n {
		var err error
		last, err = x.ch.PublishWithDeferredConfirmWithContext(x.ctx, "", x.topic, false, false,
			amqp091.Publishing{Body: fmt.Append(nil, i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := last.WaitContext(x.ctx); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for i, r := range x.fetch(x.topic, n) {
		if string(r.Value) != fmt.Sprint(i) || r.Offset != int64(i) {
			t.Fatalf("got %s at %d, want %d", r.Value, r.Offset, i)
		}
	}
}

// durability: what is confirmed is there for Kafka after SIGKILL, and in the queue beside it.
func durability(t *testing.T, _ *sides) {
	s := server.Start(t)
	x := meet(t, s, "kept", 1)
	if _, err := x.ch.QueueDeclare("kept-too", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	x.bind("both", "fanout", "kept", "kept-too")
	const n = 100
	for i := range n {
		if !x.publish("both", "", amqp091.Publishing{Body: fmt.Append(nil, i), DeliveryMode: amqp091.Persistent}) {
			t.Fatal("nacked")
		}
	}
	s.Kill()
	s.Restart()
	for i, r := range x.fetch("kept", n) {
		if string(r.Value) != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", r.Value, i)
		}
	}
	q, err := x.channel().QueueDeclarePassive("kept-too", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "in the queue", q.Messages, n)
	equal(t, "as a stream", len(x.replay(n, fromFirst)), n)
}

func transaction(t *testing.T, x *sides) {
	if _, err := x.ch.QueueDeclare("tx", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	ch := x.channel()
	err := ch.Tx()
	for _, step := range []func() error{ch.TxRollback, ch.TxCommit} {
		for _, to := range []string{x.topic, "tx", x.topic} {
			if err == nil {
				err = ch.PublishWithContext(x.ctx, "", to, false, false, amqp091.Publishing{Body: []byte(to)})
			}
		}
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "in the topic", len(x.fetch(x.topic, 2)), 2)
	q, err := x.ch.QueueDeclarePassive("tx", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "in the queue", q.Messages, 1)
}

func tooLarge(t *testing.T, x *sides) {
	large := amqp091.Publishing{Body: make([]byte, 2<<20)}
	equal(t, "confirmed by a topic of Kafka's", x.publish("", x.topic, large), false)
	_, err := x.ch.QueueDeclare("roomy", true, false, false, false, amqp091.Table{"x-queue-type": "stream"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "confirmed by a stream", x.publish("", "roomy", large), true)
	equal(t, "fetched", len(x.fetch("roomy", 1)[0].Value), 2<<20)
}

func body(t *testing.T, x *sides) {
	all := []byte{0, 1, 0xff, 'x'}
	equal(t, "body", string(x.got(&kgo.Record{Value: all}).Body), string(all))
}

func tombstone(t *testing.T, x *sides) {
	x.produce(&kgo.Record{Key: []byte("k")}, &kgo.Record{Key: []byte("k"), Value: []byte{}})
	got := x.replay(2, fromFirst)
	equal(t, "null", got[0].Headers["kafka-tombstone"], any(true))
	equal(t, "empty", got[1].Headers["kafka-tombstone"], nil)
	equal(t, "bodies", len(got[0].Body)+len(got[1].Body), 0)
}

func routingKey(t *testing.T, x *sides) {
	x.produce(&kgo.Record{Key: []byte("a/é"), Value: []byte{}}, &kgo.Record{Value: []byte{}})
	got := x.replay(2, fromFirst)
	equal(t, "key", got[0].RoutingKey, "a/é")
	equal(t, "null", got[1].RoutingKey, "")
}

func oddKey(t *testing.T, x *sides) {
	long := strings.Repeat("k", 256)
	x.produce(&kgo.Record{Key: []byte{0xff}}, &kgo.Record{Key: []byte(long)})
	got := x.replay(2, fromFirst)
	for i, want := range []string{"\xff", long} {
		equal(t, "routing key", got[i].RoutingKey, "")
		equal(t, "header", got[i].Headers["kafka-key"], any(want))
	}
}

func timeOfARecord(t *testing.T, x *sides) {
	at := time.UnixMilli(1767323045678)
	d := x.got(&kgo.Record{Value: []byte{}, Timestamp: at})
	equal(t, "timestamp", d.Timestamp.Unix(), 1767323045)
	equal(t, "milliseconds", d.Headers["timestamp_in_ms"], any(at.UnixMilli()))
}

func headersOfARecord(t *testing.T, x *sides) {
	d := x.got(&kgo.Record{Value: []byte{}, Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("é")},
		{Key: "b", Value: []byte{0xff}}, {Key: "null"}, {Key: strings.Repeat("n", 256), Value: []byte("1")}}})
	equal(t, "text", d.Headers["a"], any("é"))
	equal(t, "bytes", d.Headers["b"], any("\xff"))
	if v, there := d.Headers["null"]; !there || v != nil {
		t.Errorf("null: got %v, %v", v, there)
	}
	equal(t, "left out", d.Headers["kafka-headers-left-out"], any(int64(1)))
	x.produce(&kgo.Record{Value: []byte("v"), Headers: []kgo.RecordHeader{
		{Key: "large", Value: make([]byte, 200_000)}, {Key: "small", Value: []byte("1")}}})
	d = x.replay(2, fromFirst)[1]
	equal(t, "beside a large one", d.Headers["small"], any("1"))
	equal(t, "large", d.Headers["kafka-headers-left-out"], any(int64(1)))
	equal(t, "body", string(d.Body), "v")
}

func namedHeaders(t *testing.T, x *sides) {
	h := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
	d := x.got(&kgo.Record{Value: []byte{}, Headers: []kgo.RecordHeader{h("content-type", "a/b"),
		h("content-type", "c/d"), h("content-encoding", "gzip"), h("priority", "many"), h("message-id", "m"),
		h("reply-to", "r"), h("type", "t"), h("app-id", "a"), h("expiration", "5"),
		h("timestamp", "2026-01-02T03:04:05Z"), h("correlation-id", strings.Repeat("c", 256))}})
	equal(t, "content type", d.ContentType, "a/b")
	equal(t, "the second", d.Headers["content-type"], any("c/d"))
	equal(t, "content encoding", d.ContentEncoding, "gzip")
	equal(t, "priority", d.Priority, 0)
	equal(t, "no number", d.Headers["priority"], any("many"))
	equal(t, "others", d.MessageId+d.ReplyTo+d.Type+d.AppId+d.Expiration, "mrta5")
	equal(t, "timestamp", d.Timestamp.UTC(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	equal(t, "too long", d.Headers["correlation-id"], any(strings.Repeat("c", 256)))
}

func traceContextOfARecord(t *testing.T, x *sides) {
	d := x.got(&kgo.Record{Value: []byte{}, Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte(trace)},
		{Key: "tracestate", Value: []byte("a=1")}, {Key: "baggage", Value: []byte("b=2")}}})
	equal(t, "traceparent", d.Headers["traceparent"], any(trace))
	equal(t, "tracestate", d.Headers["tracestate"], any("a=1"))
	equal(t, "baggage", d.Headers["baggage"], any("b=2"))
}

func correlationIDOfARecord(t *testing.T, x *sides) {
	d := x.got(&kgo.Record{Headers: []kgo.RecordHeader{{Key: "correlation-id", Value: []byte("order-7")}}})
	equal(t, "id", d.CorrelationId, "order-7")
}

func cloudEventsOfARecord(t *testing.T, x *sides) {
	d := x.got(&kgo.Record{Value: []byte("{}"), Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("created")},
		{Key: "content-type", Value: []byte("application/json")}}})
	equal(t, "type", d.Headers["cloudEvents:type"], any("created"))
	equal(t, "content type", d.ContentType, "application/json")
}

func deliveryMode(t *testing.T, x *sides) {
	d := x.got(&kgo.Record{Value: []byte("v")})
	equal(t, "mode", d.DeliveryMode, amqp091.Persistent)
	equal(t, "exchange", d.Exchange, "")
	equal(t, "redelivered", d.Redelivered, false)
}

func compression(t *testing.T, x *sides) {
	codecs := []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(),
		kgo.ZstdCompression(), kgo.NoCompression()}
	const each = 100
	for _, codec := range codecs {
		c, err := kgo.NewClient(kgo.SeedBrokers(x.seed), kgo.ProducerBatchCompression(codec))
		if err != nil {
			t.Fatal(err)
		}
		var all []*kgo.Record
		for range each {
			all = append(all, &kgo.Record{Topic: x.topic, Value: bytes.Repeat([]byte("tidings "), 50)})
		}
		err = c.ProduceSync(x.ctx, all...).FirstErr()
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, d := range x.replay(each*len(codecs), fromFirst) {
		if len(d.Body) != 400 || d.Headers["x-stream-offset"] != int64(i) {
			t.Fatalf("message %d: got %d bytes at %v", i, len(d.Body), d.Headers["x-stream-offset"])
		}
	}
}

func offset(t *testing.T, x *sides) {
	x.produce(&kgo.Record{Value: []byte("a")}, &kgo.Record{Value: []byte("b")})
	records := x.fetch(x.topic, 2)
	for i, d := range x.replay(2, fromFirst) {
		equal(t, "offset", d.Headers["x-stream-offset"], any(records[i].Offset))
		equal(t, "value", string(d.Body), string(records[i].Value))
	}
}

func severalPartitions(t *testing.T, x *sides) {
	const n = 60
	for i := range n {
		x.produce(&kgo.Record{Key: fmt.Append(nil, i%7), Value: fmt.Append(nil, i)})
	}
	want := map[int64][]string{}
	for _, r := range x.fetch(x.topic, n) {
		want[int64(r.Partition)] = append(want[int64(r.Partition)], string(r.Value))
	}
	got := map[int64][]string{}
	for _, d := range x.replay(n, fromFirst) {
		p, _ := d.Headers["x-stream-partition"].(int64)
		got[p] = append(got[p], string(d.Body))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for p, all := range want {
		one := x.replay(len(all)-1, amqp091.Table{"x-stream-partition": p, "x-stream-offset": int64(1)})
		equal(t, "one partition", string(one[0].Body), all[1])
	}
}

func replay(t *testing.T, x *sides) {
	old, later := time.Unix(1_600_000_000, 0), time.Now().Add(-time.Minute)
	x.produce(&kgo.Record{Value: []byte("a"), Timestamp: old})
	x.produce(&kgo.Record{Value: []byte("b"), Timestamp: later})
	x.produce(&kgo.Record{Value: []byte("c"), Timestamp: later})
	for _, test := range []struct {
		offset any
		want   string
	}{{"first", "a"}, {"last", "c"}, {int64(1), "b"}, {old.Add(time.Hour), "b"}, {"1h", "b"}, {"first", "a"}} {
		d := x.replay(1, amqp091.Table{"x-stream-offset": test.offset})[0]
		equal(t, fmt.Sprint(test.offset), string(d.Body), test.want)
	}
}

func userID(t *testing.T, x *sides) {
	d := x.got(&kgo.Record{Headers: []kgo.RecordHeader{{Key: "user-id", Value: []byte("somebody")}}})
	equal(t, "user id", d.UserId, "somebody")
}
