package aws

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
)

// page is what clients can rely on.
var page = filepath.Join("..", "..", "docs", "wire", "aws.md")

// promises are the sentences in bold of the page, each with its test.
var promises = map[string]func(*testing.T){
	"A message is on disk when SendMessage is answered.":                    testOnDisk,
	"A message that was deleted is gone, also after a restart.":             testDeletedStaysDeleted,
	"A message that was received is invisible, also over a restart.":        testInvisible,
	"What is visible again is received again, and counted.":                 testReceivedAgain,
	"Every receipt handle that a message ever had deletes it.":              testOldReceipt,
	"Deleting a message twice succeeds.":                                    testDeleteTwice,
	"A receipt handle that the queue did not give out is refused.":          testForeignReceipt,
	"A message is invisible for 12 hours at most after one receive.":        testTwelveHours,
	"A message that is not in flight cannot be extended.":                   testNotInflight,
	"A queue URL works under every name of the server.":                     testURLUnderAnyHost,
	"A queue URL has the host that the client used.":                        testURLHost,
	"Lists that are empty are left out of answers.":                         testEmptyLists,
	"A long poll ends with the first message.":                              testLongPoll,
	"A long poll ends when its queue is deleted.":                           testLongPollDeleted,
	"A client that has gone takes no message.":                              testClientGone,
	"A message whose answer cannot be written is visible at once.":          testUnheard,
	"Close ends long polls, without messages.":                              testCloseEndsPolls,
	"CreateQueue compares the attributes that are given, and only those.":   testCreateAgain,
	"A batch that is wrong as a whole sends nothing.":                       testBatchAsAWhole,
	"Entries that are wrong alone fail alone.":                              testBatchEntries,
	"A message, and a batch, can have 1 MiB.":                               testSize,
	"Checksums of attributes are over those that are returned.":             testChecksums,
	"A message that was received too often moves to the dead letter queue.": testDeadLetter,
	"Attributes and tags are on disk when they are answered.":               testAttributesOnDisk,
	"A message is not ready before its delay is over.":                      testDelay,
	"Queues of other protocols are not there.":                              testForeignQueues,
	"What AMQP publishes to a queue of SQS is received.":                    testFromAMQP,
	"Errors have the shape, the code and the status of AWS.":                testIdentities,
	"Web pages get nothing.":                                                testWebPages,
	"With keys, every request must be signed by one of them.":               testKeys,
	"What is not built is refused by name.":                                 testNotBuilt,
	"Message groups of a standard queue take turns.":                        testFair,
	"The trace header of a request is that of its messages.":                testTrace,
	"A move task takes what waits in a dead letter queue back.":             testMove,
	"A move task goes on after a restart.":                                  testMoveRestart,
	"A move task that is cancelled leaves the rest.":                        testMoveCancel,
	"What a move task cannot move stays.":                                   testMoveFails,

	"Messages of a group come in the order of sends.":                          testOrder,
	"A group that fails lets the others go first.":                             testFailingGroup,
	"While a message is invisible, those behind it in its group wait.":         testGroupWaits,
	"A long poll ends when a group is free again.":                             testPollForGroup,
	"A FIFO queue takes a message once in five minutes.":                       testOnce,
	"PurgeQueue forgets what was sent.":                                        testPurgeForgets,
	"ContentBasedDeduplication makes an id of the body.":                       testContentDeduplication,
	"With the scope messageGroup an id is one of its group.":                   testScopeOfGroups,
	"Sequence numbers have 20 digits, and grow.":                               testSequenceNumbers,
	"A receipt handle of a FIFO queue deletes while its message is invisible.": testExpiredReceipt,
	"The type of a queue and its name agree.":                                  testTypeAndName,
	"High throughput needs the scope messageGroup.":                            testThroughput,
	"Messages of FIFO queues need their ids.":                                  testIDs,
	"A dead letter queue has the type of its source.":                          testDeadLetterType,
	"A receive that is tried again gets the same messages.":                    testAttempts,
	"The delay of a FIFO queue is that of all its messages.":                   testQueueDelay,
	"A reset deletes every queue of SQS and every topic of SNS.":               testReset,
	"Without its flag there is no reset, and never for web pages.":             testNoReset,
	"PurgeQueue takes what is in flight and what is delayed too.":              testPurge,
}

func TestPromises(t *testing.T) { checkPromises(t, page, promises) }

// checkPromises wants a page and tests to have the same words, and runs those.
func checkPromises(t *testing.T, page string, promises map[string]func(*testing.T)) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([^*]+)\*\*`).FindAllStringSubmatch(string(b), -1) {
		told[strings.Join(strings.Fields(m[1]), " ")] = true
	}
	for words := range told {
		if promises[words] == nil {
			t.Errorf("the page promises %q, and no test has these words", words)
		}
	}
	for words, test := range promises {
		if !told[words] {
			t.Errorf("a test has the words %q, which the page does not promise", words)
		}
		t.Run(words, test)
	}
}

func testOnDisk(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	sent := x.put(q, "grüße")
	x.restart()
	m := x.one(q)
	if m["Body"] != "grüße" || m["MessageId"] != sent["MessageId"] || m["MD5OfBody"] != sent["MD5OfMessageBody"] {
		t.Errorf("sent %v, received %v", sent, m)
	}
}

func testDeletedStaysDeleted(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	x.put(q, "a")
	x.ok("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": x.one(q, "VisibilityTimeout", 0)["ReceiptHandle"]})
	x.restart()
	if got := x.get(q); len(got) != 0 {
		t.Errorf("received %v", got)
	}
}

func testInvisible(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	x.put(q, "a")
	m := x.one(q)
	x.restart()
	if got := x.get(q); len(got) != 0 {
		t.Errorf("received %v", got)
	}
	if a := x.attributes(q); a[attrReady] != "0" || a[attrLeased] != "1" {
		t.Errorf("attributes are %v", a)
	}
	x.ok("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 0})
	x.one(q)
}

func testReceivedAgain(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	x.put(q, "a")
	first := x.one(q, "VisibilityTimeout", 0, "AttributeNames", []string{"All"})
	again := x.one(q, "MessageSystemAttributeNames", []string{"ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"})
	was, is := first["Attributes"].(object), again["Attributes"].(object)
	if was["ApproximateReceiveCount"] != "1" || is["ApproximateReceiveCount"] != "2" {
		t.Errorf("counts of %v and %v", was, is)
	}
	if was["ApproximateFirstReceiveTimestamp"] != is["ApproximateFirstReceiveTimestamp"] || len(is) != 2 {
		t.Errorf("%v and %v", was, is)
	}
	if again["ReceiptHandle"] == first["ReceiptHandle"] {
		t.Error("the receipt handle is the same one")
	}
}

func testOldReceipt(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	x.put(q, "a")
	first := x.one(q, "VisibilityTimeout", 0)
	x.one(q)
	x.ok("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": first["ReceiptHandle"]})
	if a := x.attributes(q); a[attrReady] != "0" || a[attrLeased] != "0" {
		t.Errorf("attributes are %v", a)
	}
}

func testDeleteTwice(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	x.put(q, "a")
	x.put(q, "b")
	handle := x.one(q, "MaxNumberOfMessages", 1)["ReceiptHandle"]
	for range 2 {
		x.ok("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": handle})
	}
	if m := x.one(q); m["Body"] != "b" {
		t.Errorf("received %v", m)
	}
}

func testForeignReceipt(t *testing.T) {
	x := start(t, Config{})
	q, other := x.queue("orders"), x.queue("other")
	x.put(q, "a")
	x.put(other, "a")
	foreign := x.one(other)["ReceiptHandle"].(string)
	for _, handle := range []string{foreign, "garbage", foreign[:20], strings.ToUpper(foreign)} {
		for _, action := range []string{"DeleteMessage", "ChangeMessageVisibility"} {
			code, _ := x.fails(action, object{"QueueUrl": q, "ReceiptHandle": handle, "VisibilityTimeout": 1})
			if code != "ReceiptHandleIsInvalid" {
				t.Errorf("%s with handle %s: %s", action, handle, code)
			}
		}
	}
	handle := x.one(q)["ReceiptHandle"]
	x.ok("DeleteQueue", object{"QueueUrl": q})
	x.queue("orders")
	if code, _ := x.fails("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": handle}); code != "ReceiptHandleIsInvalid" {
		t.Errorf("the handle of a queue that was made again: %s", code)
	}
}

func testNotInflight(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	x.put(q, "a")
	m := x.one(q, "VisibilityTimeout", 0)
	in := object{"QueueUrl": q, "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 9}
	refused := func(when string) {
		t.Helper()
		if code, _ := x.fails("ChangeMessageVisibility", in); code != sqsCode+"MessageNotInflight" {
			t.Errorf("%s: code is %s", when, code)
		}
	}
	refused("visible")
	again := x.one(q)
	refused("in flight under another handle")
	in["ReceiptHandle"], in["VisibilityTimeout"] = again["ReceiptHandle"], 0
	x.ok("ChangeMessageVisibility", in)
	in["ReceiptHandle"] = x.one(q)["ReceiptHandle"]
	x.ok("DeleteMessage", in)
	x.wantError("ChangeMessageVisibility", in, "InvalidParameterValue", fmt.Sprintf("Value %v for parameter ReceiptHandle is "+
		"invalid. Reason: Message does not exist or is not available for visibility timeout change.", in["ReceiptHandle"]))
}

func testURLUnderAnyHost(t *testing.T) {
	x := start(t, Config{})
	x.queue("orders")
	for _, q := range []string{"https://sqs.eu-central-1.amazonaws.com/000000000000/orders",
		"http://tidings:9324/000000000000/orders", "/000000000000/orders", "orders"} {
		x.put(q, "a")
		x.ok("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": x.one(q)["ReceiptHandle"]})
	}
	for q, want := range map[string]string{
		"":                                    "MissingParameter",
		"missing":                             sqsCode + "NonExistentQueue",
		"http://h/000000000000/missing":       sqsCode + "NonExistentQueue",
		"http://h/111111111111/orders":        sqsCode + "NonExistentQueue",
		"http://h/orders":                     "InvalidAddress",
		"http://h/queues/000000000000/orders": "InvalidAddress",
		"http://h/000000000000/orders/\x00":   "InvalidAddress",
		"http://h/000000000000/" + string(rune(-1)): sqsCode + "NonExistentQueue",
	} {
		if code, _ := x.fails("PurgeQueue", object{"QueueUrl": q}); code != want {
			t.Errorf("queue URL %q: %s, want %s", q, code, want)
		}
	}
}

func testURLHost(t *testing.T) {
	x := start(t, Config{Account: "123456789012"})
	for _, action := range []string{"CreateQueue", "GetQueueUrl"} {
		r, _ := http.NewRequest("POST", x.url(), strings.NewReader(`{"QueueName":"orders"}`))
		r.Host = "tidings.internal:9"
		r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
		_, _, body := x.do(r)
		if want := `{"QueueUrl":"http://tidings.internal:9/123456789012/orders"}`; body != want {
			t.Errorf("%s: %s, want %s", action, body, want)
		}
	}
}

func testEmptyLists(t *testing.T) {
	x := start(t, Config{})
	if doc := x.ok("ListQueues", object{}); len(doc) != 0 {
		t.Errorf("no queues are %v", doc)
	}
	q := x.queue("orders")
	for action, in := range map[string]object{
		"ReceiveMessage":     {},
		"ListQueueTags":      {},
		"GetQueueAttributes": {},
		"ListQueues":         {"QueueNamePrefix": "other"},
	} {
		in["QueueUrl"] = q
		if doc := x.ok(action, in); len(doc) != 0 {
			t.Errorf("%s: %v", action, doc)
		}
	}
	out := x.ok("SendMessageBatch", object{"QueueUrl": q, "Entries": []object{{"Id": "a", "MessageBody": "a"}}})
	if _, there := out["Failed"]; there {
		t.Errorf("nothing failed in %v", out)
	}
	out = x.ok("DeleteMessageBatch", object{"QueueUrl": q, "Entries": []object{{"Id": "a", "ReceiptHandle": "a"}}})
	if _, there := out["Successful"]; there {
		t.Errorf("nothing was done in %v", out)
	}
	// Who looks for sources of dead letters is always told a list: its type requires one.
	if doc := x.ok("ListDeadLetterSourceQueues", object{"QueueUrl": q}); !reflect.DeepEqual(doc, object{"queueUrls": []any{}}) {
		t.Errorf("no sources are %v", doc)
	}
}

func testCreateAgain(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders", "DelaySeconds", "0", "VisibilityTimeout", "7")
	for _, same := range [][]string{{}, {"VisibilityTimeout", "7"}, {"VisibilityTimeout", "07"}, {"MaximumMessageSize", "1048576"}} {
		if again := x.queue("orders", same...); again != q {
			t.Errorf("with %v it is %s, want %s", same, again, q)
		}
	}
	x.wantError("CreateQueue", object{"QueueName": "orders", "Attributes": object{"DelaySeconds": "1"}},
		"QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute DelaySeconds")
}

func testBatchAsAWhole(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	entry := func(id, body string) object { return object{"Id": id, "MessageBody": body} }
	var eleven []object
	for i := range 11 {
		eleven = append(eleven, entry(fmt.Sprint(i), "a"))
	}
	half := strings.Repeat("a", 1<<19)
	for want, entries := range map[string][]object{
		"EmptyBatchRequest: There should be at least one SendMessageBatchRequestEntry in the request.":  {},
		"TooManyEntriesInBatchRequest: Maximum number of entries per request are 10. You have sent 11.": eleven,
		"BatchEntryIdsNotDistinct: Id a repeated.":                                                      {entry("a", "a"), entry("a", "b")},
		"InvalidBatchEntryId: A batch entry id can only contain alphanumeric characters, hyphens and underscores. " +
			"It can be at most 80 letters long.": {entry("a", "a"), entry("a b", "b")},
		"BatchRequestTooLong: Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.": {
			entry("a", half), entry("b", half+"a")},
	} {
		code, message, _ := strings.Cut(want, ": ")
		x.wantError("SendMessageBatch", object{"QueueUrl": q, "Entries": entries}, sqsCode+code, message)
	}
	if a := x.attributes(q); a[attrReady] != "0" {
		t.Errorf("attributes are %v", a)
	}
}

func testBatchEntries(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders", "MaximumMessageSize", "1024")
	out := x.ok("SendMessageBatch", object{"QueueUrl": q, "Entries": []object{
		{"Id": "first", "MessageBody": "1"},
		{"Id": "long", "MessageBody": strings.Repeat("a", 1025)},
		{"Id": "wrong", "MessageBody": "\x00"},
		{"Id": "last", "MessageBody": "2"}}})
	want := []any{
		object{"Id": "long", "SenderFault": true, "Code": "InvalidParameterValue", "Message": "One or more parameters " +
			"cannot be validated. Reason: Message must be shorter than 1024 bytes."},
		object{"Id": "wrong", "SenderFault": true, "Code": "InvalidMessageContents", "Message": "Invalid characters found. " +
			"Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"}}
	if !reflect.DeepEqual(out["Failed"], want) {
		t.Errorf("failed are %v, want %v", out["Failed"], want)
	}
	got := x.get(q)
	if len(got) != 2 || got[0]["Body"] != "1" || got[1]["Body"] != "2" {
		t.Fatalf("received %v", got)
	}
	done := x.ok("DeleteMessageBatch", object{"QueueUrl": q, "Entries": []object{
		{"Id": "a", "ReceiptHandle": got[0]["ReceiptHandle"]}, {"Id": "b", "ReceiptHandle": "garbage"}}})
	if f := done["Failed"].([]any)[0].(object); f["Id"] != "b" || f["Code"] != "ReceiptHandleIsInvalid" || len(done) != 2 {
		t.Errorf("deleted %v", done)
	}
	extended := x.ok("ChangeMessageVisibilityBatch", object{"QueueUrl": q, "Entries": []object{
		{"Id": "b", "ReceiptHandle": got[1]["ReceiptHandle"], "VisibilityTimeout": 0},
		{"Id": "a", "ReceiptHandle": got[0]["ReceiptHandle"], "VisibilityTimeout": 9}}})
	if !reflect.DeepEqual(extended["Successful"], []any{object{"Id": "b"}}) || len(extended["Failed"].([]any)) != 1 {
		t.Errorf("extended %v", extended)
	}
}

func testSize(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	full := strings.Repeat("ü", maxMessage/2-16) // bytes count, not characters
	attributes := object{"0123456789": object{"DataType": "String", "StringValue": "0123456789012345"}}
	in := object{"QueueUrl": q, "MessageBody": full, "MessageAttributes": attributes}
	x.ok("SendMessage", in)
	in["MessageBody"] = full + "a"
	x.wantError("SendMessage", in, "InvalidParameterValue",
		"One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.")
	if m := x.one(q); m["Body"] != full {
		t.Error("the body is another one")
	}
}

func testDeadLetter(t *testing.T) {
	x := start(t, Config{})
	dead := x.queue("dead")
	arn := x.attributes(dead)[attrARN].(string)
	q := x.queue("orders", "RedrivePolicy", `{"deadLetterTargetArn":"`+arn+`","maxReceiveCount":"2"}`)
	x.put(q, "a")
	var last object
	for range 2 {
		last = x.one(q, "VisibilityTimeout", 0, "AttributeNames", []string{"All"})
	}
	x.restart()
	if got := x.get(q); len(got) != 0 {
		t.Fatalf("received %v a third time", got)
	}
	m := x.one(dead, "AttributeNames", []string{"All"}, "WaitTimeSeconds", 20)
	was, is := last["Attributes"].(object), m["Attributes"].(object)
	if m["MessageId"] != last["MessageId"] || m["Body"] != "a" || is["SentTimestamp"] != was["SentTimestamp"] ||
		is["DeadLetterQueueSourceArn"] != "arn:aws:sqs:us-east-1:000000000000:orders" {
		t.Errorf("it was %v, and is %v", last, m)
	}
	if is["ApproximateReceiveCount"] != "3" || is["ApproximateFirstReceiveTimestamp"] != was["ApproximateFirstReceiveTimestamp"] {
		t.Errorf("counted before %v, and now %v", was, is)
	}
	if doc := x.ok("ListDeadLetterSourceQueues", object{"QueueUrl": dead}); !reflect.DeepEqual(doc["queueUrls"], []any{q}) {
		t.Errorf("sources are %v", doc)
	}
}

func testPurge(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	x.put(q, "a")
	x.put(q, "b")
	x.ok("SendMessage", object{"QueueUrl": q, "MessageBody": "c", "DelaySeconds": 900})
	m := x.one(q, "MaxNumberOfMessages", 1)
	x.ok("PurgeQueue", object{"QueueUrl": q})
	nothing := func(when string) {
		t.Helper()
		if a := x.attributes(q); a[attrReady] != "0" || a[attrLeased] != "0" || a[attrDelayed] != "0" {
			t.Errorf("%s: attributes are %v", when, a)
		}
	}
	nothing("purged")
	x.restart()
	nothing("after a restart")
	x.ok("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": m["ReceiptHandle"]})
	x.ok("PurgeQueue", object{"QueueUrl": q})
	x.put(q, "d")
	if m := x.one(q); m["Body"] != "d" {
		t.Errorf("received %v", m)
	}
}

func testAttributesOnDisk(t *testing.T) {
	x := start(t, Config{})
	q := x.ok("CreateQueue", object{"QueueName": "orders", "tags": object{"team": "a", "old": "b"}})["QueueUrl"].(string)
	x.ok("SetQueueAttributes", object{"QueueUrl": q, "Attributes": object{
		"VisibilityTimeout": "7", "MessageRetentionPeriod": "60", "Policy": `{"Statement":[]}`, "DelaySeconds": "9"}})
	x.ok("SetQueueAttributes", object{"QueueUrl": q, "Attributes": object{"Policy": ""}})
	x.ok("TagQueue", object{"QueueUrl": q, "Tags": object{"stage": "test"}})
	x.ok("UntagQueue", object{"QueueUrl": q, "TagKeys": []string{"old"}})
	before := x.attributes(q)
	x.restart()
	a := x.attributes(q)
	if !reflect.DeepEqual(a, before) || a["VisibilityTimeout"] != "7" || a["Policy"] != nil {
		t.Errorf("attributes were %v, and are %v", before, a)
	}
	if tags := x.ok("ListQueueTags", object{"QueueUrl": q})["Tags"]; !reflect.DeepEqual(tags, object{"team": "a", "stage": "test"}) {
		t.Errorf("tags are %v", tags)
	}
	have, err := x.b.Queue("", "orders")
	if err != nil {
		t.Fatal(err)
	}
	if s := have.Settings(); s.Retention.Seconds() != 60 || s.Delay.Seconds() != 9 {
		t.Errorf("the engine does not know: %+v", s)
	}
}

func testForeignQueues(t *testing.T) {
	x := start(t, Config{})
	if _, _, err := x.b.DeclareQueue(context.Background(), broker.QueueSpec{Name: "amqp", Durable: true}); err != nil {
		t.Fatal(err)
	}
	x.queue("ours")
	x.wantError("GetQueueUrl", object{"QueueName": "amqp"}, sqsCode+"NonExistentQueue", "The specified queue does not exist.")
	x.wantError("CreateQueue", object{"QueueName": "amqp"}, "QueueAlreadyExists",
		"A queue already exists with the same name, which is not one of SQS.")
	if list := x.ok("ListQueues", object{})["QueueUrls"].([]any); len(list) != 1 {
		t.Errorf("listed are %v", list)
	}
}

func testFromAMQP(t *testing.T) {
	x := start(t, Config{})
	q := x.queue("orders")
	x.publish("orders", []byte("text"))
	x.publish("orders", []byte{0, 0xff})
	got := x.get(q, "MessageAttributeNames", []string{"All"}, "VisibilityTimeout", 0)
	if len(got) != 2 || got[0]["Body"] != "text" || got[0]["MessageAttributes"] != nil || got[1]["Body"] != "AP8=" {
		t.Fatalf("received %v", got)
	}
	want := object{"Content-Transfer-Encoding": object{"DataType": "String", "StringValue": "base64"}}
	if !reflect.DeepEqual(got[1]["MessageAttributes"], want) {
		t.Errorf("received %v", got[1])
	}
	if again := x.get(q); again[0]["MessageId"] != got[0]["MessageId"] || again[1]["MessageId"] == got[0]["MessageId"] {
		t.Errorf("message ids of %v and %v", got, again)
	}
}

// publish is what AMQP does with a message for the default exchange.
func (x *rig) publish(key string, body []byte) {
	x.t.Helper()
	exchange, err := x.b.Exchange("", "")
	if err != nil {
		x.t.Fatal(err)
	}
	tx := x.b.Begin()
	tx.Publish(exchange, broker.QueueRecord{Key: key, Format: broker.PropsAMQP, Props: []byte{0, 0}, Body: body})
	confirm, err := tx.Commit(context.Background())
	if err == nil {
		err = confirm.Wait(context.Background())
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func testWebPages(t *testing.T) {
	x := start(t, Config{Hosts: []string{"queues.example"}})
	for _, c := range []struct {
		method, host, header, value string
		want                        int
	}{
		{"POST", "", "", "", 200},
		{"POST", "sqs.example.com", "", "", 200},
		{"POST", "", "Origin", "http://evil.example", 403},
		{"POST", "evil.example", "Origin", "http://evil.example", 403},
		{"POST", "", "Origin", "null", 403},
		{"POST", "", "Sec-Fetch-Site", "cross-site", 403},
		{"POST", "", "Sec-Fetch-Site", "same-site", 403},
		{"GET", "", "", "", 200},
		{"GET", "tidings:4566", "", "", 200},
		{"GET", "queues.example", "", "", 200},
		{"GET", "evil.example", "", "", 403},
		{"GET", "", "Sec-Fetch-Site", "cross-site", 403},
	} {
		r, err := http.NewRequest(c.method, x.url()+"/?Action=ListQueues", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if status, _, body := x.do(r); status != c.want {
			t.Errorf("%+v: %d %s", c, status, body)
		}
	}
}

// TestOnlyAGetAndAPostDoSomething: a HEAD would do what a GET does.
func TestOnlyAGetAndAPostDoSomething(t *testing.T) {
	x := start(t, Config{})
	for _, method := range []string{"HEAD", "PUT", "DELETE"} {
		r, err := http.NewRequest(method, x.url()+"/?Action=CreateQueue&QueueName=orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
	if all := x.ok("ListQueues", object{}); all["QueueUrls"] != nil {
		t.Errorf("there are queues: %v", all)
	}
}

func testNotBuilt(t *testing.T) {
	x := start(t, Config{})
	_, refused := Actions()
	for _, action := range refused {
		code, message := x.fails(action, object{})
		if code != sqsCode+"UnsupportedOperation" || !strings.Contains(message, action) {
			t.Errorf("%s: %s %s", action, code, message)
		}
	}
}
