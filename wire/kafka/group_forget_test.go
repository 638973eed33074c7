package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// retentionAgo is long enough for every offset to have expired.
const retentionAgo = 8 * 24 * time.Hour

// replaced makes an empty group, deletes it, and makes another one of its name that is live
// and has committed offset 42. It returns the first as somebody holds it who found it earlier.
func (r *rig) replaced(c *client, name string) *group {
	r.t.Helper()
	first := ask[*kmsg.LeaveGroupResponse](c, 4, leaveWrong(name, stableAlone(c, name), nil)(nil))
	same(r.t, "leave", errorCodes(valueOf(first)), []code(nil))
	old, _ := r.server.groups.find(name)
	old.since = time.Now().Add(-retentionAgo)
	old.unlock()
	gone := ask[*kmsg.DeleteGroupsResponse](c, 2, deleteGroupsWrong(name)(nil))
	same(r.t, "delete", errorCodes(valueOf(gone)), []code(nil))

	q := commitRequest(name, "t", [16]byte{}, 42)
	q.MemberID, q.Generation = stableAlone(c, name), 1
	same(r.t, "commit", errorCodesOf(ask[*kmsg.OffsetCommitResponse](c, 8, q)), 0)
	return old
}

func TestExpiryOfADeletedGroupSparesTheNextOfItsName(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	old := r.replaced(r.dial(), "g")
	old.forget(context.Background(), time.Now().Add(-retentionAgo/2))
	same(t, "offset", r.committed("g", "t"), int64(42))
	same(t, "state", r.groupState("g"), "Stable")
}

func TestOffsetDeleteIsJudgedByTheGroupThatIsThere(t *testing.T) {
	r := serve(t)
	r.topic("t", 1)
	old := r.replaced(r.dial(), "g")
	q := offsetDeleteWrong("g", "t", 0)(nil).(*kmsg.OffsetDeleteRequest)
	c := &conn{srv: r.server, ctx: context.Background()}
	_, err := c.deleteOffsets(old, q, kmsg.NewPtrOffsetDeleteResponse())
	same(t, "error", err, errGone)
	same(t, "offset", r.committed("g", "t"), int64(42))
}

func TestGroupThatCannotBeDeletedStays(t *testing.T) {
	withCoordinator(t, func(b *bench) {
		one := b.consumer()
		b.stable(one)
		time.Sleep(11 * time.Second) // its session ends
		b.broker.Close()
		g, _ := b.find("g")
		g.unlock()
		_, err := g.delete(context.Background())
		same(b, "kind", broker.KindOf(err), broker.Closed)
		same(b, "state", b.state("g"), "Empty")
		g.forget(context.Background(), time.Now().Add(time.Hour))
		same(b, "state", b.state("g"), "Empty")
		again, _ := b.lookUp("g", g) // as a join does that saw it gone meanwhile
		same(b, "the same", again == g, true)
	})
}

// TestManyOffsetsOfAGroup commits and deletes more than the engine changes at once.
func TestManyOffsetsOfAGroup(t *testing.T) {
	r := serve(t)
	const partitions = 500
	topic := r.topic("t", partitions)
	c, name := r.dial(), strings.Repeat("g", maxGroupName)
	commit := commitRequest(name, "t", [16]byte{}, 0)
	remove := offsetDeleteWrong(name, "t", 0)(nil).(*kmsg.OffsetDeleteRequest)
	for i := range int32(partitions - 1) {
		p := commit.Topics[0].Partitions[0]
		p.Partition, p.Metadata = i+1, ptr(strings.Repeat("m", 500))
		commit.Topics[0].Partitions = append(commit.Topics[0].Partitions, p)
		remove.Topics[0].Partitions = append(remove.Topics[0].Partitions,
			kmsg.OffsetDeleteRequestTopicPartition{Partition: i + 1})
	}
	offsets := func() int {
		g, err := r.broker.Group("", name)
		if err != nil {
			return 0
		}
		return len(g.Cursors())
	}
	for _, remove := range []func(){
		func() { same(t, "delete", errorCodesOf(ask[*kmsg.OffsetDeleteResponse](c, 0, remove)), 0) },
		func() {
			// One is too young to expire, so the group stays.
			tx := r.broker.Begin()
			tx.SaveCursor("", name, topic.Partition(7), broker.Cursor{Time: time.Now().Add(time.Hour)})
			same(t, "save", r.server.MoveCursors(context.Background(), name, tx), nil)
			r.server.groups.forget(time.Now().Add(r.server.config.OffsetRetention + time.Minute))
			same(t, "offsets that have not expired", offsets(), 1)
			r.server.groups.forget(time.Now().Add(retentionAgo))
		},
		func() {
			resp := ask[*kmsg.DeleteGroupsResponse](c, 2, deleteGroupsWrong(name)(nil))
			same(t, "delete group", errorCodesOf(resp), 0)
		},
	} {
		same(t, "commit", errorCodesOf(ask[*kmsg.OffsetCommitResponse](c, 8, commit)), 0)
		same(t, "offsets", offsets(), partitions)
		remove()
		same(t, "offsets that are left", offsets(), 0)
	}
}
