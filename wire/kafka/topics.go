package kafka

// CreateTopics (key 19), DeleteTopics (20), CreatePartitions (37).
//
// Versions: CreateTopics 2 to 7, DeleteTopics 1 to 6, CreatePartitions 0 to 3.
//
// Behaviour: what is answered is on disk, a refusal as well: that a topic exists already, or does
// not, is told when it cannot be taken back. validate_only checks everything and
// changes nothing. -1 partitions is Config.DefaultPartitions. The response to CreateTopics
// tells the settings in force and, from version 7 on, the topic's id; a topic that is created
// again has another one. Deleting a topic deletes the offsets committed in it.
//
// Differences from Apache Kafka: every replication factor of 1 or more is accepted and reported
// back as the 1 that it is, because code written for a cluster asks for 3. Manual assignments
// may name node 1 only. Names that differ in dot and underscore alone do not collide. Settings
// whose meaning is not built are refused (topic_settings.go).

import (
	"context"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mostTopics is how many topics one request may create or describe the settings of: the answer
// is much longer than the question.
const mostTopics = 10_000

// within bounds an operation by the timeout of its request.
func (c *conn) within(millis int32) (context.Context, context.CancelFunc) {
	if millis <= 0 {
		return context.WithCancel(c.ctx)
	}
	return context.WithTimeout(c.ctx, time.Duration(millis)*time.Millisecond)
}

// refused returns an error when what it was judged by is on disk: a client that hears that a topic
// exists, or does not, must not find the opposite after a power cut.
func (c *conn) refused(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if late := c.srv.broker.AwaitCatalog(ctx); late != nil {
		return late
	}
	return err
}

func (c *conn) createTopics(r *request, q *kmsg.CreateTopicsRequest) reply {
	ctx, cancel := c.within(q.TimeoutMillis)
	defer cancel()
	resp := q.ResponseKind().(*kmsg.CreateTopicsResponse)
	count := make(map[string]int)
	for i := range q.Topics {
		count[q.Topics[i].Topic]++
	}
	answered := once[string]{}
	for i := range q.Topics {
		in := &q.Topics[i]
		if !answered.first(in.Topic) {
			continue
		}
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = in.Topic
		spec, err := c.planTopic(in, count[in.Topic])
		if len(answered) > mostTopics {
			err = refusef(errPolicyViolation, "A request creates at most %d topics.", mostTopics)
		}
		if err == nil && q.ValidateOnly {
			describeCreated(&out, spec, c.srv.defaults())
		} else if err == nil {
			err = c.createTopic(ctx, spec, &out)
		}
		err = c.refused(ctx, err)
		out.ErrorCode, out.ErrorMessage = codeOf(err), sentence(err)
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp)
}

// planTopic checks one topic of a request and returns what to create.
func (c *conn) planTopic(in *kmsg.CreateTopicsRequestTopic, times int) (broker.TopicSpec, error) {
	spec := broker.TopicSpec{Namespace: c.srv.config.Namespace, Name: in.Topic}
	if times > 1 {
		return spec, refusef(errInvalidRequest, "Duplicate topic name.")
	}
	if !legalTopicName(in.Topic) {
		return spec, illegalName(in.Topic)
	}
	if _, err := c.srv.broker.Topic(spec.Namespace, spec.Name); err == nil {
		return spec, refusef(errTopicAlreadyExists, "Topic '%s' already exists.", in.Topic)
	}
	var err error
	if spec.Partitions, err = c.plannedPartitions(in); err != nil {
		return spec, err
	}
	spec.Config, err = parseTopicSettings(in.Configs)
	return spec, err
}

func illegalName(name string) error {
	return refusef(errInvalidTopic, "Topic name '%s' is illegal: it has 1 to 249 letters, "+
		"digits, '.', '_' and '-', and is not '.' or '..'.", name)
}

// plannedPartitions returns how many partitions a request wants.
func (c *conn) plannedPartitions(in *kmsg.CreateTopicsRequestTopic) (int, error) {
	if len(in.ReplicaAssignment) > 0 {
		return assignedPartitions(in)
	}
	if err := c.checkCount(in.NumPartitions); err != nil {
		return 0, err
	}
	if in.ReplicationFactor == 0 || in.ReplicationFactor < -1 {
		return 0, refusef(errInvalidReplication, "Replication factor must be larger than 0, "+
			"or -1 to use the default value.")
	}
	switch {
	case in.NumPartitions == -1:
		return c.srv.config.DefaultPartitions, nil
	case in.NumPartitions < 1:
		return 0, refusef(errInvalidPartitions,
			"Number of partitions was set to an invalid non-positive value.")
	default:
		return int(in.NumPartitions), nil
	}
}

// checkCount refuses more partitions than a topic may have.
func (c *conn) checkCount(n int32) error {
	if most := c.srv.broker.Limits().PartitionsPerTopic; int(n) > most {
		return refusef(errInvalidPartitions, "A topic has at most %d partitions here.", most)
	}
	return nil
}

// assignedPartitions checks a manual assignment, which has to name node 1 for partitions 0
// to n-1, and returns n.
func assignedPartitions(in *kmsg.CreateTopicsRequestTopic) (int, error) {
	if in.ReplicationFactor != -1 || in.NumPartitions != -1 {
		return 0, refusef(errInvalidRequest, "A manual partition assignment was specified, but "+
			"replication factor and number of partitions were not set to -1.")
	}
	seen := once[int32]{}
	for _, a := range in.ReplicaAssignment {
		if a.Partition < 0 || int(a.Partition) >= len(in.ReplicaAssignment) {
			return 0, refusef(errInvalidAssignment,
				"partitions should be a consecutive 0-based integer sequence")
		}
		if !seen.first(a.Partition) {
			return 0, refusef(errInvalidAssignment,
				"Found multiple manual partition assignments for partition %d", a.Partition)
		}
		if err := checkNodes(a.Replicas); err != nil {
			return 0, err
		}
	}
	return len(in.ReplicaAssignment), nil
}

func checkNodes(nodes []int32) error {
	if len(nodes) != 1 || nodes[0] != nodeID {
		return refusef(errInvalidAssignment,
			"A manual partition assignment can name node %d only, there is no other.", nodeID)
	}
	return nil
}

func (c *conn) createTopic(
	ctx context.Context, spec broker.TopicSpec, out *kmsg.CreateTopicsResponseTopic,
) error {
	t, err := c.srv.broker.CreateTopic(ctx, spec)
	if err != nil {
		return err
	}
	out.TopicID = t.ID()
	describeCreated(out, spec, t.Effective())
	return nil
}

// defaults are the settings of a topic that sets none, as far as they are known without one.
func (s *Server) defaults() broker.TopicConfig {
	return broker.TopicConfig{BatchBytes: s.broker.Limits().BatchBytes}
}

// describeCreated adds what version 5 tells: partitions, replication and settings.
func describeCreated(
	out *kmsg.CreateTopicsResponseTopic, spec broker.TopicSpec, effective broker.TopicConfig,
) {
	out.NumPartitions, out.ReplicationFactor = int32(spec.Partitions), 1
	for i := range topicSettings {
		s := &topicSettings[i]
		value, set := s.value(&spec.Config, &effective)
		config := kmsg.NewCreateTopicsResponseTopicConfig()
		config.Name, config.Value, config.ReadOnly = s.name, text(value), true
		config.Source = int8(topicSource(set))
		out.Configs = append(out.Configs, config)
	}
}

func (c *conn) deleteTopics(r *request, q *kmsg.DeleteTopicsRequest) reply {
	ctx, cancel := c.within(q.TimeoutMillis)
	defer cancel()
	resp := q.ResponseKind().(*kmsg.DeleteTopicsResponse)
	asked := q.Topics
	for _, name := range q.TopicNames { // before version 6
		asked = append(asked, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	count := make(map[topicKey]int)
	for _, t := range asked {
		count[topicKey{name(t.Topic), t.TopicID}]++
	}
	answered := once[topicKey]{}
	for _, t := range asked {
		key := topicKey{name(t.Topic), t.TopicID}
		if !answered.first(key) {
			continue
		}
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		err := refusef(errInvalidRequest, "Duplicate topic.")
		if count[key] == 1 {
			err = c.refused(ctx, c.deleteTopic(ctx, &out))
		}
		out.ErrorCode, out.ErrorMessage = codeOf(err), sentence(err)
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp)
}

// deleteTopic deletes the topic that out names, and completes its name and id.
func (c *conn) deleteTopic(ctx context.Context, out *kmsg.DeleteTopicsResponseTopic) error {
	t, err := c.topicToDelete(out)
	if err != nil {
		return err
	}
	return c.deleteFound(ctx, t, out)
}

func (c *conn) topicToDelete(out *kmsg.DeleteTopicsResponseTopic) (*broker.Topic, error) {
	byID := out.TopicID != [16]byte{}
	switch {
	case out.Topic == nil && !byID:
		return nil, refusef(errInvalidRequest, "Neither topic name nor id were specified.")
	case out.Topic != nil && byID:
		return nil, refusef(errInvalidRequest, "You may not specify both topic name and topic id.")
	case byID:
		t, err := c.srv.topicByID(out.TopicID)
		if err != nil {
			return nil, unknownTopicID()
		}
		return t, nil
	default:
		return c.srv.broker.Topic(c.srv.config.Namespace, *out.Topic)
	}
}

func unknownTopicID() error {
	return refusef(errUnknownTopicID, "This server does not host this topic ID.")
}

// deleteFound deletes a topic that was found by what out names, unless another client has been
// faster: the one that has its name by now is not meant.
func (c *conn) deleteFound(
	ctx context.Context, t *broker.Topic, out *kmsg.DeleteTopicsResponseTopic,
) error {
	err := c.srv.broker.DeleteTopicByID(ctx, t.ID())
	if broker.KindOf(err) == broker.NotFound && out.Topic == nil {
		return unknownTopicID()
	}
	out.Topic, out.TopicID = text(t.Name().Name), t.ID()
	return err
}

func (c *conn) createPartitions(r *request, q *kmsg.CreatePartitionsRequest) reply {
	ctx, cancel := c.within(q.TimeoutMillis)
	defer cancel()
	resp := q.ResponseKind().(*kmsg.CreatePartitionsResponse)
	count := make(map[string]int)
	for i := range q.Topics {
		count[q.Topics[i].Topic]++
	}
	answered := once[string]{}
	for i := range q.Topics {
		in := &q.Topics[i]
		if !answered.first(in.Topic) {
			continue
		}
		err := c.planGrowth(in, count[in.Topic])
		if err == nil && !q.ValidateOnly {
			err = c.srv.broker.GrowTopic(ctx, c.srv.config.Namespace, in.Topic, int(in.Count))
		}
		err = c.refused(ctx, err)
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = in.Topic
		out.ErrorCode, out.ErrorMessage = codeOf(err), sentence(err)
		resp.Topics = append(resp.Topics, out)
	}
	return r.answer(resp)
}

// planGrowth checks one topic of a request to grow.
func (c *conn) planGrowth(in *kmsg.CreatePartitionsRequestTopic, times int) error {
	if times > 1 {
		return refusef(errInvalidRequest, "Duplicate topic name.")
	}
	t, err := c.srv.broker.Topic(c.srv.config.Namespace, in.Topic)
	if err != nil {
		return err
	}
	if int(in.Count) <= t.Partitions() {
		return refusef(errInvalidPartitions, "The topic %s currently has %d partition(s); %d "+
			"would not be an increase.", in.Topic, t.Partitions(), in.Count)
	}
	if err := c.checkCount(in.Count); err != nil {
		return err
	}
	if in.Assignment == nil {
		return nil
	}
	if more := int(in.Count) - t.Partitions(); len(in.Assignment) != more {
		return refusef(errInvalidAssignment, "Attempted to add %d additional partition(s), but "+
			"only %d assignment(s) were specified.", more, len(in.Assignment))
	}
	for _, a := range in.Assignment {
		if err := checkNodes(a.Replicas); err != nil {
			return err
		}
	}
	return nil
}
