package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/tidings-io/tidings"
)

const (
	// defaultWindow is how many deliveries a reader holds at most where Window is 0.
	defaultWindow = 100
	// removePatience is for the end of a Temporary group where the context of Close has ended.
	removePatience = 5 * time.Second
)

// consumer reads one queue. A poll runs when somebody receives, one at a time, and goes on when he
// stops waiting: a request that is broken off may have taken messages for nobody. What it finds
// then is ready for the next Receive, or given back by Close.
type consumer struct {
	t      *Transport
	sub    tidings.Subscription
	group  *group
	window int

	deletes *batcher
	shows   *batcher
	lost    losses

	polling  context.Context // of polls
	stopPoll context.CancelFunc
	polls    sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	poll    bool // one is under way
	held    map[*settler]bool
	ready   []*tidings.Delivery // came when nobody waited; among held
	failed  error               // of the last poll, until somebody is told
	changed chan struct{}       // closed and made anew when Receive should look again
}

func newConsumer(t *Transport, sub tidings.Subscription, g *group) *consumer {
	c := &consumer{t: t, sub: sub, group: g, window: cmp.Or(sub.Window, defaultWindow),
		held: map[*settler]bool{}, changed: make(chan struct{})}
	c.deletes, c.shows = newBatcher(c.remove), newBatcher(c.show)
	c.polling, c.stopPoll = context.WithCancel(context.Background())
	return c
}

// Receive waits for deliveries, of which it returns up to ten.
func (c *consumer) Receive(ctx context.Context, most int) ([]*tidings.Delivery, error) {
	if most < 1 {
		return nil, fmt.Errorf("aws: receive at most %d", most)
	}
	for {
		ds, again, err := c.take(ctx, most)
		if err != nil || len(ds) > 0 {
			return ds, err
		}
		if err := again.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// look is when Receive should look again.
type look struct {
	changed <-chan struct{}
	at      time.Time // at the latest; zero for no such time
}

func (l look) wait(ctx context.Context) error {
	var due <-chan time.Time
	if !l.at.IsZero() {
		timer := time.NewTimer(time.Until(l.at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-l.changed:
	case <-due:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// take is what is ready. Where that is nothing a poll begins if there is room.
func (c *consumer) take(ctx context.Context, most int) ([]*tidings.Delivery, look, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, look{}, tidings.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, look{}, err
	}
	if ds := c.takeReadyLocked(most); len(ds) > 0 {
		return ds, look{}, nil
	}
	if err := c.failed; err != nil {
		c.failed = nil
		return nil, look{}, err
	}
	room, later := c.roomLocked(time.Now())
	if n := min(most, room, mostEntries); n > 0 && !c.poll {
		c.poll = true
		c.polls.Go(func() { c.receive(int32(n)) })
	}
	return nil, look{c.changed, later}, nil
}

// roomLocked is how much more may be held, or when there is room at the latest: what is overdue is not
// ours any more, whether or not its holder has come to know.
func (c *consumer) roomLocked(now time.Time) (room int, later time.Time) {
	if len(c.held) < c.window {
		return c.window - len(c.held), later
	}
	for s := range c.held {
		switch {
		case s.overdueLocked(now):
			delete(c.held, s)
		case later.IsZero() || s.deadline.Before(later):
			later = s.deadline
		}
	}
	return c.window - len(c.held), later
}

// takeReadyLocked leaves out what has waited for too long, which comes again when its time is over: whoever
// gets a delivery extends it by the time that it has then, and should not have to do so all the time.
func (c *consumer) takeReadyLocked(most int) (ds []*tidings.Delivery) {
	now := time.Now().Add(c.t.config.VisibilityTimeout / 2)
	for len(c.ready) > 0 && len(ds) < most {
		d := c.ready[0]
		c.ready = c.ready[1:]
		if s := d.Settler.(*settler); s.overdueLocked(now) {
			delete(c.held, s)
		} else {
			ds = append(ds, d)
		}
	}
	return ds
}

// receive polls once.
func (c *consumer) receive(n int32) {
	visible := c.t.config.VisibilityTimeout
	in := &sqs.ReceiveMessageInput{
		QueueUrl: &c.group.url, MaxNumberOfMessages: n, WaitTimeSeconds: seconds(c.t.config.PollTime),
		VisibilityTimeout: seconds(visible), MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"},
	}
	if c.t.config.FIFO { // the SDK's second try gets what the answer to the first had
		in.ReceiveRequestAttemptId = sdk.String(tidings.NewID())
	}
	out, err := c.t.sqs.ReceiveMessage(c.polling, in)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poll = false
	if err != nil {
		c.failed = fmt.Errorf("aws: receive from queue %s: %w", c.group.url, err)
	} else {
		for i := range out.Messages {
			m := &out.Messages[i]
			s := &settler{c: c, receipt: *m.ReceiptHandle, received: now, deadline: deadline(now, visible)}
			c.held[s] = true
			d := c.delivery(m)
			d.Deadline, d.Settler = s.deadline, s
			c.ready = append(c.ready, d)
		}
	}
	c.wakeLocked()
}

func (c *consumer) wakeLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Commit waits until SQS has deleted what was acknowledged before. It is tidings.ErrLost where the
// time of a delivery was over before that, which may be handed out again.
func (c *consumer) Commit(ctx context.Context) error {
	if err := c.deletes.flush(ctx); err != nil {
		return fmt.Errorf("aws: commit: %w", err)
	}
	if n, err := c.lost.tell(); err != nil {
		return fmt.Errorf("aws: commit: %d deliveries are not deleted: %w", n, err)
	}
	return nil
}

// Close commits, makes what is not settled visible again, and deletes the queue of a Temporary
// group. A poll that it breaks off may have taken messages, which are visible when their time is
// over.
func (c *consumer) Close(ctx context.Context) error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.wakeLocked()
	c.mu.Unlock()
	if again {
		return nil
	}
	c.stopPoll()
	c.polls.Wait()
	returned := c.giveBack(ctx)
	err := errors.Join(c.Commit(ctx), returned)
	c.deletes.close()
	c.shows.close()
	if c.sub.Temporary {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removePatience)
		defer cancel() // a queue that is left is left forever
		err = errors.Join(err, c.t.places.remove(ctx, c.sub.Group, c.group))
	}
	return err
}

// giveBack makes what is held visible. It is nobody's to settle any more.
func (c *consumer) giveBack(ctx context.Context) error {
	c.mu.Lock()
	var changes []change
	now := time.Now()
	for s := range c.held {
		s.state = lost
		if !s.overdueLocked(now) { // else somebody else may have it
			changes = append(changes, change{receipt: s.receipt, until: s.deadline})
		}
	}
	clear(c.held)
	c.ready = nil
	c.mu.Unlock()
	answers := make(chan error, len(changes))
	for _, one := range changes {
		one.done = func(err error) { answers <- err }
		if err := c.shows.put(ctx, one); err != nil {
			return fmt.Errorf("aws: give back: %w", err)
		}
	}
	if err := c.shows.flush(ctx); err != nil {
		return fmt.Errorf("aws: give back: %w", err)
	}
	close(answers)
	var all []error
	for err := range answers {
		if !errors.Is(err, tidings.ErrLost) { // what was lost is back already
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
