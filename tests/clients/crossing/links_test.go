package crossing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// linkRows are those about links, from topics of Kafka.
var linkRows = map[string]func(t *testing.T, x *sides){
	"link to a queue":           linkToAQueue,
	"link to a queue of SQS":    linkToAQueueOfSQS,
	"link to an exchange":       linkToAnExchange,
	"link to a FIFO queue":      linkToAFIFOQueue,
	"link to SNS":               linkToSNS,
	"key over a link":           keyOverALink,
	"headers over a link":       headersOverALink,
	"headers to SQS":            headersToSQS,
	"tombstone over a link":     tombstoneOverALink,
	"order over a link":         orderOverALink,
	"once each":                 onceEach,
	"from where":                fromWhere,
	"lag":                       lag,
	"end of a link":             endOfALink,
	"no link from a queue":      noLinkFromAQueue,
	"from AMQP to SQS by Kafka": fromAMQPToSQSByKafka,
}

// decode reads JSON.
func (x *sides) decode(b []byte, into any) {
	x.t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		x.t.Fatalf("%s: %v", b, err)
	}
}

// links sends a request about a link of the row's topic: more are fields of it.
func (x *sides) links(method string, more ...string) (status int, answer map[string]any) {
	x.t.Helper()
	doc := pairs(append([]string{"topic", x.topic}, more...))
	body, err := json.Marshal(doc)
	if err != nil {
		x.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(x.ctx, method, "http://"+x.admin+"/api/v1/links", bytes.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		x.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// link leads the row's topic somewhere, and returns the group that has its cursors.
func (x *sides) link(more ...string) (group string) {
	x.t.Helper()
	status, answer := x.links("POST", more...)
	if status != http.StatusCreated {
		x.t.Fatalf("%d %v", status, answer)
	}
	group, _ = answer["group"].(string)
	return group
}

// take gets n messages of a queue with AMQP.
func (x *sides) take(queue string, n int) []amqp091.Delivery {
	x.t.Helper()
	ch := x.channel()
	defer ch.Close()
	deliveries, err := ch.ConsumeWithContext(x.ctx, queue, "", true, false, false, false, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	var all []amqp091.Delivery
	for len(all) < n {
		d, ok := <-deliveries
		if !ok {
			x.t.Fatalf("%d of %d messages", len(all), n)
		}
		all = append(all, d)
	}
	return all
}

func linkToAQueue(t *testing.T, x *sides) {
	x.queue("linked")
	x.link("queue", "linked")
	at := time.UnixMilli(1767323045678)
	x.produce(&kgo.Record{Value: []byte{0, 0xff}, Timestamp: at})
	d := x.take("linked", 1)[0]
	equal(t, "body", string(d.Body), "\x00\xff")
	equal(t, "exchange and routing key", d.Exchange+" "+d.RoutingKey, " linked")
	equal(t, "mode", d.DeliveryMode, amqp091.Persistent)
	equal(t, "timestamp", d.Timestamp.Unix(), at.Unix())
	equal(t, "milliseconds", d.Headers["timestamp_in_ms"], any(at.UnixMilli()))
}

func linkToAQueueOfSQS(t *testing.T, x *sides) {
	b := x.box("linked-box")
	x.link("queue", b.name)
	x.produce(&kgo.Record{Value: []byte("é"), Timestamp: time.UnixMilli(1767323045678)}, &kgo.Record{Value: []byte{0, 0xff}})
	got := b.receive(2)
	equal(t, "text", *got[0].Body, "é")
	wantAttributes(x, got[0], map[string]string{"timestamp": "String 2026-01-02T03:04:05Z",
		"timestamp_in_ms": "Number 1767323045678"})
	equal(t, "bytes", *got[1].Body+attribute(got[1], "Content-Transfer-Encoding"), "AP8=String base64")
}

func linkToAnExchange(t *testing.T, x *sides) {
	x.queue("by-own-key", "by-given-key")
	x.bind("linked-shop", "direct")
	b := x.box("bound-box")
	for queue, key := range map[string]string{"by-own-key": "k-1", "by-given-key": "given", b.name: "k-1"} {
		if err := x.ch.QueueBind(queue, key, "linked-shop", false, nil); err != nil {
			t.Fatal(err)
		}
	}
	x.link("toExchange", "linked-shop")
	x.link("toExchange", "linked-shop", "key", "given")
	x.produce(&kgo.Record{Key: []byte("k-1"), Value: []byte("v")})
	own, given := x.take("by-own-key", 1)[0], x.take("by-given-key", 1)[0]
	equal(t, "own key", own.Exchange+" "+own.RoutingKey, "linked-shop k-1")
	equal(t, "given key", given.RoutingKey, "given")
	equal(t, "then its own", given.Headers["kafka-key"], any("k-1"))
	wantAttributes(x, b.receive(1)[0], map[string]string{"amqp-routing-key": "String k-1",
		"amqp-exchange": "String linked-shop"})
}

func linkToAFIFOQueue(t *testing.T, x *sides) {
	b := x.box("linked.fifo", "FifoQueue", yes)
	x.link("queue", b.name)
	for _, r := range []string{"a 1", "a 2", "b 3"} {
		x.produce(&kgo.Record{Key: []byte(r[:1]), Value: []byte(r)})
	}
	first, _ := b.next(20)
	second, _ := b.next(20)
	equal(t, "in flight together", *first.Body+" "+*second.Body, "a 1 b 3")
	equal(t, "group", first.Attributes["MessageGroupId"], "a")
}

func linkToSNS(t *testing.T, x *sides) {
	topic, b, r := x.news("linked-news"), x.box("linked-documents"), x.box("linked-raw")
	x.subscribe(topic, "sqs", b.arn)
	x.subscribe(topic, "sqs", r.arn, raw, yes, "FilterPolicy", `{"color": ["red"]}`)
	x.link("toExchange", "linked-news")
	for _, color := range []string{"blue", "red"} {
		x.produce(&kgo.Record{Key: []byte("k"), Value: []byte(color), Headers: []kgo.RecordHeader{
			{Key: "color", Value: []byte(color)}}})
	}
	m := r.receive(1)[0]
	equal(t, "raw", *m.Body, "red")
	wantAttributes(x, m, map[string]string{"amqp-routing-key": "String k"})
	dead := x.box("linked-dead")
	x.subscribe(topic, "sqs", x.box("linked-strict").arn, raw, yes, "RedrivePolicy", `{"deadLetterTargetArn":"`+dead.arn+`"}`)
	x.produce(&kgo.Record{Key: []byte("k")})
	equal(t, "an empty one", x.document([]byte(*dead.receive(1)[0].Body)).Message, "")
	for i, m := range b.receive(2) {
		equal(t, "document", x.document([]byte(*m.Body)).Message, []string{"blue", "red"}[i])
	}
}

func keyOverALink(t *testing.T, x *sides) {
	x.queue("keyed")
	b := x.box("keyed-box")
	x.link("queue", "keyed")
	x.link("queue", b.name)
	x.produce(&kgo.Record{Key: []byte("k-1"), Value: []byte("v")}, &kgo.Record{Value: []byte("v")})
	got, received := x.take("keyed", 2), b.receive(2)
	equal(t, "AMQP", got[0].Headers["kafka-key"], any("k-1"))
	equal(t, "AMQP, null", got[1].Headers["kafka-key"], nil)
	equal(t, "SQS", attribute(received[0], "kafka-key"), "String k-1")
	equal(t, "SQS, null", attribute(received[1], "kafka-key"), "<none>")
}

var someHeaders = []kgo.RecordHeader{{Key: "color", Value: []byte("red")}, {Key: "ce_type", Value: []byte("created")},
	{Key: "content-type", Value: []byte("application/json")}, {Key: "correlation-id", Value: []byte("order-7")},
	{Key: "traceparent", Value: []byte(trace)}, {Key: "X-Amzn-Trace-Id", Value: []byte(awsTrace)}}

func headersOverALink(t *testing.T, x *sides) {
	x.queue("headed")
	x.link("queue", "headed")
	x.produce(&kgo.Record{Value: []byte("v"), Headers: someHeaders})
	d := x.take("headed", 1)[0]
	equal(t, "properties", d.ContentType+" "+d.CorrelationId, "application/json order-7")
	for name, want := range map[string]any{"color": "red", "cloudEvents:type": "created", "traceparent": trace,
		"X-Amzn-Trace-Id": awsTrace} {
		equal(t, name, d.Headers[name], want)
	}
}

func headersToSQS(t *testing.T, x *sides) {
	b := x.box("headed-box")
	x.link("queue", b.name)
	x.produce(&kgo.Record{Value: []byte("v"), Headers: someHeaders})
	m := b.receive(1)[0]
	wantAttributes(x, m, map[string]string{"color": "String red", "ce_type": "String created",
		"content-type": "String application/json", "correlation-id": "String order-7", "traceparent": "String " + trace})
	equal(t, "trace", m.Attributes["AWSTraceHeader"], awsTrace)
}

func tombstoneOverALink(t *testing.T, x *sides) {
	x.queue("graves")
	b := x.box("graves-box")
	x.link("queue", "graves")
	x.link("queue", b.name)
	x.produce(&kgo.Record{Key: []byte("k")}, &kgo.Record{Key: []byte("k"), Value: []byte{}})
	got, received := x.take("graves", 2), b.receive(2)
	equal(t, "AMQP", fmt.Sprint(string(got[0].Body), got[0].Headers["kafka-tombstone"]), "true")
	equal(t, "AMQP, empty", got[1].Headers["kafka-tombstone"], nil)
	equal(t, "SQS", *received[0].Body+attribute(received[0], "kafka-tombstone"), "String true")
	equal(t, "SQS, empty", attribute(received[1], "kafka-tombstone"), "<none>")
}

func orderOverALink(t *testing.T, x *sides) {
	b := x.box("ordered-box")
	x.link("queue", b.name)
	const n = 300
	var all []*kgo.Record
	for i := range n {
		all = append(all, &kgo.Record{Value: fmt.Append(nil, i)})
	}
	x.produce(all...)
	for i, m := range b.receive(n) {
		if *m.Body != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", *m.Body, i)
		}
	}
}

// onceEach kills the program while a link is at work: each record is in the queue once.
func onceEach(t *testing.T, _ *sides) {
	s := server.Start(t)
	x := meet(t, s, "log", 1)
	x.queue("mail")
	b := x.box("box")
	const n = 20_000
	var all []*kgo.Record
	for i := range n {
		all = append(all, &kgo.Record{Value: fmt.Append(nil, i)})
	}
	x.produce(all...)
	x.link("queue", "mail", "from", "start")
	x.link("queue", b.name, "from", "start")
	b.receive(1) // it is at work
	s.Kill()
	s.Restart()
	y := meet(t, s, "another", 1)
	for i, d := range y.take("mail", n) {
		if string(d.Body) != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", d.Body, i)
		}
	}
	y.awaitNoLag("log")
	q, err := y.ch.QueueDeclarePassive("mail", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "left in AMQP", q.Messages, 0)
	equal(t, "left in SQS", y.box("box").attribute("ApproximateNumberOfMessages"), fmt.Sprint(n-1))
}

// awaitNoLag waits until the links of a topic have led all of it.
func (x *sides) awaitNoLag(topic string) {
	x.t.Helper()
	adm := kadm.NewClient(x.kafka)
	for x.ctx.Err() == nil {
		groups, err := adm.ListGroups(x.ctx)
		if err != nil {
			x.t.Fatal(err)
		}
		lags, err := adm.Lag(x.ctx, groups.Groups()...)
		if err != nil {
			x.t.Fatal(err)
		}
		left := int64(0)
		for group, l := range lags {
			if strings.HasPrefix(group, "link."+topic+".") {
				left += l.Lag.Total()
			}
		}
		if left == 0 && len(lags) > 0 {
			return
		}
	}
	x.t.Fatal("links do not come to the end")
}

func fromWhere(t *testing.T, x *sides) {
	x.queue("from-start", "from-end")
	x.produce(&kgo.Record{Value: []byte("old")})
	x.link("queue", "from-start", "from", "start")
	x.link("queue", "from-end")
	x.produce(&kgo.Record{Value: []byte("new")})
	got := x.take("from-start", 2)
	equal(t, "from the start", string(got[0].Body)+string(got[1].Body), "oldnew")
	equal(t, "from the end", string(x.take("from-end", 1)[0].Body), "new")
}

// lag: a queue that refuses more holds its link up, and Kafka's clients see by how much.
func lag(t *testing.T, x *sides) {
	_, err := x.ch.QueueDeclare("full", true, false, false, false,
		amqp091.Table{"x-max-length": int32(2), "x-overflow": "reject-publish"})
	if err != nil {
		t.Fatal(err)
	}
	group := x.link("queue", "full")
	for i := range 5 {
		x.produce(&kgo.Record{Value: fmt.Append(nil, i)})
	}
	adm := kadm.NewClient(x.kafka)
	for seen := int64(-1); seen != 3; {
		lags, err := adm.Lag(x.ctx, group)
		if err != nil {
			t.Fatal(err)
		}
		seen = lags[group].Lag.Total()
	}
	for i, d := range x.take("full", 5) {
		equal(t, "body", string(d.Body), fmt.Sprint(i))
	}
	x.awaitNoLag(x.topic)
}

func endOfALink(t *testing.T, x *sides) {
	x.queue("unlinked", "still-linked")
	x.link("queue", "unlinked")
	x.link("queue", "still-linked")
	if status, answer := x.links("DELETE", "queue", "unlinked"); status != http.StatusOK {
		t.Fatalf("%d %v", status, answer)
	}
	x.produce(&kgo.Record{Value: []byte("v")})
	x.take("still-linked", 1)
	if d, there, err := x.ch.Get("unlinked", true); there || err != nil {
		t.Errorf("got %s, %v", d.Body, err)
	}
}

func noLinkFromAQueue(t *testing.T, x *sides) {
	x.queue("source", "target")
	b := x.box("source-box")
	for _, from := range []string{"source", b.name} {
		x.topic = from
		if status, answer := x.links("POST", "queue", "target"); status != http.StatusNotFound {
			t.Errorf("%s: %d %v", from, status, answer)
		}
	}
}

func fromAMQPToSQSByKafka(t *testing.T, x *sides) {
	b := x.box("by-kafka")
	x.link("queue", b.name)
	x.publish("", x.topic, amqp091.Publishing{Body: []byte("v"), CorrelationId: "order-7",
		Headers: amqp091.Table{"n": int32(5), "cloudEvents:type": "created"}})
	wantAttributes(x, b.receive(1)[0], map[string]string{"correlation-id": "String order-7", "n": "Number 5",
		"ce_type": "String created", "kafka-key": "String " + x.topic})
}
