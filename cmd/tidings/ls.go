package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

func (a *app) lsCommand() *cobra.Command {
	lists := map[string]func(context.Context, client) error{
		"topics": a.lsTopics, "queues": a.lsQueues, "exchanges": a.lsExchanges, "sns": a.lsSNS,
		"groups": a.lsGroups,
	}
	words := []string{"topics", "queues", "exchanges", "sns", "groups"}
	cmd := &cobra.Command{
		Use:   "ls [topics|queues|exchanges|sns|groups]",
		Short: "List topics, queues, exchanges, topics of SNS and consumer groups",
		Long: `List everything there is, or one kind with its own columns. READERS are groups that read
a topic, consumers of a queue, bindings that lead from an exchange, subscriptions of a topic
of SNS (sns), members of a group. WAITING are records: those that the group furthest behind has not read of a topic, those
that are ready in a queue, the lag of a group. Exchanges that are always there are left
out until something is bound to them: tidings ls exchanges.`,
		Example: "  tidings ls\n" +
			"  tidings ls queues\n" +
			"  tidings ls groups -q\n" +
			"  tidings ls --kafka broker:9092",
		Args:              oneOf(words...),
		ValidArgsFunction: cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp),
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			if len(args) > 0 {
				return lists[args[0]](ctx, c)
			}
			return a.lsAll(ctx, c)
		}),
	}
	a.addTarget(cmd)
	a.addOutput(cmd)
	return cmd
}

const noTopics = "no topics yet. Make one:  tidings create orders:3   or just   tidings pub orders 'hello'"

func (a *app) lsTopics(ctx context.Context, c client) error {
	rows, err := c.Topics(ctx)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		a.note(noTopics)
	}
	return render(a, listing[console.Topic]{
		columns: topicColumns, rows: rows, doc: console.Topics{Topics: notNil(rows)},
		name: func(t console.Topic) string { return t.Name },
	})
}

var topicColumns = []column[console.Topic]{
	{title: "NAME", show: func(t console.Topic) string { return t.Name }},
	{title: "PARTITIONS", right: true,
		show: func(t console.Topic) string { return plain(t.Partitions) }},
	{title: "RECORDS", right: true, show: func(t console.Topic) string { return count(t.Records) },
		raw: func(t console.Topic) string { return plain(t.Records) }},
	{title: "SIZE", right: true, show: func(t console.Topic) string { return size(t.Bytes) },
		raw: func(t console.Topic) string { return known(t.Bytes) }},
	{title: "GROUPS", right: true,
		show: func(t console.Topic) string { return count(int64(t.Groups)) },
		raw:  func(t console.Topic) string { return known(int64(t.Groups)) }},
	{title: "LAG", right: true, show: func(t console.Topic) string { return count(worstLag(t)) },
		raw: func(t console.Topic) string { return known(worstLag(t)) }},
}

// worstLag is -1 where no group reads the topic.
func worstLag(t console.Topic) int64 {
	if t.Groups <= 0 {
		return -1
	}
	return t.Lag
}

func (a *app) lsGroups(ctx context.Context, c client) error {
	rows, err := c.Groups(ctx)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		a.note("no groups yet. Read as one:  tidings sub orders --group billing")
	}
	return render(a, listing[console.Group]{
		columns: groupColumns, rows: rows, doc: console.Groups{Groups: notNil(rows)},
		name: func(g console.Group) string { return g.Name },
	})
}

var groupColumns = []column[console.Group]{
	{title: "NAME", show: func(g console.Group) string { return g.Name }},
	{title: "STATE", show: func(g console.Group) string { return g.State }},
	{title: "MEMBERS", right: true, show: func(g console.Group) string { return plain(g.Members) }},
	{title: "TOPICS", right: true, show: func(g console.Group) string { return plain(g.Topics) }},
	{title: "LAG", right: true, show: func(g console.Group) string { return count(g.Lag) },
		raw: func(g console.Group) string { return known(g.Lag) }},
	{title: "BEHIND", right: true,
		show: func(g console.Group) string { return seconds(g.LagSeconds) },
		raw:  func(g console.Group) string { return rawSeconds(g.LagSeconds) }},
}

// with wraps a command that speaks to a server.
func (a *app) with(
	run func(ctx context.Context, c client, args []string) error,
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer c.Close()
		return run(cmd.Context(), c, args)
	}
}

// oneOf takes no argument, or one of the words.
func oneOf(words ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		for _, w := range words {
			if len(args) == 1 && args[0] == w {
				return nil
			}
		}
		return usage(quote(args[len(args)-1])+" is nothing to "+cmd.Name()).
			hint("usage", "tidings "+cmd.Use)
	}
}

// between takes from min to max arguments; max < 0: any number.
func between(min, max int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < min:
			missing := strings.Trim(strings.Fields(cmd.Use)[1+len(args)], ".")
			return usage(missing+" is missing").
				hint("usage", usageLine(cmd)).hint("help", cmd.CommandPath()+" --help")
		case max >= 0 && len(args) > max:
			return usage("one argument too many: "+quote(args[max])).
				hint("usage", usageLine(cmd)).hint("help", cmd.CommandPath()+" --help")
		}
		return nil
	}
}

// usageLine is a command's first line of help, with the commands that it is below.
func usageLine(cmd *cobra.Command) string { return cmd.Parent().CommandPath() + " " + cmd.Use }

// notNil makes an empty list an empty JSON array.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
