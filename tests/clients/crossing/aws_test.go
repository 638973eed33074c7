package crossing

import (
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

var (
	region = "us-east-1"
	keys   = credentials.NewStaticCredentialsProvider("key", "secret", "")
)

// connectAWS makes clients of SQS and SNS.
func (x *sides) connectAWS(endpoint string) {
	x.sqs = sqs.New(sqs.Options{Region: region, BaseEndpoint: &endpoint, Credentials: keys})
	x.sns = sns.New(sns.Options{Region: region, BaseEndpoint: &endpoint, Credentials: keys})
}

// box is a queue of SQS.
type box struct {
	x              *sides
	name, url, arn string
}

// box makes a queue of SQS. More are attributes.
func (x *sides) box(name string, more ...string) *box {
	x.t.Helper()
	out, err := x.sqs.CreateQueue(x.ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: pairs(more)})
	if err != nil {
		x.t.Fatal(err)
	}
	return &box{x, name, *out.QueueUrl, "arn:aws:sqs:us-east-1:000000000000:" + name}
}

func pairs(all []string) map[string]string {
	out := map[string]string{}
	for i := 0; i+1 < len(all); i += 2 {
		out[all[i]] = all[i+1]
	}
	return out
}

// receive takes n messages, with all of their attributes, and deletes them.
func (b *box) receive(n int) (all []types.Message) {
	b.x.t.Helper()
	for len(all) < n {
		m, ok := b.next(20)
		if !ok {
			b.x.t.Fatalf("%d of %d messages", len(all), n)
		}
		_, err := b.x.sqs.DeleteMessage(b.x.ctx, &sqs.DeleteMessageInput{QueueUrl: &b.url, ReceiptHandle: m.ReceiptHandle})
		if err != nil {
			b.x.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// next receives one message, and waits for it so many seconds.
func (b *box) next(wait int32) (m types.Message, ok bool) {
	b.x.t.Helper()
	out, err := b.x.sqs.ReceiveMessage(b.x.ctx, &sqs.ReceiveMessageInput{QueueUrl: &b.url, WaitTimeSeconds: wait,
		MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	if err != nil {
		b.x.t.Fatal(err)
	}
	if len(out.Messages) == 0 {
		return m, false
	}
	return out.Messages[0], true
}

// put sends a message.
func (b *box) put(in sqs.SendMessageInput) *sqs.SendMessageOutput {
	b.x.t.Helper()
	if in.QueueUrl = &b.url; in.MessageBody == nil {
		in.MessageBody = aws.String("body")
	}
	out, err := b.x.sqs.SendMessage(b.x.ctx, &in)
	if err != nil {
		b.x.t.Fatal(err)
	}
	return out
}

// attribute is one of a queue, ApproximateNumberOfMessages.
func (b *box) attribute(name types.QueueAttributeName) string {
	b.x.t.Helper()
	out, err := b.x.sqs.GetQueueAttributes(b.x.ctx, &sqs.GetQueueAttributesInput{QueueUrl: &b.url,
		AttributeNames: []types.QueueAttributeName{name}})
	if err != nil {
		b.x.t.Fatal(err)
	}
	return out.Attributes[string(name)]
}

// taken publishes to a queue of SQS, by its name, and receives that.
func (x *sides) taken(m amqp091.Publishing) types.Message {
	x.t.Helper()
	b := x.box(x.topic + "-box")
	if !x.publish("", b.name, m) {
		x.t.Fatal("nacked")
	}
	return b.receive(1)[0]
}

// attribute is a message attribute: "Number 5", and "<none>" where there is none.
func attribute(m types.Message, name string) string {
	a, ok := m.MessageAttributes[name]
	if !ok {
		return "<none>"
	}
	return *a.DataType + " " + aws.ToString(a.StringValue) + string(a.BinaryValue)
}

func wantAttributes(x *sides, m types.Message, want map[string]string) {
	x.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		equal(x.t, name, attribute(m, name), want[name])
	}
}

func text(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &s}
}

func number(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("Number"), StringValue: &s}
}

// drawn sends a message to a queue of SQS and gets it with AMQP.
func (x *sides) drawn(in sqs.SendMessageInput) (amqp091.Delivery, *sqs.SendMessageOutput) {
	x.t.Helper()
	b := x.box(x.topic + "-box")
	out := b.put(in)
	return x.get(b.name), out
}

// get takes one message with AMQP, and acknowledges it.
func (x *sides) get(queue string) amqp091.Delivery {
	x.t.Helper()
	d, ok, err := x.ch.Get(queue, true)
	if err != nil || !ok {
		x.t.Fatal(ok, err)
	}
	return d
}

// news makes a topic of SNS and returns its ARN.
func (x *sides) news(name string) string {
	x.t.Helper()
	out, err := x.sns.CreateTopic(x.ctx, &sns.CreateTopicInput{Name: &name})
	if err != nil {
		x.t.Fatal(err)
	}
	return *out.TopicArn
}

// subscribe makes a subscription. More are attributes.
func (x *sides) subscribe(topic, protocol, endpoint string, more ...string) {
	x.t.Helper()
	_, err := x.sns.Subscribe(x.ctx, &sns.SubscribeInput{TopicArn: &topic, Protocol: &protocol, Endpoint: &endpoint,
		Attributes: pairs(more)})
	if err != nil {
		x.t.Fatal(err)
	}
}

// raw asks for messages without a document around them.
const raw = "RawMessageDelivery"

// announce publishes to a topic of SNS and returns the id.
func (x *sides) announce(topic string, in sns.PublishInput) string {
	x.t.Helper()
	if in.TopicArn = &topic; in.Message == nil {
		in.Message = aws.String("news")
	}
	out, err := x.sns.Publish(x.ctx, &in)
	if err != nil {
		x.t.Fatal(err)
	}
	return *out.MessageId
}

func told(s string) snstypes.MessageAttributeValue {
	return snstypes.MessageAttributeValue{DataType: aws.String("String"), StringValue: &s}
}

// document is what SNS makes of a message.
type document struct {
	Type, MessageId, TopicArn, Message, Signature string
	MessageAttributes                             map[string]struct{ Type, Value string }
}

func (x *sides) document(b []byte) (doc document) {
	x.t.Helper()
	x.decode(b, &doc)
	return doc
}
