package embedded

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/broker"
)

// consumer reads one subscription: partitions of topics that are its own for now, and the group's
// address.
type consumer struct {
	t      *Transport
	g      *group
	topics []*broker.Topic
	from   tidings.Start
	window int

	wake      chan struct{} // something may be there to receive; capacity 1
	done      chan struct{} // closed by Close
	receiving chan struct{} // of the one call of Receive, and of Close; capacity 1
	closed    chan struct{} // Close has ended

	// For the call of Receive.
	known   []int // partitions of each topic
	turn    int
	reading reading

	// Guarded by the group's mutex.
	ended      bool
	collecting bool // partitions are read: they are not to move
	parts      []*part
	inHand     int
	letters    letters
}

// Subscribe declares and reads. Consumers of one group share the partitions of its topics and what
// comes to its address.
func (t *Transport) Subscribe(ctx context.Context, s tidings.Subscription) (
	tidings.Consumer, error) {
	if err := t.Declare(ctx, s); err != nil {
		return nil, err
	}
	c := &consumer{t: t, from: s.From, window: cmp.Or(s.Window, t.c.Window),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		receiving: make(chan struct{}, 1), closed: make(chan struct{})}
	var owner *consumer
	if s.Temporary {
		c.g, owner = newGroup(t.h, s.Group, true), c
	} else {
		c.g = t.h.group(s.Group)
	}
	q, err := t.address(ctx, s.Group, owner)
	if err != nil {
		return nil, err
	}
	if c.topics, err = t.topics(ctx, s.Topics); err != nil {
		return nil, err
	}
	c.known = make([]int, len(c.topics))
	if err := t.open(c); err != nil {
		return nil, err
	}
	c.letters.open(c, q)
	if err := c.g.join(ctx, c); err != nil {
		_ = c.Close(ctx) // nothing was received yet
		return nil, err
	}
	return c, nil
}

// open keeps a consumer for Close.
func (t *Transport) open(c *consumer) error {
	t.start(&t.saving, t.save)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return tidings.ErrClosed
	}
	t.consumers[c] = struct{}{}
	return nil
}

// Receive returns what is there, or waits: it is woken by what comes.
func (c *consumer) Receive(ctx context.Context, max int) ([]*tidings.Delivery, error) {
	select {
	case <-c.done:
		return nil, tidings.ErrClosed
	case c.receiving <- struct{}{}:
	}
	defer func() { <-c.receiving }()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.grow(ctx); err != nil {
			return nil, err
		}
		got, err := c.collect(max)
		if err != nil || len(got) > 0 {
			return got, err
		}
		if err := c.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// wait is until something may be there, or until there is room for it.
func (c *consumer) wait(ctx context.Context) error {
	var due <-chan time.Time
	if at := c.fullUntil(); !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-c.wake:
	case <-due:
	case <-c.done:
		return tidings.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case <-c.t.b.Failed():
		return c.t.b.Err()
	}
	return nil
}

// fullUntil is when a window that is full has room, if nothing is settled: zero for never, or where it
// has room now.
func (c *consumer) fullUntil() time.Time {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if c.inHand < c.window {
		return time.Time{}
	}
	return c.letters.firstOverdueLocked()
}

// grow takes partitions into account that topics have got since: whoever watches the first one is
// woken then. Reading ends with a topic.
func (c *consumer) grow(ctx context.Context) error {
	for i, topic := range c.topics {
		if _, err := c.t.b.TopicByID(topic.ID()); err != nil {
			return err
		}
		if topic.Partitions() != c.known[i] {
			return c.g.join(ctx, c)
		}
	}
	return nil
}

// collect takes at most max deliveries that are there.
func (c *consumer) collect(most int) ([]*tidings.Delivery, error) {
	select {
	case <-c.done:
		return nil, tidings.ErrClosed
	default:
	}
	got, parts, room, err := c.begin(most)
	if err != nil || len(parts) == 0 {
		return got, err
	}
	read, err := c.read(parts, room)
	got = c.handOver(got, read)
	if len(got) > 0 {
		return got, nil // what is wrong is found again
	}
	return nil, err
}

// begin takes what is in memory, and says where to read more, and how much; no parts: not at all.
func (c *consumer) begin(most int) (got []*tidings.Delivery, parts []*part, room int, err error) {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if c.inHand >= c.window {
		c.letters.expireLocked(time.Now())
	}
	room = min(most, c.window-c.inHand)
	if room <= 0 {
		return nil, nil, 0, nil
	}
	for _, x := range c.parts {
		x.waiter.Rearm()
		for len(x.again) > 0 && len(got) < room && x.next == c {
			d := x.again[0]
			x.again = x.again[1:]
			d.c = c
			c.inHand++
			got = append(got, &d.Delivery)
		}
		if x.next == c {
			parts = append(parts, x)
		}
	}
	fair := room - len(got)
	if len(parts) > 0 {
		fair = (fair + 1) / 2
	}
	if got, err = c.letters.takeLocked(got, fair); err != nil && len(got) == 0 {
		return nil, nil, 0, err
	}
	if room -= len(got); room == 0 {
		return got, nil, 0, nil
	}
	c.collecting = len(parts) > 0
	return got, parts, room, nil
}

// read reads from partitions, in turn: first a share from each, then what there is.
func (c *consumer) read(parts []*part, room int) (read []*delivery, err error) {
	c.turn++
	for range 2 {
		for i := range parts {
			left := room - len(read)
			if left == 0 {
				return read, nil
			}
			share := (left + len(parts) - i - 1) / (len(parts) - i)
			x := parts[(c.turn+i)%len(parts)]
			var failed error
			if read, failed = x.read(&c.reading, read, share); failed != nil {
				err = failed
			}
		}
	}
	return read, err
}

// handOver makes what was read the reader's, but for what is settled already.
func (c *consumer) handOver(got []*tidings.Delivery, read []*delivery) []*tidings.Delivery {
	g := c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	c.collecting = false
	got = slices.Grow(got, len(read))
	for _, d := range read {
		x := d.part
		if x.next != c {
			x.rereadLocked()
			continue
		}
		if !x.lane.Take(d.Offset) {
			continue // it is settled
		}
		d.c, d.Attempt = c, x.attemptLocked(d.Offset)
		c.inHand++
		got = append(got, &d.Delivery)
	}
	for _, x := range slices.Clone(c.parts) {
		if x.passed > 0 {
			x.lane.Pass(int64(x.passed))
			x.passed = 0
			x.soilLocked()
		}
		x.settleMoveLocked()
	}
	return got
}

// dropLocked says that a partition is another's now.
func (c *consumer) dropLocked(x *part) {
	c.parts = slices.DeleteFunc(c.parts, func(p *part) bool { return p == x })
}

// freeLocked says that a delivery is not in hands any more.
func (c *consumer) freeLocked() {
	if c.inHand == c.window {
		ring(c.wake)
	}
	c.inHand--
}

// Commit waits until all that was settled before is on disk. That never comes again.
func (c *consumer) Commit(ctx context.Context) error {
	if err := c.g.save(ctx); err != nil {
		return err
	}
	return c.letters.commit(ctx)
}

// Close gives back what is in hands: settling it is tidings.ErrLost from now on.
func (c *consumer) Close(ctx context.Context) error {
	c.g.mu.Lock()
	again := c.ended
	c.ended = true
	c.g.mu.Unlock()
	if again {
		select {
		case <-c.closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	close(c.done)
	c.receiving <- struct{}{} // Receive has returned, and never begins again
	c.letters.close()
	c.g.leave(c)
	err := c.Commit(ctx)
	if late := c.letters.end(ctx); err == nil {
		err = late
	}
	c.t.mu.Lock()
	delete(c.t.consumers, c)
	c.t.mu.Unlock()
	close(c.closed)
	return err
}

// ring wakes who waits on a channel of capacity 1; one that is full was told.
func ring(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func offsetText(off broker.Offset) string { return strconv.FormatInt(int64(off), 10) }
