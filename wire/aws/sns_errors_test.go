package aws

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

func TestEveryKindOfErrorHasACodeOfSNS(t *testing.T) {
	for _, k := range broker.Kinds() {
		code, ok := snsKindCodes[k]
		if !ok {
			t.Errorf("%v has no code", k)
		}
		if _, ok := identities[code]; !ok {
			t.Errorf("%v is %s, which nobody knows", k, code)
		}
		if e := errorBy(snsKindCodes, &broker.Error{Kind: k, Op: "op", Name: "name"}); e.Code != code || e.Message == "" {
			t.Errorf("%v is answered as %v", k, e)
		}
	}
}

// TestErrorsHaveSNSsWords compares with what was recorded of SNS.
func TestErrorsHaveSNSsWords(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	sub := x.subscribe(topic, q)
	gone := strings.TrimSuffix(topic, "news") + "gone"
	attribute := func(name, kind, value string) []string {
		pairs := []string{"TopicArn", topic, "Message", "m", "MessageAttributes.entry.1.Name", name}
		if kind != "" {
			pairs = append(pairs, "MessageAttributes.entry.1.Value.DataType", kind)
		}
		field, value, _ := strings.Cut(value, "=")
		return append(pairs, "MessageAttributes.entry.1.Value."+field, value)
	}
	set := func(name, value string) []string {
		return []string{"SubscriptionArn", sub, "AttributeName", name, "AttributeValue", value}
	}
	with := func(name, value string) []string {
		return []string{"TopicArn", topic, "Protocol", "sqs", "Endpoint", queueARN(q) + "2", "Attributes.entry.1.key", name,
			"Attributes.entry.1.value", value}
	}
	to := func(protocol, endpoint string) []string {
		return []string{"TopicArn", topic, "Protocol", protocol, "Endpoint", endpoint}
	}
	publish := func(more ...string) []string { return append([]string{"TopicArn", topic, "Message", "m"}, more...) }
	const brokenJSON = "failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to start field name\n" +
		" at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 2]"
	for _, c := range []struct {
		status                int
		code, message, action string
		pairs                 []string
	}{
		{400, "InvalidParameter", "Invalid parameter: Topic Name", "CreateTopic", []string{"Name", ""}},
		{400, "InvalidParameter", "Invalid parameter: Topic Name", "CreateTopic", []string{"Name", strings.Repeat("a", 257)}},
		{400, "InvalidParameter", "Invalid parameter: Topic Name", "CreateTopic", []string{"Name", "a.b"}},
		{400, "InvalidParameter", "Invalid parameter: Topic Name", "CreateTopic", []string{"Name", "a.fifo"}},
		{400, "InvalidParameter", "Invalid parameter: Duplicated keys are not allowed.", "TagResource", []string{"ResourceArn", topic,
			"Tags.member.1.Key", "k", "Tags.member.1.Value", "1", "Tags.member.2.Key", "k", "Tags.member.2.Value", "2"}},
		{404, "ResourceNotFound", "Resource does not exist", "ListTagsForResource", []string{"ResourceArn", gone}},

		{404, "NotFound", "Topic does not exist", "GetTopicAttributes", []string{"TopicArn", gone}},
		{400, "InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
			"GetTopicAttributes", []string{"TopicArn", "topic"}},
		{400, "InvalidParameter", "Invalid parameter: AttributeName", "SetTopicAttributes",
			[]string{"TopicArn", topic, "AttributeName", "FifoTopic", "AttributeValue", "false"}},

		{404, "NotFound", "Topic does not exist", "Subscribe", []string{"TopicArn", gone, "Protocol", "sqs", "Endpoint", queueARN(q)}},
		{400, "InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 5",
			"Subscribe", []string{"TopicArn", "arn:aws:sns:us-east-1:000000000000", "Protocol", "sqs", "Endpoint", queueARN(q)}},
		{400, "InvalidParameter", "Invalid parameter: Amazon SNS does not support this protocol string: test-protocol",
			"Subscribe", to("test-protocol", "e")},
		{400, "InvalidParameter", "Invalid parameter: SQS endpoint ARN", "Subscribe", to("sqs", q)},
		{400, "InvalidParameter", "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to " +
			"standard SNS topics", "Subscribe", to("sqs", queueARN(q)+".fifo")},
		{400, "InvalidParameter", "Invalid parameter: Endpoint must match the specified protocol", "Subscribe", to("http", "https://localhost")},
		{400, "InvalidParameter", "Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [wrongvalue]. " +
			"Must be true or false.", "Subscribe", with("RawMessageDelivery", "wrongvalue")},
		{400, "InvalidParameter", "Invalid parameter: Attributes Reason: FilterPolicy: failed to parse JSON. Unrecognized token 'invalid': " +
			"was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: REDACTED (`StreamReadFeature." +
			"INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 8]", "Subscribe", with("FilterPolicy", "invalid")},

		{404, "NotFound", "Subscription does not exist", "GetSubscriptionAttributes", []string{"SubscriptionArn", topic + ":" + requestID()}},
		{400, "InvalidParameter", "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1", "Unsubscribe",
			[]string{"SubscriptionArn", "randomstring"}},
		{400, "InvalidParameter", "Invalid parameter: SubscriptionId", "Unsubscribe", []string{"SubscriptionArn", topic + ":id"}},
		{400, "InvalidParameter", "Invalid parameter: SubscriptionArn Reason: no value for required parameter", "Unsubscribe", nil},
		{400, "InvalidParameter", "Invalid parameter: AttributeName", "SetSubscriptionAttributes", set("FakeAttribute", "x")},
		{400, "InvalidParameter", "Invalid parameter: RawMessageDelivery: Invalid value [test-ValUe]. Must be true or false.",
			"SetSubscriptionAttributes", set("RawMessageDelivery", "test-ValUe")},
		{400, "InvalidParameter", "Invalid parameter: RawMessageDelivery: Invalid value []. Must be true or false.",
			"SetSubscriptionAttributes", set("RawMessageDelivery", "")},
		{400, "InvalidParameter", "Invalid parameter: RedrivePolicy: deadLetterTargetArn is an invalid arn",
			"SetSubscriptionAttributes", set("RedrivePolicy", `{"deadLetterTargetArn":"fake-arn"}`)},
		{400, "InvalidParameter", "Invalid parameter: RedrivePolicy: " + brokenJSON, "SetSubscriptionAttributes",
			set("RedrivePolicy", "{invalidjson}")},
		{400, "InvalidParameter", "Invalid parameter: RedrivePolicy: invalid JSON. Attribute maxReceiveCount is unknown.",
			"SetSubscriptionAttributes", set("RedrivePolicy", redrivePolicy("/dead", "5"))},
		{400, "InvalidParameter", "Invalid parameter: FilterPolicy: " + brokenJSON, "SetSubscriptionAttributes",
			set("FilterPolicy", "{invalidjson}")},

		{404, "NotFound", "Topic does not exist", "Publish", []string{"TopicArn", gone, "Message", "m"}},
		{400, "InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 2", "Publish",
			[]string{"TopicArn", "topic:topic", "Message", "m"}},
		{400, "InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1", "Publish",
			[]string{"TopicArn", "", "Message", "m"}},
		{400, "InvalidParameter", "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified", "Publish",
			[]string{"TargetArn", "arn:aws:sns:us-east-1:000000000000:endpoint/APNS/abcdef/0f7d5971", "Message", "m"}},
		{400, "InvalidParameter", "Invalid parameter: Subject", "Publish", publish("Subject", "")},
		{400, "InvalidParameter", "Invalid parameter: Subject", "Publish", publish("Subject", "two\nlines")},
		{400, "InvalidParameter", "Invalid parameter: Subject", "Publish", publish("Subject", strings.Repeat("a", 101))},
		{400, "InvalidParameter", "Invalid parameter: Empty message", "Publish", []string{"TopicArn", topic, "Message", ""}},
		{400, "InvalidParameter", "Invalid parameter: Message Structure - JSON message body failed to parse", "Publish",
			publish("MessageStructure", "json")},
		{400, "InvalidParameter", "Invalid parameter: Message Structure - No default entry in JSON message body", "Publish",
			[]string{"TopicArn", topic, "Message", `{"sqs":"x"}`, "MessageStructure", "json"}},
		{400, "InvalidParameter", "Invalid parameter: MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter " +
			"that is not valid for this topic type", "Publish", publish("MessageDeduplicationId", "d")},

		{400, "ParameterValueInvalid", "The message attribute 'attr1' must contain non-empty message attribute value for message " +
			"attribute type 'String'.", "Publish", attribute("attr1", "String", "StringValue=")},
		{400, "ParameterValueInvalid", "The message attribute 'attr1' must contain non-empty message attribute value for message " +
			"attribute type 'Binary'.", "Publish", attribute("attr1", "Binary", "BinaryValue=")},
		{400, "ParameterValueInvalid", "The message attribute 'attr1' with type 'String' must use field 'String'.", "Publish",
			attribute("attr1", "String", "BinaryValue=MTIz")},
		{400, "ParameterValueInvalid", "The message attribute 'attr1' with type 'Number' must use field 'String'.", "Publish",
			attribute("attr1", "Number", "BinaryValue=MTIz")},
		{400, "ParameterValueInvalid", "The message attribute 'attr1' with type 'Binary' must use field 'Binary'.", "Publish",
			attribute("attr1", "Binary", "StringValue=123")},
		{400, "ParameterValueInvalid", "The message attribute 'attr1' has an invalid message attribute type, the set of supported type " +
			"prefixes is Binary, Number, and String.", "Publish", attribute("attr1", "InvalidType", "StringValue=123")},
		{400, "ParameterValueInvalid", "The message attribute 'attr1' has an invalid message attribute type, the set of supported type " +
			"prefixes is Binary, Number, and String.", "Publish", attribute("attr1", "String.", "StringValue=123")},
		{400, "ParameterValueInvalid", "Length of message attribute name must be less than 256 bytes.", "Publish",
			attribute(strings.Repeat("a", 257), "String", "StringValue=123")},
		{400, "ParameterValueInvalid", "Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only " +
			"include alphanumeric characters, hyphens, underscores, or dots.", "Publish", attribute("a^*?", "String", "StringValue=123")},
		{400, "ParameterValueInvalid", "Invalid message attribute name starting with character '.' was found.", "Publish",
			attribute(".abc", "String", "StringValue=123")},
		{400, "ParameterValueInvalid", "Invalid message attribute name ending with character '.' was found.", "Publish",
			attribute("abc.", "String", "StringValue=123")},
		{400, "ParameterValueInvalid", "Message attribute name can not have successive '.' character.", "Publish",
			attribute("a..bc", "String", "StringValue=123")},
		{400, "ValidationError", "1 validation error detected: Value null at 'messageAttributes.attr1.member.dataType' failed to satisfy " +
			"constraint: Member must not be null", "Publish", attribute("attr1", "", "StringValue=value")},

		{404, "NotFound", "Topic does not exist", "AddPermission", []string{"TopicArn", gone, "Label", "l", "AWSAccountId.member.1", "1",
			"ActionName.member.1", "Publish"}},
		{404, "NotFound", "Topic does not exist", "RemovePermission", []string{"TopicArn", gone, "Label", "l"}},
		{400, "InvalidParameter", "Invalid parameter: Policy statement action out of service scope!", "AddPermission",
			[]string{"TopicArn", topic, "Label", "l", "AWSAccountId.member.1", "1", "ActionName.member.1", "InvalidAction"}},
	} {
		x.wantSNS(c.status, c.code, c.message, c.action, c.pairs...)
	}
	for _, fine := range [][]string{attribute("a", "String.  prefixed.", "StringValue=1"), publish("Subject", "Grüße: 1"),
		publish("MessageStructure", "string")} {
		x.snsOK("Publish", fine...)
	}
}

func TestPermissionsOfATopicEditItsPolicy(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	add := []string{"TopicArn", topic, "Label", "test", "AWSAccountId.member.1", "111111111111", "ActionName.member.1", "Publish",
		"ActionName.member.2", "Subscribe"}
	policyNow := func() string {
		n := x.snsOK("GetTopicAttributes", "TopicArn", topic)
		return n.entries("Attributes")["Policy"]
	}
	before := policyNow()
	x.snsOK("AddPermission", add...)
	if want := fmt.Sprintf(`{"Sid":"test","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},`+
		`"Action":["SNS:Publish","SNS:Subscribe"],"Resource":"%s"}`, topic); !strings.HasSuffix(policyNow(), want+"]}") {
		t.Errorf("got %s, want %s", policyNow(), want)
	}
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Statement already exists", "AddPermission", add...)
	for range 2 {
		x.snsOK("RemovePermission", "TopicArn", topic, "Label", "test")
	}
	if policyNow() != before {
		t.Errorf("got %s, want %s", policyNow(), before)
	}
}

// FuzzNotice reads any bytes as what was published to a topic; what was written is read again as it was.
func FuzzNotice(f *testing.F) {
	n := notice{subject: "s", message: "m", texts: map[string]string{"sqs": "x"}}
	f.Add(n.record().Props)
	f.Add([]byte{1})
	topics, err := NewTopics(TopicsConfig{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := topics.readNotice(&broker.QueueRecord{Format: broker.PropsNotice, Props: b, Body: []byte("m")})
		if err != nil {
			return
		}
		rec := n.record()
		if again, err := topics.readNotice(&rec); err != nil || !reflect.DeepEqual(n, again) {
			t.Errorf("%+v and %+v, %v", n, again, err)
		}
	})
}

// TestWhatACrashLeavesOfATopicGoes: a topic is deleted before its subscriptions, and a queue for posts made before
// its subscription.
// A policy about as large as one can be, of what takes most room where it is kept.
func TestALargeFilterPolicyIsKept(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	for _, c := range []string{`\\\"`, "<>", "\u2028\u2028"} {
		value := strings.Repeat(c, (250<<10)/len(c))
		sub := x.subscribe(topic, q, "FilterPolicy", `{"a":["`+value+`"]}`)
		x.snsOK("Unsubscribe", "SubscriptionArn", sub)
	}
}

func TestNamesOfTopicsHaveALimit(t *testing.T) {
	x := start(t, Config{})
	x.topic(strings.Repeat("n", 255))
	x.topic(strings.Repeat("n", 250)+".fifo", "FifoTopic", "true")
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Topic Name", "CreateTopic", "Name", strings.Repeat("n", 256))
}

func TestAttributesHaveALimit(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	sub := x.subscribe(topic, q)
	long := strings.Repeat("k", 30721)
	const words = ": Must be at most 30720 bytes."
	for _, name := range []string{"KmsMasterKeyId", "Policy", "SQSFailureFeedbackRoleArn", "DeliveryPolicy"} {
		x.wantSNS(400, "InvalidParameter", "Invalid parameter: "+name+words, "SetTopicAttributes",
			"TopicArn", topic, "AttributeName", name, "AttributeValue", long)
	}
	for _, name := range []string{"SubscriptionRoleArn", "RedrivePolicy", "DeliveryPolicy"} {
		x.wantSNS(400, "InvalidParameter", "Invalid parameter: "+name+words, "SetSubscriptionAttributes",
			"SubscriptionArn", sub, "AttributeName", name, "AttributeValue", long)
	}
	for _, name := range []string{"KmsMasterKeyId", "Policy"} {
		code, message := x.fails("SetQueueAttributes", object{"QueueUrl": q, "Attributes": object{name: long}})
		if code != "InvalidAttributeValue" || !strings.HasSuffix(message, name+". Reason"+words) {
			t.Errorf("%s: %s %s", name, code, message)
		}
	}
}

// Another version may know what this one cannot read.
func TestWhatWaitsForASubscriptionThatCannotBeReadStays(t *testing.T) {
	x := start(t, Config{})
	url, _ := endpoint(t, 500)
	sub, err := x.topics.subscription(x.subscribeTo(x.topic("news"), "http", url))
	if err != nil {
		t.Fatal(err)
	}
	tx := x.b.Begin()
	tx.PutFact(factSpace, sub.factKey(), []byte(`{"protocol":"http","filter":7,"attributes":7}`))
	if err := commit(context.Background(), tx); err != nil {
		t.Fatal(err)
	}
	x.restart()
	q, err := x.b.Queue("", sub.outbox())
	if err != nil || q.Stats().Ready+q.Stats().Leased != 1 {
		t.Errorf("the question is gone: %v", err)
	}
}

// A client may go while the disk is waited for: what it has begun is done to its end.
func TestAClientThatGoesLeavesNothingHalfDone(t *testing.T) {
	x := start(t, Config{})
	gone, stop := context.WithCancel(context.Background())
	stop()
	until := func(done func() bool, do func(c *call) error) {
		for !done() { // whether a client that has gone gets its turn is up to chance
			if err := do(&call{ctx: gone}); err != nil && done() {
				t.Error(err)
			}
		}
	}
	there := func() bool { _, err := x.b.Exchange("", "news"); return err == nil }
	until(there, func(c *call) error {
		_, err := x.s.createTopic(c, &createTopicInput{Name: "news"})
		return err
	})
	topic := "arn:aws:sns:us-east-1:000000000000:news"
	url, got := endpoint(t, 200)
	x.confirmed(topic, url, got)
	until(func() bool { return !there() }, func(c *call) error {
		_, err := x.s.deleteTopic(c, &topicInput{topic})
		return err
	})
	if n := len(x.b.Queues("")); n > 0 || len(x.topics.topics) > 0 {
		t.Errorf("%d queues and %d topics are left", n, len(x.topics.topics))
	}
}

func TestWhatACrashLeavesOfATopicGoes(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	x.subscribe(topic, x.queue("orders"))
	url, _ := endpoint(t, 200)
	x.subscribeTo(topic, "http", url)
	news, err := x.b.Exchange("", "news")
	if err == nil {
		err = x.b.DeleteExchange(context.Background(), news, false)
	}
	if err == nil {
		_, _, err = x.b.DeclareQueue(context.Background(), notify.QueueSpec(requestID()))
	}
	if err != nil {
		t.Fatal(err)
	}
	x.restart()
	for key := range x.b.Facts(factSpace).All(factSubscriptions) {
		t.Errorf("fact %s is left over", key)
	}
	for _, q := range x.b.Queues("") {
		if q.Name().Name != "orders" {
			t.Errorf("queue %s is left over", q)
		}
	}
}
