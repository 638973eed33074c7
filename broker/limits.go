package broker

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidings-io/tidings/storage"
)

// Limits bound what a broker accepts. A zero field is its default; going beyond
// one is an error of kind Full (numbers of things) or TooLarge (sizes).
type Limits struct {
	Topics             int // topics and event stores; default 100,000
	PartitionsPerTopic int // default 10,000
	Partitions         int // partitions of all topics; default 200,000
	// BatchBytes is the largest encoded batch, in bytes; default 1,048,588, which
	// is Kafka's message.max.bytes. A topic may set its own in TopicConfig.
	BatchBytes int
	Groups     int // groups of all namespaces; default 100,000
	Queues     int // of all namespaces; default 1,000,000
	Leases     int // with a deadline, in one queue; default 120,000
	// Once bounds what one queue remembers of records that were published once; default
	// 1,000,000, which take 100 MB.
	Once int
	// GroupWindow is how many records of a queue are sorted into groups; default 120,000.
	// What lies behind them is not handed out before some have left.
	GroupWindow int
	Exchanges   int // of all namespaces, those that are always there included; default 100,000
	Policies    int // of all namespaces, those of operators included; default 10,000
	// BindingsPerExchange bounds those that lead from one exchange; default 1,000,000.
	BindingsPerExchange int
	Links               int // of all namespaces, one goroutine each; default 1000
	Namespaces          int // the default one included; default 10,000
	Users               int // default 100,000
	Facts               int // of all protocol faces; default 1,000,000
	Permissions         int // of all users, those for topics included; default 1,000,000
	// ProducersPerPart bounds the idempotent producers remembered per partition;
	// default 10,000. Beyond it the one that is idle longest is forgotten, unless
	// all of them were active in the last ten minutes: then the append is Full.
	ProducersPerPart int
	CursorMetadata   int // bytes of a cursor's metadata; default 4096
	// GroupStateBytes bounds a group's opaque state; default and most: 1 MiB less
	// 8 KiB.
	GroupStateBytes int
	StreamName      int // bytes of a stream's name; default 1024, at most 4000
	// ConfigBytes bounds keys and values of TopicConfig.Extra together, a policy, and the
	// tags and descriptions of a user or namespace; default 64 KiB.
	ConfigBytes int
}

// MaxDecodedBatch bounds what one compressed batch may decode to, in bytes: a
// small batch must not fill the memory of whoever reads it.
const MaxDecodedBatch = 64 << 20

// maxName is the largest namespace and group name, in bytes. Topic names end at
// 249 as Kafka's do.
const (
	maxName      = 255
	maxTopicName = 249
)

// What a batch of the store takes beside the names of a group and a frame's own
// blocks, and what a key holds beside what else a stream's has.
const (
	maxGroupState = storage.MaxValueBytes - 8<<10
	maxStreamName = 4000
)

var defaultLimits = Limits{
	Topics:             100_000,
	PartitionsPerTopic: 10_000,
	Partitions:         200_000,
	BatchBytes:         1_048_588,
	Groups:             100_000,
	Queues:             1_000_000,
	Leases:             120_000,
	Once:               1_000_000,
	GroupWindow:        120_000,
	Exchanges:          100_000,
	Policies:           10_000,

	BindingsPerExchange: 1_000_000,
	Links:               1000,
	Namespaces:          10_000,
	Users:               100_000,
	Facts:               1_000_000,
	Permissions:         1_000_000,
	ProducersPerPart:    10_000,
	CursorMetadata:      4096,
	GroupStateBytes:     maxGroupState,
	StreamName:          1024,
	ConfigBytes:         64 << 10,
}

// withDefaults fills the zero fields and refuses negative ones.
func (l Limits) withDefaults() (Limits, error) {
	d := defaultLimits
	for _, f := range []struct {
		name     string
		set, def *int
	}{
		{"topics", &l.Topics, &d.Topics},
		{"partitions per topic", &l.PartitionsPerTopic, &d.PartitionsPerTopic},
		{"partitions", &l.Partitions, &d.Partitions},
		{"batch bytes", &l.BatchBytes, &d.BatchBytes},
		{"groups", &l.Groups, &d.Groups},
		{"queues", &l.Queues, &d.Queues},
		{"leases", &l.Leases, &d.Leases},
		{"records published once", &l.Once, &d.Once},
		{"group window", &l.GroupWindow, &d.GroupWindow},
		{"exchanges", &l.Exchanges, &d.Exchanges},
		{"policies", &l.Policies, &d.Policies},
		{"bindings per exchange", &l.BindingsPerExchange, &d.BindingsPerExchange},
		{"links", &l.Links, &d.Links},
		{"namespaces", &l.Namespaces, &d.Namespaces},
		{"users", &l.Users, &d.Users},
		{"facts", &l.Facts, &d.Facts},
		{"permissions", &l.Permissions, &d.Permissions},
		{"producers per partition", &l.ProducersPerPart, &d.ProducersPerPart},
		{"cursor metadata", &l.CursorMetadata, &d.CursorMetadata},
		{"group state bytes", &l.GroupStateBytes, &d.GroupStateBytes},
		{"stream name", &l.StreamName, &d.StreamName},
		{"config bytes", &l.ConfigBytes, &d.ConfigBytes},
	} {
		if *f.set < 0 {
			return l, fmt.Errorf("limit %s is %d, want 0 (the default) or more", f.name, *f.set)
		}
		if *f.set == 0 {
			*f.set = *f.def
		}
	}
	if l.GroupStateBytes > maxGroupState || l.StreamName > maxStreamName {
		return l, fmt.Errorf("limits are %d bytes of group state and %d of a stream's name, "+
			"want at most %d and %d", l.GroupStateBytes, l.StreamName, maxGroupState, maxStreamName)
	}
	return l, nil
}

// checkTopicName enforces Kafka's legal set for topics and event stores. Names
// that differ only in '.' and '_' are accepted; tools that turn both into '_'
// in metric names will mix them up.
func checkTopicName(s string) error {
	if s == "" || len(s) > maxTopicName {
		return fmt.Errorf("name has %d bytes, want 1 to %d", len(s), maxTopicName)
	}
	if s == "." || s == ".." {
		return fmt.Errorf("name is %q, which is reserved", s)
	}
	if i := strings.IndexFunc(s, illegalInTopic); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		return fmt.Errorf("name contains %q, want letters, digits, '.', '_' and '-'", r)
	}
	return nil
}

func illegalInTopic(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return r != '.' && r != '_' && r != '-'
}

func checkGroupName(s string) error {
	if s == "" || len(s) > maxName {
		return fmt.Errorf("name has %d bytes, want 1 to %d", len(s), maxName)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("name %q is not valid UTF-8", s)
	}
	return nil
}

func checkNamespace(s string) error {
	if len(s) > maxName {
		return fmt.Errorf("namespace has %d bytes, want at most %d", len(s), maxName)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("namespace %q is not valid UTF-8", s)
	}
	return nil
}
