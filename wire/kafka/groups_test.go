package kafka

import (
	"context"
	"strings"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// pending is a request whose answer somebody waits for.
type pending struct {
	c *client
	q kmsg.Request
}

func (c *client) start(version int16, q kmsg.Request) *pending {
	c.t.Helper()
	q.SetVersion(version)
	c.send(q)
	return &pending{c, q}
}

func finish[R kmsg.Response](p *pending) R {
	p.c.t.Helper()
	_, body := p.c.receive()
	return p.c.decode(p.q, body).(R)
}

// static makes a join that of a static member.
func static(q *kmsg.JoinGroupRequest, instance string) *kmsg.JoinGroupRequest {
	q.InstanceID = &instance
	return q
}

func beatRequest(group, member string, generation int32) *kmsg.HeartbeatRequest {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.MemberID, q.Generation = group, member, generation
	return q
}

func beat(c *client, group, member string, generation int32) code {
	c.t.Helper()
	return ask[*kmsg.HeartbeatResponse](c, 3, beatRequest(group, member, generation)).ErrorCode
}

func TestSecondMemberMakesTheFirstJoinAgain(t *testing.T) {
	r := serve(t)
	a, b := r.dial(), r.dial()
	first := stableAlone(a, "g")
	invited := ask[*kmsg.JoinGroupResponse](b, 5, joinRequest("g", ""))
	same(t, "invitation", invited.ErrorCode, errMemberIDRequired)
	second := b.start(5, joinRequest("g", invited.MemberID))
	waitFor(t, func() bool { return r.groupState("g") == "PreparingRebalance" })
	same(t, "heartbeat", beat(a, "g", first, 1), errRebalanceInProgress)

	again := ask[*kmsg.JoinGroupResponse](a, 5, joinRequest("g", first))
	joined := finish[*kmsg.JoinGroupResponse](second)
	same(t, "generations", []int32{again.Generation, joined.Generation}, []int32{2, 2})
	same(t, "leaders", []string{again.LeaderID, joined.LeaderID}, []string{first, first})
	same(t, "members", []int{len(again.Members), len(joined.Members)}, []int{2, 0})

	// The follower's sync waits for the leader's.
	follower := syncRequest("g", joined.MemberID, 2)
	follower.GroupAssignment = nil
	waiting := b.start(3, follower)
	leader := syncRequest("g", first, 2)
	leader.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{
		{MemberID: first, MemberAssignment: []byte("one")},
		{MemberID: joined.MemberID, MemberAssignment: []byte("two")},
	}
	mine := ask[*kmsg.SyncGroupResponse](a, 3, leader)
	theirs := finish[*kmsg.SyncGroupResponse](waiting)
	same(t, "leader's", string(mine.MemberAssignment), "one")
	same(t, "follower's", string(theirs.MemberAssignment), "two")
	same(t, "heartbeat", beat(b, "g", joined.MemberID, 2), errNone)
	same(t, "old generation", beat(b, "g", joined.MemberID, 1), errIllegalGeneration)
}

func TestLeavingMakesTheOthersJoinAgain(t *testing.T) {
	r := serve(t)
	a, b := r.dial(), r.dial()
	one, two := pair(t, r, a, b, "g")
	resp := ask[*kmsg.LeaveGroupResponse](b, 4, leaveWrong("g", two, nil)(nil))
	same(t, "leave", errorCodes(valueOf(resp)), []code(nil))
	same(t, "heartbeat", beat(a, "g", one, 2), errRebalanceInProgress)
	again := ask[*kmsg.JoinGroupResponse](a, 5, joinRequest("g", one))
	same(t, "generation", again.Generation, int32(3))
	same(t, "members", len(again.Members), 1)
}

func TestInvitationThatIsGivenBackDisturbsNobody(t *testing.T) {
	r := serve(t)
	a, b := r.dial(), r.dial()
	member := stableAlone(a, "g")
	invited := ask[*kmsg.JoinGroupResponse](b, 5, joinRequest("g", ""))
	resp := ask[*kmsg.LeaveGroupResponse](b, 4, leaveWrong("g", invited.MemberID, nil)(nil))
	same(t, "leave", errorCodes(valueOf(resp)), []code(nil))
	same(t, "heartbeat", beat(a, "g", member, 1), errNone)
}

// pair makes a stable group of generation 2 with two members.
func pair(t *testing.T, r *rig, a, b *client, group string) (one, two string) {
	t.Helper()
	one = stableAlone(a, group)
	id := ask[*kmsg.JoinGroupResponse](b, 5, joinRequest(group, "")).MemberID
	second := b.start(5, joinRequest(group, id))
	waitFor(t, func() bool { return r.groupState(group) == "PreparingRebalance" })
	ask[*kmsg.JoinGroupResponse](a, 5, joinRequest(group, one))
	two = finish[*kmsg.JoinGroupResponse](second).MemberID
	ask[*kmsg.SyncGroupResponse](a, 3, syncRequest(group, one, 2))
	ask[*kmsg.SyncGroupResponse](b, 3, syncRequest(group, two, 2))
	return one, two
}

func TestStaticMemberKeepsItsPlace(t *testing.T) {
	r := serve(t)
	a := r.dial()
	first := ask[*kmsg.JoinGroupResponse](a, 5, static(joinRequest("g", ""), "i-1"))
	same(t, "first join", first.ErrorCode, errNone) // no id is asked of a static member
	sync := syncRequest("g", first.MemberID, 1)
	sync.InstanceID = ptr("i-1")
	ask[*kmsg.SyncGroupResponse](a, 3, sync)

	// Started again, it takes the place of its former self without a rebalance.
	b := r.dial()
	second := ask[*kmsg.JoinGroupResponse](b, 9, static(joinRequest("g", ""), "i-1"))
	same(t, "generation", second.Generation, int32(1))
	same(t, "leader", []bool{second.LeaderID == second.MemberID, second.SkipAssignment},
		[]bool{true, true})
	if second.MemberID == first.MemberID || !strings.HasPrefix(second.MemberID, "i-1-") {
		t.Fatalf("got id %s after %s, want another that begins with i-1-",
			second.MemberID, first.MemberID)
	}
	again := syncRequest("g", second.MemberID, 1)
	again.InstanceID, again.GroupAssignment = ptr("i-1"), nil
	got := ask[*kmsg.SyncGroupResponse](b, 5, again)
	same(t, "assignment", string(got.MemberAssignment), "work")

	// Its former self is fenced.
	old := beatRequest("g", first.MemberID, 1)
	old.InstanceID = ptr("i-1")
	fenced := ask[*kmsg.HeartbeatResponse](a, 3, old)
	same(t, "old self", fenced.ErrorCode, errFencedInstanceID)
	commit := commitRequest("g", "t", [16]byte{}, 1)
	r.topic("t", 1)
	commit.Generation, commit.MemberID, commit.InstanceID = 1, first.MemberID, ptr("i-1")
	refused := ask[*kmsg.OffsetCommitResponse](a, 8, commit)
	same(t, "old self's commit", errorCodes(valueOf(refused)), []code{errFencedInstanceID})
}

func TestStaticLeaderOfOldClientsDoesNotAssignAgain(t *testing.T) {
	r := serve(t)
	c := r.dial()
	first := ask[*kmsg.JoinGroupResponse](c, 5, static(joinRequest("g", ""), "i"))
	ask[*kmsg.SyncGroupResponse](c, 3, syncRequest("g", first.MemberID, 1))
	second := ask[*kmsg.JoinGroupResponse](c, 8, static(joinRequest("g", ""), "i"))
	if second.LeaderID == second.MemberID || len(second.Members) > 0 {
		t.Fatalf("got leader %q with %d members, want another leader and none",
			second.LeaderID, len(second.Members))
	}
}

func TestStaticMemberIsRemovedByItsInstance(t *testing.T) {
	r := serve(t)
	c := r.dial()
	ask[*kmsg.JoinGroupResponse](c, 5, static(joinRequest("g", ""), "i"))
	resp := ask[*kmsg.LeaveGroupResponse](c, 4, leaveWrong("g", "", ptr("i"))(nil))
	same(t, "leave", errorCodes(valueOf(resp)), []code(nil))
	same(t, "state", r.groupState("g"), "Empty")
}

func TestGroupHasALimit(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.GroupMembers = 1 })
	stableAlone(r.dial(), "g")
	b := r.dial()
	old := ask[*kmsg.JoinGroupResponse](b, 3, joinRequest("g", ""))
	same(t, "without an invitation", old.ErrorCode, errGroupMaxSize)
	invited := ask[*kmsg.JoinGroupResponse](b, 5, joinRequest("g", ""))
	same(t, "with one", invited.ErrorCode, errGroupMaxSize)
}

func TestStaticMemberComesBackToAFullGroup(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.GroupMembers = 1 })
	c := r.dial()
	first := ask[*kmsg.JoinGroupResponse](c, 5, static(joinRequest("g", ""), "i"))
	ask[*kmsg.SyncGroupResponse](c, 3, syncRequest("g", first.MemberID, 1))
	again := ask[*kmsg.JoinGroupResponse](c, 5, static(joinRequest("g", ""), "i"))
	same(t, "the same", again.ErrorCode, errNone)
	other := ask[*kmsg.JoinGroupResponse](c, 5, static(joinRequest("g", ""), "j"))
	same(t, "another", other.ErrorCode, errGroupMaxSize)
}

func TestInvitationsAreBounded(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.GroupMembers = 10 })
	c := r.dial()
	refused := 0
	for range 50 {
		resp := ask[*kmsg.JoinGroupResponse](c, 5, joinRequest("g", ""))
		if resp.ErrorCode == errGroupMaxSize {
			refused++
		}
	}
	same(t, "refused", refused, 40)
}

func TestGroupMemoryIsBounded(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.GroupMemory = 20_000 })
	c := r.dial()
	large := joinRequest("a", "")
	large.Protocols[0].Metadata = make([]byte, 12_000)
	first := ask[*kmsg.JoinGroupResponse](c, 3, large)
	same(t, "first", first.ErrorCode, errNone)
	large.Group = "b"
	same(t, "second", ask[*kmsg.JoinGroupResponse](c, 3, large).ErrorCode, errGroupMaxSize)
	ask[*kmsg.LeaveGroupResponse](c, 2, leaveWrong("a", first.MemberID, nil)(nil))
	same(t, "after the first left", ask[*kmsg.JoinGroupResponse](c, 3, large).ErrorCode, errNone)
	refused := 0
	for range 50 {
		resp := ask[*kmsg.JoinGroupResponse](c, 5, joinRequest("c", ""))
		if resp.ErrorCode == errGroupMaxSize {
			refused++
		}
	}
	if refused < 30 {
		t.Fatalf("got %d of 50 invitations refused, want most", refused)
	}
}

func TestAssignmentsCountAsMemoryOfTheirGroup(t *testing.T) {
	r := serve(t, func(c *Config) { c.Limits.GroupMemory = 20_000 })
	c := r.dial()
	joined := joinAlone(c, 5, "g")
	before := r.server.groups.bytes.Load()
	q := syncRequest("g", joined.MemberID, 1)
	q.GroupAssignment[0].MemberAssignment = make([]byte, 20_000)
	same(t, "too much", ask[*kmsg.SyncGroupResponse](c, 3, q).ErrorCode, errGroupMaxSize)
	same(t, "heartbeat", beat(c, "g", joined.MemberID, 1), errRebalanceInProgress)
	same(t, "bytes", r.server.groups.bytes.Load(), before)

	q.Generation = ask[*kmsg.JoinGroupResponse](c, 5, joinRequest("g", joined.MemberID)).Generation
	q.GroupAssignment[0].MemberAssignment = make([]byte, 10_000)
	same(t, "as much as fits", ask[*kmsg.SyncGroupResponse](c, 3, q).ErrorCode, errNone)
	same(t, "bytes", r.server.groups.bytes.Load(), before+10_000)
	ask[*kmsg.LeaveGroupResponse](c, 2, leaveWrong("g", joined.MemberID, nil)(nil))
	same(t, "bytes in the end", r.server.groups.bytes.Load(), int64(0))
}

func TestAssignmentThatCannotBeSavedIsNotKept(t *testing.T) {
	r := serve(t)
	c := r.dial()
	joined := joinAlone(c, 5, "g")
	before := r.server.groups.bytes.Load()
	q := syncRequest("g", joined.MemberID, 1)
	q.GroupAssignment[0].MemberAssignment = make([]byte, 2<<20)
	same(t, "sync", ask[*kmsg.SyncGroupResponse](c, 3, q).ErrorCode, errGroupMaxSize)
	same(t, "bytes", r.server.groups.bytes.Load(), before)
}

func TestProtocolsOfAMemberAreBounded(t *testing.T) {
	r := serve(t)
	c := r.dial()
	offering := func(names ...string) code {
		q := joinRequest("g", "")
		q.Protocols = nil
		for _, name := range names {
			p := kmsg.NewJoinGroupRequestProtocol()
			p.Name = name
			q.Protocols = append(q.Protocols, p)
		}
		return ask[*kmsg.JoinGroupResponse](c, 5, q).ErrorCode
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = strings.Repeat("n", i+1)
	}
	same(t, "101", offering(many...), errInvalidRequest)
	same(t, "without a name", offering("a", ""), errInvalidRequest)
	same(t, "100", offering(many[:100]...), errMemberIDRequired)
}

// TestProtocolOfferedTwiceCountsOnce has a group that could not agree otherwise.
func TestProtocolOfferedTwiceCountsOnce(t *testing.T) {
	r := serve(t)
	c := r.dial()
	q := joinRequest("g", "")
	q.Protocols = append(q.Protocols, q.Protocols[0])
	joined := ask[*kmsg.JoinGroupResponse](c, 3, q)
	same(t, "join", joined.ErrorCode, errNone)
	same(t, "protocol", joined.Protocol, ptr("range"))
	other := joinRequest("g", "")
	other.Protocols[0].Name = "other"
	same(t, "another's", ask[*kmsg.JoinGroupResponse](r.dial(), 3, other).ErrorCode,
		errInconsistentProtocol)
}

func TestWhatGroupsCountForComesBack(t *testing.T) {
	r := serve(t)
	a, b := r.dial(), r.dial()
	one, two := pair(t, r, a, b, "g")
	ask[*kmsg.JoinGroupResponse](a, 5, static(joinRequest("s", ""), "i"))
	ask[*kmsg.JoinGroupResponse](b, 5, static(joinRequest("s", ""), "i"))
	ask[*kmsg.LeaveGroupResponse](a, 4, leaveWrong("s", "", ptr("i"))(nil))
	ask[*kmsg.LeaveGroupResponse](a, 4, leaveWrong("g", one, nil)(nil))
	ask[*kmsg.LeaveGroupResponse](a, 4, leaveWrong("g", two, nil)(nil))
	same(t, "bytes", r.server.groups.bytes.Load(), int64(0))
	for _, name := range []string{"g", "s"} {
		g, _ := r.server.groups.find(name)
		same(t, "offers", len(g.offered), 0)
		g.unlock()
	}
	readers := &r.server.groups.readers
	readers.mu.Lock()
	defer readers.mu.Unlock()
	same(t, "readers", len(readers.groups), 0)
}

func TestCommittedOffsetsOfADeletedTopicVanish(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	c := r.dial()
	ask[*kmsg.OffsetCommitResponse](c, 8, commitRequest("g", "t", [16]byte{}, 5))
	ask[*kmsg.DeleteTopicsResponse](c, 4, deleteTopicWrong(ptr("t"), [16]byte{})(nil))
	r.topic("t", 1)
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = "g"
	all := ask[*kmsg.OffsetFetchResponse](c, 7, q)
	same(t, "all", len(all.Topics), 0)
	q.Topics = append(q.Topics, kmsg.OffsetFetchRequestTopic{Topic: "t", Partitions: []int32{0}})
	one := ask[*kmsg.OffsetFetchResponse](c, 7, q)
	same(t, "one", one.Topics[0].Partitions[0].Offset, int64(-1))
}

func TestOffsetsOfAnUnknownGroupAreNoError(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Groups = append(q.Groups, kmsg.OffsetFetchRequestGroup{
		Group:  "absent",
		Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}},
	}, kmsg.OffsetFetchRequestGroup{Group: "absent too"})
	resp := ask[*kmsg.OffsetFetchResponse](r.dial(), 8, q)
	same(t, "codes", errorCodes(valueOf(resp)), []code(nil))
	same(t, "offset", resp.Groups[0].Topics[0].Partitions[0].Offset, int64(-1))
	same(t, "all", len(resp.Groups[1].Topics), 0)
}

func TestAllOffsetsOfAGroup(t *testing.T) {
	r := serve(t)
	c := r.dial()
	for _, name := range []string{"b", "a"} {
		r.topic(name, 2)
		q := commitRequest("g", name, [16]byte{}, 1)
		second := q.Topics[0].Partitions[0]
		second.Partition, second.Offset, second.LeaderEpoch = 1, 2, 0
		q.Topics[0].Partitions = append(q.Topics[0].Partitions, second)
		ask[*kmsg.OffsetCommitResponse](c, 8, q)
	}
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = "g"
	want := []kmsg.OffsetFetchResponseTopicPartition{
		{Partition: 0, Offset: 1, LeaderEpoch: -1, Metadata: ptr("note")},
		{Partition: 1, Offset: 2, LeaderEpoch: 0, Metadata: ptr("note")},
	}
	same(t, "topics", ask[*kmsg.OffsetFetchResponse](c, 7, q).Topics,
		[]kmsg.OffsetFetchResponseTopic{
			{Topic: "a", Partitions: want}, {Topic: "b", Partitions: want},
		})
}

func TestDeletedGroupCanBeMadeAgain(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	c := r.dial()
	for i := range 5 {
		ask[*kmsg.OffsetCommitResponse](c, 8, commitRequest("g", "t", [16]byte{}, int64(i)))
		same(t, "offset", r.committed("g", "t"), int64(i))
		resp := ask[*kmsg.DeleteGroupsResponse](c, 2, deleteGroupsWrong("g")(nil))
		same(t, "delete", errorCodes(valueOf(resp)), []code(nil))
		same(t, "state", r.groupState("g"), "none")
		same(t, "offset", r.committed("g", "t"), int64(-1))
	}
	stableAlone(c, "g")
}

func TestGroupThatAProgramMakesIsKnown(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	for _, seen := range []func() string{
		func() string { return r.groupState("g") },
		func() string { return r.server.Groups()[0].State },
	} {
		tx := r.broker.Begin()
		tx.SaveCursor("", "g", topic.Partition(0), broker.Cursor{Offset: 5})
		if _, err := tx.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		same(t, "state", seen(), "Empty")
		same(t, "delete", r.server.DeleteGroup(context.Background(), "g"), nil)
		same(t, "offset", r.committed("g", "t"), int64(-1))
	}
}

func TestGroupSurvivesKill(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	a, b := r.dial(), r.dial()
	one, two := pair(t, r, a, b, "g")
	commit := commitRequest("g", "t", [16]byte{}, 42)
	commit.Generation, commit.MemberID = 2, one
	same(t, "commit", errorCodesOf(ask[*kmsg.OffsetCommitResponse](a, 8, commit)), 0)
	describe := &kmsg.DescribeGroupsRequest{Groups: []string{"g"}}
	before := ask[*kmsg.DescribeGroupsResponse](a, 5, describe)

	r = r.kill()
	c := r.dial()
	after := ask[*kmsg.DescribeGroupsResponse](c, 5, describe)
	same(t, "group", after.Groups, before.Groups)
	// The members go on as if nothing had been: same ids, same generation, no rebalance.
	same(t, "heartbeats", []code{beat(c, "g", one, 2), beat(c, "g", two, 2)}, []code{0, 0})
	same(t, "offset", r.committed("g", "t"), int64(42))
	commit.Topics[0].Partitions[0].Offset = 43
	same(t, "commit", errorCodesOf(ask[*kmsg.OffsetCommitResponse](c, 8, commit)), 0)
	sync := syncRequest("g", two, 2)
	sync.GroupAssignment = nil
	same(t, "sync", ask[*kmsg.SyncGroupResponse](c, 3, sync).ErrorCode, errNone)
}

func TestRebalanceUnderWayAtKillFallsBackToTheLastGeneration(t *testing.T) {
	r := serve(t)
	a, b := r.dial(), r.dial()
	one, two := pair(t, r, a, b, "g")
	b.start(5, joinRequest("g", two)) // makes the group gather: its metadata is the same,
	again := joinRequest("g", one)    // but the leader's join counts
	a.start(5, again)
	waitFor(t, func() bool { return r.groupState("g") != "Stable" })
	r = r.kill()
	c := r.dial()
	same(t, "state", r.groupState("g"), "Stable")
	same(t, "heartbeats", []code{beat(c, "g", one, 2), beat(c, "g", two, 2)}, []code{0, 0})
}

func TestStaticMembersNewIDSurvivesKill(t *testing.T) {
	r := serve(t)
	c := r.dial()
	first := ask[*kmsg.JoinGroupResponse](c, 5, static(joinRequest("g", ""), "i"))
	ask[*kmsg.SyncGroupResponse](c, 3, syncRequest("g", first.MemberID, 1))
	second := ask[*kmsg.JoinGroupResponse](c, 9, static(joinRequest("g", ""), "i"))
	r = r.kill()
	c = r.dial()
	same(t, "new id", beat(c, "g", second.MemberID, 1), errNone)
	same(t, "old id", beat(c, "g", first.MemberID, 1), errUnknownMemberID)
}

func TestEmptyGroupSurvivesKill(t *testing.T) {
	r := serve(t)
	c := r.dial()
	member := stableAlone(c, "g")
	ask[*kmsg.LeaveGroupResponse](c, 4, leaveWrong("g", member, nil)(nil))
	// Nobody waits for the save of an empty group, so wait until it is on its way, and for
	// something that is on disk later.
	waitFor(t, func() bool {
		g, err := r.broker.Group("", "g")
		var v kmsg.GroupMetadataValue
		return err == nil && v.ReadFrom(g.State()) == nil && len(v.Members) == 0
	})
	r.topic("later", 1)
	r = r.kill()
	same(t, "state", r.groupState("g"), "Empty")
	joined := joinAlone(r.dial(), 5, "g")
	same(t, "generation", joined.Generation, int32(3))
}
