package kafka

// DescribeConfigs (key 32).
//
// Versions: 1 to 4.
//
// Behaviour: describes topics, and the broker as node 1. A topic's settings come from its
// creation (DYNAMIC_TOPIC_CONFIG) or are defaults (DEFAULT_CONFIG); their synonyms name the
// broker setting that gives the default. The broker as "" has no dynamic settings.
//
// Differences from Apache Kafka: every setting is read-only, since none can be altered yet. A
// broker has the settings that mean something here. Loggers, client metrics and groups have
// none: INVALID_REQUEST.

import (
	"slices"
	"strconv"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *conn) describeConfigs(r *request, q *kmsg.DescribeConfigsRequest) reply {
	resp := q.ResponseKind().(*kmsg.DescribeConfigsResponse)
	type resource struct {
		kind kmsg.ConfigResourceType
		name string
	}
	once := once[resource]{}
	for i := range q.Resources {
		in := &q.Resources[i]
		if !once.first(resource{in.ResourceType, in.ResourceName}) {
			continue
		}
		all, err := c.settings(in.ResourceType, in.ResourceName)
		if len(once) > mostTopics {
			all, err = nil, refusef(errInvalidRequest, "Ask for at most %d resources.", mostTopics)
		}
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		out.ErrorCode, out.ErrorMessage = codeOf(err), sentence(err)
		for _, s := range all {
			if len(in.ConfigNames) == 0 || slices.Contains(in.ConfigNames, s.name) {
				out.Configs = append(out.Configs, s.describe(q))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return r.answer(resp)
}

// setting is a setting with its value, ready to be described.
type setting struct {
	name, value, doc string
	kind             kmsg.ConfigType
	source           kmsg.ConfigSource
	synonyms         []synonym
}

type synonym struct {
	name, value string
	source      kmsg.ConfigSource
}

// settings returns those of a resource.
func (c *conn) settings(kind kmsg.ConfigResourceType, name string) ([]setting, error) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		return c.settingsOfTopic(name)
	case kmsg.ConfigResourceTypeBroker:
		return c.srv.settingsOfBroker(name)
	default:
		return nil, refusef(errInvalidRequest, "Only topics and brokers have settings here.")
	}
}

func (c *conn) settingsOfTopic(name string) ([]setting, error) {
	if !legalTopicName(name) {
		return nil, illegalName(name)
	}
	t, err := c.srv.broker.Topic(c.srv.config.Namespace, name)
	if err != nil {
		return nil, err
	}
	config, effective := t.Config(), t.Effective()
	all := make([]setting, len(topicSettings))
	for i := range topicSettings {
		all[i] = topicSettings[i].ofTopic(&config, &effective)
	}
	return all, nil
}

// ofTopic returns the setting as a topic has it.
func (s *topicSetting) ofTopic(c, effective *broker.TopicConfig) setting {
	value, set := s.value(c, effective)
	out := setting{
		name: s.name, value: value, doc: s.doc, kind: s.kind, source: topicSource(set),
	}
	if set {
		out.synonyms = append(out.synonyms, synonym{s.name, value, out.source})
	}
	if s.synonym != "" {
		def, _ := s.value(&broker.TopicConfig{}, effective)
		if set {
			def = s.def
		}
		out.synonyms = append(out.synonyms, synonym{s.synonym, def, kmsg.ConfigSourceDefaultConfig})
	}
	return out
}

func topicSource(set bool) kmsg.ConfigSource {
	if set {
		return kmsg.ConfigSourceDynamicTopicConfig
	}
	return kmsg.ConfigSourceDefaultConfig
}

func (s *setting) describe(
	q *kmsg.DescribeConfigsRequest,
) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.ReadOnly = s.name, text(s.value), true
	out.Source, out.ConfigType = s.source, s.kind
	if q.IncludeDocumentation {
		out.Documentation = text(s.doc)
	}
	if q.IncludeSynonyms {
		for _, y := range s.synonyms {
			syn := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			syn.Name, syn.Value, syn.Source = y.name, text(y.value), y.source
			out.ConfigSynonyms = append(out.ConfigSynonyms, syn)
		}
	}
	return out
}

// settingsOfBroker returns the settings of node 1. "" asks for what was changed for all
// brokers while they run, which is nothing.
func (s *Server) settingsOfBroker(name string) ([]setting, error) {
	if name == "" {
		return nil, nil
	}
	if name != strconv.Itoa(nodeID) {
		return nil, refusef(errInvalidRequest,
			"Unexpected broker id, expected %d or empty string, but received %s", nodeID, name)
	}
	given, def := &s.config, Config{}
	def.Limits.setDefaults()
	positive(&def.DefaultPartitions, 1)
	positive(&def.OffsetRetention, 7*24*time.Hour)
	all := make([]setting, 0, len(brokerSettings))
	for _, b := range brokerSettings {
		value := b.value(given, s.broker)
		source := kmsg.ConfigSourceDefaultConfig
		if value != b.value(&def, s.broker) {
			source = kmsg.ConfigSourceStaticBrokerConfig
		}
		all = append(all, setting{
			name: b.name, value: value, doc: b.doc, kind: b.kind, source: source,
			synonyms: []synonym{{b.name, value, source}},
		})
	}
	return all, nil
}

// brokerSettings are those of Kafka's broker settings that mean something here, by name.
var brokerSettings = []struct {
	name  string
	kind  kmsg.ConfigType
	doc   string
	value func(*Config, *broker.Broker) string
}{
	{"advertised.listeners", kmsg.ConfigTypeString,
		"Where clients are told to connect; empty: the address that they dialled.",
		func(c *Config, _ *broker.Broker) string { return listenerText(c.Advertise, c) }},
	{"auto.create.topics.enable", kmsg.ConfigTypeBoolean,
		"Whether asking for a topic's metadata creates it.",
		func(c *Config, _ *broker.Broker) string { return strconv.FormatBool(c.AutoCreate) }},
	{"broker.id", kmsg.ConfigTypeInt, "The number of this node.", constant(strconv.Itoa(nodeID))},
	{"connections.max.idle.ms", kmsg.ConfigTypeLong,
		"After how long a connection without requests is closed, in milliseconds.",
		func(c *Config, _ *broker.Broker) string { return number64(c.Limits.Idle.Milliseconds()) }},
	{"default.replication.factor", kmsg.ConfigTypeInt, "There is one node.", constant("1")},
	{"delete.topic.enable", kmsg.ConfigTypeBoolean, "Topics can be deleted.", constant("true")},
	{"fetch.max.bytes", kmsg.ConfigTypeInt, "The largest fetch response, in bytes.",
		func(c *Config, _ *broker.Broker) string { return strconv.Itoa(c.Limits.FetchBytes) }},
	{"group.initial.rebalance.delay.ms", kmsg.ConfigTypeInt,
		"How long a new group waits for more members, in milliseconds.",
		func(c *Config, _ *broker.Broker) string {
			return number64(c.InitialRebalanceDelay.Milliseconds())
		}},
	{"group.max.session.timeout.ms", kmsg.ConfigTypeInt,
		"The longest session timeout that a group member may ask for, in milliseconds.",
		func(c *Config, _ *broker.Broker) string {
			return number64(c.Limits.MaxSessionTimeout.Milliseconds())
		}},
	{"group.max.size", kmsg.ConfigTypeInt, "The number of members of a group.",
		func(c *Config, _ *broker.Broker) string { return strconv.Itoa(c.Limits.GroupMembers) }},
	{"group.min.session.timeout.ms", kmsg.ConfigTypeInt,
		"The shortest session timeout that a group member may ask for, in milliseconds.",
		func(c *Config, _ *broker.Broker) string {
			return number64(c.Limits.MinSessionTimeout.Milliseconds())
		}},
	{"listeners", kmsg.ConfigTypeString, "Where this server listens.",
		func(c *Config, _ *broker.Broker) string { return listenerText(c.Addr, c) }},
	{"log.cleanup.policy", kmsg.ConfigTypeList, "Old records are deleted.", constant("delete")},
	{"log.message.timestamp.type", kmsg.ConfigTypeString,
		"Records have the producer's time, unless a topic says otherwise.", constant(createTime)},
	{"max.connections", kmsg.ConfigTypeInt, "The number of open connections.",
		func(c *Config, _ *broker.Broker) string { return strconv.Itoa(c.Limits.Connections) }},
	{"message.max.bytes", kmsg.ConfigTypeInt, "The largest record batch, in bytes.",
		func(_ *Config, b *broker.Broker) string { return strconv.Itoa(b.Limits().BatchBytes) }},
	{"min.insync.replicas", kmsg.ConfigTypeInt, "There is one node.", constant("1")},
	{"node.id", kmsg.ConfigTypeInt, "The number of this node.", constant(strconv.Itoa(nodeID))},
	{"num.partitions", kmsg.ConfigTypeInt, "The partitions of a topic that does not say.",
		func(c *Config, _ *broker.Broker) string { return strconv.Itoa(c.DefaultPartitions) }},
	{"offset.metadata.max.bytes", kmsg.ConfigTypeInt,
		"The largest metadata of a committed offset, in bytes.",
		func(_ *Config, b *broker.Broker) string {
			return strconv.Itoa(b.Limits().CursorMetadata)
		}},
	{"offsets.retention.minutes", kmsg.ConfigTypeInt,
		"How long committed offsets outlive the last member of their group, in minutes.",
		func(c *Config, _ *broker.Broker) string {
			return strconv.Itoa(int(c.OffsetRetention / time.Minute))
		}},
	{"socket.request.max.bytes", kmsg.ConfigTypeInt, "The largest request, in bytes.",
		func(c *Config, _ *broker.Broker) string { return strconv.Itoa(c.Limits.RequestBytes) }},
}

func constant(v string) func(*Config, *broker.Broker) string {
	return func(*Config, *broker.Broker) string { return v }
}

// listenerText writes an address as Kafka's listener settings do.
func listenerText(addr string, c *Config) string {
	if addr == "" {
		return ""
	}
	if c.TLS != nil {
		return "SSL://" + addr
	}
	return "PLAINTEXT://" + addr
}
