package clients

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz drives github.com/twmb/franz-go: kgo and kadm. It is the judge as well.
type franz struct{}

func (franz) name() string             { return named("franz-go", "github.com/twmb/franz-go") }
func (franz) missing() string          { return "" }
func (franz) lacks() map[string]string { return nil }

func (franz) open(seed string, o produceOptions) (producer, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(seed),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(franzCodecs[o.compression]),
		kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(20),
	}
	if !o.idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(opts...)
	return franzProducer{client}, err
}

var franzCodecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

type franzProducer struct{ *kgo.Client }

func (p franzProducer) send(ctx context.Context, records []record) error {
	batch := make([]*kgo.Record, len(records))
	for i, r := range records {
		batch[i] = &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			batch[i].Headers = append(batch[i].Headers, kgo.RecordHeader(h))
		}
		if r.Millis != 0 {
			batch[i].Timestamp = time.UnixMilli(r.Millis)
		}
	}
	return p.ProduceSync(ctx, batch...).FirstErr()
}

func (p franzProducer) close() error { p.Close(); return nil }

func (franz) read(ctx context.Context, seed, topic string, n int) ([]record, error) {
	var records []record
	err := franzRead(ctx, seed, topic, n, func(r *kgo.Record) {
		records = append(records, fromFranz(r))
	})
	return records, err
}

// franzRead reads n records from the start of all partitions.
func franzRead(ctx context.Context, seed, topic string, n int, take func(*kgo.Record)) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(seed), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for n > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			take(r)
			n--
		})
	}
	return nil
}

func fromFranz(r *kgo.Record) record {
	out := record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Key: r.Key, Value: r.Value, Millis: r.Timestamp.UnixMilli(),
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, header(h))
	}
	return out
}

func (franz) member(o memberOptions) (memberProcess, error) {
	o.Client = "franz-go"
	return goMember(o)
}

// franzMember polls and commits in a goroutine; callbacks tell what it is assigned.
func franzMember(ctx context.Context, o memberOptions, out *memberOutput) error {
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Seed), kgo.ConsumerGroup(o.Group), kgo.ConsumeTopics(o.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeatEvery),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, gained map[string][]int32) {
			out.gained(gained[o.Topic])
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			out.lost(lost[o.Topic])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			out.lost(lost[o.Topic])
		}),
	}
	if o.Instance != "" {
		opts = append(opts, kgo.InstanceID(o.Instance))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close() // leaves the group, if not static
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachRecord(func(r *kgo.Record) { out.record(fromFranz(r)) })
		// A commit that a rebalance or a restart refuses is repeated after the next poll.
		_ = client.CommitUncommittedOffsets(ctx)
	}
}

func (franz) admin(_ context.Context, seed string) (admin, error) {
	return newFranzAdmin(seed)
}

func newFranzAdmin(seed string) (franzAdmin, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(seed), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return franzAdmin{}, err
	}
	return franzAdmin{kadm.NewClient(client)}, nil
}

type franzAdmin struct{ *kadm.Client }

func (a franzAdmin) close() { a.Close() }

func franzErr(err error) error {
	var code *kerr.Error
	if errors.As(err, &code) {
		return apiError(code.Code)
	}
	return err
}

func (a franzAdmin) createTopic(
	ctx context.Context, topic string, partitions int, config map[string]string,
) error {
	settings := make(map[string]*string)
	for k, v := range config {
		settings[k] = &v
	}
	_, err := a.CreateTopic(ctx, int32(partitions), 3, settings, topic)
	return franzErr(err)
}

func (a franzAdmin) deleteTopic(ctx context.Context, topic string) error {
	_, err := a.DeleteTopic(ctx, topic)
	return franzErr(err)
}

func (a franzAdmin) addPartitions(ctx context.Context, topic string, total int) error {
	all, err := a.UpdatePartitions(ctx, total, topic)
	if err == nil {
		err = all.Error()
	}
	return franzErr(err)
}

func (a franzAdmin) topicConfig(ctx context.Context, topic string) (map[string]string, error) {
	all, err := a.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, err
	}
	one, err := all.On(topic, nil)
	if err == nil {
		err = one.Err
	}
	values := make(map[string]string)
	for _, c := range one.Configs {
		values[c.Key] = c.MaybeValue()
	}
	return values, franzErr(err)
}

func (a franzAdmin) offsetsAt(
	ctx context.Context, topic string, at time.Time,
) (map[int32]int64, error) {
	all, err := a.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	if err == nil {
		err = all.Error()
	}
	offsets := make(map[int32]int64)
	all.Each(func(o kadm.ListedOffset) { offsets[o.Partition] = o.Offset })
	return offsets, franzErr(err)
}

func (a franzAdmin) listGroups(ctx context.Context) ([]string, error) {
	all, err := a.ListGroups(ctx)
	return slices.Sorted(slices.Values(all.Groups())), franzErr(err)
}

func (a franzAdmin) describeGroup(ctx context.Context, group string) (groupState, error) {
	all, err := a.DescribeGroups(ctx, group)
	if err == nil {
		err = all.Error()
	}
	return groupState{all[group].State, len(all[group].Members)}, franzErr(err)
}

func (a franzAdmin) deleteGroup(ctx context.Context, group string) error {
	_, err := a.DeleteGroup(ctx, group)
	return franzErr(err)
}

func (a franzAdmin) deleteRecords(ctx context.Context, topic string, before int64) error {
	offsets := make(kadm.Offsets)
	offsets.AddOffset(topic, 0, before, -1)
	all, err := a.DeleteRecords(ctx, offsets)
	if err == nil {
		err = all.Error()
	}
	return franzErr(err)
}

// committed is what the group has committed, summed over the partitions of a topic.
func (a franzAdmin) committed(ctx context.Context, group, topic string) (int64, error) {
	all, err := a.FetchOffsets(ctx, group)
	if err == nil {
		err = all.Error()
	}
	var sum int64
	all.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic {
			sum += max(o.At, 0)
		}
	})
	return sum, err
}
