package aws

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// replayed is a FIFO topic that keeps its messages, and a FIFO queue that subscribes to it later.
type replayed struct {
	t     *testing.T
	s     *server.Server
	c     *sns.Client
	q     *sqs.Client
	topic *string
	queue *string
	sub   *string
	n     int // messages that were published: their numbers
}

func newReplayed(t *testing.T) *replayed {
	t.Helper()
	s := server.Start(t)
	x := &replayed{t: t, s: s, q: dial(s.SQS, "any", "key"), c: sns.New(sns.Options{Region: "us-east-1",
		BaseEndpoint: &s.SQS, Credentials: credentials.NewStaticCredentialsProvider("any", "key", "")})}
	topic, err := x.c.CreateTopic(bounded(t), &sns.CreateTopicInput{Name: aws.String("news.fifo"),
		Attributes: map[string]string{"FifoTopic": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"30"}`}})
	if err != nil {
		t.Fatal(err)
	}
	queue, err := x.q.CreateQueue(bounded(t), &sqs.CreateQueueInput{QueueName: aws.String("orders.fifo"),
		Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	x.topic, x.queue = topic.TopicArn, queue.QueueUrl
	return x
}

// publish publishes a batch. The topic takes each number once, however often the SDK tries.
func (x *replayed) publish() {
	x.t.Helper()
	in := &sns.PublishBatchInput{TopicArn: x.topic}
	for range 10 {
		id := strconv.Itoa(x.n)
		x.n++
		in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, types.PublishBatchRequestEntry{Id: &id,
			Message: &id, MessageDeduplicationId: &id, MessageGroupId: aws.String("g")})
	}
	if _, err := x.c.PublishBatch(bounded(x.t), in); err != nil {
		x.t.Fatal(err)
	}
}

// subscribe subscribes the queue to all that there was.
func (x *replayed) subscribe() {
	x.t.Helper()
	as, err := x.c.GetTopicAttributes(bounded(x.t), &sns.GetTopicAttributesInput{TopicArn: x.topic})
	if err != nil {
		x.t.Fatal(err)
	}
	made, err := x.c.Subscribe(bounded(x.t), &sns.SubscribeInput{TopicArn: x.topic, Protocol: aws.String("sqs"),
		Endpoint: aws.String("arn:aws:sqs:us-east-1:000000000000:orders.fifo"), ReturnSubscriptionArn: true,
		Attributes: map[string]string{"RawMessageDelivery": "true", "ReplayPolicy": `{"PointType":"Timestamp",` +
			`"StartingPoint":"` + as.Attributes["BeginningArchiveTime"] + `"}`}})
	if err != nil {
		x.t.Fatal(err)
	}
	x.sub = made.SubscriptionArn
}

// completed waits for the end of the replay.
func (x *replayed) completed() {
	x.t.Helper()
	for limit := time.Now().Add(patient); ; time.Sleep(20 * time.Millisecond) { // nothing tells when it is
		as, err := x.c.GetSubscriptionAttributes(bounded(x.t),
			&sns.GetSubscriptionAttributesInput{SubscriptionArn: x.sub})
		if err != nil {
			x.t.Fatal(err)
		}
		switch status := as.Attributes["ReplayStatus"]; {
		case status == "Completed":
			return
		case time.Now().After(limit):
			x.t.Fatalf("the replay is %s after %v", status, patient)
		}
	}
}

// received takes all that the queue has.
func (x *replayed) received() (all []string) {
	x.t.Helper()
	for {
		got, err := x.q.ReceiveMessage(bounded(x.t), &sqs.ReceiveMessageInput{QueueUrl: x.queue, MaxNumberOfMessages: 10})
		if err != nil {
			x.t.Fatal(err)
		}
		if len(got.Messages) == 0 {
			return all
		}
		in := &sqs.DeleteMessageBatchInput{QueueUrl: x.queue}
		for _, m := range got.Messages {
			all = append(all, *m.Body)
			in.Entries = append(in.Entries, sqstypes.DeleteMessageBatchRequestEntry{Id: m.Body, ReceiptHandle: m.ReceiptHandle})
		}
		if _, err := x.q.DeleteMessageBatch(bounded(x.t), in); err != nil {
			x.t.Fatal(err)
		}
	}
}

// TestAReplayDeliversOnceOverSIGKILL kills the program while a replay runs and messages are published behind
// it: the queue has each of them once, in order.
func TestAReplayDeliversOnceOverSIGKILL(t *testing.T) {
	x := newReplayed(t)
	for range 150 {
		x.publish()
	}
	x.subscribe()
	for range min(*kills, 5) {
		// The moment of the kill must not depend on anything that the program does.
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		x.s.Kill()
		x.s.Restart()
		x.publish()
	}
	x.completed()
	x.publish()
	var want []string
	for i := range x.n {
		want = append(want, strconv.Itoa(i))
	}
	if got := x.received(); !slices.Equal(got, want) {
		t.Errorf("received %d messages: %v, want %d in order", len(got), got, x.n)
	}
}
