package console

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// group is one group from both sides: what is durable, and what its face knows.
// Either may be missing.
type group struct {
	name    string
	durable *broker.Group
	live    LiveGroup
}

// groupNames is every group that has cursors or state, or members now.
func (s *Server) groupNames() map[string]*group {
	all := map[string]*group{}
	for _, g := range s.b.Groups("") {
		name := g.Name().Name
		all[name] = &group{name: name, durable: g}
	}
	for _, live := range s.c.Groups.Groups() {
		if all[live.Name] == nil {
			all[live.Name] = &group{name: live.Name}
		}
		all[live.Name].live = live
	}
	return all
}

func (s *Server) sortedGroups() []*group {
	return slices.SortedFunc(maps.Values(s.groupNames()),
		func(a, b *group) int { return cmp.Compare(a.name, b.name) })
}

func (s *Server) group(name string) (*group, error) {
	all := s.groupNames()
	if g := all[name]; g != nil {
		return g, nil
	}
	hint := ""
	if near := Nearest(name, slices.Collect(maps.Keys(all))); near != "" {
		hint = "did you mean " + near + "?"
	}
	return nil, notFound("group", name, hint)
}

func (s *Server) listGroups(*http.Request) (any, error) {
	doc := Groups{Groups: []Group{}}
	for _, g := range s.sortedGroups() {
		doc.Groups = append(doc.Groups, g.row(s.cursors(g)))
	}
	return doc, nil
}

func (s *Server) showGroup(r *http.Request) (any, error) {
	g, err := s.group(r.PathValue("group"))
	if err != nil {
		return nil, err
	}
	return s.groupDetail(g), nil
}

func (s *Server) groupDetail(g *group) GroupDetail {
	cursors := s.cursors(g)
	members := append([]Member{}, g.live.Members...)
	return GroupDetail{Group: g.row(cursors), MemberList: members, Cursors: cursors}
}

func (g *group) row(cursors []Cursor) Group {
	row := Group{
		Name: g.name, State: cmp.Or(g.live.State, "Empty"),
		Protocol: g.live.Protocol, Members: len(g.live.Members),
	}
	topics := map[string]bool{}
	for _, c := range cursors {
		topics[c.Topic] = true
		row.Lag += c.Lag
		row.LagSeconds = max(row.LagSeconds, c.LagSeconds)
	}
	row.Topics = len(topics)
	return row
}

// deleteGroup removes a group nobody is in, with its cursors.
func (s *Server) deleteGroup(r *http.Request) (any, error) {
	g, err := s.idleGroup(r.PathValue("group"))
	if err != nil {
		return nil, err
	}
	gone := s.groupDetail(g)
	return gone, s.c.Groups.DeleteGroup(r.Context(), g.name)
}

// idleGroup finds a group and refuses one that has members: they would go on
// from their own idea of the cursors and overwrite what is changed here.
func (s *Server) idleGroup(name string) (*group, error) {
	g, err := s.group(name)
	if err != nil {
		return nil, err
	}
	if n := len(g.live.Members); n > 0 {
		return nil, &problem{status: http.StatusConflict, Problem: Problem{
			Code:    "conflict",
			Message: "group " + quote(name) + " has members (" + g.live.Members[0].describe() + ")",
			Hint:    "stop its consumers first",
		}}
	}
	return g, nil
}

func (m Member) describe() string {
	if m.Host == "" {
		return m.Client
	}
	return m.Client + " at " + m.Host
}

// noFace changes groups in the broker where no face serves them.
type noFace struct{ b *broker.Broker }

func (noFace) Groups() []LiveGroup { return nil }

func (f noFace) DeleteGroup(ctx context.Context, name string) error {
	tx := f.b.Begin()
	tx.DeleteGroup("", name)
	return f.MoveCursors(ctx, name, tx)
}

func (f noFace) MoveCursors(ctx context.Context, _ string, tx *broker.Tx) error {
	confirm, err := tx.Commit(ctx)
	if err != nil {
		return err
	}
	return confirm.Wait(ctx)
}
