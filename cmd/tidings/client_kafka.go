package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/broker"
	"github.com/tidings-io/tidings/console"
)

// kafkaClient speaks to any Kafka. What Kafka does not tell is -1 or empty.
type kafkaClient struct {
	seeds []string
	cl    *kgo.Client
	adm   *kadm.Client
	pub   *kgo.Client // opened by the first Publish: the only one that may create topics
	now   func() time.Time
}

// kafkaTimeout bounds every administrative request, pingTimeout the first one:
// whether somebody speaks Kafka there is known sooner.
const (
	kafkaTimeout = 10 * time.Second
	pingTimeout  = 5 * time.Second
)

func newKafkaClient(
	ctx context.Context, seeds []string, now func() time.Time,
) (*kafkaClient, error) {
	c := &kafkaClient{seeds: seeds, now: now}
	cl, err := c.open()
	if err != nil {
		return nil, err
	}
	c.cl, c.adm = cl, kadm.NewClient(cl)
	ctx, cancel := context.WithTimeoutCause(ctx, pingTimeout, errNoKafka)
	defer cancel()
	if err := c.cl.Ping(ctx); err != nil {
		c.Close()
		if errors.Is(context.Cause(ctx), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, c.unreachable(err)
	}
	return c, nil
}

var errNoKafka = fmt.Errorf("no answer in Kafka's protocol within %s", pingTimeout)

// open makes a franz-go client with what all of ours have in common.
func (c *kafkaClient) open(opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.seeds...),
		kgo.ClientID("tidings"),
		kgo.DialTimeout(5 * time.Second),
		kgo.RetryTimeout(kafkaTimeout),
		kgo.RecordDeliveryTimeout(30 * time.Second),
	}, opts...)...)
	if err != nil {
		return nil, usage(err.Error())
	}
	return cl, nil
}

func (c *kafkaClient) Close() {
	c.cl.Close()
	if c.pub != nil {
		c.pub.Close()
	}
}

func (c *kafkaClient) Kafka(context.Context) ([]string, error) { return c.seeds, nil }

func (c *kafkaClient) unreachable(err error) *failure {
	var dial *net.OpError
	if errors.As(err, &dial) {
		err = dial.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errNoKafka
	}
	return unreachable("Kafka", strings.Join(c.seeds, ","), err).
		hint("start one", "tidings dev").
		hint("other server", "--kafka host:port, or TIDINGS_KAFKA")
}

// fail turns a Kafka error into a failure; what and name say what it was about.
func (c *kafkaClient) fail(err error, what, name string) error {
	var code *kerr.Error
	var f *failure
	switch {
	case err == nil || errors.As(err, &f) || errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.GroupIDNotFound):
		return notFound(what, name)
	case errors.Is(err, kerr.TopicAlreadyExists):
		return &failure{exit: exitConflict, code: "exists",
			msg: what + " " + quote(name) + " exists already"}
	case errors.Is(err, kerr.MessageTooLarge):
		return &failure{exit: exitUsage, code: "too_large",
			msg: "the record is larger than " + what + " " + quote(name) + " takes"}
	case errors.Is(err, kerr.InvalidTopicException):
		return noTopicName(name)
	case errors.Is(err, kerr.InvalidPartitions), errors.Is(err, kerr.InvalidConfig),
		errors.Is(err, kerr.InvalidRequest):
		return invalid("%s %q: %s", what, name, rootCause(err))
	case errors.Is(err, kerr.CorruptMessage):
		return &failure{exit: exitFailed, code: "corrupt",
			msg: "records of " + what + " " + quote(name) + " are damaged and cannot be read"}
	case errors.Is(err, kerr.NonEmptyGroup):
		return conflict("group %q has members", name).hint("first", "stop its consumers")
	case errors.As(err, &code):
		return &failure{exit: exitFailed, code: code.Message, msg: fmt.Sprintf(
			"Kafka says %s: %s", code.Message, strings.TrimSuffix(code.Description, "."))}
	}
	return c.unreachable(err)
}

// brief bounds an administrative request.
func brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, kafkaTimeout)
}

func (c *kafkaClient) Info(ctx context.Context) (doc console.Info, err error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	m, err := c.adm.BrokerMetadata(ctx)
	if err != nil {
		return doc, c.fail(err, "", "")
	}
	doc = console.Info{Name: "kafka", ID: m.Cluster}
	for _, b := range m.Brokers {
		addr := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		doc.Listeners = append(doc.Listeners,
			console.Listener{Name: "kafka", Addr: addr, Connections: -1})
	}
	return doc, nil
}

func (c *kafkaClient) Topics(ctx context.Context) ([]console.Topic, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	details, err := c.adm.ListTopics(ctx)
	if err != nil {
		return nil, c.fail(err, "", "")
	}
	names := details.Names()
	if len(names) == 0 {
		return nil, nil
	}
	bounds, err := c.bounds(ctx, names...)
	if err != nil {
		return nil, err
	}
	var rows []console.Topic
	for _, d := range details.Sorted() {
		rows = append(rows, kafkaTopic(d, bounds[d.Topic]))
	}
	return rows, nil
}

// bounds lists the partitions of topics with their offsets.
func (c *kafkaClient) bounds(
	ctx context.Context, topics ...string,
) (map[string][]console.Partition, error) {
	starts, err := c.adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, c.fail(err, "", "")
	}
	ends, err := c.adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, c.fail(err, "", "")
	}
	all := map[string][]console.Partition{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if end.Err != nil || start.Err != nil {
			return
		}
		all[end.Topic] = append(all[end.Topic], console.Partition{
			Partition: int(end.Partition), Start: start.Offset, End: end.Offset, Bytes: -1})
	})
	for _, ps := range all {
		slices.SortFunc(ps, func(a, b console.Partition) int { return a.Partition - b.Partition })
	}
	return all, nil
}

func kafkaTopic(d kadm.TopicDetail, parts []console.Partition) console.Topic {
	row := console.Topic{
		Name: d.Topic, ID: broker.ID(d.ID).String(), Partitions: len(d.Partitions),
		Bytes: -1, Groups: -1, Lag: -1,
	}
	for _, p := range parts {
		row.Records += p.End - p.Start
	}
	return row
}

func (c *kafkaClient) Topic(ctx context.Context, name string) (doc console.TopicDetail, err error) {
	short, cancel := brief(ctx)
	defer cancel()
	details, err := c.adm.ListTopicsWithInternal(short, name)
	if err == nil {
		err = details[name].Err
	}
	if err != nil {
		return doc, c.fail(err, "topic", name)
	}
	bounds, err := c.bounds(short, name)
	if err != nil {
		return doc, err
	}
	doc.Topic, doc.PartitionList = kafkaTopic(details[name], bounds[name]), bounds[name]
	if doc.Config, err = c.topicConfig(short, name); err != nil {
		return doc, err
	}
	if doc.GroupList, err = c.lagRows(ctx, "", name); err != nil {
		return doc, err
	}
	doc.Groups = len(doc.GroupList)
	doc.Lag = 0
	for _, l := range doc.GroupList {
		doc.Lag = max(doc.Lag, l.Lag)
	}
	return doc, nil
}

// topicConfig reads the settings that both sides know; the rest that is not a
// default goes to Extra.
func (c *kafkaClient) topicConfig(
	ctx context.Context, name string,
) (doc console.TopicConfig, err error) {
	configs, err := c.adm.DescribeTopicConfigs(ctx, name)
	if err == nil {
		_, err = configs.On(name, nil)
	}
	if err != nil {
		return doc, c.fail(err, "topic", name)
	}
	rc, _ := configs.On(name, nil)
	for _, cfg := range rc.Configs {
		n, _ := strconv.ParseInt(cfg.MaybeValue(), 10, 64)
		switch cfg.Key {
		case "retention.ms":
			doc.RetentionSeconds = wholeSeconds(n)
		case "retention.bytes":
			doc.RetentionBytes = n
		case "segment.bytes":
			doc.SegmentBytes = n
		case "max.message.bytes":
			doc.BatchBytes = int(n)
		case "message.timestamp.type":
			doc.AppendTime = cfg.MaybeValue() == "LogAppendTime"
		case "cleanup.policy":
			doc.Extra = map[string]string{cfg.Key: cfg.MaybeValue()}
		}
	}
	return doc, nil
}

// wholeSeconds rounds milliseconds up: what is kept for a moment is not kept for
// 0 s. Below 0 is for ever.
func wholeSeconds(ms int64) int64 {
	if ms < 0 {
		return -1
	}
	return ms/1000 + min(1, ms%1000)
}

func (c *kafkaClient) CreateTopic(ctx context.Context, t console.NewTopic) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	partitions := int32(-1) // the broker's default
	if t.Partitions > 0 {
		partitions = int32(t.Partitions)
	}
	_, err := c.adm.CreateTopic(ctx, partitions, -1, kafkaConfigs(t.Config), t.Name)
	return c.fail(err, "topic", t.Name)
}

func kafkaConfigs(c console.TopicConfig) map[string]*string {
	out := map[string]*string{}
	set := func(key string, n int64) {
		if n != 0 {
			out[key] = kadm.StringPtr(strconv.FormatInt(n, 10))
		}
	}
	retention := c.RetentionSeconds * 1000
	set("retention.ms", max(-1, retention))
	set("retention.bytes", c.RetentionBytes)
	set("segment.bytes", c.SegmentBytes)
	set("max.message.bytes", int64(c.BatchBytes))
	if c.AppendTime {
		out["message.timestamp.type"] = kadm.StringPtr("LogAppendTime")
	}
	for k, v := range c.Extra {
		out[k] = &v
	}
	return out
}

func (c *kafkaClient) GrowTopic(ctx context.Context, name string, partitions int) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	rs, err := c.adm.UpdatePartitions(ctx, partitions, name)
	if err == nil {
		err = rs.Error()
	}
	if errors.Is(err, kerr.InvalidPartitions) {
		if n, err := c.partitions(ctx, name); err == nil {
			return invalid("grow topic %s: %d partitions wanted, it has %d", name, partitions, n)
		}
	}
	return c.fail(err, "topic", name)
}

func (c *kafkaClient) DeleteTopic(ctx context.Context, name string) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	_, err := c.adm.DeleteTopic(ctx, name)
	return c.fail(err, "topic", name)
}
