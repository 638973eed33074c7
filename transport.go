package tidings

import (
	"context"
	"time"
)

// Publisher publishes events. A nil error means that the broker keeps every one of them, as the
// transport documents; otherwise a *PublishError says which it may not keep. A publish that failed
// may have happened all the same: publish the same events again, with the same ids.
type Publisher interface {
	Publish(ctx context.Context, events ...Event) error
}

// Scheduler publishes at a later time. What it cannot wait for is ErrUnsupported.
type Scheduler interface {
	PublishAt(ctx context.Context, at time.Time, events ...Event) error
}

// Transport is a broker as services use it. It is safe for use by many goroutines; its suite of
// tests is package transporttest.
type Transport interface {
	Publisher
	Scheduler
	// Declare makes a group with its topics where they are missing, without reading: what is
	// published from then on waits for the group. Declaring again what is there changes nothing.
	Declare(ctx context.Context, s Subscription) error
	// Subscribe declares and reads. Consumers of one group share its events.
	Subscribe(ctx context.Context, s Subscription) (Consumer, error)
	Capabilities() Capabilities
}

// Subscription is what to read, and as whom.
type Subscription struct {
	// Group names those who share the events, and is the address of commands to them.
	Group string
	// Topics whose events the group gets; none for one that takes commands only.
	Topics []string
	// From is where a new group begins.
	From Start
	// Temporary groups end with their consumer and keep nothing for later.
	Temporary bool
	// Window is how many deliveries the reader may hold unsettled, so that the transport fetches
	// no more than that; 0 is the transport's default.
	Window int
}

// Start is where a group without a past begins.
type Start uint8

const (
	// Latest begins with what is published after the group was declared.
	Latest Start = iota
	// Earliest begins with the oldest event that the topics still have; it needs
	// Capabilities.Replay.
	Earliest
)

// Consumer reads one subscription. Receive is called by one goroutine at a time; settlement may
// come from any.
type Consumer interface {
	// Receive waits for at least one delivery and returns at most max. It returns ctx's error
	// when ctx ends, ErrClosed after Close, and any other error when reading cannot go on: the
	// caller closes this consumer and subscribes again.
	Receive(ctx context.Context, max int) ([]*Delivery, error)
	// Commit waits until the broker knows every settlement that was made before the call. Several
	// may wait at once, also while Receive does.
	Commit(ctx context.Context) error
	// Close commits, gives back what is not settled for redelivery at once, and ends a Temporary
	// group.
	Close(ctx context.Context) error
}

// Delivery is an event in somebody's hands. It is settled once, by Ack or Nack.
type Delivery struct {
	Event
	// Lane is the broker's own unit of order, such as a partition; "" where there is none.
	Lane string
	// Offset is the place in the lane, ascending, where Capabilities.Positions; else -1.
	Offset int64
	// Attempt is 1 for the first delivery, and 0 where the transport cannot count.
	Attempt int
	// Deadline is when the broker takes the delivery back unless it is extended; zero for never.
	Deadline time.Time
	Settler
}

// Settler ends a delivery.
type Settler interface {
	// Ack says that the event is done. It may return before the broker knows; Commit waits.
	Ack(ctx context.Context) error
	// Nack gives the event back to its group, not before a delay has passed, which
	// Capabilities.MaxDelay bounds. Its Attempt is one higher then. Events of its key that come
	// behind it do not wait for it.
	Nack(ctx context.Context, delay time.Duration) error
	// Extend moves the deadline to d from now. It is ErrLost where it is too late, and where the
	// delivery has gone with its lane: services ask that before each attempt where the order is by
	// lane and there is no deadline, so that it should not take long then.
	Extend(ctx context.Context, d time.Duration) error
}

// Forever is no bound to a duration of Capabilities.
const Forever time.Duration = 1<<63 - 1

// Capabilities say what a transport really does. What it does not do is refused.
type Capabilities struct {
	// Order is what the broker keeps in order among the consumers of a group.
	Order Order
	// Replay: a new group can read the past.
	Replay bool
	// Positions: deliveries have a Lane and an Offset that only grow, so that one number per lane
	// tells what has been handled.
	Positions bool
	// Attempts: the count of deliveries survives the consumer.
	Attempts bool
	// Temporary groups can be had.
	Temporary bool
	// Transactions: what is consumed and what is published can be one step of the broker.
	Transactions bool
	// MaxDelay is the longest delay of Nack, 0 none but at once.
	MaxDelay time.Duration
	// MaxSchedule is how far ahead PublishAt can be, 0 not at all.
	MaxSchedule time.Duration
	// DedupWindow is how long the broker knows a published event by its id, 0 not at all.
	DedupWindow time.Duration
	// MaxBytes is the largest encoded event, 0 for no bound of its own. Copies may have CopyBytes
	// more.
	MaxBytes int
}

// Order is what stays in order among several consumers of a group, as long as nothing is given
// back.
type Order uint8

const (
	// Unordered: events may come in any order.
	Unordered Order = iota
	// OrderQueue: in order for a single consumer of the group.
	OrderQueue
	// OrderLane: in order within each lane, which one consumer has at a time.
	OrderLane
	// OrderKey: in order within each key.
	OrderKey
)

// String is the name in Capabilities.
func (o Order) String() string {
	return [...]string{"unordered", "per queue", "per lane", "per key"}[o]
}
