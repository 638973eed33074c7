package kafka

// ListGroups (key 16), DescribeGroups (15), DeleteGroups (42).
//
// Versions: ListGroups 0 to 5, DescribeGroups 0 to 6, DeleteGroups 0 to 2.
//
// Behaviour: lists by state (version 4) and type (5), regardless of case; every group is of
// type "classic". A group that does not exist is described as Dead, from version 6 on with
// GROUP_ID_NOT_FOUND. A group can be deleted while it is empty; its offsets go with it, and are
// gone from the disk when the response is sent.
//
// Differences from Apache Kafka: none that a client sees.

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicType is the type of every group here.
const classicType = "classic"

func (c *conn) listGroups(r *request, q *kmsg.ListGroupsRequest) reply {
	resp := q.ResponseKind().(*kmsg.ListGroupsResponse)
	if !wanted(q.TypesFilter, classicType) {
		return r.answer(resp)
	}
	for _, g := range c.srv.groups.all() {
		out := kmsg.NewListGroupsResponseGroup()
		g.lock()
		out.Group, out.ProtocolType, out.GroupState = g.name, g.kind, g.state.String()
		gone := g.gone
		g.unlock()
		out.GroupType = classicType
		if !gone && wanted(q.StatesFilter, out.GroupState) {
			resp.Groups = append(resp.Groups, out)
		}
	}
	return r.answer(resp)
}

// wanted says whether a filter lets a word through; an empty one lets everything.
func wanted(filter []string, word string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool {
		return strings.EqualFold(f, word)
	})
}

func (c *conn) describeGroups(r *request, q *kmsg.DescribeGroupsRequest) reply {
	resp := q.ResponseKind().(*kmsg.DescribeGroupsResponse)
	once := once[string]{}
	for _, name := range q.Groups {
		if once.first(name) {
			resp.Groups = append(resp.Groups, c.describeGroup(q, name))
		}
	}
	return r.answer(resp)
}

func (c *conn) describeGroup(
	q *kmsg.DescribeGroupsRequest, name string,
) kmsg.DescribeGroupsResponseGroup {
	out := kmsg.NewDescribeGroupsResponseGroup()
	out.Group = name
	g, bad := c.srv.groups.find(name)
	if checked := checkName(name); checked != errNone {
		bad = checked
	}
	if g == nil {
		out.State, out.ErrorCode = "Dead", bad
		if bad == errNone && q.Version >= 6 {
			out.ErrorCode = errGroupIDNotFound
			out.ErrorMessage = text("Group " + name + " not found.")
		}
		return out
	}
	defer g.unlock()
	if q.IncludeAuthorizedOperations {
		out.AuthorizedOperations = groupOperations
	}
	g.describe(&out)
	return out
}

// describe tells what there is to tell. While a group gathers, no protocol is chosen and
// nothing is assigned.
func (g *group) describe(out *kmsg.DescribeGroupsResponseGroup) {
	out.State, out.ProtocolType = g.state.String(), g.kind
	if g.state == groupStable {
		out.Protocol = g.protocol
	}
	for _, m := range g.members {
		one := kmsg.NewDescribeGroupsResponseGroupMember()
		one.MemberID, one.InstanceID = m.id, m.instance
		one.ClientID, one.ClientHost = m.client, m.host
		if g.state == groupStable {
			one.ProtocolMetadata, one.MemberAssignment = m.metadata(g.protocol), m.assigned
		}
		out.Members = append(out.Members, one)
	}
}

func (c *conn) deleteGroups(r *request, q *kmsg.DeleteGroupsRequest) reply {
	resp := q.ResponseKind().(*kmsg.DeleteGroupsResponse)
	var open []pledge
	once := once[string]{}
	for _, name := range q.Groups {
		if once.first(name) {
			out := kmsg.NewDeleteGroupsResponseGroup()
			out.Group = name
			resp.Groups = append(resp.Groups, out)
		}
	}
	for i := range resp.Groups {
		out := &resp.Groups[i]
		p, err := c.deleteGroup(out.Group)
		if out.ErrorCode = codeOf(err); err == nil {
			p.failed = func(bad code) { out.ErrorCode = bad }
			open = append(open, p)
		}
	}
	return r.promise(resp, open)
}

func (c *conn) deleteGroup(name string) (pledge, error) {
	if bad := checkName(name); bad != errNone {
		return pledge{}, refusef(bad, "bad group name")
	}
	g, bad := c.srv.groups.find(name)
	switch {
	case bad != errNone:
		return pledge{}, refusef(bad, "server is being closed")
	case g == nil:
		return pledge{}, refusef(errGroupIDNotFound, "group %s does not exist", name)
	}
	g.unlock()
	confirm, err := g.delete(c.ctx)
	return pledge{confirm: confirm}, err
}
