package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/tidings-io/tidings/bench/internal/canned"
)

const (
	bodyBytes = 1024
	batch     = canned.Batch // messages, the most that SQS allows
	workers   = 8
)

// client is a client of one queue.
type client struct {
	sqs   *sqs.Client
	queue *string
	body  *string
}

// dial makes a client as programs have it: it signs, compares checksums, and tries again.
func dial(addr string) *client {
	endpoint, body := "http://"+addr, canned.Body()
	return &client{body: &body, sqs: sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("bench", "bench", ""),
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConns, t.MaxIdleConnsPerHost = polls, polls // its own are 100 and 10
		}),
	})}
}

// answerTimeout bounds one attempt to find out whether a server answers.
const answerTimeout = 5 * time.Second

// answers returns nil when the server lists its queues.
func answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := dial(addr).sqs.ListQueues(ctx, nil, func(o *sqs.Options) { o.Retryer = aws.NopRetryer{} })
	return err
}

// use makes the queue, if it is not there, and returns the client.
func (c *client) use(ctx context.Context, name string) (*client, error) {
	out, err := c.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		return nil, err
	}
	c.queue = out.QueueUrl
	return c, nil
}

// sendBatch sends ten messages.
func (c *client) sendBatch(ctx context.Context) (int64, error) {
	in := sqs.SendMessageBatchInput{QueueUrl: c.queue}
	for i := range batch {
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: &ids[i], MessageBody: c.body})
	}
	out, err := c.sqs.SendMessageBatch(ctx, &in)
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("a message was not sent: %s", *out.Failed[0].Message)
	}
	return batch, err
}

// ids are those of entries of batches.
var ids = func() (all [batch]string) {
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return all
}()

// send sends one message.
func (c *client) send(ctx context.Context) error {
	_, err := c.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: c.queue, MessageBody: c.body})
	return err
}

// errDrained: there was no message.
var errDrained = errors.New("the queue is empty")

// takeBatch receives up to ten messages and deletes them.
func (c *client) takeBatch(ctx context.Context) (int64, error) {
	n, err := c.take(ctx, 0)
	if err == nil && n == 0 {
		err = errDrained
	}
	return n, err
}

// awaitBatch is takeBatch that waits for messages.
func (c *client) awaitBatch(ctx context.Context) (int64, error) { return c.take(ctx, 1) }

func (c *client) take(ctx context.Context, seconds int32) (int64, error) {
	got, err := c.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: c.queue,
		MaxNumberOfMessages: batch, WaitTimeSeconds: seconds})
	if err != nil || len(got.Messages) == 0 {
		return 0, err
	}
	in := sqs.DeleteMessageBatchInput{QueueUrl: c.queue}
	for i, m := range got.Messages {
		if len(*m.Body) != bodyBytes {
			return 0, fmt.Errorf("a message of %d bytes, want %d", len(*m.Body), bodyBytes)
		}
		in.Entries = append(in.Entries,
			types.DeleteMessageBatchRequestEntry{Id: &ids[i], ReceiptHandle: m.ReceiptHandle})
	}
	out, err := c.sqs.DeleteMessageBatch(ctx, &in)
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("a message was not deleted: %s", *out.Failed[0].Message)
	}
	return int64(len(in.Entries)), err
}

// step is what a worker does again and again; it says how many messages that was.
type step func(context.Context) (int64, error)

// during has n workers take steps until the time is over, the goal reached, if there is one, or the
// queue is drained. Steps that have begun then are ended, and count.
func during(ctx context.Context, d time.Duration, goal int64, n int, do step) (int64, error) {
	var done atomic.Int64
	end := time.Now().Add(d)
	err := each(n, func(int) error {
		for time.Now().Before(end) && (goal == 0 || done.Load() < goal) {
			k, err := do(ctx)
			if err != nil {
				return err
			}
			done.Add(k)
		}
		return nil
	})
	return done.Load(), err
}

// each calls f for 0 to n-1 at once, and waits. Of those that found the queue drained nothing is said.
func each(n int, f func(int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if errs[i] = f(i); errors.Is(errs[i], errDrained) {
				errs[i] = nil
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
