package aws

import (
	"testing"
	"time"
)

// redrivePolicy names a queue for what was received a number of times.
func redrivePolicy(queue, receives string) string {
	return `{"deadLetterTargetArn":"` + queueARN(queue) + `","maxReceiveCount":` + receives + `}`
}

// fail receives the one message of a queue in vain, and looks once more.
func (x *rig) fail(queue string) {
	x.t.Helper()
	x.one(queue, "VisibilityTimeout", 0)
	if got := x.get(queue); len(got) != 0 {
		x.t.Fatalf("received %v", got)
	}
}

func TestTwoQueuesCanHaveEachOthersDeadLetters(t *testing.T) {
	x := start(t, Config{})
	a := x.queue("a")
	b := x.queue("b", attrRedrive, redrivePolicy(a, "1"))
	x.ok("SetQueueAttributes", object{"QueueUrl": a, "Attributes": object{attrRedrive: redrivePolicy(b, "1")}})
	sent := x.put(a, "a")
	for range 3 {
		x.fail(a)
		x.fail(b)
	}
	if m := x.one(a); m["MessageId"] != sent["MessageId"] {
		t.Errorf("sent %v, received %v", sent, m)
	}
}

func TestTheRetentionOfADeadLetterOfAFIFOQueueBeginsAnew(t *testing.T) {
	for _, c := range []struct {
		suffix string
		want   int
	}{{"", 0}, {fifoSuffix, 1}} {
		x, let := startTimed(t, Config{})
		kind := []string{attrFIFO, "true", attrContent, "true"}
		in := object{"MessageBody": "a", "MessageGroupId": "g"}
		if c.suffix == "" {
			kind, in = nil, object{"MessageBody": "a"}
		}
		dead := x.queue("dead"+c.suffix, append(kind, attrRetention, "120")...)
		q := x.queue("orders"+c.suffix, append(kind, attrRedrive, redrivePolicy(dead, "1"))...)
		in["QueueUrl"] = q
		x.ok("SendMessage", in)
		let(90 * time.Second)
		x.fail(q)
		let(90 * time.Second)
		if got := x.get(dead); len(got) != c.want {
			t.Errorf("of a queue %q: received %v, want %d", "orders"+c.suffix, got, c.want)
		}
	}
}

func TestACountOfReceivesIsTheSameAsTextAndAsANumber(t *testing.T) {
	x := start(t, Config{})
	dead := x.queue("dead")
	q := x.queue("orders", attrRedrive, redrivePolicy(dead, `"5"`))
	if got := x.queue("orders", attrRedrive, redrivePolicy(dead, "5")); got != q {
		t.Errorf("got %s, want %s", got, q)
	}
	if got := x.attributes(q)[attrRedrive]; got != redrivePolicy(dead, "5") {
		t.Errorf("got %s", got)
	}
}

func TestDeadLettersFindTheirQueueInAnotherRegionToo(t *testing.T) {
	x := start(t, Config{})
	dead := x.queue("dead")
	q := x.queue("orders", attrRedrive, redrivePolicy(dead, "1"))
	x.c.Region = "eu-west-1"
	x.restart()
	x.ok("TagQueue", object{"QueueUrl": q, "Tags": object{"a": "b"}})
	x.put(q, "a")
	x.fail(q)
	x.one(dead)
}
