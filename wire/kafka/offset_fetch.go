package kafka

// OffsetFetch (key 9).
//
// Versions: 1 to 10. From version 8 on it asks for several groups at once.
//
// Behaviour: the committed offset, leader epoch and metadata of each partition. A partition
// without one, or of a group that does not exist, is offset -1 without an error. Null topics
// (version 2) ask for all of the group. Topics are named, or identified from version 10 on.
// The answer waits until what it says is on disk: an offset never moves back because of a crash.
//
// Differences from Apache Kafka: require_stable (version 7) changes nothing, since there are
// no transactions that could leave an offset open. A group that is named twice is answered once.

import (
	"cmp"
	"maps"
	"slices"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *conn) offsetFetch(r *request, q *kmsg.OffsetFetchRequest) reply {
	resp := q.ResponseKind().(*kmsg.OffsetFetchResponse)
	if q.Version >= 8 {
		return c.offsetFetchMany(r, q, resp)
	}
	in := kmsg.NewOffsetFetchRequestGroup()
	in.Group = q.Group
	if q.Topics != nil {
		in.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for i := range q.Topics {
		one := kmsg.NewOffsetFetchRequestGroupTopic()
		one.Topic, one.Partitions = q.Topics[i].Topic, q.Topics[i].Partitions
		in.Topics = append(in.Topics, one)
	}
	out, confirm := c.groupOffsets(&in, q.Version)
	resp.ErrorCode = out.ErrorCode
	for i := range out.Topics {
		resp.Topics = append(resp.Topics, oldOffsets(&out.Topics[i], out.ErrorCode))
	}
	return r.promise(resp, []pledge{{confirm, func(bad code) { resp.ErrorCode, resp.Topics = bad, nil }}})
}

func (c *conn) offsetFetchMany(
	r *request, q *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse,
) reply {
	var open []pledge
	once := once[string]{}
	for i := range q.Groups {
		in := &q.Groups[i]
		if !once.first(in.Group) {
			continue
		}
		out, confirm := c.groupOffsets(in, q.Version)
		resp.Groups = append(resp.Groups, out)
		at := len(resp.Groups) - 1
		open = append(open, pledge{confirm, func(bad code) {
			resp.Groups[at].ErrorCode, resp.Groups[at].Topics = bad, nil
		}})
	}
	return r.promise(resp, open)
}

// oldOffsets turns a topic of a group into one of a response before version 8. In version 1 an
// error of the group is told by each partition.
func oldOffsets(in *kmsg.OffsetFetchResponseGroupTopic, bad code) kmsg.OffsetFetchResponseTopic {
	out := kmsg.NewOffsetFetchResponseTopic()
	out.Topic = in.Topic
	for _, p := range in.Partitions {
		one := kmsg.NewOffsetFetchResponseTopicPartition()
		one.Partition, one.Offset, one.LeaderEpoch = p.Partition, p.Offset, p.LeaderEpoch
		one.Metadata, one.ErrorCode = p.Metadata, p.ErrorCode
		if bad != errNone {
			one.ErrorCode = bad
		}
		out.Partitions = append(out.Partitions, one)
	}
	return out
}

// groupOffsets answers for one group. What it says is on disk with the confirm.
func (c *conn) groupOffsets(
	in *kmsg.OffsetFetchRequestGroup, version int16,
) (kmsg.OffsetFetchResponseGroup, broker.Confirm) {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = in.Group
	out.ErrorCode = checkName(in.Group)
	stored, err := c.srv.broker.Group(c.srv.config.Namespace, in.Group)
	switch {
	case err != nil: // no group, no offsets
		out.Topics = c.someOffsets(nil, in, version)
		return out, broker.Confirm{}
	case in.Topics == nil:
		out.Topics = allOffsets(stored)
	default:
		out.Topics = c.someOffsets(stored, in, version)
	}
	return out, stored.Confirm()
}

// someOffsets returns those that a request names. g is nil where there is no group.
func (c *conn) someOffsets(
	g *broker.Group, in *kmsg.OffsetFetchRequestGroup, version int16,
) (all []kmsg.OffsetFetchResponseGroupTopic) {
	for i := range in.Topics {
		one := kmsg.NewOffsetFetchResponseGroupTopic()
		one.Topic, one.TopicID = in.Topics[i].Topic, in.Topics[i].TopicID
		name, missing := one.Topic, errNone
		if version >= 10 {
			name, missing = c.topicName(one.TopicID)
		}
		for _, index := range in.Topics[i].Partitions {
			p := offsetOf(g, name, index)
			p.ErrorCode = missing
			one.Partitions = append(one.Partitions, p)
		}
		all = append(all, one)
	}
	return all
}

func (c *conn) topicName(id [16]byte) (string, code) {
	t, err := c.srv.topicByID(id)
	if err != nil {
		return "", errUnknownTopicID
	}
	return t.Name().Name, errNone
}

// offsetOf returns a group's offset in one partition. Metadata is never null: old clients
// cannot read that.
func offsetOf(
	g *broker.Group, topic string, index int32,
) kmsg.OffsetFetchResponseGroupTopicPartition {
	out := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	out.Partition, out.Offset, out.LeaderEpoch, out.Metadata = index, -1, -1, text("")
	if g == nil {
		return out
	}
	if cursor, ok := g.Cursor(topic, int(index)); ok {
		out.Offset, out.LeaderEpoch = int64(cursor.Offset), cursor.LeaderEpoch
		out.Metadata = text(cursor.Metadata)
	}
	return out
}

// allOffsets returns every offset of a group, by topic and partition.
func allOffsets(g *broker.Group) []kmsg.OffsetFetchResponseGroupTopic {
	cursors := g.Cursors()
	keys := slices.SortedFunc(maps.Keys(cursors), func(a, b broker.CursorKey) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Partition, b.Partition))
	})
	var out []kmsg.OffsetFetchResponseGroupTopic
	for _, key := range keys {
		if len(out) == 0 || out[len(out)-1].Topic != key.Name {
			one := kmsg.NewOffsetFetchResponseGroupTopic()
			one.Topic, one.TopicID = key.Name, key.Topic
			out = append(out, one)
		}
		p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		cursor := cursors[key]
		p.Partition, p.Offset = int32(key.Partition), int64(cursor.Offset)
		p.LeaderEpoch, p.Metadata = cursor.LeaderEpoch, text(cursor.Metadata)
		topic := &out[len(out)-1]
		topic.Partitions = append(topic.Partitions, p)
	}
	return out
}
