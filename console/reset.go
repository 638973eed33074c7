package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/tidings-io/tidings/broker"
)

// resetGroup moves a group's cursors, or says what it would move: without
// "apply" nothing changes. A group that does not exist yet may be given its
// first cursors, if a topic is named.
func (s *Server) resetGroup(r *http.Request) (any, error) {
	var doc Reset
	if err := decode(r, &doc); err != nil {
		return nil, err
	}
	name := r.PathValue("group")
	g, err := s.resettable(name, doc)
	if err != nil {
		return nil, err
	}
	plan := ResetPlan{Group: name, Applied: doc.Apply}
	if plan.Changes, err = s.planReset(r.Context(), g, doc); err != nil || !doc.Apply {
		return plan, err
	}
	tx := s.b.Begin()
	for _, c := range plan.Changes {
		t, err := s.topic(c.Topic)
		if err != nil {
			return nil, err
		}
		tx.SaveCursor("", name, t.Partition(c.Partition),
			broker.Cursor{Offset: broker.Offset(c.To), LeaderEpoch: -1, Time: s.c.Now()})
	}
	return plan, s.c.Groups.MoveCursors(r.Context(), name, tx)
}

func (s *Server) resettable(name string, doc Reset) (*group, error) {
	if _, known := s.groupNames()[name]; !known && doc.Topic != "" {
		return &group{name: name}, nil
	}
	if !doc.Apply {
		return s.group(name)
	}
	return s.idleGroup(name)
}

func (s *Server) planReset(ctx context.Context, g *group, doc Reset) ([]Change, error) {
	to, err := ParsePosition(doc.To, s.c.Now())
	if err != nil {
		return nil, invalid("to: %s", err)
	}
	parts, err := s.resetPartitions(g, doc)
	if err != nil {
		return nil, err
	}
	changes := []Change{}
	for _, p := range parts {
		off, err := to.resolve(ctx, p)
		if err != nil {
			return nil, err
		}
		start, end := p.Bounds()
		c := Change{
			Topic: p.Topic().Name().Name, Partition: p.Index(),
			From: -1, To: int64(off), Lag: waiting(off, start, end),
		}
		if cur, ok := g.at(p); ok {
			c.From = int64(cur.Offset)
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func (g *group) at(p *broker.Partition) (broker.Cursor, bool) {
	if g.durable == nil {
		return broker.Cursor{}, false
	}
	return g.durable.Cursor(p.Topic().Name().Name, p.Index())
}

// resetPartitions: of the topic named, or of those where the group has cursors.
func (s *Server) resetPartitions(g *group, doc Reset) ([]*broker.Partition, error) {
	parts, err := s.groupPartitions(g, doc.Topic)
	if err != nil || len(doc.Partitions) == 0 {
		return parts, err
	}
	for _, i := range doc.Partitions {
		if !slices.ContainsFunc(parts, func(p *broker.Partition) bool { return p.Index() == i }) {
			return nil, invalid("there is no partition %d to reset", i)
		}
	}
	return slices.DeleteFunc(parts, func(p *broker.Partition) bool {
		return !slices.Contains(doc.Partitions, p.Index())
	}), nil
}

func (s *Server) groupPartitions(g *group, topic string) ([]*broker.Partition, error) {
	var parts []*broker.Partition
	if topic != "" {
		t, err := s.topic(topic)
		if err != nil {
			return nil, err
		}
		for i := range t.Partitions() {
			parts = append(parts, t.Partition(i))
		}
		return parts, nil
	}
	for t := range cursorsByTopic(s.b, g.durable) {
		for i := range t.Partitions() {
			parts = append(parts, t.Partition(i))
		}
	}
	if len(parts) == 0 {
		return nil, &problem{status: http.StatusConflict, Problem: Problem{
			Code: "conflict", Message: "group " + quote(g.name) + " has no cursors yet",
			Hint: "name the topic to give it some"}}
	}
	slices.SortFunc(parts, func(a, b *broker.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic().Name().Name, b.Topic().Name().Name),
			cmp.Compare(a.Index(), b.Index()))
	})
	return parts, nil
}
