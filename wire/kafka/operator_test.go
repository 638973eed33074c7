package kafka

import (
	"context"
	"testing"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestOperatorSeesGroups(t *testing.T) {
	r := serve(t)
	c := r.dial()
	joined := joinAlone(c, 5, "g")
	sync := syncRequest("g", joined.MemberID, 1)
	sync.GroupAssignment[0].MemberAssignment = []byte{
		0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0,
	}
	ask[*kmsg.SyncGroupResponse](c, 3, sync)
	r.topic("t", 1)
	ask[*kmsg.OffsetCommitResponse](c, 8, commitRequest("simple", "t", [16]byte{}, 1))
	same(t, "groups", r.server.Groups(), []GroupInfo{
		{Name: "g", State: "Stable", Protocol: consumerKind, Members: []MemberInfo{{
			ID: joined.MemberID, Client: "test-client", Host: "/127.0.0.1",
			Assigned: map[string][]int32{"t": {0, 5}},
		}}},
		{Name: "simple", State: "Empty"},
	})
}

func TestOperatorDeletesOnlyEmptyGroups(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	c := r.dial()
	stableAlone(c, "busy")
	ask[*kmsg.OffsetCommitResponse](c, 8, commitRequest("idle", "t", [16]byte{}, 1))
	var got []broker.ErrorKind
	for _, name := range []string{"busy", "idle", "absent"} {
		got = append(got, broker.KindOf(r.server.DeleteGroup(context.Background(), name)))
	}
	same(t, "kinds", got, []broker.ErrorKind{broker.Conflict, 0, broker.NotFound})
	same(t, "offset", r.committed("idle", "t"), int64(-1))
}

func TestOperatorMovesCursorsOfEmptyGroups(t *testing.T) {
	r := serve(t)
	topic := r.topic("t", 1)
	stableAlone(r.dial(), "busy")
	move := func(group string) error {
		tx := r.broker.Begin()
		tx.SaveCursor("", group, topic.Partition(0), broker.Cursor{Offset: 5})
		return r.server.MoveCursors(context.Background(), group, tx)
	}
	same(t, "busy", broker.KindOf(move("busy")), broker.Conflict)
	if err := move("new"); err != nil {
		t.Fatal(err)
	}
	same(t, "offsets", []int64{r.committed("busy", "t"), r.committed("new", "t")}, []int64{-1, 5})
	same(t, "state", r.groupState("new"), "Empty")
}
