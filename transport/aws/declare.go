package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/tidings-io/tidings"
)

// group is a group as it was declared.
type group struct {
	url           string
	topics        map[string]string // topic by its name in SNS
	subscriptions []string          // ARNs
}

func (p *places) declare(ctx context.Context, sub tidings.Subscription) (*group, error) {
	url, err := p.ownQueue(ctx, sub)
	if err != nil {
		return nil, err
	}
	g := &group{url: url, topics: map[string]string{}}
	arns, err := p.declareTopics(ctx, g, sub.Topics)
	if err == nil && len(arns) > 0 {
		err = p.subscribeTo(ctx, g, arns)
	}
	if err != nil && sub.Temporary {
		err = errors.Join(err, p.remove(ctx, sub.Group, g))
	}
	return g, err
}

// ownQueue never takes a durable queue for one of a Temporary group, which goes with its consumer.
func (p *places) ownQueue(ctx context.Context, sub tidings.Subscription) (string, error) {
	if !sub.Temporary {
		return p.queue(ctx, sub.Group)
	}
	url, tags, err := p.findQueue(ctx, sub.Group)
	if errors.Is(err, tidings.ErrUnroutable) {
		url, tags, err = p.makeQueue(ctx, sub.Group, map[string]string{temporaryTag: "true"})
	}
	if err == nil && tags[temporaryTag] == "" {
		err = fmt.Errorf("aws: group %q is there and not a temporary one", sub.Group)
	}
	return url, err
}

func (p *places) declareTopics(ctx context.Context, g *group, topics []string) (
	arns []string, err error) {
	for _, topic := range topics {
		arn, err := p.topic(ctx, topic)
		if err != nil {
			return nil, err
		}
		g.topics[bareName(arn)] = topic
		arns = append(arns, arn)
	}
	return arns, nil
}

// bareName is what an ARN ends with.
func bareName(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

// subscribeTo lets the topics send before they have a reason to: what a queue refuses is lost.
func (p *places) subscribeTo(ctx context.Context, g *group, topics []string) error {
	queue, err := p.admit(ctx, g.url, topics)
	if err != nil {
		return fmt.Errorf("aws: policy of queue %s: %w", g.url, err)
	}
	for _, topic := range topics {
		arn, err := p.subscription(ctx, topic, queue)
		if isGone(err) { // deleted since we have remembered it
			p.forget(p.topics, g.topics[bareName(topic)])
			if _, err = p.topic(ctx, g.topics[bareName(topic)]); err == nil {
				arn, err = p.subscription(ctx, topic, queue)
			}
		}
		if err != nil {
			return fmt.Errorf("aws: subscribe %s to %s: %w", queue, topic, err)
		}
		g.subscriptions = append(g.subscriptions, arn)
	}
	return nil
}

// subscription finds the one that is there, whatever its attributes.
func (p *places) subscription(ctx context.Context, topic, queue string) (arn string, err error) {
	protocol := "sqs"
	in := &sns.SubscribeInput{TopicArn: &topic, Protocol: &protocol, Endpoint: &queue,
		Attributes:            map[string]string{"RawMessageDelivery": "true"},
		ReturnSubscriptionArn: true}
	out, err := p.sns.Subscribe(ctx, in)
	if _, differs := errors.AsType[*snstypes.InvalidParameterException](err); differs {
		in.Attributes = nil
		out, err = p.sns.Subscribe(ctx, in)
	}
	if err != nil {
		return "", err
	}
	return *out.SubscriptionArn, nil
}

// remove takes a group away with its queue.
func (p *places) remove(ctx context.Context, name string, g *group) error {
	var all []error
	for _, arn := range g.subscriptions {
		_, err := p.sns.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: &arn})
		all = append(all, err)
	}
	p.forget(p.queues, name)
	_, err := p.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &g.url})
	if isGone(err) {
		err = nil
	}
	return errors.Join(append(all, err)...)
}

// policy is the policy of a queue, as much as has to be known to add to it.
type policy struct {
	Version   string          `json:"Version"`
	ID        string          `json:"Id,omitempty"`
	Statement json.RawMessage `json:"Statement"`
}

// statementID tells our statement from others.
const statementID = "TidingsTopics"

// admit lets the topics of our account and region send to a queue, unless its policy has let these
// do so before. The statement is the same for all topics, so that two who declare a group at a time
// do not take each other's away. It returns the queue's ARN.
func (p *places) admit(ctx context.Context, url string, topics []string) (queue string, err error) {
	out, err := p.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url,
		AttributeNames: []sqstypes.QueueAttributeName{"QueueArn", "Policy"}})
	if err != nil {
		return "", err
	}
	queue = out.Attributes["QueueArn"]
	text := out.Attributes["Policy"]
	if admits(text, topics) {
		return queue, nil
	}
	account := strings.TrimSuffix(topics[0], bareName(topics[0]))
	if text, err = admitting(text, queue, account+"*"); err != nil {
		return "", err
	}
	_, err = p.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url,
		Attributes: map[string]string{"Policy": text}})
	return queue, err
}

// admits takes a policy that names a topic for one that lets it send: it is its owner's to know.
func admits(policy string, topics []string) bool {
	if strings.Contains(policy, `"`+statementID+`"`) {
		return true
	}
	for _, topic := range topics {
		if !strings.Contains(policy, topic) {
			return false
		}
	}
	return true
}

// admitting is a policy with our statement added.
func admitting(text, queue, topics string) (string, error) {
	all := policy{Version: "2012-10-17"}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return "", err
		}
	}
	ours, err := json.Marshal(map[string]any{
		"Sid": statementID, "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue,
		"Principal": map[string]string{"Service": "sns.amazonaws.com"},
		"Condition": map[string]any{"ArnLike": map[string]string{"aws:SourceArn": topics}},
	})
	if err != nil {
		return "", err
	}
	var statements []json.RawMessage
	switch given := bytes.TrimSpace(all.Statement); {
	case len(given) == 0:
	case given[0] == '{': // one statement may stand alone
		statements = append(statements, given)
	default:
		if err := json.Unmarshal(given, &statements); err != nil {
			return "", err
		}
	}
	if all.Statement, err = json.Marshal(append(statements, ours)); err != nil {
		return "", err
	}
	whole, err := json.Marshal(all)
	return string(whole), err
}
