package kafka

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// joining is a JoinGroup request on its way into a group.
type joining struct {
	reply     *deferred
	host      string
	member    string // "" for a new one
	instance  *string
	kind      string // protocol type
	protocols []protocol
	session   time.Duration
	rebalance time.Duration
	bytes     int // of memory, and of the saved state: see member
	saved     int
}

func (j *joining) version() int16 { return j.reply.request.version }

// refuse answers the request with a code. Clients look at the member id of some refusals.
func (j *joining) refuse(member string, c code) {
	resp := j.reply.request.joinResponse()
	resp.MemberID, resp.ErrorCode = member, c
	j.reply.complete(resp)
}

// join takes a request in. Its answer comes now or when the group has gathered.
func (g *group) join(j *joining) {
	switch {
	case !g.hasRoomFor(g.idOf(j)):
		if m := g.member(j.member); m != nil {
			g.remove(m, "group is full")
		}
		g.uninvite(j.member)
		j.refuse("", errGroupMaxSize)
	case !g.hasMemoryFor(j):
		j.refuse(j.member, errGroupMaxSize)
	case !g.supported(j.kind, j.protocols):
		j.refuse(j.member, errInconsistentProtocol)
	case j.member != "":
		g.joinAgain(j)
	case j.instance != nil:
		g.joinStatic(j)
	case j.version() >= 4: // KIP-394
		g.invite(j)
	default:
		g.enrol(j, newMemberID(j.reply.request.client, nil))
	}
}

// idOf is the id of the member that joins: of a static one that does not know it, the one of
// its former self, whose place it takes.
func (g *group) idOf(j *joining) string {
	if j.member == "" && j.instance != nil {
		return g.static[*j.instance]
	}
	return j.member
}

// hasMemoryFor says whether the group may have what the member says about itself, instead of
// what it said before.
func (g *group) hasMemoryFor(j *joining) bool {
	if m := g.member(g.idOf(j)); m != nil {
		return g.affords(j.bytes-m.bytes, j.saved-m.saved)
	}
	return g.affords(j.bytes, j.saved)
}

// hasRoomFor says whether one more may join. While the group gathers, those count that have
// come; the last to come find no room.
func (g *group) hasRoomFor(member string) bool {
	most := g.groups.config.Limits.GroupMembers
	m := g.member(member)
	switch g.state {
	case groupEmpty:
		return len(g.invited) < most || g.invited[member] != nil
	case groupPreparing:
		waiting := 0
		for _, x := range g.members {
			if !x.absent() {
				waiting++
			}
		}
		return m != nil && !m.absent() || waiting < most && len(g.invited) <= most
	default:
		return m != nil || len(g.members) < most && len(g.invited) <= most
	}
}

// invite gives out a member id for the client to join with, so that clients whose connection
// breaks while they wait do not fill the group with members that nobody knows.
func (g *group) invite(j *joining) {
	id := newMemberID(j.reply.request.client, nil)
	a := newAlarm(g, func() { g.withdraw(id) })
	g.invited[id] = a
	g.count(invitationBytes)
	g.arm(a, j.session)
	j.refuse(id, errMemberIDRequired)
}

// withdraw forgets an id with which nobody joined in time. The others do not wait for it.
func (g *group) withdraw(id string) {
	g.uninvite(id)
	if g.state == groupPreparing {
		g.perhapsEndJoining()
	}
}

// enrol adds a new member and has the group gather again.
func (g *group) enrol(j *joining, id string) {
	m := &member{
		id: id, instance: j.instance, client: j.reply.request.client, host: j.host,
		rebalance: j.rebalance, session: j.session, protocols: j.protocols,
		isNew: true, join: j.reply, bytes: j.bytes, saved: j.saved,
	}
	m.heart = newAlarm(g, func() { g.lose(m) })
	if g.state == groupPreparing && g.previous == groupEmpty {
		g.grown = true
	}
	if len(g.members) == 0 {
		g.kind = j.kind
	}
	g.add(m)
	// A client that gives up waiting comes again under another id. So that it does not go on
	// for ever, a new member must be answered within a time.
	g.arm(m.heart, newMemberPatience)
	g.gather()
}

// newMemberPatience is how long the join of a new member may wait.
const newMemberPatience = 5 * time.Minute

// joinStatic lets a static member in under its instance id. If that is known, the member was
// started again: it takes the place of its former self, which is fenced.
func (g *group) joinStatic(j *joining) {
	id := newMemberID("", j.instance)
	former := g.member(g.static[*j.instance])
	if former == nil {
		g.enrol(j, id)
		return
	}
	m := g.replace(former, id)
	g.beat(m)
	g.update(m, j)
	switch {
	case g.state == groupStable && g.elect() == g.protocol:
		// Nothing changes for the others. The new id is saved before it is answered.
		g.changed()
		g.resume(m)
	case g.state == groupPreparing:
		g.perhapsEndJoining()
	default:
		// In Completing the leader assigns work to the former id, so gather again.
		g.prepare()
	}
}

// replace gives a static member a new id and answers what waits under the old one.
func (g *group) replace(m *member, id string) *member {
	g.answerJoin(m, errFencedInstanceID)
	g.answerSync(m, errFencedInstanceID)
	g.disarm(m.heart)
	fresh := *m
	fresh.id = id
	fresh.heart = newAlarm(g, func() { g.lose(&fresh) })
	g.members[slices.Index(g.members, m)] = &fresh
	g.static[*m.instance] = id
	if g.leader == m.id {
		g.leader = id
	}
	if g.syncing[m.id] {
		delete(g.syncing, m.id)
		g.syncing[id] = true
	}
	return &fresh
}

// update takes over what a member says about itself when it joins again.
func (g *group) update(m *member, j *joining) {
	g.count(j.bytes - m.bytes)
	m.bytes, m.saved = j.bytes, j.saved
	g.countOffers(m, -1)
	m.protocols, m.session, m.rebalance = j.protocols, j.session, j.rebalance
	g.countOffers(m, 1)
	if m.join != nil { // the client joins over another connection
		resp := m.join.request.joinResponse()
		resp.MemberID, resp.ErrorCode = m.id, errRebalanceInProgress
		m.join.complete(resp)
	}
	m.join = j.reply
}

// resume answers a static member that came back to a stable group.
func (g *group) resume(m *member) {
	resp := g.joined(m)
	leads := g.leader == m.id
	// Below version 9 the leader must not learn that it is one: it would assign again.
	if leads && m.join.request.version < 9 {
		resp.LeaderID, resp.Members = "", nil
	}
	resp.SkipAssignment = leads && m.join.request.version >= 9
	g.afterSave(m, m.join, resp)
	m.join = nil
}

// joinAgain takes a join of somebody who brings an id.
func (g *group) joinAgain(j *joining) {
	if g.invited[j.member] != nil && j.instance == nil {
		g.enrol(j, j.member)
		return
	}
	m, bad := g.check(j.member, j.instance)
	if bad != errNone {
		j.refuse(j.member, bad)
		return
	}
	same := m.offers(j.protocols)
	switch {
	case g.state == groupEmpty:
		j.refuse(j.member, errUnknownMemberID)
	case g.state == groupCompleting && same, g.state == groupStable && same && g.leader != m.id:
		// It did not get the answer to its first join, or it had no reason to join again.
		m.join = j.reply
		resp := g.joined(m)
		m.join = nil
		j.reply.complete(resp)
	default:
		// New metadata, or a leader that joins again because the topics have changed.
		g.update(m, j)
		g.gather()
	}
}

// gather begins to gather the members, or ends it if this was the last one missing.
func (g *group) gather() {
	if g.state == groupPreparing {
		g.perhapsEndJoining()
	} else {
		g.prepare()
	}
}

// perhapsEndJoining ends the joining when nobody is missing. A new group waits its time.
func (g *group) perhapsEndJoining() {
	if g.previous != groupEmpty && g.allJoined() {
		g.endJoining()
	}
}

// prepare makes everybody join again.
func (g *group) prepare() {
	for _, m := range g.members {
		g.assign(m, nil)
		g.answerSync(m, errRebalanceInProgress)
	}
	clear(g.syncing)
	g.disarm(g.sync)
	first := g.state == groupEmpty
	g.enter(groupPreparing)
	switch {
	case first && g.groups.config.InitialRebalanceDelay > 0:
		g.grown = false
		g.arm(g.rebalance, g.groups.config.InitialRebalanceDelay)
	case first || g.allJoined():
		g.endJoining()
	default:
		g.arm(g.rebalance, g.patience())
	}
}

// endJoining begins the next generation with those who have come. Static members that have
// not keep their place.
func (g *group) endJoining() {
	if g.extended() {
		return
	}
	g.disarm(g.rebalance)
	for _, m := range slices.Clone(g.members) {
		if m.absent() && m.instance == nil {
			g.remove(m, "did not join again in time")
		}
	}
	if len(g.members) > 0 && !g.electLeader() {
		// Only static members, none of which has come: their sessions decide.
		g.arm(g.rebalance, g.patience())
		return
	}
	g.generation = max(g.generation, 0) + 1
	if g.generation < 0 { // 2^31 rebalances
		g.generation = 1
	}
	clear(g.syncing)
	if len(g.members) == 0 {
		g.becomeEmpty()
		return
	}
	g.protocol = g.elect()
	g.learnSubscriptions()
	g.enter(groupCompleting)
	for _, m := range g.members {
		g.welcome(m)
	}
	g.arm(g.sync, g.patience())
}

// extended gives a new group more time if somebody has come since it was last looked at, up
// to the patience of its members.
func (g *group) extended() bool {
	delay := g.groups.config.InitialRebalanceDelay
	if g.previous != groupEmpty || delay == 0 || !g.grown {
		return false
	}
	g.grown = false
	left := min(delay, g.patience()-time.Since(g.since))
	if left <= 0 {
		return false
	}
	g.arm(g.rebalance, left)
	return true
}

// electLeader sees to it that the leader is somebody who has come. It is false if nobody has.
func (g *group) electLeader() bool {
	if m := g.member(g.leader); m != nil && !m.absent() {
		return true
	}
	i := slices.IndexFunc(g.members, func(m *member) bool { return !m.absent() })
	if i < 0 {
		return false
	}
	g.leader = g.members[i].id
	return true
}

func (g *group) becomeEmpty() {
	g.protocol, g.leader = "", ""
	g.learnSubscriptions()
	g.enter(groupEmpty)
	g.changed()
}

// welcome answers a member's join with the new generation and waits for its sync.
func (g *group) welcome(m *member) {
	if !m.absent() {
		resp := g.joined(m)
		m.join.complete(resp)
		m.join = nil
	}
	m.isNew = false
	g.beat(m)
	g.syncing[m.id] = true
}

// joined is the answer to a member's join. The leader learns everybody's metadata.
func (g *group) joined(m *member) *kmsg.JoinGroupResponse {
	resp := m.join.request.joinResponse()
	resp.Generation, resp.MemberID, resp.LeaderID = g.generation, m.id, g.leader
	resp.ProtocolType, resp.Protocol = text(g.kind), text(g.protocol)
	if g.leader != m.id {
		return resp
	}
	for _, x := range g.members {
		one := kmsg.NewJoinGroupResponseMember()
		one.MemberID, one.InstanceID = x.id, x.instance
		one.ProtocolMetadata = x.metadata(g.protocol)
		resp.Members = append(resp.Members, one)
	}
	return resp
}

// lose ends the membership of somebody whose session has ended without a heartbeat. Who is
// waiting for an answer cannot send any and is not judged; nor is anybody while the disk holds
// answers back.
func (g *group) lose(m *member) {
	if !slices.Contains(g.members, m) || !m.isNew && (m.join != nil || m.sync != nil) {
		return
	}
	if !g.saving.onDisk() {
		g.beat(m)
		return
	}
	g.remove(m, "session timed out")
	g.afterLeave()
}

// afterLeave goes on without those who were removed.
func (g *group) afterLeave() {
	switch g.state {
	case groupStable, groupCompleting:
		g.prepare()
	case groupPreparing:
		g.perhapsEndJoining()
	case groupEmpty:
	}
}

// endSyncing removes those who did not ask for their assignment in time.
func (g *group) endSyncing() {
	if len(g.syncing) == 0 || g.state != groupCompleting && g.state != groupStable {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(g.syncing)) {
		if m := g.member(id); m != nil {
			g.remove(m, "did not sync in time")
		}
	}
	g.prepare()
}
