package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

func (a *app) resetCommand() *cobra.Command {
	var r console.Reset
	cmd := &cobra.Command{
		Use:   "reset GROUP [TOPIC] --to POSITION",
		Short: "Move a group's cursors: shows what would change, --yes does it",
		Long: `Move a group's cursors, in one topic or in all that it reads. Nothing changes
without --yes. The group must have no members then: they would go on from where they
are.

--to takes: start, end, an offset (17), -10 (that many before the end, in each
partition), an age (-5m, -2h, -3d) or a time (2026-01-31T09:00:00Z, "2026-01-31
09:00").`,
		Example: "  tidings reset billing orders --to -1h          # only shows it\n" +
			"  tidings reset billing orders --to -1h --yes\n" +
			"  tidings reset billing --to start --yes",
		Args:              between(1, 2),
		ValidArgsFunction: a.completeGroupThenTopic,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			if r.To == "" {
				return usage("--to says where the cursors go").
					hint("like this", "tidings reset "+args[0]+" --to start")
			}
			if len(args) > 1 {
				r.Topic = args[1]
			}
			return a.reset(ctx, c, args[0], r)
		}),
	}
	fs := cmd.Flags()
	fs.StringVar(&r.To, "to", "", "where the cursors go")
	fs.IntSliceVarP(&r.Partitions, "partition", "p", nil, "only these partitions")
	fs.BoolVar(&r.Apply, "yes", false, "do it")
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions(
		[]string{"start", "end", "-1h", "-10"}, cobra.ShellCompDirectiveNoFileComp))
	a.addTarget(cmd)
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "TOPIC/PARTITION only"
	return cmd
}

func (a *app) reset(ctx context.Context, c client, group string, r console.Reset) error {
	plan, err := c.Reset(ctx, group, r)
	if err != nil {
		return err
	}
	err = render(a, listing[console.Change]{
		columns: changeColumns, rows: plan.Changes, doc: plan,
		name: func(c console.Change) string { return c.Topic + "/" + plain(c.Partition) },
	})
	if plan.Applied {
		a.note("moved %s of group %s", plural(int64(len(plan.Changes)), "cursor"), group)
	} else {
		a.note("nothing was changed: add --yes to do it")
	}
	return err
}

var changeColumns = []column[console.Change]{
	{title: "TOPIC", show: func(c console.Change) string { return c.Topic }},
	{title: "PARTITION", right: true,
		show: func(c console.Change) string { return plain(c.Partition) }},
	{title: "FROM", right: true, show: func(c console.Change) string { return known(c.From) }},
	{title: "TO", right: true, show: func(c console.Change) string { return plain(c.To) }},
	{title: "CHANGE", right: true, show: func(c console.Change) string { return signed(c) },
		raw: rawChange},
	{title: "LAG THEN", right: true, show: func(c console.Change) string { return count(c.Lag) },
		raw: func(c console.Change) string { return plain(c.Lag) }},
}

// rawChange is how far a cursor moves; one that is new moves from nowhere.
func rawChange(c console.Change) string {
	if c.From < 0 {
		return "-"
	}
	return plain(c.To - c.From)
}

func signed(c console.Change) string {
	switch {
	case c.From < 0:
		return "new"
	case c.To >= c.From:
		return "+" + count(c.To-c.From)
	}
	return "-" + count(c.From-c.To)
}
