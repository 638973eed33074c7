package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// pubFlags say what becomes of arguments and input.
type pubFlags struct {
	key       string
	keySep    string
	headers   []string
	files     []string
	input     string
	partition int
	null      bool
	timeout   time.Duration

	// For queues and exchanges.
	exchange  string
	priority  int
	ttl       time.Duration
	transient bool
	mandatory bool

	aws awsFlags
}

func (a *app) pubCommand() *cobra.Command {
	f := pubFlags{input: "lines"}
	cmd := &cobra.Command{
		Use:   "pub NAME [VALUE...]",
		Short: "Publish records: arguments, files or standard input",
		Long: `Publish each VALUE as one record to a topic, a queue (queue/NAME where a topic has the
same name), a topic of SNS (sns/NAME) or, by --exchange, an exchange; without any, what comes on
standard input, a record per line. Each --file is one record. It returns when all is on the server's
disk. For arguments and files the place of each record is written, for input only a
summary (on standard error), unless -o asks for the places.`,
		Example: "  tidings pub orders 'hello'\n" +
			"  tidings pub orders '{\"id\":\"o-1\"}' --key o-1 --header source=shop\n" +
			"  tidings pub queue/mail 'hello' --ttl 1h\n" +
			"  tidings pub --exchange shop --key order.created 'hello'\n" +
			"  tidings pub sns/alerts 'hello' --subject Hello --header level=high\n" +
			"  tidings pub orders < lines.txt\n" +
			"  tidings pub orders --key-separator : < keyed-lines.txt\n" +
			"  tidings pub avatars --file me.png --key me\n" +
			"  tidings sub orders --from start -e -o jsonl | tidings pub copy --input jsonl",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.exchange != "" {
				return nil
			}
			return between(1, -1)(cmd, args)
		},
		ValidArgsFunction: a.completeTargets,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			return a.pub(ctx, c, args, f)
		}),
	}
	f.add(cmd)
	a.addTarget(cmd)
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "offsets only"
	return cmd
}

func (f *pubFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.key, "key", "k", "",
		"key of every record: equal keys, one partition, in order")
	fs.StringVarP(&f.keySep, "key-separator", "K", "",
		"key and value stand in each line, separated by this")
	fs.StringArrayVarP(&f.headers, "header", "H", nil,
		"header of every record, NAME=VALUE; repeatable")
	fs.StringArrayVarP(&f.files, "file", "F", nil,
		"publish a file's content as one record; repeatable")
	fs.VarP(&choice{&f.input, inputs}, "input", "i",
		"what standard input holds: lines, jsonl (as sub -o jsonl writes) or one (record)")
	fs.IntVarP(&f.partition, "partition", "p", -1,
		"partition (default: the key's; without key any)")
	fs.BoolVar(&f.null, "null", false,
		"publish one record with a null value: a tombstone for --key")
	fs.DurationVar(&f.timeout, "timeout", 30*time.Second,
		"how long the server may take to acknowledge what it was sent")
	fs.StringVarP(&f.exchange, "exchange", "x", "",
		"publish to this exchange; --key is the routing key, and all arguments are values")
	fs.IntVar(&f.priority, "priority", 0, "priority in queues that have priorities")
	fs.DurationVar(&f.ttl, "ttl", 0, "records expire after this time in a queue")
	fs.BoolVar(&f.transient, "transient", false, "queues may lose the records in a restart")
	fs.BoolVar(&f.mandatory, "mandatory", false, "exit with 6 if a record reaches no queue")
	fs.StringVar(&f.aws.group, "group", "", "message group, of SQS and SNS: its messages stay in order")
	fs.StringVar(&f.aws.dedup, "dedup-id", "", "deduplication id, of FIFO queues and topics")
	fs.StringVar(&f.aws.subject, "subject", "", "subject, of a topic of SNS")
	_ = cmd.RegisterFlagCompletionFunc("input",
		cobra.FixedCompletions(inputs, cobra.ShellCompDirectiveNoFileComp))
}

var inputs = []string{"lines", "jsonl", "one"}

func (a *app) pub(ctx context.Context, c client, args []string, f pubFlags) error {
	to, values, err := f.target(ctx, c, args)
	if err != nil {
		return err
	}
	switch {
	case to.aws:
		return a.pubSQS(ctx, c, to.name, values, f)
	case to.kind == "sns":
		return a.pubSNS(ctx, c, to.name, values, f)
	case f.aws != awsFlags{}:
		return usage("--group, --dedup-id and --subject are for queues of SQS and topics of SNS")
	case to.kind != "topic":
		return a.pubQueue(ctx, c, to, values, f)
	}
	topic := to.name
	switch {
	case f.priority != 0 || f.ttl != 0 || f.transient || f.mandatory:
		return usage("--priority, --ttl, --transient and --mandatory are for queues and exchanges")
	case f.timeout <= 0:
		return usage("--timeout: must be more than 0")
	case f.partition < -1:
		return usage(fmt.Sprintf("--partition: %d is no partition", f.partition))
	}
	given, err := f.given(values)
	if err != nil {
		return err
	}
	if len(given) == 0 {
		return a.pubInput(ctx, c, topic, f)
	}
	var places []console.Place
	for _, recs := range requests(given) {
		stored, err := f.publish(ctx, c, topic, recs)
		if err != nil && len(places) > 0 {
			err = errors.Join(err, a.writePlaces(places))
		}
		if err != nil {
			return err
		}
		places = append(places, stored...)
	}
	return a.writePlaces(places)
}

// publish stores records within the time limit.
func (f pubFlags) publish(
	ctx context.Context, c client, topic string, recs []console.NewRecord,
) ([]console.Place, error) {
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	places, err := c.Publish(limited, topic, recs)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, &failure{exit: exitUnmet, code: "timeout", msg: fmt.Sprintf(
			"topic %s did not acknowledge within %s: records may be stored, or not",
			quote(topic), f.timeout), hints: []hint{
			{"look at", "the server's log and its disk: a full one accepts nothing"},
			{"wait longer", "--timeout " + (2 * f.timeout).String()},
		}}
	}
	return places, orCreate(err, topic)
}

// orCreate adds to a missing topic how it is made.
func orCreate(err error, topic string) error {
	if isNotFound(err) {
		return withHint(err, "create it", "tidings create "+topic)
	}
	return err
}

// given are the records of arguments and files; none: read the input.
func (f pubFlags) given(values []string) ([]console.NewRecord, error) {
	var recs []console.NewRecord
	add := func(value []byte) error {
		rec, err := f.record(value)
		recs = append(recs, rec)
		return err
	}
	for _, v := range values {
		if err := add([]byte(v)); err != nil {
			return nil, err
		}
	}
	for _, name := range f.files {
		value, err := readFile(name)
		if err != nil {
			return nil, err
		}
		if err := add(value); err != nil {
			return nil, err
		}
	}
	if f.null {
		if len(recs) > 0 {
			return nil, usage("--null is a record without value, so give none")
		}
		return recs, add(nil)
	}
	return recs, nil
}

func (a *app) writePlaces(places []console.Place) error {
	if a.form() == "table" && !a.quiet {
		for _, p := range places {
			fmt.Fprintf(a.out, "%s/%d@%d\n", p.Topic, p.Partition, p.Offset)
		}
		return nil
	}
	return render(a, listing[console.Place]{
		columns: placeColumns, rows: places, doc: console.Published{Records: notNil(places)},
		name: func(p console.Place) string { return plain(p.Offset) },
	})
}

var placeColumns = []column[console.Place]{
	{title: "TOPIC", show: func(p console.Place) string { return p.Topic }},
	{title: "PARTITION", show: func(p console.Place) string { return plain(p.Partition) }},
	{title: "OFFSET", show: func(p console.Place) string { return plain(p.Offset) }},
}

// How much goes into one request to the server.
const (
	pubRecords = 2000
	pubBytes   = 1 << 20
)

// requests splits records into requests.
func requests(recs []console.NewRecord) (all [][]console.NewRecord) {
	from, bytes := 0, 0
	for i, r := range recs {
		size := len(console.Bytes(r.Value, r.ValueBase64))
		if i > from && (i-from == pubRecords || bytes+size > pubBytes) {
			all = append(all, recs[from:i])
			from, bytes = i, 0
		}
		bytes += size
	}
	return append(all, recs[from:])
}

// pubInput publishes standard input as it comes: each request takes what has
// arrived meanwhile, so that a slow source is published at once and a fast one
// in large batches.
func (a *app) pubInput(ctx context.Context, c client, topic string, f pubFlags) error {
	if a.term.in.tty {
		a.note("publishing each line you type; Ctrl-D ends")
	}
	start := a.now()
	total := int64(0)
	err := f.chunks(ctx, a.in, func(recs []console.NewRecord) error {
		places, err := f.publish(ctx, c, topic, recs)
		if err != nil {
			return err
		}
		total += int64(len(places))
		if a.output == "" || a.quiet {
			return nil
		}
		return render(a, listing[console.Place]{columns: placeColumns, rows: places,
			doc: console.Published{Records: places}})
	})
	if err == nil || total > 0 {
		a.note("published %s to %s in %s", plural(total, "record"), topic,
			a.now().Sub(start).Round(time.Millisecond))
	}
	return err
}

// chunks reads records until the input ends and hands them out in batches. The
// reader is one goroutine: it ends with the input, or at its next record after
// chunks has returned.
func (f pubFlags) chunks(
	ctx context.Context, in io.Reader, each func([]console.NewRecord) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	input := make(chan inputRecord, pubRecords)
	go func() {
		defer close(input)
		f.read(bufio.NewReaderSize(in, 64<<10), func(r inputRecord) bool {
			select {
			case input <- r:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	for {
		recs, err := takeWaiting(ctx, input)
		if len(recs) > 0 {
			if err := each(recs); err != nil {
				return err
			}
		}
		if err != nil {
			return ignoreEOF(err)
		}
	}
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// takeWaiting waits for one record and takes all that are there, up to the
// limits of a request.
func takeWaiting(ctx context.Context, input <-chan inputRecord) ([]console.NewRecord, error) {
	var recs []console.NewRecord
	for bytes := 0; len(recs) < pubRecords && bytes < pubBytes; {
		var r inputRecord
		var ok bool
		if len(recs) == 0 {
			select {
			case r, ok = <-input:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		} else {
			select {
			case r, ok = <-input:
			default:
				return recs, nil
			}
		}
		switch {
		case !ok:
			return recs, io.EOF
		case r.err != nil:
			return recs, r.err
		}
		recs = append(recs, r.rec)
		bytes += r.bytes
	}
	return recs, nil
}
