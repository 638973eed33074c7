package aws

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// fifo makes a FIFO queue and returns its URL.
func (x *rig) fifo(name string, attributes ...string) string {
	x.t.Helper()
	return x.queue(name, append([]string{attrFIFO, "true"}, attributes...)...)
}

// in sends a message of a group, with a deduplication id unless that is "".
func (x *rig) in(queue, group, dedup, body string) object {
	x.t.Helper()
	in := object{"QueueUrl": queue, "MessageGroupId": group, "MessageBody": body}
	if dedup != "" {
		in["MessageDeduplicationId"] = dedup
	}
	return x.ok("SendMessage", in)
}

// drain receives all, deletes it, and returns the bodies.
func (x *rig) drain(queue string) string {
	x.t.Helper()
	var all []string
	for _, m := range x.get(queue) {
		all = append(all, m["Body"].(string))
		x.remove(queue, m)
	}
	return strings.Join(all, " ")
}

func (x *rig) remove(queue string, m object) {
	x.t.Helper()
	x.ok("DeleteMessage", object{"QueueUrl": queue, "ReceiptHandle": m["ReceiptHandle"]})
}

func (x *rig) wantDrained(what, queue, want string) {
	x.t.Helper()
	if got := x.drain(queue); got != want {
		x.t.Errorf("%s: received %q, want %q", what, got, want)
	}
}

// wantSame compares what a duplicate is told with what the first was.
func wantSame(t *testing.T, what string, first, again object) {
	t.Helper()
	if first["MessageId"] != again["MessageId"] || first["SequenceNumber"] != again["SequenceNumber"] {
		t.Errorf("%s: the first was told %v, and the second %v", what, first, again)
	}
}

func testOnce(t *testing.T) {
	x, let := startTimed(t, Config{})
	q := x.fifo("orders.fifo")
	first := x.in(q, "g", "1", "a")
	again := x.in(q, "g", "1", "other")
	wantSame(t, "at once", first, again)
	if again["MD5OfMessageBody"] != bodyChecksum([]byte("other")) {
		t.Errorf("the checksum is not of what was sent: %v", again)
	}
	wantSame(t, "in another group", first, x.in(q, "h", "1", "a"))
	x.wantDrained("once", q, "a")
	wantSame(t, "after the delete", first, x.in(q, "g", "1", "a"))
	let(3 * time.Minute)
	x.restart()
	wantSame(t, "after a restart", first, x.in(q, "g", "1", "a"))
	let(2*time.Minute - time.Millisecond)
	wantSame(t, "just before", first, x.in(q, "g", "1", "a"))
	x.wantDrained("nothing more", q, "")
	let(time.Millisecond)
	if late := x.in(q, "g", "1", "b"); late["MessageId"] == first["MessageId"] ||
		late["SequenceNumber"].(string) <= first["SequenceNumber"].(string) {
		t.Errorf("after five minutes: %v, the first was %v", late, first)
	}
	x.wantDrained("after five minutes", q, "b")
	batch := x.ok("SendMessageBatch", object{"QueueUrl": q, "Entries": []object{
		{"Id": "x", "MessageBody": "c", "MessageGroupId": "g", "MessageDeduplicationId": "3"},
		{"Id": "y", "MessageBody": "d", "MessageGroupId": "g", "MessageDeduplicationId": "3"},
		{"Id": "z", "MessageBody": "e", "MessageGroupId": "g", "MessageDeduplicationId": "4"}}})
	sent := batch["Successful"].([]any)
	wantSame(t, "in one batch", sent[0].(object), sent[1].(object))
	x.wantDrained("of one batch", q, "c e")
}

func testPurgeForgets(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo")
	first := x.in(q, "g", "1", "a")
	x.ok("PurgeQueue", object{"QueueUrl": q})
	if again := x.in(q, "g", "1", "b"); again["MessageId"] == first["MessageId"] {
		t.Errorf("the first was %v, and the second is %v", first, again)
	}
	x.wantDrained("after the purge", q, "b")
}

func testContentDeduplication(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo", attrContent, "True")
	first := x.in(q, "g", "", "a")
	wantSame(t, "the same body", first, x.in(q, "g", "", "a"))
	x.in(q, "g", "own", "a")
	const sum = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
	wantSame(t, "its own id is that of a body", first, x.in(q, "g", sum, "b"))
	got := x.get(q, "AttributeNames", []string{"All"})
	if len(got) != 2 || got[0]["Attributes"].(object)[sysDedup] != sum || got[1]["Attributes"].(object)[sysDedup] != "own" {
		t.Errorf("received %v", got)
	}
}

func testScopeOfGroups(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo", attrScope, inGroup)
	first := x.in(q, "g", "1", "a")
	if other := x.in(q, "h", "1", "b"); other["MessageId"] == first["MessageId"] {
		t.Errorf("the first was %v, and that of another group is %v", first, other)
	}
	wantSame(t, "in its group", first, x.in(q, "g", "1", "c"))
	x.wantDrained("two", q, "a b")
}

func testSequenceNumbers(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo")
	last := ""
	for _, id := range []string{"1", "2", "3"} {
		sent := x.in(q, "g", id, "body "+id)
		m := x.one(q, "AttributeNames", []string{"All"})
		x.remove(q, m)
		got := m["Attributes"].(object)
		number := sent["SequenceNumber"].(string)
		if len(number) != 20 || number <= last || got[sysSequence] != number || got[sysDedup] != id || got[sysGroup] != "g" {
			t.Errorf("after %s: sent %v, received %v", last, sent, m)
		}
		last = number
		x.restart()
	}
	standard := x.queue("standard")
	if sent := x.put(standard, "a"); sent["SequenceNumber"] != nil {
		t.Errorf("a standard queue answers %v", sent)
	}
	m := x.one(standard, "AttributeNames", []string{"All"})
	if got := m["Attributes"].(object); got[sysSequence] != nil || got[sysDedup] != nil {
		t.Errorf("of a standard queue: %v", m)
	}
}

func TestEntriesThatFailAreToldInTheirOrder(t *testing.T) {
	x, let := startTimed(t, Config{})
	q := x.fifo("orders.fifo", attrVisibility, "60")
	x.in(q, "g", "1", "a")
	m := x.one(q)
	let(61 * time.Second)
	out := x.ok("DeleteMessageBatch", object{"QueueUrl": q, "Entries": []object{
		{"Id": "expired", "ReceiptHandle": m["ReceiptHandle"]}, {"Id": "none", "ReceiptHandle": "none"}}})
	var ids []any
	for _, e := range out["Failed"].([]any) {
		ids = append(ids, e.(object)["Id"])
	}
	if !slices.Equal(ids, []any{"expired", "none"}) {
		t.Errorf("failed are %v", ids)
	}
}

func testExpiredReceipt(t *testing.T) {
	x, let := startTimed(t, Config{})
	q := x.fifo("orders.fifo", attrVisibility, "60")
	x.in(q, "g", "1", "a")
	m := x.one(q)
	let(time.Minute)
	handle := m["ReceiptHandle"].(string)
	text := "Value " + handle + " for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
	x.wantError("DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": handle}, "InvalidParameterValue", text)
	again := x.one(q)
	out := x.ok("DeleteMessageBatch", object{"QueueUrl": q, "Entries": []object{
		{"Id": "old", "ReceiptHandle": handle}, {"Id": "new", "ReceiptHandle": again["ReceiptHandle"]}}})
	failed := out["Failed"].([]any)[0].(object)
	if failed["Id"] != "old" || failed["Message"] != text || len(out["Successful"].([]any)) != 1 {
		t.Errorf("deleted %v", out)
	}
	for range 2 { // that it is gone is no error
		x.remove(q, m)
	}
	x.wantDrained("nothing", q, "")
	if a := x.attributes(q); a[attrReady] != "0" || a[attrLeased] != "0" {
		t.Errorf("attributes are %v", a)
	}
}

func testTypeAndName(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo")
	a := x.attributes(q)
	for name, want := range map[string]string{attrFIFO: "true", attrContent: "false", attrScope: "queue", attrLimit: "perQueue"} {
		if a[name] != want {
			t.Errorf("%s is %v, want %s", name, a[name], want)
		}
	}
	x.fifo("orders.fifo", attrContent, "False")
	set := func(url string, more ...string) object {
		all := object{}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return object{"QueueUrl": url, "Attributes": all}
	}
	x.ok("SetQueueAttributes", set(q, attrFIFO, "true", attrContent, "True"))
	const plainName = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
	const fifoName = "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, " +
		"must end with .fifo suffix and be 1 to 80 in length."
	for _, c := range []struct {
		action        string
		in            object
		code, message string
	}{
		{"CreateQueue", object{"QueueName": "a.fifo"}, "InvalidParameterValue", plainName},
		{"CreateQueue", object{"QueueName": "a", "Attributes": object{attrFIFO: "true"}}, "InvalidParameterValue", fifoName},
		{"CreateQueue", object{"QueueName": ".fifo", "Attributes": object{attrFIFO: "true"}}, "InvalidParameterValue", fifoName},
		{"CreateQueue", object{"QueueName": strings.Repeat("a", 76) + ".fifo", "Attributes": object{attrFIFO: "true"}},
			"InvalidParameterValue", fifoName},
		{"CreateQueue", object{"QueueName": "orders.fifo", "Attributes": object{attrFIFO: "true", attrContent: "false"}},
			"QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute ContentBasedDeduplication"},
		{"SetQueueAttributes", set(q, attrFIFO, "false"), "InvalidAttributeValue",
			"Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."},
		{"SetQueueAttributes", set(x.queue("plain"), attrFIFO, "true"), "InvalidAttributeName", "Unknown Attribute FifoQueue."},
		{"SetQueueAttributes", set(q, attrScope, "group"), "InvalidAttributeValue", "Invalid value for the parameter DeduplicationScope."},
	} {
		x.wantError(c.action, c.in, c.code, c.message)
	}
}

func testThroughput(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo")
	set := func(more object) object { return object{"QueueUrl": q, "Attributes": more} }
	const text = "Invalid value for the parameter FifoThroughputLimit. Reason: The perMessageGroupId value is allowed only " +
		"when the value for DeduplicationScope is messageGroup."
	x.wantError("SetQueueAttributes", set(object{attrLimit: perGroup}), "InvalidAttributeValue", text)
	x.wantError("CreateQueue", object{"QueueName": "b.fifo", "Attributes": object{attrFIFO: "true", attrLimit: perGroup}},
		"InvalidAttributeValue", text)
	x.ok("SetQueueAttributes", set(object{attrLimit: perGroup, attrScope: inGroup}))
	x.wantError("SetQueueAttributes", set(object{attrScope: "queue"}), "InvalidAttributeValue", text)
	x.restart()
	if a := x.attributes(q); a[attrLimit] != perGroup || a[attrScope] != inGroup {
		t.Errorf("attributes are %v", a)
	}
	x.ok("SetQueueAttributes", set(object{attrLimit: "perQueue", attrScope: "queue"}))
	first := x.in(q, "g", "1", "a")
	wantSame(t, "the scope is the queue again", first, x.in(q, "h", "1", "a"))
}

func testIDs(t *testing.T) {
	x := start(t, Config{})
	q, plain := x.fifo("orders.fifo"), x.queue("orders")
	message := func(more ...any) object {
		in := object{"QueueUrl": q, "MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
		for i := 0; i < len(more); i += 2 {
			if in[more[i].(string)] = more[i+1]; more[i+1] == nil {
				delete(in, more[i].(string))
			}
		}
		return in
	}
	batch := func(second object) object {
		first := message("Id", "a", "QueueUrl", nil)
		second["Id"] = "b"
		delete(second, "QueueUrl")
		return object{"QueueUrl": q, "Entries": []object{first, second}}
	}
	const noDedup = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
	const noGroup = "The request must contain the parameter MessageGroupId."
	form := func(name, value string) string {
		return "Value " + value + " for parameter " + name + " is invalid. Reason: " + name +
			" can only include alphanumeric and punctuation characters. 1 to 128 in length."
	}
	long := strings.Repeat("a", 129)
	for _, c := range []struct {
		action        string
		in            object
		code, message string
	}{
		{"SendMessage", message("MessageGroupId", nil), "MissingParameter", noGroup},
		{"SendMessage", message("MessageDeduplicationId", nil), "InvalidParameterValue", noDedup},
		{"SendMessageBatch", batch(message("MessageGroupId", nil)), "InvalidParameterValue", noGroup},
		{"SendMessageBatch", batch(message("MessageDeduplicationId", nil)), "InvalidParameterValue", noDedup},
		{"SendMessage", message("MessageDeduplicationId", ""), "InvalidParameterValue", form("MessageDeduplicationId", "")},
		{"SendMessage", message("MessageDeduplicationId", long), "InvalidParameterValue", form("MessageDeduplicationId", long)},
		{"SendMessage", message("MessageDeduplicationId", "group 123"), "InvalidParameterValue",
			form("MessageDeduplicationId", "group 123")},
		{"SendMessage", message("MessageGroupId", "a\bb"), "InvalidParameterValue", form("MessageGroupId", "a\bb")},
		{"SendMessage", message("DelaySeconds", 2), "InvalidParameterValue", "Value 2 for parameter DelaySeconds is invalid. " +
			"Reason: The request include parameter that is not valid for this queue type."},
		{"SendMessage", message("QueueUrl", plain), "InvalidParameterValue", "Value d for parameter MessageDeduplicationId is invalid. " +
			"Reason: The request include parameter that is not valid for this queue type."},
		{"ReceiveMessage", object{"QueueUrl": q, "ReceiveRequestAttemptId": "a b"}, "InvalidParameterValue",
			form("ReceiveRequestAttemptId", "a b")},
	} {
		x.wantError(c.action, c.in, c.code, c.message)
	}
	x.wantDrained("nothing was sent", q, "")
	x.ok("SendMessage", message("DelaySeconds", 0, "MessageDeduplicationId", strings.Repeat("a", 128)))
	x.ok("SendMessage", message("QueueUrl", plain, "MessageDeduplicationId", nil))
	if m := x.one(plain, "AttributeNames", []string{"All"}); m["Attributes"].(object)[sysGroup] != "g" {
		t.Errorf("a standard queue gives %v", m)
	}
	x.one(q, "AttributeNames", []string{"All"})
}

func testDeadLetterType(t *testing.T) {
	x := start(t, Config{})
	dead, plain := x.fifo("dead.fifo"), x.queue("plain")
	policy := func(url string) string {
		return `{"deadLetterTargetArn":"` + x.attributes(url)[attrARN].(string) + `","maxReceiveCount":"1"}`
	}
	for _, c := range []struct{ queue, to string }{{"a.fifo", plain}, {"b", dead}} {
		in := object{attrRedrive: policy(c.to)}
		if isFIFO(c.queue) {
			in[attrFIFO] = "true"
		}
		x.wantError("CreateQueue", object{"QueueName": c.queue, "Attributes": in}, "InvalidParameterValue",
			"Value "+policy(c.to)+" for parameter RedrivePolicy is invalid. Reason: Dead-letter queue must be same type of queue as the source.")
	}
	q := x.fifo("orders.fifo", attrRedrive, policy(dead), attrVisibility, "0")
	sent := x.in(q, "g", "1", "a")
	x.in(dead, "g", "1", "there already")
	x.one(q)
	if got := x.get(q); len(got) != 0 {
		t.Errorf("received %v", got)
	}
	next := func() object {
		m := x.one(dead, "AttributeNames", []string{"All"}, "MaxNumberOfMessages", 1, "WaitTimeSeconds", 20)
		x.remove(dead, m)
		return m
	}
	before, m := next()["Attributes"].(object), next()
	a := m["Attributes"].(object)
	if m["MessageId"] != sent["MessageId"] || a[sysDedup] != "1" || a[sysGroup] != "g" ||
		a[sysSource] != x.attributes(q)[attrARN] || a[sysSequence].(string) <= before[sysSequence].(string) {
		t.Errorf("the dead letter is %v", m)
	}
}

func testAttempts(t *testing.T) {
	x, let := startTimed(t, Config{Limits: Limits{Attempts: 2}})
	q := x.fifo("orders.fifo", attrVisibility, "60")
	for _, id := range []string{"1", "2", "3", "4"} {
		x.in(q, id, id, "body "+id)
	}
	attempt := func(id string) []object {
		return x.get(q, "ReceiveRequestAttemptId", id, "MaxNumberOfMessages", 2, "AttributeNames", []string{"All"})
	}
	first := attempt("one")
	let(40 * time.Second)
	again := attempt("one")
	if len(first) != 2 || len(again) != 2 {
		t.Fatalf("received %v, and then %v", first, again)
	}
	for i := range first {
		for _, name := range []string{"MessageId", "ReceiptHandle", "Body"} {
			if first[i][name] != again[i][name] {
				t.Errorf("received %v, and then %v", first[i], again[i])
			}
		}
		if n := again[i]["Attributes"].(object)[sysReceiveCount]; n != "1" {
			t.Errorf("it was received %v times", n)
		}
	}
	let(40 * time.Second) // the invisibility began anew
	other := attempt("two")
	if len(other) != 2 || other[0]["Body"] != "body 3" {
		t.Errorf("another attempt gets %v", other)
	}
	refused := func(id string) {
		t.Helper()
		x.wantError("ReceiveMessage", object{"QueueUrl": q, "ReceiveRequestAttemptId": id}, "InvalidParameterValue",
			"Value "+id+" for parameter ReceiveRequestAttemptId is invalid. Reason: The receiveRequestAttemptId is not valid "+
				"anymore since the receive call is not retryable.")
	}
	x.remove(q, other[1])
	refused("two") // one is deleted
	if a := x.attributes(q); a[attrLeased] != "3" {
		t.Errorf("what is refused changes who has messages: %v", a)
	}
	let(20 * time.Second)
	refused("one") // they are visible
	let(5 * time.Minute)
	if got := attempt("one"); len(got) != 2 || got[0]["Body"] != "body 1" {
		t.Errorf("after five minutes it gets %v", got)
	}
	attempt("three")
	if got := attempt("four"); len(got) != 0 {
		t.Errorf("received %v", got)
	}
	if n := len(x.s.attempts.all); n != 2 || len(x.s.attempts.line) != 2 {
		t.Errorf("%d attempts are remembered, and %v", n, x.s.attempts.line)
	}
	plain := x.queue("plain")
	x.put(plain, "a")
	x.one(plain, "ReceiveRequestAttemptId", "a b")
}

func testQueueDelay(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo", attrDelay, "1")
	first := x.ok("SendMessage", object{"QueueUrl": q, "MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "1",
		"DelaySeconds": 0})
	wantSame(t, "while it is delayed", first, x.in(q, "g", "1", "again"))
	if n, _ := first["SequenceNumber"].(string); len(n) != 20 {
		t.Errorf("sent %v", first)
	}
	if got := x.get(q); len(got) != 0 {
		t.Errorf("received %v", got)
	}
	if a := x.attributes(q); a[attrDelayed] != "1" {
		t.Errorf("attributes are %v", a)
	}
	if got := x.get(q, "WaitTimeSeconds", 20); len(got) != 1 || got[0]["Body"] != "a" {
		t.Errorf("received %v", got)
	}
}
