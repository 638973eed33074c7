package kafka

import (
	"context"
	"testing"
	"time"

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
