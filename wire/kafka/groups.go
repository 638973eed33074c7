package kafka

// JoinGroup (key 11), SyncGroup (14), Heartbeat (12), LeaveGroup (13), FindCoordinator (10).
//
// Versions: JoinGroup 0 to 9, SyncGroup 0 to 5, Heartbeat 0 to 4, LeaveGroup 0 to 5,
// FindCoordinator 0 to 6.
//
// Behaviour: the classic group protocol. A new member gets an id to come back with
// (MEMBER_ID_REQUIRED, JoinGroup 4 and up); the leader gets everybody's metadata and assigns;
// the protocol is the one most members prefer among those all support. Static members
// (group.instance.id) keep their place over a restart, and fence who still uses their former id.
// A generation is on disk before its assignments are sent, so that after a crash of the server
// members go on with their heartbeats as if nothing had been. This node coordinates every group.
//
// Differences from Apache Kafka: a group that is new waits Config.InitialRebalanceDelay, 0 if
// it is not set. A tie between protocols goes to the member that joined first. Groups of the
// newer protocols (KIP-848, KIP-932, KIP-1071) are not served. The coordinator of a transaction
// or share group is refused: TRANSACTIONAL_ID_AUTHORIZATION_FAILED, INVALID_REQUEST.

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The kinds of coordinators that can be asked for.
const (
	coordinatesGroups       = 0
	coordinatesTransactions = 1
)

func (c *conn) findCoordinator(r *request, q *kmsg.FindCoordinatorRequest) reply {
	resp := q.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if q.Version < 4 {
		one := c.coordinatorOf(q, q.CoordinatorKey)
		resp.ErrorCode, resp.ErrorMessage = one.ErrorCode, one.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = one.NodeID, one.Host, one.Port
		return r.answer(resp)
	}
	for _, key := range q.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, c.coordinatorOf(q, key))
	}
	return r.answer(resp)
}

func (c *conn) coordinatorOf(
	q *kmsg.FindCoordinatorRequest, key string,
) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	switch q.CoordinatorType {
	case coordinatesGroups:
		out.NodeID, out.Host, out.Port = nodeID, c.advertised.host, c.advertised.port
	case coordinatesTransactions:
		out.ErrorCode = errTransactionalID
		out.ErrorMessage = text("transactions are not served")
	default:
		out.ErrorCode = errInvalidRequest
		out.ErrorMessage = text("only groups have a coordinator here")
	}
	return out
}

func (c *conn) joinGroup(r *request, q *kmsg.JoinGroupRequest) reply {
	j := &joining{
		reply: r.later(), host: c.host, member: q.MemberID, instance: q.InstanceID,
		kind:      q.ProtocolType,
		session:   time.Duration(q.SessionTimeoutMillis) * time.Millisecond,
		rebalance: time.Duration(q.RebalanceTimeoutMillis) * time.Millisecond,
	}
	if q.Version == 0 { // it has one timeout for both
		j.rebalance = j.session
	}
	if !j.offer(q.Protocols) {
		j.refuse(q.MemberID, errInvalidRequest)
		return j.reply
	}
	j.bytes = memberBytes(r.client, q.InstanceID, j.protocols)
	j.saved = 2*max(len(j.member), len(r.client)+len(name(j.instance))+uuidBytes) +
		savedBytes(r.client, c.host, j.instance, j.protocols)
	limits := &c.srv.config.Limits
	switch bad := checkName(q.Group); {
	case bad != errNone:
		j.refuse(q.MemberID, bad)
	case j.session < limits.MinSessionTimeout || j.session > limits.MaxSessionTimeout:
		j.refuse(q.MemberID, errInvalidSessionTimeout)
	case j.bytes > limits.MemberBytes:
		j.refuse(q.MemberID, errInvalidRequest)
	default:
		c.srv.groups.join(q.Group, j)
	}
	return j.reply
}

const (
	// maxProtocols is how many assignment strategies a member may offer. Clients offer a few.
	maxProtocols = 100
	// protocolBytes is about what one costs beside its text: it is counted by name as well.
	protocolBytes = 64
)

// offer takes over what a member offers, each name once. It is false if that cannot be meant.
func (j *joining) offer(protocols []kmsg.JoinGroupRequestProtocol) bool {
	if len(protocols) > maxProtocols {
		return false
	}
	for _, p := range protocols {
		same := func(q protocol) bool { return q.name == p.Name }
		switch {
		case p.Name == "":
			return false
		case !slices.ContainsFunc(j.protocols, same):
			// The metadata lies in the frame's buffer.
			j.protocols = append(j.protocols, protocol{p.Name, slices.Clone(p.Metadata)})
		}
	}
	return true
}

// memberBytes is about what a member costs.
func memberBytes(client string, instance *string, offered []protocol) int {
	size := 1024 + 2*len(client) + 2*len(name(instance))
	for _, p := range offered {
		size += protocolBytes + len(p.name) + len(p.metadata)
	}
	return size
}

// uuidBytes is what newMemberID adds to a name.
const uuidBytes = 37

// savedBytes is what a member takes in the saved state at most, beside its id, which is there
// twice if it leads, and its assignment. Of what it offers one protocol is saved.
func savedBytes(client, host string, instance *string, offered []protocol) int {
	longest := 0
	for _, p := range offered {
		longest = max(longest, len(p.name)+len(p.metadata))
	}
	return 64 + len(client) + len(host) + len(name(instance)) + longest
}

// join takes a request to a group, which is made if the member is new.
func (c *coordinator) join(name string, j *joining) {
	g, bad := c.find(name)
	switch {
	case bad != errNone:
	case g == nil && j.member != "":
		bad = errUnknownMemberID
	case g == nil:
		g, bad = c.findOrAdd(name)
	}
	if bad != errNone {
		j.refuse(j.member, bad)
		return
	}
	defer g.unlock()
	g.join(j)
}

func (c *conn) syncGroup(r *request, q *kmsg.SyncGroupRequest) reply {
	s := &syncing{
		reply: r.later(), member: q.MemberID, instance: q.InstanceID,
		generation: q.Generation, kind: q.ProtocolType, protocol: q.Protocol,
		assignments: make(map[string][]byte, len(q.GroupAssignment)),
	}
	for _, a := range q.GroupAssignment {
		s.assignments[a.MemberID] = a.MemberAssignment
	}
	if q.Version >= 5 && (q.ProtocolType == nil || q.Protocol == nil) {
		s.refuse(errInconsistentProtocol)
		return s.reply
	}
	g, bad := c.srv.groups.member(q.Group)
	if bad != errNone {
		s.refuse(bad)
		return s.reply
	}
	defer g.unlock()
	g.takeSync(s)
	return s.reply
}

// member finds the group of a request that only a member can send, locked.
func (c *coordinator) member(name string) (*group, code) {
	if bad := checkName(name); bad != errNone {
		return nil, bad
	}
	g, bad := c.find(name)
	if g == nil && bad == errNone {
		bad = errUnknownMemberID
	}
	return g, bad
}

func (c *conn) heartbeat(r *request, q *kmsg.HeartbeatRequest) reply {
	resp := q.ResponseKind().(*kmsg.HeartbeatResponse)
	g, bad := c.srv.groups.member(q.Group)
	if bad == errNone {
		bad = g.heartbeat(q)
		g.unlock()
	}
	resp.ErrorCode = bad
	return r.answer(resp)
}

func (c *conn) leaveGroup(r *request, q *kmsg.LeaveGroupRequest) reply {
	resp := q.ResponseKind().(*kmsg.LeaveGroupResponse)
	g, bad := c.srv.groups.member(q.Group)
	if bad != errNone {
		resp.ErrorCode = bad
		return r.answer(resp)
	}
	defer g.unlock()
	leaving := q.Members
	if q.Version < 3 {
		leaving = []kmsg.LeaveGroupRequestMember{{MemberID: q.MemberID}}
	}
	before := len(g.members)
	for _, m := range leaving {
		out := kmsg.NewLeaveGroupResponseMember()
		out.MemberID, out.InstanceID = m.MemberID, m.InstanceID
		out.ErrorCode = g.leave(m.MemberID, m.InstanceID, leaveReason(m.Reason))
		resp.Members = append(resp.Members, out)
	}
	if q.Version < 3 {
		resp.ErrorCode, resp.Members = resp.Members[0].ErrorCode, nil
	}
	if len(g.members) < before {
		g.afterLeave()
	}
	return r.answer(resp)
}

func leaveReason(given *string) string {
	if given == nil || *given == "" {
		return "left"
	}
	return "left: " + *given
}
