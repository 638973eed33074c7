package aws

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/tidings-io/tidings"
)

// deliver publishes n commands to a group of their own and receives them.
func (r *rig) deliver(t *Transport, group string, n int) (*reader, []*tidings.Delivery) {
	r.Helper()
	var events []tidings.Event
	for i := range n {
		events = append(events, command(group, "", fmt.Sprint(group, i)))
	}
	r.publish(t, events...)
	c := r.subscribe(t, group)
	return c, c.next(n)
}

// hidden counts the messages of a group's queue that are in somebody's hands, and those that wait.
func (r *rig) waiting(t *Transport, group string) (hidden, visible string) {
	r.Helper()
	raw, _ := r.raw()
	url, err := t.places.address(bounded(r), group)
	r.check(err)
	out, err := raw.GetQueueAttributes(bounded(r), &sqs.GetQueueAttributesInput{QueueUrl: &url,
		AttributeNames: []sqsName{"All"}})
	r.check(err)
	return out.Attributes["ApproximateNumberOfMessagesNotVisible"], out.Attributes["ApproximateNumberOfMessages"]
}

func TestAcksShareRequestsAndCommitWaitsForThem(t *testing.T) {
	r := newRig(t)
	tr, n := r.transport(Config{})
	c, ds := r.deliver(tr, "g", 30)
	for _, d := range ds[:25] {
		r.check(d.Ack(bounded(t)))
	}
	r.check(c.Commit(bounded(t)))
	if got := n.count("DeleteMessageBatch"); got < 3 || got > 5 {
		t.Errorf("25 acks took %d requests, want 3, and some more where the machine was slow", got)
	}
	if hidden, visible := r.waiting(tr, "g"); hidden != "5" || visible != "0" {
		t.Errorf("after Commit %s are in hand and %s wait, want 5 and 0", hidden, visible)
	}
	r.check(c.Commit(bounded(t))) // of nothing
	if err := ds[0].Ack(bounded(t)); err == nil || errors.Is(err, tidings.ErrLost) {
		t.Errorf("second Ack: got %v, want that it has been settled", err)
	}
}

func TestAnAckThatNobodyWaitsForIsSentAllTheSame(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	_, ds := r.deliver(tr, "g", 1)
	r.check(ds[0].Ack(bounded(t)))
	ctx := bounded(t)
	for hidden := "1"; hidden != "0"; hidden, _ = r.waiting(tr, "g") {
		r.check(ctx.Err())
	}
}

func TestAnAckIsTriedAgainWhileTheNetworkIsDown(t *testing.T) {
	r := newRig(t)
	tr, n := r.transport(Config{})
	c, ds := r.deliver(tr, "g", 2)
	n.failNext("DeleteMessageBatch", 4) // more than the SDK tries
	r.check(ds[0].Ack(bounded(t)))
	r.check(c.Commit(bounded(t)))
	if hidden, _ := r.waiting(tr, "g"); hidden != "1" {
		t.Errorf("%s are in hand, want 1", hidden)
	}
	n.failNext("DeleteMessageBatch", 1000)
	r.check(ds[1].Ack(bounded(t)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Commit(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Commit without a network: got %v, want %v", err, context.DeadlineExceeded)
	}
	if err := c.Close(ctx); err == nil {
		t.Error("Close without a network and time says that it has committed")
	}
}

// A delivery that has waited here for its reader is handed over with much of its time ahead, or not at
// all: a service extends it by as much as it had, again and again.
func TestWhatIsHandedOverHasTimeLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tr, _ := r.transport(Config{VisibilityTimeout: 2 * time.Second})
	in := r.subscribe(tr, "g")
	in.nothing(20 * time.Millisecond) // and a poll goes on
	r.publish(tr, command("g", "", "1"))
	c := in.Consumer.(*consumer)
	patience := bounded(t)
	for waited := false; !waited; {
		r.check(patience.Err())
		c.mu.Lock()
		if waited = len(c.ready) == 1; waited {
			c.ready[0].Deadline = time.Now().Add(500 * time.Millisecond)
			c.ready[0].Settler.(*settler).deadline = c.ready[0].Deadline
		}
		c.mu.Unlock()
	}
	d := in.next(1)[0]
	if left := time.Until(d.Deadline); left < time.Second {
		t.Errorf("it has %v left, want at least 1s", left)
	}
	r.check(d.Ack(bounded(t)))
}

// What could not be given back is in hand, and is done once it is acknowledged.
func TestADeliveryCanBeSettledAfterANackThatFailed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tr, n := r.transport(Config{})
	c, ds := r.deliver(tr, "g", 1)
	n.failNext("ChangeMessageVisibilityBatch", 1000)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := ds[0].Nack(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Nack without a network: got %v, want %v", err, context.DeadlineExceeded)
	}
	n.failNext("ChangeMessageVisibilityBatch", 0)
	r.check(ds[0].Ack(bounded(t)))
	r.check(c.Commit(bounded(t)))
	if hidden, visible := r.waiting(tr, "g"); hidden != "0" || visible != "0" {
		t.Errorf("%s are in hand and %s wait, want none", hidden, visible)
	}
}

func TestWhatWasTakenBackIsErrLost(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		r := newRig(t)
		tr, _ := r.transport(Config{FIFO: fifo})
		_, ds := r.deliver(tr, "g", 3)
		for _, d := range ds {
			d.Settler.(*settler).deadline = time.Now()
		}
		ctx := bounded(t)
		for what, err := range map[string]error{"Ack": ds[0].Ack(ctx), "Nack": ds[1].Nack(ctx, 0),
			"Extend": ds[2].Extend(ctx, time.Minute)} {
			if !errors.Is(err, tidings.ErrLost) {
				t.Errorf("fifo %v: late %s: got %v, want %v", fifo, what, err, tidings.ErrLost)
			}
		}
	}
}

// Who holds a delivery for too long need not settle it: it is not his any more, and takes no room.
func TestWhatIsOverdueTakesNoRoomInTheWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tr, _ := r.transport(Config{VisibilityTimeout: time.Second})
	r.publish(tr, command("g", "", "1"))
	c := r.read(tr, tidings.Subscription{Group: "g", Window: 1})
	first := c.next(1)[0]
	again := c.next(1)[0]
	if again.ID != first.ID || again.Attempt != 2 {
		t.Errorf("got %s, attempt %d, want %s, attempt 2", again.ID, again.Attempt, first.ID)
	}
	if err := first.Ack(bounded(t)); !errors.Is(err, tidings.ErrLost) {
		t.Errorf("late Ack: got %v, want %v", err, tidings.ErrLost)
	}
	r.check(again.Ack(bounded(t)))
}

// A program that has the receipts makes messages visible; the consumer has to ask to know.
func TestCommitTellsOfWhatCouldNotBeDeleted(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{FIFO: true})
	c, ds := r.deliver(tr, "g", 3)
	raw, _ := r.raw()
	for _, d := range ds[:2] {
		s := d.Settler.(*settler)
		_, err := raw.ChangeMessageVisibility(bounded(t), &sqs.ChangeMessageVisibilityInput{
			QueueUrl: &s.c.group.url, ReceiptHandle: &s.receipt})
		r.check(err)
	}
	if err := ds[0].Extend(bounded(t), time.Minute); !errors.Is(err, tidings.ErrLost) {
		t.Errorf("Extend: got %v, want %v", err, tidings.ErrLost)
	}
	r.check(ds[0].Ack(bounded(t)))
	r.check(ds[2].Ack(bounded(t)))
	var commits sync.WaitGroup
	for range 3 { // whoever acknowledged
		commits.Go(func() {
			if err := c.Commit(bounded(t)); !errors.Is(err, tidings.ErrLost) {
				t.Errorf("Commit: got %v, want %v", err, tidings.ErrLost)
			}
		})
	}
	commits.Wait()
	if hidden, visible := r.waiting(tr, "g"); hidden != "0" || visible != "2" {
		t.Errorf("%s are in hand and %s wait, want 0 and 2", hidden, visible)
	}
}

func TestLossesAreToldAtLeastOnceAndNotForever(t *testing.T) {
	inBubble(t, func() {
		var l losses
		first := errors.New("first")
		l.add(first)
		time.Sleep(10 * lossTime) // nobody has asked
		l.add(errors.New("second"))
		for range 2 {
			if n, err := l.tell(); n != 2 || err != first { //nolint:errorlint // it is handed on
				t.Errorf("got %d, %v", n, err)
			}
		}
		time.Sleep(lossTime + 1)
		if n, err := l.tell(); n != 0 || err != nil {
			t.Errorf("later: got %d, %v", n, err)
		}
		l.add(first)
		if n, _ := l.tell(); n != 1 {
			t.Errorf("then: got %d", n)
		}
	})
}

func TestDelaysStayWithinTwelveHoursOfTheReceive(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	c, ds := r.deliver(tr, "g", 2)
	if err := ds[0].Nack(bounded(t), 12*time.Hour+1); !errors.Is(err, tidings.ErrUnsupported) {
		t.Errorf("got %v, want %v", err, tidings.ErrUnsupported)
	}
	r.check(ds[0].Nack(bounded(t), 12*time.Hour))
	r.check(ds[1].Extend(bounded(t), 12*time.Hour))
	r.check(ds[1].Extend(bounded(t), 24*time.Hour)) // as long as SQS can
	r.check(ds[1].Ack(bounded(t)))
	r.check(c.Commit(bounded(t)))
}

func TestExtensionsShareRequests(t *testing.T) {
	r := newRig(t)
	tr, n := r.transport(Config{})
	_, ds := r.deliver(tr, "g", 40)
	var all sync.WaitGroup
	for _, d := range ds {
		all.Go(func() {
			if err := d.Extend(bounded(t), time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := n.count("ChangeMessageVisibilityBatch"); got < 4 || got > 8 {
		t.Errorf("40 extensions at a time took %d requests, want 4, and some more where the machine was slow", got)
	}
}

func TestCloseGivesBackWhatIsInHandAndWhatNobodyTook(t *testing.T) {
	r := newRig(t)
	tr, _ := r.transport(Config{})
	c := r.subscribe(tr, "g")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Receive(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("receive nothing: %v", err)
	}
	r.publish(tr, command("g", "", "polled")) // into the poll that goes on
	patience := bounded(t)
	for hidden := "0"; hidden != "1"; hidden, _ = r.waiting(tr, "g") {
		r.check(patience.Err())
	}
	r.publish(tr, command("g", "", "held"))
	d := c.next(2)
	r.check(d[0].Ack(bounded(t)))
	r.check(c.Close(bounded(t)))
	r.check(c.Close(bounded(t)))
	if hidden, visible := r.waiting(tr, "g"); hidden != "0" || visible != "1" {
		t.Errorf("%s are in hand and %s wait, want 0 and 1", hidden, visible)
	}
	if err := d[1].Ack(bounded(t)); !errors.Is(err, tidings.ErrLost) {
		t.Errorf("Ack after Close: got %v, want %v", err, tidings.ErrLost)
	}
}

func TestAPollGoesOnWhenItsReceiveEnds(t *testing.T) {
	r := newRig(t)
	tr, n := r.transport(Config{})
	c := r.subscribe(tr, "g")
	for range 3 {
		c.nothing(20 * time.Millisecond)
	}
	r.publish(tr, command("g", "", "1"))
	c.next(1)
	if got := n.count("ReceiveMessage"); got != 1 {
		t.Errorf("four calls of Receive polled %d times, want once", got)
	}
}
