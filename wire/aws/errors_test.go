package aws

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

func TestEveryKindOfErrorHasACode(t *testing.T) {
	for _, k := range broker.Kinds() {
		code, ok := kindCodes[k]
		if !ok {
			t.Errorf("%v has no code", k)
		}
		if _, ok := identities[code]; !ok {
			t.Errorf("%v is %s, which nobody knows", k, code)
		}
		if e := asError(&broker.Error{Kind: k, Op: "op", Name: "name"}); e.Code != code || e.Message == "" {
			t.Errorf("%v is answered as %v", k, e)
		}
	}
	if e := asError(errors.New("secret")); e.Code != internal || strings.Contains(e.Message, "secret") {
		t.Errorf("an error of nobody is answered as %v", e)
	}
}

// TestErrorsHaveTheWordsOfAWS: these were recorded from SQS itself, by LocalStack's tests.
func TestErrorsHaveTheWordsOfAWS(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	dead := x.queue("small", "MaximumMessageSize", "1024")
	with := func(more object) object {
		in := object{"QueueUrl": q, "MessageBody": "a"}
		for k, v := range more {
			in[k] = v
		}
		return in
	}
	group := func(id string) (object, string) {
		return with(object{"MessageGroupId": id}), "Value " + id + " for parameter MessageGroupId is invalid. Reason: " +
			"MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."
	}
	none, noneText := group("")
	long, longText := group(strings.Repeat("a", 129))
	spaces, spacesText := group("group 123")
	permission := object{"QueueUrl": q, "Label": "label", "AWSAccountIds": []string{"123456789012"}, "Actions": []string{"*"}}
	x.ok("AddPermission", permission)
	for _, c := range []struct {
		action        string
		in            object
		code, message string
	}{
		{"ReceiveMessage", with(object{"MaxNumberOfMessages": 11}), "InvalidParameterValue",
			"Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."},
		{"ReceiveMessage", with(object{"WaitTimeSeconds": 21}), "InvalidParameterValue",
			"Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."},
		{"ReceiveMessage", with(object{"WaitTimeSeconds": -1}), "InvalidParameterValue",
			"Value -1 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."},
		{"SendMessage", with(object{"MessageBody": ""}), "MissingParameter",
			"The request must contain the parameter MessageBody."},
		{"SendMessage", object{"QueueUrl": dead, "MessageBody": strings.Repeat("a", 1025)}, "InvalidParameterValue",
			"One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."},
		{"SendMessage", with(object{"MessageAttributes": object{"ErrorDetails": object{"DataType": "String", "StringValue": ""}}}),
			"InvalidParameterValue", "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'."},
		{"SendMessage", none, "InvalidParameterValue", noneText},
		{"SendMessage", long, "InvalidParameterValue", longText},
		{"SendMessage", spaces, "InvalidParameterValue", spacesText},
		{"CreateQueue", object{"QueueName": "a", "Attributes": object{"ContentBasedDeduplication": "true"}},
			"InvalidAttributeName", "Unknown Attribute ContentBasedDeduplication."},
		{"CreateQueue", object{"QueueName": "a", "Attributes": object{"DeduplicationScope": "queue"}},
			"InvalidAttributeName", "You can specify the DeduplicationScope only when FifoQueue is set to true."},
		{"CreateQueue", object{"QueueName": "a", "Attributes": object{"FifoThroughputLimit": "perQueue"}},
			"InvalidAttributeName", "You can specify the FifoThroughputLimit only when FifoQueue is set to true."},
		{"CreateQueue", object{"QueueName": "a", "Attributes": object{"FifoQueue": "false"}},
			"InvalidAttributeName", "Unknown Attribute FifoQueue."},
		{"AddPermission", permission, "InvalidParameterValue", "Value label for parameter Label is invalid. Reason: Already exists."},
		{"RemovePermission", object{"QueueUrl": q, "Label": "other"}, "InvalidParameterValue",
			"Value other for parameter Label is invalid. Reason: can't find label."},
		{"GetQueueUrl", object{"QueueName": "missing"}, sqsCode + "NonExistentQueue", "The specified queue does not exist."},
		{"SetQueueAttributes", object{"QueueUrl": q, "Attributes": object{"KmsMasterKeyId": "key", "SqsManagedSseEnabled": "true"}},
			"InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE " +
				"or SQS SSE."},
		{"DeleteMessageBatch", object{"QueueUrl": q, "Entries": slices.Repeat([]object{{"Id": "a", "ReceiptHandle": "a"}}, 20)},
			sqsCode + "TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent 20."},
		{"DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": "garbage"}, "ReceiptHandleIsInvalid",
			`The input receipt handle "garbage" is not a valid receipt handle.`},
		{"ChangeMessageVisibilityBatch", object{"QueueUrl": q, "Entries": []object{{"Id": "a b", "ReceiptHandle": "a"}}},
			sqsCode + "InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. " +
				"It can be at most 80 letters long."},
	} {
		x.wantError(c.action, c.in, c.code, c.message)
	}
	x.ok("SendMessage", with(object{"MessageAttributes": object{"attr.1øßä": object{"DataType": "String", "StringValue": "a"}}}))
	for _, action := range []string{"FooBar", "CreateQueue", "ListQueues"} {
		status, body := x.form("/000000000000/orders", "Action", action, "QueueName", "a")
		if n := parseXML(t, body); status != 400 || n.at("Error", "Code") != "InvalidAction" ||
			n.at("Error", "Message") != "The action "+action+" is not valid for this endpoint." {
			t.Errorf("at the URL of a queue: %d %s", status, body)
		}
	}
	_, body := x.form("/", "Action", "GetQueueUrl", "QueueName", "missing")
	if n := parseXML(t, body); n.at("Error", "Message") != "The specified queue does not exist for this wsdl version." {
		t.Errorf("a form is answered %s", body)
	}
}

// TestPoliciesOfDeadLettersAreRefusedInTheWordsOfAWS, as other emulators and bug reports have them.
func TestPoliciesOfDeadLettersAreRefusedInTheWordsOfAWS(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	const arn = `"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead"`
	const cannot = "Amazon SQS can't create the redrive allow policy"
	x.ok("CreateQueue", object{"QueueName": "dead", "Attributes": object{"RedriveAllowPolicy": `{"redrivePermission":"denyAll"}`}})
	eleven := `{"redrivePermission":"byQueue","sourceQueueArns":["` + strings.Repeat(`a","`, 10) + `a"]}`
	for _, c := range []struct{ attribute, value, reason string }{
		{attrRedrive, `{}`, "Redrive policy does not contain mandatory attribute: maxReceiveCount."},
		{attrRedrive, `{"maxReceiveCount":5}`, "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."},
		{attrRedrive, `{` + arn + `,"maxReceiveCount":-36}`,
			"Invalid value for maxReceiveCount: -36, valid values are from 1 to 1000 both inclusive."},
		{attrRedrive, `{` + arn + `,"maxReceiveCount":"1001"}`,
			"Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive."},
		{attrRedrive, `{` + arn + `,"maxReceiveCount":1.5}`,
			"Invalid value for maxReceiveCount: 1.5, valid values are from 1 to 1000 both inclusive."},
		{attrRedrive, `{` + arn + `,"maxReceiveCount":5,"other":1}`,
			"Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn]."},
		{attrRedrive, `{"deadLetterTargetArn":"dead","maxReceiveCount":5}`,
			"Dead-letter target ARN should be fully qualified ARN."},
		{attrRedrive, `{"deadLetterTargetArn":5,"maxReceiveCount":5}`,
			"Dead-letter target ARN should be fully qualified ARN."},
		{attrRedrive, `{"deadLetterTargetArn":"arn:aws:sns:us-east-1:000000000000:dead","maxReceiveCount":5}`,
			"Only SQS queues are valid resources for deadLetterTargetArn."},
		{attrRedrive, `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:none","maxReceiveCount":5}`,
			"Dead letter target does not exist."},
		{attrRedrive, `{` + arn + `,"maxReceiveCount":5}`, "Dead letter target does not allow this source queue."},
		{attrAllow, `{"redrivePermission":"byQueue"}`, cannot + ". When you specify the byQueue permission type, you must also " +
			"specify one or more sourceQueueArns values."},
		{attrAllow, `{"redrivePermission":"allowAll","sourceQueueArns":["a"]}`, cannot + ". To specify one or more source queue " +
			"ARNs, you must set redrivePermission to byQueue."},
		{attrAllow, eleven, cannot + ". The maximum number of source queue ARNs you can specify is 10."},
	} {
		x.wantError("SetQueueAttributes", object{"QueueUrl": q, "Attributes": object{c.attribute: c.value}}, "InvalidParameterValue",
			"Value "+c.value+" for parameter "+c.attribute+" is invalid. Reason: "+c.reason)
	}
	for name, values := range map[string][]string{
		attrRedrive: {" ", "4", "[]", "null"},
		attrAllow:   {"444", "[]", "{}", "x", `{"redrivePermission":"x"}`, `{"redrivePermission":"allowAll","x":1}`},
	} {
		reason := "Redrive policy is not a valid JSON map."
		if name == attrAllow {
			reason = cannot + ", as it’s in an unsupported format."
		}
		for _, value := range values {
			x.wantError("SetQueueAttributes", object{"QueueUrl": q, "Attributes": object{name: value}}, "InvalidAttributeValue",
				"Invalid value for the parameter "+name+". Reason: "+reason)
		}
	}
}

func TestWrongRequestsAreRefused(t *testing.T) {
	x := start(t, Config{Limits: Limits{BodyBytes: 4096, Values: 100}})
	q := x.queue("orders")
	arn := x.attributes(q)[attrARN].(string)
	attribute := func(name, value string) string {
		return `{"QueueUrl":"` + q + `","Attributes":{"` + name + `":"` + value + `"}}`
	}
	message := func(more string) string { return `{"QueueUrl":"` + q + `","MessageBody":"a",` + more + `}` }
	for _, c := range []struct{ action, body, want string }{
		{"SendMessage", `{"QueueUrl":`, "MalformedInput"},
		{"SendMessage", `[]`, "MalformedInput"},
		{"SendMessage", message(`"DelaySeconds":"1"`), "MalformedInput"},
		{"SendMessage", message(`"DelaySeconds":901`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageDeduplicationId":"a"`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageSystemAttributes":{"Other":{"DataType":"String","StringValue":"a"}}`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"` +
			strings.Repeat("a", 1025) + `"}}`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"\u0000"}}`),
			"InvalidParameterValue"},
		{"SendMessage", message(`"MessageAttributes":{"AWS.a":{"DataType":"String","StringValue":"a"}}`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageAttributes":{"a..b":{"DataType":"String","StringValue":"a"}}`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageAttributes":{"a":{"DataType":"Number","StringValue":"one"}}`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageAttributes":{"a":{"DataType":"Text","StringValue":"a"}}`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageAttributes":{"a":{"StringValue":"a"}}`), "InvalidParameterValue"},
		{"SendMessage", message(`"MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"?"}}`), "MalformedInput"},
		{"SendMessage", "{\"MessageBody\":\"\xff\"}", "MalformedInput"},
		{"SendMessage", `{"a":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`, "MalformedInput"},
		{"TagQueue", `{"Tags":{` + strings.Repeat(`"a":"",`, 60) + `"a":""}}`, "MalformedInput"},
		{"SendMessage", `{"MessageBody":"` + strings.Repeat("a", 4096) + `"}`, "RequestEntityTooLarge"},
		{"SetQueueAttributes", attribute("Other", "1"), "InvalidAttributeName"},
		{"SetQueueAttributes", attribute("QueueArn", "1"), "InvalidAttributeName"},
		{"SetQueueAttributes", attribute("VisibilityTimeout", "43201"), "InvalidAttributeValue"},
		{"SetQueueAttributes", attribute("VisibilityTimeout", "-1"), "InvalidAttributeValue"},
		{"SetQueueAttributes", attribute("DelaySeconds", "x"), "InvalidAttributeValue"},
		{"SetQueueAttributes", attribute("Policy", "x"), "InvalidAttributeValue"},
		{"SetQueueAttributes", attribute("SqsManagedSseEnabled", "yes"), "InvalidAttributeValue"},
		{"SetQueueAttributes", attribute("RedrivePolicy", "x"), "InvalidAttributeValue"},
		{"SetQueueAttributes", attribute("RedrivePolicy", `{\"deadLetterTargetArn\":\"`+arn+`x\",\"maxReceiveCount\":1}`), "InvalidParameterValue"},
		{"SetQueueAttributes", attribute("RedrivePolicy", `{\"deadLetterTargetArn\":\"`+arn+`\",\"maxReceiveCount\":0}`), "InvalidParameterValue"},
		{"SetQueueAttributes", attribute("RedriveAllowPolicy", `{\"redrivePermission\":\"byQueue\"}`), "InvalidParameterValue"},
		{"CreateQueue", `{"QueueName":"a b"}`, "InvalidParameterValue"},
		{"CreateQueue", `{"QueueName":"` + strings.Repeat("a", 81) + `"}`, "InvalidParameterValue"},
		{"CreateQueue", `{}`, "MissingParameter"},
		{"CreateQueue", `{"QueueName":"a","tags":{"aws:a":"b"}}`, "InvalidParameterValue"},
		{"ListQueues", `{"MaxResults":0}`, "InvalidParameterValue"},
		{"ListQueues", `{"MaxResults":1,"NextToken":"?"}`, "InvalidParameterValue"},
		{"GetQueueAttributes", `{"QueueUrl":"` + q + `","AttributeNames":["Other"]}`, "InvalidAttributeName"},
		{"ReceiveMessage", `{"QueueUrl":"` + q + `","AttributeNames":["Other"]}`, "InvalidAttributeName"},
		{"ReceiveMessage", `{"QueueUrl":"` + q + `","VisibilityTimeout":43201}`, "InvalidParameterValue"},
		{"DeleteMessage", `{"QueueUrl":"` + q + `"}`, "MissingParameter"},
		{"Teleport", `{}`, "InvalidAction"},
	} {
		if code, message := x.failsRaw(c.action, c.body); code != c.want || message == "" {
			t.Errorf("%s %.200s: %s %s, want %s", c.action, c.body, code, message, c.want)
		}
	}
}

func TestInFlightMessagesHaveALimit(t *testing.T) {
	x := start(t, Config{Limits: Limits{InFlight: 1}})
	q := x.queue("orders")
	x.put(q, "a")
	x.put(q, "b")
	x.one(q, "MaxNumberOfMessages", 1)
	if code, _ := x.fails("ReceiveMessage", object{"QueueUrl": q}); code != "OverLimit" {
		t.Errorf("code is %s", code)
	}
	f := x.fifo("orders.fifo") // of which SQS says that it returns no error
	x.in(f, "g", "1", "a")
	x.in(f, "h", "2", "b")
	m := x.one(f, "MaxNumberOfMessages", 1)
	if got := x.get(f); len(got) != 0 {
		t.Errorf("received %v", got)
	}
	x.remove(f, m)
	x.one(f)
}
