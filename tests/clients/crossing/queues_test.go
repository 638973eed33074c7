package crossing

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// queueRows are those about queues of SQS and AMQP's clients.
var queueRows = map[string]func(t *testing.T, x *sides){
	"text":                       textBody,
	"bytes":                      bytesBody,
	"properties as attributes":   propertiesAsAttributes,
	"headers as attributes":      headersAsAttributes,
	"more than ten":              moreThanTen,
	"exchange and routing key":   exchangeAndRoutingKey,
	"message id":                 messageID,
	"sent":                       sent,
	"trace of a message":         traceOfAMessage,
	"correlation id of an event": correlationAndEvent,
	"expiration":                 expiration,
	"delay":                      delay,
	"large":                      largeBody,
	"order in a queue":           orderInAQueue,
	"FIFO queue":                 fifoQueue,
	"confirm":                    confirm,
	"transaction with queues":    transactionWithQueues,

	"text of SQS":             textOfSQS,
	"attributes":              attributes,
	"named attributes":        namedAttributes,
	"id and time":             idAndTime,
	"group":                   group,
	"trace header":            traceHeader,
	"CloudEvents of SQS":      cloudEventsOfSQS,
	"redelivered":             redelivered,
	"acknowledge":             acknowledge,
	"reject":                  reject,
	"in a consumer's hands":   inAConsumersHands,
	"what was left in flight": leftInFlight,
}

func textBody(t *testing.T, x *sides) {
	equal(t, "body", *x.taken(amqp091.Publishing{Body: []byte("é\n")}).Body, "é\n") // the SDK compares checksums
}

func bytesBody(t *testing.T, x *sides) {
	m := x.taken(amqp091.Publishing{Body: []byte{0, 0xff}})
	equal(t, "body", *m.Body, "AP8=")
	equal(t, "encoding", attribute(m, "Content-Transfer-Encoding"), "String base64")
}

func propertiesAsAttributes(t *testing.T, x *sides) {
	wantAttributes(x, x.taken(amqp091.Publishing{ContentType: "text/plain", ContentEncoding: "gzip", Priority: 7,
		CorrelationId: "c", ReplyTo: "r", Expiration: "100000", MessageId: "m",
		Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Type: "t", UserId: "guest", AppId: "a",
		DeliveryMode: amqp091.Persistent}),
		map[string]string{"content-type": "String text/plain", "content-encoding": "String gzip",
			"priority": "Number 7", "correlation-id": "String c", "reply-to": "String r", "expiration": "String 100000",
			"message-id": "String m", "timestamp": "String 2026-01-02T03:04:05Z", "type": "String t",
			"user-id": "String guest", "app-id": "String a", "delivery-mode": "<none>"})
}

func headersAsAttributes(t *testing.T, x *sides) {
	wantAttributes(x, x.taken(amqp091.Publishing{Headers: amqp091.Table{"text": "é", "bytes": []byte{0xff}, "n": int32(-5),
		"pi": 3.5, "yes": true, "at": time.Unix(0, 0), "none": nil, "empty": "", "table": amqp091.Table{"a": int64(1)},
		"no name": "x"}}),
		map[string]string{"text": "String é", "bytes": "Binary \xff", "n": "Number -5", "pi": "Number 3.5",
			"yes": "String true", "at": "String 1970-01-01T00:00:00Z", "none": "<none>", "empty": "<none>",
			"table": `String {"a":1}`, "no name": "<none>"})
}

func moreThanTen(t *testing.T, x *sides) {
	all := amqp091.Table{}
	for i := range 30 {
		all[fmt.Sprint("h", i)] = "v"
	}
	m := x.taken(amqp091.Publishing{CorrelationId: "c", Headers: all})
	equal(t, "attributes", len(m.MessageAttributes), 31)
}

func exchangeAndRoutingKey(t *testing.T, x *sides) {
	b := x.box("routed")
	x.bind("shop-of-sqs", "topic", b.name)
	x.publish("shop-of-sqs", "order.new", amqp091.Publishing{})
	x.publish("", b.name, amqp091.Publishing{})
	got := b.receive(2)
	wantAttributes(x, got[0], map[string]string{"amqp-exchange": "String shop-of-sqs",
		"amqp-routing-key": "String order.new"})
	wantAttributes(x, got[1], map[string]string{"amqp-exchange": "<none>", "amqp-routing-key": "<none>"})
}

func messageID(t *testing.T, x *sides) {
	b := x.box("ids", "VisibilityTimeout", "0")
	x.publish("", b.name, amqp091.Publishing{MessageId: "mine"})
	first, _ := b.next(20)
	again := b.receive(1)[0]
	equal(t, "the id again", *again.MessageId, *first.MessageId)
	equal(t, "the publisher's", attribute(first, "message-id"), "String mine")
}

func sent(t *testing.T, x *sides) {
	before := time.Now().UnixMilli()
	m := x.taken(amqp091.Publishing{Timestamp: time.Unix(5, 0)})
	at, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64)
	if err != nil || at < before || at > time.Now().UnixMilli() {
		t.Errorf("sent at %d, want from %d to now; %v", at, before, err)
	}
}

const awsTrace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"

func traceOfAMessage(t *testing.T, x *sides) {
	m := x.taken(amqp091.Publishing{Headers: amqp091.Table{"traceparent": trace, "tracestate": "a=1", "baggage": "b=2",
		"X-Amzn-Trace-Id": awsTrace}})
	wantAttributes(x, m, map[string]string{"traceparent": "String " + trace, "tracestate": "String a=1",
		"baggage": "String b=2", "X-Amzn-Trace-Id": "<none>"})
	equal(t, "AWS's", m.Attributes["AWSTraceHeader"], awsTrace)
}

func correlationAndEvent(t *testing.T, x *sides) {
	wantAttributes(x, x.taken(amqp091.Publishing{CorrelationId: "order-7", ContentType: "application/json",
		Headers: amqp091.Table{"cloudEvents:type": "created", "cloudEvents_id": "7"}}), map[string]string{
		"correlation-id": "String order-7", "content-type": "String application/json", "ce_type": "String created",
		"ce_id": "String 7"})
}

func expiration(t *testing.T, x *sides) {
	dead := x.box("expired")
	b := x.box("short-lived", "RedrivePolicy", `{"maxReceiveCount":"1","deadLetterTargetArn":"`+dead.arn+`"}`)
	x.publish("", b.name, amqp091.Publishing{Expiration: "1", Body: []byte("old")})
	x.publish("", b.name, amqp091.Publishing{Expiration: "100000", Body: []byte("fresh")})
	equal(t, "received", *b.receive(1)[0].Body, "fresh")
	equal(t, "dead letter", *dead.receive(1)[0].Body, "old")
}

func delay(t *testing.T, x *sides) {
	b := x.box("slow", "DelaySeconds", "1")
	began := time.Now()
	x.publish("", b.name, amqp091.Publishing{})
	b.receive(1)
	if d := time.Since(began); d < time.Second {
		t.Errorf("received after %v", d)
	}
}

func largeBody(t *testing.T, x *sides) {
	equal(t, "bytes", len(*x.taken(amqp091.Publishing{Body: bytes.Repeat([]byte("x"), 2<<20)}).Body), 2<<20)
}

func orderInAQueue(t *testing.T, x *sides) {
	b := x.box("ordered")
	const n = 100
	for i := range n {
		x.publish("", b.name, amqp091.Publishing{Body: fmt.Append(nil, i)})
	}
	for i, m := range b.receive(n) {
		if *m.Body != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", *m.Body, i)
		}
	}
}

func fifoQueue(t *testing.T, x *sides) {
	b := x.box("published.fifo", "FifoQueue", yes)
	for range 2 {
		x.publish("", b.name, amqp091.Publishing{Body: []byte("same")})
	}
	first, _ := b.next(20)
	if _, ok := b.next(0); ok {
		t.Error("the second one does not wait for the first")
	}
	equal(t, "group", first.Attributes["MessageGroupId"], "")
	_, err := x.sqs.DeleteMessage(x.ctx, &sqs.DeleteMessageInput{QueueUrl: &b.url, ReceiptHandle: first.ReceiptHandle})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "not deduplicated", *b.receive(1)[0].Body, "same")
}

// confirm: what is confirmed is received after SIGKILL, if it was published as persistent.
func confirm(t *testing.T, _ *sides) {
	s := server.Start(t)
	x := meet(t, s, "t", 1)
	b := x.box("kept")
	const n = 50
	for i := range n {
		if !x.publish("", b.name, amqp091.Publishing{Body: fmt.Append(nil, i), DeliveryMode: amqp091.Persistent}) {
			t.Fatal("nacked")
		}
	}
	x.publish("", b.name, amqp091.Publishing{Body: []byte("transient")})
	s.Kill()
	s.Restart()
	for i, m := range b.receive(n) {
		equal(t, "body", *m.Body, fmt.Sprint(i))
	}
	if m, ok := b.next(0); ok {
		t.Errorf("received %s too", *m.Body)
	}
}

func transactionWithQueues(t *testing.T, x *sides) {
	a, b := x.box("tx-a"), x.box("tx-b")
	ch := x.channel()
	err := ch.Tx()
	for _, end := range []func() error{ch.TxRollback, ch.TxCommit} {
		for _, to := range []string{a.name, b.name, x.topic} {
			if err == nil {
				err = ch.PublishWithContext(x.ctx, "", to, false, false, amqp091.Publishing{Body: []byte(to)})
			}
		}
		if err == nil {
			err = end()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []*box{a, b} {
		equal(t, "waiting", q.attribute("ApproximateNumberOfMessages"), "1")
		equal(t, "body", *q.receive(1)[0].Body, q.name)
	}
	x.fetch(x.topic, 1)
}

func textOfSQS(t *testing.T, x *sides) {
	b := x.box("both-ways")
	b.put(sqs.SendMessageInput{MessageBody: aws.String("é\n")})
	b.put(sqs.SendMessageInput{MessageBody: aws.String("second")})
	deliveries, err := x.channel().ConsumeWithContext(x.ctx, b.name, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, second := <-deliveries, <-deliveries
	equal(t, "first", string(first.Body), "é\n")
	equal(t, "second", string(second.Body), "second")
	equal(t, "exchange", first.Exchange, "")
	equal(t, "routing key", first.RoutingKey, b.name)
	equal(t, "mode", first.DeliveryMode, amqp091.Persistent)
}

func attributes(t *testing.T, x *sides) {
	d, _ := x.drawn(sqs.SendMessageInput{MessageAttributes: map[string]types.MessageAttributeValue{"color": text("é"),
		"n": number("1.50"), "sum": {DataType: aws.String("Binary.sha"), BinaryValue: []byte{0xff}}}})
	equal(t, "text", d.Headers["color"], any("é"))
	equal(t, "number", d.Headers["n"], any("1.50"))
	if b, ok := d.Headers["sum"].([]byte); !ok || string(b) != "\xff" {
		t.Errorf("bytes: got %v", d.Headers["sum"])
	}
}

func namedAttributes(t *testing.T, x *sides) {
	long := strings.Repeat("c", 256)
	d, out := x.drawn(sqs.SendMessageInput{MessageAttributes: map[string]types.MessageAttributeValue{
		"content-type": text("a/b"), "content-encoding": text("gzip"), "correlation-id": text("order-7"),
		"reply-to": text(long), "type": text("t"), "priority": number("7"), "message-id": text("mine"),
		"timestamp": text("2026-01-02T03:04:05Z"), "app-id": text("a")}})
	equal(t, "content type", d.ContentType, "a/b")
	equal(t, "others", d.ContentEncoding+d.CorrelationId+d.Type+d.AppId, "gziporder-7ta")
	equal(t, "priority", d.Priority, 7)
	equal(t, "too long", d.Headers["reply-to"], any(long))
	equal(t, "timestamp", d.Timestamp.UTC(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	equal(t, "message id", d.MessageId, "mine")
	equal(t, "that of SQS is another", d.MessageId == *out.MessageId, false)
}

func idAndTime(t *testing.T, x *sides) {
	before := time.Now().Truncate(time.Millisecond)
	d, out := x.drawn(sqs.SendMessageInput{})
	equal(t, "id", d.MessageId, *out.MessageId)
	ms, _ := d.Headers["timestamp_in_ms"].(int64)
	if at := time.UnixMilli(ms); at.Before(before) || at.After(time.Now()) || d.Timestamp.Unix() != at.Unix() {
		t.Errorf("got %v and %v, want between %v and now", at, d.Timestamp, before)
	}
}

func group(t *testing.T, x *sides) {
	d, _ := x.drawn(sqs.SendMessageInput{MessageGroupId: aws.String("tenant-1")})
	equal(t, "group", d.Headers["group-id"], any("tenant-1"))
}

func traceHeader(t *testing.T, x *sides) {
	d, _ := x.drawn(sqs.SendMessageInput{MessageAttributes: map[string]types.MessageAttributeValue{"traceparent": text(trace)},
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String(awsTrace)}}})
	equal(t, "AWS's", d.Headers["X-Amzn-Trace-Id"], any(awsTrace))
	equal(t, "traceparent", d.Headers["traceparent"], any(trace))
}

func cloudEventsOfSQS(t *testing.T, x *sides) {
	d, _ := x.drawn(sqs.SendMessageInput{MessageAttributes: map[string]types.MessageAttributeValue{
		"ce_type": text("created"), "content-type": text("application/json")}})
	equal(t, "type", d.Headers["cloudEvents:type"], any("created"))
	equal(t, "content type", d.ContentType, "application/json")
}

func redelivered(t *testing.T, x *sides) {
	b := x.box("again")
	b.put(sqs.SendMessageInput{})
	m, _ := b.next(20)
	_, err := x.sqs.ChangeMessageVisibility(x.ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &b.url,
		ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0})
	if err != nil {
		t.Fatal(err)
	}
	d, ok, err := x.ch.Get(b.name, false)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	equal(t, "to AMQP", d.Redelivered, true)
	if err := d.Nack(false, true); err != nil {
		t.Fatal(err)
	}
	equal(t, "receives", b.receive(1)[0].Attributes["ApproximateReceiveCount"], "2")
}

func acknowledge(t *testing.T, x *sides) {
	b := x.box("acked")
	b.put(sqs.SendMessageInput{})
	x.get(b.name)
	for _, name := range []types.QueueAttributeName{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
		equal(t, string(name), b.attribute(name), "0")
	}
}

func reject(t *testing.T, x *sides) {
	dead := x.box("rejected")
	b := x.box("rejecting", "RedrivePolicy", `{"maxReceiveCount":"5","deadLetterTargetArn":"`+dead.arn+`"}`)
	out := b.put(sqs.SendMessageInput{})
	d, ok, err := x.ch.Get(b.name, false)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := d.Reject(false); err != nil {
		t.Fatal(err)
	}
	m := dead.receive(1)[0]
	equal(t, "id", *m.MessageId, *out.MessageId)
	equal(t, "source", m.Attributes["DeadLetterQueueSourceArn"], b.arn)
}

func inAConsumersHands(t *testing.T, x *sides) {
	b := x.box("in-hands", "VisibilityTimeout", "0")
	b.put(sqs.SendMessageInput{})
	d, ok, err := x.ch.Get(b.name, false)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	equal(t, "not visible", b.attribute("ApproximateNumberOfMessagesNotVisible"), "1")
	if _, ok := b.next(0); ok {
		t.Error("it is received too")
	}
	if err := d.Nack(false, true); err != nil {
		t.Fatal(err)
	}
	b.receive(1)
}

func leftInFlight(t *testing.T, x *sides) {
	b := x.box("left", "VisibilityTimeout", "1")
	b.put(sqs.SendMessageInput{})
	if _, ok := b.next(20); !ok {
		t.Fatal("nothing")
	}
	deliveries, err := x.channel().ConsumeWithContext(x.ctx, b.name, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := <-deliveries; string(d.Body) != "body" || !d.Redelivered {
		t.Errorf("got %q, redelivered %v", d.Body, d.Redelivered)
	}
}
