package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// subFlags say what to read, until when, and how to write it.
type subFlags struct {
	topic      string
	from       string
	group      string
	partitions []int
	format     string
	limit      int64
	expect     int64
	timeout    time.Duration
	exitAtEnd  bool
	take       bool
	sns        subscribeFlags
	snsGiven   bool
}

func (a *app) subCommand() *cobra.Command {
	var f subFlags
	cmd := &cobra.Command{
		Use:   "sub NAME",
		Short: "Read records, and those to come",
		Long: `Read a topic from a place on and follow it until Ctrl-C. Nothing is consumed:
reading moves no group's cursor, unless --group makes this a member of one.

Or look at what waits in a queue (queue/NAME where a topic has the same name): the first
100 records, or -n, and no more; they stay. With --take they are consumed, as they come,
until Ctrl-C: each is accepted once it has been written, and what was not goes back.

Or read what is published to a topic of SNS (sns/NAME) from now on: by a queue of SQS of its own,
which is subscribed for that time and deleted at the end. --raw=false shows the documents that
subscribers get.

--from takes: end (default), start, an offset (17), -10 (that many before the end,
in each partition), an age (-5m, -2h, -3d) or a time (2026-01-31T09:00:00Z,
"2026-01-31 09:00").

-f formats each record: %t topic  %p partition  %o offset  %k key  %v value  %h headers
%d time  %T time in ms  %S size of the value  %% percent  \n \t \\   e.g. -f '%k=%v\n'

Piped, a record is a line of time, topic, partition, offset, key and value,
tab-separated, with \t \n \r \\ inside them escaped; -q writes values only, -o jsonl
documents.`,
		Example: "  tidings sub orders --from start\n" +
			"  tidings sub orders --from -5m -e -o jsonl | jq .value\n" +
			"  tidings sub orders --group billing\n" +
			"  tidings sub orders --from start --expect 10 --timeout 5s   # or exit 6\n" +
			"  tidings sub queue/mail\n" +
			"  tidings sub queue/mail --take -n 1\n" +
			"  tidings sub sns/alerts --filter '{\"level\":[\"high\"]}'",
		Args:              between(1, 1),
		ValidArgsFunction: a.completeTargets,
		PreRunE:           func(cmd *cobra.Command, _ []string) error { return f.checkGiven(cmd) },
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			to, err := resolveTarget(ctx, c, args[0], "topic", "queue", "sns")
			switch {
			case err != nil:
				return err
			case to.kind == "sns":
				return a.subSNS(ctx, c, to.name, f)
			case f.snsGiven:
				return usage("--raw, --filter and --filter-scope are for topics of SNS")
			case to.kind == "queue":
				return a.subQueue(ctx, c, to.name, f)
			}
			return a.sub(ctx, c, to.name, f)
		}),
	}
	f.add(cmd)
	completeScopes(cmd)
	_ = cmd.RegisterFlagCompletionFunc("group", a.completeGroups)
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(
		[]string{"start", "end", "-5m", "-10"}, cobra.ShellCompDirectiveNoFileComp))
	a.addTarget(cmd)
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "values only"
	return cmd
}

func (f *subFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.from, "from", "",
		"where to start (default end; with --group where the group is, else start)")
	fs.StringVarP(&f.group, "group", "g", "", "read as a member of this consumer group, and commit")
	fs.IntSliceVarP(&f.partitions, "partition", "p", nil, "only these partitions")
	fs.StringVarP(&f.format, "format", "f", "", "write each record like this")
	fs.Int64VarP(&f.limit, "count", "n", 0, "end after this many records")
	fs.Int64Var(&f.expect, "expect", 0,
		"end after this many records, or fail at --timeout (default 10s)")
	fs.DurationVar(&f.timeout, "timeout", 0, "end after this time")
	fs.BoolVarP(&f.exitAtEnd, "exit-at-end", "e", false,
		"end when all records there are now have been read")
	fs.BoolVar(&f.take, "take", false, "consume the records of a queue")
	f.sns.raw = true
	f.sns.add(fs)
}

// checkGiven refuses flags whose value says nothing: an empty variable in a
// script must not read everything.
func (f *subFlags) checkGiven(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	f.snsGiven = given("raw") || given("filter") || given("filter-scope")
	switch {
	case given("expect") && f.expect < 1:
		return usage("--expect: at least 1")
	case given("count") && f.limit < 1:
		return usage("--count: at least 1")
	case given("from") && f.from == "":
		return usage("--from: a position is missing: start, end, an offset, an age or a time")
	case given("group") && f.group == "":
		return usage("--group: a name is missing")
	}
	return nil
}

func (f *subFlags) check(a *app) error {
	switch {
	case f.timeout < 0:
		return usage("--timeout: must not be negative")
	case f.limit > 0 && f.expect > 0:
		return usage("--expect already ends after that many records: leave out -n")
	case f.group != "" && len(f.partitions) > 0:
		return usage("a group's members get their partitions from the group: leave out --partition")
	case f.group != "" && f.exitAtEnd:
		return usage("a group does not know an end: use -n or --timeout with --group")
	case f.format != "" && (a.output != "" || a.quiet):
		return usage("-f is a form of its own: leave out -o and -q")
	}
	if f.expect > 0 {
		f.limit = f.expect
		if f.timeout == 0 {
			f.timeout = 10 * time.Second
		}
	}
	if f.from == "" {
		f.from = "end"
		if f.group != "" {
			f.from = "start"
		}
	}
	if f.take {
		return usage("--take is for queues: a topic keeps its records").
			hint("a member", "--group NAME reads each record once")
	}
	_, err := console.ParsePosition(f.from, a.now())
	if err != nil {
		return usage("--from: " + err.Error())
	}
	return nil
}

// bound ends with --timeout, if there is one.
func (f *subFlags) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.timeout > 0 {
		return context.WithTimeoutCause(ctx, f.timeout, errTimeUp)
	}
	return ctx, func() {}
}

func (a *app) sub(ctx context.Context, c client, topic string, f subFlags) error {
	if err := f.check(a); err != nil {
		return err
	}
	write, err := a.recordWriter(f.format)
	if err != nil {
		return err
	}
	timed, cancel := f.bound(ctx)
	defer cancel()
	out := newFlusher(a.out)
	got := int64(0)
	f.topic = topic
	err = a.receive(timed, c, f, func(rec console.Record) error {
		out.write(func(w *bufio.Writer) { write(w, rec) })
		if got++; got == f.limit {
			return errEnough
		}
		return nil
	})
	if flushErr := out.close(); err == nil {
		err = flushErr
	}
	return f.verdict(timed, got, err)
}

var errTimeUp = errors.New("time is up")

// receive reads as a member of a group, or on its own.
func (a *app) receive(
	ctx context.Context, c client, f subFlags, each func(console.Record) error,
) error {
	if f.group == "" {
		return c.Read(ctx, readRequest{
			topic: f.topic, from: f.from, partitions: f.partitions,
			follow: !f.exitAtEnd, limit: f.limit, skipped: a.noteSkipped,
		}, each)
	}
	k, err := a.kafkaOf(ctx, c)
	if err != nil {
		return err
	}
	defer k.Close()
	return k.join(ctx, joinRequest{group: f.group, topic: f.topic, from: f.from}, each)
}

// kafkaOf reaches the same server by Kafka's protocol, which is where groups
// are joined.
func (a *app) kafkaOf(ctx context.Context, c client) (*kafkaClient, error) {
	seeds, err := c.Kafka(ctx)
	if err != nil {
		return nil, err
	}
	return newKafkaClient(ctx, seeds, a.now)
}

func (a *app) noteSkipped(s console.Skipped) {
	a.note("partition %d: records %d to %d are not there any more", s.Partition, s.From, s.To-1)
}

// verdict turns how reading ended into the command's result.
func (f subFlags) verdict(ctx context.Context, got int64, err error) error {
	timeUp := errors.Is(context.Cause(ctx), errTimeUp)
	switch {
	case errors.Is(err, errEnough):
		return nil
	case err != nil && !timeUp:
		return err
	case f.expect > 0 && got < f.expect:
		why := "there are no more"
		if timeUp {
			why = "in " + f.timeout.String()
		}
		unmet := &failure{exit: exitUnmet, code: "unmet", msg: fmt.Sprintf(
			"expected %s, got %s (%s)", plural(f.expect, "record"), count(got), why)}
		if f.from == "end" {
			unmet = unmet.hint("hint",
				"only new records count; for those there already add --from start")
		}
		return unmet
	}
	return nil
}
