package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidings-io/tidings"
	"github.com/tidings-io/tidings/transport/internal/lane"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxMetadata is the default of offset.metadata.max.bytes: what a broker keeps beside an offset.
const maxMetadata = 4096

// commitLoop commits what is settled, at most Config.CommitEvery later.
func (c *consumer) commitLoop() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.dirty:
		}
		if sleep(c.ctx, c.transport.config.CommitEvery) != nil {
			return
		}
		switch err := c.commit(c.ctx, c.unsaved); {
		case err == nil || c.ctx.Err() != nil:
		case fatal(err):
			c.fail(fmt.Errorf("kafka: group %q: commit: %w", c.group, err))
		default:
			c.transport.config.Logger.Warn("kafka: commit is tried again", "group", c.group, "error", err)
			c.wake()
		}
	}
}

func (c *consumer) wake() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

// unsaved are the lanes with settlements that the broker does not know.
func (c *consumer) unsaved() (lanes []*laneState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lanes {
		if l.saved < l.changes {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// Commit waits until the broker knows every settlement made before: the offset of each partition,
// before which all is settled, and beside it what is settled behind that. It is ErrLost where a
// partition went to another member before that, which delivers again what was settled. It waits
// while the group is being rebalanced.
func (c *consumer) Commit(ctx context.Context) error {
	if c.temporary {
		return nil
	}
	targets := c.targets()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := c.commit(ctx, c.unsaved)
		if left, lost := c.compare(targets); lost {
			return fmt.Errorf("kafka: group %q: commit: %w", c.group, tidings.ErrLost)
		} else if !left {
			return nil
		}
		if err != nil && fatal(err) {
			return fmt.Errorf("kafka: group %q: commit: %w", c.group, err)
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("kafka: group %q: commit: %w", c.group, err)
		}
	}
}

// targets are what each lane has settled by now.
func (c *consumer) targets() map[*laneState]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	targets := map[*laneState]uint64{}
	for _, l := range c.lanes {
		targets[l] = l.changes
	}
	for l := range c.leaving {
		targets[l] = l.changes
	}
	return targets
}

// compare says whether targets are left to save, and whether some never will be.
func (c *consumer) compare(targets map[*laneState]uint64) (left, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lost = c.forgotten
	c.forgotten = false
	for l, target := range targets {
		if l.saved < target {
			left = true
			lost = lost || l.lost && !c.leaving[l]
		}
	}
	return left, lost
}

// commit tells the broker how far lanes are. One commits at a time, so that no older position
// follows a newer one. The positions are those of the moment when the request goes out: franz-go
// holds it back while the group is joined, and a partition may be another member's by then, which
// the broker would not mind.
func (c *consumer) commit(ctx context.Context, lanes func() []*laneState) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	wanted := c.positions(lanes())
	if len(wanted.offsets) == 0 {
		return nil
	}
	var said sayings
	var err error
	ctx = kgo.PreCommitFnContext(ctx, func(q *kmsg.OffsetCommitRequest) error {
		said = c.positions(slices.DeleteFunc(lanes(), func(l *laneState) bool { return !wanted.has(l) }))
		return said.put(q)
	})
	c.client.CommitOffsetsSync(ctx, wanted.offsets, func(_ *kgo.Client,
		_ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, failure error) {
		err = commitError(resp, failure)
	})
	switch {
	case err == nil:
		c.save(said)
	case errors.Is(err, errNothing):
		return nil
	case errors.Is(err, kerr.OffsetMetadataTooLarge):
		c.mu.Lock()
		c.room /= 2 // says less, and in the end nothing
		c.mu.Unlock()
	}
	return err
}

// errNothing is that nothing is left to commit when a request goes out.
var errNothing = errors.New("nothing to commit")

// sayings are the positions of one commit.
type sayings struct {
	offsets map[string]map[int32]kgo.EpochOffset
	texts   map[partition]string
	changes map[*laneState]uint64
}

func (s sayings) has(l *laneState) bool {
	_, ok := s.texts[l.partition]
	return ok
}

func (c *consumer) positions(lanes []*laneState) sayings {
	c.mu.Lock()
	defer c.mu.Unlock()
	say := sayings{
		map[string]map[int32]kgo.EpochOffset{}, map[partition]string{}, map[*laneState]uint64{},
	}
	for _, l := range lanes {
		at := l.Position()
		p := l.partition
		if say.offsets[p.topic] == nil {
			say.offsets[p.topic] = map[int32]kgo.EpochOffset{}
		}
		say.offsets[p.topic][p.number] = kgo.EpochOffset{Epoch: -1, Offset: at.Low}
		text := at.Text(c.room)
		say.texts[p] = text
		if whole(at, text) {
			say.changes[l] = l.changes
		}
	}
	return say
}

// put says in a request what it is about, and takes out of it what it is not about any more.
func (s sayings) put(q *kmsg.OffsetCommitRequest) error {
	q.Topics = slices.DeleteFunc(q.Topics, func(topic kmsg.OffsetCommitRequestTopic) bool {
		return s.offsets[topic.Topic] == nil
	})
	for i := range q.Topics {
		topic := &q.Topics[i]
		topic.Partitions = topic.Partitions[:0]
		for number, at := range s.offsets[topic.Topic] {
			text := s.texts[partition{topic.Topic, number}]
			topic.Partitions = append(topic.Partitions, kmsg.OffsetCommitRequestTopicPartition{
				Partition: number, Offset: at.Offset, LeaderEpoch: at.Epoch, Metadata: &text,
			})
		}
	}
	if len(q.Topics) == 0 {
		return errNothing
	}
	return nil
}

// whole says whether a text has room for all of a position. One that has not says less of what
// is settled, so that Commit goes on waiting for what is in hand.
func whole(at lane.Position, text string) bool {
	return lane.Parse(at.Low, text).Until == at.Until
}

func (c *consumer) save(say sayings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, changes := range say.changes {
		l.saved = max(l.saved, changes)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
