package main

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// actions makes an action of a service, "sns" or "sqs", and fills out with its answer: over the admin API, or of
// a server in this process. Its errors are *failure.
type actions func(ctx context.Context, service, action string, in, out any) error

func (do actions) sns(ctx context.Context, action string, in map[string]any, out any) error {
	return do(ctx, "sns", action, in, out)
}

// snsARN is an ARN of a topic of SNS, for requests: servers look at the name only.
func snsARN(topic string) string { return "arn:aws:sns:us-east-1:000000000000:" + topic }

// nameInARN is what an ARN names.
func nameInARN(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

// snsTopic is a topic of SNS.
type snsTopic struct {
	Name      string `json:"name"`
	Type      string `json:"type"`      // standard or fifo
	Confirmed int64  `json:"confirmed"` // subscriptions
	Pending   int64  `json:"pending"`   // those that wait for their confirmation
}

// snsDetail is all there is to know of a topic of SNS.
type snsDetail struct {
	snsTopic
	ARN           string            `json:"arn"`
	Attributes    map[string]string `json:"attributes"`
	Tags          map[string]string `json:"tags"`
	Subscriptions []subscription    `json:"subscriptions"`

	args map[string]any // of its exchange: what was set
}

// subscription is one to a topic of SNS.
type subscription struct {
	ARN             string  `json:"arn"`
	Protocol        string  `json:"protocol"`
	Endpoint        string  `json:"endpoint"`
	To              string  `json:"to"` // as bind names it
	Raw             bool    `json:"raw"`
	Filter          string  `json:"filter,omitempty"`
	FilterScope     string  `json:"filterScope,omitempty"`
	DeadLetterQueue string  `json:"deadLetterQueue,omitempty"`
	Pending         bool    `json:"pending"`
	Queue           string  `json:"queue,omitempty"` // in which what it gets waits
	Ready           int64   `json:"ready"`           // in that, for an endpoint all; -1: there is none
	OldestSeconds   float64 `json:"oldestSeconds"`
}

// snsType is the type of exchanges that are topics of SNS.
const snsType = "sns"

// isSNS reports whether a topic of SNS has a name.
func (c *apiClient) isSNS(ctx context.Context, name string) bool {
	x, err := c.Exchange(ctx, name)
	return err == nil && x.Type == snsType
}

// SNSTopic finds a topic of SNS, without its subscriptions.
func (c *apiClient) SNSTopic(ctx context.Context, name string) (d snsDetail, err error) {
	x, err := c.Exchange(ctx, name)
	switch {
	case err != nil && !isNotFound(err):
		return d, err
	case err != nil || x.Type != snsType:
		f := notFound(kindTitle("sns"), name)
		f.hints = meantHints(err)
		return d, f.hint("see all", "tidings ls sns")
	}
	d = snsDetail{snsTopic: snsTopic{Name: name, Type: snsKind(name)}, args: x.Args}
	var out struct{ Attributes map[string]string }
	if err = actions(c.AWS).sns(ctx, "GetTopicAttributes", map[string]any{"TopicArn": snsARN(name)}, &out); err != nil {
		return d, err
	}
	d.Attributes, d.ARN = out.Attributes, out.Attributes["TopicArn"]
	d.Confirmed, _ = strconv.ParseInt(d.Attributes["SubscriptionsConfirmed"], 10, 64)
	d.Pending, _ = strconv.ParseInt(d.Attributes["SubscriptionsPending"], 10, 64)
	return d, nil
}

func snsKind(name string) string {
	if strings.HasSuffix(name, ".fifo") {
		return "fifo"
	}
	return "standard"
}

// tags of a topic of SNS.
func (do actions) snsTags(ctx context.Context, arn string) (map[string]string, error) {
	var out struct{ Tags []struct{ Key, Value string } }
	err := do.sns(ctx, "ListTagsForResource", map[string]any{"ResourceArn": arn}, &out)
	tags := map[string]string{}
	for _, t := range out.Tags {
		tags[t.Key] = t.Value
	}
	return tags, err
}

// listed is a subscription as it stands in lists.
type listed struct{ SubscriptionArn, Protocol, Endpoint, TopicArn string }

// subscriptions lists those of a topic, or all where it is "".
func (do actions) subscriptions(ctx context.Context, topic string) (all []listed, err error) {
	action, in := "ListSubscriptions", map[string]any{}
	if topic != "" {
		action, in["TopicArn"] = "ListSubscriptionsByTopic", snsARN(topic)
	}
	for {
		var page struct {
			Subscriptions []listed
			NextToken     string
		}
		if err := do.sns(ctx, action, in, &page); err != nil {
			return all, err
		}
		all = append(all, page.Subscriptions...)
		if page.NextToken == "" {
			return all, nil
		}
		in["NextToken"] = page.NextToken
	}
}

// subscription reads what a list does not say of one.
func (do actions) subscription(ctx context.Context, l listed) (s subscription, err error) {
	var out struct{ Attributes map[string]string }
	err = do.sns(ctx, "GetSubscriptionAttributes", map[string]any{"SubscriptionArn": l.SubscriptionArn}, &out)
	s = subscription{ARN: l.SubscriptionArn, Protocol: l.Protocol, Endpoint: l.Endpoint, To: l.to(),
		Queue: l.queue(), Ready: -1, OldestSeconds: -1}
	s.Raw, s.Pending = out.Attributes["RawMessageDelivery"] == "true", out.Attributes["PendingConfirmation"] == "true"
	s.Filter, s.FilterScope = out.Attributes["FilterPolicy"], out.Attributes["FilterPolicyScope"]
	var redrive struct{ DeadLetterTargetArn string }
	if json.Unmarshal([]byte(out.Attributes["RedrivePolicy"]), &redrive) == nil {
		s.DeadLetterQueue = nameInARN(redrive.DeadLetterTargetArn)
	}
	return s, err
}

// Protocols of subscriptions, see docs/wire/sns.md.
const (
	protocolSQS   = "sqs"
	protocolKafka = "kafka"
	protocolAMQP  = "amqp"
)

// to is the endpoint as bind names it.
func (l listed) to() string {
	switch l.Protocol {
	case protocolSQS:
		return "queue/" + nameInARN(l.Endpoint)
	case protocolKafka:
		return "topic/" + l.Endpoint
	case protocolAMQP:
		return "exchange/" + l.Endpoint
	}
	return l.Endpoint
}

// outboxPrefix is how queues are called in which notifications over HTTP wait: behind it stands the subscription.
const outboxPrefix = "sns.http."

// queue is where what the subscription gets waits; "": elsewhere.
func (l listed) queue() string {
	switch l.Protocol {
	case protocolSQS:
		return nameInARN(l.Endpoint)
	case "http", "https":
		return outboxPrefix + nameInARN(l.SubscriptionArn)
	}
	return ""
}

// Subscriptions are those of a topic of SNS, by what they lead to, with what waits for each.
func (c *apiClient) Subscriptions(ctx context.Context, topic string) ([]subscription, error) {
	list, err := actions(c.AWS).subscriptions(ctx, topic)
	all := []subscription{}
	for _, l := range list {
		s, gone := actions(c.AWS).subscription(ctx, l)
		switch {
		case isNotFound(gone):
			continue // it has ended meanwhile
		case gone != nil:
			return nil, gone
		}
		if q, none := c.Queue(ctx, s.Queue); s.Queue != "" && none == nil {
			s.Ready, s.OldestSeconds = q.Ready, q.OldestSeconds
			if strings.HasPrefix(s.Protocol, "http") {
				s.Ready, s.OldestSeconds = outboxWaits(q.Ready, q.Leased, q.OldestSeconds)
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y subscription) int { return strings.Compare(x.To, y.To) })
	return all, err
}

// outboxWaits is what waits for an endpoint, and for how long as far as that is known: what it could not take
// yet is leased until it is tried again.
func outboxWaits(ready, leased int64, oldest float64) (all int64, seconds float64) {
	if ready == 0 && leased > 0 {
		oldest = -1
	}
	return ready + leased, oldest
}

// outboxes says what queues that are not for everyone wait for, by their names. Where the server does not listen
// for AWS it cannot say it.
func (c *apiClient) outboxes(ctx context.Context, queues []string) map[string]string {
	if !slices.ContainsFunc(queues, func(q string) bool { return strings.HasPrefix(q, outboxPrefix) }) {
		return nil
	}
	list, _ := actions(c.AWS).subscriptions(ctx, "")
	all := map[string]string{}
	for _, l := range list {
		all[l.queue()] = l.to() + " of sns/" + nameInARN(l.TopicArn)
	}
	return all
}
