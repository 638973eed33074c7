package aws

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/tidings-io/tidings/tests/clients/server"
)

const (
	groups = 32
	// inOrder is the visibility timeout of what is received from a FIFO queue: a group waits for so long when
	// an answer was lost.
	inOrder = "2"
)

// TestGroupsKeepTheirOrderOverSIGKILL does the same with groups of a FIFO queue. A send that was not answered
// is sent again, until it is: every message is there once. One is received only when all before it in its
// group have been, and those of earlier answers were deleted.
func TestGroupsKeepTheirOrderOverSIGKILL(t *testing.T) {
	s := server.Start(t)
	f := newFIFO(t, s)
	underKills(t, s, f.send, f)
	f.judge(t)
}

// fifo is what senders and receivers of a FIFO queue saw. Messages are numbers, counted in each group.
type fifo struct {
	*load
	free chan int // groups for which nobody sends

	line  [groups][]placed // guarded by load.mu, as is first
	first [groups]int      // the first message that is not settled
	next  [groups]int      // to be sent; of who has taken the group
}

// placed is what is known of a message: of what load has, what matters for order.
type placed struct {
	id      string
	sent    bool
	deletes int       // that were sent, and not refused
	deleted time.Time // when one was answered
}

func newFIFO(t *testing.T, s *server.Server) *fifo {
	t.Helper()
	f := &fifo{load: newLoad(t, s, "standard"), free: make(chan int, groups)}
	out, err := f.c.CreateQueue(bounded(t), &sqs.CreateQueueInput{QueueName: aws.String("jobs.fifo"),
		Attributes: map[string]string{"FifoQueue": "true", "VisibilityTimeout": inOrder}})
	if err != nil {
		t.Fatal(err)
	}
	f.queue = out.QueueUrl
	for g := range groups {
		f.free <- g
	}
	return f
}

// send sends to one group after the other until a request fails.
func (f *fifo) send(ctx context.Context) error {
	for ctx.Err() == nil {
		g := <-f.free
		err := f.sendTo(ctx, g)
		f.free <- g
		if err != nil {
			return err
		}
	}
	return nil
}

// sendTo sends the next messages of a group; when there is no answer, they are the next ones once more.
func (f *fifo) sendTo(ctx context.Context, g int) error {
	const atOnce = 3
	f.tell(func() {
		for f.missing > backlog/10 {
			f.room.Wait()
		}
		for len(f.line[g]) < f.next[g]+atOnce {
			f.line[g] = append(f.line[g], placed{})
		}
	})
	in := &sqs.SendMessageBatchInput{QueueUrl: f.queue}
	for n := f.next[g]; n < f.next[g]+atOnce; n++ {
		body := fmt.Sprintf("%d-%d", g, n)
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: &body, MessageBody: &body,
			MessageDeduplicationId: &body, MessageGroupId: aws.String(strconv.Itoa(g))})
	}
	out, err := f.c.SendMessageBatch(ctx, in)
	if err != nil {
		return err
	}
	if len(out.Failed) > 0 {
		return errors.New(*out.Failed[0].Code)
	}
	f.tell(func() {
		for n := f.next[g]; n < f.next[g]+atOnce; n++ {
			f.line[g][n].sent = true
			if f.sent++; f.line[g][n].deletes == 0 {
				f.missing++
			}
		}
	})
	f.next[g] += atOnce
	return nil
}

// receive receives and deletes until a request fails.
func (f *fifo) receive(ctx context.Context) error {
	for ctx.Err() == nil {
		asked := time.Now()
		got, err := f.c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: f.queue, MaxNumberOfMessages: 10,
			WaitTimeSeconds: 1})
		if err != nil {
			return err
		}
		in := &sqs.DeleteMessageBatchInput{QueueUrl: f.queue}
		f.tell(func() {
			for i := range got.Messages {
				f.see(&got.Messages[i], asked)
				in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: got.Messages[i].Body,
					ReceiptHandle: got.Messages[i].ReceiptHandle})
			}
		})
		if len(in.Entries) == 0 {
			continue
		}
		done, err := f.c.DeleteMessageBatch(ctx, in)
		if err != nil {
			return err
		}
		f.tell(func() {
			for _, entry := range done.Successful {
				if m, _, _ := f.at(*entry.Id); m.deleted.IsZero() {
					m.deleted = time.Now()
					f.deleted++
				}
			}
			for _, entry := range done.Failed {
				f.refused(*entry.Id, *entry.Code)
			}
		})
	}
	return nil
}

// at is the message of a body; nil: nobody sent it.
func (f *fifo) at(body string) (m *placed, group, number int) {
	left, right, _ := strings.Cut(body, "-")
	g, err1 := strconv.Atoi(left)
	n, err2 := strconv.Atoi(right)
	if err1 != nil || err2 != nil || g >= groups || n >= len(f.line[g]) {
		return nil, 0, 0
	}
	return &f.line[g][n], g, n
}

// see judges one delivery, of which a delete will be sent.
func (f *fifo) see(got *types.Message, asked time.Time) {
	wrong := func(format string, args ...any) {
		f.wrong = append(f.wrong, fmt.Sprintf("message %s: ", *got.Body)+fmt.Sprintf(format, args...))
	}
	m, g, n := f.at(*got.Body)
	if m == nil {
		wrong("nobody sent it")
		return
	}
	if !m.deleted.IsZero() && m.deleted.Before(asked) {
		wrong("it came back %v after its delete was answered", time.Since(m.deleted))
	}
	if m.id != "" {
		f.again++
		if m.id != *got.MessageId {
			wrong("it is there twice, as %s and %s", m.id, *got.MessageId)
		}
	}
	m.id = *got.MessageId
	if f.first[g] < n {
		wrong("it came before %d", f.first[g])
	}
	f.settle(m, g)
}

// settle notes that a delete of a message is sent.
func (f *fifo) settle(m *placed, g int) {
	if m.deletes++; m.deletes == 1 && m.sent {
		f.missing--
		f.room.Signal()
	}
	for f.first[g] < len(f.line[g]) && f.line[g][f.first[g]].deletes > 0 {
		f.first[g]++
	}
}

// refused notes that a delete came too late: the message will be received again.
func (f *fifo) refused(body, code string) {
	if code != "InvalidParameterValue" {
		f.wrong = append(f.wrong, fmt.Sprintf("message %s: delete answered %s", body, code))
	}
	m, g, n := f.at(body)
	if m.deletes--; m.deletes > 0 || !m.deleted.IsZero() {
		return
	}
	f.first[g] = min(f.first[g], n)
	if m.sent {
		f.missing++
	}
}
