package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// syncing is a SyncGroup request on its way into a group.
type syncing struct {
	reply       *deferred
	member      string
	instance    *string
	generation  int32
	kind        *string // protocol type and name, since version 5
	protocol    *string
	assignments map[string][]byte // by member; of the leader only; they lie in the frame's buffer
}

// refuse answers the request with a code.
func (s *syncing) refuse(c code) {
	resp := s.reply.request.syncResponse()
	resp.ErrorCode = c
	s.reply.complete(resp)
}

// takeSync takes a request in. Followers wait until the leader's has come and is on disk.
func (g *group) takeSync(s *syncing) {
	m, bad := g.check(s.member, s.instance)
	switch {
	case bad != errNone:
	case s.generation != g.generation:
		bad = errIllegalGeneration
	case s.kind != nil && *s.kind != g.kind, s.protocol != nil && *s.protocol != g.protocol:
		bad = errInconsistentProtocol
	case g.state == groupEmpty:
		bad = errUnknownMemberID
	case g.state == groupPreparing:
		bad = errRebalanceInProgress
	}
	if bad != errNone {
		s.refuse(bad)
		return
	}
	if g.state == groupCompleting && g.leader == m.id && !g.hasMemoryForWork(s.assignments) {
		s.refuse(errGroupMaxSize)
		g.prepare() // as when it cannot be saved
		return
	}
	g.synced(m)
	if g.state == groupStable {
		g.afterSave(m, s.reply, g.assignment(m, s.reply.request))
		return
	}
	g.answerSync(m, errRebalanceInProgress) // a client that syncs over another connection
	m.sync = s.reply
	if g.leader == m.id {
		g.stabilize(s.assignments)
	}
}

// hasMemoryForWork says whether the group may have what the leader assigns. Nothing is assigned
// while it is asked.
func (g *group) hasMemoryForWork(assignments map[string][]byte) bool {
	size := 0
	for _, m := range g.members {
		size += len(assignments[m.id])
	}
	return g.affords(size, size)
}

// synced notes that a member has asked for its assignment.
func (g *group) synced(m *member) {
	delete(g.syncing, m.id)
	if len(g.syncing) == 0 {
		g.disarm(g.sync)
	}
}

// stabilize gives everybody what the leader assigned. The answers leave when it is on disk:
// after a crash the group goes on where it was, with the same ids and the same generation.
func (g *group) stabilize(assignments map[string][]byte) {
	g.enter(groupStable)
	g.changed()
	for _, m := range g.members {
		g.assign(m, slices.Clone(assignments[m.id]))
		if m.sync == nil {
			continue
		}
		g.afterSave(m, m.sync, g.assignment(m, m.sync.request))
		m.sync = nil
		g.beat(m)
	}
}

func (g *group) assignment(m *member, r *request) *kmsg.SyncGroupResponse {
	resp := r.syncResponse()
	resp.ProtocolType, resp.Protocol = text(g.kind), text(g.protocol)
	resp.MemberAssignment = m.assigned
	return resp
}

// heartbeat keeps a member's session alive and tells it when it has to join again.
func (g *group) heartbeat(q *kmsg.HeartbeatRequest) code {
	m, bad := g.check(q.MemberID, q.InstanceID)
	switch {
	case bad != errNone:
		return bad
	case q.Generation != g.generation:
		return errIllegalGeneration
	case g.state == groupEmpty:
		return errUnknownMemberID
	}
	g.beat(m)
	if g.state == groupPreparing {
		return errRebalanceInProgress
	}
	return errNone
}

// leave ends one membership. A static member may be removed by its instance id alone, by
// whoever administers the group.
func (g *group) leave(id string, instance *string, why string) code {
	if id == "" && instance != nil {
		id = g.static[*instance]
	}
	if g.invited[id] != nil {
		g.withdraw(id) // it was no member yet
		return errNone
	}
	m, bad := g.check(id, instance)
	if bad == errNone {
		g.remove(m, why)
	}
	return bad
}

// mayCommit says whether offsets can be committed by this sender now, and counts it as a sign
// of life. Without generation and member it is a consumer that assigns its own partitions, or
// an administrator: they may while nobody is in the group.
func (g *group) mayCommit(q *kmsg.OffsetCommitRequest) code {
	if q.Generation < 0 && g.state == groupEmpty {
		return errNone
	}
	if q.Generation < 0 && q.MemberID == "" && q.InstanceID == nil {
		return errUnknownMemberID
	}
	m, bad := g.check(q.MemberID, q.InstanceID)
	switch {
	case bad != errNone:
		return bad
	case q.Generation != g.generation:
		return errIllegalGeneration
	case g.state == groupCompleting:
		return errRebalanceInProgress
	}
	g.beat(m)
	return errNone
}
