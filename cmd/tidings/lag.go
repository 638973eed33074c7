package main

import (
	"context"
	"encoding/json"
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
		Use:   "lag [GROUP|QUEUE|sns/NAME]",
		Short: "How far consumer groups are behind, and what waits in queues",
		Long: `How far groups are behind, by topic: LAG in records, BEHIND the age of the oldest
record not yet read. And how much waits in queues, which have no GROUP: MEMBERS are their
consumers, LAG the records that are ready. Of a topic of SNS (sns/NAME): what waits for its
subscriptions. With --watch it is measured again and again, and TREND says which way it goes.
For single partitions see: tidings show GROUP`,
		Example: "  tidings lag\n" +
			"  tidings lag queue/mail\n" +
			"  tidings lag sns/alerts\n" +
			"  tidings lag billing --watch\n" +
			"  tidings lag --topic orders -o json",
		Args:              between(0, 1),
		ValidArgsFunction: a.completeLag,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			group := ""
			if len(args) > 0 {
				group = args[0]
			}
			if f.watch {
				return a.watchLag(ctx, c, group, f)
			}
			doc, err := lagOf(ctx, c, group, f.topic)
			if err != nil {
				return err
			}
			if len(lagRows(doc)) == 0 {
				a.note("no group has a cursor there yet")
			}
			return a.writeLag(doc, nil)
		}),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.topic, "topic", "", "only this topic")
	fs.BoolVarP(&f.watch, "watch", "w", false, "measure again and again until Ctrl-C")
	fs.DurationVar(&f.every, "every", f.every, "how often --watch measures")
	_ = cmd.RegisterFlagCompletionFunc("topic", a.completeTopics)
	a.addTarget(cmd)
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "names of the groups and queues only"
	return cmd
}

// lagOf measures all, or what has the name: a group if there is one, else a queue, else a topic of SNS.
func lagOf(ctx context.Context, c client, name, topic string) (all lags, err error) {
	all.Lags, err = measureLag(ctx, c, name, topic)
	if api, none := queuesOf(c); none == nil {
		var queues []string
		for _, q := range all.Queues {
			queues = append(queues, q.Queue)
		}
		all.outboxes = api.outboxes(ctx, queues)
	}
	return all, err
}

// lags is the document of the API, and what queues of SNS's own wait for, by their names.
type lags struct {
	console.Lags
	outboxes map[string]string
}

func measureLag(ctx context.Context, c client, name, topic string) (console.Lags, error) {
	kind, rest := splitKind(name)
	api, none := queuesOf(c)
	switch {
	case isOfQueues(kind) && none != nil:
		return console.Lags{}, none
	case isOfQueues(kind) && topic != "":
		return console.Lags{}, usage("--topic: a " + kindTitle(kind) + " reads no topic")
	case kind == "queue":
		return api.QueueLag(ctx, rest)
	case kind == "sns":
		return api.SNSLag(ctx, rest)
	case kind == "group":
		return c.Lag(ctx, rest, topic)
	}
	doc, err := c.Lag(ctx, name, topic)
	if name == "" || none != nil || topic != "" || !isNotFound(err) {
		return doc, err
	}
	if doc, ofQueue := api.QueueLag(ctx, name); ofQueue == nil {
		return doc, nil
	}
	if api.isSNS(ctx, name) {
		return api.SNSLag(ctx, name)
	}
	return doc, err
}

// SNSLag measures the queues of the subscriptions of a topic of SNS. Those that wait for an endpoint go by its
// name.
func (c *apiClient) SNSLag(ctx context.Context, topic string) (doc console.Lags, err error) {
	if _, err := c.SNSTopic(ctx, topic); err != nil {
		return doc, err
	}
	all, err := c.Subscriptions(ctx, topic)
	for _, s := range all {
		if s.Queue == "" || s.Ready < 0 {
			continue
		}
		one, err := c.QueueLag(ctx, s.Queue)
		if isNotFound(err) {
			continue // deleted meanwhile
		}
		if err != nil {
			return doc, err
		}
		doc.Queues = append(doc.Queues, one.Queues...)
	}
	return doc, err
}

// lagRow is a row about a group, or about a queue.
type lagRow struct {
	console.Lag
	queue *console.QueueLag
}

// MarshalJSON writes the API's document of the one or the other.
func (r lagRow) MarshalJSON() ([]byte, error) {
	if r.queue != nil {
		return json.Marshal(r.queue)
	}
	return json.Marshal(r.Lag)
}

func lagRows(doc lags) (rows []lagRow) {
	for _, l := range doc.Lag {
		rows = append(rows, lagRow{Lag: l})
	}
	for _, q := range doc.Queues {
		l := console.Lag{Topic: "queue/" + q.Queue, Members: q.Subscriptions, Lag: q.Ready,
			LagSeconds: q.OldestSeconds}
		if waits := doc.outboxes[q.Queue]; waits != "" {
			l.Topic = waits
			l.Lag, l.LagSeconds = outboxWaits(q.Ready, q.Leased, q.OldestSeconds)
		}
		rows = append(rows, lagRow{queue: &q, Lag: l})
	}
	return rows
}

func (r lagRow) name() string {
	if r.queue != nil {
		return "queue/" + r.queue.Queue
	}
	return r.Group
}

func (a *app) writeLag(doc lags, before map[lagKey]int64) error {
	return render(a, listing[lagRow]{
		columns: a.lagColumnsWithTrend(before), rows: lagRows(doc),
		doc: console.Lags{Lag: notNil(doc.Lag), Queues: notNil(doc.Queues)}, name: lagRow.name,
	})
}

// lagKey is what a row of lag is about.
type lagKey struct{ group, topic string }

var lagColumns = []column[lagRow]{
	{title: "GROUP", show: func(l lagRow) string {
		if l.queue != nil {
			return "-"
		}
		return l.Group
	}},
	{title: "READS", show: func(l lagRow) string { return l.Topic }},
	{title: "MEMBERS", right: true, show: func(l lagRow) string { return plain(l.Members) }},
	{title: "LAG", right: true, show: func(l lagRow) string { return count(l.Lag.Lag) },
		raw: func(l lagRow) string { return known(l.Lag.Lag) }},
	{title: "BEHIND", right: true,
		show: func(l lagRow) string { return seconds(l.LagSeconds) },
		raw:  func(l lagRow) string { return rawSeconds(l.LagSeconds) }},
}

func (a *app) lagColumnsWithTrend(before map[lagKey]int64) []column[lagRow] {
	if before == nil {
		return lagColumns
	}
	trend := func(l lagRow) string {
		was, known := before[lagKey{l.Group, l.Topic}]
		switch {
		case !known || was == l.Lag.Lag:
			return a.term.glyph("→ steady", "steady")
		case was < l.Lag.Lag:
			return a.term.glyph("↗ growing", "growing")
		}
		return a.term.glyph("↘ falling", "falling")
	}
	return append(lagColumns[:len(lagColumns):len(lagColumns)],
		column[lagRow]{title: "TREND", show: trend})
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
		doc, err := lagOf(ctx, c, group, f.topic)
		if err != nil {
			return err
		}
		if err := a.writeLagSample(doc, before, f); err != nil {
			return err
		}
		clear(before)
		for _, r := range lagRows(doc) {
			before[lagKey{r.Group, r.Topic}] = r.Lag.Lag
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *app) writeLagSample(doc lags, before map[lagKey]int64, f lagFlags) error {
	now, rows := a.now(), lagRows(doc)
	switch form := a.form(); {
	case form == "table" && a.term.out.tty && !a.term.dumb:
		fmt.Fprint(a.out, "\x1b[H\x1b[2J") // home, clear
		fallthrough
	case form == "table":
		fmt.Fprintf(a.out, "%s  every %s, Ctrl-C ends\n\n", now.Local().Format("15:04:05"), f.every)
		if len(rows) == 0 {
			fmt.Fprintln(a.out, "no group has a cursor there yet")
		}
		err := a.writeLag(doc, before)
		fmt.Fprintln(a.out)
		return err
	case form == "jsonl":
		at := now.UTC().Truncate(time.Millisecond)
		for _, r := range rows {
			writeJSONLine(a.jsonOutput(a.out), r.at(at))
		}
		return nil
	}
	return render(a, listing[lagRow]{rows: rows, name: lagRow.name,
		columns: append([]column[lagRow]{
			{title: "TIME", show: func(lagRow) string { return rawTime(now) }},
		}, lagColumns...)})
}

// at is the row's document with the time of its measurement.
func (r lagRow) at(t time.Time) any {
	if r.queue != nil {
		return struct {
			Time time.Time `json:"time"`
			console.QueueLag
		}{t, *r.queue}
	}
	return struct {
		Time time.Time `json:"time"`
		console.Lag
	}{t, r.Lag}
}
