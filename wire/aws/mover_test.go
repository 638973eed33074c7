package aws

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/storage/vfs"
)

const arnHere = "arn:aws:sqs:us-east-1:000000000000:"

// deadLetterQueue makes the queue dead, and sources that send their dead letters there after one receive.
func (x *rig) deadLetterQueue(sources ...string) (dead string, queues []string) {
	dead = x.queue("dead")
	for _, name := range sources {
		queues = append(queues, x.queue(name, "VisibilityTimeout", "0",
			"RedrivePolicy", `{"deadLetterTargetArn":"`+arnHere+`dead","maxReceiveCount":1}`))
	}
	return dead, queues
}

// die sends a message that becomes a dead letter.
func (x *rig) die(queue, body string) (sent object) {
	sent = x.ok("SendMessage", object{"QueueUrl": queue, "MessageBody": body,
		"MessageAttributes": object{"team": object{"DataType": "String", "StringValue": "a"}}})
	x.one(queue)
	if got := x.get(queue); len(got) != 0 {
		x.t.Fatalf("received %v, want it dead", got)
	}
	return sent
}

// startMove begins a task and returns its handle.
func (x *rig) startMove(more ...any) any {
	x.t.Helper()
	in := object{"SourceArn": arnHere + "dead"}
	for i := 0; i+1 < len(more); i += 2 {
		in[more[i].(string)] = more[i+1]
	}
	return x.ok("StartMessageMoveTask", in)["TaskHandle"]
}

func (x *rig) tasks() (all []object) {
	x.t.Helper()
	list, _ := x.ok("ListMessageMoveTasks", object{"SourceArn": arnHere + "dead", "MaxResults": 10})["Results"].([]any)
	for _, task := range list {
		all = append(all, task.(object))
	}
	return all
}

// waitForTask waits until the newest task is as it should be.
func (x *rig) waitForTask(what string, is func(object) bool) object {
	x.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		task := x.tasks()[0]
		if is(task) {
			return task
		}
		if time.Now().After(end) {
			x.t.Fatalf("the task is %v, want it %s", task, what)
		}
	}
}

func (x *rig) waitForStatus(want string) object {
	x.t.Helper()
	return x.waitForTask(want, func(task object) bool { return task["Status"] == want })
}

func (x *rig) wantTask(got, want object) {
	x.t.Helper()
	if at, ok := got["StartedTimestamp"].(float64); !ok || at < 1.6e12 {
		x.t.Errorf("it began at %v", got["StartedTimestamp"])
	}
	delete(got, "StartedTimestamp")
	if !reflect.DeepEqual(got, want) {
		x.t.Errorf("the task is %v, want %v", got, want)
	}
}

func testMove(t *testing.T) {
	x := start(t, Config{})
	dead, qs := x.deadLetterQueue("orders", "mails")
	first := x.die(qs[0], "a")
	x.die(qs[1], "b")
	x.startMove()
	x.wantTask(x.waitForStatus(moveCompleted), object{"Status": moveCompleted, "SourceArn": arnHere + "dead",
		"ApproximateNumberOfMessagesMoved": 2.0, "ApproximateNumberOfMessagesToMove": 2.0})
	m := x.one(qs[0], "AttributeNames", []string{"All"}, "MessageAttributeNames", []string{"All"})
	is := m["Attributes"].(object)
	if m["Body"] != "a" || m["MD5OfMessageAttributes"] != first["MD5OfMessageAttributes"] || m["MessageId"] == first["MessageId"] {
		t.Errorf("sent %v, and after its move %v", first, m)
	}
	if is["ApproximateReceiveCount"] != "1" || is["DeadLetterQueueSourceArn"] != nil || is["SentTimestamp"] == nil {
		t.Errorf("attributes are %v", is)
	}
	x.one(qs[1])
	if a := x.attributes(dead); a[attrReady] != "0" || a[attrLeased] != "0" {
		t.Errorf("attributes are %v", a)
	}
	x.queue("other")
	x.die(qs[1], "c")
	x.startMove("DestinationArn", arnHere+"other", "MaxNumberOfMessagesPerSecond", 500)
	x.wantTask(x.waitForStatus(moveCompleted), object{"Status": moveCompleted, "SourceArn": arnHere + "dead",
		"DestinationArn": arnHere + "other", "MaxNumberOfMessagesPerSecond": 500.0,
		"ApproximateNumberOfMessagesMoved": 2.0, "ApproximateNumberOfMessagesToMove": 2.0})
}

func testMoveRestart(t *testing.T) {
	x := start(t, Config{})
	dead, _ := x.deadLetterQueue("orders")
	to := x.queue("to")
	for i := range 5 {
		x.put(dead, fmt.Sprint(i))
	}
	x.startMove("DestinationArn", arnHere+"to", "MaxNumberOfMessagesPerSecond", 4)
	x.waitForTask("begun", func(task object) bool { return task["ApproximateNumberOfMessagesMoved"] != 0.0 })
	x.restart()
	task := x.waitForStatus(moveCompleted)
	if task["ApproximateNumberOfMessagesMoved"] != 5.0 || task["ApproximateNumberOfMessagesToMove"] != 5.0 {
		t.Errorf("the task is %v", task)
	}
	x.wantBodies(to, 5)
	x.wantBodies(dead, 0)
	x.restart()
	x.waitForStatus(moveCompleted)
}

// wantBodies receives all of a queue and wants the numbers below n, each once.
func (x *rig) wantBodies(queue string, n int) {
	x.t.Helper()
	var got, want []string
	for {
		ms := x.get(queue)
		if len(ms) == 0 {
			break
		}
		for _, m := range ms {
			got = append(got, m["Body"].(string))
		}
	}
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		x.t.Errorf("received %v, want %v", got, want)
	}
}

// TestAMoveTaskLosesNothingWhenItIsKilled and moves nothing twice.
func TestAMoveTaskLosesNothingWhenItIsKilled(t *testing.T) {
	const n = 300
	disk := vfs.NewMem()
	x := &rig{t: t, c: Config{Addr: "127.0.0.1:0"}, d: disk}
	x.open()
	t.Cleanup(func() { x.close() })
	dead, _ := x.deadLetterQueue("orders")
	x.queue("to")
	for i := 0; i < n; i += 10 {
		var entries []object
		for k := range 10 {
			entries = append(entries, object{"Id": fmt.Sprint(k), "MessageBody": fmt.Sprint(i + k)})
		}
		x.ok("SendMessageBatch", object{"QueueUrl": dead, "Entries": entries})
	}
	x.startMove("DestinationArn", arnHere+"to", "MaxNumberOfMessagesPerSecond", 499)
	for range 3 {
		was := x.tasks()[0]["ApproximateNumberOfMessagesMoved"]
		x.waitForTask("gone on", func(task object) bool {
			return task["ApproximateNumberOfMessagesMoved"] != was || task["Status"] != moveRuns
		})
		disk = disk.Kill() // at this moment; what goes on until close is on the old one
		x.close()
		x.c.Addr, x.d = "127.0.0.1:0", disk
		x.open()
	}
	x.waitForStatus(moveCompleted)
	x.wantBodies("/000000000000/to", n)
	x.wantBodies("/000000000000/dead", 0)
}

func testMoveCancel(t *testing.T) {
	x := start(t, Config{})
	dead, _ := x.deadLetterQueue("orders")
	x.queue("to")
	for i := range 10 {
		x.put(dead, fmt.Sprint(i))
	}
	handle := x.startMove("DestinationArn", arnHere+"to", "MaxNumberOfMessagesPerSecond", 1)
	running := x.tasks()[0]
	if running["Status"] != moveRuns || running["TaskHandle"] != handle {
		t.Errorf("the task is %v, its handle %v", running, handle)
	}
	began := time.Now()
	moved := x.ok("CancelMessageMoveTask", object{"TaskHandle": handle})["ApproximateNumberOfMessagesMoved"].(float64)
	if most := 2 + time.Since(began).Seconds(); moved > most {
		t.Errorf("%v have moved, want at most %v", moved, most)
	}
	x.restart()
	x.wantTask(x.tasks()[0], object{"Status": moveCancelled, "SourceArn": arnHere + "dead", "DestinationArn": arnHere + "to",
		"MaxNumberOfMessagesPerSecond": 1.0, "ApproximateNumberOfMessagesMoved": moved, "ApproximateNumberOfMessagesToMove": 10.0})
	if a := x.attributes(dead); a[attrReady] != fmt.Sprint(10-moved) {
		t.Errorf("attributes are %v", a)
	}
	x.wantError("CancelMessageMoveTask", object{"TaskHandle": handle}, "InvalidParameterValue",
		"Only active tasks can be cancelled: this one is CANCELLED.")
}

func testMoveFails(t *testing.T) {
	x := start(t, Config{})
	dead, qs := x.deadLetterQueue("orders", "mails")
	x.die(qs[0], "a")
	x.die(qs[1], "b")
	x.put(dead, "c")
	x.ok("DeleteQueue", object{"QueueUrl": qs[1]})
	want := object{"Status": moveFailed, "SourceArn": arnHere + "dead", "FailureReason": sqsCode + "NonExistentQueue",
		"ApproximateNumberOfMessagesMoved": 1.0, "ApproximateNumberOfMessagesToMove": 3.0}
	x.startMove()
	x.wantTask(x.waitForStatus(moveFailed), want)
	if m := x.one(dead, "MaxNumberOfMessages", 1); m["Body"] != "b" {
		t.Errorf("received %v", m)
	}
	x.startMove()
	want["FailureReason"], want["ApproximateNumberOfMessagesMoved"] = "CouldNotDetermineMessageSource", 0.0
	want["ApproximateNumberOfMessagesToMove"] = 1.0
	x.wantTask(x.waitForStatus(moveFailed), want)
	if m := x.one(dead, "AttributeNames", []string{"All"}); m["Body"] != "c" ||
		m["Attributes"].(object)["ApproximateReceiveCount"] != "1" {
		t.Errorf("received %v", m)
	}
}

func TestTheNewestTenMoveTasksAreKept(t *testing.T) {
	x := start(t, Config{})
	dead, _ := x.deadLetterQueue("orders")
	kept := func() (n int) {
		for range x.b.Facts(moveFacts).All("") {
			n++
		}
		return n
	}
	for rate := 1; rate <= 12; rate++ {
		x.startMove("MaxNumberOfMessagesPerSecond", rate)
		x.waitForStatus(moveCompleted)
	}
	for range 2 {
		all := x.tasks()
		if len(all) != 10 || kept() != 10 || all[0]["MaxNumberOfMessagesPerSecond"] != 12.0 ||
			all[9]["MaxNumberOfMessagesPerSecond"] != 3.0 {
			t.Errorf("%d are kept, %d listed: %v", kept(), len(all), all)
		}
		x.restart()
	}
	x.ok("DeleteQueue", object{"QueueUrl": dead})
	x.queue("dead")
	if all := x.tasks(); len(all) != 0 {
		t.Errorf("of a queue that was made again: %v", all)
	}
	x.restart()
	if n := kept(); n != 0 {
		t.Errorf("of a queue that is gone %d are kept", n)
	}
}

// TestMoveTasksAreRefusedInTheWordsOfAWS, as recorded by LocalStack's tests and other emulators.
func TestMoveTasksGoWithTheirQueue(t *testing.T) {
	x := start(t, Config{})
	kept := func() (n int) {
		for range x.b.Facts(moveFacts).All("") {
			n++
		}
		return n + len(x.s.mover.tasks)
	}
	dead, queues := x.deadLetterQueue("orders")
	x.die(queues[0], "a")
	x.startMove()
	x.waitForStatus(moveCompleted)
	x.one(queues[0])
	if n := kept(); n != 2 { // on disk and in memory
		t.Fatalf("kept are %d", n)
	}
	x.ok("DeleteQueue", object{"QueueUrl": dead})
	if n := kept(); n != 0 {
		t.Errorf("kept are %d", n)
	}
}

func TestMoveTasksAreRefusedInTheWordsOfAWS(t *testing.T) {
	x := start(t, Config{Limits: Limits{MoveTasks: 1}})
	dead, _ := x.deadLetterQueue("orders")
	x.put(dead, "a")
	x.put(dead, "b")
	x.queue("alone")
	x.ok("CreateQueue", object{"QueueName": "others", "Attributes": object{
		"RedrivePolicy": `{"deadLetterTargetArn":"` + arnHere + `alone","maxReceiveCount":1}`}})
	const format = "You must use this format to specify the %s: arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
	none := func(parameter string) string {
		return "The resource that you specified for the " + parameter + " parameter doesn't exist."
	}
	const id = "10f57157-fc38-4da9-a113-4de7e12d05aa"
	handle := x.startMove("DestinationArn", arnHere+"orders", "MaxNumberOfMessagesPerSecond", 1)
	for _, c := range []struct {
		action        string
		in            object
		code, message string
	}{
		{"Start", object{}, "MissingParameter", "The request must contain the parameter SourceArn."},
		{"Start", object{"SourceArn": "dead"}, "InvalidParameterValue", fmt.Sprintf(format, "SourceArn")},
		{"Start", object{"SourceArn": arnHere + "none"}, "ResourceNotFoundException", none("SourceArn")},
		{"Start", object{"SourceArn": arnHere + "orders"}, "InvalidParameterValue",
			"Source queue must be configured as a Dead Letter Queue."},
		{"Start", object{"DestinationArn": ""}, "InvalidParameterValue", fmt.Sprintf(format, "DestinationArn")},
		{"Start", object{"DestinationArn": arnHere + "none"}, "ResourceNotFoundException", none("DestinationArn")},
		{"Start", object{"DestinationArn": arnHere + "dead"}, "InvalidParameterValue",
			"Source queue arn and destination queue arn cannot be the same."},
		{"Start", object{"MaxNumberOfMessagesPerSecond": 501}, "InvalidParameterValue", "Value for parameter " +
			"MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's between 1 and 500."},
		{"Start", object{"SourceArn": arnHere + "dead"}, "InvalidParameterValue",
			"There is already a task running. Only one active task is allowed for a source queue arn at a given time."},
		{"Start", object{"SourceArn": arnHere + "alone"}, "RequestThrottled",
			"There are 1 active message move tasks, which is the limit."},
		{"List", object{"SourceArn": arnHere + "none"}, "ResourceNotFoundException", none("SourceArn")},
		{"List", object{"SourceArn": arnHere + "dead", "MaxResults": 11}, "InvalidParameterValue",
			"Value for parameter MaxResults is invalid. Reason: You must enter a number that's between 1 and 10."},
		{"Cancel", object{}, "MissingParameter", "The request must contain the parameter TaskHandle."},
		{"Cancel", object{"TaskHandle": "foobared"}, "InvalidParameterValue", "Value for parameter TaskHandle is invalid."},
		{"Cancel", object{"TaskHandle": x.s.moveHandle("none", id)}, "ResourceNotFoundException", none("SourceArn")},
		{"Cancel", object{"TaskHandle": x.s.moveHandle("dead", id)}, "ResourceNotFoundException", "Task does not exist."},
	} {
		if len(c.in) > 0 && c.in["SourceArn"] == nil && c.action == "Start" {
			c.in["SourceArn"] = arnHere + "dead"
		}
		action := map[string]string{"Start": "StartMessageMoveTask", "List": "ListMessageMoveTasks",
			"Cancel": "CancelMessageMoveTask"}[c.action]
		x.wantError(action, c.in, c.code, c.message)
	}
	status, body := x.form("/", "Action", "ListMessageMoveTasks", "SourceArn", arnHere+"dead")
	if n := parseXML(t, body); status != 200 ||
		n.at("ListMessageMoveTasksResult", "ListMessageMoveTasksResultEntry", "TaskHandle") != handle {
		t.Errorf("%d %s", status, body)
	}
	status, body = x.form("/", "Action", "ListMessageMoveTasks", "SourceArn", arnHere+"none")
	if status != 404 || !strings.Contains(body, "ResourceNotFoundException") {
		t.Errorf("%d %s", status, body)
	}
}
