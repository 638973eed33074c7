package kafka

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/internal/lane"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partition is one of a topic.
type partition struct {
	topic  string
	number int32
}

func (p partition) String() string { return p.topic + "/" + strconv.Itoa(int(p.number)) }

// laneState is a partition while it is this consumer's. Guarded by consumer.mu.
type laneState struct {
	*lane.Lane
	partition partition
	lost      bool // it is somebody else's now
	next      int64
	inHand    int
	// changes counts settlements, saved those of them that the broker knows.
	changes, saved uint64
}

// committed is where the group was in a partition when this member got it.
type committed struct {
	offset int64
	text   string
}

// begin notes what the group has committed in partitions that were assigned, before they are
// fetched. franz-go has asked for their offsets, but does not tell what is beside them.
func (c *consumer) begin(
	ctx context.Context, offsets map[string]map[int32]kgo.Offset,
) (map[string]map[int32]kgo.Offset, error) {
	found, err := c.transport.topics.admin.FetchOffsets(ctx, c.group)
	if err != nil {
		return nil, fmt.Errorf("kafka: offsets of group %q: %w", c.group, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, partitions := range offsets {
		for n := range partitions {
			at, ok := found.Lookup(topic, n)
			if at.Err != nil {
				return nil, fmt.Errorf("kafka: offset of group %q in %s/%d: %w", c.group, topic, n, at.Err)
			}
			if ok {
				c.committed[partition{topic, n}] = committed{at.At, at.Metadata}
			}
		}
	}
	return offsets, nil
}

// registerLocked makes a record a delivery to be; nil where it is settled already.
func (c *consumer) registerLocked(r *kgo.Record) *handed {
	l := c.laneLocked(partition{r.Topic, r.Partition}, r.Offset)
	l.next = r.Offset + 1
	if !l.Take(r.Offset) {
		return nil
	}
	in := decode(r, c.group)
	h := &handed{
		consumer: c, lane: l, offset: r.Offset, received: in, due: in.notBefore,
		name: l.partition.String(), size: encodedSize(r),
	}
	if !in.notBefore.IsZero() {
		h.name += "/" + strconv.FormatInt(r.Offset, 10)
	}
	return h
}

// laneLocked is the lane of a partition, which begins where the group was. Where an offset is
// before that, the partition has lost its end, and it begins again.
func (c *consumer) laneLocked(p partition, off int64) *laneState {
	if l := c.lanes[p]; l != nil {
		if off >= l.next {
			return l
		}
		c.forgotten = c.forgotten || l.saved < l.changes
		c.dropLocked(l)
	}
	l := &laneState{partition: p, Lane: lane.At(lane.Position{Low: off, Until: off})}
	if at, ok := c.committed[p]; ok && at.offset >= 0 && at.offset <= off {
		l.Lane = lane.At(lane.Parse(at.offset, at.text))
	}
	c.lanes[p] = l
	return l
}

// handOutLocked puts a delivery in somebody's hands.
func (c *consumer) handOutLocked(h *handed) *tidings.Delivery {
	c.inHand++
	h.lane.inHand++
	h.state = inHand
	return &tidings.Delivery{
		Event: h.event, Lane: h.name, Offset: h.offset, Attempt: h.attempt, Settler: h,
	}
}

// releaseLocked takes a delivery out of somebody's hands, and wakes Receive where it waits for that.
func (c *consumer) releaseLocked(h *handed) {
	h.state = settled
	h.lane.inHand--
	c.inHand--
	if c.inHand == c.window-1 {
		c.interrupt()
	}
}

// revokeTime bounds the commit in a rebalance, which waits for it.
const revokeTime = 10 * time.Second

// revoked commits what is settled of partitions that go to other members. What is in hand of them
// is lost, and delivered there.
func (c *consumer) revoked(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	ctx, cancel := context.WithTimeout(ctx, revokeTime)
	defer cancel()
	lanes := c.drop(gone)
	if err := c.commit(ctx, func() []*laneState { return lanes }); err != nil {
		c.transport.config.Logger.Warn("kafka: what is settled could not be committed in a rebalance"+
			" and is delivered again", "group", c.group, "error", err)
	}
	c.noteForgotten(lanes)
}

// lost is for partitions that other members have already.
func (c *consumer) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	c.noteForgotten(c.drop(gone))
}

// drop ends lanes; nothing of them is settled or delivered any more.
func (c *consumer) drop(gone map[string][]int32) (dropped []*laneState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, numbers := range gone {
		for _, n := range numbers {
			p := partition{topic, n}
			delete(c.committed, p)
			if l := c.lanes[p]; l != nil {
				dropped = append(dropped, c.dropLocked(l))
				c.leaving[l] = true // until noteForgotten
			}
		}
	}
	c.interrupt()
	return dropped
}

// dropAll ends what is left, and says whether settlements went without a commit.
func (c *consumer) dropAll() (forgotten bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lanes {
		c.forgotten = c.forgotten || l.saved < l.changes
		c.dropLocked(l)
	}
	return c.forgotten && !c.temporary
}

func (c *consumer) dropLocked(l *laneState) *laneState {
	delete(c.lanes, l.partition)
	l.lost = true
	c.inHand -= l.inHand
	l.inHand = 0
	c.ready = c.held.without(l, c.ready)
	return l
}

// noteForgotten remembers for Commit that settlements went with their partition.
func (c *consumer) noteForgotten(lanes []*laneState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range lanes {
		delete(c.leaving, l)
		c.forgotten = c.forgotten || l.saved < l.changes
	}
}
