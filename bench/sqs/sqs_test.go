package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/tidings-io/tidings/bench/internal/canned"
	"github.com/tidings-io/tidings/bench/internal/measure"
	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws"
)

// listen runs a broker with an SQS face in this process.
func listen(t *testing.T) *measure.Server {
	topics, err := aws.NewTopics(aws.TopicsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.Open(t.TempDir(), broker.Config{
		Props:  map[broker.PropsFormat]broker.PropsReader{broker.PropsSQS: aws.Props{}},
		Relays: map[string]func(*broker.Broker) broker.Relay{aws.TopicType: topics.Relay},
	})
	if err == nil {
		err = topics.Deliver()
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := aws.Listen(b, aws.Config{Addr: "127.0.0.1:0", Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Close(ctx), topics.Close(ctx), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return &measure.Server{Addr: s.Addr().String()}
}

// waitingIn counts what is in the queue.
func waitingIn(t *testing.T, server *measure.Server) string {
	c, err := dial(server.Addr).use(t.Context(), canned.Queue)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: c.queue,
		AttributeNames: []types.QueueAttributeName{"ApproximateNumberOfMessages"}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Attributes["ApproximateNumberOfMessages"]
}

func TestLoadsCountWhatWasSentAndDeleted(t *testing.T) {
	server := listen(t)
	s := scenario{lasts: time.Minute, waiting: 500} // it ends when the queue is drained
	if err := s.setup(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	n := waitingIn(t, server)
	out, err := takeAll(t.Context(), &s, server)
	if err != nil || out.Records < 500 || out.Bytes != out.Records*bodyBytes {
		t.Errorf("got %+v and %v, want 500 messages or some more", out, err)
	}
	if left := waitingIn(t, server); n < "500" || left != "0" {
		t.Errorf("%s messages were there, and %s are left", n, left)
	}
}

func TestSendersAndReceiversWorkAtOnce(t *testing.T) {
	server := listen(t)
	s := scenario{lasts: 300 * time.Millisecond}
	if err := s.setup(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if out, err := both(t.Context(), &s, server); err != nil || out.Records == 0 {
		t.Errorf("got %+v and %v, want messages", out, err)
	}
	if out, err := sendAll(t.Context(), &s, server); err != nil || out.Took < s.lasts {
		t.Errorf("got %+v and %v, want it to last %v", out, err, s.lasts)
	}
}

func TestEveryPacedMessageHasATime(t *testing.T) {
	server := listen(t)
	s := scenario{lasts: 10 * pace}
	if err := s.setup(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	out, err := sendPaced(t.Context(), &s, server)
	if err != nil || len(out.Times) != 10 || slices.Min(out.Times) <= 0 {
		t.Errorf("got %v and %v, want 10 times", out.Times, err)
	}
	if n := waitingIn(t, server); n != "10" {
		t.Errorf("%s messages were sent, want 10", n)
	}
}

func TestWorkersEndWhenTheGoalIsReachedOrNothingIsLeft(t *testing.T) {
	n, err := during(t.Context(), time.Minute, 100, 4, func(context.Context) (int64, error) { return 10, nil })
	if err != nil || n < 100 || n > 140 {
		t.Errorf("got %d and %v, want 100 and what was under way", n, err)
	}
	var left atomic.Int64
	left.Store(5)
	n, err = during(t.Context(), time.Minute, 0, 4, func(context.Context) (int64, error) {
		if left.Add(-1) < 0 {
			return 0, errDrained
		}
		return 1, nil
	})
	if err != nil || n != 5 {
		t.Errorf("got %d and %v, want 5", n, err)
	}
	wrong := errors.New("no")
	if _, err := during(t.Context(), time.Minute, 0, 4, func(context.Context) (int64, error) {
		return 0, wrong
	}); !errors.Is(err, wrong) {
		t.Errorf("got %v, want the error of a step", err)
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	server := listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	s := scenario{lasts: time.Minute}
	if out, err := both(ctx, &s, server); err == nil {
		t.Errorf("got %+v, want an error when the time is over", out)
	}
	if out, err := holdPolls(ctx, &s, server); err == nil {
		t.Errorf("got %+v, want an error when the time is over", out)
	}
}

// The stub is good for the SDK, which compares checksums, and has every message of a batch.
func TestTheStubAnswersEveryLoad(t *testing.T) {
	h := httptest.NewServer(canned.Handler())
	defer h.Close()
	server := &measure.Server{Addr: h.Listener.Addr().String()}
	s := scenario{lasts: 100 * time.Millisecond}
	if err := errors.Join(answers(t.Context(), server.Addr), s.setup(t.Context(), server)); err != nil {
		t.Fatal(err)
	}
	for _, l := range []func(context.Context, *scenario, *measure.Server) (measure.Outcome, error){
		sendAll, takeAll, both, sendPaced,
	} {
		if out, err := l(t.Context(), &s, server); err != nil || out.Records == 0 {
			t.Errorf("got %+v and %v, want messages", out, err)
		}
	}
}
