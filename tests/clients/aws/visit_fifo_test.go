package aws

// fifoTour is what FIFO queues add.
var fifoTour = []visit{
	{action: "CreateQueue", input: in{"QueueName": "tour.fifo", "Attributes": in{"FifoQueue": "true",
		"ContentBasedDeduplication": "true"}}, keep: keep{"QueueUrl": "fifo"}},
	{action: "SendMessage", input: in{"QueueUrl": "$fifo", "MessageBody": "a", "MessageGroupId": "g"},
		keep: keep{"MessageId": "id", "SequenceNumber": "sequence"}},
	{action: "SendMessage", input: in{"QueueUrl": "$fifo", "MessageBody": "a", "MessageGroupId": "g"},
		want: want{"MessageId": "$id", "SequenceNumber": "$sequence"}},
	{action: "SendMessage", input: in{"QueueUrl": "$fifo", "MessageBody": "a"}, fails: &refusal{Code: "MissingParameter",
		Message: "The request must contain the parameter MessageGroupId."}},
	{action: "SendMessageBatch", input: in{"QueueUrl": "$fifo", "Entries": []in{
		{"Id": "0", "MessageBody": "b", "MessageGroupId": "g", "MessageDeduplicationId": "own"},
		{"Id": "1", "MessageBody": "c", "MessageGroupId": "g", "MessageDeduplicationId": "own"}}},
		want: want{"Successful.0.SequenceNumber": some, "Successful.1.Id": "1", "Failed": none}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$fifo", "WaitTimeSeconds": 5, "AttributeNames": []string{"All"},
		"ReceiveRequestAttemptId": "attempt"}, keep: keep{"Messages.0.ReceiptHandle": "receipt"}, want: want{
		"Messages.0.MessageId": "$id", "Messages.0.Attributes.SequenceNumber": "$sequence",
		"Messages.0.Attributes.MessageGroupId": "g", "Messages.1": none,
		"Messages.0.Attributes.MessageDeduplicationId": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$fifo", "ReceiveRequestAttemptId": "attempt"},
		want: want{"Messages.0.ReceiptHandle": "$receipt"}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$fifo"}, want: want{"Messages": none}},
	{action: "ChangeMessageVisibility", input: in{"QueueUrl": "$fifo", "ReceiptHandle": "$receipt", "VisibilityTimeout": 0}},
	{action: "DeleteMessage", input: in{"QueueUrl": "$fifo", "ReceiptHandle": "$receipt"},
		fails: &refusal{Code: "InvalidParameterValue"}},
	{action: "ReceiveMessage", input: in{"QueueUrl": "$fifo", "MaxNumberOfMessages": 10, "WaitTimeSeconds": 5},
		want: want{"Messages.0.Body": "a", "Messages.1.Body": "b", "Messages.2": none}},
	{action: "DeleteQueue", input: in{"QueueUrl": "$fifo"}},
}
