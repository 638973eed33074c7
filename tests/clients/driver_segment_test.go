package clients

import (
	"context"
	"errors"
	"slices"
	"time"

	segment "github.com/segmentio/kafka-go"
)

// segmentio drives github.com/segmentio/kafka-go.
type segmentio struct{}

func (segmentio) name() string    { return named("kafka-go", "github.com/segmentio/kafka-go") }
func (segmentio) missing() string { return "" }

func (segmentio) lacks() map[string]string {
	return map[string]string{
		deletingRecords: "kafka-go has no DeleteRecords",
		idempotentKill:  "kafka-go has no idempotent producer",
		staticMember:    "kafka-go has no group.instance.id",
	}
}

var segmentCodecs = map[string]segment.Compression{
	"gzip": segment.Gzip, "snappy": segment.Snappy, "lz4": segment.Lz4, "zstd": segment.Zstd,
}

// open ignores idempotent: kafka-go has no such producer.
func (segmentio) open(seed string, o produceOptions) (producer, error) {
	return segmentProducer{&segment.Writer{
		Addr: segment.TCP(seed), Balancer: segment.Murmur2Balancer{},
		RequiredAcks: segment.RequireAll, Compression: segmentCodecs[o.compression],
		BatchTimeout: 10 * time.Millisecond, BatchBytes: 2 << 20, MaxAttempts: 100,
		AllowAutoTopicCreation: true,
	}}, nil
}

type segmentProducer struct{ *segment.Writer }

func (p segmentProducer) send(ctx context.Context, records []record) error {
	batch := make([]segment.Message, len(records))
	for i, r := range records {
		m := segment.Message{Topic: r.Topic, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, segment.Header(h))
		}
		if r.Millis != 0 {
			m.Time = time.UnixMilli(r.Millis)
		}
		batch[i] = m
	}
	return segmentErr(p.WriteMessages(ctx, batch...))
}

func (p segmentProducer) close() error { return p.Close() }

func (segmentio) read(ctx context.Context, seed, topic string, n int) ([]record, error) {
	partitions, err := segmentPartitions(ctx, seed, topic)
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	all := make(chan record)
	for _, p := range partitions {
		go segmentRead(ctx, seed, topic, p, segment.FirstOffset, func(r record) {
			select {
			case all <- r:
			case <-ctx.Done():
			}
		})
	}
	var records []record
	for len(records) < n {
		select {
		case r := <-all:
			records = append(records, r)
		case <-ctx.Done():
			return records, ctx.Err()
		}
	}
	return records, nil
}

func segmentPartitions(ctx context.Context, seed, topic string) ([]int, error) {
	client := &segment.Client{Addr: segment.TCP(seed)}
	meta, err := client.Metadata(ctx, &segment.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, p := range meta.Topics[0].Partitions {
		ids = append(ids, p.ID)
	}
	return ids, meta.Topics[0].Error
}

// segmentRead reads a partition until the context ends.
func segmentRead(
	ctx context.Context, seed, topic string, partition int, from int64, take func(record),
) {
	reader := segment.NewReader(segment.ReaderConfig{
		Brokers: []string{seed}, Topic: topic, Partition: partition,
		MaxBytes: 4 << 20, MaxWait: time.Second, ReadBackoffMax: 200 * time.Millisecond,
	})
	defer reader.Close()
	if err := reader.SetOffset(from); err != nil {
		return
	}
	for {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			return
		}
		take(fromSegment(m))
	}
}

func fromSegment(m segment.Message) record {
	r := record{
		Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset,
		Key: m.Key, Value: m.Value, Millis: m.Time.UnixMilli(),
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, header(h))
	}
	return r
}

func (segmentio) member(o memberOptions) (memberProcess, error) {
	o.Client = "kafka-go"
	return goMember(o)
}

// segmentMember uses kafka-go's ConsumerGroup, because its Reader does not tell
// what it is assigned.
func segmentMember(ctx context.Context, o memberOptions, out *memberOutput) error {
	group, err := segment.NewConsumerGroup(segment.ConsumerGroupConfig{
		ID: o.Group, Brokers: []string{o.Seed}, Topics: []string{o.Topic},
		SessionTimeout: sessionTimeout, HeartbeatInterval: heartbeatEvery,
		JoinGroupBackoff: 200 * time.Millisecond, StartOffset: segment.FirstOffset,
	})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		gen, err := group.Next(ctx)
		if err != nil {
			continue // the broker is away; Next has waited JoinGroupBackoff
		}
		out.change(func([]int32) []int32 { return segmentAssigned(gen, o.Topic) })
		for _, p := range gen.Assignments[o.Topic] {
			gen.Start(func(ctx context.Context) { segmentGeneration(ctx, o, gen, p, out) })
		}
	}
	return group.Close()
}

func segmentAssigned(gen *segment.Generation, topic string) []int32 {
	var ids []int32
	for _, p := range gen.Assignments[topic] {
		ids = append(ids, int32(p.ID))
	}
	return ids
}

// segmentGeneration reads one partition until the group rebalances.
func segmentGeneration(
	ctx context.Context, o memberOptions, gen *segment.Generation, p segment.PartitionAssignment,
	out *memberOutput,
) {
	segmentRead(ctx, o.Seed, o.Topic, p.ID, p.Offset, func(r record) {
		out.record(r)
		_ = gen.CommitOffsets(map[string]map[int]int64{o.Topic: {p.ID: r.Offset + 1}})
	})
}

func (segmentio) admin(_ context.Context, seed string) (admin, error) {
	return segmentAdmin{&segment.Client{Addr: segment.TCP(seed), Timeout: 10 * time.Second}}, nil
}

type segmentAdmin struct{ *segment.Client }

func (segmentAdmin) close() {}

func segmentErr(err error) error {
	var code segment.Error
	if errors.As(err, &code) {
		return apiError(code)
	}
	return err
}

func (a segmentAdmin) createTopic(
	ctx context.Context, topic string, partitions int, config map[string]string,
) error {
	spec := segment.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}
	for k, v := range config {
		entry := segment.ConfigEntry{ConfigName: k, ConfigValue: v}
		spec.ConfigEntries = append(spec.ConfigEntries, entry)
	}
	r, err := a.CreateTopics(ctx, &segment.CreateTopicsRequest{Topics: []segment.TopicConfig{spec}})
	if err == nil {
		err = r.Errors[topic]
	}
	return segmentErr(err)
}

func (a segmentAdmin) deleteTopic(ctx context.Context, topic string) error {
	r, err := a.DeleteTopics(ctx, &segment.DeleteTopicsRequest{Topics: []string{topic}})
	if err == nil {
		err = r.Errors[topic]
	}
	return segmentErr(err)
}

func (a segmentAdmin) addPartitions(ctx context.Context, topic string, total int) error {
	r, err := a.CreatePartitions(ctx, &segment.CreatePartitionsRequest{
		Topics: []segment.TopicPartitionsConfig{{Name: topic, Count: int32(total)}},
	})
	if err == nil {
		err = r.Errors[topic]
	}
	return segmentErr(err)
}

func (a segmentAdmin) topicConfig(ctx context.Context, topic string) (map[string]string, error) {
	r, err := a.DescribeConfigs(ctx, &segment.DescribeConfigsRequest{
		Resources: []segment.DescribeConfigRequestResource{
			{ResourceType: segment.ResourceTypeTopic, ResourceName: topic},
		},
	})
	if err == nil {
		err = r.Resources[0].Error
	}
	if err != nil {
		return nil, segmentErr(err)
	}
	values := make(map[string]string)
	for _, c := range r.Resources[0].ConfigEntries {
		values[c.ConfigName] = c.ConfigValue
	}
	return values, nil
}

func (a segmentAdmin) offsetsAt(
	ctx context.Context, topic string, at time.Time,
) (map[int32]int64, error) {
	partitions, err := segmentPartitions(ctx, a.Addr.String(), topic)
	if err != nil {
		return nil, segmentErr(err)
	}
	var wanted []segment.OffsetRequest
	for _, p := range partitions {
		wanted = append(wanted, segment.TimeOffsetOf(p, at))
	}
	r, err := a.ListOffsets(ctx, &segment.ListOffsetsRequest{
		Topics: map[string][]segment.OffsetRequest{topic: wanted},
	})
	if err != nil {
		return nil, segmentErr(err)
	}
	offsets := make(map[int32]int64)
	for _, p := range r.Topics[topic] {
		err = errors.Join(err, p.Error)
		for offset := range p.Offsets {
			offsets[int32(p.Partition)] = offset
		}
	}
	return offsets, segmentErr(err)
}

func (a segmentAdmin) listGroups(ctx context.Context) ([]string, error) {
	r, err := a.ListGroups(ctx, &segment.ListGroupsRequest{})
	if err == nil {
		err = r.Error
	}
	if err != nil {
		return nil, segmentErr(err)
	}
	var names []string
	for _, g := range r.Groups {
		names = append(names, g.GroupID)
	}
	slices.Sort(names)
	return names, nil
}

func (a segmentAdmin) describeGroup(ctx context.Context, group string) (groupState, error) {
	r, err := a.DescribeGroups(ctx, &segment.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err == nil {
		err = r.Groups[0].Error
	}
	if err != nil {
		return groupState{}, segmentErr(err)
	}
	return groupState{r.Groups[0].GroupState, len(r.Groups[0].Members)}, nil
}

func (a segmentAdmin) deleteGroup(ctx context.Context, group string) error {
	r, err := a.DeleteGroups(ctx, &segment.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err == nil {
		err = r.Errors[group]
	}
	return segmentErr(err)
}

func (a segmentAdmin) deleteRecords(context.Context, string, int64) error {
	return errors.ErrUnsupported
}
