package kafka

import (
	"context"
	"errors"
	"fmt"
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
			lost = lost || l.lost
		}
	}
	return left, lost
}

// commit tells the broker how far lanes are. One commits at a time, and chooses the lanes then, so
// that no older position follows a newer one: the broker would take it, also for a partition that
// another member has by now.
func (c *consumer) commit(ctx context.Context, lanes func() []*laneState) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	say := c.positions(lanes())
	if len(say.offsets) == 0 {
		return nil
	}
	var resp *kmsg.OffsetCommitResponse
	var err error
	c.client.CommitOffsetsSync(kgo.PreCommitFnContext(ctx, say.addTexts), say.offsets,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, r *kmsg.OffsetCommitResponse, failure error) {
			resp, err = r, failure
		})
	if err == nil {
		err = commitError(resp, nil)
	}
	if err == nil {
		c.save(say)
	}
	if errors.Is(err, kerr.OffsetMetadataTooLarge) {
		c.mu.Lock()
		c.room /= 2 // says less, and in the end nothing
		c.mu.Unlock()
	}
	return err
}

// sayings are the positions of one commit.
type sayings struct {
	offsets map[string]map[int32]kgo.EpochOffset
	texts   map[partition]string
	changes map[*laneState]uint64
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

// whole says whether a text has room for all of a position. One that has not says less of what
// is settled, so that Commit goes on waiting for what is in hand.
func whole(at lane.Position, text string) bool {
	return lane.Parse(at.Low, text).Until == at.Until
}

// addTexts puts the texts beside their offsets.
func (s sayings) addTexts(q *kmsg.OffsetCommitRequest) error {
	for i := range q.Topics {
		topic := &q.Topics[i]
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			text := s.texts[partition{topic.Topic, p.Partition}]
			p.Metadata = &text
		}
	}
	return nil
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
