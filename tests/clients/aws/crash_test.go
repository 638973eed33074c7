package aws

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// TestAnsweredSendsAndDeletesSurviveSIGKILL kills the program at random moments while an AWS SDK sends,
// receives and deletes. Every message whose send was answered is received; one whose delete was answered
// never comes back; what was received is invisible for its time and counted, unless it was received shortly
// before a kill.
func TestAnsweredSendsAndDeletesSurviveSIGKILL(t *testing.T) {
	s := server.Start(t)
	l := newLoad(t, s, "jobs")
	underKills(t, s, l.send, l)
	l.judge(t)
}

// TestNoFanOutIsHalfAfterSIGKILL does the same with a topic and two queues that are subscribed to it: a
// message is in both of them, or in none.
func TestNoFanOutIsHalfAfterSIGKILL(t *testing.T) {
	s := server.Start(t)
	f := newFanOut(t, s)
	underKills(t, s, f.publish, f.loads[0], f.loads[1])
	for _, l := range f.loads {
		l.judge(t)
	}
	f.judge(t)
}

// receiver receives and deletes, and tells how far it is.
type receiver interface {
	receive(context.Context) error
	await(t *testing.T, more int)
	awaitAll(*testing.T)
	killed()
}

// underKills sends, receives and deletes while it kills the program again and again, and then receives what
// is left.
func underKills(t *testing.T, s *server.Server, send func(context.Context) error, queues ...receiver) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	sending, stop := context.WithCancel(ctx)
	var crew sync.WaitGroup
	for range senders {
		crew.Go(func() { again(sending, send) })
	}
	for _, q := range queues {
		for range receivers {
			crew.Go(func() { again(ctx, q.receive) })
		}
	}
	for range *kills {
		queues[0].await(t, 300)
		// The moment of the kill must not depend on anything that the program does.
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		s.Kill()
		for _, q := range queues {
			q.killed()
		}
		s.Restart()
	}
	stop()
	for _, q := range queues {
		q.awaitAll(t)
	}
	end()
	crew.Wait()
}

// fanOut is a topic and what the queues that are subscribed to it saw. They number messages alike.
type fanOut struct {
	c     *sns.Client
	topic *string
	loads []*load

	mu sync.Mutex // held while numbers are given out
}

func newFanOut(t *testing.T, s *server.Server) *fanOut {
	t.Helper()
	f := &fanOut{c: sns.New(sns.Options{Region: "us-east-1", BaseEndpoint: &s.SQS, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("any", "key", "")})}
	made, err := f.c.CreateTopic(bounded(t), &sns.CreateTopicInput{Name: aws.String("news")})
	if err != nil {
		t.Fatal(err)
	}
	f.topic = made.TopicArn
	for _, name := range []string{"first", "second"} {
		f.loads = append(f.loads, newLoad(t, s, name))
		if _, err := f.c.Subscribe(bounded(t), &sns.SubscribeInput{TopicArn: f.topic, Protocol: aws.String("sqs"),
			Endpoint:   aws.String("arn:aws:sqs:us-east-1:000000000000:" + name),
			Attributes: map[string]string{"RawMessageDelivery": "true"}}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// publish publishes batches until a request fails.
func (f *fanOut) publish(ctx context.Context) error {
	for ctx.Err() == nil {
		in := &sns.PublishBatchInput{TopicArn: f.topic}
		for _, id := range f.reserve() {
			in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries,
				types.PublishBatchRequestEntry{Id: &id, Message: &id})
		}
		out, err := f.c.PublishBatch(ctx, in)
		if err != nil {
			return err
		}
		for _, entry := range out.Successful {
			for _, l := range f.loads {
				l.answered(*entry.Id)
			}
		}
	}
	return nil
}

func (f *fanOut) reserve() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.loads {
		ids = l.reserve()
	}
	return ids
}

// judge compares what the queues got.
func (f *fanOut) judge(t *testing.T) {
	none := 0
	for n := range f.loads[0].messages {
		first, second := f.loads[0].messages[n].id, f.loads[1].messages[n].id
		if (first == "") != (second == "") {
			t.Errorf("message %d: one queue has it as %q, the other as %q", n, first, second)
		}
		if first == "" {
			none++
		}
	}
	t.Logf("%d messages, of which %d are in no queue", len(f.loads[0].messages), none)
}
