package kafka

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupState is where a group is in its life (the classic rebalance protocol):
//
//	          join                  all joined, or time                leader's sync
//	Empty ──────────▶ Preparing ─────────────────────▶ Completing ───────────────▶ Stable
//	  ▲                 │   ▲                               │                        │
//	  └─────────────────┘   └───────────────────────────────┴────────────────────────┘
//	    nobody joined          a join, a leave, a session that ended, a sync missing
type groupState uint8

const (
	groupEmpty groupState = iota
	groupPreparing
	groupCompleting
	groupStable
)

// String is the name that Kafka's tools know.
func (s groupState) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}[s]
}

// group is one consumer group: who is in it, in which generation, and with which part of the
// work. Its rules are those of Kafka's classic groups. Its cursors are the engine's.
//
// What has to survive a crash is saved when a generation has become stable, when the group
// has become empty, and when a static member has changed its id; see group_save.go.
type group struct {
	groups *coordinator
	name   string

	// turn is held, by sending to it, while something of the group is written. So a commit of
	// offsets that was judged by an older generation never lands behind one of a newer. It may
	// be held while waiting for the engine, which mu may not.
	turn chan struct{}

	mu         sync.Mutex
	gone       bool // no longer in the coordinator: look the name up again
	state      groupState
	previous   groupState
	since      time.Time // of state
	generation int32
	kind       string // protocol type; "" before the first join
	protocol   string
	leader     string // member id
	subscribed map[string]struct{}

	members []*member         // in the order of joining
	static  map[string]string // member ids by instance id
	invited map[string]*alarm // ids given out with MEMBER_ID_REQUIRED
	syncing map[string]bool   // members whose sync is awaited
	grown   bool              // a member has come while a new group was waiting for more
	offered map[string]int    // how many members offer a protocol

	bytes     int    // what members and invitations count for
	rebalance *alarm // the joining ends
	sync      *alarm // the syncing ends

	events []broker.Event // to be told after unlock
	saving saving
}

func newGroup(c *coordinator, name string) *group {
	g := &group{
		groups: c, name: name, turn: make(chan struct{}, 1), since: time.Now(),
		static: make(map[string]string), invited: make(map[string]*alarm),
		syncing: make(map[string]bool), offered: make(map[string]int),
	}
	g.rebalance = newAlarm(g, g.endJoining)
	g.sync = newAlarm(g, g.endSyncing)
	return g
}

// member is one consumer in a group.
type member struct {
	id        string
	instance  *string // of a static member (KIP-345)
	client    string
	host      string
	rebalance time.Duration
	session   time.Duration
	protocols []protocol
	assigned  []byte

	bytes int // of memory that it counts for, beside what is assigned to it
	saved int // bytes that it takes in the saved state at most, beside that

	// isNew is set until the first join is answered: before that nobody can send heartbeats,
	// so the session is not judged by them.
	isNew bool
	join  *deferred // the join that is waiting, nil if none is
	sync  *deferred
	heart *alarm
}

// protocol is one assignment strategy that a member offers, with what it has to say to it.
type protocol struct {
	name     string
	metadata []byte
}

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.name == protocol {
			return p.metadata
		}
	}
	return []byte{}
}

// offers says whether the member has made exactly this offer before.
func (m *member) offers(protocols []protocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b protocol) bool {
		return a.name == b.name && string(a.metadata) == string(b.metadata)
	})
}

func (g *group) lock() { g.mu.Lock() }

// unlock tells the observer what happened, and has the group saved if it changed.
func (g *group) unlock() {
	events, changed := g.events, g.saving.take()
	g.events = nil
	g.mu.Unlock()
	for _, e := range events {
		g.groups.broker.Observe(e)
	}
	if changed {
		g.groups.saver.add(g)
	}
}

func (g *group) tell(e broker.Event) {
	if g.groups.broker.Observing() {
		g.events = append(g.events, e)
	}
}

func (g *group) brokerName() broker.Name {
	return broker.Name{
		Kind: broker.KindGroup, Namespace: g.groups.config.Namespace, Name: g.name,
	}
}

func (g *group) member(id string) *member {
	for _, m := range g.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

// check finds the member that a request is from, by both of its names.
func (g *group) check(id string, instance *string) (*member, code) {
	if instance != nil {
		known, ok := g.static[*instance]
		if !ok {
			return nil, errUnknownMemberID
		}
		if known != id {
			return nil, errFencedInstanceID
		}
	}
	m := g.member(id)
	if m == nil {
		return nil, errUnknownMemberID
	}
	return m, errNone
}

// enter changes the state.
func (g *group) enter(s groupState) {
	g.previous, g.state, g.since = g.state, s, time.Now()
}

// arm sets an alarm, and disarm turns it off.
func (g *group) arm(a *alarm, d time.Duration) {
	a.due = time.Now().Add(d)
	g.groups.alarms.set(a, a.due)
}

func (g *group) disarm(a *alarm) {
	a.due = time.Time{}
	g.groups.alarms.stop(a)
}

// beat starts a member's session anew.
func (g *group) beat(m *member) { g.arm(m.heart, m.session) }

// add makes a member part of the group. Its join waits.
func (g *group) add(m *member) {
	if g.leader == "" {
		g.leader = m.id
	}
	if m.instance != nil {
		g.static[*m.instance] = m.id
	}
	g.members = append(g.members, m)
	g.uninvite(m.id)
	g.count(m.bytes)
	g.countOffers(m, 1)
	g.groups.readers.add(m, g)
	g.tell(&broker.MemberJoined{
		Group: g.brokerName(), Member: m.id, Client: m.client, Host: m.host,
	})
}

// remove ends a membership, answering what the member is waiting for.
func (g *group) remove(m *member, why string) {
	g.answerJoin(m, errUnknownMemberID)
	g.answerSync(m, errUnknownMemberID)
	g.disarm(m.heart)
	g.members = slices.DeleteFunc(g.members, func(x *member) bool { return x == m })
	g.assign(m, nil)
	g.count(-m.bytes)
	g.countOffers(m, -1)
	g.groups.readers.remove(m, g)
	if m.instance != nil && g.static[*m.instance] == m.id {
		delete(g.static, *m.instance)
	}
	delete(g.syncing, m.id)
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
	g.tell(&broker.MemberLeft{Group: g.brokerName(), Member: m.id, Why: why})
}

// uninvite forgets an id that was given out.
func (g *group) uninvite(id string) {
	if a := g.invited[id]; a != nil {
		g.disarm(a)
		delete(g.invited, id)
		g.count(-invitationBytes)
	}
}

// invitationBytes is about what an id that was given out costs.
const invitationBytes = 512

// count adds to what the group counts for.
func (g *group) count(bytes int) {
	g.bytes += bytes
	g.groups.bytes.Add(int64(bytes))
}

// countOffers adds to the number of members that offer what m does.
func (g *group) countOffers(m *member, by int) {
	for _, p := range m.protocols {
		if g.offered[p.name] += by; g.offered[p.name] == 0 {
			delete(g.offered, p.name)
		}
	}
}

// assign gives a member its part of the work.
func (g *group) assign(m *member, work []byte) {
	g.count(len(work) - len(m.assigned))
	m.assigned = work
}

// affords says whether the group may grow: by so many bytes of memory, and by so many of the
// state that is saved.
func (g *group) affords(bytes, saved int) bool {
	memory := g.groups.bytes.Load() + int64(bytes)
	return (bytes <= 0 || memory <= g.groups.config.Limits.GroupMemory) &&
		(saved <= 0 || g.savedBytes()+saved <= g.groups.broker.Limits().GroupStateBytes)
}

// savedBytes is what the group takes at most when it is saved, beside what is assigned.
func (g *group) savedBytes() int {
	size := 32 // what is not of members
	for _, m := range g.members {
		size += m.saved
	}
	return size
}

// patience is how long a rebalance waits: as long as the most patient member asks for.
func (g *group) patience() time.Duration {
	var d time.Duration
	for _, m := range g.members {
		d = max(d, m.rebalance)
	}
	return d
}

// allJoined says whether nobody is missing.
func (g *group) allJoined() bool {
	return len(g.invited) == 0 && !slices.ContainsFunc(g.members, (*member).absent)
}

func (m *member) absent() bool { return m.join == nil }

// supported says whether a member with these protocols fits the group.
func (g *group) supported(kind string, offered []protocol) bool {
	if g.state == groupEmpty {
		return kind != "" && len(offered) > 0
	}
	return kind == g.kind && slices.ContainsFunc(offered, func(p protocol) bool {
		return g.everybody(p.name)
	})
}

func (g *group) everybody(protocol string) bool {
	return g.offered[protocol] == len(g.members)
}

// elect returns the protocol that everybody supports and most members prefer. A tie goes to
// the protocol that the earlier member prefers.
func (g *group) elect() string {
	votes := make(map[string]int)
	best := ""
	for _, m := range g.members {
		i := slices.IndexFunc(m.protocols, func(p protocol) bool { return g.everybody(p.name) })
		if i < 0 {
			continue // supported sees to it that this does not happen
		}
		name := m.protocols[i].name
		votes[name]++
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// newMemberID makes an id that nobody has, beginning with what a person would look for.
func newMemberID(client string, instance *string) string {
	if instance != nil {
		client = *instance
	}
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // a random UUID (RFC 9562)
	return client + "-" + broker.ID(b).String()
}

const consumerKind = "consumer"

// learnSubscriptions reads which topics the members consume, where they speak the consumer
// protocol: its first fields are a version and the topics, in every version.
func (g *group) learnSubscriptions() {
	g.subscribed = nil
	if g.kind != consumerKind {
		return
	}
	topics := make(map[string]struct{})
	for _, m := range g.members {
		if !subscription(m.metadata(g.protocol), topics) {
			return // somebody speaks another language: nothing is known
		}
	}
	g.subscribed = topics
}

// subscription adds the topics of one member's metadata. It is false if they cannot be read.
func subscription(metadata []byte, topics map[string]struct{}) bool {
	w := walk{rest: metadata}
	w.skip(2) // version
	n := w.longLen()
	if n > len(w.rest) {
		return false
	}
	for ; n > 0 && w.err == nil; n-- {
		if l := w.stringLen(); l >= 0 {
			topics[string(w.skip(l))] = struct{}{}
		}
	}
	return w.err == nil
}

// consumes says whether the group reads a topic now. A consumer group whose topics are not
// known might read any.
func (g *group) consumes(topic string) bool {
	if g.subscribed == nil {
		return g.kind == consumerKind
	}
	_, ok := g.subscribed[topic]
	return ok
}

// assigned says whether a member's assignment, in the consumer protocol, has a partition.
func assigned(assignment []byte, topic string, partition int32) bool {
	w := walk{rest: assignment}
	w.skip(2)
	for n := w.longLen(); n > 0 && w.err == nil; n-- {
		l := w.stringLen()
		name := ""
		if l >= 0 {
			name = string(w.skip(l))
		}
		for k := w.longLen(); k > 0 && w.err == nil; k-- {
			if b := w.skip(4); b != nil && name == topic &&
				int32(binary.BigEndian.Uint32(b)) == partition {
				return true
			}
		}
	}
	return false
}

// answerJoin ends a member's waiting join with a code, if there is one.
func (g *group) answerJoin(m *member, c code) {
	if m.join == nil {
		return
	}
	resp := m.join.request.joinResponse()
	resp.ErrorCode = c
	if c == errFencedInstanceID {
		resp.MemberID = m.id
	}
	m.join.complete(resp)
	m.join = nil
}

// answerSync ends a member's waiting sync with a code, if there is one. Its session begins anew:
// while it waited it was not judged, and its alarm may have rung for nothing.
func (g *group) answerSync(m *member, c code) {
	if m.sync == nil {
		return
	}
	resp := m.sync.request.syncResponse()
	resp.ErrorCode = c
	m.sync.complete(resp)
	m.sync = nil
	g.beat(m)
}

func (r *request) joinResponse() *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Version = r.version
	return resp
}

func (r *request) syncResponse() *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.Version = r.version
	return resp
}
