package aws

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// fifo makes a FIFO queue for the tourist.
func (x *tourist) fifo(name string) {
	x.t.Helper()
	out, err := x.c.CreateQueue(x.ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{
		"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}})
	if err != nil {
		x.t.Fatal(err)
	}
	x.queue = out.QueueUrl
}

func (x *tourist) sendOnce(group, id, body string) *sqs.SendMessageOutput {
	x.t.Helper()
	out, err := x.c.SendMessage(x.ctx, &sqs.SendMessageInput{QueueUrl: x.queue, MessageBody: &body,
		MessageGroupId: &group, MessageDeduplicationId: &id})
	if err != nil {
		x.t.Fatal(err)
	}
	return out
}

// TestTheSDKSendsOnceToFIFOQueues: a second send is told of the first, also after SIGKILL.
func TestTheSDKSendsOnceToFIFOQueues(t *testing.T) {
	s := server.Start(t)
	x := &tourist{t: t, ctx: bounded(t), c: dial(s.SQS, "any", "key")}
	x.fifo("tour.fifo")
	first := x.sendOnce("g", "1", "a")
	if other := x.sendOnce("h", "1", "b"); *other.MessageId == *first.MessageId || *other.SequenceNumber <= *first.SequenceNumber {
		t.Errorf("the first is %v %v, and of another group %v %v", *first.MessageId, *first.SequenceNumber,
			*other.MessageId, *other.SequenceNumber)
	}
	s.Kill()
	s.Restart()
	again := x.sendOnce("g", "1", "a")
	if *again.MessageId != *first.MessageId || *again.SequenceNumber != *first.SequenceNumber {
		t.Errorf("the first is %v %v, and again %v %v", *first.MessageId, *first.SequenceNumber,
			*again.MessageId, *again.SequenceNumber)
	}
	got, err := x.receive(2)
	if err != nil {
		t.Fatal(err)
	}
	if m := got[0]; *m.Body != "a" || m.Attributes["SequenceNumber"] != *first.SequenceNumber ||
		m.Attributes["MessageGroupId"] != "g" || m.Attributes["MessageDeduplicationId"] != "1" {
		t.Errorf("received %v", m)
	}
	_, err = x.c.ChangeMessageVisibility(x.ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: x.queue,
		ReceiptHandle: got[1].ReceiptHandle, VisibilityTimeout: 0})
	if err != nil {
		t.Fatal(err)
	}
	out, err := x.c.DeleteMessageBatch(x.ctx, &sqs.DeleteMessageBatchInput{QueueUrl: x.queue,
		Entries: []types.DeleteMessageBatchRequestEntry{{Id: aws.String("held"), ReceiptHandle: got[0].ReceiptHandle},
			{Id: aws.String("expired"), ReceiptHandle: got[1].ReceiptHandle}}})
	if err != nil || len(out.Successful) != 1 || len(out.Failed) != 1 || *out.Failed[0].Id != "expired" {
		t.Errorf("deleted %+v, %v", out, err)
	}
}

// TestTheSDKTriesAReceiveAgain and gets the same messages.
func TestTheSDKTriesAReceiveAgain(t *testing.T) {
	s := server.Start(t)
	x := &tourist{t: t, ctx: bounded(t), c: dial(s.SQS, "any", "key")}
	x.fifo("tour.fifo")
	x.sendOnce("g", "1", "a")
	in := &sqs.ReceiveMessageInput{QueueUrl: x.queue, ReceiveRequestAttemptId: aws.String("attempt"), WaitTimeSeconds: 5}
	var handles []string
	for range 2 {
		out, err := x.c.ReceiveMessage(x.ctx, in)
		if err != nil || len(out.Messages) != 1 {
			t.Fatalf("received %v, %v", out, err)
		}
		handles = append(handles, *out.Messages[0].ReceiptHandle)
	}
	if handles[0] != handles[1] {
		t.Errorf("the receipt handles are %v", handles)
	}
	if _, err := x.c.DeleteMessage(x.ctx, &sqs.DeleteMessageInput{QueueUrl: x.queue, ReceiptHandle: &handles[0]}); err != nil {
		t.Fatal(err)
	}
	var refused smithy.APIError
	_, err := x.c.ReceiveMessage(x.ctx, in)
	if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidParameterValue" ||
		!strings.Contains(refused.ErrorMessage(), "not retryable") {
		t.Errorf("got %v", err)
	}
}
