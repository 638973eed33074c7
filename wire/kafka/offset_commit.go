package kafka

// OffsetCommit (key 8), OffsetDelete (47).
//
// Versions: OffsetCommit 2 to 10, OffsetDelete 0.
//
// Behaviour: members commit with their generation, which counts as a heartbeat; consumers that
// assign their own partitions commit without one while the group has no members, which makes
// the group if it does not exist. The response is sent when the offsets are on disk. Offsets go
// when their topic is deleted, and expire Config.OffsetRetention after the group became empty
// (KIP-211). OffsetDelete spares topics that the group is reading: GROUP_SUBSCRIBED_TO_TOPIC.
//
// Differences from Apache Kafka: retention_time (versions 2 to 4) is not looked at. A group id
// has 1 to 255 bytes. More than 64 KiB of offsets are committed in parts.

import (
	"errors"
	"time"

	"github.com/tidings-io/tidings/broker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *conn) offsetCommit(r *request, q *kmsg.OffsetCommitRequest) reply {
	resp := q.ResponseKind().(*kmsg.OffsetCommitResponse)
	p := committing{conn: c, query: q, resp: resp, changes: c.srv.groups.changeCursors(q.Group)}
	p.resolve()
	if p.changes.empty() {
		return r.answer(resp)
	}
	open, err := p.commit()
	if err != nil {
		p.refuse(commitCode(err))
		return r.answer(resp)
	}
	answer := r.promise(resp, open)
	answer.heavy += partWeight * p.parts
	return answer
}

// committing is one request to commit offsets being handled.
type committing struct {
	conn    *conn
	query   *kmsg.OffsetCommitRequest
	resp    *kmsg.OffsetCommitResponse
	changes *cursorChanges
	parts   int
}

// resolve finds the partitions, and notes the offsets of those that exist.
func (p *committing) resolve() {
	p.resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(p.query.Topics))
	for i := range p.query.Topics {
		in, out := &p.query.Topics[i], &p.resp.Topics[i]
		out.Topic, out.TopicID = in.Topic, in.TopicID
		t, missing := p.topic(in)
		out.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(in.Partitions))
		for j := range in.Partitions {
			res := &out.Partitions[j]
			res.Partition, res.ErrorCode = in.Partitions[j].Partition, missing
			if missing == errNone {
				res.ErrorCode = p.partition(t, &in.Partitions[j])
			}
			p.parts++
		}
	}
}

func (p *committing) topic(in *kmsg.OffsetCommitRequestTopic) (*broker.Topic, code) {
	if p.query.Version >= 10 {
		t, err := p.conn.srv.topicByID(in.TopicID)
		if err != nil {
			return nil, errUnknownTopicID
		}
		return t, errNone
	}
	t, err := p.conn.srv.broker.Topic(p.conn.srv.config.Namespace, in.Topic)
	return t, codeOf(err)
}

func (p *committing) partition(
	t *broker.Topic, in *kmsg.OffsetCommitRequestTopicPartition,
) code {
	part := t.Partition(int(in.Partition))
	switch {
	case part == nil:
		return errUnknownTopicOrPartition
	case len(name(in.Metadata)) > p.conn.srv.broker.Limits().CursorMetadata:
		return errOffsetMetadataTooLarge
	case in.Offset < 0:
		return errInvalidRequest
	}
	p.changes.save(part, broker.Cursor{
		Offset: broker.Offset(in.Offset), LeaderEpoch: in.LeaderEpoch,
		Metadata: name(in.Metadata), Time: time.Now(),
	})
	return errNone
}

// commit checks that the sender may commit, and does it.
func (p *committing) commit() ([]pledge, error) {
	for {
		g, err := p.group()
		if err != nil {
			return nil, err
		}
		open, err := p.commitIn(g)
		if !errors.Is(err, errGone) {
			return open, err
		}
	}
}

// commitIn commits in a group, whose turn it takes.
func (p *committing) commitIn(g *group) ([]pledge, error) {
	if err := g.claim(p.conn.ctx); err != nil {
		return nil, err
	}
	defer g.giveTurn()
	bad := g.mayCommit(p.query)
	g.unlock()
	if bad != errNone {
		return nil, refusef(bad, "commit refused")
	}
	return p.changes.commit(p.conn.ctx, p.refuse)
}

// group finds the group, not locked. Whoever commits without a generation may make it.
func (p *committing) group() (*group, error) {
	if bad := checkName(p.query.Group); bad != errNone {
		return nil, refusef(bad, "bad group name")
	}
	find := p.conn.srv.groups.findOrAdd
	if p.query.Generation >= 0 {
		find = p.conn.srv.groups.find
	}
	g, bad := find(p.query.Group)
	switch {
	case bad != errNone:
		return nil, refusef(bad, "no group")
	case g == nil && p.query.Version >= 9:
		return nil, refusef(errGroupIDNotFound, "no group")
	case g == nil:
		return nil, refusef(errIllegalGeneration, "no group")
	}
	g.unlock()
	return g, nil
}

// refuse sets the code of every partition that had none.
func (p *committing) refuse(c code) {
	for i := range p.resp.Topics {
		parts := p.resp.Topics[i].Partitions
		for j := range parts {
			if parts[j].ErrorCode == errNone {
				parts[j].ErrorCode = c
			}
		}
	}
}

// commitCode is codeOf for the engine's refusal to write for a group.
func commitCode(err error) code {
	switch broker.KindOf(err) {
	case broker.Closed, broker.Storage:
		return errCoordinatorNotAvailable
	default:
		return codeOf(err)
	}
}

func (c *conn) offsetDelete(r *request, q *kmsg.OffsetDeleteRequest) reply {
	resp := q.ResponseKind().(*kmsg.OffsetDeleteResponse)
	g, bad := c.groupToEdit(q.Group)
	if bad != errNone {
		resp.ErrorCode = bad
		return r.answer(resp)
	}
	open, err := c.deleteOffsets(g, q, resp)
	switch {
	case errors.Is(err, errGone):
		return c.offsetDelete(r, q) // its name may be another group's now
	case c.ctx.Err() != nil:
		return hangUp{c.ctx.Err()}
	case err != nil:
		resp.ErrorCode, resp.Topics = commitCode(err), nil
		return r.answer(resp)
	}
	return r.promise(resp, open)
}

// groupToEdit finds a group, not locked.
func (c *conn) groupToEdit(name string) (*group, code) {
	if bad := checkName(name); bad != errNone {
		return nil, bad
	}
	g, bad := c.srv.groups.find(name)
	if g == nil {
		if bad == errNone {
			bad = errGroupIDNotFound
		}
		return nil, bad
	}
	g.unlock()
	return g, errNone
}

// deleteOffsets deletes what may be deleted in a group, whose turn it takes: one that is empty,
// or of consumers, whose subscriptions are known.
func (c *conn) deleteOffsets(
	g *group, q *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse,
) ([]pledge, error) {
	if err := g.claim(c.ctx); err != nil {
		return nil, err
	}
	defer g.giveTurn()
	if g.state != groupEmpty && g.kind != consumerKind {
		g.unlock()
		return nil, refusef(errNonEmptyGroup, "group %s has members", g.name)
	}
	changes := c.planOffsetDelete(g, q, resp)
	g.unlock()
	return changes.commit(c.ctx, func(bad code) { resp.ErrorCode, resp.Topics = bad, nil })
}

// planOffsetDelete says what may be deleted, and answers every partition. The group is locked.
func (c *conn) planOffsetDelete(
	g *group, q *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse,
) *cursorChanges {
	changes := c.srv.groups.changeCursors(g.name)
	for i := range q.Topics {
		in := &q.Topics[i]
		t, err := c.srv.broker.Topic(c.srv.config.Namespace, in.Topic)
		read := g.state != groupEmpty && g.consumes(in.Topic)
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = in.Topic
		for _, p := range in.Partitions {
			one := kmsg.NewOffsetDeleteResponseTopicPartition()
			one.Partition = p.Partition
			switch {
			case err != nil:
				one.ErrorCode = codeOf(err)
			case t.Partition(int(p.Partition)) == nil:
				one.ErrorCode = errUnknownTopicOrPartition
			case read:
				one.ErrorCode = errGroupSubscribed
			default:
				changes.delete(in.Topic, int(p.Partition))
			}
			out.Partitions = append(out.Partitions, one)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return changes
}
