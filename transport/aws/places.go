package aws

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/tidings-io/tidings"
)

// mostKnown bounds how many topics and queues are remembered: addresses of replies come and go.
const mostKnown = 4096

// temporaryTag marks the queue of a Temporary group, for whoever finds one that a crash left.
const temporaryTag = "tidings-temporary"

// places are the topics and queues that are there.
type places struct {
	config *Config
	sqs    *sqs.Client
	sns    *sns.Client

	mu     sync.Mutex
	topics map[string]string // ARN by topic
	queues map[string]string // URL by group
}

func newPlaces(t *Transport) *places {
	return &places{config: t.config, sqs: t.sqs, sns: t.sns,
		topics: map[string]string{}, queues: map[string]string{}}
}

func (p *places) known(of map[string]string, name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return of[name]
}

func (p *places) remember(of map[string]string, name, place string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(of) >= mostKnown {
		clear(of)
	}
	of[name] = place
}

func (p *places) forget(of map[string]string, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(of, name)
}

// topic is the ARN of a topic, which is made where it is missing.
func (p *places) topic(ctx context.Context, topic string) (arn string, err error) {
	if arn := p.known(p.topics, topic); arn != "" {
		return arn, nil
	}
	name, err := p.config.topicName(topic)
	if err != nil {
		return "", err
	}
	if arn, err = p.createTopic(ctx, topic, name); err != nil {
		return "", fmt.Errorf("aws: make topic %q: %w", name, err)
	}
	if err := p.ownsTopic(ctx, arn, topic, name); err != nil {
		return "", err
	}
	p.remember(p.topics, topic, arn)
	return arn, nil
}

// createTopic also finds: SNS answers with the topic that is there. It refuses tags that differ, of
// which ownsTopic knows more.
func (p *places) createTopic(ctx context.Context, topic, name string) (arn string, err error) {
	in := &sns.CreateTopicInput{Name: &name,
		Tags: []snstypes.Tag{{Key: sdk.String(nameTag), Value: &topic}}}
	if p.config.FIFO {
		in.Attributes = map[string]string{"FifoTopic": "true"}
	}
	out, err := p.sns.CreateTopic(ctx, in)
	if _, differs := errors.AsType[*snstypes.InvalidParameterException](err); differs {
		in.Tags = nil
		out, err = p.sns.CreateTopic(ctx, in)
	}
	if err != nil {
		return "", err
	}
	return *out.TopicArn, nil
}

func (p *places) ownsTopic(ctx context.Context, arn, topic, name string) error {
	out, err := p.sns.ListTagsForResource(ctx, &sns.ListTagsForResourceInput{ResourceArn: &arn})
	if err != nil {
		return fmt.Errorf("aws: tags of topic %q: %w", name, err)
	}
	tags := map[string]string{}
	for _, tag := range out.Tags {
		tags[*tag.Key] = *tag.Value
	}
	return p.config.owns(tags, topic, name)
}

// queue is the URL of a group's queue, which is made where it is missing.
func (p *places) queue(ctx context.Context, group string) (url string, err error) {
	if url, err = p.address(ctx, group); errors.Is(err, tidings.ErrUnroutable) {
		url, _, err = p.makeQueue(ctx, group, nil)
	}
	return url, err
}

// address is the URL of a group's queue, or tidings.ErrUnroutable.
func (p *places) address(ctx context.Context, group string) (url string, err error) {
	if url := p.known(p.queues, group); url != "" {
		return url, nil
	}
	url, _, err = p.findQueue(ctx, group)
	return url, err
}

func (p *places) findQueue(ctx context.Context, group string) (
	url string, tags map[string]string, err error) {
	name, err := p.config.queueName(group)
	if err != nil {
		return "", nil, err
	}
	out, err := p.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	switch {
	case isGone(err):
		return "", nil, fmt.Errorf("aws: queue %q: %w", name, tidings.ErrUnroutable)
	case err != nil:
		return "", nil, fmt.Errorf("aws: find queue %q: %w", name, err)
	}
	tags, err = p.ownsQueue(ctx, *out.QueueUrl, group, name)
	return *out.QueueUrl, tags, err
}

func (p *places) ownsQueue(ctx context.Context, url, group, name string) (
	map[string]string, error) {
	out, err := p.sqs.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
	if err != nil {
		return nil, fmt.Errorf("aws: tags of queue %q: %w", name, err)
	}
	if err := p.config.owns(out.Tags, group, name); err != nil {
		return nil, err
	}
	p.remember(p.queues, group, url)
	return out.Tags, nil
}

// makeQueue finds the queue that somebody else made meanwhile. On Tidings the name may be that of a
// queue which is none of SQS.
func (p *places) makeQueue(ctx context.Context, group string, more map[string]string) (
	url string, tags map[string]string, err error) {
	name, err := p.config.queueName(group)
	if err != nil {
		return "", nil, err
	}
	in := &sqs.CreateQueueInput{QueueName: &name, Attributes: p.queueAttributes(),
		Tags: map[string]string{nameTag: group}}
	for tag, value := range more {
		in.Tags[tag] = value
	}
	out, err := p.sqs.CreateQueue(ctx, in)
	if _, exists := errors.AsType[*sqstypes.QueueNameExists](err); exists {
		url, tags, found := p.findQueue(ctx, group)
		if !errors.Is(found, tidings.ErrUnroutable) {
			return url, tags, found
		}
	}
	if err != nil {
		return "", nil, fmt.Errorf("aws: make queue %q: %w", name, err)
	}
	p.config.Logger.Info("aws: queue made", "group", group, "queue", name)
	tags, err = p.ownsQueue(ctx, *out.QueueUrl, group, name)
	return *out.QueueUrl, tags, err
}

// queueAttributes of FIFO queues are those of high throughput: ids of deduplication are of one
// group each, so their scope makes no difference.
func (p *places) queueAttributes() map[string]string {
	a := map[string]string{"MessageRetentionPeriod": strconv.Itoa(int(seconds(p.config.Retention)))}
	if p.config.FIFO {
		a["FifoQueue"] = "true"
		a["DeduplicationScope"] = "messageGroup"
		a["FifoThroughputLimit"] = "perMessageGroupId"
	}
	return a
}
