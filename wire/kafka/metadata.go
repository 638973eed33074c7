package kafka

// Metadata (key 3).
//
// Versions: 0 to 13.
//
// Behaviour: one broker, node 1, which is the controller and leads every partition with epoch
// 0. It is advertised under the address that the client dialled, unless Config.Advertise says
// otherwise. Topics are named, or from version 12 on identified; null asks for all of them, and
// in version 0 so does an empty list. Where Config.AutoCreate and the request allow it, a topic
// that does not exist is created, is durable before the answer, and is answered complete.
//
// Differences from Apache Kafka: a new topic is never answered with LEADER_NOT_AVAILABLE.
// There are no internal topics. Authorized operations are those of a server without an
// authorizer: all of them.

import (
	"context"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What an unauthorized server allows on each kind of resource, as a set of AclOperation bits.
const (
	clusterOperations int32 = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
	topicOperations   int32 = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	groupOperations   int32 = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11
)

func (c *conn) metadata(r *request, q *kmsg.MetadataRequest) reply {
	resp := q.ResponseKind().(*kmsg.MetadataResponse)
	node := kmsg.NewMetadataResponseBroker()
	node.NodeID, node.Host, node.Port = nodeID, c.advertised.host, c.advertised.port
	resp.Brokers = append(resp.Brokers, node)
	resp.ClusterID = text(c.srv.clusterID())
	resp.ControllerID = nodeID
	if q.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	if q.Topics == nil || q.Version == 0 && len(q.Topics) == 0 {
		for _, t := range c.srv.broker.Topics(c.srv.config.Namespace) {
			resp.Topics = append(resp.Topics, describeTopic(t, q))
		}
	} else {
		resp.Topics = c.wantedTopics(q)
	}
	// Clients remember ids. One that has heard the id of a topic which a crash then takes back
	// gives up what it wanted to send there: franz-go does.
	if err := c.srv.broker.AwaitCatalog(c.ctx); err != nil {
		return hangUp{err}
	}
	return r.answer(resp)
}

// wantedTopics are the topics that a request names, each once.
func (c *conn) wantedTopics(q *kmsg.MetadataRequest) []kmsg.MetadataResponseTopic {
	var topics []kmsg.MetadataResponseTopic
	once := once[topicKey]{}
	for i := range q.Topics {
		if want := &q.Topics[i]; once.first(topicKey{name(want.Topic), want.TopicID}) {
			topics = append(topics, c.topicMetadata(q, want))
		}
	}
	return topics
}

// topicKey is what a topic was asked for by: a name or an id.
type topicKey struct {
	name string
	id   [16]byte
}

// name is a nullable name's text.
func name(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// once remembers what was answered, so that repeating a name in a request cannot multiply a
// large answer.
type once[K comparable] map[K]struct{}

// first says whether k is new, and remembers it.
func (o once[K]) first(k K) bool {
	if _, seen := o[k]; seen {
		return false
	}
	o[k] = struct{}{}
	return true
}

// clusterID is the identity of the data directory, in the alphabet of Kafka's ids.
func (s *Server) clusterID() string { return encodeID(s.broker.ID()) }

// topicMetadata looks one topic up, and creates it where that is wanted.
func (c *conn) topicMetadata(
	q *kmsg.MetadataRequest, want *kmsg.MetadataRequestTopic,
) kmsg.MetadataResponseTopic {
	if want.Topic == nil || want.TopicID != [16]byte{} {
		return c.topicMetadataByID(q, want)
	}
	t, err := c.srv.broker.Topic(c.srv.config.Namespace, *want.Topic)
	if broker.KindOf(err) == broker.NotFound {
		t, err = c.missingTopic(q, *want.Topic)
	}
	if err != nil {
		return noTopic(want.Topic, want.TopicID, topicCode(*want.Topic, err))
	}
	return describeTopic(t, q)
}

func (c *conn) topicMetadataByID(
	q *kmsg.MetadataRequest, want *kmsg.MetadataRequestTopic,
) kmsg.MetadataResponseTopic {
	if q.Version < 12 { // KAFKA-12701: ids came too early in the schema
		return noTopic(text(name(want.Topic)), want.TopicID, errInvalidRequest)
	}
	t, err := c.srv.topicByID(want.TopicID)
	if err != nil {
		return noTopic(nil, want.TopicID, errUnknownTopicID)
	}
	return describeTopic(t, q)
}

// topicByID finds a topic of this listener's namespace.
func (s *Server) topicByID(id [16]byte) (*broker.Topic, error) {
	t, err := s.broker.TopicByID(broker.ID(id))
	if err == nil && t.Name().Namespace != s.config.Namespace {
		return nil, absent(broker.ID(id).String())
	}
	return t, err
}

func absent(topic string) error {
	return &broker.Error{Kind: broker.NotFound, Op: "find topic", Name: topic}
}

// missingTopic creates a topic that a client asked for, or says that it does not exist.
func (c *conn) missingTopic(q *kmsg.MetadataRequest, name string) (*broker.Topic, error) {
	allowed := q.Version < 4 || q.AllowAutoTopicCreation // before, asking was creating
	if !allowed || !c.srv.config.AutoCreate || !legalTopicName(name) {
		return nil, absent(name)
	}
	return c.srv.autoCreate(c.ctx, name)
}

// autoCreate creates a topic with the defaults. If another client was first, that one is it.
func (s *Server) autoCreate(ctx context.Context, name string) (*broker.Topic, error) {
	t, err := s.broker.CreateTopic(ctx, broker.TopicSpec{
		Namespace: s.config.Namespace, Name: name, Partitions: s.config.DefaultPartitions,
	})
	if broker.KindOf(err) == broker.Exists {
		return s.broker.Topic(s.config.Namespace, name)
	}
	return t, err
}

// topicCode is codeOf for an operation on a named topic: an illegal name is told apart.
func topicCode(name string, err error) code {
	if !legalTopicName(name) {
		return errInvalidTopic
	}
	return codeOf(err)
}

// legalTopicName is Kafka's rule: 1 to 249 of letters, digits, dot, underscore and dash, not
// "." or "..".
func legalTopicName(name string) bool {
	if name == "" || len(name) > 249 || name == "." || name == ".." {
		return false
	}
	for i := range len(name) {
		b := name[i]
		if !alphanumeric(b) && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return true
}

func noTopic(name *string, id [16]byte, c code) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.TopicID, t.ErrorCode = name, id, c
	return t
}

// onlyNode is the list of replicas and of replicas in sync of every partition.
var onlyNode = []int32{nodeID}

func describeTopic(t *broker.Topic, q *kmsg.MetadataRequest) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID = text(t.Name().Name), [16]byte(t.ID())
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.Partitions())
	for i := range out.Partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch = int32(i), nodeID, 0
		p.Replicas, p.ISR = onlyNode, onlyNode
		out.Partitions[i] = p
	}
	if q.IncludeTopicAuthorizedOperations {
		out.AuthorizedOperations = topicOperations
	}
	return out
}
