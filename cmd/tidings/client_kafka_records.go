package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/console"
)

func (c *kafkaClient) Publish(
	ctx context.Context, topic string, recs []console.NewRecord,
) ([]console.Place, error) {
	cl, err := c.producer(recs)
	if err != nil {
		return nil, err
	}
	out := make([]*kgo.Record, len(recs))
	for i, r := range recs {
		out[i] = kafkaRecord(topic, r)
	}
	// Where records are on their way franz-go tries on, whatever ctx says: a full
	// disk would never be told. Only closing ends it.
	stop := context.AfterFunc(ctx, cl.Close)
	results := cl.ProduceSync(ctx, out...)
	if !stop() {
		c.pub = nil // closed, or about to be
	}
	if err := results.FirstErr(); err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // the library only knows that it was closed
	} else if err != nil {
		return nil, cmp.Or(c.noPartition(ctx, topic, recs), c.fail(err, "topic", topic))
	}
	places := make([]console.Place, len(out))
	for i, r := range out {
		places[i] = console.Place{Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset}
	}
	return places, nil
}

// noPartition says that a record names a partition that the topic has not, if
// that is so.
func (c *kafkaClient) noPartition(
	ctx context.Context, topic string, recs []console.NewRecord,
) error {
	n, err := c.partitions(ctx, topic)
	if err != nil {
		return nil
	}
	for _, r := range recs {
		if r.Partition != nil && *r.Partition >= n {
			return hasNoPartition(topic, *r.Partition, n)
		}
	}
	return nil
}

// partitions is how many a topic has.
func (c *kafkaClient) partitions(ctx context.Context, topic string) (int, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	details, err := c.adm.ListTopics(ctx, topic)
	if err == nil {
		err = details[topic].Err
	}
	return len(details[topic].Partitions), err
}

func hasNoPartition(topic string, partition, n int) *failure {
	return invalid("topic %s has no partition %d (it has %d, from 0)", topic, partition, n)
}

// producer opens the producing client at its first use. Whether partitions are
// named is the same for all records of one command.
func (c *kafkaClient) producer(recs []console.NewRecord) (cl *kgo.Client, err error) {
	if c.pub != nil {
		return c.pub, nil
	}
	opts := []kgo.Opt{kgo.AllowAutoTopicCreation()}
	if len(recs) > 0 && recs[0].Partition != nil {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	c.pub, err = c.open(opts...)
	return c.pub, err
}

func kafkaRecord(topic string, r console.NewRecord) *kgo.Record {
	rec := &kgo.Record{
		Topic: topic, Timestamp: r.Time,
		Key:   console.Bytes(r.Key, r.KeyBase64),
		Value: console.Bytes(r.Value, r.ValueBase64),
	}
	if r.Partition != nil {
		rec.Partition = int32(*r.Partition)
	}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers,
			kgo.RecordHeader{Key: h.Key, Value: console.Bytes(h.Value, h.ValueBase64)})
	}
	return rec
}

func recordDocument(r *kgo.Record) console.Record {
	doc := console.Record{
		Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset, Time: r.Timestamp.UTC()}
	doc.Key, doc.KeyBase64 = console.TextOrBytes(r.Key)
	doc.Value, doc.ValueBase64 = console.TextOrBytes(r.Value)
	for _, h := range r.Headers {
		header := console.Header{Key: h.Key}
		header.Value, header.ValueBase64 = console.TextOrBytes(h.Value)
		doc.Headers = append(doc.Headers, header)
	}
	return doc
}

// Read consumes partitions directly: no group, no commit.
func (c *kafkaClient) Read(
	ctx context.Context, r readRequest, each func(console.Record) error,
) error {
	plan, err := c.planRead(ctx, r)
	if err != nil {
		return err
	}
	if !r.follow && len(plan.until) == 0 {
		return nil
	}
	cl, err := c.open(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: plan.from}),
		kgo.FetchMaxBytes(8<<20), kgo.KeepControlRecords(), kgo.KeepRetryableFetchErrors())
	if err != nil {
		return err
	}
	defer cl.Close()
	for sent := int64(0); ; {
		records, err := c.poll(ctx, cl, r.topic)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if plan.wants(rec) {
				if err := each(recordDocument(rec)); err != nil {
					return err
				}
				if sent++; sent == r.limit {
					return nil
				}
			}
			plan.done(rec)
		}
		if !r.follow && len(plan.until) == 0 {
			return nil
		}
	}
}

// poll returns fetched records in order of time, keeping the order within each
// partition.
func (c *kafkaClient) poll(
	ctx context.Context, cl *kgo.Client, topic string,
) ([]*kgo.Record, error) {
	fetches := cl.PollRecords(ctx, 10_000)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, e := range fetches.Errors() {
		// franz-go tries again whatever may pass, also damage, which does not.
		if !kerr.IsRetriable(e.Err) || errors.Is(e.Err, kerr.CorruptMessage) {
			return nil, c.fail(e.Err, "topic", topic)
		}
	}
	records := fetches.Records()
	clock := map[int32]int64{}
	at := make(map[*kgo.Record]int64, len(records))
	for _, r := range records {
		clock[r.Partition] = max(clock[r.Partition], r.Timestamp.UnixMilli())
		at[r] = clock[r.Partition]
	}
	slices.SortStableFunc(records, func(a, b *kgo.Record) int { return cmp.Compare(at[a], at[b]) })
	return records, nil
}

// readPlan is where to start, and where to stop, in each partition.
type readPlan struct {
	from   map[int32]kgo.Offset
	until  map[int32]int64 // partitions not finished yet; empty when following
	follow bool
}

func (c *kafkaClient) planRead(ctx context.Context, r readRequest) (*readPlan, error) {
	from, err := console.ParsePosition(r.from, c.now())
	if err != nil {
		return nil, usage(err.Error())
	}
	ctx, cancel := brief(ctx)
	defer cancel()
	bounds, err := c.bounds(ctx, r.topic)
	if err != nil {
		return nil, err
	}
	parts := bounds[r.topic]
	if len(parts) == 0 {
		return nil, c.noTopic(ctx, r.topic)
	}
	for _, i := range r.partitions {
		if !hasPartition(parts, i) {
			return nil, hasNoPartition(r.topic, i, len(parts))
		}
	}
	plan := &readPlan{from: map[int32]kgo.Offset{}, until: map[int32]int64{}, follow: r.follow}
	for _, p := range parts {
		if len(r.partitions) > 0 && !slices.Contains(r.partitions, p.Partition) {
			continue
		}
		off, err := c.resolve(ctx, from, console.Cursor{
			Topic: r.topic, Partition: p.Partition, Start: p.Start, End: p.End})
		if err != nil {
			return nil, err
		}
		plan.from[int32(p.Partition)] = kgo.NewOffset().At(off)
		if !r.follow && off < p.End {
			plan.until[int32(p.Partition)] = p.End
		}
	}
	return plan, nil
}

func hasPartition(parts []console.Partition, i int) bool {
	return slices.ContainsFunc(parts, func(p console.Partition) bool { return p.Partition == i })
}

// noTopic names the topic that was probably meant.
func (c *kafkaClient) noTopic(ctx context.Context, name string) error {
	details, err := c.adm.ListTopics(ctx)
	if err != nil {
		return c.fail(err, "topic", name)
	}
	return notFoundNear("topic", name, details.Names())
}

// wants leaves out markers of transactions, and what came after the end that
// was found at the start.
func (p *readPlan) wants(r *kgo.Record) bool {
	if r.Attrs.IsControl() {
		return false
	}
	end, unfinished := p.until[r.Partition]
	return p.follow || unfinished && r.Offset < end
}

func (p *readPlan) done(r *kgo.Record) {
	if end, ok := p.until[r.Partition]; ok && r.Offset >= end-1 {
		delete(p.until, r.Partition)
	}
}

// joinRequest is what to read as a member of a group.
type joinRequest struct {
	group, topic string
	from         string // where the group starts if it has no cursor yet
}

// errEnough ends a reader from within.
var errEnough = errors.New("enough")

// join reads as a member of a group and commits what each has taken: at the
// end, when partitions move, and every few seconds.
func (c *kafkaClient) join(
	ctx context.Context, r joinRequest, each func(console.Record) error,
) error {
	from, err := console.ParsePosition(r.from, c.now())
	if err != nil {
		return usage(err.Error())
	}
	// A member of a group would wait for the topic in silence.
	if _, err := c.partitions(ctx, r.topic); errors.Is(err, kerr.UnknownTopicOrPartition) {
		return c.noTopic(ctx, r.topic)
	}
	cl, err := c.open(
		kgo.ConsumerGroup(r.group), kgo.ConsumeTopics(r.topic),
		kgo.ConsumeResetOffset(kafkaOffset(from)),
		kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(), kgo.KeepRetryableFetchErrors())
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	err = c.consume(ctx, cl, r.topic, each)
	end, cancel := brief(context.WithoutCancel(ctx))
	defer cancel()
	if commitErr := cl.CommitMarkedOffsets(end); commitErr != nil && errors.Is(err, errEnough) {
		err = c.fail(commitErr, "group", r.group)
	}
	return err
}

func (c *kafkaClient) consume(
	ctx context.Context, cl *kgo.Client, topic string, each func(console.Record) error,
) error {
	for {
		records, err := c.poll(ctx, cl, topic)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if err := each(recordDocument(rec)); err != nil {
				if errors.Is(err, errEnough) {
					cl.MarkCommitRecords(rec)
				}
				return err
			}
			cl.MarkCommitRecords(rec)
		}
		cl.AllowRebalance()
	}
}

func kafkaOffset(p console.Position) kgo.Offset {
	switch p.Kind {
	case console.FromEnd:
		return kgo.NewOffset().AtEnd()
	case console.BeforeEnd:
		return kgo.NewOffset().AtEnd().Relative(-p.Offset)
	case console.FromOffset:
		return kgo.NewOffset().At(p.Offset)
	case console.FromTime:
		return kgo.NewOffset().AfterMilli(p.Time.UnixMilli())
	}
	return kgo.NewOffset().AtStart()
}
