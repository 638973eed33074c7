package aws

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/tidings-io/tidings/tests/clients/server"
)

const (
	senders   = 4
	receivers = 3
	backlog   = 5_000 // messages that were sent and not deleted: the senders are the faster ones
	patient   = 60 * time.Second
	// invisible is the visibility timeout of what is received.
	invisible = 5 * time.Second
	// lately is how long before a kill a receive may have been answered that was not on disk.
	lately = time.Second
	// letGo is which message is not deleted when it comes first.
	letGo = 97
)

// seen is what is known of one message.
type seen struct {
	id       string // of SQS, when it was delivered
	sent     bool   // that was answered
	count    int    // the receive count that was told last
	asked    time.Time
	answered time.Time // the last receive
	settled  bool      // a delete was sent
	deleted  time.Time // when one was answered
}

// load is what senders and receivers saw. Messages are numbers, and each is sent once.
type load struct {
	c     *sqs.Client
	queue *string

	mu       sync.Mutex
	messages []seen
	sent     int
	deleted  int
	missing  int // sent, that is answered, and no delete was sent
	again    int // deliveries of what was delivered before
	wrong    []string
	kills    []time.Time
	progress chan struct{}
	room     *sync.Cond // with mu: another delete was sent
}

func (l *load) tell(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	select {
	case l.progress <- struct{}{}:
	default:
	}
}

// newLoad makes a queue, and a load for it.
func newLoad(t *testing.T, s *server.Server, name string) *load {
	t.Helper()
	l := &load{c: once(s.SQS), progress: make(chan struct{}, 1)}
	l.room = sync.NewCond(&l.mu)
	out, err := l.c.CreateQueue(bounded(t), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	l.queue = out.QueueUrl
	return l
}

// once is a client that does not try again: each message is sent once.
func once(endpoint string) *sqs.Client {
	o := dial(endpoint, "any", "key").Options()
	o.RetryMaxAttempts = 1
	return sqs.New(o)
}

// again runs a client until the context ends, and anew when a request failed.
func again(ctx context.Context, client func(context.Context) error) {
	for ctx.Err() == nil {
		_ = client(ctx) // what it lost is judged by what it saw
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// killed notes that the program was killed just now.
func (l *load) killed() {
	l.tell(func() { l.kills = append(l.kills, time.Now()) })
}

// await waits until so many more messages have been deleted.
func (l *load) await(t *testing.T, more int) {
	t.Helper()
	l.mu.Lock()
	want := l.deleted + more
	l.mu.Unlock()
	l.until(t, func() bool { return l.deleted >= want })
}

// awaitAll waits until everything whose send was answered has been received, and the queue is empty: what
// was sent without an answer is received too, or was never there.
func (l *load) awaitAll(t *testing.T) {
	t.Helper()
	l.until(t, func() bool { return l.missing == 0 })
	const waiting, inFlight = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
	for limit := time.Now().Add(patient); ; {
		out, err := l.c.GetQueueAttributes(bounded(t), &sqs.GetQueueAttributesInput{QueueUrl: l.queue,
			AttributeNames: []types.QueueAttributeName{waiting, inFlight}})
		if err != nil {
			t.Fatal(err)
		}
		if out.Attributes[waiting] == "0" && out.Attributes[inFlight] == "0" {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the queue is not empty within %v: %v", patient, out.Attributes)
		}
		time.Sleep(50 * time.Millisecond) // nothing tells when it is
	}
}

func (l *load) until(t *testing.T, done func() bool) {
	t.Helper()
	limit := time.After(patient)
	for {
		l.mu.Lock()
		ok, sent, deleted, missing := done(), l.sent, l.deleted, l.missing
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-l.progress:
		case <-limit:
			t.Fatalf("%d messages sent, %d deleted, %d missing, and no more within %v", sent, deleted, missing, patient)
		}
	}
}

func (l *load) judge(t *testing.T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d sends answered, %d deletes answered, %d received again", l.sent, l.deleted, l.again)
	if l.again == 0 {
		t.Error("nothing was received again: some were not deleted")
	}
	for i, w := range l.wrong {
		if i == 20 {
			t.Errorf("and %d more", len(l.wrong)-i)
			break
		}
		t.Error(w)
	}
}

// send sends batches until a request fails.
func (l *load) send(ctx context.Context) error {
	for ctx.Err() == nil {
		in := &sqs.SendMessageBatchInput{QueueUrl: l.queue}
		for _, id := range l.reserve() {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: &id, MessageBody: &id})
		}
		out, err := l.c.SendMessageBatch(ctx, in)
		if err != nil {
			return err
		}
		for _, entry := range out.Successful {
			l.answered(*entry.Id)
		}
	}
	return nil
}

// reserve gives out the numbers of ten messages, when there is room for more.
func (l *load) reserve() (ids []string) {
	l.tell(func() {
		for l.missing > backlog {
			l.room.Wait()
		}
		for range 10 {
			ids = append(ids, strconv.Itoa(len(l.messages)))
			l.messages = append(l.messages, seen{})
		}
	})
	return ids
}

// answered notes that a message is on disk. It may have been received already, and deleted.
func (l *load) answered(id string) {
	n, _ := strconv.Atoi(id)
	l.tell(func() {
		m := &l.messages[n]
		m.sent = true
		l.sent++
		if !m.settled {
			l.missing++
		}
	})
}

// receive receives and deletes until a request fails. Some messages it lets go.
func (l *load) receive(ctx context.Context) error {
	for ctx.Err() == nil {
		asked := time.Now()
		got, err := l.c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: l.queue, MaxNumberOfMessages: 10,
			WaitTimeSeconds: 1, VisibilityTimeout: int32(invisible.Seconds()),
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{"ApproximateReceiveCount"}})
		if err != nil {
			return err
		}
		in := &sqs.DeleteMessageBatchInput{QueueUrl: l.queue}
		l.tell(func() {
			for i := range got.Messages {
				m := &got.Messages[i]
				if n, toDelete := l.see(m, asked); toDelete {
					l.settle(n)
					in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: m.Body, ReceiptHandle: m.ReceiptHandle})
				}
			}
		})
		if len(in.Entries) == 0 {
			continue
		}
		done, err := l.c.DeleteMessageBatch(ctx, in)
		if err != nil {
			return err
		}
		l.tell(func() {
			for _, entry := range done.Successful {
				n, _ := strconv.Atoi(*entry.Id)
				if m := &l.messages[n]; m.deleted.IsZero() {
					m.deleted = time.Now()
					l.deleted++
				}
			}
			for _, entry := range done.Failed {
				l.wrong = append(l.wrong, fmt.Sprintf("message %s: delete answered %s", *entry.Id, *entry.Code))
			}
		})
	}
	return nil
}

// settle notes that a delete of a message is sent.
func (l *load) settle(n int) {
	m := &l.messages[n]
	if m.sent && !m.settled {
		l.missing--
		l.room.Signal()
	}
	m.settled = true
}

// see judges one delivery, and says whether to delete it.
func (l *load) see(got *types.Message, asked time.Time) (n int, toDelete bool) {
	wrong := func(format string, args ...any) {
		l.wrong = append(l.wrong, fmt.Sprintf("message %s: ", *got.Body)+fmt.Sprintf(format, args...))
	}
	n, err := strconv.Atoi(*got.Body)
	if err != nil || n >= len(l.messages) {
		wrong("nobody sent it")
		return 0, false
	}
	count, _ := strconv.Atoi(got.Attributes["ApproximateReceiveCount"])
	now, m := time.Now(), &l.messages[n]
	if !m.deleted.IsZero() && m.deleted.Before(asked) {
		wrong("it came back %v after its delete was answered", now.Sub(m.deleted))
	}
	first := m.id == ""
	if !first {
		l.again++
		if m.id != *got.MessageId {
			wrong("it is there twice, as %s and %s", m.id, *got.MessageId)
		}
		if remembered := !l.killedSoonAfter(m.answered); remembered {
			if early := m.asked.Add(invisible).Sub(now); early > time.Millisecond { // in which leases are counted
				wrong("visible %v too early", early)
			}
			if count <= m.count {
				wrong("received the %d. time, after the %d.", count, m.count)
			}
		}
	}
	m.id, m.count, m.asked, m.answered = *got.MessageId, count, asked, now
	return n, !first || n%letGo != 0
}

// killedSoonAfter says whether a kill may have come before the disk learned of what was answered then.
func (l *load) killedSoonAfter(then time.Time) bool {
	return slices.ContainsFunc(l.kills, func(kill time.Time) bool {
		return kill.After(then) && kill.Before(then.Add(lately))
	})
}
