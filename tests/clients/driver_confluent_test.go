//go:build cgo

package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func init() {
	drivers = append(drivers, confluent{})
	goMembers["confluent"] = confluentMember
}

// confluent drives github.com/confluentinc/confluent-kafka-go: a current librdkafka
// inside, the same that confluent's clients for Python, .NET and Node wrap.
type confluent struct{}

func (confluent) name() string {
	_, version := ck.LibraryVersion()
	return "librdkafka " + version
}
func (confluent) missing() string          { return "" }
func (confluent) lacks() map[string]string { return nil }

func (confluent) open(seed string, o produceOptions) (producer, error) {
	p, err := ck.NewProducer(&ck.ConfigMap{
		"bootstrap.servers": seed, "acks": "all", "compression.codec": o.compression,
		"enable.idempotence": o.idempotent, "message.max.bytes": 2 << 20,
		"partitioner": "murmur2_random", "reconnect.backoff.max.ms": 500,
		"go.delivery.reports": true,
	})
	return confluentProducer{p}, err
}

type confluentProducer struct{ *ck.Producer }

func (p confluentProducer) send(ctx context.Context, records []record) error {
	reports := make(chan ck.Event, len(records))
	for _, r := range records {
		m := &ck.Message{
			TopicPartition: ck.TopicPartition{Topic: &r.Topic, Partition: ck.PartitionAny},
			Key:            r.Key, Value: r.Value,
		}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, ck.Header(h))
		}
		if r.Millis != 0 {
			m.Timestamp = time.UnixMilli(r.Millis)
		}
		if err := p.Produce(m, reports); err != nil {
			return err
		}
	}
	for range records {
		select {
		case e := <-reports:
			if err := e.(*ck.Message).TopicPartition.Error; err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p confluentProducer) close() error { p.Close(); return nil }

func confluentConsumer(seed, group string, more ck.ConfigMap) (*ck.Consumer, error) {
	config := ck.ConfigMap{
		"bootstrap.servers": seed, "group.id": group, "auto.offset.reset": "earliest",
		"enable.auto.commit": false, "reconnect.backoff.max.ms": 500,
		"session.timeout.ms":    int(sessionTimeout.Milliseconds()),
		"heartbeat.interval.ms": int(heartbeatEvery.Milliseconds()),
	}
	for k, v := range more {
		config[k] = v
	}
	return ck.NewConsumer(&config)
}

func (confluent) read(ctx context.Context, seed, topic string, n int) ([]record, error) {
	c, err := confluentConsumer(seed, "reads-without-a-group", nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	meta, err := c.GetMetadata(&topic, false, 10_000)
	if err != nil {
		return nil, err
	}
	var all []ck.TopicPartition
	for _, p := range meta.Topics[topic].Partitions {
		all = append(all, ck.TopicPartition{Topic: &topic, Partition: p.ID, Offset: ck.OffsetBeginning})
	}
	if err := c.Assign(all); err != nil {
		return nil, err
	}
	var records []record
	for len(records) < n && ctx.Err() == nil {
		if m, ok := c.Poll(100).(*ck.Message); ok {
			records = append(records, fromConfluent(m))
		}
	}
	return records, ctx.Err()
}

func fromConfluent(m *ck.Message) record {
	r := record{
		Topic: *m.TopicPartition.Topic, Partition: m.TopicPartition.Partition,
		Offset: int64(m.TopicPartition.Offset), Key: m.Key, Value: m.Value,
		Millis: m.Timestamp.UnixMilli(),
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, header(h))
	}
	return r
}

func (confluent) member(o memberOptions) (memberProcess, error) {
	o.Client = "confluent"
	return goMember(o)
}

func confluentMember(ctx context.Context, o memberOptions, out *memberOutput) error {
	more := ck.ConfigMap{"partition.assignment.strategy": "cooperative-sticky"}
	if o.Instance != "" {
		more["group.instance.id"] = o.Instance
	}
	c, err := confluentConsumer(o.Seed, o.Group, more)
	if err != nil {
		return err
	}
	err = c.Subscribe(o.Topic, func(_ *ck.Consumer, e ck.Event) error {
		switch e := e.(type) {
		case ck.AssignedPartitions:
			out.gained(confluentIDs(e.Partitions))
		case ck.RevokedPartitions:
			out.lost(confluentIDs(e.Partitions))
		}
		return nil
	})
	for err == nil && ctx.Err() == nil {
		if m, ok := c.Poll(100).(*ck.Message); ok {
			out.record(fromConfluent(m))
			// What a rebalance or a restart refuses is committed with the next record.
			_, _ = c.Commit()
		}
	}
	return errors.Join(err, c.Close())
}

func confluentIDs(partitions []ck.TopicPartition) []int32 {
	var ids []int32
	for _, p := range partitions {
		ids = append(ids, p.Partition)
	}
	return ids
}

func (confluent) admin(_ context.Context, seed string) (admin, error) {
	a, err := ck.NewAdminClient(&ck.ConfigMap{"bootstrap.servers": seed})
	return confluentAdmin{a}, err
}

type confluentAdmin struct{ *ck.AdminClient }

func (a confluentAdmin) close() { a.Close() }

// confluentErr turns librdkafka's errors, 0 among them, into ours.
func confluentErr(err error) error {
	var code ck.Error
	switch {
	case !errors.As(err, &code):
		return err
	case code.Code() == ck.ErrNoError:
		return nil
	case code.Code() > 0:
		return apiError(code.Code())
	}
	return fmt.Errorf("librdkafka: %w", err)
}

// firstTopic is the one answer to a request about one topic.
func firstTopic(results []ck.TopicResult, err error) error {
	if err == nil {
		err = results[0].Error
	}
	return confluentErr(err)
}

func (a confluentAdmin) createTopic(
	ctx context.Context, topic string, partitions int, config map[string]string,
) error {
	return firstTopic(a.CreateTopics(ctx, []ck.TopicSpecification{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, Config: config,
	}}))
}

func (a confluentAdmin) deleteTopic(ctx context.Context, topic string) error {
	return firstTopic(a.DeleteTopics(ctx, []string{topic}))
}

func (a confluentAdmin) addPartitions(ctx context.Context, topic string, total int) error {
	return firstTopic(a.CreatePartitions(ctx, []ck.PartitionsSpecification{
		{Topic: topic, IncreaseTo: total},
	}))
}

func (a confluentAdmin) topicConfig(ctx context.Context, topic string) (map[string]string, error) {
	results, err := a.DescribeConfigs(ctx, []ck.ConfigResource{{Type: ck.ResourceTopic, Name: topic}})
	if err == nil {
		err = results[0].Error
	}
	if err := confluentErr(err); err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for name, c := range results[0].Config {
		values[name] = c.Value
	}
	return values, nil
}

func (a confluentAdmin) offsetsAt(
	ctx context.Context, topic string, at time.Time,
) (map[int32]int64, error) {
	meta, err := a.GetMetadata(&topic, false, 10_000)
	if err != nil {
		return nil, confluentErr(err)
	}
	wanted := make(map[ck.TopicPartition]ck.OffsetSpec)
	for _, p := range meta.Topics[topic].Partitions {
		wanted[ck.TopicPartition{Topic: &topic, Partition: p.ID}] =
			ck.NewOffsetSpecForTimestamp(at.UnixMilli())
	}
	results, err := a.ListOffsets(ctx, wanted)
	offsets := make(map[int32]int64)
	for p, r := range results.ResultInfos {
		offsets[p.Partition] = int64(r.Offset)
		err = errors.Join(err, confluentErr(r.Error))
	}
	return offsets, confluentErr(err)
}

func (a confluentAdmin) listGroups(ctx context.Context) ([]string, error) {
	all, err := a.ListConsumerGroups(ctx)
	var names []string
	for _, g := range all.Valid {
		names = append(names, g.GroupID)
	}
	slices.Sort(names)
	return names, errors.Join(append(all.Errors, err)...)
}

func (a confluentAdmin) describeGroup(ctx context.Context, group string) (groupState, error) {
	all, err := a.DescribeConsumerGroups(ctx, []string{group})
	if err != nil {
		return groupState{}, confluentErr(err)
	}
	g := all.ConsumerGroupDescriptions[0]
	return groupState{g.State.String(), len(g.Members)}, confluentErr(g.Error)
}

func (a confluentAdmin) deleteGroup(ctx context.Context, group string) error {
	all, err := a.DeleteConsumerGroups(ctx, []string{group})
	if err == nil {
		err = all.ConsumerGroupResults[0].Error
	}
	return confluentErr(err)
}

func (a confluentAdmin) deleteRecords(ctx context.Context, topic string, before int64) error {
	all, err := a.DeleteRecords(ctx, []ck.TopicPartition{
		{Topic: &topic, Partition: 0, Offset: ck.Offset(before)},
	})
	if err == nil {
		err = all.DeleteRecordsResults[0].TopicPartition.Error
	}
	return confluentErr(err)
}
