package aws

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/tidings-io/tidings/tests/clients/server"
)

func dial(endpoint, key, secret string) *sqs.Client {
	return sqs.New(sqs.Options{Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, "")})
}

// bounded is a context for one test's calls.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// tourist goes through every action that is served.
type tourist struct {
	t     *testing.T
	ctx   context.Context
	c     *sqs.Client
	queue *string
	move  *string // handle of a task
}

// stops are what the tour does for each action, which is answered and not refused.
var stops = map[string]func(*tourist) error{
	"CreateQueue": func(x *tourist) error {
		out, err := x.c.CreateQueue(x.ctx, &sqs.CreateQueueInput{QueueName: aws.String("tour"),
			Attributes: map[string]string{"VisibilityTimeout": "30"}, Tags: map[string]string{"a": "b"}})
		if err == nil {
			x.queue = out.QueueUrl
		}
		return err
	},
	"GetQueueUrl": func(x *tourist) error {
		out, err := x.c.GetQueueUrl(x.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("tour")})
		return is(err, func() bool { return *out.QueueUrl == *x.queue })
	},
	"ListQueues": func(x *tourist) error {
		out, err := x.c.ListQueues(x.ctx, &sqs.ListQueuesInput{QueueNamePrefix: aws.String("to"), MaxResults: aws.Int32(1)})
		return is(err, func() bool { return len(out.QueueUrls) == 1 && out.NextToken == nil })
	},
	"GetQueueAttributes": func(x *tourist) error {
		out, err := x.c.GetQueueAttributes(x.ctx, &sqs.GetQueueAttributesInput{QueueUrl: x.queue,
			AttributeNames: []types.QueueAttributeName{"All"}})
		return is(err, func() bool { return strings.HasSuffix(out.Attributes["QueueArn"], ":tour") })
	},
	"SetQueueAttributes": func(x *tourist) error {
		_, err := x.c.SetQueueAttributes(x.ctx, &sqs.SetQueueAttributesInput{QueueUrl: x.queue,
			Attributes: map[string]string{"MaximumMessageSize": "2048"}})
		return err
	},
	"TagQueue": func(x *tourist) error {
		_, err := x.c.TagQueue(x.ctx, &sqs.TagQueueInput{QueueUrl: x.queue, Tags: map[string]string{"c": "d"}})
		return err
	},
	"UntagQueue": func(x *tourist) error {
		_, err := x.c.UntagQueue(x.ctx, &sqs.UntagQueueInput{QueueUrl: x.queue, TagKeys: []string{"a"}})
		return err
	},
	"ListQueueTags": func(x *tourist) error {
		out, err := x.c.ListQueueTags(x.ctx, &sqs.ListQueueTagsInput{QueueUrl: x.queue})
		return is(err, func() bool { return len(out.Tags) > 0 })
	},
	"ListDeadLetterSourceQueues": func(x *tourist) error {
		out, err := x.c.ListDeadLetterSourceQueues(x.ctx, &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: x.queue})
		return is(err, func() bool { return len(out.QueueUrls) == 0 })
	},
	"AddPermission": func(x *tourist) error {
		_, err := x.c.AddPermission(x.ctx, &sqs.AddPermissionInput{QueueUrl: x.queue, Label: aws.String("l"),
			AWSAccountIds: []string{"123456789012"}, Actions: []string{"SendMessage"}})
		return err
	},
	"RemovePermission": func(x *tourist) error {
		_, err := x.c.RemovePermission(x.ctx, &sqs.RemovePermissionInput{QueueUrl: x.queue, Label: aws.String("l")})
		return err
	},
	"SendMessage": func(x *tourist) error {
		out, err := x.c.SendMessage(x.ctx, &sqs.SendMessageInput{QueueUrl: x.queue, MessageBody: aws.String("grüße 😀"),
			MessageAttributes: map[string]types.MessageAttributeValue{
				"a": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1}}}})
		return is(err, func() bool { return *out.MessageId != "" && out.MD5OfMessageAttributes != nil })
	},
	"SendMessageBatch": func(x *tourist) error {
		in := &sqs.SendMessageBatchInput{QueueUrl: x.queue}
		for i := range 9 {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
				Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String("b")})
		}
		out, err := x.c.SendMessageBatch(x.ctx, in)
		return is(err, func() bool { return len(out.Successful) == 9 && out.Failed == nil })
	},
	"ReceiveMessage": func(x *tourist) error {
		_, err := x.receive(1)
		return err
	},
	"DeleteMessage": func(x *tourist) error {
		got, err := x.receive(1)
		if err == nil {
			_, err = x.c.DeleteMessage(x.ctx, &sqs.DeleteMessageInput{QueueUrl: x.queue, ReceiptHandle: got[0].ReceiptHandle})
		}
		return err
	},
	"DeleteMessageBatch": func(x *tourist) error {
		got, err := x.receive(1)
		if err != nil {
			return err
		}
		out, err := x.c.DeleteMessageBatch(x.ctx, &sqs.DeleteMessageBatchInput{QueueUrl: x.queue,
			Entries: []types.DeleteMessageBatchRequestEntry{{Id: aws.String("a"), ReceiptHandle: got[0].ReceiptHandle}}})
		return is(err, func() bool { return len(out.Successful) == 1 && out.Failed == nil })
	},
	"ChangeMessageVisibility": func(x *tourist) error {
		got, err := x.receive(1)
		if err == nil {
			_, err = x.c.ChangeMessageVisibility(x.ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: x.queue,
				ReceiptHandle: got[0].ReceiptHandle, VisibilityTimeout: 0})
		}
		return err
	},
	"ChangeMessageVisibilityBatch": func(x *tourist) error {
		got, err := x.receive(1)
		if err != nil {
			return err
		}
		out, err := x.c.ChangeMessageVisibilityBatch(x.ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: x.queue,
			Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
				{Id: aws.String("a"), ReceiptHandle: got[0].ReceiptHandle, VisibilityTimeout: 0}}})
		return is(err, func() bool { return len(out.Successful) == 1 && out.Failed == nil })
	},
	"StartMessageMoveTask": func(x *tourist) error {
		const arn = "arn:aws:sqs:us-east-1:000000000000:"
		dead, err := x.c.CreateQueue(x.ctx, &sqs.CreateQueueInput{QueueName: aws.String("dead")})
		if err != nil {
			return err
		}
		_, err = x.c.CreateQueue(x.ctx, &sqs.CreateQueueInput{QueueName: aws.String("source"), Attributes: map[string]string{
			"RedrivePolicy": `{"deadLetterTargetArn":"` + arn + `dead","maxReceiveCount":1}`}})
		for range 20 {
			if err == nil {
				_, err = x.c.SendMessage(x.ctx, &sqs.SendMessageInput{QueueUrl: dead.QueueUrl, MessageBody: aws.String("a")})
			}
		}
		if err != nil {
			return err
		}
		out, err := x.c.StartMessageMoveTask(x.ctx, &sqs.StartMessageMoveTaskInput{SourceArn: aws.String(arn + "dead"),
			DestinationArn: aws.String(arn + "source"), MaxNumberOfMessagesPerSecond: aws.Int32(1)})
		if err == nil {
			x.move = out.TaskHandle
		}
		return err
	},
	"ListMessageMoveTasks": func(x *tourist) error {
		out, err := x.c.ListMessageMoveTasks(x.ctx, &sqs.ListMessageMoveTasksInput{
			SourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:dead")})
		return is(err, func() bool {
			return len(out.Results) == 1 && *out.Results[0].Status == "RUNNING" && *out.Results[0].TaskHandle == *x.move
		})
	},
	"CancelMessageMoveTask": func(x *tourist) error {
		out, err := x.c.CancelMessageMoveTask(x.ctx, &sqs.CancelMessageMoveTaskInput{TaskHandle: x.move})
		return is(err, func() bool { return out.ApproximateNumberOfMessagesMoved < 20 })
	},
	"PurgeQueue": func(x *tourist) error {
		_, err := x.c.PurgeQueue(x.ctx, &sqs.PurgeQueueInput{QueueUrl: x.queue})
		return err
	},
	"DeleteQueue": func(x *tourist) error {
		_, err := x.c.DeleteQueue(x.ctx, &sqs.DeleteQueueInput{QueueUrl: x.queue})
		return err
	},
}

// route is in which order the tour goes; what is not named comes before the last two.
var route = []string{"CreateQueue", "GetQueueUrl", "SendMessage", "SendMessageBatch", "ReceiveMessage",
	"StartMessageMoveTask", "ListMessageMoveTasks"}

func is(err error, right func() bool) error {
	if err == nil && !right() {
		err = errors.New("the answer is not right")
	}
	return err
}

func (x *tourist) receive(n int) ([]types.Message, error) {
	out, err := x.c.ReceiveMessage(x.ctx, &sqs.ReceiveMessageInput{QueueUrl: x.queue, MaxNumberOfMessages: int32(n),
		WaitTimeSeconds: 5, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	if err != nil {
		return nil, err
	}
	return out.Messages, is(nil, func() bool { return len(out.Messages) == n })
}

// actionsOfPage are those that docs/wire/aws.md says are served, and refused; its table is made from the code.
func actionsOfPage(t *testing.T) (served, refused []string) {
	t.Helper()
	b, err := os.ReadFile("../../../docs/wire/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "<!-- actions -->\n| served | refused |\n|---|---|\n| ")
	row, _, ok := strings.Cut(table, " |\n")
	left, right, two := strings.Cut(row, " | ")
	if !ok || !two {
		t.Fatal("the page has no table of actions")
	}
	if right != "" {
		refused = strings.Split(right, ", ")
	}
	return strings.Split(left, ", "), refused
}

func TestTheSDKToursEveryActionThatIsServed(t *testing.T) {
	served, _ := actionsOfPage(t)
	slices.Sort(served)
	if all := slices.Sorted(maps.Keys(stops)); !slices.Equal(all, served) {
		t.Fatalf("the tour has %v, served are %v", all, served)
	}
	s := server.Start(t)
	x := &tourist{t: t, ctx: bounded(t), c: dial(s.SQS, "any", "key")}
	last := []string{"PurgeQueue", "DeleteQueue"}
	order := slices.Clone(route)
	for _, name := range served {
		if !slices.Contains(route, name) && !slices.Contains(last, name) {
			order = append(order, name)
		}
	}
	for _, name := range append(order, last...) {
		if err := stops[name](x); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestTheSDKMakesTypesOfErrors(t *testing.T) {
	s := server.Start(t)
	ctx, c := bounded(t), dial(s.SQS, "any", "key")
	var missing *types.QueueDoesNotExist
	_, err := c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("missing")})
	if !errors.As(err, &missing) || missing.ErrorCode() != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Errorf("got %v", err)
	}
	out, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("q")})
	if err != nil {
		t.Fatal(err)
	}
	var exists *types.QueueNameExists
	_, err = c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("q"), Attributes: map[string]string{"DelaySeconds": "9"}})
	if !errors.As(err, &exists) {
		t.Errorf("got %v", err)
	}
	var receipt *types.ReceiptHandleIsInvalid
	_, err = c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: out.QueueUrl, ReceiptHandle: aws.String("garbage")})
	if !errors.As(err, &receipt) {
		t.Errorf("got %v", err)
	}
	var gone *types.ResourceNotFoundException
	_, err = c.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:none")})
	if !errors.As(err, &gone) {
		t.Errorf("got %v", err)
	}
}

func TestTheSDKsSignatureIsChecked(t *testing.T) {
	s := server.Start(t, "--aws-keys", "AKID:secret")
	ctx := bounded(t)
	if _, err := dial(s.SQS, "AKID", "secret").CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("q")}); err != nil {
		t.Error(err)
	}
	var refused smithy.APIError
	_, err := dial(s.SQS, "AKID", "other").ListQueues(ctx, &sqs.ListQueuesInput{})
	if !errors.As(err, &refused) || refused.ErrorCode() != "SignatureDoesNotMatch" {
		t.Errorf("got %v", err)
	}
	_, err = dial(s.SQS, "AKIE", "secret").ListQueues(ctx, &sqs.ListQueuesInput{})
	if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidClientTokenId" {
		t.Errorf("got %v", err)
	}
}
