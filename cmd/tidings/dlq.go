package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

func (a *app) dlqCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Queues of dead letters: list, show, redrive",
		Long: `Dead letters are records that left a queue without being accepted: rejected, expired,
beyond its length, or delivered too often. A queue that names an exchange for them
(tidings create queue NAME --dead-letter-queue DEAD) loses none. So do a queue of SQS and a
subscription of SNS with a dead letter queue. A service of the library puts what it could not
handle into GROUP.dlq; those of services that speak Kafka are in a topic, which
tidings.Redrive takes back.`,
		Example: "  tidings dlq ls\n" +
			"  tidings dlq show dead\n" +
			"  tidings dlq redrive dead",
		Args: unknownDlq,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.dlqLsCommand(), a.dlqShowCommand(), a.dlqRedriveCommand())
	return cmd
}

func unknownDlq(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(quote(args[0])+" is nothing dlq can do").hint("there are", "ls, show, redrive").
		hint("help", "tidings dlq --help")
}

func (a *app) dlqLsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the queues that dead letters can reach",
		Long: `List the queues that dead letters of others can reach, and those that begin with one of the
library. WHY counts how the first 1,000 records of each died last.`,
		Args: between(0, 0),
		RunE: a.with(func(ctx context.Context, c client, _ []string) error {
			api, err := queuesOf(c)
			if err != nil {
				return err
			}
			rows, err := api.DeadLetters(ctx)
			if err != nil {
				return err
			}
			a.noteDeadLetters(len(rows), kafkaLetters(ctx, c))
			return render(a, listing[console.DeadLetterQueue]{
				columns: deadLetterColumns, rows: rows, doc: console.DeadLetters{DeadLetters: notNil(rows)},
				name: func(q console.DeadLetterQueue) string { return q.Queue },
			})
		}),
	}
	a.addTarget(cmd)
	a.addOutput(cmd)
	return cmd
}

// noteDeadLetters says what the rows do not.
func (a *app) noteDeadLetters(queues int, topics []string) {
	if len(topics) > 0 {
		a.note("dead letters of services that speak Kafka are in topics: %s. tidings.Redrive takes them back. "+
			"Read them:  tidings sub %s --from start", strings.Join(topics, ", "), topics[0])
	} else if queues == 0 {
		a.note("no queue gets dead letters, and no service of the library has put any aside. Ask for them:  " +
			"tidings create queue mail --dead-letter-queue dead")
	}
}

// kafkaAddress ends the names of the topics that are the addresses of groups of the library over Kafka.
const kafkaAddress = ".direct"

// kafkaLetters are the topics in which services that speak Kafka put dead letters, by the names that
// these have unless a policy says otherwise.
func kafkaLetters(ctx context.Context, c client) (names []string) {
	topics, err := c.Topics(ctx)
	if err != nil {
		return nil // it is for a note only
	}
	for _, t := range topics {
		if strings.HasSuffix(t.Name, ".dlq"+kafkaAddress) && t.Records > 0 {
			names = append(names, t.Name)
		}
	}
	return names
}

// elsewhere says of a queue that is not there, by the name that the log of a service has, where its
// transport puts dead letters: over AWS in a queue of another name, over Kafka in a topic.
func elsewhere(ctx context.Context, c *apiClient, queue string, err error) error {
	var f *failure
	if !errors.As(err, &f) || f.exit != exitNotFound {
		return err
	}
	if _, missing := c.Queue(ctx, queue); missing == nil {
		return err // it is another one that is not there
	}
	aws := strings.ReplaceAll(queue, ".", "_")
	for _, name := range []string{aws, aws + ".fifo"} {
		if _, missing := c.Queue(ctx, name); missing == nil {
			f.hints = []hint{{"over AWS", "queue " + name}}
			return f
		}
	}
	topic := strings.TrimSuffix(queue, kafkaAddress) + kafkaAddress
	if _, missing := c.Topic(ctx, topic); missing == nil {
		f.hints = []hint{{"over Kafka", "topic " + topic + ", which tidings.Redrive takes back"},
			{"read it", "tidings sub " + topic + " --from start"}}
	}
	return err
}

var deadLetterColumns = []column[console.DeadLetterQueue]{
	{title: "QUEUE", show: func(q console.DeadLetterQueue) string { return q.Queue }},
	{title: "READY", right: true, show: func(q console.DeadLetterQueue) string { return count(q.Ready) },
		raw: func(q console.DeadLetterQueue) string { return plain(q.Ready) }},
	{title: "OLDEST", right: true,
		show: func(q console.DeadLetterQueue) string { return seconds(q.OldestSeconds) },
		raw:  func(q console.DeadLetterQueue) string { return rawSeconds(q.OldestSeconds) }},
	{title: "WHY", show: deathReasons},
	{title: "FROM", show: func(q console.DeadLetterQueue) string { return strings.Join(q.From, ",") }},
}

func deathReasons(q console.DeadLetterQueue) string {
	var all []string
	for _, r := range q.Reasons {
		all = append(all, r.Reason+"="+plain(r.Count))
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ",")
}

func (a *app) dlqShowCommand() *cobra.Command {
	limit := int64(browseRecords)
	cmd := &cobra.Command{
		Use:   "show QUEUE",
		Short: "Look at the records of a queue, and how they died",
		Long: `Look at the records of a queue and at the history of their deaths, newest first. None is
taken. Piped, a record is a row of time, reason, queue, times it died so, exchange and
keys of its publish, and value: of its last death. What a service of the library put there
has failed in its group, with an error.`,
		Example:           "  tidings dlq show dead\n  tidings dlq show dead -o jsonl | jq .deaths",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeNames,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			if limit < 1 {
				return usage("--count: at least 1")
			}
			return a.dlqShow(ctx, c, nameOf("queue", args[0]), limit)
		}),
	}
	cmd.Flags().Int64VarP(&limit, "count", "n", limit, "at most this many records")
	a.addTarget(cmd)
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "values only"
	return cmd
}

func (a *app) dlqShow(ctx context.Context, c client, queue string, limit int64) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	write, err := a.deadLetterWriter()
	if err != nil {
		return err
	}
	out := newFlusher(a.out)
	err = api.Browse(ctx, queue, limit, func(r console.QueueRecord) error {
		out.write(func(w *bufio.Writer) { write(w, r) })
		return nil
	})
	if flushErr := out.close(); err == nil {
		err = flushErr
	}
	return elsewhere(ctx, api, queue, err)
}

func (a *app) deadLetterWriter() (func(*bufio.Writer, console.QueueRecord), error) {
	switch form := a.form(); {
	case form == "table" && !a.quiet:
		return a.writeDeadLetter, nil
	case form == "tsv" && !a.quiet:
		return a.writeDeadLetterTSV, nil
	}
	return a.queueRecordWriter("")
}

func (a *app) writeDeadLetterTSV(w *bufio.Writer, r console.QueueRecord) {
	cells := []string{rawTime(r.Time), "-", "-", "0", r.Exchange, r.Key, textOf(r.Value, r.ValueBase64)}
	if len(r.Deaths) > 0 {
		d := r.Deaths[0]
		cells = []string{rawTime(r.Time), d.Reason, d.Queue, plain(d.Count), d.Exchange,
			strings.Join(d.Keys, ","), cells[6]}
	}
	for i := range cells {
		cells[i] = a.forOutput(tsvEscaper.Replace(cells[i]))
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// writeDeadLetter writes a record and below it its deaths.
func (a *app) writeDeadLetter(w *bufio.Writer, r console.QueueRecord) {
	a.writeQueueRecordLine(w, r)
	for _, d := range r.Deaths {
		times := ""
		if d.Count > 1 {
			times = ", " + plain(d.Count) + " times"
		}
		line := fmt.Sprintf("%s in %s%s, first %s, published to %s", d.Reason, d.Queue, times,
			clock(d.Time, a.now()), publishPlace(d))
		if d.Error != "" {
			line = fmt.Sprintf("%s in %s%s, at %s, published to %s: %s", d.Reason, d.Queue, times,
				clock(d.Time, a.now()), publishPlace(d), d.Error)
		}
		fmt.Fprintf(w, "    %s\n", a.term.out.paint(dim, printable(line)))
	}
}

func publishPlace(d console.Death) string {
	exchange := d.Exchange
	if exchange == "" {
		exchange = "amq.default"
	}
	return exchange + "/" + strings.Join(d.Keys, ",")
}

func (a *app) dlqRedriveCommand() *cobra.Command {
	var r console.Redrive
	cmd := &cobra.Command{
		Use:   "redrive QUEUE",
		Short: "Move records back to the queues in which they died",
		Long: `Move the records that wait in a queue back: each to the queue in which it died first, to that
of the group of the library that could not handle it, or all to the one that --to names, as
those of subscriptions of SNS need it. They go straight there, with the key they were
published with and without their old time to live. Each batch is one atomic move: no record
is lost or doubled, however this ends. What comes in meanwhile stays.`,
		Example: "  tidings dlq redrive dead\n" +
			"  tidings dlq redrive dead --max 10\n" +
			"  tidings dlq redrive dead --to mail",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeNames,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			return a.redrive(ctx, c, nameOf("queue", args[0]), r)
		}),
	}
	cmd.Flags().StringVar(&r.To, "to", "", "the queue that gets all of them")
	cmd.Flags().Int64Var(&r.Max, "max", 0, "at most this many records (default all that wait now)")
	a.addTarget(cmd)
	return cmd
}

// redriveSays is how often a long redrive tells how far it is.
const redriveSays = time.Second

func (a *app) redrive(ctx context.Context, c client, queue string, r console.Redrive) error {
	api, err := queuesOf(c)
	switch {
	case err != nil:
		return err
	case r.Max < 0:
		return usage("--max: must not be negative")
	}
	r.To = nameOf("queue", r.To)
	said := a.now()
	last, err := api.Redrive(ctx, queue, r, func(d console.Redriven) {
		if now := a.now(); !d.Done && now.Sub(said) >= redriveSays {
			a.note("%s of %s", count(d.Moved+d.Skipped), plural(d.Total, "record"))
			said = now
		}
	})
	if err != nil && last.Moved > 0 {
		return withHint(err, "note", plural(last.Moved, "record")+" moved before that")
	}
	if err != nil {
		return elsewhere(ctx, api, queue, err)
	}
	a.note("moved %s out of queue %s", plural(last.Moved, "record"), queue)
	if last.Skipped == 0 {
		return nil
	}
	f := conflict("%s could not be moved and stayed", plural(last.Skipped, "record"))
	for _, why := range last.Why {
		f = f.hint("why", strings.Replace(why, `say with "to" where`, "say with --to where", 1))
	}
	return f
}
