package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidings-io/tidings"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errLive is that a group has members, so that offsets are theirs to commit.
var errLive = errors.New("the group has members")

// beginAt commits where a group begins in topics that are new to it. A group from the Latest that
// committed nothing would begin wherever the topics end when its first member is ready, and miss
// what was published before.
//
// The ends are asked for first, then the group's offsets: whoever else declares the group meanwhile
// can only have found ends that are later, so that nothing is missed between the two.
func (t *Transport) beginAt(ctx context.Context, s tidings.Subscription) error {
	if len(s.Topics) == 0 {
		return nil
	}
	var begin kadm.Offsets
	err := persist(ctx, func() (err error) { begin, err = t.places(ctx, s); return err })
	if err != nil {
		return err
	}
	return persist(ctx, func() error { return t.beginIn(ctx, s.Group, begin) })
}

func (t *Transport) beginIn(ctx context.Context, group string, begin kadm.Offsets) error {
	missing, err := t.uncommitted(ctx, group, begin)
	if err != nil || len(missing) == 0 {
		return err
	}
	if err = t.commitFromOutside(ctx, group, missing); errors.Is(err, errLive) {
		err = t.commitFromInside(ctx, group, missing)
	}
	return err
}

// places are the starts or ends of topics.
func (t *Transport) places(ctx context.Context, s tidings.Subscription) (kadm.Offsets, error) {
	list := t.topics.admin.ListEndOffsets
	if s.From == tidings.Earliest {
		list = t.topics.admin.ListStartOffsets
	}
	listed, err := list(ctx, s.Topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: offsets of topics: %w", err)
	}
	return listed.Offsets(), nil
}

// uncommitted are the places in topics where a group has committed nothing at all. In a topic that
// it knows, a partition without an offset is one that was added: it is read from its start.
func (t *Transport) uncommitted(
	ctx context.Context, group string, begin kadm.Offsets,
) (kadm.Offsets, error) {
	committed, err := t.topics.admin.FetchOffsets(ctx, group)
	if _, odd := committed[""]; odd && err == nil {
		err = kerr.UnknownTopicID // offsets whose topic the client could not name are not none
	}
	committed.KeepFunc(func(o kadm.OffsetResponse) bool { return begin[o.Topic] != nil })
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: offsets of group %q: %w", group, err)
	}
	missing := kadm.Offsets{}
	for topic, places := range begin {
		if known(committed[topic]) {
			continue
		}
		for _, place := range places {
			missing.AddOffset(topic, place.Partition, place.At, -1)
		}
	}
	return missing, nil
}

func known(partitions map[int32]kadm.OffsetResponse) bool {
	for _, p := range partitions {
		if p.At >= 0 {
			return true
		}
	}
	return false
}

// commitFromOutside commits as one who is not a member.
func (t *Transport) commitFromOutside(ctx context.Context, group string, at kadm.Offsets) error {
	done, err := t.topics.admin.CommitOffsets(ctx, group, at)
	if err == nil {
		err = done.Error()
	}
	switch {
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.RebalanceInProgress),
		errors.Is(err, kerr.IllegalGeneration):
		return errLive
	case err != nil:
		return fmt.Errorf("kafka: begin of group %q: %w", group, err)
	}
	return nil
}

// commitFromInside joins the group, commits and leaves.
func (t *Transport) commitFromInside(ctx context.Context, group string, at kadm.Offsets) error {
	joined := make(chan struct{}, 1)
	member, err := t.client(append(membership(group), kgo.ConsumeTopics(topicsOf(at)...),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) {
			select {
			case joined <- struct{}{}:
			default:
			}
		}))...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer member.AllowRebalance() // as in consumer.Close
	defer member.Close()
	if err := awaitJoin(ctx, member, joined); err != nil {
		return fmt.Errorf("kafka: join group %q: %w", group, err)
	}
	missing, err := t.uncommitted(ctx, group, at)
	if err != nil || len(missing) == 0 {
		return err
	}
	return commitPlaces(ctx, member, missing)
}

// awaitJoin waits for the first assignment, or for the reason why there is none.
func awaitJoin(ctx context.Context, member *kgo.Client, joined <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		failed <- nextFailure(ctx, member)
	}()
	select {
	case <-joined:
		cancel()
		<-failed
		return nil
	case err := <-failed:
		return err
	}
}

// nextFailure polls until the group cannot be joined, or ctx ends. Records are left to who will
// have their partitions.
func nextFailure(ctx context.Context, member *kgo.Client) error {
	for {
		fetches := member.PollRecords(ctx, 1)
		member.AllowRebalance()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, failure := range fetches.Errors() {
			if fatal(failure.Err) {
				return failure.Err
			}
		}
	}
}

func commitPlaces(ctx context.Context, member *kgo.Client, at kadm.Offsets) (err error) {
	member.CommitOffsetsSync(ctx, commits(at), func(_ *kgo.Client,
		_ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, failure error) {
		err = commitError(resp, failure)
	})
	if errors.Is(err, kerr.IllegalGeneration) {
		return kerr.RebalanceInProgress // it changed meanwhile, which passes
	}
	return err
}

func commitError(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil || resp == nil {
		return err
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

func commits(at kadm.Offsets) map[string]map[int32]kgo.EpochOffset {
	out := map[string]map[int32]kgo.EpochOffset{}
	for topic, places := range at {
		out[topic] = map[int32]kgo.EpochOffset{}
		for p, place := range places {
			out[topic][p] = kgo.EpochOffset{Epoch: -1, Offset: place.At}
		}
	}
	return out
}

func topicsOf(at kadm.Offsets) (topics []string) {
	for topic := range at {
		topics = append(topics, topic)
	}
	return topics
}
