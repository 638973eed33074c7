package kafka

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wrong is an input that must be refused, in every version from from on, with exactly these
// error codes in the response, in the order in which they stand there.
type wrong struct {
	name  string
	from  int16
	upTo  int16 // 0: no limit
	query query
	codes []code
}

// query makes a request.
type query func(w *wrongRig) kmsg.Request

// wrongRig is what the inputs are wrong about: a topic with one partition and the three
// records "a", "b", "c", and three groups: one stable, one that reads the topic, and one that is
// empty and has an offset.
type wrongRig struct {
	*rig
	topic  *broker.Topic
	member string // of group "stable"
	now    int16  // the version being tried
}

// naming is how the version names the topic.
func (w *wrongRig) naming(since int16) (string, [16]byte) {
	if w.now >= since {
		return "", w.topic.ID()
	}
	return "right", [16]byte{}
}

func TestWrongInputGetsItsCode(t *testing.T) {
	r := serve(t)
	w := &wrongRig{rig: r, topic: r.topic("right", 1)}
	r.write(w.topic, 0, "a", "b", "c")
	c := r.dial()
	w.member = stableAlone(c, "stable")
	w.readingGroup(c)
	ask[*kmsg.OffsetCommitResponse](c, 8, commitRequest("empty", "right", [16]byte{}, 2))
	for _, s := range Served() {
		cases := wrongs[s.Name]
		if len(cases) == 0 {
			t.Errorf("%s is served and no wrong input is tried", s.Name)
		}
		for _, k := range cases {
			t.Run(s.Name+"/"+k.name, func(t *testing.T) { w.try(t, s, k) })
		}
	}
	r.t = t
}

// readingGroup makes a stable group whose member has subscribed to the topic.
func (w *wrongRig) readingGroup(c *client) {
	q := joinRequest("reading", "")
	q.Protocols[0].Metadata = append([]byte{0, 0, 0, 0, 0, 1, 0, 5}, "right"...)
	joined := ask[*kmsg.JoinGroupResponse](c, 3, q)
	ask[*kmsg.SyncGroupResponse](c, 3, syncRequest("reading", joined.MemberID, 1))
}

func (w *wrongRig) try(t *testing.T, s ServedRequest, k wrong) {
	w.t = t
	c := w.dial()
	last := s.Max
	if k.upTo > 0 {
		last = k.upTo
	}
	for v := max(k.from, s.From); v <= last; v++ {
		w.now = v
		q := k.query(w)
		q.SetVersion(v)
		resp := c.do(q)
		same(t, fmt.Sprintf("version %d", v), errorCodes(reflect.ValueOf(resp)), k.codes)
	}
	if _, end := w.topic.Partition(0).Bounds(); end != 3 {
		t.Fatalf("got end %d, want 3: what is refused changes nothing", end)
	}
	same(t, "offset", w.committed("empty", "right"), int64(2))
}

// errorCodes returns every error code of a response.
func errorCodes(v reflect.Value) (codes []code) {
	switch v.Kind() {
	case reflect.Pointer:
		return errorCodes(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			codes = append(codes, errorCodes(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "ErrorCode" && v.Field(i).Int() != 0 {
				codes = append(codes, code(v.Field(i).Int()))
			} else if f.Type.Kind() == reflect.Slice {
				codes = append(codes, errorCodes(v.Field(i))...)
			}
		}
	}
	return codes
}

// produceRequest writes raw batches to partition 0.
func produceRequest(name string, id [16]byte, raw []byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Acks = -1
	in := kmsg.NewProduceRequestTopic()
	in.Topic, in.TopicID = name, id
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = raw
	in.Partitions = append(in.Partitions, part)
	q.Topics = append(q.Topics, in)
	return q
}

// produceWrong is a batch for the right topic that something is wrong with.
func produceWrong(change func(q *kmsg.ProduceRequest, raw []byte) []byte) query {
	return func(w *wrongRig) kmsg.Request {
		name, id := w.naming(13)
		q := produceRequest(name, id, batch(w.t, "x"))
		part := &q.Topics[0].Partitions[0]
		part.Records = change(q, part.Records)
		return q
	}
}

func fetchWrong(change func(q *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition)) query {
	return func(w *wrongRig) kmsg.Request {
		name, id := w.naming(13)
		q := fetchRequest(name, id, 0)
		change(q, &q.Topics[0].Partitions[0])
		return q
	}
}

// listWrong asks for the offset of a time in a partition of a topic.
func listWrong(topic string, partition int32, time int64, epoch int32) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrListOffsetsRequest()
		in := kmsg.NewListOffsetsRequestTopic()
		in.Topic = topic
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = partition, time, epoch
		in.Partitions = append(in.Partitions, p)
		q.Topics = append(q.Topics, in)
		return q
	}
}

func metadataWrong(name *string, id [16]byte) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrMetadataRequest()
		q.AllowAutoTopicCreation = true // which Config.AutoCreate does not
		q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: name, TopicID: id})
		return q
	}
}

func commitWrong(change func(w *wrongRig, q *kmsg.OffsetCommitRequest)) query {
	return func(w *wrongRig) kmsg.Request {
		name, id := w.naming(10)
		q := commitRequest("empty", name, id, 9)
		q.MemberID = ""
		change(w, q)
		return q
	}
}

func joinWrong(change func(w *wrongRig, q *kmsg.JoinGroupRequest)) query {
	return func(w *wrongRig) kmsg.Request {
		q := joinRequest("joining", "")
		change(w, q)
		return q
	}
}

func syncWrong(change func(w *wrongRig, q *kmsg.SyncGroupRequest)) query {
	return func(w *wrongRig) kmsg.Request {
		q := syncRequest("stable", w.member, 1)
		change(w, q)
		return q
	}
}

func beatWrong(change func(w *wrongRig, q *kmsg.HeartbeatRequest)) query {
	return func(w *wrongRig) kmsg.Request {
		q := kmsg.NewPtrHeartbeatRequest()
		q.Group, q.MemberID, q.Generation = "stable", w.member, 1
		change(w, q)
		return q
	}
}

func leaveWrong(group, member string, instance *string) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrLeaveGroupRequest()
		q.Group, q.MemberID = group, member
		q.Members = append(q.Members, kmsg.LeaveGroupRequestMember{
			MemberID: member, InstanceID: instance,
		})
		return q
	}
}

func createWrong(change func(t *kmsg.CreateTopicsRequestTopic)) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrCreateTopicsRequest()
		in := kmsg.NewCreateTopicsRequestTopic()
		in.Topic, in.NumPartitions, in.ReplicationFactor = "never", 1, 1
		change(&in)
		q.Topics = append(q.Topics, in)
		return q
	}
}

// createWith is a topic to create with one setting.
func createWith(name string, value *string) query {
	return createWrong(func(t *kmsg.CreateTopicsRequestTopic) {
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: value})
	})
}

// assigning is a topic to create with a manual assignment.
func assigning(parts ...kmsg.CreateTopicsRequestTopicReplicaAssignment) query {
	return createWrong(func(t *kmsg.CreateTopicsRequestTopic) {
		t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = -1, -1, parts
	})
}

func growWrong(
	name string, count int32, assign ...kmsg.CreatePartitionsRequestTopicAssignment,
) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrCreatePartitionsRequest()
		q.Topics = append(q.Topics, kmsg.CreatePartitionsRequestTopic{
			Topic: name, Count: count, Assignment: assign,
		})
		return q
	}
}

func deleteTopicWrong(name *string, id [16]byte) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrDeleteTopicsRequest()
		if name != nil {
			q.TopicNames = []string{*name}
		}
		q.Topics = append(q.Topics, kmsg.DeleteTopicsRequestTopic{Topic: name, TopicID: id})
		return q
	}
}

func trimWrong(name string, partition int32, offset int64) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrDeleteRecordsRequest()
		q.Topics = append(q.Topics, kmsg.DeleteRecordsRequestTopic{
			Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{
				{Partition: partition, Offset: offset},
			},
		})
		return q
	}
}

func epochWrong(name string, partition, current int32) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrOffsetForLeaderEpochRequest()
		q.Topics = append(q.Topics, kmsg.OffsetForLeaderEpochRequestTopic{
			Topic: name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{
				{Partition: partition, CurrentLeaderEpoch: current},
			},
		})
		return q
	}
}

func describeWrong(kind kmsg.ConfigResourceType, name string) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrDescribeConfigsRequest()
		q.Resources = append(q.Resources, kmsg.DescribeConfigsRequestResource{
			ResourceType: kind, ResourceName: name,
		})
		return q
	}
}

func offsetDeleteWrong(group, topic string, partition int32) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrOffsetDeleteRequest()
		q.Group = group
		q.Topics = append(q.Topics, kmsg.OffsetDeleteRequestTopic{
			Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{
				{Partition: partition},
			},
		})
		return q
	}
}

func deleteGroupsWrong(names ...string) query {
	return func(*wrongRig) kmsg.Request {
		q := kmsg.NewPtrDeleteGroupsRequest()
		q.Groups = names
		return q
	}
}

// longName is longer than a group's name can be.
var longName = strings.Repeat("g", maxGroupName+1)
