package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidings-io/tidings/console"
)

func (c *kafkaClient) Groups(ctx context.Context) ([]console.Group, error) {
	lags, err := c.groupLags(ctx)
	if err != nil {
		return nil, err
	}
	bounds, err := c.committedBounds(ctx, lags)
	if err != nil {
		return nil, err
	}
	var rows []console.Group
	for _, l := range lags.Sorted() {
		rows = append(rows, groupRow(l, cursorRows(l, bounds)))
	}
	return rows, nil
}

// groupLags asks for members and cursors of groups; none named: all.
func (c *kafkaClient) groupLags(
	ctx context.Context, groups ...string,
) (kadm.DescribedGroupLags, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	listed, err := c.adm.ListGroups(ctx)
	if err != nil {
		return nil, c.fail(err, "", "")
	}
	for _, g := range groups {
		if _, ok := listed[g]; !ok {
			return nil, notFoundNear("group", g, listed.Groups())
		}
	}
	if len(groups) == 0 {
		groups = listed.Groups()
	}
	if len(groups) == 0 {
		return nil, nil
	}
	lags, err := c.adm.Lag(ctx, groups...)
	if err != nil {
		return nil, c.fail(err, "group", groups[0])
	}
	return lags, nil
}

// committedBounds lists the partitions of every topic in which one of the
// groups has committed.
func (c *kafkaClient) committedBounds(
	ctx context.Context, lags kadm.DescribedGroupLags,
) (map[string][]console.Partition, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	var topics []string
	for _, l := range lags {
		topics = append(topics, committedTopics(l)...)
	}
	if len(topics) == 0 {
		return nil, nil
	}
	slices.Sort(topics)
	return c.bounds(ctx, slices.Compact(topics)...)
}

// committedTopics are the topics in which a group has a commit, sorted.
func committedTopics(l kadm.DescribedGroupLag) []string {
	var topics []string
	for _, p := range l.Lag.Sorted() {
		if p.Commit.At >= 0 {
			topics = append(topics, p.Topic)
		}
	}
	return slices.Compact(topics)
}

// cursorRows are the partitions of each topic that a group has committed in,
// without ages. One without a commit is at offset -1: its records all wait.
func cursorRows(
	l kadm.DescribedGroupLag, bounds map[string][]console.Partition,
) []console.Cursor {
	rows := []console.Cursor{}
	for _, topic := range committedTopics(l) {
		for _, p := range bounds[topic] {
			row := console.Cursor{
				Topic: topic, Partition: p.Partition, Offset: -1, Start: p.Start, End: p.End}
			if at, ok := l.Lag.Lookup(topic, int32(p.Partition)); ok {
				row.Offset, row.Metadata = at.Commit.At, at.Commit.Metadata
				if at.Member != nil {
					row.Member = at.Member.MemberID
				}
			}
			if row.Lag = max(0, p.End-max(row.Offset, p.Start)); row.Lag > 0 {
				row.LagSeconds = -1
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func groupRow(l kadm.DescribedGroupLag, cursors []console.Cursor) console.Group {
	row := console.Group{
		Name: l.Group, State: l.State, Protocol: l.ProtocolType, Members: len(l.Members),
	}
	topics := map[string]bool{}
	for _, c := range cursors {
		topics[c.Topic] = true
		row.Lag += c.Lag
		row.LagSeconds = worse(row.LagSeconds, c.LagSeconds)
	}
	row.Topics = len(topics)
	return row
}

// worse is the greater age; one that is not known hides the others.
func worse(a, b float64) float64 {
	if a < 0 || b < 0 {
		return -1
	}
	return max(a, b)
}

func (c *kafkaClient) Group(ctx context.Context, name string) (doc console.GroupDetail, err error) {
	lags, err := c.groupLags(ctx, name)
	if err != nil {
		return doc, err
	}
	l := lags[name]
	if l.DescribeErr != nil {
		return doc, c.fail(l.DescribeErr, "group", name)
	}
	bounds, err := c.committedBounds(ctx, lags)
	if err != nil {
		return doc, err
	}
	doc.Cursors = cursorRows(l, bounds)
	c.addAges(ctx, doc.Cursors)
	doc.Group = groupRow(l, doc.Cursors)
	doc.MemberList = []console.Member{}
	for _, m := range l.Members {
		doc.MemberList = append(doc.MemberList, memberRow(m))
	}
	return doc, nil
}

func memberRow(m kadm.DescribedGroupMember) console.Member {
	row := console.Member{
		ID: m.MemberID, Client: m.ClientID, Host: m.ClientHost, Assigned: []console.Assigned{}}
	if consumer, ok := m.Assigned.AsConsumer(); ok {
		for _, t := range consumer.Topics {
			a := console.Assigned{Topic: t.Topic, Partitions: []int{}}
			for _, p := range t.Partitions {
				a.Partitions = append(a.Partitions, int(p))
			}
			row.Assigned = append(row.Assigned, a)
		}
	}
	return row
}

func (c *kafkaClient) DeleteGroup(ctx context.Context, name string) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	_, err := c.adm.DeleteGroup(ctx, name)
	return c.fail(err, "group", name)
}

func (c *kafkaClient) Lag(ctx context.Context, group, topic string) (console.Lags, error) {
	rows, err := c.lagRows(ctx, group, topic)
	return console.Lags{Lag: rows}, err
}

func (c *kafkaClient) lagRows(ctx context.Context, group, topic string) ([]console.Lag, error) {
	var named []string
	if group != "" {
		named = []string{group}
	}
	lags, err := c.groupLags(ctx, named...)
	if err != nil {
		return nil, err
	}
	bounds, err := c.committedBounds(ctx, lags)
	if err != nil {
		return nil, err
	}
	rows := []console.Lag{}
	for _, l := range lags.Sorted() {
		cursors := slices.DeleteFunc(cursorRows(l, bounds), func(c console.Cursor) bool {
			return topic != "" && c.Topic != topic
		})
		c.addAges(ctx, cursors)
		rows = append(rows, sumByTopic(l.Group, len(l.Members), cursors)...)
	}
	return rows, nil
}

func sumByTopic(group string, members int, cursors []console.Cursor) []console.Lag {
	var rows []console.Lag
	for _, c := range cursors {
		if len(rows) == 0 || rows[len(rows)-1].Topic != c.Topic {
			rows = append(rows, console.Lag{Group: group, Topic: c.Topic, Members: members})
		}
		row := &rows[len(rows)-1]
		if c.Offset >= 0 {
			row.Partitions++
		}
		row.Lag += c.Lag
		row.LagSeconds = worse(row.LagSeconds, c.LagSeconds)
	}
	return rows
}

// maxAges bounds how many records are read to find out how old they are; with
// more lagging partitions than that the age stays unknown.
const maxAges = 256

// addAges reads the record at each lagging cursor, one per partition, and notes
// how old it is. What does not come within a few seconds stays unknown.
func (c *kafkaClient) addAges(ctx context.Context, cursors []console.Cursor) {
	at := map[string]map[int32]kgo.Offset{}
	waiting := map[console.Place]*console.Cursor{}
	for i := range cursors {
		cur := &cursors[i]
		if cur.Lag == 0 || len(waiting) == maxAges {
			continue
		}
		if at[cur.Topic] == nil {
			at[cur.Topic] = map[int32]kgo.Offset{}
		}
		off := max(cur.Offset, cur.Start)
		at[cur.Topic][int32(cur.Partition)] = kgo.NewOffset().At(off)
		waiting[console.Place{Topic: cur.Topic, Partition: cur.Partition}] = cur
	}
	if len(waiting) == 0 {
		return
	}
	cl, err := c.open(kgo.ConsumePartitions(at), kgo.FetchMaxPartitionBytes(1))
	if err != nil {
		return
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for len(waiting) > 0 && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			key := console.Place{Topic: r.Topic, Partition: int(r.Partition)}
			if cur := waiting[key]; cur != nil {
				cur.LagSeconds = max(0, c.now().Sub(r.Timestamp).Seconds())
				delete(waiting, key)
			}
		})
	}
}

// Reset plans with the offsets as they are now, and commits if asked to. Kafka
// itself refuses the commit while the group has members.
func (c *kafkaClient) Reset(
	ctx context.Context, group string, r console.Reset,
) (plan console.ResetPlan, err error) {
	plan = console.ResetPlan{Group: group, Applied: r.Apply, Changes: []console.Change{}}
	to, err := console.ParsePosition(r.To, c.now())
	if err != nil {
		return plan, usage(err.Error())
	}
	current, err := c.cursorsToReset(ctx, group, r.Topic)
	if err != nil {
		return plan, err
	}
	for _, i := range r.Partitions {
		if !slices.ContainsFunc(current, func(c console.Cursor) bool { return c.Partition == i }) {
			return plan, invalid("there is no partition %d to reset", i)
		}
	}
	for _, cur := range current {
		if len(r.Partitions) > 0 && !slices.Contains(r.Partitions, cur.Partition) {
			continue
		}
		off, err := c.resolve(ctx, to, cur)
		if err != nil {
			return plan, err
		}
		plan.Changes = append(plan.Changes, console.Change{
			Topic: cur.Topic, Partition: cur.Partition,
			From: cur.Offset, To: off, Lag: cur.End - max(off, cur.Start)})
	}
	if len(plan.Changes) == 0 {
		return plan, conflict("group %q has no cursors there", group).
			hint("give it some", "tidings reset "+group+" TOPIC --to start")
	}
	if r.Apply {
		err = c.commitChanges(ctx, group, plan.Changes)
	}
	return plan, err
}

// cursorsToReset are the group's cursors, in one topic or in all in which it has
// one. Partitions without a cursor are there too, at offset -1.
func (c *kafkaClient) cursorsToReset(
	ctx context.Context, group, topic string,
) ([]console.Cursor, error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	commits, err := c.adm.FetchOffsets(ctx, group)
	if err != nil && !(topic != "" && kerr.IsRetriable(err)) {
		return nil, c.fail(err, "group", group)
	}
	topics := []string{topic}
	if topic == "" {
		if topics = commits.Partitions().Topics(); len(topics) == 0 {
			return nil, notFound("group with cursors", group)
		}
	}
	bounds, err := c.bounds(ctx, topics...)
	if err != nil {
		return nil, err
	}
	if topic != "" && len(bounds[topic]) == 0 {
		return nil, notFound("topic", topic)
	}
	var rows []console.Cursor
	slices.Sort(topics)
	for _, t := range topics {
		for _, p := range bounds[t] {
			row := console.Cursor{
				Topic: t, Partition: p.Partition, Offset: -1, Start: p.Start, End: p.End}
			if o, ok := commits.Lookup(t, int32(p.Partition)); ok {
				row.Offset = o.At
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// resolve finds a position's offset in one partition.
func (c *kafkaClient) resolve(
	ctx context.Context, to console.Position, cur console.Cursor,
) (int64, error) {
	switch to.Kind {
	case console.FromEnd:
		return cur.End, nil
	case console.BeforeEnd:
		return max(cur.Start, cur.End-to.Offset), nil
	case console.FromOffset:
		if to.Offset < cur.Start || to.Offset > cur.End {
			return 0, usage(fmt.Sprintf("%s/%d has no offset %d: it holds %d up to %d",
				cur.Topic, cur.Partition, to.Offset, cur.Start, cur.End))
		}
		return to.Offset, nil
	case console.FromTime:
		listed, err := c.adm.ListOffsetsAfterMilli(ctx, to.Time.UnixMilli(), cur.Topic)
		if err != nil {
			return 0, c.fail(err, "topic", cur.Topic)
		}
		if o, ok := listed.Lookup(cur.Topic, int32(cur.Partition)); ok && o.Offset >= 0 {
			return o.Offset, o.Err
		}
		return cur.End, nil
	}
	return cur.Start, nil
}

func (c *kafkaClient) commitChanges(
	ctx context.Context, group string, changes []console.Change,
) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	lags, err := c.adm.DescribeGroups(ctx, group)
	if err == nil && len(lags[group].Members) > 0 {
		return conflict("group %q has members", group).hint("first", "stop its consumers")
	}
	offsets := kadm.Offsets{}
	for _, ch := range changes {
		offsets.AddOffset(ch.Topic, int32(ch.Partition), ch.To, -1)
	}
	return c.fail(c.adm.CommitAllOffsets(ctx, group, offsets), "group", group)
}
