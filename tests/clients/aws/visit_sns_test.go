package aws

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

var snsTour = []visit{
	{service: "sqs", action: "CreateQueue", input: in{"QueueName": "inbox"}, keep: keep{"QueueUrl": "inbox"}},
	{service: "sqs", action: "GetQueueAttributes", input: in{"QueueUrl": "$inbox", "AttributeNames": []string{"QueueArn"}},
		keep: keep{"Attributes.QueueArn": "inboxArn"}},

	{action: "CreateTopic", input: in{"Name": "news", "Attributes": in{"DisplayName": "News"},
		"Tags": []in{{"Key": "a", "Value": "b"}}}, keep: keep{"TopicArn": "topic"}},
	{action: "CreateTopic", input: in{"Name": "news"}, want: want{"TopicArn": "$topic"}},
	{action: "CreateTopic", input: in{"Name": "news", "Attributes": in{"DisplayName": "Old news"}},
		fails: &refusal{Type: "InvalidParameterException", Code: "InvalidParameter",
			Message: "Invalid parameter: Attributes Reason: Topic already exists with different attributes"}},
	{action: "CreateTopic", input: in{"Name": "a b"}, fails: &refusal{Type: "InvalidParameterException",
		Code: "InvalidParameter", Message: "Invalid parameter: Topic Name"}},
	{action: "ListTopics", want: want{"Topics.0.TopicArn": "$topic", "Topics.1": none, "NextToken": none}},
	{action: "GetTopicAttributes", input: in{"TopicArn": "$topic"}, want: want{"Attributes.DisplayName": "News",
		"Attributes.TopicArn": "$topic", "Attributes.SubscriptionsConfirmed": "0", "Attributes.Policy": some}},
	{action: "SetTopicAttributes", input: in{"TopicArn": "$topic", "AttributeName": "DisplayName",
		"AttributeValue": "Neues für alle"}},
	{action: "GetTopicAttributes", input: in{"TopicArn": "$topic"},
		want: want{"Attributes.DisplayName": "Neues für alle"}},
	{action: "TagResource", input: in{"ResourceArn": "$topic", "Tags": []in{{"Key": "c", "Value": "d"}}}},
	{action: "UntagResource", input: in{"ResourceArn": "$topic", "TagKeys": []string{"a"}}},
	{action: "ListTagsForResource", input: in{"ResourceArn": "$topic"},
		want: want{"Tags.0.Key": "c", "Tags.0.Value": "d", "Tags.1": none}},
	{action: "AddPermission", input: in{"TopicArn": "$topic", "Label": "l", "AWSAccountId": []string{"123456789012"},
		"ActionName": []string{"Publish"}}},
	{action: "RemovePermission", input: in{"TopicArn": "$topic", "Label": "l"}},
	{action: "PutDataProtectionPolicy", input: in{"ResourceArn": "$topic", "DataProtectionPolicy": protection}},
	{action: "GetDataProtectionPolicy", input: in{"ResourceArn": "$topic"}, want: want{"DataProtectionPolicy": some}},

	{action: "Subscribe", input: in{"TopicArn": "$topic", "Protocol": "sqs", "Endpoint": "$inboxArn",
		"Attributes": in{"FilterPolicy": `{"kind":["good"]}`}}, keep: keep{"SubscriptionArn": "subscription"}},
	{action: "Subscribe", input: in{"TopicArn": "$topic", "Protocol": "sqs", "Endpoint": "$inboxArn"},
		want: want{"SubscriptionArn": "$subscription"}},
	{action: "Subscribe", input: in{"TopicArn": "$topic", "Protocol": "sqs", "Endpoint": "$inboxArn",
		"Attributes": in{"RawMessageDelivery": "true"}}, fails: &refusal{Type: "InvalidParameterException",
		Code:    "InvalidParameter",
		Message: "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"}},
	{action: "GetSubscriptionAttributes", input: in{"SubscriptionArn": "$subscription"}, want: want{
		"Attributes.Protocol": "sqs", "Attributes.Endpoint": "$inboxArn", "Attributes.PendingConfirmation": "false",
		"Attributes.FilterPolicy": `{"kind":["good"]}`}},
	{action: "ListSubscriptions", want: want{"Subscriptions.0.SubscriptionArn": "$subscription"}},
	{action: "ListSubscriptionsByTopic", input: in{"TopicArn": "$topic"},
		want: want{"Subscriptions.0.SubscriptionArn": "$subscription", "Subscriptions.0.TopicArn": "$topic"}},

	{action: "Publish", input: in{"TopicArn": "$topic", "Message": "filtered", "MessageAttributes": ofKind("bad")}},
	{action: "Publish", input: in{"TargetArn": "$topic", "Subject": "About", "Message": body,
		"MessageAttributes": ofKind("good")}, keep: keep{"MessageId": "id"}},
	{service: "sqs", action: "ReceiveMessage", input: in{"QueueUrl": "$inbox", "WaitTimeSeconds": 5,
		"MaxNumberOfMessages": 10}, want: want{"Messages.0.Body.Type": "Notification", "Messages.0.Body.Message": body,
		"Messages.0.Body.Subject": "About", "Messages.0.Body.TopicArn": "$topic", "Messages.0.Body.MessageId": "$id",
		"Messages.0.Body.MessageAttributes.kind.Value": "good", "Messages.0.Body.Signature": some, "Messages.1": none}},
	{action: "SetSubscriptionAttributes", input: in{"SubscriptionArn": "$subscription",
		"AttributeName": "RawMessageDelivery", "AttributeValue": "true"}},
	{action: "PublishBatch", input: in{"TopicArn": "$topic", "PublishBatchRequestEntries": []in{
		{"Id": "a", "Message": "first", "MessageAttributes": ofKind("good")},
		{"Id": "b", "Message": "filtered", "MessageAttributes": ofKind("bad")},
		{"Id": "c", "MessageStructure": "json", "Message": `{"default":"all","sqs":"third"}`, "MessageAttributes": ofKind("good")}}},
		want: want{"Successful.0.Id": "a", "Successful.2.Id": "c", "Successful.3": none, "Failed": none}},
	{service: "sqs", action: "ReceiveMessage", input: in{"QueueUrl": "$inbox", "WaitTimeSeconds": 5,
		"MaxNumberOfMessages": 10, "MessageAttributeNames": []string{"All"}}, want: want{"Messages.0.Body": "first",
		"Messages.1.Body": "third", "Messages.2": none, "Messages.0.MessageAttributes.kind.StringValue": "good"}},
	{action: "PublishBatch", input: in{"TopicArn": "$topic", "PublishBatchRequestEntries": []in{
		{"Id": "a", "Message": "x"}, {"Id": "a", "Message": "y"}}},
		fails: &refusal{Type: "BatchEntryIdsNotDistinctException", Code: "BatchEntryIdsNotDistinct"}},
	{action: "Publish", input: in{"TopicArn": "$topic", "Message": ""}, fails: &refusal{Type: "InvalidParameterException",
		Code: "InvalidParameter", Message: "Invalid parameter: Empty message"}},

	{action: "Subscribe", before: listen, input: in{"TopicArn": "$topic", "Protocol": "http", "Endpoint": "$endpoint"},
		want: want{"SubscriptionArn": "pending confirmation"}},
	{action: "ConfirmSubscription", input: in{"TopicArn": "$topic", "Token": "garbage"},
		fails: &refusal{Type: "InvalidParameterException", Code: "InvalidParameter"}},
	{action: "ConfirmSubscription", before: hear, input: in{"TopicArn": "$topic", "Token": "$Token"},
		keep: keep{"SubscriptionArn": "http"}},
	{action: "Publish", input: in{"TopicArn": "$topic", "Message": "heard"}, keep: keep{"MessageId": "id"}},
	{action: "GetSubscriptionAttributes", before: hear, input: in{"SubscriptionArn": "$http"},
		want: want{"Attributes.Protocol": "http", "Attributes.ConfirmationWasAuthenticated": some}},

	{action: "Unsubscribe", input: in{"SubscriptionArn": "$http"}},
	{action: "GetSubscriptionAttributes", input: in{"SubscriptionArn": "$http"},
		fails: &refusal{Type: "NotFoundException", Code: "NotFound", Message: "Subscription does not exist"}},
	{action: "DeleteTopic", input: in{"TopicArn": "$topic"}},
	{action: "DeleteTopic", input: in{"TopicArn": "$topic"}},
	{action: "GetTopicAttributes", input: in{"TopicArn": "$topic"}, fails: noTopic},
	{action: "Publish", input: in{"TopicArn": "$topic", "Message": "late"}, fails: noTopic},
	{action: "Subscribe", input: in{"TopicArn": "$topic", "Protocol": "sqs", "Endpoint": "$inboxArn"}, fails: noTopic},
	{action: "ListTagsForResource", input: in{"ResourceArn": "$topic"},
		fails: &refusal{Type: "ResourceNotFoundException", Code: "ResourceNotFound"}},
}

var noTopic = &refusal{Type: "NotFoundException", Code: "NotFound", Message: "Topic does not exist"}

const protection = `{"Name":"p","Description":"","Version":"2021-06-01","Statement":[]}`

func ofKind(kind string) in { return in{"kind": in{"DataType": "String", "StringValue": kind}} }

// listen starts an HTTP subscriber, and keeps its endpoint, and what it hears for hear.
func listen(t *testing.T, kept map[string]any) {
	heard := make(chan map[string]any, 16)
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		document := map[string]any{}
		if text, err := io.ReadAll(r.Body); err == nil && json.Unmarshal(text, &document) == nil {
			heard <- document
		}
	}))
	t.Cleanup(web.Close)
	kept["endpoint"], kept["heard"] = web.URL, heard
}

// hear waits until the subscriber is told something that it was not told before, and keeps it.
func hear(t *testing.T, kept map[string]any) {
	t.Helper()
	select {
	case document := <-kept["heard"].(chan map[string]any):
		for name, value := range document {
			kept[name] = value
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the HTTP subscriber heard nothing")
	}
}
