package kafka

// The settings of a topic, as CreateTopics accepts and DescribeConfigs shows them.
//
// Every topic setting of Apache Kafka 4.2 is known by name. Some have a meaning for the engine.
// Others steer machinery that does not exist here (replication, compaction, files): they are
// checked, kept and shown, so that code written for a cluster runs, and do nothing. A value
// that asks for behaviour that is not built (compaction, tiered storage) is refused.

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicSetting is one setting.
type topicSetting struct {
	name string
	kind kmsg.ConfigType
	def  string // default
	// synonym is the broker setting that gives the default.
	synonym string
	doc     string
	// set and get are the engine's field, get "" where it is zero, which is the default; nil for
	// a setting that is kept in Extra.
	set func(*broker.TopicConfig, int64)
	get func(*broker.TopicConfig) string
	// least and most bound numbers.
	least, most int64
	// values are the legal words; refused tells why others that Kafka knows are not among them.
	values  []string
	refused string
}

const unlimited = math.MaxInt64

// The two ways in which times are counted: by the producer or by the broker.
const (
	createTime = "CreateTime"
	appendTime = "LogAppendTime"
)

// topicSettings are all settings, by name.
var topicSettings = []topicSetting{
	{name: "cleanup.policy", kind: kmsg.ConfigTypeList, def: "delete",
		synonym: "log.cleanup.policy",
		values:  []string{"delete"}, refused: "compaction is not built: use delete",
		doc: "What happens to old records: they are deleted by time and size."},
	kept("compression.gzip.level", kmsg.ConfigTypeInt, "-1", asSent),
	kept("compression.lz4.level", kmsg.ConfigTypeInt, "9", asSent),
	{name: "compression.type", kind: kmsg.ConfigTypeString, def: "producer",
		synonym: "compression.type",
		values:  []string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"},
		doc:     "Kept only. Batches stay as producers sent them, whatever this says."},
	kept("compression.zstd.level", kmsg.ConfigTypeInt, "3", asSent),
	kept("delete.retention.ms", kmsg.ConfigTypeLong, "86400000", noCompaction),
	kept("file.delete.delay.ms", kmsg.ConfigTypeLong, "60000", "Space is freed when it is safe."),
	kept("flush.messages", kmsg.ConfigTypeLong, "9223372036854775807",
		"What is acknowledged is on disk, by the sync policy of the data directory."),
	kept("flush.ms", kmsg.ConfigTypeLong, "9223372036854775807",
		"What is acknowledged is on disk, by the sync policy of the data directory."),
	kept("follower.replication.throttled.replicas", kmsg.ConfigTypeList, "", oneNode),
	kept("index.interval.bytes", kmsg.ConfigTypeInt, "4096", ownIndex),
	kept("leader.replication.throttled.replicas", kmsg.ConfigTypeList, "", oneNode),
	kept("local.retention.bytes", kmsg.ConfigTypeLong, "-2", noTiers),
	kept("local.retention.ms", kmsg.ConfigTypeLong, "-2", noTiers),
	kept("max.compaction.lag.ms", kmsg.ConfigTypeLong, "9223372036854775807",
		noCompaction),
	{name: "max.message.bytes", kind: kmsg.ConfigTypeInt, def: "1048588",
		synonym: "message.max.bytes", most: math.MaxInt32,
		doc: "The largest record batch that is accepted, in bytes.",
		set: func(c *broker.TopicConfig, v int64) { c.BatchBytes = int(max(v, 1)) },
		get: func(c *broker.TopicConfig) string { return orUnset(int64(c.BatchBytes)) }},
	{name: "message.timestamp.after.max.ms", kind: kmsg.ConfigTypeLong, def: "3600000",
		synonym: "log.message.timestamp.after.max.ms", most: unlimited,
		doc: "How far a record's time may lie ahead of the broker's clock, in milliseconds.",
		set: func(c *broker.TopicConfig, v int64) { c.TimeAhead = duration(v) },
		get: func(c *broker.TopicConfig) string { return millis(c.TimeAhead, unlimited) }},
	{name: "message.timestamp.before.max.ms", kind: kmsg.ConfigTypeLong,
		def: "9223372036854775807", synonym: "log.message.timestamp.before.max.ms",
		values:  []string{"9223372036854775807"},
		refused: "a lower bound of record times is not built: leave it at its default",
		doc:     "How old a record's time may be. There is no bound."},
	{name: "message.timestamp.type", kind: kmsg.ConfigTypeString, def: createTime,
		synonym: "log.message.timestamp.type", values: []string{createTime, appendTime},
		doc: "Whether records have the producer's time or the broker's.",
		set: func(c *broker.TopicConfig, word int64) { c.AppendTime = word == 1 },
		get: timestampType},
	kept("min.cleanable.dirty.ratio", kmsg.ConfigTypeDouble, "0.5", noCompaction),
	kept("min.compaction.lag.ms", kmsg.ConfigTypeLong, "0", noCompaction),
	kept("min.insync.replicas", kmsg.ConfigTypeInt, "1",
		"One node is always in sync with itself."),
	kept("preallocate", kmsg.ConfigTypeBoolean, "false", "Files are the engine's affair."),
	kept("remote.log.copy.disable", kmsg.ConfigTypeBoolean, "false", noTiers),
	kept("remote.log.delete.on.disable", kmsg.ConfigTypeBoolean, "false",
		noTiers),
	{name: "remote.storage.enable", kind: kmsg.ConfigTypeBoolean, def: "false",
		values: []string{"false"}, refused: "tiered storage is not built: leave it false",
		doc: "Whether old segments move to another storage. They do not."},
	{name: "retention.bytes", kind: kmsg.ConfigTypeLong, def: "-1", synonym: "log.retention.bytes",
		least: -1, most: unlimited,
		doc: "How much of each partition is kept at least, in bytes; -1: no limit.",
		set: func(c *broker.TopicConfig, v int64) { c.RetentionBytes = notZero(v, 1) },
		get: func(c *broker.TopicConfig) string { return orUnset(c.RetentionBytes) }},
	{name: "retention.ms", kind: kmsg.ConfigTypeLong, def: "604800000", synonym: "log.retention.ms",
		least: -1, most: unlimited,
		doc: "How long records are kept at least, in milliseconds; -1: for ever.",
		set: func(c *broker.TopicConfig, v int64) { c.RetentionTime = duration(v) },
		get: func(c *broker.TopicConfig) string { return millis(c.RetentionTime, -1) }},
	{name: "segment.bytes", kind: kmsg.ConfigTypeInt, def: "67108864", synonym: "log.segment.bytes",
		least: 14, most: math.MaxInt32,
		doc: "The size of the files of a partition, in bytes.",
		set: func(c *broker.TopicConfig, v int64) { c.SegmentBytes = v },
		get: func(c *broker.TopicConfig) string { return orUnset(c.SegmentBytes) }},
	kept("segment.index.bytes", kmsg.ConfigTypeInt, "10485760", ownIndex),
	kept("segment.jitter.ms", kmsg.ConfigTypeLong, "0", "Segments end by size."),
	kept("segment.ms", kmsg.ConfigTypeLong, "604800000", "Segments end by size."),
	kept("unclean.leader.election.enable", kmsg.ConfigTypeBoolean, "false", oneNode),
}

// Why a setting has no effect.
const (
	asSent       = "Batches stay as producers sent them."
	noCompaction = "There is no compaction."
	noTiers      = "There is no tiered storage."
	oneNode      = "There is one node."
	ownIndex     = "The index is the engine's affair."
)

// kept makes a setting that has no effect, for the given reason.
func kept(name string, kind kmsg.ConfigType, def, why string) topicSetting {
	return topicSetting{
		name: name, kind: kind, def: def, doc: "Kept only. " + why,
		least: math.MinInt64, most: unlimited,
	}
}

func number64(v int64) string { return strconv.FormatInt(v, 10) }

func orUnset(v int64) string {
	if v == 0 {
		return ""
	}
	return number64(v)
}

// notZero is v, or instead where v is 0, which the engine takes for its default.
func notZero(v, instead int64) int64 {
	if v == 0 {
		return instead
	}
	return v
}

// duration converts milliseconds. The engine's 0 is its default, so the shortest stands for
// 0; what a Duration cannot hold, some 290 years, is for ever.
func duration(ms int64) time.Duration {
	switch {
	case ms < 0 || ms > math.MaxInt64/int64(time.Millisecond):
		return broker.Forever
	case ms == 0:
		return 1
	default:
		return time.Duration(ms) * time.Millisecond
	}
}

func millis(d time.Duration, forever int64) string {
	switch d {
	case 0:
		return ""
	case broker.Forever:
		return number64(forever)
	default:
		return number64(d.Milliseconds())
	}
}

func timestampType(c *broker.TopicConfig) string {
	if c.AppendTime {
		return appendTime
	}
	return ""
}

// parseTopicSettings turns the settings of a CreateTopics request into a configuration.
func parseTopicSettings(in []kmsg.CreateTopicsRequestTopicConfig) (broker.TopicConfig, error) {
	var c broker.TopicConfig
	for _, p := range in {
		s := topicSettingNamed(p.Name)
		if s == nil {
			return c, refusef(errInvalidConfig, "Unknown topic config name: %s", p.Name)
		}
		if p.Value == nil {
			return c, refusef(errInvalidConfig,
				"Null value not supported for topic configs: %s", p.Name)
		}
		if err := s.apply(&c, strings.TrimSpace(*p.Value)); err != nil {
			return c, err
		}
	}
	return c, nil
}

func topicSettingNamed(name string) *topicSetting {
	for i := range topicSettings {
		if topicSettings[i].name == name {
			return &topicSettings[i]
		}
	}
	return nil
}

// apply checks a value and puts it into the configuration.
func (s *topicSetting) apply(c *broker.TopicConfig, value string) error {
	n, err := s.parse(value)
	if err != nil {
		return err
	}
	if s.set != nil {
		s.set(c, n)
		return nil
	}
	if c.Extra == nil {
		c.Extra = make(map[string]string)
	}
	c.Extra[s.name] = value
	return nil
}

// parse checks a value and returns it as a number: for words, its place among values.
func (s *topicSetting) parse(value string) (int64, error) {
	if s.values != nil {
		for i, v := range s.values {
			if v == value {
				return int64(i), nil
			}
		}
		why := s.refused
		if why == "" {
			why = "it must be one of " + strings.Join(s.values, ", ")
		}
		return 0, refusef(errInvalidConfig, "Invalid value %s for configuration %s: %s",
			value, s.name, why)
	}
	n, err := parseAs(s.kind, value)
	if err != nil || n < s.least || n > s.most {
		return 0, refusef(errInvalidConfig, "Invalid value %s for configuration %s", value, s.name)
	}
	return n, nil
}

// parseAs checks that a value is of a type, and returns integers.
func parseAs(kind kmsg.ConfigType, value string) (n int64, err error) {
	switch kind {
	case kmsg.ConfigTypeInt:
		n, err = strconv.ParseInt(value, 10, 32)
	case kmsg.ConfigTypeLong:
		n, err = strconv.ParseInt(value, 10, 64)
	case kmsg.ConfigTypeDouble:
		_, err = strconv.ParseFloat(value, 64)
	case kmsg.ConfigTypeBoolean:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			err = strconv.ErrSyntax
		}
	}
	return n, err
}

// value returns a setting of a topic that was created with c, whose defaults are filled in in
// effective, and whether it was set at creation.
func (s *topicSetting) value(c, effective *broker.TopicConfig) (value string, set bool) {
	if s.get == nil {
		if v, ok := c.Extra[s.name]; ok {
			return v, true
		}
		return s.def, false
	}
	if v := s.get(c); v != "" {
		return v, true
	}
	return cmp.Or(s.get(effective), s.def), false
}
