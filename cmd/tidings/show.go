package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

func (a *app) showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one topic, queue, exchange, topic of SNS or consumer group in detail",
		Long: `Show a topic: settings, partitions, the groups that read it. A queue: what it does, its
counts and bindings. An exchange: its bindings. A topic of SNS: its subscriptions, and what
waits for them. Or a group: members and cursors. A name that several have is written
topic/NAME, queue/NAME, exchange/NAME, sns/NAME or group/NAME. Piped, only the rows are
written: partitions of a topic, bindings, subscriptions, cursors of a group.`,
		Example: "  tidings show orders\n  tidings show queue/mail\n  tidings show sns/alerts\n" +
			"  tidings show group/billing -o json",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeNames,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			return a.show(ctx, c, args[0])
		}),
	}
	a.addTarget(cmd)
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "TOPIC/PARTITION, or the other end of each binding, only"
	return cmd
}

func (a *app) show(ctx context.Context, c client, name string) error {
	found, err := resolveName(ctx, c, name)
	if err != nil {
		return err
	}
	switch {
	case found.topic != nil:
		return a.showTopic(*found.topic)
	case found.queue != nil:
		return a.showQueue(ctx, c, *found.queue)
	case found.exchange != nil:
		return a.showExchange(*found.exchange)
	case found.sns != nil:
		return a.showSNS(ctx, c, *found.sns)
	}
	return a.showGroup(*found.group)
}

func (a *app) showTopic(t console.TopicDetail) error {
	if a.form() == "table" && !a.quiet {
		a.topicHead(t)
	}
	err := render(a, listing[console.Partition]{
		columns: partitionColumns, rows: t.PartitionList, doc: t,
		name: func(p console.Partition) string { return fmt.Sprintf("%s/%d", t.Name, p.Partition) },
	})
	if err != nil || a.form() != "table" || a.quiet || len(t.GroupList) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	return render(a, listing[lagRow]{columns: lagColumns, rows: lagRows(lags{Lags: console.Lags{Lag: t.GroupList}})})
}

func (a *app) topicHead(t console.TopicDetail) {
	sep := a.term.glyph(" · ", ", ")
	fmt.Fprintf(a.out, "%s  %s\n", a.term.out.paint(bold, "topic "+t.Name), strings.Join([]string{
		plural(int64(t.Partitions), "partition"), plural(t.Records, "record"), size(t.Bytes)}, sep))
	fmt.Fprintf(a.out, "  kept      %s%s\n", retention(t.Config), appendTime(t.Config, sep))
	fmt.Fprintf(a.out, "  batches   up to %s\n", size(int64(t.Config.BatchBytes)))
	if !t.Created.IsZero() {
		fmt.Fprintf(a.out, "  created   %s\n", stamp(t.Created))
	}
	fmt.Fprintf(a.out, "  id        %s\n\n", t.ID)
}

func retention(c console.TopicConfig) string {
	kept := "for ever"
	if c.RetentionSeconds >= 0 {
		kept = "for " + seconds(float64(c.RetentionSeconds))
	}
	if c.RetentionBytes > 0 {
		kept += ", at most " + size(c.RetentionBytes) + " per partition"
	}
	return kept
}

func appendTime(c console.TopicConfig, sep string) string {
	if c.AppendTime {
		return sep + "records get the broker's time"
	}
	return ""
}

var partitionColumns = []column[console.Partition]{
	{title: "PARTITION", right: true,
		show: func(p console.Partition) string { return plain(p.Partition) }},
	{title: "START", right: true, show: func(p console.Partition) string { return plain(p.Start) }},
	{title: "END", right: true, show: func(p console.Partition) string { return plain(p.End) }},
	{title: "RECORDS", right: true,
		show: func(p console.Partition) string { return count(p.End - p.Start) },
		raw:  func(p console.Partition) string { return plain(p.End - p.Start) }},
	{title: "SIZE", right: true, show: func(p console.Partition) string { return size(p.Bytes) },
		raw: func(p console.Partition) string { return known(p.Bytes) }},
}

func (a *app) showGroup(g console.GroupDetail) error {
	if a.form() == "table" && !a.quiet {
		a.groupHead(g)
	}
	return render(a, listing[console.Cursor]{
		columns: cursorColumns, rows: g.Cursors, doc: g,
		name: func(c console.Cursor) string { return fmt.Sprintf("%s/%d", c.Topic, c.Partition) },
	})
}

func (a *app) groupHead(g console.GroupDetail) {
	sep := a.term.glyph(" · ", ", ")
	fmt.Fprintf(a.out, "%s  %s%s%s%slag %s", a.term.out.paint(bold, "group "+printable(g.Name)),
		g.State, sep, plural(int64(g.Members), "member"), sep, count(g.Lag))
	if g.Lag > 0 {
		fmt.Fprintf(a.out, " (%s)", seconds(g.LagSeconds))
	}
	fmt.Fprintln(a.out)
	for _, m := range g.MemberList {
		fmt.Fprintf(a.out, "  %s  %s  %s\n", printable(m.Client), printable(m.Host), assignment(m))
	}
	fmt.Fprintln(a.out)
}

func assignment(m console.Member) string {
	var parts []string
	for _, t := range m.Assigned {
		parts = append(parts, fmt.Sprintf("%s %v", t.Topic, t.Partitions))
	}
	if len(parts) == 0 {
		return "nothing assigned"
	}
	return strings.Join(parts, ", ")
}

var cursorColumns = []column[console.Cursor]{
	{title: "TOPIC", show: func(c console.Cursor) string { return c.Topic }},
	{title: "PARTITION", right: true,
		show: func(c console.Cursor) string { return plain(c.Partition) }},
	{title: "CURSOR", right: true, show: func(c console.Cursor) string { return known(c.Offset) }},
	{title: "END", right: true, show: func(c console.Cursor) string { return plain(c.End) }},
	{title: "LAG", right: true, show: func(c console.Cursor) string { return count(c.Lag) },
		raw: func(c console.Cursor) string { return known(c.Lag) }},
	{title: "BEHIND", right: true,
		show: func(c console.Cursor) string { return seconds(c.LagSeconds) },
		raw:  func(c console.Cursor) string { return rawSeconds(c.LagSeconds) }},
	{title: "COMMITTED", show: func(c console.Cursor) string { return stamp(c.Committed) },
		raw: func(c console.Cursor) string { return rawTime(c.Committed) }},
	{title: "MEMBER", show: func(c console.Cursor) string { return c.Member }},
}
