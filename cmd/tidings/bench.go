package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// benchFlags say what load to make.
type benchFlags struct {
	mode        string // produce, consume, both
	topic       string
	partitions  int
	producers   int
	records     int64
	size        int
	inFlight    int
	compression string
	linger      time.Duration
	embedded    string
	timeout     time.Duration
}

// benchResult is one phase of a benchmark. Latencies are in milliseconds, from
// handing a record over until it is acknowledged (produce) or from then until
// it is read (both).
type benchResult struct {
	Phase            string  `json:"phase"`
	Records          int64   `json:"records"`
	Bytes            int64   `json:"bytes"`
	Seconds          float64 `json:"seconds"`
	RecordsPerSecond float64 `json:"recordsPerSecond"`
	BytesPerSecond   float64 `json:"bytesPerSecond"`
	Errors           int64   `json:"errors"`
	P50              float64 `json:"p50"`
	P90              float64 `json:"p90"`
	P99              float64 `json:"p99"`
	P999             float64 `json:"p999"`
	Max              float64 `json:"max"`
}

func (a *app) benchCommand() *cobra.Command {
	f := benchFlags{mode: "both", compression: "none"}
	cmd := &cobra.Command{
		Use:   "bench [produce|consume|both]",
		Short: "Make load and measure rate and latency",
		Long: `Produce records as fast as they are acknowledged, then read them all (both, the
default). The load goes through Kafka's protocol to the server, or any Kafka with
--kafka. Without --topic a topic is made for it and deleted at the end.

--embedded DIR measures the engine inside this process instead, on a new store in
DIR: no network, one batch per record.

Load and server share this machine's cores: compare, do not believe.`,
		Example: "  tidings bench --records 1000000 --size 100\n" +
			"  tidings bench produce --size 1000 --partitions 6 --in-flight 5000 -o json\n" +
			"  tidings bench --embedded /tmp/b --partitions 1 --producers 1 --in-flight 1000\n" +
			"  tidings bench --embedded /tmp/b --partitions 2000 --producers 64 --in-flight 1",
		Args: oneOf("produce", "consume", "both"),
		ValidArgsFunction: cobra.FixedCompletions(
			[]string{"produce", "consume", "both"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				f.mode = args[0]
			}
			return a.bench(cmd.Context(), f)
		},
	}
	f.add(cmd)
	a.addTarget(cmd)
	a.addOutput(cmd)
	cmd.Flags().Lookup("quiet").Usage = "names of the phases only"
	return cmd
}

func (f *benchFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.Int64VarP(&f.records, "records", "n", 200_000, "records to produce")
	fs.IntVar(&f.size, "size", 1000, "bytes in each value")
	fs.IntVarP(&f.partitions, "partitions", "p", 1, "partitions of the topic")
	fs.IntVar(&f.producers, "producers", 1, "producers at once")
	fs.IntVar(&f.inFlight, "in-flight", 10_000, "records not yet acknowledged, per producer")
	fs.DurationVar(&f.linger, "linger", 0, "how long a producer waits to fill a batch")
	fs.Var(&choice{&f.compression, compressions}, "compression", "none, gzip, snappy, lz4 or zstd")
	fs.StringVar(&f.topic, "topic", "", "use this topic, and leave it")
	fs.StringVar(&f.embedded, "embedded", "",
		"measure the engine in this process, in this new directory")
	fs.DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this time")
	_ = cmd.RegisterFlagCompletionFunc("compression",
		cobra.FixedCompletions(compressions, cobra.ShellCompDirectiveNoFileComp))
}

var compressions = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func (f benchFlags) check() error {
	switch {
	case f.records < 1 || f.partitions < 1 || f.producers < 1 || f.inFlight < 1:
		return usage("records, partitions, producers and in-flight are at least 1")
	case f.mode == "consume" && f.topic == "":
		return usage("consume needs a topic to read").
			hint("like this", "tidings bench consume --topic orders")
	case f.size < stampBytes:
		return usage(fmt.Sprintf("--size: at least %d bytes, to carry a time stamp", stampBytes))
	case f.embedded != "" && f.mode == "consume":
		return usage("an embedded bench starts empty: there is nothing to consume")
	}
	return nil
}

// stampBytes at the front of each value hold when it was produced.
const stampBytes = 8

func (a *app) bench(ctx context.Context, f benchFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var results []benchResult
	var err error
	if f.embedded != "" {
		results, err = a.benchEmbedded(limited, f)
	} else {
		results, err = a.benchKafka(limited, f)
	}
	if len(results) > 0 {
		err = firstError(err, a.writeBench(results))
	}
	if limited.Err() != nil && ctx.Err() == nil {
		return &failure{exit: exitUnmet, code: "timeout",
			msg: "not finished in " + f.timeout.String()}
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) writeBench(results []benchResult) error {
	return render(a, listing[benchResult]{
		columns: benchColumns, rows: results,
		doc: map[string]any{"results": results, "cores": runtime.NumCPU(),
			"version": buildVersion(), "go": runtime.Version()},
		name: func(r benchResult) string { return r.Phase },
	})
}

// benchTopic makes the topic for a benchmark, and returns how to remove it.
func (a *app) benchTopic(
	ctx context.Context, c client, f *benchFlags,
) (remove func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	if f.mode == "consume" {
		return nothing, nil
	}
	if f.topic != "" {
		err := c.CreateTopic(ctx, console.NewTopic{Name: f.topic, Partitions: f.partitions})
		if err != nil && asCode(err) != "exists" {
			return nil, err
		}
		return nothing, nil
	}
	f.topic = "tidings-bench-" + strconv.FormatUint(uint64(rand.Uint32()), 36)
	err = c.CreateTopic(ctx, console.NewTopic{Name: f.topic, Partitions: f.partitions})
	return func(ctx context.Context) error { return c.DeleteTopic(ctx, f.topic) }, err
}

func perSecond(r benchResult) string {
	return count(int64(r.RecordsPerSecond))
}

func millis(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return strconv.FormatFloat(ms, 'f', 2, 64)
}

var benchColumns = []column[benchResult]{
	{title: "PHASE", show: func(r benchResult) string { return r.Phase }},
	{title: "RECORDS", right: true, show: func(r benchResult) string { return count(r.Records) },
		raw: func(r benchResult) string { return plain(r.Records) }},
	{title: "SECONDS", right: true,
		show: func(r benchResult) string { return rawSeconds(r.Seconds) }},
	{title: "RECORDS/S", right: true, show: perSecond,
		raw: func(r benchResult) string { return plain(int64(r.RecordsPerSecond)) }},
	{title: "BYTES/S", right: true,
		show: func(r benchResult) string { return size(int64(r.BytesPerSecond)) },
		raw:  func(r benchResult) string { return plain(int64(r.BytesPerSecond)) }},
	{title: "P50 MS", right: true, show: func(r benchResult) string { return millis(r.P50) }},
	{title: "P90 MS", right: true, show: func(r benchResult) string { return millis(r.P90) }},
	{title: "P99 MS", right: true, show: func(r benchResult) string { return millis(r.P99) }},
	{title: "P99.9 MS", right: true, show: func(r benchResult) string { return millis(r.P999) }},
	{title: "MAX MS", right: true, show: func(r benchResult) string { return millis(r.Max) }},
	{title: "ERRORS", right: true, show: func(r benchResult) string { return plain(r.Errors) }},
}
