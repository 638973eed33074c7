package aws

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/tidings-io/tidings"
)

// reading is a consumer of a group that only reads messages.
func reading(fifo bool, topics ...string) *consumer {
	c := &consumer{t: &Transport{config: &Config{FIFO: fifo}},
		sub: tidings.Subscription{Group: "billing", Topics: topics}, group: &group{topics: map[string]string{}}}
	for _, topic := range topics {
		c.group.topics[strings.ReplaceAll(topic, ".", "_")] = topic
	}
	return c
}

// sent is a message as SQS hands it out.
func sent(body string, attributes ...string) *sqstypes.Message {
	m := &sqstypes.Message{Body: &body, MessageId: sdk.String("m-1"), Attributes: map[string]string{
		"ApproximateReceiveCount": "2", "SentTimestamp": "1700000000123", "MessageGroupId": "group"}}
	for i := 0; i < len(attributes); i += 2 {
		if m.MessageAttributes == nil {
			m.MessageAttributes = map[string]sqstypes.MessageAttributeValue{}
		}
		m.MessageAttributes[attributes[i]] = sqstypes.MessageAttributeValue{DataType: sdk.String("String"),
			StringValue: &attributes[i+1]}
	}
	return m
}

const structured = `{"specversion":"1.0","id":"1","source":"s","type":"t","partitionkey":"k","data":7}`

func around(message string, attributes map[string]any) string {
	text, _ := json.Marshal(map[string]any{"Type": "Notification", "MessageId": "n-1", "Message": message,
		"TopicArn": "arn:aws:sns:eu-west-1:123456789012:shop_orders", "Timestamp": "2026-01-02T03:04:05.678Z",
		"MessageAttributes": attributes})
	return string(text)
}

var (
	sentAt   = time.UnixMilli(1700000000123).UTC()
	aroundAt = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	plain    = tidings.Event{Topic: "shop.orders", ID: "1", Source: "s", Type: "t", Key: "k", ContentType: "application/json",
		Payload: []byte("7")}
	malformed = "?" // some reason
)

func TestEveryModeIsRead(t *testing.T) {
	one := reading(false, "shop.orders")
	binary := plain
	binary.ContentType = "text/plain"
	foreign := tidings.Event{Topic: "shop.orders", ID: "m-1", Source: "aws:shop.orders", Time: sentAt, Payload: []byte("hi")}
	change := func(e tidings.Event, change func(*tidings.Event)) tidings.Event { change(&e); return e }
	for what, c := range map[string]struct {
		m    *sqstypes.Message
		want tidings.Event
	}{
		"structured, said":        {sent(structured, "content-type", "application/cloudevents+json; charset=utf-8"), plain},
		"structured, not said":    {sent(" " + structured), plain},
		"structured, in envelope": {sent(around(structured, nil)), plain},
		"binary":                  {sent("7", "ce_specversion", "1.0", "ce_id", "1", "ce_source", "s", "ce_type", "t", "ce_partitionkey", "k", "content-type", "text/plain"), binary},
		"binary, other prefixes":  {sent("7", "ce-specversion", "1.0", "ce-id", "1", "cloudEvents_source", "s", "ce_type", "t", "ce_partitionkey", "k", "content-type", "text/plain"), binary},
		"binary, in envelope": {sent(around("7", map[string]any{
			"ce_specversion": map[string]string{"Type": "String", "Value": "1.0"},
			"ce_id":          map[string]string{"Type": "Binary", "Value": base64.StdEncoding.EncodeToString([]byte("1"))},
			"ce_source":      map[string]string{"Type": "String", "Value": "s"}, "ce_type": map[string]string{"Type": "String", "Value": "t"},
			"ce_partitionkey": map[string]string{"Type": "String", "Value": "k"}, "content-type": map[string]string{"Type": "String", "Value": "text/plain"},
		})), binary},
		"foreign": {sent("hi"), foreign},
		"foreign with attributes": {sent("aGk=", "Content-Transfer-Encoding", "base64", "content-type", "x/y", "type", "T", "key", "K", "topic", "x",
			"correlation-id", "C", "traceparent", "P", "color", "red", "Color", "no", "subject", "not what CloudEvents says"),
			change(foreign, func(e *tidings.Event) {
				e.ContentType, e.Type, e.Key, e.Correlation, e.TraceParent = "x/y", "T", "K", "C", "P"
				e.Extensions = map[string]string{"color": "red"}
			})},
		"foreign, in envelope": {sent(around("hi", nil)), change(foreign, func(e *tidings.Event) { e.ID, e.Time = "n-1", aroundAt })},
		"a document that mentions a specversion": {sent(`{"of":{"specversion":"1.0"}}`),
			change(foreign, func(e *tidings.Event) { e.Payload = []byte(`{"of":{"specversion":"1.0"}}`) })},
		"a document that mentions a TopicArn": {sent(`{"TopicArn":"x","Type":"Notification"}`),
			change(foreign, func(e *tidings.Event) { e.Payload = []byte(`{"TopicArn":"x","Type":"Notification"}`) })},
		"malformed, said": {sent(`{"specversion":`, "content-type", tidings.StructuredType), change(foreign, func(e *tidings.Event) {
			e.Payload, e.ContentType = []byte(`{"specversion":`), tidings.StructuredType
			e.Extensions = map[string]string{"malformed": malformed}
		})},
		"malformed, without an id": {sent(`{"specversion":"1.0","type":"t","source":"s"}`), change(foreign, func(e *tidings.Event) {
			e.Payload, e.Extensions = []byte(`{"specversion":"1.0","type":"t","source":"s"}`), map[string]string{"malformed": malformed}
		})},
		"malformed binary": {sent("hi", "ce_specversion", "1.0", "ce_id", "1"), change(foreign, func(e *tidings.Event) {
			e.Extensions = map[string]string{"malformed": malformed}
		})},
	} {
		d := one.delivery(c.m)
		if d.Extensions["malformed"] != "" {
			d.Extensions["malformed"] = malformed
		}
		if !reflect.DeepEqual(d.Event, c.want) || d.Attempt != 2 || d.Offset != -1 {
			t.Errorf("%s: attempt %d\ngot  %+v\nwant %+v", what, d.Attempt, d.Event, c.want)
		}
	}
}

func TestAMessageIsOfTheTopicItTellsOrElseSentToTheGroup(t *testing.T) {
	for what, c := range map[string]struct {
		topics []string
		m      *sqstypes.Message
		want   string
	}{
		"attribute":               {[]string{"a", "b"}, sent(structured, "topic", "b"), "event b"},
		"attribute of no topic":   {[]string{"a", "b"}, sent(structured, "topic", "c"), "command billing"},
		"envelope":                {[]string{"shop.orders", "b"}, sent(around("hi", nil)), "event shop.orders"},
		"one topic":               {[]string{"a"}, sent("hi"), "event a"},
		"no topic":                {nil, sent("hi"), "command billing"},
		"several, and none named": {[]string{"a", "b"}, sent("hi"), "command billing"},
		"command":                 {[]string{"a"}, sent(strings.Replace(structured, "{", `{"messagekind":"command",`, 1)), "command billing"},
		"reply":                   {[]string{"a"}, sent(strings.Replace(structured, "{", `{"messagekind":"reply",`, 1)), "reply billing"},
		"through the address":     {[]string{"a"}, sent(strings.Replace(structured, "{", `{"messagekind":"command","origintopic":"b",`, 1)), "event b"},
	} {
		d := reading(false, c.topics...).delivery(c.m)
		if got := d.Kind.String() + " " + d.Topic; got != c.want || len(d.Extensions) != 0 {
			t.Errorf("%s: got %s %v, want %s", what, got, d.Extensions, c.want)
		}
	}
}

func TestForeignMessagesOfFIFOQueuesHaveTheirGroupAsKey(t *testing.T) {
	if d := reading(true).delivery(sent("hi")); d.Key != "group" {
		t.Errorf("FIFO: got key %q", d.Key)
	}
	if d := reading(false).delivery(sent("hi")); d.Key != "" {
		t.Errorf("standard: got key %q", d.Key)
	}
}

func TestAttemptsOfACopyGoOn(t *testing.T) {
	for before, want := range map[string]int{"3": 5, "-3": 2, "x": 2} {
		d := reading(false).delivery(sent(strings.Replace(structured, "{", `{"attempt":"`+before+`",`, 1)))
		if d.Attempt != want || d.Extensions != nil {
			t.Errorf("%s before: got %d %v, want %d", before, d.Attempt, d.Extensions, want)
		}
	}
}

func TestWhatTellsItsTopicIsOfNoOther(t *testing.T) {
	body := strings.Replace(structured, `"data":7`,
		`"origintopic":"shop.payments","attempt":"9","messagekind":"command","data":7`, 1)
	c := reading(false, "shop.orders", "shop.payments")
	for what, m := range map[string]*sqstypes.Message{
		"as attribute": sent(body, "topic", "shop.orders"),
		"in envelope":  sent(around(body, nil)),
	} {
		d := c.delivery(m)
		if d.Kind != tidings.KindEvent || d.Topic != "shop.orders" || d.Attempt != 2 || d.Extensions != nil {
			t.Errorf("%s: got attempt %d of %s of %s with %v", what, d.Attempt, d.Kind, d.Topic, d.Extensions)
		}
	}
}

func TestAMessageWithBytesForTextCanBeADeadLetter(t *testing.T) {
	for _, name := range []string{"color", "ce_color", "key"} {
		m := sent("hi", "ce_specversion", "1.0", "ce_id", "1", "ce_source", "s", "ce_type", "t", "type", "t")
		if name != "ce_color" {
			m = sent("hi", "type", "t")
		}
		m.MessageAttributes[name] = sqstypes.MessageAttributeValue{DataType: sdk.String("Binary"),
			BinaryValue: []byte("red\xff")}
		letter := reading(false, "shop.orders").delivery(m).Event
		if _, err := encode(&letter, mostQueueBytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	value := map[string]any{"color": map[string]string{"Type": "Binary", "Value": "cmVk/w=="},
		"type": map[string]string{"Type": "String", "Value": "t"}}
	letter := reading(false, "shop.orders").delivery(sent(around("hi", value))).Event
	if _, err := encode(&letter, mostQueueBytes); err != nil {
		t.Errorf("in an envelope: %v", err)
	}
}

// What a foreign message says of itself does not make it poison.
func TestAForeignMessageIsNotMalformed(t *testing.T) {
	got := reading(false).delivery(sent("hi", "malformed", "no", "tenant", "t")).Extensions
	if want := map[string]string{"tenant": "t"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
