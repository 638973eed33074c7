package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/storage/vfs"
	"github.com/tidings-io/tidings/wire/aws/notify"
)

// snsPage is what clients of SNS can rely on.
var snsPage = filepath.Join("..", "..", "docs", "wire", "sns.md")

// snsPromises are the sentences in bold of the page, each with its test.
var snsPromises = map[string]func(*testing.T){
	"A message is on disk in every queue that gets it when Publish is answered.":            testFanOutOnDisk,
	"All queues have a message, or none.":                                                   testFanOutCrash,
	"A queue gets a document around the message, signed.":                                   testEnvelope,
	"With raw delivery a queue gets the message itself, and its attributes.":                testRaw,
	"A raw message that a queue cannot have is a dead letter.":                              testRawTooMuch,
	"A subscription gets what its filter policy lets pass.":                                 testFiltered,
	"What a queue cannot have goes to the dead letter queue of the subscription.":           testSubscriptionDeadLetter,
	"A subscription outlives its queue.":                                                    testOutlivesQueue,
	"A message can be another one for each protocol.":                                       testStructure,
	"MessageGroupId and the trace header go on to queues.":                                  testGroupGoesOn,
	"A batch that is wrong publishes nothing.":                                              testPublishBatch,
	"A message has 256 KiB, or as much as MaximumMessageSize says.":                         testTopicSize,
	"CreateTopic compares the attributes and tags that are given, and only those.":          testCreateTopicAgain,
	"Subscribe again answers with the same subscription.":                                   testSubscribeAgain,
	"Topics, subscriptions and their attributes are on disk when they are answered.":        testTopicsOnDisk,
	"With a topic go its subscriptions.":                                                    testDeleteTopic,
	"Only the name counts in an ARN.":                                                       testAnyARN,
	"Lists come in pages of 100.":                                                           testPages,
	"A subscription over HTTP gets nothing before it is confirmed.":                         testHTTPConfirmation,
	"The end of a subscription over HTTP can be taken back.":                                testHTTPUnsubscribe,
	"A failing endpoint delays nobody.":                                                     testFailingEndpoint,
	"Kafka topics and AMQP exchanges can subscribe.":                                        testCrossingOut,
	"What AMQP publishes to a topic reaches its subscribers.":                               testCrossingIn,
	"The certificate for signatures is served.":                                             testCertificate,
	"A FIFO topic takes a message once in five minutes, and answers again as it did first.": testTopicOnce,
	"FIFO queues have the messages of a FIFO topic in its order.":                           testTopicOrder,
	"A document of a FIFO topic has a sequence number, and no signature.":                   testTopicDocument,
	"A topic with an ArchivePolicy keeps every message, in the commit of the fan-out.":      testArchiveCrash,
	"Kafka clients can read an archive.":                                                    testArchiveInKafka,
	"An archive goes with its policy, and a topic not before it.":                           testArchivePolicy,
	"A replay delivers messages of a time again, to one subscription.":                      testReplay,
	"What is published during a replay comes after it, in the order of the topic.":          testReplayThenLive,
	"Behind the EndingPoint of a replay a subscription gets nothing.":                       testReplayEnds,
	"A replay delivers each message once, also over a crash.":                               testReplayCrash,
	"Text messages and mobile push are refused by name.":                                    testNoPhones,
}

func TestSNSPromises(t *testing.T) { checkPromises(t, snsPage, snsPromises) }

func testFanOutOnDisk(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	queues := []string{x.queue("a"), x.queue("b"), x.queue("c")}
	for _, q := range queues {
		x.subscribe(topic, q)
	}
	id := x.announce(topic, "grüße")
	x.restart()
	for _, q := range queues {
		if doc := envelopeOf(x, x.one(q)); doc["Message"] != "grüße" || doc["MessageId"] != id {
			t.Errorf("%s has %v", q, doc)
		}
	}
	if _, n := x.sns("Publish", "TargetArn", topic, "Message", "b"); n.XMLName.Local != "PublishResponse" {
		t.Errorf("by TargetArn: %s", n.XMLName.Local)
	}
}

// testFanOutCrash cuts the power at a random write while messages are published.
func testFanOutCrash(t *testing.T) {
	for seed := range 10 {
		disk := vfs.NewMem()
		x := startOn(t, Config{}, disk)
		topic := x.topic("news")
		for _, name := range []string{"a", "b", "c"} {
			x.subscribe(topic, x.queue(name), "RawMessageDelivery", "true")
		}
		disk.CutAfter(2 + seed*3)
		confirmed := 0
		for i := range 30 {
			if status, _ := x.sns("Publish", "TopicArn", topic, "Message", strconv.Itoa(i)); status != 200 {
				break
			}
			confirmed++
		}
		x.shut()
		y := startOn(t, Config{}, disk.Crash(seeded(uint64(seed))))
		var first []string
		for i, name := range []string{"a", "b", "c"} {
			var got []string
			for {
				all := y.get(y.url() + "/000000000000/" + name)
				if len(all) == 0 {
					break
				}
				for _, m := range all {
					got = append(got, m["Body"].(string))
				}
			}
			if i == 0 {
				first = got
			}
			if len(got) < confirmed || !slices.Equal(got, first) {
				t.Errorf("seed %d: %s has %v, a has %v, %d are confirmed", seed, name, got, first, confirmed)
			}
		}
		y.shut()
	}
}

func testEnvelope(t *testing.T) {
	x := start(t, Config{})
	for _, version := range []string{"1", "2"} {
		topic, q := x.topic("news"+version, "SignatureVersion", version), x.queue("orders"+version)
		sub := x.subscribe(topic, q)
		id := x.announce(topic, "hello", "Subject", "greeting", "MessageAttributes.entry.1.Name", "n",
			"MessageAttributes.entry.1.Value.DataType", "Number", "MessageAttributes.entry.1.Value.StringValue", "7",
			"MessageAttributes.entry.2.Name", "b", "MessageAttributes.entry.2.Value.DataType", "Binary",
			"MessageAttributes.entry.2.Value.BinaryValue", "AgME")
		m := x.one(q, "MessageAttributeNames", []string{"All"})
		doc := envelopeOf(x, m)
		base := "http://localhost:" + x.url()[strings.LastIndexByte(x.url(), ':')+1:]
		want := object{"Type": "Notification", "MessageId": id, "TopicArn": topic, "Subject": "greeting", "Message": "hello",
			"Timestamp": doc["Timestamp"], "SignatureVersion": version, "Signature": doc["Signature"],
			"SigningCertURL": base + x.topics.signer.Load().Path(),
			"UnsubscribeURL": base + "/?Action=Unsubscribe&SubscriptionArn=" + sub,
			"MessageAttributes": object{"n": object{"Type": "Number", "Value": "7"},
				"b": object{"Type": "Binary", "Value": "AgME"}}}
		if !reflect.DeepEqual(doc, want) || m["MessageId"] == id || m["MessageAttributes"] != nil {
			t.Errorf("got %v of %v\nwant %v", doc, m, want)
		}
		at, err := time.Parse("2006-01-02T15:04:05.000Z", doc["Timestamp"].(string))
		if err != nil {
			t.Error(err)
		}
		n := &notify.Notification{Type: notify.Message, MessageID: id, TopicARN: topic, Subject: "greeting", Message: "hello",
			Time: at, SignatureVersion: version, Signature: doc["Signature"].(string)}
		if err := notify.Verify(x.topics.signer.Load().Certificate(), n); err != nil {
			t.Errorf("signature of version %s: %v", version, err)
		}
	}
}

func testRaw(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	x.subscribe(topic, q, "RawMessageDelivery", "True")
	x.announce(topic, "hello", "Subject", "greeting", "MessageAttributes.entry.1.Name", "b",
		"MessageAttributes.entry.1.Value.DataType", "Binary", "MessageAttributes.entry.1.Value.BinaryValue", "AgME")
	m := x.one(q, "MessageAttributeNames", []string{"All"})
	want := object{"b": object{"DataType": "Binary", "BinaryValue": "AgME"}}
	if m["Body"] != "hello" || !reflect.DeepEqual(m["MessageAttributes"], want) {
		t.Errorf("got %v", m)
	}
}

func testRawTooMuch(t *testing.T) {
	x := start(t, Config{})
	topic, q, dead := x.topic("news"), x.queue("orders"), x.queue("dead")
	small, late := x.queue("small", "MaximumMessageSize", "1024"), x.queue("late")
	x.subscribe(topic, q, "RawMessageDelivery", "true", "RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN(dead)+`"}`)
	x.subscribe(topic, small, "RawMessageDelivery", "true", "RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN(late)+`"}`)
	var pairs []string
	for i := range 11 {
		at := fmt.Sprintf("MessageAttributes.entry.%d.", i+1)
		pairs = append(pairs, at+"Name", fmt.Sprint("a", i), at+"Value.DataType", "String", at+"Value.StringValue", "x")
	}
	x.announce(topic, "hello", pairs...)
	doc := envelopeOf(x, x.one(dead))
	if doc["Message"] != "hello" || len(doc["MessageAttributes"].(object)) != 11 {
		t.Errorf("the dead letter is %v", doc)
	}
	x.one(late)
	x.announce(topic, "a\x01b")
	if doc := envelopeOf(x, x.one(dead)); doc["Message"] != "a\x01b" {
		t.Errorf("the dead letter is %v", doc)
	}
	x.one(late)
	x.announce(topic, strings.Repeat("a", 1025))
	if m := x.one(late); len(m["Body"].(string)) != 1025 {
		t.Errorf("the dead letter is %v", m)
	}
	if got := x.get(small); len(got) != 0 {
		t.Errorf("received %v", got)
	}
	x.one(q)
}

func testFiltered(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	high, body, all := x.queue("high"), x.queue("body"), x.queue("all")
	sub := x.subscribe(topic, high, "RawMessageDelivery", "true", "FilterPolicy", `{"price":[{"numeric":[">",100]}]}`)
	x.subscribe(topic, body, "RawMessageDelivery", "true", "FilterPolicyScope", "MessageBody", "FilterPolicy", `{"shop":{"id":["7"]}}`)
	x.subscribe(topic, all, "RawMessageDelivery", "true")
	price := func(n string) []string {
		return []string{"MessageAttributes.entry.1.Name", "price", "MessageAttributes.entry.1.Value.DataType", "Number",
			"MessageAttributes.entry.1.Value.StringValue", n}
	}
	x.announce(topic, `{"shop":{"id":"7"}}`, price("1")...)
	x.announce(topic, "text", price("101")...)
	for q, want := range map[string][]string{high: {"text"}, body: {`{"shop":{"id":"7"}}`}, all: {`{"shop":{"id":"7"}}`, "text"}} {
		var got []string
		for _, m := range x.get(q) {
			got = append(got, m["Body"].(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", q, got, want)
		}
	}
	x.snsOK("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", "FilterPolicy", "AttributeValue", "")
	x.announce(topic, "everything")
	x.one(high)
}

func testSubscriptionDeadLetter(t *testing.T) {
	x := start(t, Config{})
	topic, dead := x.topic("news"), x.queue("dead")
	x.subscribeTo(topic, "sqs", "arn:aws:sqs:us-east-1:000000000000:missing", "RedrivePolicy",
		`{"deadLetterTargetArn":"`+queueARN(dead)+`"}`)
	x.subscribeTo(topic, "sqs", "arn:aws:sqs:us-east-1:000000000000:gone")
	id := x.announce(topic, "hello")
	if doc := envelopeOf(x, x.one(dead)); doc["MessageId"] != id {
		t.Errorf("the dead letter is %v", doc)
	}
	if n := x.topics.Lost(); n != 1 {
		t.Errorf("%d are lost, want that of the other subscription", n)
	}
}

func testOutlivesQueue(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	sub := x.subscribe(topic, q)
	x.ok("DeleteQueue", object{"QueueUrl": q})
	x.announce(topic, "lost")
	x.queue("orders")
	x.announce(topic, "there")
	if doc := envelopeOf(x, x.one(q)); doc["Message"] != "there" {
		t.Errorf("got %v", doc)
	}
	list := x.snsOK("ListSubscriptionsByTopic", "TopicArn", topic)
	if got := list.members("Subscriptions", "SubscriptionArn"); !slices.Equal(got, []string{sub}) {
		t.Errorf("subscriptions are %v", got)
	}
}

func testStructure(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	x.subscribe(topic, q, "RawMessageDelivery", "true")
	x.announce(topic, `{"default":"d","sqs":"{\"a\":1}","http":7}`, "MessageStructure", "json")
	x.announce(topic, `{"default":"d"}`, "MessageStructure", "json")
	x.announce(topic, `{"default":"d"}`)
	var got []string
	for _, m := range x.get(q) {
		got = append(got, m["Body"].(string))
	}
	if want := []string{`{"a":1}`, "d", `{"default":"d"}`}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func testGroupGoesOn(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	x.subscribe(topic, q)
	r, err := http.NewRequest("POST", x.url(), strings.NewReader("Action=Publish&Version=2010-03-31&Message=a&MessageGroupId=g&TopicArn="+topic))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Amzn-Trace-Id", "Root=1-3152b799-8954dae64eda91bc9a23a7e8")
	if status, _, body := x.do(r); status != 200 {
		t.Fatal(body)
	}
	as := x.one(q, "AttributeNames", []string{"All"})["Attributes"].(object)
	if as["MessageGroupId"] != "g" || as["AWSTraceHeader"] != "Root=1-3152b799-8954dae64eda91bc9a23a7e8" {
		t.Errorf("attributes are %v", as)
	}
}

func testPublishBatch(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news", "MaximumMessageSize", "1024"), x.queue("orders")
	x.subscribe(topic, q, "RawMessageDelivery", "true")
	entries := func(all ...string) (pairs []string) {
		pairs = []string{"TopicArn", topic}
		for i := 0; i+1 < len(all); i += 2 {
			at := fmt.Sprintf("PublishBatchRequestEntries.member.%d.", i/2+1)
			pairs = append(pairs, at+"Id", all[i], at+"Message", all[i+1])
		}
		return pairs
	}
	var eleven []string
	for i := range 11 {
		eleven = append(eleven, fmt.Sprint("m", i), "x")
	}
	batch := func(status int, code, message string, pairs ...string) {
		t.Helper()
		x.wantSNS(status, code, message, "PublishBatch", pairs...)
	}
	batch(400, "EmptyBatchRequest", "The batch request doesn't contain any entries.", entries()...)
	batch(400, "TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.", entries(eleven...)...)
	batch(400, "BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.", entries("1", "a", "1", "b")...)
	batch(400, "InvalidBatchEntryId", "The Id of a batch entry in the batch request contains an impermissible character: message.id",
		entries("message.id", "a")...)
	batch(400, "InvalidBatchEntryId", "The Id of a batch entry in the batch request is too long: "+strings.Repeat("a", 81),
		entries(strings.Repeat("a", 81), "a")...)
	batch(400, "BatchRequestTooLong", "The length of all the messages put together is more than the limit.",
		entries("1", strings.Repeat("a", 512), "2", strings.Repeat("b", 513))...)
	batch(400, "InvalidParameter", "Invalid parameter: Empty message", entries("1", "a", "2", "")...)
	batch(400, "InvalidParameter", "Invalid parameter: Message Structure - No default entry in JSON message body",
		append(entries("1", "a", "2", "{}"), "PublishBatchRequestEntries.member.2.MessageStructure", "json")...)
	batch(400, "ValidationError", "1 validation error detected: Value null at 'publishBatchRequestEntries.2.member."+
		"messageAttributes.attr1.member.dataType' failed to satisfy constraint: Member must not be null",
		append(entries("1", "a", "2", "b"), "PublishBatchRequestEntries.member.2.MessageAttributes.entry.1.Name", "attr1",
			"PublishBatchRequestEntries.member.2.MessageAttributes.entry.1.Value.StringValue", "x")...)
	if got := x.get(q); len(got) != 0 {
		t.Fatalf("received %v", got)
	}
	out := x.snsOK("PublishBatch", entries("one", "1", "two", "2")...)
	if got := out.members("Successful", "Id"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("successful are %v", got)
	}
	if got := x.get(q); len(got) != 2 || got[0]["Body"] != "1" || got[1]["Body"] != "2" {
		t.Errorf("received %v", got)
	}
}

func testTopicSize(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	x.subscribe(topic, q)
	attribute := []string{"MessageAttributes.entry.1.Name", "attr1", "MessageAttributes.entry.1.Value.DataType", "Number",
		"MessageAttributes.entry.1.Value.StringValue", "1"}
	long := strings.Repeat("a", usualTopicSize-len("attr1Number1"))
	x.announce(topic, long, attribute...)
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Message too long", "Publish",
		append(attribute, "TopicArn", topic, "Message", long+"a")...)
	x.snsOK("SetTopicAttributes", "TopicArn", topic, "AttributeName", "MaximumMessageSize", "AttributeValue", "1048576")
	x.announce(topic, long+"a", attribute...)
	if status, code, _ := x.snsFails("Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", "http://localhost/"); status != 400 ||
		code != "InvalidParameter" {
		t.Errorf("a subscription over HTTP: %d %s", status, code)
	}
}

func testCreateTopicAgain(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news", "DisplayName", "Value1")
	x.snsOK("TagResource", "ResourceArn", topic, "Tags.member.1.Key", "k1", "Tags.member.1.Value", "v1")
	for _, same := range [][]string{{}, {"Attributes.entry.1.key", "DisplayName", "Attributes.entry.1.value", "Value1"},
		{"Tags.member.1.Key", "k1", "Tags.member.1.Value", "v1"}} {
		n := x.snsOK("CreateTopic", append([]string{"Name", "news"}, same...)...)
		if n.at("TopicArn") != topic {
			t.Errorf("with %v it is %s", same, n.at("TopicArn"))
		}
	}
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Attributes Reason: Topic already exists with different attributes",
		"CreateTopic", "Name", "news", "Attributes.entry.1.key", "DisplayName", "Attributes.entry.1.value", "Value2")
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Attributes Reason: Topic already exists with different attributes",
		"CreateTopic", "Name", "news", "Attributes.entry.1.key", "SignatureVersion", "Attributes.entry.1.value", "2")
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags",
		"CreateTopic", "Name", "news", "Tags.member.1.Key", "k2", "Tags.member.1.Value", "v2")
}

func testSubscribeAgain(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	sub := x.subscribe(topic, q, "RawMessageDelivery", "True")
	for _, same := range [][]string{{}, {"RawMessageDelivery", "true"}, {"FilterPolicyScope", "MessageAttributes"}} {
		if again := x.subscribe(topic, q, same...); again != sub {
			t.Errorf("with %v it is %s, want %s", same, again, sub)
		}
	}
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Attributes Reason: Subscription already exists with different attributes",
		"Subscribe", "TopicArn", topic, "Protocol", "sqs", "Endpoint", queueARN(q),
		"Attributes.entry.1.key", "RawMessageDelivery", "Attributes.entry.1.value", "false")
	for range 2 {
		x.snsOK("Unsubscribe", "SubscriptionArn", sub)
	}
	if again := x.subscribe(topic, q); again == sub {
		t.Error("a subscription that was ended is there again")
	}
}

func testTopicsOnDisk(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news", "KmsMasterKeyId", "key", "HTTPSuccessFeedbackSampleRate", "7"), x.queue("orders")
	sub := x.subscribe(topic, q, "FilterPolicy", `{"a":["b"]}`)
	x.snsOK("SetTopicAttributes", "TopicArn", topic, "AttributeName", "DisplayName", "AttributeValue", "News")
	x.snsOK("SetTopicAttributes", "TopicArn", topic, "AttributeName", "KmsMasterKeyId", "AttributeValue", "")
	x.snsOK("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", "RawMessageDelivery", "AttributeValue", "true")
	x.snsOK("TagResource", "ResourceArn", topic, "Tags.member.1.Key", "k", "Tags.member.1.Value", "v",
		"Tags.member.2.Key", "old", "Tags.member.2.Value", "v")
	x.snsOK("UntagResource", "ResourceArn", topic, "TagKeys.member.1", "old")
	x.snsOK("PutDataProtectionPolicy", "ResourceArn", topic, "DataProtectionPolicy", `{"Name":"n","Version":"2021-06-01"}`)
	certificate := x.topics.signer.Load().Certificate()
	read := func() []map[string]string {
		a, s := x.snsOK("GetTopicAttributes", "TopicArn", topic), x.snsOK("GetSubscriptionAttributes", "SubscriptionArn", sub)
		tags, policy := x.snsOK("ListTagsForResource", "ResourceArn", topic), x.snsOK("GetDataProtectionPolicy", "ResourceArn", topic)
		return []map[string]string{a.entries("Attributes"), s.entries("Attributes"),
			{"tags": strings.Join(append(tags.members("Tags", "Key"), tags.members("Tags", "Value")...), " "),
				"policy": policy.at("DataProtectionPolicy")}}
	}
	before := read()
	x.restart()
	after := read()
	if !reflect.DeepEqual(before, after) || !bytes.Equal(certificate, x.topics.signer.Load().Certificate()) {
		t.Errorf("before %v, after %v", before, after)
	}
	a, s := after[0], after[1]
	if a["DisplayName"] != "News" || a["KmsMasterKeyId"] != "" || a["HTTPSuccessFeedbackSampleRate"] != "7" ||
		a["SubscriptionsConfirmed"] != "1" || a["TopicArn"] != topic || a["Owner"] != "000000000000" || a["SignatureVersion"] != "" ||
		!strings.Contains(a["Policy"], `"Sid":"__default_statement_ID"`) || !strings.Contains(a["EffectiveDeliveryPolicy"], `"numRetries":3`) {
		t.Errorf("attributes of the topic are %v", a)
	}
	want := map[string]string{"ConfirmationWasAuthenticated": "true", "Endpoint": queueARN(q), "Owner": "000000000000",
		"PendingConfirmation": "false", "Protocol": "sqs", "RawMessageDelivery": "true", "SubscriptionArn": sub,
		"SubscriptionPrincipal": "arn:aws:iam::000000000000:root", "TopicArn": topic, "FilterPolicy": `{"a":["b"]}`,
		"FilterPolicyScope": "MessageAttributes"}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("attributes of the subscription are %v\nwant %v", s, want)
	}
	if after[2]["tags"] != "k v" || after[2]["policy"] != `{"Name":"n","Version":"2021-06-01"}` {
		t.Errorf("tags and policy are %v", after[2])
	}
}

func testDeleteTopic(t *testing.T) {
	x := start(t, Config{})
	topic, q := x.topic("news"), x.queue("orders")
	sub := x.subscribe(topic, q)
	for range 2 {
		x.snsOK("DeleteTopic", "TopicArn", topic)
	}
	x.topic("news")
	list := x.snsOK("ListSubscriptions")
	if got := list.members("Subscriptions", "SubscriptionArn"); len(got) != 0 {
		t.Errorf("subscriptions are %v", got)
	}
	x.wantSNS(404, "NotFound", "Subscription does not exist", "GetSubscriptionAttributes", "SubscriptionArn", sub)
	x.announce(topic, "nobody")
	x.restart()
	if got := x.get(q); len(got) != 0 {
		t.Errorf("received %v", got)
	}
	for key := range x.b.Facts(factSpace).All(factSubscriptions) {
		t.Errorf("fact %s is left over", key)
	}
}

func testAnyARN(t *testing.T) {
	x := start(t, Config{})
	x.topic("news")
	q := x.queue("orders")
	x.subscribeTo("arn:aws:sns:eu-central-1:123456789012:news", "sqs", "arn:aws:sqs:eu-central-1:123456789012:orders")
	x.announce("arn:aws:sns:eu-west-1:111111111111:news", "hello")
	if doc := envelopeOf(x, x.one(q)); doc["TopicArn"] != "arn:aws:sns:us-east-1:000000000000:news" {
		t.Errorf("got %v", doc)
	}
}

func testPages(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("topic000")
	for i := range 100 {
		x.topic(fmt.Sprintf("topic%03d", i+1))
		x.subscribeTo(topic, "sqs", fmt.Sprintf("arn:aws:sqs:us-east-1:000000000000:q%d", i))
	}
	x.subscribeTo(topic, "sqs", "arn:aws:sqs:us-east-1:000000000000:last")
	for _, c := range []struct {
		action, list, name string
		pairs              []string
	}{
		{"ListTopics", "Topics", "TopicArn", nil},
		{"ListSubscriptions", "Subscriptions", "SubscriptionArn", nil},
		{"ListSubscriptionsByTopic", "Subscriptions", "SubscriptionArn", []string{"TopicArn", topic}},
	} {
		first := x.snsOK(c.action, c.pairs...)
		token := first.at("NextToken")
		second := x.snsOK(c.action, append(c.pairs, "NextToken", token)...)
		all := append(first.members(c.list, c.name), second.members(c.list, c.name)...)
		distinct := slices.Compact(slices.Sorted(slices.Values(all)))
		if len(all) != 101 || len(distinct) != 101 || token == "" || second.at("NextToken") != "" {
			t.Errorf("%s: %d of %d, token %q", c.action, len(distinct), len(all), token)
		}
	}
}

// post is a request that an endpoint got.
type post struct {
	header http.Header
	body   string
}

// endpoint is a subscriber over HTTP, which answers with a status.
func endpoint(t *testing.T, status int) (string, chan post) {
	t.Helper()
	got := make(chan post, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- post{r.Header, string(body)}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func (p post) document(t testing.TB) (doc map[string]string) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.body), &doc); err != nil {
		t.Fatalf("%q: %v", p.body, err)
	}
	return doc
}

// confirmed subscribes an endpoint, confirms as its programs do, and returns the ARN.
func (x *rig) confirmed(topic, url string, got chan post, more ...string) string {
	x.t.Helper()
	sub := x.subscribeTo(topic, "http", url, more...)
	doc := (<-got).document(x.t)
	x.visit(doc["SubscribeURL"])
	return sub
}

// visit is what a program does with a URL of a document: it needs no signature.
func (x *rig) visit(url string) {
	x.t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	if status, _, body := x.do(r); status != 200 {
		x.t.Fatalf("%s: %d %s", url, status, body)
	}
}

func testHTTPConfirmation(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	url, got := endpoint(t, 200)
	n := x.snsOK("Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", url)
	if arn := n.at("SubscriptionArn"); arn != "pending confirmation" {
		t.Errorf("the ARN is %s", arn)
	}
	question := <-got
	doc := question.document(t)
	if h := question.header; h.Get("x-amz-sns-message-type") != "SubscriptionConfirmation" || doc["Type"] != "SubscriptionConfirmation" ||
		h.Get("x-amz-sns-topic-arn") != topic || h.Get("x-amz-sns-subscription-arn") != "" || doc["Signature"] == "" {
		t.Errorf("the question is %v %v", h, doc)
	}
	x.announce(topic, "too early")
	list := x.snsOK("ListSubscriptionsByTopic", "TopicArn", topic)
	if arns := list.members("Subscriptions", "SubscriptionArn"); !slices.Equal(arns, []string{"PendingConfirmation"}) {
		t.Errorf("listed are %v", arns)
	}
	x.restart()
	x.wantSNS(400, "InvalidParameter", "Invalid token", "ConfirmSubscription", "TopicArn", topic, "Token", "garbage")
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Token", "ConfirmSubscription", "TopicArn", topic, "Token", newToken())
	x.wantSNS(400, "InvalidParameter", "Invalid parameter: Topic", "ConfirmSubscription", "TopicArn", "news", "Token", doc["Token"])
	var arn string
	for range 2 {
		n := x.snsOK("ConfirmSubscription", "TopicArn", topic, "Token", doc["Token"])
		arn = n.at("SubscriptionArn")
	}
	id := x.announce(topic, "hello")
	p := <-got
	if h := p.header; p.document(t)["Message"] != "hello" || h.Get("x-amz-sns-message-id") != id ||
		h.Get("x-amz-sns-subscription-arn") != arn || h.Get("x-amz-sns-message-type") != "Notification" {
		t.Errorf("got %v %s", h, p.body)
	}
	x.snsOK("SetSubscriptionAttributes", "SubscriptionArn", arn, "AttributeName", "RawMessageDelivery", "AttributeValue", "true")
	x.announce(topic, "raw")
	if p := <-got; p.body != "raw" || p.header.Get("x-amz-sns-rawdelivery") != "true" {
		t.Errorf("got %v", p)
	}
}

// What stands in documents is asked for under the name that was configured.
func TestSubscribersReachTheServerByItsURL(t *testing.T) {
	x := &rig{t: t, c: Config{Addr: "127.0.0.1:0"}, d: vfs.OS(t.TempDir()), at: "http://tidings.example:8080"}
	x.open()
	t.Cleanup(x.close)
	url, got := endpoint(t, 200)
	x.subscribeTo(x.topic("news"), "http", url)
	doc := (<-got).document(t)
	for _, name := range []string{"SubscribeURL", "SigningCertURL"} {
		path, ok := strings.CutPrefix(doc[name], x.at)
		r, err := http.NewRequest("GET", x.url()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "tidings.example:8080"
		if status, _, body := x.do(r); !ok || status != 200 {
			t.Errorf("%s: %d %s", doc[name], status, body)
		}
	}
}

func TestASubscriptionThatNobodyConfirmsGoes(t *testing.T) {
	x, let := startTimed(t, Config{})
	topic := x.topic("news")
	url, got := endpoint(t, 200)
	kept := x.confirmed(topic, url, got)
	for _, end := range []func(){x.restart, func() { x.subscribeTo(topic, "sqs", queueARN("/orders")) }} {
		sub := x.subscribeTo(topic, "http", url+"/other")
		let(48 * time.Hour)
		x.snsOK("GetSubscriptionAttributes", "SubscriptionArn", sub)
		let(time.Millisecond)
		end()
		x.wantSNS(404, "NotFound", "Subscription does not exist", "GetSubscriptionAttributes", "SubscriptionArn", sub)
		x.snsOK("GetSubscriptionAttributes", "SubscriptionArn", kept)
	}
	if all := x.b.Queues(""); len(all) != 1 {
		t.Errorf("there are %d queues", len(all))
	}
}

func TestASubscriptionThatCannotBeMadeLeavesNoQueue(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	if err := x.topics.deliverer.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	var err error
	x.topics.deliverer, err = notify.NewDeliverer(x.b, notify.Config{Limits: notify.Limits{Endpoints: 1}})
	if err != nil {
		t.Fatal(err)
	}
	url, _ := endpoint(t, 200)
	x.subscribeTo(topic, "http", url)
	_, code, _ := x.snsFails("Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", url+"/other")
	if all := x.b.Queues(""); code != "Throttled" || len(all) != 1 {
		t.Errorf("%s, and %d queues", code, len(all))
	}
}

func testHTTPUnsubscribe(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	url, got := endpoint(t, 200)
	sub := x.confirmed(topic, url, got)
	x.announce(topic, "hello")
	x.visit((<-got).document(t)["UnsubscribeURL"])
	doc := (<-got).document(t)
	if doc["Type"] != "UnsubscribeConfirmation" || !strings.Contains(doc["Message"], sub) {
		t.Fatalf("got %v", doc)
	}
	x.wantSNS(404, "NotFound", "Subscription does not exist", "GetSubscriptionAttributes", "SubscriptionArn", sub)
	x.announce(topic, "nobody")
	x.restart()
	x.visit(doc["SubscribeURL"])
	id := x.announce(topic, "again")
	if p := <-got; p.header.Get("x-amz-sns-message-id") != id || p.header.Get("x-amz-sns-subscription-arn") != sub {
		t.Errorf("got %v", p)
	}
}

// That an end has been told all of is heard only when it was taken back, and a new one is under way.
func TestTheSecondEndOfASubscriptionIsToldToo(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	posted, answer := make(chan string), make(chan int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posted <- string(body)
		w.WriteHeader(<-answer)
	}))
	t.Cleanup(s.Close)
	sub := x.subscribeTo(topic, "http", s.URL)
	doc := post{body: <-posted}.document(t)
	answer <- 200
	x.visit(doc["SubscribeURL"])
	x.snsOK("Unsubscribe", "SubscriptionArn", sub)
	doc = post{body: <-posted}.document(t)
	x.topics.finish(sub[strings.LastIndexByte(sub, ':')+1:]) // of the end before
	q, err := x.b.Queue("", notify.QueueName(sub[strings.LastIndexByte(sub, ':')+1:]))
	if err != nil || q.Stats().Leased != 1 {
		t.Errorf("%s is lost: %v", doc["Type"], err)
	}
	answer <- 200
}

func testFailingEndpoint(t *testing.T) {
	x := start(t, Config{})
	topic, q, dead := x.topic("news"), x.queue("orders"), x.queue("dead")
	good, got := endpoint(t, 200)
	bad, tried := endpoint(t, 404)
	x.subscribe(topic, q)
	x.confirmed(topic, good, got)
	x.confirmed(topic, bad, tried, "RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN(dead)+`"}`)
	id := x.announce(topic, "hello")
	x.one(q)
	if p := <-got; p.header.Get("x-amz-sns-message-id") != id {
		t.Errorf("got %v", p)
	}
	m := x.one(dead, "WaitTimeSeconds", 20, "MessageAttributeNames", []string{"All"})
	if doc := envelopeOf(x, m); doc["MessageId"] != id {
		t.Errorf("the dead letter is %v", m)
	}
	if as := m["MessageAttributes"].(object); as["ErrorCode"].(object)["StringValue"] != "404" {
		t.Errorf("the dead letter is %v", m)
	}
}

func testCrossingOut(t *testing.T) {
	x := start(t, Config{})
	topic := x.topic("news")
	log, err := x.b.CreateTopic(context.Background(), broker.TopicSpec{Name: "log"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fan", "amqp"} {
		if _, _, err := x.b.DeclareExchange(context.Background(), broker.ExchangeSpec{Name: name, Type: "topic", Durable: true}); err != nil {
			t.Fatal(err)
		}
	}
	q := x.queue("orders")
	if err := x.b.Bind(context.Background(), broker.Binding{Source: "fan", Key: "a.*",
		Destination: broker.Name{Kind: broker.KindQueue, Name: "orders"}}); err != nil {
		t.Fatal(err)
	}
	x.subscribeTo(topic, "kafka", "log", "RawMessageDelivery", "true")
	x.subscribeTo(topic, "amqp", "fan#a.b", "RawMessageDelivery", "true")
	x.subscribeTo(topic, "amqp", "missing")
	id := x.announce(topic, "hello", "MessageGroupId", "g", "MessageAttributes.entry.1.Name", "h",
		"MessageAttributes.entry.1.Value.DataType", "String", "MessageAttributes.entry.1.Value.StringValue", "v")
	m := x.one(q, "MessageAttributeNames", []string{"All"})
	if m["Body"] != "hello" || m["MessageAttributes"] == nil {
		t.Errorf("the queue has %v", m)
	}
	var buf broker.Buffer
	defer buf.Release()
	if err := log.Partition(0).Read(&buf, 0, 1<<20); err != nil {
		t.Fatal(err)
	}
	for rec, err := range broker.Records(buf.Entries[0].Bytes) {
		if err != nil || string(rec.Value) != "hello" || string(rec.Key) != "g" || len(rec.Headers) != 2 ||
			rec.Headers[0].Key != "h" || string(rec.Headers[1].Value) != id {
			t.Errorf("the topic has %v %v", rec, err)
		}
	}
	if n := x.topics.Lost(); n != 1 {
		t.Errorf("%d are lost, want that of the exchange that is not there", n)
	}
}

func testCrossingIn(t *testing.T) {
	x := start(t, Config{})
	topic, q, raw := x.topic("news"), x.queue("orders"), x.queue("raw")
	x.subscribe(topic, q)
	x.subscribe(topic, raw, "RawMessageDelivery", "true")
	news, err := x.b.Exchange("", "news")
	if err != nil {
		t.Fatal(err)
	}
	tx := x.b.Begin()
	tx.Publish(news, broker.QueueRecord{Key: "k", Format: broker.PropsAMQP, Props: []byte{0, 0}, Body: []byte{0xff}})
	if err := commit(context.Background(), tx); err != nil {
		t.Fatal(err)
	}
	doc := envelopeOf(x, x.one(q))
	want := object{"Content-Transfer-Encoding": object{"Type": "String", "Value": "base64"}}
	if doc["Message"] != "/w==" || !reflect.DeepEqual(doc["MessageAttributes"], want) || doc["TopicArn"] != topic {
		t.Errorf("got %v", doc)
	}
	if at, err := time.Parse(time.RFC3339, doc["Timestamp"].(string)); err != nil || time.Since(at) > time.Hour {
		t.Errorf("the time is %v", doc["Timestamp"])
	}
	if m := x.one(raw); m["Body"] != "/w==" {
		t.Errorf("got %v", m)
	}
}

func testCertificate(t *testing.T) {
	x := start(t, Config{Keys: map[string]string{"key": "secret"}})
	if _, err := x.b.Exchange("", "news"); err == nil {
		t.Fatal("there is a topic")
	}
	if err := x.topics.makeKey(context.Background()); err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		r, err := http.NewRequest("GET", x.url()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		status, _, body := x.do(r)
		return status, body
	}
	signer := x.topics.signer.Load()
	if status, body := get(signer.Path()); status != 200 || body != string(signer.Certificate()) {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get("/SimpleNotificationService-0.pem"); status == 200 {
		t.Error("there is another certificate")
	}
	// What a program is told to visit needs no signature; all else does.
	if status, _ := get("/?Action=ListTopics"); status != 403 {
		t.Errorf("without a signature topics are listed: %d", status)
	}
	if status, _ := get("/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:us-east-1:000000000000:t:" + requestID()); status != 200 {
		t.Errorf("without a signature a subscription is not ended: %d", status)
	}
}

func testNoPhones(t *testing.T) {
	x := start(t, Config{})
	_, refused := SNSActions()
	for _, action := range refused {
		x.wantSNS(400, "InvalidAction", "The action "+action+" is not built.", action)
	}
	topic := x.topic("news")
	for _, protocol := range unsupportedProtocols {
		x.wantSNS(400, "InvalidParameter", "Invalid parameter: Protocol Reason: subscriptions of protocol "+protocol+" are not built",
			"Subscribe", "TopicArn", topic, "Protocol", protocol, "Endpoint", "e")
	}
	if status, code, _ := x.snsFails("Publish", "PhoneNumber", "+15551234567", "Message", "m"); status != 400 || code != "InvalidParameter" {
		t.Errorf("%d %s", status, code)
	}
}
