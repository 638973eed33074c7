package aws

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// bodies are those of messages, in their order.
func bodies(all []object) string {
	var out []string
	for _, m := range all {
		out = append(out, m["Body"].(string))
	}
	return strings.Join(out, " ")
}

func (x *rig) wantGot(what string, got []object, want string) []object {
	x.t.Helper()
	if b := bodies(got); b != want {
		x.t.Errorf("%s: received %q, want %q", what, b, want)
	}
	return got
}

func testOrder(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo", attrContent, "true")
	for i := range 6 {
		x.in(q, string(rune('a'+i%2)), "", fmt.Sprint(i))
	}
	first := x.wantGot("two of a group", x.get(q, "MaxNumberOfMessages", 2), "0 2")
	x.restart()
	x.wantGot("the other one, after a restart", x.get(q), "1 3 5")
	x.wantGot("the groups are taken", x.get(q), "")
	x.remove(q, first[0])
	x.wantGot("one is in flight still", x.get(q), "")
	x.remove(q, first[1])
	x.wantGot("the rest", x.get(q), "4")
}

func testGroupWaits(t *testing.T) {
	x, let := startTimed(t, Config{})
	q := x.fifo("orders.fifo", attrContent, "true", attrVisibility, "60")
	for _, body := range []string{"1", "2", "3", "4"} {
		x.in(q, "g", "", body)
	}
	got := x.wantGot("three", x.get(q, "MaxNumberOfMessages", 3), "1 2 3")
	x.ok("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": got[1]["ReceiptHandle"], "VisibilityTimeout": 600})
	x.in(q, "g", "", "5")
	let(time.Minute)
	one := x.wantGot("up to the one that is invisible", x.get(q), "1")
	x.remove(q, one[0])
	x.wantGot("2 is invisible still", x.get(q), "")
	x.in(q, "h", "", "other")
	x.wantGot("another group goes on", x.get(q), "other")
	x.ok("ChangeMessageVisibility", object{"QueueUrl": q, "ReceiptHandle": got[1]["ReceiptHandle"], "VisibilityTimeout": 0})
	x.wantGot("all that was behind it", x.get(q), "2 3 4 5")
}

func testPollForGroup(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo", attrContent, "true")
	x.in(q, "g", "", "1")
	x.in(q, "g", "", "2")
	first := x.one(q, "MaxNumberOfMessages", 1)
	done := make(chan []object, 1)
	go func() { done <- x.get(q, "WaitTimeSeconds", 20) }()
	x.polls(1)
	x.remove(q, first)
	x.wantGot("the poll", <-done, "2")
}

// testFailingGroup has the groups of a recorded test, and their order.
func testFailingGroup(t *testing.T) {
	x := start(t, Config{})
	q := x.fifo("orders.fifo", attrVisibility, "0")
	for _, body := range []string{"A1", "B1", "B2", "C1", "A2"} {
		x.in(q, body[:1], body, body)
	}
	for _, c := range []struct {
		most int
		want string
	}{{3, "A1 A2 B1"}, {10, "C1 A1 A2 B1 B2"}, {1, "A1"}, {1, "B1"}, {1, "C1"}, {1, "A1"}} {
		x.wantGot(fmt.Sprint("at most ", c.most), x.get(q, "MaxNumberOfMessages", c.most), c.want)
	}
}
