package broker

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidings-io/tidings/storage"
)

// TopicSpec describes a topic to create.
type TopicSpec struct {
	Namespace, Name string
	Partitions      int // default 1
	Config          TopicConfig
	// Args are kept and shown as they were given; what they mean the protocol face has
	// told in Config.
	Args Args
}

// Forever is a RetentionTime or TimeAhead without a limit.
const Forever time.Duration = -1

// TopicConfig is what a topic can set for itself. Zero values are the defaults.
type TopicConfig struct {
	// RetentionTime is how long records are kept at least, by their own time;
	// default 7 days, Forever for no limit. Whole segments go at once, so records
	// may stay longer.
	RetentionTime time.Duration
	// RetentionBytes is how much of each partition is kept at least, in bytes;
	// default and -1: no limit.
	RetentionBytes int64
	// SegmentBytes is the size of the files of partitions made from now on;
	// default: Config.Storage's.
	SegmentBytes int64
	// BatchBytes is the largest encoded batch accepted; default Limits.BatchBytes.
	BatchBytes int
	// AppendTime gives records the broker's time instead of the producer's (Kafka's
	// message.timestamp.type=LogAppendTime).
	AppendTime bool
	// TimeAhead is how far a record's time may lie ahead of the broker's clock;
	// default 1 hour, Forever for no limit (Kafka's message.timestamp.after.max.ms).
	TimeAhead time.Duration
	// Extra holds settings that a protocol face accepted: kept and shown, without
	// effect here.
	Extra map[string]string
}

// Defaults of TopicConfig.
const (
	defaultRetention = 7 * 24 * time.Hour
	defaultTimeAhead = time.Hour
)

func (c TopicConfig) clone() TopicConfig {
	c.Extra = maps.Clone(c.Extra)
	return c
}

func (b *Broker) checkSpec(s TopicSpec) error {
	if err := checkNamespace(s.Namespace); err != nil {
		return err
	}
	if err := checkTopicName(s.Name); err != nil {
		return err
	}
	if s.Partitions < 1 {
		return fmt.Errorf("%d partitions, want at least 1", s.Partitions)
	}
	if err := checkValue(s.Args, maxArgsDepth); err != nil {
		return err
	}
	return b.checkConfig(s.Config)
}

func (b *Broker) checkConfig(c TopicConfig) error {
	switch {
	case c.RetentionTime < Forever:
		return fmt.Errorf("retention time is %v", c.RetentionTime)
	case c.RetentionBytes < -1:
		return fmt.Errorf("retention is %d bytes", c.RetentionBytes)
	case c.SegmentBytes < 0:
		return fmt.Errorf("segment size is %d bytes", c.SegmentBytes)
	case c.BatchBytes < 0:
		return fmt.Errorf("largest batch is %d bytes", c.BatchBytes)
	case c.TimeAhead < Forever:
		return fmt.Errorf("time ahead is %v", c.TimeAhead)
	}
	size := 0
	for k, v := range c.Extra {
		size += len(k) + len(v)
	}
	if size > b.config.Limits.ConfigBytes {
		return fmt.Errorf("extra settings have %d bytes, the limit is %d",
			size, b.config.Limits.ConfigBytes)
	}
	return nil
}

// Topic is a named set of partitions. A Topic that was deleted stays readable as
// a value; its partitions answer NotFound.
type Topic struct {
	b       *Broker
	id      ID
	name    Name
	created time.Time
	config  atomic.Pointer[TopicConfig] // replaced under the catalog's mutex
	args    Args
	// in is guarded by the catalog's mutex: the bindings that lead here.
	in map[bindingKey]*Binding
	// turn is whose turn it is to get records without a key, by Tx.
	turn      atomic.Uint32
	followers atomic.Int64
	// parts only ever grows; the catalog's mutex guards the growing.
	parts atomic.Pointer[[]*Partition]
}

// ID is the topic's identity: random, and new for every topic that is created.
func (t *Topic) ID() ID { return t.id }

// Name is the topic's place in the catalog.
func (t *Topic) Name() Name { return t.name }

// Config returns what is set; zero fields are defaults.
func (t *Topic) Config() TopicConfig { return t.config.Load().clone() }

// Args returns what the topic was declared with; none where nobody declared it so.
func (t *Topic) Args() Args { return t.args }

// Effective returns the configuration with the defaults filled in. SegmentBytes
// stays 0 where the store's default is in force.
func (t *Topic) Effective() TopicConfig {
	c := t.config.Load().clone()
	if c.RetentionTime == 0 {
		c.RetentionTime = defaultRetention
	}
	if c.RetentionBytes == 0 {
		c.RetentionBytes = -1
	}
	if c.TimeAhead == 0 {
		c.TimeAhead = defaultTimeAhead
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = t.b.config.Storage.SegmentBytes
	}
	c.BatchBytes = t.batchBytes()
	return c
}

// Created is when the topic was made, in UTC and milliseconds.
func (t *Topic) Created() time.Time { return t.created }

// Partitions returns how many there are.
func (t *Topic) Partitions() int { return len(*t.parts.Load()) }

// Partition returns partition i, counted from 0, and nil if there is none.
func (t *Topic) Partition(i int) *Partition {
	parts := *t.parts.Load()
	if i < 0 || i >= len(parts) {
		return nil
	}
	return parts[i]
}

func (t *Topic) all() []*Partition { return *t.parts.Load() }

func (t *Topic) batchBytes() int {
	if t.config.Load().BatchBytes > 0 {
		return t.config.Load().BatchBytes
	}
	return t.b.config.Limits.BatchBytes
}

// grow makes logs for the partitions that are missing up to n and returns all
// partitions; the topic itself does not change.
func (t *Topic) grow(batch *storage.Batch, n int) []*Partition {
	var parts []*Partition
	if have := t.parts.Load(); have != nil {
		parts = slices.Clone(*have)
	}
	for len(parts) < n {
		log := t.b.store.NewLog(batch, storage.LogOptions{SegmentBytes: t.config.Load().SegmentBytes})
		parts = append(parts, newPartition(t, len(parts), log))
	}
	return parts
}

// encode writes the topic's value in the catalog, as docs/format-broker.md shows it.
func (t *Topic) encode(parts []*Partition) []byte {
	v := append([]byte{valueVersion}, t.id[:]...)
	v = binary.AppendVarint(v, t.created.UnixMilli())
	v = t.config.Load().appendTo(v)
	v = binary.AppendUvarint(v, uint64(len(parts)))
	for _, p := range parts {
		v = binary.AppendUvarint(v, uint64(p.log.ID()))
	}
	if len(t.args) > 0 {
		v = appendArgs(v, t.args)
	}
	return v
}

func (c *TopicConfig) appendTo(v []byte) []byte {
	v = binary.AppendVarint(v, int64(c.RetentionTime))
	v = binary.AppendVarint(v, c.RetentionBytes)
	v = binary.AppendVarint(v, c.SegmentBytes)
	v = binary.AppendVarint(v, int64(c.BatchBytes))
	v = binary.AppendVarint(v, int64(c.TimeAhead))
	flags := byte(0)
	if c.AppendTime {
		flags |= flagAppendTime
	}
	v = append(v, flags)
	v = binary.AppendUvarint(v, uint64(len(c.Extra)))
	for _, k := range slices.Sorted(maps.Keys(c.Extra)) {
		v = appendString(appendString(v, k), c.Extra[k])
	}
	return v
}

const flagAppendTime = 1

func decodeTopicConfig(d *decoder) TopicConfig {
	c := TopicConfig{
		RetentionTime:  time.Duration(d.varint()),
		RetentionBytes: d.varint(),
		SegmentBytes:   d.varint(),
		BatchBytes:     int(d.varint()),
		TimeAhead:      time.Duration(d.varint()),
		AppendTime:     d.byte()&flagAppendTime != 0,
	}
	n := d.count()
	if n > 0 {
		c.Extra = make(map[string]string, n)
	}
	for range n {
		k := d.string()
		c.Extra[k] = d.string()
	}
	return c
}

// decodeTopic rebuilds a topic from its value in the catalog.
func (b *Broker) decodeTopic(name Name, value []byte) (*Topic, error) {
	d := newDecoder(value)
	t := &Topic{b: b, name: name, in: map[bindingKey]*Binding{}}
	copy(t.id[:], d.take(len(t.id)))
	t.created = timeOf(d.varint())
	config := decodeTopicConfig(d)
	t.config.Store(&config)
	parts := make([]*Partition, d.count())
	for i := range parts {
		id := storage.LogID(d.uvarint())
		log := b.store.Log(id)
		if log == nil && !d.bad && d.version <= valueVersion {
			return nil, fmt.Errorf("partition %d has no log %d: %w", i, id, storage.ErrDamaged)
		}
		if log != nil {
			parts[i] = newPartition(t, i, log)
			_, _, parts[i].next = log.Bounds()
		}
	}
	if len(d.b) > 0 {
		t.args = d.args()
	}
	if err := d.end("topic"); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("topic has no partitions: %w", storage.ErrDamaged)
	}
	t.parts.Store(&parts)
	return t, nil
}
