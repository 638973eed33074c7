package clients

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// ibm drives github.com/IBM/sarama.
type ibm struct{}

func (ibm) name() string             { return named("sarama", "github.com/IBM/sarama") }
func (ibm) missing() string          { return "" }
func (ibm) lacks() map[string]string { return nil }

func saramaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.ClientID = "sarama"
	// Long enough for a broker that is killed and started again.
	c.Metadata.Retry.Max = 60
	c.Metadata.Retry.Backoff = 100 * time.Millisecond
	return c
}

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
	"zstd": sarama.CompressionZSTD,
}

func (ibm) open(seed string, o produceOptions) (producer, error) {
	c := saramaConfig()
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Compression = saramaCodecs[o.compression]
	c.Producer.Return.Successes = true
	c.Producer.MaxMessageBytes = 2 << 20
	c.Producer.Retry.Max = 100
	c.Producer.Retry.Backoff = 100 * time.Millisecond
	if o.idempotent {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1 // sarama insists
	}
	p, err := sarama.NewSyncProducer([]string{seed}, c)
	return saramaProducer{p}, err
}

type saramaProducer struct{ sarama.SyncProducer }

func (p saramaProducer) send(_ context.Context, records []record) error {
	batch := make([]*sarama.ProducerMessage, len(records))
	for i, r := range records {
		m := &sarama.ProducerMessage{Topic: r.Topic}
		if r.Key != nil {
			m.Key = sarama.ByteEncoder(r.Key)
		}
		if r.Value != nil {
			m.Value = sarama.ByteEncoder(r.Value)
		}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		if r.Millis != 0 {
			m.Timestamp = time.UnixMilli(r.Millis)
		}
		batch[i] = m
	}
	err := p.SendMessages(batch)
	var each sarama.ProducerErrors
	if errors.As(err, &each) {
		return errors.Join(err, each[0].Err)
	}
	return err
}

func (p saramaProducer) close() error { return p.Close() }

func (ibm) read(ctx context.Context, seed, topic string, n int) ([]record, error) {
	consumer, err := sarama.NewConsumer([]string{seed}, saramaConfig())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	partitions, err := consumer.Partitions(topic)
	if err != nil {
		return nil, err
	}
	all := make(chan *sarama.ConsumerMessage)
	ctx, done := context.WithCancel(ctx)
	defer done()
	for _, p := range partitions {
		pc, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			return nil, err
		}
		defer pc.Close()
		go forward(ctx, pc.Messages(), all)
	}
	var records []record
	for len(records) < n {
		select {
		case m := <-all:
			records = append(records, fromSarama(m))
		case <-ctx.Done():
			return records, ctx.Err()
		}
	}
	return records, nil
}

// forward moves messages into one channel, until the context ends.
func forward(
	ctx context.Context, from <-chan *sarama.ConsumerMessage, to chan<- *sarama.ConsumerMessage,
) {
	for {
		select {
		case m, open := <-from:
			if !open {
				return
			}
			select {
			case to <- m:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func fromSarama(m *sarama.ConsumerMessage) record {
	r := record{
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
		Key: m.Key, Value: m.Value, Millis: m.Timestamp.UnixMilli(),
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, header{string(h.Key), h.Value})
	}
	return r
}

func (ibm) member(o memberOptions) (memberProcess, error) {
	o.Client = "sarama"
	return goMember(o)
}

func saramaMember(ctx context.Context, o memberOptions, out *memberOutput) error {
	c := saramaConfig()
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = sessionTimeout
	c.Consumer.Group.Heartbeat.Interval = heartbeatEvery
	c.Consumer.Group.InstanceId = o.Instance
	group, err := sarama.NewConsumerGroup([]string{o.Seed}, o.Group, c)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		// Consume returns at each rebalance, and with an error while the broker is away.
		if err := group.Consume(ctx, []string{o.Topic}, saramaHandler{o.Topic, out}); err != nil {
			waitABit(ctx)
		}
	}
	return group.Close()
}

// waitABit spares a broker that is away a storm of attempts.
func waitABit(ctx context.Context) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
}

// saramaHandler is sarama's view of one generation of the group.
type saramaHandler struct {
	topic string
	out   *memberOutput
}

func (h saramaHandler) Setup(s sarama.ConsumerGroupSession) error {
	h.out.gained(s.Claims()[h.topic])
	return nil
}

func (h saramaHandler) Cleanup(s sarama.ConsumerGroupSession) error {
	h.out.lost(s.Claims()[h.topic])
	return nil
}

func (h saramaHandler) ConsumeClaim(
	s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim,
) error {
	for m := range claim.Messages() {
		h.out.record(fromSarama(m))
		s.MarkMessage(m, "")
		if len(claim.Messages()) == 0 {
			s.Commit()
		}
	}
	return nil
}

func (ibm) admin(_ context.Context, seed string) (admin, error) {
	client, err := sarama.NewClient([]string{seed}, saramaConfig())
	if err != nil {
		return nil, err
	}
	a, err := sarama.NewClusterAdminFromClient(client)
	return saramaAdmin{client, a}, err
}

type saramaAdmin struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
}

func (a saramaAdmin) close() { _ = a.admin.Close() }

func saramaErr(err error) error {
	var code sarama.KError
	if errors.As(err, &code) {
		return apiError(code)
	}
	return err
}

func (a saramaAdmin) createTopic(
	_ context.Context, topic string, partitions int, config map[string]string,
) error {
	detail := &sarama.TopicDetail{
		NumPartitions: int32(partitions), ReplicationFactor: 1,
		ConfigEntries: make(map[string]*string),
	}
	for k, v := range config {
		detail.ConfigEntries[k] = &v
	}
	return saramaErr(a.admin.CreateTopic(topic, detail, false))
}

func (a saramaAdmin) deleteTopic(_ context.Context, topic string) error {
	return saramaErr(a.admin.DeleteTopic(topic))
}

func (a saramaAdmin) addPartitions(_ context.Context, topic string, total int) error {
	return saramaErr(a.admin.CreatePartitions(topic, int32(total), nil, false))
}

func (a saramaAdmin) topicConfig(_ context.Context, topic string) (map[string]string, error) {
	results, err := a.admin.DescribeConfigs([]*sarama.ConfigResource{
		{Type: sarama.TopicResource, Name: topic},
	}, sarama.DescribeConfigsOptions{})
	values := make(map[string]string)
	for _, r := range results {
		if r.ErrorCode != sarama.ErrNoError {
			err = r.ErrorCode
		}
		for _, e := range r.Configs {
			values[e.Name] = e.Value
		}
	}
	return values, saramaErr(err)
}

func (a saramaAdmin) offsetsAt(
	_ context.Context, topic string, at time.Time,
) (map[int32]int64, error) {
	partitions, err := a.client.Partitions(topic)
	offsets := make(map[int32]int64)
	for _, p := range partitions {
		if offsets[p], err = a.client.GetOffset(topic, p, at.UnixMilli()); err != nil {
			break
		}
	}
	return offsets, saramaErr(err)
}

func (a saramaAdmin) listGroups(context.Context) ([]string, error) {
	groups, err := a.admin.ListConsumerGroups()
	return slices.Sorted(maps.Keys(groups)), saramaErr(err)
}

func (a saramaAdmin) describeGroup(_ context.Context, group string) (groupState, error) {
	all, err := a.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return groupState{}, saramaErr(err)
	}
	if all[0].Err != sarama.ErrNoError {
		err = all[0].Err
	}
	return groupState{all[0].State, len(all[0].Members)}, saramaErr(err)
}

func (a saramaAdmin) deleteGroup(_ context.Context, group string) error {
	return saramaErr(a.admin.DeleteConsumerGroup(group))
}

func (a saramaAdmin) deleteRecords(_ context.Context, topic string, before int64) error {
	return saramaErr(a.admin.DeleteRecords(topic, map[int32]int64{0: before}))
}
