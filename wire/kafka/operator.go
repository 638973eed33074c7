package kafka

import (
	"context"
	"errors"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GroupInfo is a group as the coordinator sees it now, for whoever operates the server.
type GroupInfo struct {
	Name     string
	State    string // Empty, PreparingRebalance, CompletingRebalance or Stable
	Protocol string // protocol type: "consumer" for consumers, "" before the first join
	Members  []MemberInfo
}

// MemberInfo is one consumer in a group.
type MemberInfo struct {
	ID, Client, Host string
	// Assigned are the partitions it reads by topic; none while the group gathers, or if its
	// protocol is not that of consumers.
	Assigned map[string][]int32
}

// Groups returns the groups by name.
func (s *Server) Groups() []GroupInfo {
	var all []GroupInfo
	for _, g := range s.groups.all() {
		if g.lockIfHere() {
			all = append(all, g.info())
			g.unlock()
		}
	}
	return all
}

func (g *group) info() GroupInfo {
	info := GroupInfo{Name: g.name, State: g.state.String(), Protocol: g.kind}
	for _, m := range g.members {
		one := MemberInfo{ID: m.id, Client: m.client, Host: m.host}
		if g.state == groupStable && g.kind == consumerKind {
			one.Assigned = assignments(m.assigned)
		}
		info.Members = append(info.Members, one)
	}
	return info
}

// assignments decodes what a leader assigned to a member; nil if it is not the protocol of
// consumers.
func assignments(raw []byte) map[string][]int32 {
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(raw); err != nil {
		return nil
	}
	topics := make(map[string][]int32, len(a.Topics))
	for _, t := range a.Topics {
		topics[t.Topic] = append(topics[t.Topic], t.Partitions...)
	}
	return topics
}

// DeleteGroup deletes a group without members, and its offsets; that is on disk on return.
// Kinds: NotFound, Conflict (it has members), Closed, Storage.
func (s *Server) DeleteGroup(ctx context.Context, name string) error {
	const op = "delete group"
	g, bad := s.groups.find(name)
	switch {
	case bad != errNone:
		return &broker.Error{Kind: broker.Closed, Op: op, Name: name}
	case g == nil:
		return &broker.Error{Kind: broker.NotFound, Op: op, Name: name}
	}
	g.unlock()
	confirm, err := g.delete(ctx)
	return settled(ctx, confirm, operatorError(err, op, name))
}

// settled waits for a change that went well so far.
func settled(ctx context.Context, confirm broker.Confirm, err error) error {
	if err != nil {
		return err
	}
	return confirm.Wait(ctx)
}

// MoveCursors commits a transaction of SaveCursor and DeleteCursor for a group, which is made
// if there is none, while nobody is in it; that is on disk on return. Kinds: Conflict (it has
// members), Closed, Storage.
func (s *Server) MoveCursors(ctx context.Context, name string, tx *broker.Tx) error {
	const op = "move cursors of group"
	if bad := checkName(name); bad != errNone {
		return &broker.Error{Kind: broker.Invalid, Op: op, Name: name}
	}
	for {
		g, bad := s.groups.findOrAdd(name)
		if bad != errNone {
			return &broker.Error{Kind: broker.Closed, Op: op, Name: name}
		}
		g.unlock()
		confirm, err := g.moveCursors(ctx, tx)
		if !errors.Is(err, errGone) {
			return settled(ctx, confirm, operatorError(err, op, name))
		}
	}
}

// errGone says that a group was deleted meanwhile: its name has to be looked up again.
var errGone = errors.New("group is gone")

// moveCursors commits in a group, whose turn it takes: nobody can commit meanwhile. A member
// that joins reads the new cursors.
func (g *group) moveCursors(ctx context.Context, tx *broker.Tx) (broker.Confirm, error) {
	if err := g.claim(ctx); err != nil {
		return broker.Confirm{}, err
	}
	defer g.giveTurn()
	empty := g.state == groupEmpty
	g.unlock()
	if !empty {
		return broker.Confirm{}, refusef(errNonEmptyGroup, "group %s has members", g.name)
	}
	return tx.Commit(ctx)
}

// operatorError turns the refusals of this face into the engine's kinds.
func operatorError(err error, op, name string) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	kind := broker.Conflict
	if r.code == errGroupIDNotFound {
		kind = broker.NotFound
	}
	return &broker.Error{Kind: kind, Op: op, Name: name, Err: err}
}
