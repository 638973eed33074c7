package aws

import "strconv"

var sqsTour = []visit{
	{action: "CreateQueue", input: in{"QueueName": "dead"}, keep: keep{"QueueUrl": "dead"}},
	{action: "CreateQueue", input: in{"QueueName": "tour", "tags": in{"a": "b"},
		"Attributes": in{"VisibilityTimeout": "30", "RedrivePolicy": redrive}},
		keep: keep{"QueueUrl": "queue"}},
	{action: "CreateQueue", input: in{"QueueName": "tour", "Attributes": in{"VisibilityTimeout": "31"}},
		fails: &refusal{Type: "QueueNameExists", Code: "QueueAlreadyExists",
			Message: "A queue already exists with the same name and a different value for attribute VisibilityTimeout"}},
	{action: "GetQueueUrl", input: in{"QueueName": "tour"}, want: want{"QueueUrl": "$queue"}},
	{action: "GetQueueUrl", input: in{"QueueName": "missing"}, fails: noQueue},
	{action: "ListQueues", input: in{"QueueNamePrefix": "to"},
		want: want{"QueueUrls.0": "$queue", "QueueUrls.1": none, "NextToken": none}},
	{action: "ListQueues", input: in{"QueueNamePrefix": "nobody"}, want: want{"QueueUrls": none}},
	{action: "ListDeadLetterSourceQueues", input: in{"QueueUrl": "$dead"}, want: want{"queueUrls.0": "$queue"}},
	{action: "GetQueueAttributes", input: in{"QueueUrl": "$queue", "AttributeNames": []string{"All"}},
		want: want{"Attributes.VisibilityTimeout": "30", "Attributes.RedrivePolicy": shown, "Attributes.Policy": none}},
	{action: "GetQueueAttributes", input: in{"QueueUrl": "$queue", "AttributeNames": []string{"Nothing"}},
		fails: &refusal{Type: "InvalidAttributeName",
			Code: "InvalidAttributeName", Message: "Unknown Attribute Nothing."}},
	{action: "SetQueueAttributes", input: in{"QueueUrl": "$queue",
		"Attributes": in{"RedrivePolicy": "", "VisibilityTimeout": "40"}}},
	{action: "GetQueueAttributes", input: in{"QueueUrl": "$queue",
		"AttributeNames": []string{"VisibilityTimeout", "RedrivePolicy"}},
		want: want{"Attributes.VisibilityTimeout": "40", "Attributes.RedrivePolicy": none}},
	{action: "TagQueue", input: in{"QueueUrl": "$queue", "Tags": in{"c": "d", "e": "grüße"}}},
	{action: "UntagQueue", input: in{"QueueUrl": "$queue", "TagKeys": []string{"a", "c"}}},
	{action: "ListQueueTags", input: in{"QueueUrl": "$queue"},
		want: want{"Tags.e": "grüße", "Tags.a": none, "Tags.c": none}},
	{action: "AddPermission", input: in{"QueueUrl": "$queue", "Label": "l", "AWSAccountIds": []string{"123456789012"},
		"Actions": []string{"SendMessage"}}},
	{action: "GetQueueAttributes", input: in{"QueueUrl": "$queue", "AttributeNames": []string{"Policy"}},
		want: want{"Attributes.Policy": some}},
	{action: "RemovePermission", input: in{"QueueUrl": "$queue", "Label": "l"}},

	{action: "SendMessage", input: in{"QueueUrl": "$queue", "MessageBody": body, "MessageAttributes": attributes},
		keep: keep{"MessageId": "id", "MD5OfMessageBody": "bodySum", "MD5OfMessageAttributes": "attributesSum"}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$queue", "WaitTimeSeconds": 5,
		"AttributeNames":        []string{"All"},
		"MessageAttributeNames": []string{"All"}}, keep: keep{"Messages.0.ReceiptHandle": "receipt"},
		want: want{
			"Messages.0.MessageId": "$id", "Messages.0.MD5OfBody": "$bodySum",
			"Messages.0.MD5OfMessageAttributes": "$attributesSum",
			"Messages.0.Body":                   body, "Messages.0.Attributes.ApproximateReceiveCount": "1", "Messages.1": none,
			"Messages.0.MessageAttributes.number.StringValue": "3",
			"Messages.0.MessageAttributes.bytes.BinaryValue":  some}},
	{action: "ChangeMessageVisibility", input: in{"QueueUrl": "$queue", "ReceiptHandle": "$receipt", "VisibilityTimeout": 0}},
	{action: "ChangeMessageVisibility", input: in{"QueueUrl": "$queue", "ReceiptHandle": "$receipt", "VisibilityTimeout": 5},
		fails: &refusal{Type: "MessageNotInflight", Code: "AWS.SimpleQueueService.MessageNotInflight"}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$queue", "WaitTimeSeconds": 5,
		"AttributeNames":        []string{"ApproximateReceiveCount"},
		"MessageAttributeNames": []string{"num.*"}},
		keep: keep{"Messages.0.ReceiptHandle": "receipt"}, want: want{
			"Messages.0.Attributes.ApproximateReceiveCount": "2",
			"Messages.0.MessageAttributes.number.DataType":  "Number",
			"Messages.0.MessageAttributes.bytes":            none}},
	{action: "DeleteMessage", input: in{"QueueUrl": "$queue", "ReceiptHandle": "$receipt"}},
	{action: "DeleteMessage", input: in{"QueueUrl": "$queue", "ReceiptHandle": "$receipt"}},
	{action: "DeleteMessage", input: in{"QueueUrl": "$queue", "ReceiptHandle": "garbage"},
		fails: &refusal{Type: "ReceiptHandleIsInvalid", Code: "ReceiptHandleIsInvalid"}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$queue"}, want: want{"Messages": none}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$queue", "MaxNumberOfMessages": 11}, fails: &refusal{
		Code:    "InvalidParameterValue",
		Message: "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."}},
	{action: "SendMessage", input: in{"QueueUrl": "$queue", "MessageBody": "\u0001"},
		fails: &refusal{Type: "InvalidMessageContents", Code: "InvalidMessageContents"}},

	{action: "SendMessageBatch", input: in{"QueueUrl": "$queue", "Entries": []in{{"Id": "0", "MessageBody": "first"},
		{"Id": "1", "MessageBody": "second", "DelaySeconds": 901},
		{"Id": "2", "MessageBody": "third", "MessageAttributes": attributes}}},
		want: want{"Successful.0.Id": "0", "Successful.1.Id": "2", "Successful.2": none, "Failed.0.Id": "1",
			"Failed.0.SenderFault": true, "Failed.0.Code": "InvalidParameterValue", "Failed.1": none}},
	{action: "SendMessageBatch", input: in{"QueueUrl": "$queue", "Entries": []in{{"Id": "0", "MessageBody": "a"},
		{"Id": "0", "MessageBody": "b"}}}, fails: &refusal{Type: "BatchEntryIdsNotDistinct",
		Code: "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", Message: "Id 0 repeated."}},
	{action: "SendMessageBatch", input: in{"QueueUrl": "$queue", "Entries": []in{}},
		fails: &refusal{Type: "EmptyBatchRequest",
			Code: "AWS.SimpleQueueService.EmptyBatchRequest"}},
	{action: "SendMessageBatch", input: in{"QueueUrl": "$queue", "Entries": entries(11)}, fails: &refusal{
		Type: "TooManyEntriesInBatchRequest", Code: "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
		Message: "Maximum number of entries per request are 10. You have sent 11."}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$queue", "MaxNumberOfMessages": 10, "WaitTimeSeconds": 5},
		keep: keep{"Messages.0.ReceiptHandle": "first", "Messages.1.ReceiptHandle": "third"},
		want: want{"Messages.0.Body": "first", "Messages.1.Body": "third", "Messages.2": none}},
	{action: "ChangeMessageVisibilityBatch", input: in{"QueueUrl": "$queue", "Entries": []in{
		{"Id": "a", "ReceiptHandle": "$first", "VisibilityTimeout": 100}, {"Id": "b", "ReceiptHandle": "garbage", "VisibilityTimeout": 1}}},
		want: want{"Successful.0.Id": "a", "Failed.0.Id": "b", "Failed.0.Code": "ReceiptHandleIsInvalid"}},
	{action: "DeleteMessageBatch", input: in{"QueueUrl": "$queue", "Entries": []in{
		{"Id": "a", "ReceiptHandle": "$first"}, {"Id": "b", "ReceiptHandle": "$third"}}},
		want: want{"Successful.0.Id": "a", "Successful.1.Id": "b", "Failed": none}},

	{action: "GetQueueAttributes", input: in{"QueueUrl": "$dead", "AttributeNames": []string{"QueueArn"}},
		keep: keep{"Attributes.QueueArn": "deadArn"}},
	{action: "GetQueueAttributes", input: in{"QueueUrl": "$queue", "AttributeNames": []string{"QueueArn"}},
		keep: keep{"Attributes.QueueArn": "queueArn"}},
	{action: "SetQueueAttributes", input: in{"QueueUrl": "$queue", "Attributes": in{"RedrivePolicy": redrive}}},
	{action: "SendMessageBatch", input: in{"QueueUrl": "$dead", "Entries": entries(10)},
		want: want{"Successful.9.Id": "9"}},
	{action: "StartMessageMoveTask", input: in{"SourceArn": "$deadArn", "DestinationArn": "$queueArn",
		"MaxNumberOfMessagesPerSecond": 1},
		keep: keep{"TaskHandle": "task"}},
	{action: "StartMessageMoveTask", input: in{"SourceArn": "$deadArn"},
		fails: &refusal{Code: "InvalidParameterValue", Message: "There is already a task running. " +
			"Only one active task is allowed for a source queue arn at a given time."}},
	{action: "ListMessageMoveTasks", input: in{"SourceArn": "$deadArn"},
		want: want{"Results.0.Status": "RUNNING", "Results.0.TaskHandle": "$task", "Results.1": none}},
	{action: "CancelMessageMoveTask", input: in{"TaskHandle": "$task"},
		want: want{"ApproximateNumberOfMessagesMoved": some}},
	{action: "StartMessageMoveTask", input: in{"SourceArn": "arn:aws:sqs:us-east-1:000000000000:missing"},
		fails: &refusal{Type: "ResourceNotFoundException", Code: "ResourceNotFoundException"}},

	{action: "PurgeQueue", input: in{"QueueUrl": "$queue"}},
	{action: "DeleteQueue", input: in{"QueueUrl": "$queue"}},
	{action: "DeleteQueue", input: in{"QueueUrl": "$dead"}},
	{action: "SendMessage", input: in{"QueueUrl": "$queue", "MessageBody": "late"}, fails: noQueue},
}

var noQueue = &refusal{Type: "QueueDoesNotExist", Code: "AWS.SimpleQueueService.NonExistentQueue"}

const (
	redrive = `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"3"}`
	shown   = `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":3}`
	body    = "grüße \U0001F600\r\n<&>"
)

var attributes = in{"number": in{"DataType": "Number", "StringValue": "3"},
	"text":  in{"DataType": "String.own", "StringValue": "ä"},
	"bytes": in{"DataType": "Binary", "BinaryValue": in{"$bytes": "AAH/"}}}

func entries(n int) (all []in) {
	for i := range n {
		all = append(all, in{"Id": strconv.Itoa(i), "MessageBody": "x"})
	}
	return all
}
