package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// lagFlags say whose lag, how fine and how often.
type lagFlags struct {
	topic string
	watch bool
	every time.Duration
}

func (a *app) lagCommand() *cobra.Command {
	f := lagFlags{every: 2 * time.Second}
	cmd := &cobra.Command{
		Use:   "lag [GROUP]",
		Short: "How far consumer groups are behind, in records and in time",
		Long: `How far groups are behind, by topic: LAG in records, BEHIND the age of the oldest
record not yet read. With --watch it is measured again and again, and TREND says
which way it goes. For single partitions see: tidings show GROUP`,
		Example: "  tidings lag\n" +
			"  tidings lag billing --watch\n" +
			"  tidings lag --topic orders -o json",
		Args:              between(0, 1),
		ValidArgsFunction: a.completeGroupArg,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			group := ""
			if len(args) > 0 {
				group = args[0]
			}
			if f.watch {
				return a.watchLag(ctx, c, group, f)
			}
			rows, err := c.Lag(ctx, group, f.topic)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				a.note("no group has a cursor there yet")
			}
			return a.writeLag(rows, nil)
		}),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.topic, "topic", "", "only this topic")
	fs.BoolVarP(&f.watch, "watch", "w", false, "measure again and again until Ctrl-C")
	fs.DurationVar(&f.every, "every", f.every, "how often --watch measures")
	_ = cmd.RegisterFlagCompletionFunc("topic", a.completeTopics)
	a.addTarget(cmd)
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "names of the groups only"
	return cmd
}

func (a *app) writeLag(rows []console.Lag, before map[lagKey]int64) error {
	return render(a, listing[console.Lag]{
		columns: a.lagColumnsWithTrend(before), rows: rows, doc: console.Lags{Lag: notNil(rows), Queues: []console.QueueLag{}},
		name: func(l console.Lag) string { return l.Group },
	})
}

// lagKey is what a row of lag is about.
type lagKey struct{ group, topic string }

var lagColumns = []column[console.Lag]{
	{title: "GROUP", show: func(l console.Lag) string { return l.Group }},
	{title: "TOPIC", show: func(l console.Lag) string { return l.Topic }},
	{title: "MEMBERS", right: true, show: func(l console.Lag) string { return plain(l.Members) }},
	{title: "LAG", right: true, show: func(l console.Lag) string { return count(l.Lag) },
		raw: func(l console.Lag) string { return known(l.Lag) }},
	{title: "BEHIND", right: true,
		show: func(l console.Lag) string { return seconds(l.LagSeconds) },
		raw:  func(l console.Lag) string { return rawSeconds(l.LagSeconds) }},
}

func (a *app) lagColumnsWithTrend(before map[lagKey]int64) []column[console.Lag] {
	if before == nil {
		return lagColumns
	}
	trend := func(l console.Lag) string {
		was, known := before[lagKey{l.Group, l.Topic}]
		switch {
		case !known || was == l.Lag:
			return a.term.glyph("→ steady", "steady")
		case was < l.Lag:
			return a.term.glyph("↗ growing", "growing")
		}
		return a.term.glyph("↘ falling", "falling")
	}
	return append(lagColumns[:len(lagColumns):len(lagColumns)],
		column[console.Lag]{title: "TREND", show: trend})
}

// watchLag measures until the context ends. On a terminal each measurement
// takes the place of the one before; piped, each row starts with its time.
func (a *app) watchLag(ctx context.Context, c client, group string, f lagFlags) error {
	if f.every < 100*time.Millisecond {
		return usage("--every: at least 100ms")
	}
	if a.form() == "json" {
		return usage("--watch has no end, so no one document: use -o jsonl")
	}
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	before := map[lagKey]int64{}
	for {
		rows, err := c.Lag(ctx, group, f.topic)
		if err != nil {
			return err
		}
		if err := a.writeLagSample(rows, before, f); err != nil {
			return err
		}
		clear(before)
		for _, r := range rows {
			before[lagKey{r.Group, r.Topic}] = r.Lag
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *app) writeLagSample(rows []console.Lag, before map[lagKey]int64, f lagFlags) error {
	now := a.now()
	switch form := a.form(); {
	case form == "table" && a.term.out.tty && !a.term.dumb:
		fmt.Fprint(a.out, "\x1b[H\x1b[2J") // home, clear
		fallthrough
	case form == "table":
		fmt.Fprintf(a.out, "%s  every %s, Ctrl-C ends\n\n", now.Local().Format("15:04:05"), f.every)
		if len(rows) == 0 {
			fmt.Fprintln(a.out, "no group has a cursor there yet")
		}
		err := a.writeLag(rows, before)
		fmt.Fprintln(a.out)
		return err
	case form == "jsonl":
		for _, r := range rows {
			writeJSONLine(a.jsonOutput(a.out), struct {
				Time time.Time `json:"time"`
				console.Lag
			}{now.UTC().Truncate(time.Millisecond), r})
		}
		return nil
	}
	return render(a, listing[console.Lag]{rows: rows,
		name: func(l console.Lag) string { return l.Group },
		columns: append([]column[console.Lag]{
			{title: "TIME", show: func(console.Lag) string { return rawTime(now) }},
		}, lagColumns...)})
}
