package aws

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-aws/sns"
	"github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/tidings-io/tidings/tests/clients/server"
)

// TestWatermillsTestsOfTopicsPass runs what Watermill has for any transport with the one of watermill-aws for
// SNS. Its own suite runs the same, but subscribes to topics that are not there, which SNS refuses.
func TestWatermillsTestsOfTopicsPass(t *testing.T) {
	s := server.Start(t)
	tests.TestPubSub(t, tests.Features{ConsumerGroups: true, Persistent: true, ForceShort: true},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			return topicPubSub(t, s, sns.GenerateSqsQueueNameEqualToTopicName)
		},
		func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
			return topicPubSub(t, s, func(context.Context, sns.TopicArn) (string, error) { return group, nil })
		})
}

// topicPubSub is a publisher to topics, and a subscriber whose queues have these names.
func topicPubSub(t *testing.T, s *server.Server, queue sns.GenerateSqsQueueNameFn) (
	message.Publisher, message.Subscriber) {
	t.Helper()
	config := aws.Config{Region: "us-east-1", BaseEndpoint: &s.SQS,
		Credentials: credentials.NewStaticCredentialsProvider("any", "key", "")}
	topics, err := sns.NewGenerateArnTopicResolver("000000000000", config.Region)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := sns.NewPublisher(sns.PublisherConfig{AWSConfig: config, TopicResolver: topics}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := sns.NewSubscriber(
		sns.SubscriberConfig{AWSConfig: config, TopicResolver: topics, GenerateSqsQueueName: queue},
		sqs.SubscriberConfig{AWSConfig: config, QueueConfigAttributes: sqs.QueueConfigAttributes{VisibilityTimeout: "1"}},
		watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	return pub, topicSubscriber{sub, pub}
}

// topicSubscriber makes the topic before it subscribes to it.
type topicSubscriber struct {
	*sns.Subscriber
	pub *sns.Publisher
}

// Subscribe is for one topic.
func (s topicSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if _, err := s.pub.CreateTopic(ctx, topic); err != nil {
		return nil, err
	}
	return s.Subscriber.Subscribe(ctx, topic)
}

// SubscribeInitialize makes the queue and subscribes it.
func (s topicSubscriber) SubscribeInitialize(topic string) error {
	if _, err := s.pub.CreateTopic(context.Background(), topic); err != nil {
		return err
	}
	return s.Subscriber.SubscribeInitialize(topic)
}
