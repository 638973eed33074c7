package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitRequest commits one offset in partition 0.
func commitRequest(group, name string, id [16]byte, offset int64) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group = group
	in := kmsg.NewOffsetCommitRequestTopic()
	in.Topic, in.TopicID = name, id
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Offset, part.Metadata = offset, ptr("note")
	in.Partitions = append(in.Partitions, part)
	q.Topics = append(q.Topics, in)
	return q
}

func visitOffsetCommit(v *visit) {
	topic := v.rig.topic(v.name, 1)
	name, id := v.naming(10, topic)
	resp := v.do(commitRequest(v.name, name, id, 7)).(*kmsg.OffsetCommitResponse)
	want := kmsg.NewOffsetCommitResponseTopic()
	want.Topic, want.TopicID = name, id
	want.Partitions = append(want.Partitions, kmsg.NewOffsetCommitResponseTopicPartition())
	same(v, "topics", resp.Topics, []kmsg.OffsetCommitResponseTopic{want})
	same(v, "offset", v.rig.committed(v.name, v.name), int64(7))
}

// committed is a group's offset in partition 0 of a topic, -1 if there is none.
func (r *rig) committed(group, topic string) int64 {
	g, err := r.broker.Group("", group)
	if err != nil {
		return -1
	}
	c, ok := g.Cursor(topic, 0)
	if !ok {
		return -1
	}
	return int64(c.Offset)
}

func visitOffsetFetch(v *visit) {
	topic := v.rig.topic(v.name, 2)
	ask[*kmsg.OffsetCommitResponse](v.client, 8, commitRequest(v.name, v.name, [16]byte{}, 7))
	q := kmsg.NewPtrOffsetFetchRequest()
	name, id := v.naming(10, topic)
	if v.version < 8 {
		q.Group = v.name
		in := kmsg.NewOffsetFetchRequestTopic()
		in.Topic, in.Partitions = name, []int32{0, 1}
		q.Topics = append(q.Topics, in)
		resp := v.do(q).(*kmsg.OffsetFetchResponse)
		want := []kmsg.OffsetFetchResponseTopicPartition{
			{Partition: 0, Offset: 7, LeaderEpoch: -1, Metadata: ptr("note")},
			{Partition: 1, Offset: -1, LeaderEpoch: -1, Metadata: ptr("")},
		}
		same(v, "partitions", resp.Topics[0].Partitions, want)
		same(v, "error", resp.ErrorCode, errNone)
		return
	}
	group := kmsg.NewOffsetFetchRequestGroup()
	in := kmsg.NewOffsetFetchRequestGroupTopic()
	in.Topic, in.TopicID, in.Partitions = name, id, []int32{0, 1}
	group.Group, group.Topics = v.name, append(group.Topics, in)
	q.Groups = append(q.Groups, group)
	resp := v.do(q).(*kmsg.OffsetFetchResponse)
	want := kmsg.OffsetFetchResponseGroupTopic{
		Topic: name, TopicID: id, Partitions: []kmsg.OffsetFetchResponseGroupTopicPartition{
			{Partition: 0, Offset: 7, LeaderEpoch: -1, Metadata: ptr("note")},
			{Partition: 1, Offset: -1, LeaderEpoch: -1, Metadata: ptr("")},
		},
	}
	same(v, "groups", resp.Groups, []kmsg.OffsetFetchResponseGroup{
		{Group: v.name, Topics: []kmsg.OffsetFetchResponseGroupTopic{want}},
	})
}

func visitFindCoordinator(v *visit) {
	q := kmsg.NewPtrFindCoordinatorRequest()
	q.CoordinatorKey, q.CoordinatorKeys = v.name, []string{v.name, "other"}
	resp := v.do(q).(*kmsg.FindCoordinatorResponse)
	host, port := hostPort(v, v.client)
	if v.version < 4 {
		got := kmsg.FindCoordinatorResponseCoordinator{
			NodeID: resp.NodeID, Host: resp.Host, Port: resp.Port, ErrorCode: resp.ErrorCode,
		}
		want := kmsg.FindCoordinatorResponseCoordinator{NodeID: 1, Host: host, Port: port}
		same(v, "coordinator", got, want)
		return
	}
	same(v, "coordinators", resp.Coordinators, []kmsg.FindCoordinatorResponseCoordinator{
		{Key: v.name, NodeID: 1, Host: host, Port: port},
		{Key: "other", NodeID: 1, Host: host, Port: port},
	})
}

// joinRequest joins as a consumer.
func joinRequest(group, member string) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.ProtocolType = group, member, consumerKind
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 10_000, 10_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte{0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 0}
	q.Protocols = append(q.Protocols, p)
	return q
}

// joinAlone makes a group with one member, in the given version, and returns its answer.
func joinAlone(c *client, version int16, group string) *kmsg.JoinGroupResponse {
	c.t.Helper()
	resp := ask[*kmsg.JoinGroupResponse](c, version, joinRequest(group, ""))
	if resp.ErrorCode == errMemberIDRequired {
		resp = ask[*kmsg.JoinGroupResponse](c, version, joinRequest(group, resp.MemberID))
	}
	if resp.ErrorCode != errNone {
		c.t.Fatalf("join: got error %d, want none", resp.ErrorCode)
	}
	return resp
}

func syncRequest(group, member string, generation int32) *kmsg.SyncGroupRequest {
	q := kmsg.NewPtrSyncGroupRequest()
	q.Group, q.MemberID, q.Generation = group, member, generation
	q.ProtocolType, q.Protocol = ptr(consumerKind), ptr("range")
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = member, []byte("work")
	q.GroupAssignment = append(q.GroupAssignment, a)
	return q
}

// stableAlone makes a stable group with one member and returns the member's id.
func stableAlone(c *client, group string) string {
	c.t.Helper()
	joined := joinAlone(c, 5, group)
	synced := ask[*kmsg.SyncGroupResponse](c, 3, syncRequest(group, joined.MemberID, 1))
	same(c.t, "sync", synced.ErrorCode, errNone)
	return joined.MemberID
}

func visitJoinGroup(v *visit) {
	resp := joinAlone(v.client, v.version, v.name)
	want := kmsg.NewJoinGroupResponse()
	want.Version = v.version
	want.Generation, want.Protocol = 1, ptr("range")
	want.LeaderID, want.MemberID = resp.MemberID, resp.MemberID
	if v.version >= 7 {
		want.ProtocolType = ptr(consumerKind)
	}
	member := kmsg.NewJoinGroupResponseMember()
	member.MemberID = resp.MemberID
	member.ProtocolMetadata = joinRequest("", "").Protocols[0].Metadata
	want.Members = append(want.Members, member)
	same(v, "response", *resp, want)
}

func visitHeartbeat(v *visit) {
	member := stableAlone(v.client, v.name)
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.MemberID, q.Generation = v.name, member, 1
	same(v, "error", v.do(q).(*kmsg.HeartbeatResponse).ErrorCode, errNone)
}

func visitLeaveGroup(v *visit) {
	member := stableAlone(v.client, v.name)
	q := kmsg.NewPtrLeaveGroupRequest()
	q.Group, q.MemberID = v.name, member
	q.Members = append(q.Members, kmsg.LeaveGroupRequestMember{MemberID: member})
	resp := v.do(q).(*kmsg.LeaveGroupResponse)
	same(v, "error", resp.ErrorCode, errNone)
	if v.version >= 3 {
		same(v, "members", resp.Members, []kmsg.LeaveGroupResponseMember{{MemberID: member}})
	}
	same(v, "state", v.rig.groupState(v.name), "Empty")
}

func (r *rig) groupState(name string) string {
	g, _ := r.server.groups.find(name)
	if g == nil {
		return "none"
	}
	defer g.unlock()
	return g.state.String()
}

func visitSyncGroup(v *visit) {
	joined := joinAlone(v.client, 5, v.name)
	resp := v.do(syncRequest(v.name, joined.MemberID, 1)).(*kmsg.SyncGroupResponse)
	want := kmsg.NewSyncGroupResponse()
	want.Version, want.MemberAssignment = v.version, []byte("work")
	if v.version >= 5 {
		want.ProtocolType, want.Protocol = ptr(consumerKind), ptr("range")
	}
	same(v, "response", *resp, want)
}

func visitDescribeGroups(v *visit) {
	member := stableAlone(v.client, v.name)
	q := kmsg.NewPtrDescribeGroupsRequest()
	q.Groups, q.IncludeAuthorizedOperations = []string{v.name}, true
	resp := v.do(q).(*kmsg.DescribeGroupsResponse)
	want := kmsg.NewDescribeGroupsResponseGroup()
	want.Group, want.State, want.ProtocolType, want.Protocol = v.name, "Stable", "consumer", "range"
	if v.version >= 3 {
		want.AuthorizedOperations = groupOperations
	}
	one := kmsg.NewDescribeGroupsResponseGroupMember()
	one.MemberID, one.ClientID, one.ClientHost = member, "test-client", "/127.0.0.1"
	one.ProtocolMetadata = joinRequest("", "").Protocols[0].Metadata
	one.MemberAssignment = []byte("work")
	want.Members = append(want.Members, one)
	same(v, "groups", resp.Groups, []kmsg.DescribeGroupsResponseGroup{want})
}

func visitListGroups(v *visit) {
	stableAlone(v.client, v.name)
	q := kmsg.NewPtrListGroupsRequest()
	q.StatesFilter, q.TypesFilter = []string{"stable"}, []string{"CLASSIC"}
	resp := v.do(q).(*kmsg.ListGroupsResponse)
	want := kmsg.ListGroupsResponseGroup{Group: v.name, ProtocolType: consumerKind}
	if v.version >= 4 {
		want.GroupState = "Stable"
	}
	if v.version >= 5 {
		want.GroupType = "classic"
	}
	for _, got := range resp.Groups {
		if got.Group == v.name {
			same(v, "group", got, want)
			return
		}
	}
	v.Fatalf("got %d groups without %s", len(resp.Groups), v.name)
}

func visitDeleteGroups(v *visit) {
	v.rig.topic(v.name, 1)
	ask[*kmsg.OffsetCommitResponse](v.client, 8, commitRequest(v.name, v.name, [16]byte{}, 7))
	q := kmsg.NewPtrDeleteGroupsRequest()
	q.Groups = []string{v.name}
	resp := v.do(q).(*kmsg.DeleteGroupsResponse)
	same(v, "groups", resp.Groups, []kmsg.DeleteGroupsResponseGroup{{Group: v.name}})
	same(v, "offset", v.rig.committed(v.name, v.name), int64(-1))
}

func visitOffsetDelete(v *visit) {
	v.rig.topic(v.name, 1)
	ask[*kmsg.OffsetCommitResponse](v.client, 8, commitRequest(v.name, v.name, [16]byte{}, 7))
	q := kmsg.NewPtrOffsetDeleteRequest()
	q.Group = v.name
	in := kmsg.NewOffsetDeleteRequestTopic()
	in.Topic = v.name
	in.Partitions = append(in.Partitions, kmsg.NewOffsetDeleteRequestTopicPartition())
	q.Topics = append(q.Topics, in)
	resp := v.do(q).(*kmsg.OffsetDeleteResponse)
	same(v, "error", resp.ErrorCode, errNone)
	same(v, "topics", resp.Topics, []kmsg.OffsetDeleteResponseTopic{{
		Topic:      v.name,
		Partitions: []kmsg.OffsetDeleteResponseTopicPartition{{}},
	}})
	same(v, "offset", v.rig.committed(v.name, v.name), int64(-1))
}
