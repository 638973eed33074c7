package crossing

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// topicRows are those about topics of SNS.
var topicRows = map[string]func(t *testing.T, x *sides){
	"raw":                       rawToKafka,
	"document":                  documentToKafka,
	"key of a notification":     keyOfANotification,
	"attributes as headers":     attributesAsHeaders,
	"id and trace":              idAndTrace,
	"text for a protocol":       textForAProtocol,
	"filter":                    filter,
	"no such topic":             noSuchTopic,
	"all or none":               allOrNone,
	"exchange and key":          exchangeAndKey,
	"raw to AMQP":               rawToAMQP,
	"document to AMQP":          documentToAMQP,
	"no such exchange":          noSuchExchange,
	"published to a topic":      publishedToATopic,
	"through an exchange":       throughAnExchange,
	"filtered":                  filtered,
	"bytes of a notification":   bytesOfANotification,
	"key of a published one":    keyOfAPublishedOne,
	"there and back":            thereAndBack,
	"raw with more than ten":    rawWithMoreThanTen,
	"durability of subscribers": durabilityOfSubscribers,
}

// yes is the value of raw.
const yes = "true"

func rawToKafka(t *testing.T, x *sides) {
	topic := x.news("raw-kafka")
	x.subscribe(topic, "kafka", x.topic, raw, yes)
	x.announce(topic, sns.PublishInput{Message: aws.String("é\n")})
	equal(t, "value", string(x.fetch(x.topic, 1)[0].Value), "é\n")
}

func documentToKafka(t *testing.T, x *sides) {
	topic := x.news("document-kafka")
	x.subscribe(topic, "kafka", x.topic)
	id := x.announce(topic, sns.PublishInput{MessageAttributes: map[string]snstypes.MessageAttributeValue{"a": told("b")}})
	r := x.fetch(x.topic, 1)[0]
	doc := x.document(r.Value)
	equal(t, "document", doc.Type+doc.MessageId+doc.TopicArn+doc.Message, "Notification"+id+topic+"news")
	equal(t, "attribute", doc.MessageAttributes["a"].Value, "b")
	equal(t, "signed", doc.Signature != "", true)
	equal(t, "header", header(r, "a"), "<none>")
	equal(t, "id", header(r, "message-id"), id)
}

func keyOfANotification(t *testing.T, x *sides) {
	topic := x.news("keys-kafka")
	x.subscribe(topic, "kafka", x.topic, raw, yes)
	x.announce(topic, sns.PublishInput{MessageGroupId: aws.String("tenant-1")})
	x.announce(topic, sns.PublishInput{})
	got := x.fetch(x.topic, 2)
	equal(t, "key", string(got[0].Key), "tenant-1")
	if got[1].Key != nil {
		t.Errorf("got %q, want null", got[1].Key)
	}
}

func attributesAsHeaders(t *testing.T, x *sides) {
	topic := x.news("attributes-kafka")
	x.subscribe(topic, "kafka", x.topic, raw, yes)
	x.announce(topic, sns.PublishInput{MessageAttributes: map[string]snstypes.MessageAttributeValue{
		"color": told("é"), "n": {DataType: aws.String("Number"), StringValue: aws.String("1.50")},
		"sum":  {DataType: aws.String("Binary"), BinaryValue: []byte{0xff}},
		"list": {DataType: aws.String("String.Array"), StringValue: aws.String(`["a"]`)}, "ce_type": told("created"),
		"content-type": told("application/json"), "correlation-id": told("order-7"), "traceparent": told(trace)}})
	r := x.fetch(x.topic, 1)[0]
	for name, want := range map[string]string{"color": "é", "n": "1.50", "sum": "\xff", "list": `["a"]`,
		"ce_type": "created", "content-type": "application/json", "correlation-id": "order-7", "traceparent": trace} {
		equal(t, name, header(r, name), want)
	}
}

func idAndTrace(t *testing.T, x *sides) {
	topic := x.news("trace-kafka")
	x.subscribe(topic, "kafka", x.topic, raw, yes)
	out, err := x.sns.Publish(x.ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String("m")},
		sns.WithAPIOptions(smithyhttp.SetHeaderValue("X-Amzn-Trace-Id", awsTrace)))
	if err != nil {
		t.Fatal(err)
	}
	r := x.fetch(x.topic, 1)[0]
	equal(t, "id", header(r, "message-id"), *out.MessageId)
	equal(t, "trace", header(r, "X-Amzn-Trace-Id"), awsTrace)
}

func textForAProtocol(t *testing.T, x *sides) {
	topic, b := x.news("structured"), x.box("structured")
	x.subscribe(topic, "kafka", x.topic, raw, yes)
	x.subscribe(topic, "sqs", b.arn, raw, yes)
	x.announce(topic, sns.PublishInput{MessageStructure: aws.String("json"),
		Message: aws.String(`{"default": "for all", "kafka": "for Kafka"}`)})
	equal(t, "Kafka", string(x.fetch(x.topic, 1)[0].Value), "for Kafka")
	equal(t, "SQS", *b.receive(1)[0].Body, "for all")
}

func filter(t *testing.T, x *sides) {
	topic := x.news("filter-kafka")
	x.subscribe(topic, "kafka", x.topic, raw, yes, "FilterPolicy", `{"color": ["red"]}`)
	for _, color := range []string{"blue", "red"} {
		x.announce(topic, sns.PublishInput{Message: &color,
			MessageAttributes: map[string]snstypes.MessageAttributeValue{"color": told(color)}})
	}
	equal(t, "value", string(x.fetch(x.topic, 1)[0].Value), "red")
}

func noSuchTopic(t *testing.T, x *sides) {
	topic, dead := x.news("nowhere-kafka"), x.box("nowhere-kafka-dead")
	x.subscribe(topic, "kafka", "nowhere", raw, yes, "RedrivePolicy", `{"deadLetterTargetArn":"`+dead.arn+`"}`)
	x.announce(topic, sns.PublishInput{})
	equal(t, "dead letter", *dead.receive(1)[0].Body, "news")
}

// allOrNone kills the program while it takes notifications: a queue, a topic and an exchange's queue have the
// same ones, and all that were answered.
func allOrNone(t *testing.T, _ *sides) {
	s := server.Start(t)
	x := meet(t, s, "log", 1)
	topic, b := x.news("fan"), x.box("box")
	if _, err := x.ch.QueueDeclare("mail", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	x.bind("post", "fanout", "mail")
	x.subscribe(topic, "kafka", "log", raw, yes)
	x.subscribe(topic, "sqs", b.arn, raw, yes)
	x.subscribe(topic, "amqp", "post", raw, yes)
	answered, ended := make(chan struct{}, 1000), make(chan struct{})
	for range 4 {
		go x.publishUntilItFails(topic, answered, ended)
	}
	for range 100 {
		<-answered
	}
	s.Kill()
	for range 4 {
		<-ended
	}
	n := 100 + len(answered)
	s.Restart()
	y := meet(t, s, "another", 1)
	q, err := y.ch.QueueDeclarePassive("mail", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := kadm.NewClient(y.kafka).ListEndOffsets(y.ctx, "log")
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup("log", 0)
	equal(t, "in SQS and AMQP", y.box("box").attribute("ApproximateNumberOfMessages"), fmt.Sprint(q.Messages))
	equal(t, "in Kafka and AMQP", end.Offset, int64(q.Messages))
	if q.Messages < n {
		t.Errorf("%d are there, %d were answered", q.Messages, n)
	}
}

// publishUntilItFails tells of each answer, as far as there is room, and of the end.
func (x *sides) publishUntilItFails(topic string, answered, ended chan<- struct{}) {
	defer func() { ended <- struct{}{} }()
	once := func(o *sns.Options) { o.RetryMaxAttempts = 1 }
	for range cap(answered) / 4 {
		_, err := x.sns.Publish(context.WithoutCancel(x.ctx), &sns.PublishInput{TopicArn: &topic, Message: aws.String("m")}, once)
		if err != nil {
			return
		}
		answered <- struct{}{}
	}
}

func exchangeAndKey(t *testing.T, x *sides) {
	topic := x.news("keyed-amqp")
	x.queue("first-of-amqp", "second-of-amqp")
	x.bind("of-sns", "direct")
	for key, queue := range map[string]string{"order.new": "first-of-amqp", "keyed-amqp": "second-of-amqp"} {
		if err := x.ch.QueueBind(queue, key, "of-sns", false, nil); err != nil {
			t.Fatal(err)
		}
	}
	x.subscribe(topic, "amqp", "of-sns#order.new", raw, yes)
	x.subscribe(topic, "amqp", "of-sns", raw, yes)
	x.announce(topic, sns.PublishInput{})
	first, second := x.get("first-of-amqp"), x.get("second-of-amqp")
	equal(t, "with a key", first.Exchange+" "+first.RoutingKey, "of-sns order.new")
	equal(t, "without", second.Exchange+" "+second.RoutingKey, "of-sns keyed-amqp")
}

// queue makes queues of AMQP.
func (x *sides) queue(names ...string) {
	x.t.Helper()
	for _, name := range names {
		if _, err := x.ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			x.t.Fatal(err)
		}
	}
}

// mailbox is a topic of SNS that leads to a queue of AMQP, of the same name, by an exchange.
func (x *sides) mailbox(name string, more ...string) (topic string) {
	x.t.Helper()
	topic = x.news(name)
	x.queue(name)
	x.bind(name+"-out", "fanout", name)
	x.subscribe(topic, "amqp", name+"-out", more...)
	return topic
}

func rawToAMQP(t *testing.T, x *sides) {
	topic := x.mailbox("raw-amqp", raw, yes)
	id := x.announce(topic, sns.PublishInput{MessageGroupId: aws.String("tenant-1"),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{"color": told("red"), "ce_type": told("created"),
			"content-type": told("text/plain"), "correlation-id": told("order-7"), "traceparent": told(trace)}})
	d := x.get("raw-amqp")
	equal(t, "body", string(d.Body), "news")
	equal(t, "properties", d.ContentType+d.CorrelationId, "text/plainorder-7")
	equal(t, "id", d.MessageId, id)
	equal(t, "mode", d.DeliveryMode, amqp091.Persistent)
	for name, want := range map[string]any{"color": "red", "cloudEvents:type": "created", "traceparent": trace,
		"group-id": "tenant-1"} {
		equal(t, name, d.Headers[name], want)
	}
}

func documentToAMQP(t *testing.T, x *sides) {
	id := x.announce(x.mailbox("document-amqp"), sns.PublishInput{})
	d := x.get("document-amqp")
	doc := x.document(d.Body)
	equal(t, "document", doc.Type+doc.MessageId+doc.Message, "Notification"+id+"news")
	equal(t, "id", d.MessageId, id)
}

func noSuchExchange(t *testing.T, x *sides) {
	topic, dead := x.news("nowhere-amqp"), x.box("nowhere-amqp-dead")
	x.subscribe(topic, "amqp", "nowhere", raw, yes, "RedrivePolicy", `{"deadLetterTargetArn":"`+dead.arn+`"}`)
	x.announce(topic, sns.PublishInput{})
	equal(t, "dead letter", *dead.receive(1)[0].Body, "news")
}

func publishedToATopic(t *testing.T, x *sides) {
	topic, b, r := x.news("from-amqp"), x.box("from-amqp"), x.box("raw-from-amqp")
	x.subscribe(topic, "sqs", b.arn)
	x.subscribe(topic, "sqs", r.arn, raw, yes)
	before := time.Now().Truncate(time.Second)
	x.publish("from-amqp", "order.new", amqp091.Publishing{Body: []byte("from AMQP"), CorrelationId: "order-7",
		Headers: amqp091.Table{"color": "red", "n": int32(5)}})
	m := r.receive(1)[0]
	equal(t, "raw", *m.Body, "from AMQP")
	wantAttributes(x, m, map[string]string{"color": "String red", "n": "Number 5", "correlation-id": "String order-7",
		"amqp-routing-key": "String order.new", "amqp-exchange": "String from-amqp"})
	var doc struct {
		document
		Timestamp time.Time
	}
	x.decode([]byte(*b.receive(1)[0].Body), &doc)
	equal(t, "message", doc.Message, "from AMQP")
	equal(t, "attribute", doc.MessageAttributes["n"].Type+doc.MessageAttributes["n"].Value, "Number5")
	if doc.Timestamp.Before(before) || doc.Timestamp.After(time.Now()) {
		t.Errorf("its time is %v", doc.Timestamp)
	}
}

func throughAnExchange(t *testing.T, x *sides) {
	topic, b := x.news("bound"), x.box("bound")
	x.subscribe(topic, "sqs", b.arn, raw, yes)
	x.bind("shop-of-sns", "topic")
	if err := x.ch.ExchangeBind("bound", "order.*", "shop-of-sns", false, nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cart.new", "order.new"} {
		x.publish("shop-of-sns", key, amqp091.Publishing{Body: []byte(key)})
	}
	m := b.receive(1)[0]
	equal(t, "body", *m.Body, "order.new")
	wantAttributes(x, m, map[string]string{"amqp-exchange": "String shop-of-sns",
		"amqp-routing-key": "String order.new"})
}

func filtered(t *testing.T, x *sides) {
	topic := x.news("filtered-amqp")
	byKey, byHeader, byBody := x.box("by-key"), x.box("by-header"), x.box("by-body")
	x.subscribe(topic, "sqs", byKey.arn, raw, yes, "FilterPolicy", `{"amqp-routing-key": [{"prefix": "order."}]}`)
	x.subscribe(topic, "sqs", byHeader.arn, raw, yes, "FilterPolicy", `{"n": [{"numeric": [">", 4]}]}`)
	x.subscribe(topic, "sqs", byBody.arn, raw, yes, "FilterPolicy", `{"a": [3]}`, "FilterPolicyScope", "MessageBody")
	x.publish("filtered-amqp", "order.new", amqp091.Publishing{Body: []byte("1")})
	x.publish("filtered-amqp", "", amqp091.Publishing{Body: []byte("2"), Headers: amqp091.Table{"n": int64(5)}})
	x.publish("filtered-amqp", "", amqp091.Publishing{Body: []byte(`{"a":3}`), Headers: amqp091.Table{"n": int64(4)}})
	for b, want := range map[*box]string{byKey: "1", byHeader: "2", byBody: `{"a":3}`} {
		equal(t, "waiting in "+b.name, b.attribute("ApproximateNumberOfMessages"), "1")
		equal(t, b.name, *b.receive(1)[0].Body, want)
	}
}

func bytesOfANotification(t *testing.T, x *sides) {
	topic := x.mailbox("bytes", raw, yes)
	b := x.box("bytes-box")
	x.subscribe(topic, "kafka", x.topic, raw, yes)
	x.subscribe(topic, "sqs", b.arn, raw, yes)
	x.publish("bytes", "", amqp091.Publishing{Body: []byte{0, 0xff}})
	m := b.receive(1)[0]
	equal(t, "SQS", *m.Body+attribute(m, "Content-Transfer-Encoding"), "AP8=String base64")
	equal(t, "AMQP", string(x.get("bytes").Body), "\x00\xff")
	r := x.fetch(x.topic, 1)[0]
	equal(t, "Kafka", string(r.Value)+header(r, "Content-Transfer-Encoding"), "\x00\xff<none>")
}

func keyOfAPublishedOne(t *testing.T, x *sides) {
	topic := x.news("key-amqp-kafka")
	x.subscribe(topic, "kafka", x.topic, raw, yes)
	x.publish("key-amqp-kafka", "order.new", amqp091.Publishing{})
	equal(t, "key", string(x.fetch(x.topic, 1)[0].Key), "order.new")
}

func thereAndBack(t *testing.T, x *sides) {
	topic := x.mailbox("back", raw, yes)
	x.subscribe(topic, "kafka", x.topic, raw, yes)
	x.publish("back", "order.new", amqp091.Publishing{ContentType: "application/json", CorrelationId: "order-7",
		MessageId: "mine", ReplyTo: "r", Timestamp: time.Unix(1767323045, 0), Priority: 7, Body: []byte("{}"),
		Headers: amqp091.Table{"cloudEvents:type": "created", "traceparent": trace, "n": int32(5)}})
	d := x.get("back")
	equal(t, "properties", d.ContentType+" "+d.CorrelationId+" "+d.MessageId+" "+d.ReplyTo, "application/json order-7 mine r")
	equal(t, "time and priority", fmt.Sprint(d.Timestamp.Unix(), d.Priority), "1767323045 7")
	equal(t, "event", d.Headers["cloudEvents:type"], any("created"))
	equal(t, "trace", d.Headers["traceparent"], any(trace))
	equal(t, "number", d.Headers["n"], any("5"))
	r := x.fetch(x.topic, 1)[0]
	for name, want := range map[string]string{"content-type": "application/json", "correlation-id": "order-7",
		"message-id": "mine", "ce_type": "created", "traceparent": trace, "amqp-exchange": "back"} {
		equal(t, name, header(r, name), want)
	}
}

func rawWithMoreThanTen(t *testing.T, x *sides) {
	topic, b := x.news("many"), x.box("many")
	x.subscribe(topic, "sqs", b.arn, raw, yes)
	all := amqp091.Table{}
	for i := range 12 {
		all[fmt.Sprint("h", i)] = strings.Repeat("v", i+1)
	}
	x.publish("many", "k", amqp091.Publishing{Body: []byte("m"), Headers: all})
	equal(t, "attributes", len(b.receive(1)[0].MessageAttributes), 12+2) // and where it was published
}

// durabilityOfSubscribers: what AMQP's confirm says holds for all that a topic of SNS leads to.
func durabilityOfSubscribers(t *testing.T, _ *sides) {
	s := server.Start(t)
	x := meet(t, s, "log", 1)
	topic, b := x.news("fan"), x.box("box")
	x.subscribe(topic, "kafka", "log", raw, yes)
	x.subscribe(topic, "sqs", b.arn, raw, yes)
	const n = 50
	for i := range n {
		if !x.publish("fan", "", amqp091.Publishing{Body: fmt.Append(nil, i), DeliveryMode: amqp091.Persistent}) {
			t.Fatal("nacked")
		}
	}
	s.Kill()
	s.Restart()
	messages, records := b.receive(n), x.fetch("log", n)
	for i := range n {
		equal(t, "SQS", *messages[i].Body, fmt.Sprint(i))
		equal(t, "Kafka", string(records[i].Value), fmt.Sprint(i))
	}
}
