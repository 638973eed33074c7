package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// seal makes a batch's checksum right again after a change.
func seal(raw []byte) []byte {
	sum := crc32.Checksum(raw[attributesAt:], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(raw[17:], sum)
	return raw
}

// wrongs are the wrong inputs of every served request.
var wrongs = map[string][]wrong{
	"Produce": {
		{name: "absent topic", upTo: 12, codes: []code{errUnknownTopicOrPartition},
			query: func(w *wrongRig) kmsg.Request {
				return produceRequest("absent", [16]byte{}, batch(w.t, "x"))
			}},
		{name: "illegal topic", upTo: 12, codes: []code{errInvalidTopic},
			query: func(w *wrongRig) kmsg.Request {
				return produceRequest("a b", [16]byte{}, batch(w.t, "x"))
			}},
		{name: "unknown id", from: 13, codes: []code{errUnknownTopicID},
			query: func(w *wrongRig) kmsg.Request {
				return produceRequest("", [16]byte{1}, batch(w.t, "x"))
			}},
		{name: "absent partition", codes: []code{errUnknownTopicOrPartition},
			query: produceWrong(func(q *kmsg.ProduceRequest, raw []byte) []byte {
				q.Topics[0].Partitions[0].Partition = 1
				return raw
			})},
		{name: "negative partition", codes: []code{errUnknownTopicOrPartition},
			query: produceWrong(func(q *kmsg.ProduceRequest, raw []byte) []byte {
				q.Topics[0].Partitions[0].Partition = -1
				return raw
			})},
		{name: "acks 2", codes: []code{errInvalidRequiredAcks},
			query: produceWrong(func(q *kmsg.ProduceRequest, raw []byte) []byte {
				q.Acks = 2
				return raw
			})},
		{name: "transactional id", codes: []code{errTransactionalID},
			query: produceWrong(func(q *kmsg.ProduceRequest, raw []byte) []byte {
				q.TransactionID = ptr("tx")
				return raw
			})},
		{name: "no batch", codes: []code{errInvalidRecord},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				return []byte{}
			})},
		{name: "null batch", codes: []code{errInvalidRecord},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte { return nil })},
		{name: "two batches", codes: []code{errInvalidRecord},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				return append(raw, raw...)
			})},
		{name: "old magic", codes: []code{errInvalidRecord},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				raw[magicAt] = 1
				return raw
			})},
		{name: "flipped bit", codes: []code{errCorruptMessage},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				raw[len(raw)-1] ^= 1
				return raw
			})},
		{name: "cut short", codes: []code{errCorruptMessage},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				return raw[:len(raw)-1]
			})},
		{name: "a few bytes", codes: []code{errCorruptMessage},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				return raw[:5]
			})},
		{name: "transactional batch", codes: []code{errTransactionalID},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				raw[attributesAt+1] |= transactional
				return seal(raw)
			})},
		{name: "control batch", codes: []code{errInvalidRecord},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				raw[attributesAt+1] |= 0x20
				return seal(raw)
			})},
		{name: "zstd too early", upTo: 6, codes: []code{errUnsupportedCompression},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				raw[attributesAt+1] |= zstdCodec
				return seal(raw)
			})},
		{name: "unknown codec", codes: []code{errUnsupportedCompression},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				raw[attributesAt+1] |= 5
				return seal(raw)
			})},
		{name: "too large", codes: []code{errMessageTooLarge},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				raw = append(raw, make([]byte, 1<<20)...)
				binary.BigEndian.PutUint32(raw[batchLengthAt:], uint32(len(raw)-batchHead))
				return seal(raw)
			})},
		{name: "time far ahead", codes: []code{errInvalidTimestamp},
			query: produceWrong(func(_ *kmsg.ProduceRequest, raw []byte) []byte {
				binary.BigEndian.PutUint64(raw[35:], math.MaxInt64/1_000_000)
				return seal(raw)
			})},
	},
	"Fetch": {
		{name: "absent topic", upTo: 12, codes: []code{errUnknownTopicOrPartition},
			query: func(*wrongRig) kmsg.Request { return fetchRequest("absent", [16]byte{}, 0) }},
		{name: "unknown id", from: 13, codes: []code{errUnknownTopicID},
			query: func(*wrongRig) kmsg.Request { return fetchRequest("", [16]byte{1}, 0) }},
		{name: "absent partition", codes: []code{errUnknownTopicOrPartition},
			query: fetchWrong(func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
				p.Partition = 1
			})},
		{name: "below the start", codes: []code{errOffsetOutOfRange},
			query: fetchWrong(func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
				p.FetchOffset = -1
			})},
		{name: "above the end", codes: []code{errOffsetOutOfRange},
			query: fetchWrong(func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
				p.FetchOffset = 4
			})},
		{name: "unknown leader epoch", from: 9, codes: []code{errUnknownLeaderEpoch},
			query: fetchWrong(func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) {
				p.CurrentLeaderEpoch = 1
			})},
		{name: "unknown session", from: 7, codes: []code{errFetchSessionID},
			query: fetchWrong(func(q *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
				q.SessionID, q.SessionEpoch = 99, 5
			})},
	},
	"ListOffsets": {
		{name: "absent topic", query: listWrong("absent", 0, timeLatest, -1),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "absent partition", query: listWrong("right", 9, timeLatest, -1),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "unknown special time", query: listWrong("right", 0, -7, -1),
			codes: []code{errUnsupportedVersion}},
		{name: "special time too early", upTo: 6, query: listWrong("right", 0, timeGreatest, -1),
			codes: []code{errUnsupportedVersion}},
		{name: "unknown leader epoch", from: 4, query: listWrong("right", 0, timeLatest, 3),
			codes: []code{errUnknownLeaderEpoch}},
		{name: "partition twice", codes: []code{errInvalidRequest, errInvalidRequest},
			query: func(w *wrongRig) kmsg.Request {
				q := listWrong("right", 0, timeLatest, -1)(w).(*kmsg.ListOffsetsRequest)
				q.Topics = append(q.Topics, q.Topics[0])
				return q
			}},
	},
	"Metadata": {
		{name: "absent topic", query: metadataWrong(ptr("absent"), [16]byte{}),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "illegal topic", query: metadataWrong(ptr("a b"), [16]byte{}),
			codes: []code{errInvalidTopic}},
		{name: "empty name", query: metadataWrong(ptr(""), [16]byte{}),
			codes: []code{errInvalidTopic}},
		{name: "id too early", from: 10, upTo: 11, query: metadataWrong(ptr("right"), [16]byte{1}),
			codes: []code{errInvalidRequest}},
		{name: "unknown id", from: 12, query: metadataWrong(nil, [16]byte{1}),
			codes: []code{errUnknownTopicID}},
	},
	"OffsetCommit": {
		{name: "absent topic", upTo: 9, codes: []code{errUnknownTopicOrPartition},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Topics[0].Topic = "absent"
			})},
		{name: "unknown id", from: 10, codes: []code{errUnknownTopicID},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Topics[0].TopicID = [16]byte{1}
			})},
		{name: "absent partition", codes: []code{errUnknownTopicOrPartition},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Topics[0].Partitions[0].Partition = 1
			})},
		{name: "negative offset", codes: []code{errInvalidRequest},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Topics[0].Partitions[0].Offset = -1
			})},
		{name: "long metadata", codes: []code{errOffsetMetadataTooLarge},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Topics[0].Partitions[0].Metadata = ptr(strings.Repeat("m", 4097))
			})},
		{name: "no group name", codes: []code{errInvalidGroupID},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) { q.Group = "" })},
		{name: "long group name", codes: []code{errInvalidGroupID},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Group = longName
			})},
		{name: "absent group", upTo: 8, codes: []code{errIllegalGeneration},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Group, q.Generation, q.MemberID = "absent", 1, "m"
			})},
		{name: "absent group, newer", from: 9, codes: []code{errGroupIDNotFound},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Group, q.Generation, q.MemberID = "absent", 1, "m"
			})},
		{name: "stranger while members are there", codes: []code{errUnknownMemberID},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Group = "stable"
			})},
		{name: "unknown member", codes: []code{errUnknownMemberID},
			query: commitWrong(func(_ *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Group, q.Generation, q.MemberID = "stable", 1, "nobody"
			})},
		{name: "old generation", codes: []code{errIllegalGeneration},
			query: commitWrong(func(w *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Group, q.Generation, q.MemberID = "stable", 0, w.member
			})},
		{name: "unknown instance", from: 7, codes: []code{errUnknownMemberID},
			query: commitWrong(func(w *wrongRig, q *kmsg.OffsetCommitRequest) {
				q.Group, q.Generation, q.MemberID = "stable", 1, w.member
				q.InstanceID = ptr("nobody")
			})},
	},
	"OffsetFetch": {
		{name: "no group name", upTo: 1, codes: []code{errInvalidGroupID},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrOffsetFetchRequest()
				q.Topics = append(q.Topics, kmsg.OffsetFetchRequestTopic{
					Topic: "right", Partitions: []int32{0},
				})
				return q
			}},
		{name: "no group name, newer", from: 2, codes: []code{errInvalidGroupID},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrOffsetFetchRequest()
				q.Groups = append(q.Groups, kmsg.NewOffsetFetchRequestGroup())
				return q
			}},
		{name: "unknown id", from: 10, codes: []code{errUnknownTopicID},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrOffsetFetchRequest()
				g := kmsg.NewOffsetFetchRequestGroup()
				g.Group = "empty"
				g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{
					TopicID: [16]byte{1}, Partitions: []int32{0},
				})
				q.Groups = append(q.Groups, g)
				return q
			}},
	},
	"FindCoordinator": {
		{name: "of a transaction", from: 1, codes: []code{errTransactionalID},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrFindCoordinatorRequest()
				q.CoordinatorType, q.CoordinatorKeys = 1, []string{"tx"}
				return q
			}},
		{name: "of something unknown", from: 1, codes: []code{errInvalidRequest},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrFindCoordinatorRequest()
				q.CoordinatorType, q.CoordinatorKeys = 7, []string{"x"}
				return q
			}},
	},
	"JoinGroup": {
		{name: "no group name", codes: []code{errInvalidGroupID},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) { q.Group = "" })},
		{name: "long group name", codes: []code{errInvalidGroupID},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) { q.Group = longName })},
		{name: "short session", codes: []code{errInvalidSessionTimeout},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) {
				q.SessionTimeoutMillis = 5999
			})},
		{name: "long session", codes: []code{errInvalidSessionTimeout},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) {
				q.SessionTimeoutMillis = 1800_001
			})},
		{name: "much metadata", codes: []code{errInvalidRequest},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) {
				q.Protocols[0].Metadata = make([]byte, 1<<20)
			})},
		{name: "no protocol", codes: []code{errInconsistentProtocol},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) { q.Protocols = nil })},
		{name: "no protocol type", codes: []code{errInconsistentProtocol},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) { q.ProtocolType = "" })},
		{name: "other protocol", codes: []code{errInconsistentProtocol},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) {
				q.Group, q.Protocols[0].Name = "stable", "other"
			})},
		{name: "other protocol type", codes: []code{errInconsistentProtocol},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) {
				q.Group, q.ProtocolType = "stable", "connect"
			})},
		{name: "member of no group", codes: []code{errUnknownMemberID},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) {
				q.Group, q.MemberID = "absent", "nobody"
			})},
		{name: "unknown member", codes: []code{errUnknownMemberID},
			query: joinWrong(func(_ *wrongRig, q *kmsg.JoinGroupRequest) {
				q.Group, q.MemberID = "stable", "nobody"
			})},
		{name: "unknown instance", from: 5, codes: []code{errUnknownMemberID},
			query: joinWrong(func(w *wrongRig, q *kmsg.JoinGroupRequest) {
				q.Group, q.MemberID, q.InstanceID = "stable", w.member, ptr("nobody")
			})},
		{name: "without an id", from: 4, codes: []code{errMemberIDRequired},
			query: joinWrong(func(*wrongRig, *kmsg.JoinGroupRequest) {})},
	},
	"Heartbeat": {
		{name: "no group name", codes: []code{errInvalidGroupID},
			query: beatWrong(func(_ *wrongRig, q *kmsg.HeartbeatRequest) { q.Group = "" })},
		{name: "absent group", codes: []code{errUnknownMemberID},
			query: beatWrong(func(_ *wrongRig, q *kmsg.HeartbeatRequest) { q.Group = "absent" })},
		{name: "unknown member", codes: []code{errUnknownMemberID},
			query: beatWrong(func(_ *wrongRig, q *kmsg.HeartbeatRequest) {
				q.MemberID = "nobody"
			})},
		{name: "old generation", codes: []code{errIllegalGeneration},
			query: beatWrong(func(_ *wrongRig, q *kmsg.HeartbeatRequest) { q.Generation = 0 })},
		{name: "unknown instance", from: 3, codes: []code{errUnknownMemberID},
			query: beatWrong(func(_ *wrongRig, q *kmsg.HeartbeatRequest) {
				q.InstanceID = ptr("nobody")
			})},
	},
	"LeaveGroup": {
		{name: "no group name", query: leaveWrong("", "m", nil), codes: []code{errInvalidGroupID}},
		{name: "absent group", query: leaveWrong("absent", "m", nil),
			codes: []code{errUnknownMemberID}},
		{name: "unknown member", query: leaveWrong("stable", "nobody", nil),
			codes: []code{errUnknownMemberID}},
		{name: "unknown instance", from: 3, query: leaveWrong("stable", "", ptr("nobody")),
			codes: []code{errUnknownMemberID}},
	},
	"SyncGroup": {
		{name: "no group name", codes: []code{errInvalidGroupID},
			query: syncWrong(func(_ *wrongRig, q *kmsg.SyncGroupRequest) { q.Group = "" })},
		{name: "absent group", codes: []code{errUnknownMemberID},
			query: syncWrong(func(_ *wrongRig, q *kmsg.SyncGroupRequest) { q.Group = "absent" })},
		{name: "empty group", codes: []code{errUnknownMemberID},
			query: syncWrong(func(_ *wrongRig, q *kmsg.SyncGroupRequest) { q.Group = "empty" })},
		{name: "unknown member", codes: []code{errUnknownMemberID},
			query: syncWrong(func(_ *wrongRig, q *kmsg.SyncGroupRequest) {
				q.MemberID = "nobody"
			})},
		{name: "old generation", codes: []code{errIllegalGeneration},
			query: syncWrong(func(_ *wrongRig, q *kmsg.SyncGroupRequest) { q.Generation = 0 })},
		{name: "other protocol", from: 5, codes: []code{errInconsistentProtocol},
			query: syncWrong(func(_ *wrongRig, q *kmsg.SyncGroupRequest) {
				q.Protocol = ptr("other")
			})},
		{name: "no protocol", from: 5, codes: []code{errInconsistentProtocol},
			query: syncWrong(func(_ *wrongRig, q *kmsg.SyncGroupRequest) { q.Protocol = nil })},
	},
	"DescribeGroups": {
		{name: "absent group", from: 6, codes: []code{errGroupIDNotFound},
			query: func(*wrongRig) kmsg.Request {
				return &kmsg.DescribeGroupsRequest{Groups: []string{"absent"}}
			}},
		{name: "absent group, older", upTo: 5, codes: nil,
			query: func(*wrongRig) kmsg.Request {
				return &kmsg.DescribeGroupsRequest{Groups: []string{"absent"}}
			}},
		{name: "no group name", codes: []code{errInvalidGroupID},
			query: func(*wrongRig) kmsg.Request {
				return &kmsg.DescribeGroupsRequest{Groups: []string{""}}
			}},
	},
	"ListGroups": {
		{name: "unknown filters", codes: nil, // they let nothing through
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrListGroupsRequest()
				q.StatesFilter, q.TypesFilter = []string{"x"}, []string{"y"}
				return q
			}},
	},
	"ApiVersions": {
		{name: "no name", from: 3, codes: []code{errInvalidRequest},
			query: func(*wrongRig) kmsg.Request {
				return &kmsg.ApiVersionsRequest{ClientSoftwareVersion: "1"}
			}},
		{name: "odd name", from: 3, codes: []code{errInvalidRequest},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrApiVersionsRequest()
				q.ClientSoftwareName, q.ClientSoftwareVersion = "-x", "1"
				return q
			}},
		{name: "odd version", from: 3, codes: []code{errInvalidRequest},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrApiVersionsRequest()
				q.ClientSoftwareName, q.ClientSoftwareVersion = "x", "1 2"
				return q
			}},
	},
	"CreateTopics": {
		{name: "existing topic", codes: []code{errTopicAlreadyExists},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) { t.Topic = "right" })},
		{name: "illegal name", codes: []code{errInvalidTopic},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) { t.Topic = "a/b" })},
		{name: "no name", codes: []code{errInvalidTopic},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) { t.Topic = "" })},
		{name: "long name", codes: []code{errInvalidTopic},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) {
				t.Topic = strings.Repeat("t", 250)
			})},
		{name: "no partitions", codes: []code{errInvalidPartitions},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = 0 })},
		{name: "too many partitions", codes: []code{errInvalidPartitions},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) {
				t.NumPartitions = 10_001
			})},
		{name: "no replicas", codes: []code{errInvalidReplication},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = 0 })},
		{name: "replicas -2", codes: []code{errInvalidReplication},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) {
				t.ReplicationFactor = -2
			})},
		{name: "unknown setting", query: createWith("no.such", ptr("1")),
			codes: []code{errInvalidConfig}},
		{name: "setting without a value", query: createWith("retention.ms", nil),
			codes: []code{errInvalidConfig}},
		{name: "setting of another type", query: createWith("retention.ms", ptr("soon")),
			codes: []code{errInvalidConfig}},
		{name: "setting out of bounds", query: createWith("retention.ms", ptr("-2")),
			codes: []code{errInvalidConfig}},
		{name: "kept setting of another type", query: createWith("preallocate", ptr("yes")),
			codes: []code{errInvalidConfig}},
		{name: "compaction", query: createWith("cleanup.policy", ptr("compact")),
			codes: []code{errInvalidConfig}},
		{name: "compaction too", query: createWith("cleanup.policy", ptr("compact,delete")),
			codes: []code{errInvalidConfig}},
		{name: "tiered storage", query: createWith("remote.storage.enable", ptr("true")),
			codes: []code{errInvalidConfig}},
		{name: "topic twice", codes: []code{errInvalidRequest},
			query: func(w *wrongRig) kmsg.Request {
				q := createWith("retention.ms", ptr("1"))(w).(*kmsg.CreateTopicsRequest)
				q.Topics = append(q.Topics, q.Topics[0])
				return q
			}},
		{name: "assigned to another node", codes: []code{errInvalidAssignment},
			query: assigning(kmsg.CreateTopicsRequestTopicReplicaAssignment{Replicas: []int32{2}})},
		{name: "assigned to two nodes", codes: []code{errInvalidAssignment},
			query: assigning(kmsg.CreateTopicsRequestTopicReplicaAssignment{
				Replicas: []int32{1, 2},
			})},
		{name: "assigned with a gap", codes: []code{errInvalidAssignment},
			query: assigning(kmsg.CreateTopicsRequestTopicReplicaAssignment{
				Partition: 1, Replicas: []int32{1},
			})},
		{name: "assigned twice", codes: []code{errInvalidAssignment},
			query: assigning(
				kmsg.CreateTopicsRequestTopicReplicaAssignment{Replicas: []int32{1}},
				kmsg.CreateTopicsRequestTopicReplicaAssignment{Replicas: []int32{1}},
			)},
		{name: "assigned and counted", codes: []code{errInvalidRequest},
			query: createWrong(func(t *kmsg.CreateTopicsRequestTopic) {
				t.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{
					{Replicas: []int32{1}},
				}
			})},
	},
	"DeleteTopics": {
		{name: "absent topic", query: deleteTopicWrong(ptr("absent"), [16]byte{}),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "unknown id", from: 6, query: deleteTopicWrong(nil, [16]byte{1}),
			codes: []code{errUnknownTopicID}},
		{name: "neither", from: 6, query: deleteTopicWrong(nil, [16]byte{}),
			codes: []code{errInvalidRequest}},
		{name: "both", from: 6, query: deleteTopicWrong(ptr("right"), [16]byte{1}),
			codes: []code{errInvalidRequest}},
		{name: "topic twice", codes: []code{errInvalidRequest},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrDeleteTopicsRequest()
				q.TopicNames = []string{"right", "right"}
				one := kmsg.DeleteTopicsRequestTopic{Topic: ptr("right")}
				q.Topics = []kmsg.DeleteTopicsRequestTopic{one, one}
				return q
			}},
	},
	"DeleteRecords": {
		{name: "absent topic", query: trimWrong("absent", 0, 1),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "absent partition", query: trimWrong("right", 1, 1),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "beyond the end", query: trimWrong("right", 0, 4),
			codes: []code{errOffsetOutOfRange}},
		{name: "negative offset", query: trimWrong("right", 0, -2),
			codes: []code{errOffsetOutOfRange}},
	},
	"InitProducerId": {
		{name: "transactional id", codes: []code{errTransactionalID},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrInitProducerIDRequest()
				q.TransactionalID = ptr("tx")
				return q
			}},
		{name: "id without an epoch", from: 3, codes: []code{errInvalidRequest},
			query: func(*wrongRig) kmsg.Request {
				q := kmsg.NewPtrInitProducerIDRequest()
				q.ProducerID = 5
				return q
			}},
	},
	"OffsetForLeaderEpoch": {
		{name: "absent topic", query: epochWrong("absent", 0, -1),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "absent partition", query: epochWrong("right", 1, -1),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "unknown leader epoch", query: epochWrong("right", 0, 1),
			codes: []code{errUnknownLeaderEpoch}},
	},
	"DescribeConfigs": {
		{name: "absent topic", query: describeWrong(kmsg.ConfigResourceTypeTopic, "absent"),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "illegal topic", query: describeWrong(kmsg.ConfigResourceTypeTopic, "a b"),
			codes: []code{errInvalidTopic}},
		{name: "absent broker", query: describeWrong(kmsg.ConfigResourceTypeBroker, "2"),
			codes: []code{errInvalidRequest}},
		{name: "loggers", query: describeWrong(kmsg.ConfigResourceTypeBrokerLogger, "1"),
			codes: []code{errInvalidRequest}},
	},
	"CreatePartitions": {
		{name: "absent topic", query: growWrong("absent", 2),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "as many", query: growWrong("right", 1), codes: []code{errInvalidPartitions}},
		{name: "fewer", query: growWrong("right", 0), codes: []code{errInvalidPartitions}},
		{name: "too many", query: growWrong("right", 10_001), codes: []code{errInvalidPartitions}},
		{name: "assigned to another node", codes: []code{errInvalidAssignment},
			query: growWrong("right", 2, kmsg.CreatePartitionsRequestTopicAssignment{
				Replicas: []int32{2},
			})},
		{name: "too few assigned", codes: []code{errInvalidAssignment},
			query: growWrong("right", 3, kmsg.CreatePartitionsRequestTopicAssignment{
				Replicas: []int32{1},
			})},
		{name: "topic twice", codes: []code{errInvalidRequest},
			query: func(w *wrongRig) kmsg.Request {
				q := growWrong("right", 2)(w).(*kmsg.CreatePartitionsRequest)
				q.Topics = append(q.Topics, q.Topics[0])
				return q
			}},
	},
	"DeleteGroups": {
		{name: "group with members", query: deleteGroupsWrong("stable"),
			codes: []code{errNonEmptyGroup}},
		{name: "absent group", query: deleteGroupsWrong("absent"),
			codes: []code{errGroupIDNotFound}},
		{name: "no group name", query: deleteGroupsWrong(""), codes: []code{errInvalidGroupID}},
	},
	"OffsetDelete": {
		{name: "absent group", query: offsetDeleteWrong("absent", "right", 0),
			codes: []code{errGroupIDNotFound}},
		{name: "no group name", query: offsetDeleteWrong("", "right", 0),
			codes: []code{errInvalidGroupID}},
		{name: "absent topic", query: offsetDeleteWrong("empty", "absent", 0),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "absent partition", query: offsetDeleteWrong("empty", "right", 1),
			codes: []code{errUnknownTopicOrPartition}},
		{name: "subscribed topic", query: offsetDeleteWrong("reading", "right", 0),
			codes: []code{errGroupSubscribed}},
	},
	"DescribeCluster": {
		{name: "controllers", from: 1, codes: []code{errMismatchedEndpoint},
			query: func(*wrongRig) kmsg.Request {
				return &kmsg.DescribeClusterRequest{EndpointType: 2}
			}},
		{name: "something unknown", from: 1, codes: []code{errUnsupportedEndpoint},
			query: func(*wrongRig) kmsg.Request {
				return &kmsg.DescribeClusterRequest{EndpointType: 3}
			}},
	},
}
