package aws

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// fifoTopic makes a FIFO topic and returns its ARN.
func (x *rig) fifoTopic(name string, more ...string) string {
	x.t.Helper()
	return x.topic(name, append([]string{"FifoTopic", "true"}, more...)...)
}

// announceIn publishes a message of a group, with a deduplication id unless that is "".
func (x *rig) announceIn(topic, group, dedup, message string) (id, sequence string) {
	x.t.Helper()
	pairs := []string{"TopicArn", topic, "Message", message, "MessageGroupId", group}
	if dedup != "" {
		pairs = append(pairs, "MessageDeduplicationId", dedup)
	}
	n := x.snsOK("Publish", pairs...)
	return n.at("MessageId"), n.at("SequenceNumber")
}

func testTopicOnce(t *testing.T) {
	x, let := startTimed(t, Config{})
	topic, group := x.fifoTopic("news.fifo"), x.fifoTopic("group.fifo", "FifoThroughputScope", "MessageGroup",
		"ContentBasedDeduplication", "true")
	q, g := x.queue("plain"), x.queue("groups")
	x.subscribe(topic, q, "RawMessageDelivery", "true")
	x.subscribe(group, g, "RawMessageDelivery", "true")
	id, sequence := x.announceIn(topic, "g", "1", "a")
	same := func(when string) {
		t.Helper()
		if i, s := x.announceIn(topic, "h", "1", "again"); i != id || s != sequence {
			t.Errorf("%s: it was %s %s, and is %s %s", when, id, sequence, i, s)
		}
	}
	same("at once")
	x.restart()
	let(4 * time.Minute)
	same("after a restart")
	x.wantDrained("within five minutes", q, "a")
	let(2 * time.Minute)
	if i, s := x.announceIn(topic, "g", "1", "b"); i == id || s <= sequence {
		t.Errorf("after five minutes it is %s %s, and was %s %s", i, s, id, sequence)
	}
	x.wantDrained("after five minutes", q, "b")

	x.announceIn(group, "g", "", "a")
	x.announceIn(group, "h", "", "a")
	x.announceIn(group, "g", "", "a")
	x.wantDrained("in each group", g, "a a")
	n := x.snsOK("PublishBatch", "TopicArn", topic, "PublishBatchRequestEntries.member.1.Id", "x",
		"PublishBatchRequestEntries.member.1.Message", "c", "PublishBatchRequestEntries.member.1.MessageGroupId", "g",
		"PublishBatchRequestEntries.member.1.MessageDeduplicationId", "2", "PublishBatchRequestEntries.member.2.Id", "y",
		"PublishBatchRequestEntries.member.2.Message", "d", "PublishBatchRequestEntries.member.2.MessageGroupId", "g",
		"PublishBatchRequestEntries.member.2.MessageDeduplicationId", "2")
	if ids := n.members("Successful", "MessageId"); len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("in a batch the ids are %v", ids)
	}
	x.wantDrained("in a batch", q, "c")
}

func testTopicOrder(t *testing.T) {
	x := start(t, Config{})
	topic := x.fifoTopic("news.fifo", "ContentBasedDeduplication", "true")
	q, other := x.fifo("orders.fifo"), x.fifo("other.fifo")
	x.subscribe(topic, q, "RawMessageDelivery", "true")
	x.subscribe(topic, other)
	var want []string
	last := ""
	for i := range 10 {
		want = append(want, fmt.Sprint(i))
		_, sequence := x.announceIn(topic, "g", "", want[i])
		if sequence <= last || len(sequence) != 20 {
			t.Errorf("sequence number %q comes after %q", sequence, last)
		}
		last = sequence
	}
	first := x.get(q, "AttributeNames", []string{"All"}, "MaxNumberOfMessages", 3)
	as := first[0]["Attributes"].(object)
	if as["MessageGroupId"] != "g" || as["MessageDeduplicationId"] == nil || len(first) != 3 || as["SequenceNumber"] == nil {
		t.Errorf("received %v", first)
	}
	if got := x.get(q); len(got) != 0 {
		t.Errorf("received %v while the group is in flight", got)
	}
	var got []string
	for _, m := range first {
		got = append(got, m["Body"].(string))
		x.remove(q, m)
	}
	got = append(got, strings.Fields(x.drain(q))...)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got = nil
	for _, m := range x.get(other) {
		got = append(got, envelopeOf(x, m)["Message"].(string))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func testTopicDocument(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.fifoTopic("news.fifo"), x.fifo("orders.fifo")
	sub := x.subscribe(topic, q)
	id, sequence := x.announceIn(topic, "g", "1", "hello")
	doc := envelopeOf(x, x.one(q))
	want := object{"Type": "Notification", "MessageId": id, "SequenceNumber": sequence, "TopicArn": topic, "Message": "hello",
		"Timestamp": doc["Timestamp"], "UnsubscribeURL": x.topics.actionURL("Unsubscribe", "SubscriptionArn", sub)}
	if !reflect.DeepEqual(doc, want) {
		t.Errorf("got %v, want %v", doc, want)
	}
}

func TestFIFOTopicsWantIDs(t *testing.T) {
	x := start(t, Config{})
	topic, q, dead := x.fifoTopic("news.fifo"), x.fifo("orders.fifo"), x.queue("dead")
	n := x.snsOK("GetTopicAttributes", "TopicArn", topic)
	if as := n.entries("Attributes"); as["FifoTopic"] != "true" || as["ContentBasedDeduplication"] != "false" {
		t.Errorf("attributes are %v", as)
	}
	for _, c := range []struct {
		message, action string
		pairs           []string
	}{
		{"Invalid parameter: Topic Name", "CreateTopic", []string{"Name", "a", "Attributes.entry.1.key", "FifoTopic",
			"Attributes.entry.1.value", "true"}},
		{"Invalid parameter: The MessageGroupId parameter is required for FIFO topics", "Publish",
			[]string{"TopicArn", topic, "Message", "m", "MessageDeduplicationId", "1"}},
		{"Invalid parameter: The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided " +
			"explicitly", "Publish", []string{"TopicArn", topic, "Message", "m", "MessageGroupId", "1"}},
		{"Invalid parameter: The MessageGroupId parameter is required for FIFO topics", "PublishBatch",
			[]string{"TopicArn", topic, "PublishBatchRequestEntries.member.1.Id", "1", "PublishBatchRequestEntries.member.1.Message", "m"}},
		{"Invalid parameter: Attributes Reason: RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.",
			"Subscribe", []string{"TopicArn", topic, "Protocol", "sqs", "Endpoint", queueARN(q), "Attributes.entry.1.key", "RedrivePolicy",
				"Attributes.entry.1.value", `{"deadLetterTargetArn":"` + queueARN(dead) + `"}`}},
		{"Invalid parameter: Protocol Reason: FIFO topics have no subscriptions over HTTP", "Subscribe",
			[]string{"TopicArn", topic, "Protocol", "http", "Endpoint", "http://localhost"}},
	} {
		x.wantSNS(400, "InvalidParameter", c.message, c.action, c.pairs...)
	}
}

// TestDeadLettersOfAFIFOTopicAreAllKept: two subscriptions may have one queue for them.
func TestDeadLettersOfAFIFOTopicAreAllKept(t *testing.T) {
	x := start(t, Config{})
	topic, dead := x.fifoTopic("news.fifo"), x.fifo("dead.fifo")
	for _, name := range []string{"a", "b"} {
		x.subscribeTo(topic, "sqs", "arn:aws:sqs:us-east-1:000000000000:"+name+".fifo", "RawMessageDelivery", "true",
			"RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN(dead)+`"}`)
	}
	x.announceIn(topic, "g", "1", "hello")
	x.wantDrained("dead letters", dead, "hello hello")
}

// TestAStandardQueueGetsNoGroupOfAFIFOTopic: as recorded of SNS, which hands on that of standard topics.
func TestAStandardQueueGetsNoGroupOfAFIFOTopic(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.fifoTopic("news.fifo"), x.queue("plain")
	x.subscribe(topic, q)
	x.announceIn(topic, "g", "1", "a")
	if as := x.one(q, "AttributeNames", []string{"All"})["Attributes"].(object); as[sysGroup] != nil {
		t.Errorf("attributes are %v", as)
	}
}
