package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// saving is what a group has to save and who waits for it. Guarded by the group's lock.
type saving struct {
	changed bool           // the group differs from what was last handed to the saver
	queued  bool           // the saver has the group in its list
	running bool           // the saver is handing the group to the engine
	last    broker.Confirm // of the last save
	known   bool           // there is a last one
	waiting []afterSave    // answers that leave when the next save is on disk
}

// afterSave is an answer that waits for a save.
type afterSave struct {
	reply *deferred
	resp  kmsg.Response
}

// take says whether the group must be handed to the saver, which it then is.
func (s *saving) take() bool {
	if !s.changed || s.queued {
		return false
	}
	s.queued = true
	return true
}

// pending says whether the last save is not of the group as it is now, or is not known yet.
func (s *saving) pending() bool { return s.changed || s.queued || s.running }

// onDisk says whether nothing of the group is on its way to the disk.
func (s *saving) onDisk() bool {
	return !s.pending() && (!s.known || s.last.Done() || s.last.Err() != nil)
}

// begin takes what waits, for a save of the group as it is now.
func (s *saving) begin() []afterSave {
	s.changed, s.queued, s.running = false, false, true
	return s.takeWaiting()
}

// end adds to those who waited for a save those who came while it ran, unless the group has
// changed again: then they wait for the next one.
func (s *saving) end(waiting []afterSave) []afterSave {
	s.running = false
	if s.pending() {
		return waiting
	}
	return append(waiting, s.takeWaiting()...)
}

func (s *saving) takeWaiting() []afterSave {
	waiting := s.waiting
	s.waiting = nil
	return waiting
}

// changed marks the group to be saved once it is unlocked.
func (g *group) changed() { g.saving.changed = true }

// afterSave sends an answer to a member when the group, as it is now, is on disk. Until then the
// member cannot send heartbeats, so its session begins with the answer.
func (g *group) afterSave(m *member, d *deferred, resp kmsg.Response) {
	s := &g.saving
	d.sent = func() {
		g.lock()
		defer g.unlock()
		if slices.Contains(g.members, m) {
			g.beat(m)
		}
	}
	if s.pending() {
		s.waiting = append(s.waiting, afterSave{d, resp})
		return
	}
	if !s.known {
		d.complete(resp)
		return
	}
	d.complete(resp, pledge{s.last, func(c code) { setError(resp, groupCode(c)) }})
}

// refuse answers with a code what will not be saved.
func refuse(waiting []afterSave, c code) {
	for _, a := range waiting {
		setError(a.resp, c)
		a.reply.complete(a.resp)
	}
}

// setError sets the code of an answer that waited for a save.
func setError(resp kmsg.Response, c code) {
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		*r = kmsg.JoinGroupResponse{Version: r.Version, Generation: -1}
		r.ErrorCode = c
	case *kmsg.SyncGroupResponse:
		*r = kmsg.SyncGroupResponse{Version: r.Version}
		r.ErrorCode = c
	}
}

// groupCode is what a group tells its members when it cannot be saved.
func groupCode(c code) code {
	switch c {
	case errMessageTooLarge, errPolicyViolation:
		return errGroupMaxSize // beyond a limit of the engine
	default:
		return errCoordinatorNotAvailable
	}
}

// saver writes groups to the engine, from one goroutine: what a group looks like when its turn
// comes, so that many changes in short time cost one save, and the last one wins.
type saver struct {
	wake chan struct{} // capacity 1: list is not empty
	done chan struct{}
	loop sync.WaitGroup

	mu   sync.Mutex
	list []*group
}

func newSaver() *saver {
	return &saver{wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (s *saver) start() { s.loop.Go(s.run) }

// close saves what is waiting, ends the goroutine and waits for it.
func (s *saver) close() {
	close(s.done)
	s.loop.Wait()
}

func (s *saver) add(g *group) {
	s.mu.Lock()
	s.list = append(s.list, g) // once for each group at most: saving.queued
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *saver) run() {
	for {
		for _, g := range s.take() {
			g.save()
		}
		select {
		case <-s.wake:
		case <-s.done:
			for _, g := range s.take() {
				g.save()
			}
			return
		}
	}
}

func (s *saver) take() []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// save hands the group's state to the engine. What waits for it leaves when it is on disk.
//
// A group that has begun to gather since is not saved: should the process end now, it goes on
// with what it was when it last was stable. Its members have to join again anyway.
func (g *group) save() {
	g.takeTurn(context.Background()) // whoever holds it waits for the engine at most
	defer g.giveTurn()
	g.lock()
	waiting := g.saving.begin()
	if g.gone || g.state == groupPreparing || g.state == groupCompleting {
		refuse(g.saving.end(waiting), errRebalanceInProgress)
		g.unlock()
		return
	}
	state, generation := g.encode(), g.generation
	g.unlock()
	tx := g.groups.broker.Begin()
	tx.SaveGroup(g.groups.config.Namespace, g.name, state)
	confirm, err := tx.Commit(context.Background())

	g.lock()
	defer g.unlock()
	waiting = g.saving.end(waiting)
	if err != nil {
		g.saveFailed(err, waiting, generation)
		return
	}
	g.saving.last, g.saving.known = confirm, true
	for _, a := range waiting {
		a.reply.complete(a.resp, pledge{confirm, func(c code) { setError(a.resp, groupCode(c)) }})
	}
}

// saveFailed answers those who wait, and takes the group back to where it gathers: an
// assignment that could not be saved is none.
func (g *group) saveFailed(err error, waiting []afterSave, generation int32) {
	g.groups.config.Logger.Error("kafka group not saved", "group", g.name, "error", err)
	refuse(waiting, groupCode(codeOf(err)))
	if len(waiting) > 0 && g.state == groupStable && g.generation == generation {
		g.prepare()
	}
}

// stateVersion is the version of the layout of a saved group: Kafka's own GroupMetadataValue,
// whose version 3 has everything a classic group needs.
const stateVersion = 3

// encode returns the group's state as it is saved. Of each member's protocols only the chosen
// one is kept, as in Kafka.
func (g *group) encode() []byte {
	v := kmsg.NewGroupMetadataValue()
	v.Version = stateVersion
	v.ProtocolType, v.Generation = g.kind, g.generation
	v.CurrentStateTimestamp = g.since.UnixMilli()
	if g.protocol != "" {
		v.Protocol = text(g.protocol)
	}
	if g.leader != "" {
		v.Leader = text(g.leader)
	}
	for _, m := range g.members {
		one := kmsg.NewGroupMetadataValueMember()
		one.MemberID, one.InstanceID = m.id, m.instance
		one.ClientID, one.ClientHost = m.client, m.host
		one.RebalanceTimeoutMillis = int32(m.rebalance.Milliseconds())
		one.SessionTimeoutMillis = int32(m.session.Milliseconds())
		one.Subscription, one.Assignment = m.metadata(g.protocol), m.assigned
		v.Members = append(v.Members, one)
	}
	return v.AppendTo(nil)
}

// restore makes the group what it was when it was saved. Sessions begin anew.
func (g *group) restore(state []byte) error {
	if len(state) == 0 {
		return nil // cursors only
	}
	var v kmsg.GroupMetadataValue
	if err := v.ReadFrom(state); err != nil {
		return fmt.Errorf("state of kafka group %q: %w", g.name, err)
	}
	if v.Version != stateVersion {
		return fmt.Errorf("state of kafka group %q: version %d is not known", g.name, v.Version)
	}
	g.kind, g.generation = v.ProtocolType, v.Generation
	g.protocol, g.leader = name(v.Protocol), name(v.Leader)
	g.since = time.UnixMilli(v.CurrentStateTimestamp)
	for i := range v.Members {
		g.restoreMember(&v.Members[i])
	}
	if len(g.members) > 0 {
		g.state = groupStable
	}
	g.learnSubscriptions()
	return nil
}

func (g *group) restoreMember(v *kmsg.GroupMetadataValueMember) {
	m := &member{
		id: v.MemberID, instance: v.InstanceID, client: v.ClientID, host: v.ClientHost,
		rebalance: time.Duration(v.RebalanceTimeoutMillis) * time.Millisecond,
		session:   time.Duration(v.SessionTimeoutMillis) * time.Millisecond,
		protocols: []protocol{{g.protocol, slices.Clone(v.Subscription)}},
	}
	m.heart = newAlarm(g, func() { g.lose(m) })
	m.bytes = memberBytes(m.client, m.instance, m.protocols)
	m.saved = 2*len(m.id) + savedBytes(m.client, m.host, m.instance, m.protocols)
	if m.instance != nil {
		g.static[*m.instance] = m.id
	}
	g.members = append(g.members, m)
	g.count(m.bytes)
	g.countOffers(m, 1)
	g.assign(m, slices.Clone(v.Assignment))
	g.groups.readers.add(m, g)
	g.beat(m)
}
