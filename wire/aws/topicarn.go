package aws

import (
	"regexp"
	"strings"
)

// topicName is a name of a topic, but for what it ends with.
var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

const fifoSuffix = ".fifo"

// isTopicName says whether a topic can have a name: 255 characters, as the name of an exchange, those of .fifo counted.
func isTopicName(name string) bool {
	return len(name) <= 255 && topicName.MatchString(strings.TrimSuffix(name, fifoSuffix))
}

// topicARN names a topic.
func (t *Topics) topicARN(name string) string {
	return "arn:aws:sns:" + t.config.Region + ":" + t.config.Account + ":" + name
}

// splitARN takes an ARN of SNS apart. What an account or region is called in it does not matter.
func splitARN(parameter, arn string) (parts []string, err *Error) {
	parts = strings.Split(arn, ":")
	switch n := len(parts); {
	case n < 6:
		return nil, badParameter("%s Reason: An ARN must have at least 6 elements, not %d", parameter, n)
	case parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] != "sns":
		return nil, badParameter("%s", parameter)
	}
	return parts, nil
}

// topic finds the topic that an ARN names.
func (t *Topics) topic(parameter, arn string) (*topic, error) {
	parts, err := splitARN(parameter, arn)
	if err != nil {
		return nil, err
	}
	if len(parts) != 6 || !isTopicName(parts[5]) {
		return nil, badParameter("%s", parameter)
	}
	if found := t.named(parts[5]); found != nil {
		return found, nil
	}
	return nil, noTopic()
}

// subscriptionARN names a subscription.
func (t *Topics) subscriptionARN(s *subscription) string {
	return t.topicARN(s.topic.name()) + ":" + s.id
}

// subscriptionID is a random UUID.
var subscriptionID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// parseSubscription reads the ARN of a subscription.
func parseSubscription(arn string) (topic, id string, err error) {
	if arn == "" {
		return "", "", absent("SubscriptionArn")
	}
	parts, wrong := splitARN("SubscriptionArn", arn)
	if wrong != nil {
		return "", "", wrong
	}
	if len(parts) != 7 || !subscriptionID.MatchString(parts[6]) {
		return "", "", badParameter("SubscriptionId")
	}
	return parts[5], parts[6], nil
}

// subscription finds the subscription that an ARN names.
func (t *Topics) subscription(arn string) (*subscription, error) {
	name, id, err := parseSubscription(arn)
	if err != nil {
		return nil, err
	}
	if found := t.named(name); found != nil {
		if s := found.find(id); s != nil && !s.Ended {
			return s, nil
		}
	}
	return nil, noSubscription()
}

// queueInARN is the name of the queue that an ARN of SQS names, of whichever account and region.
func queueInARN(arn string) (name string, ok bool) {
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] != "sqs" ||
		parts[3] == "" || !accountNumber.MatchString(parts[4]) {
		return "", false
	}
	return parts[5], isName(parts[5])
}
