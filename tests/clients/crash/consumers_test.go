package crash

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidings-io/tidings/tests/clients/history"
)

// group is the name of the consumer group.
const group = "readers"

// consumer is a member of the group: it reads, commits what it has read, and tells the
// history both.
func (l *load) consumer(ctx context.Context) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(l.seed), kgo.ConsumerGroup(group), kgo.ConsumeTopics(l.topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.RetryBackoffFn(briefly), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.FetchMaxWait(200*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachRecord(func(r *kgo.Record) { l.read(r) })
		l.commit(ctx, client)
	}
}

func (l *load) read(r *kgo.Record) {
	at := history.Partition{Topic: r.Topic, Number: r.Partition}
	id, err := parseValue(at, r.Value)
	if err != nil {
		l.h.Phantom(at, r.Offset, err)
		return
	}
	l.h.Read(at, r.Offset, id)
}

// commit commits what was polled. What is refused, by a rebalance or by a broker that is away,
// is committed after another poll.
func (l *load) commit(ctx context.Context, client *kgo.Client) {
	offsets := client.UncommittedOffsets()
	if len(offsets) == 0 {
		return
	}
	within, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client.CommitOffsetsSync(within, offsets, func(
		_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error,
	) {
		if err == nil && accepted(resp) {
			l.h.Committed(group, commits(req))
		}
	})
}

func accepted(resp *kmsg.OffsetCommitResponse) bool {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
	}
	return true
}

func commits(req *kmsg.OffsetCommitRequest) history.Commits {
	all := make(history.Commits)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			all[history.Partition{Topic: t.Topic, Number: p.Partition}] = p.Offset
		}
	}
	return all
}

// checkCommits asks the broker what the group has committed. It asks again when the
// connection was one to the process that was killed.
func (l *load) checkCommits(ctx context.Context, admin *kadm.Client) error {
	for {
		err := l.checkCommitsOnce(ctx, admin)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(briefly(0)):
		}
	}
}

func (l *load) checkCommitsOnce(ctx context.Context, admin *kadm.Client) error {
	certain := l.h.Commits(group)
	all, err := admin.FetchOffsets(ctx, group)
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		return err
	}
	got := make(history.Commits)
	all.Each(func(o kadm.OffsetResponse) {
		got[history.Partition{Topic: o.Topic, Number: o.Partition}] = o.At
	})
	l.h.Fetched(group, certain, got)
	return nil
}
