// Command engine compares broker.Open, in one process with its producers, with the plainest log
// that keeps the same promise: a file for each partition, group commit, fdatasync before the
// acknowledgement (twin.go).
//
// Each measurement is a process of its own on an empty directory; the two alternate, and who
// begins changes from round to round.
//
//	go run ./engine              # about three minutes; prints a Markdown table
//	go run ./engine -o json
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

const (
	ours = "broker.Open"
	twin = "file per partition"
)

type options struct {
	rounds   int
	time     time.Duration
	output   string
	dir      string
	run      *regexp.Regexp
	patience time.Duration
	side     string // of the child process that measures
	load     int
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = o.main(ctx, os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	var o options
	var run string
	f := flag.NewFlagSet("engine", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "how often every load meets both")
	f.DurationVar(&o.time, "time", 4*time.Second, "how long a load lasts")
	f.StringVar(&o.output, "o", "markdown", "output: markdown or json")
	f.StringVar(&o.dir, "dir", os.TempDir(), "where data directories are made: a real disk")
	f.StringVar(&run, "run", "", "only the loads that match this expression")
	f.DurationVar(&o.patience, "patience", 0, "how long to wait, before each pair, for others to "+
		"leave the processors alone")
	f.StringVar(&o.side, "side", "", "measure one side only, in this process")
	f.IntVar(&o.load, "load", 0, "with -side: the number of the load")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if o.run, err = regexp.Compile(run); err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	if o.output != "markdown" && o.output != "json" {
		return nil, fmt.Errorf("-o: %q is neither markdown nor json", o.output)
	}
	return &o, nil
}

func (o *options) main(ctx context.Context, out io.Writer) error {
	if o.side != "" {
		return o.child(ctx, out)
	}
	report := measure.Report{
		Command: strings.TrimSpace("go run ./engine " + strings.Join(os.Args[1:], " ")),
		Machine: measure.ThisMachine(o.dir), Rounds: o.rounds, Ours: ours, Peers: []string{twin},
	}
	for n := range loads {
		if !o.run.MatchString(loads[n].name) {
			continue
		}
		rs, err := o.rounded(ctx, n)
		if err != nil {
			return fmt.Errorf("%s: %w", loads[n].name, err)
		}
		report.Results = append(report.Results, rs...)
	}
	report.Pairs = measure.Compare(report.Results, report.Ours, report.Peers...)
	if o.output == "json" {
		return report.WriteJSON(out)
	}
	return report.WriteMarkdown(out)
}

// rounded runs all rounds of a load, and removes what they have written at the end: while
// thousands of files are being deleted, ext4 makes new ones slowly.
func (o *options) rounded(ctx context.Context, load int) (results []measure.Result, err error) {
	dir, err := os.MkdirTemp(o.dir, "tidings-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	inside := *o
	inside.dir = dir
	for round := range o.rounds {
		if err := measure.AwaitQuiet(ctx, o.patience); err != nil {
			return nil, err
		}
		rs, err := inside.pair(ctx, load, round)
		if err != nil {
			return nil, err
		}
		results = append(results, rs...)
	}
	return results, nil
}

// pair measures both sides once.
func (o *options) pair(ctx context.Context, load, round int) ([]measure.Result, error) {
	var results []measure.Result
	for i := range 2 {
		side := []string{ours, twin}[(i+round)%2]
		r, err := o.spawn(ctx, side, load)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", side, err)
		}
		r.Round = round + 1
		fmt.Fprintf(os.Stderr, "%d %-20s %-50s %8.0f/s  p50 %.2f p99 %.2f ms  cpu %.2f s/M  "+
			"rss %.0f MiB  disk %.2f\n", r.Round, side, r.Load, r.Rate, r.P50, r.P99,
			r.ServerCPU, r.PeakRSS, r.Written)
		results = append(results, r)
	}
	return results, nil
}

// spawn measures one side in a new process, so that each has its own memory.
func (o *options) spawn(ctx context.Context, side string, load int) (measure.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return measure.Result{}, err
	}
	cmd := exec.CommandContext(ctx, self, "-side", side, "-load", fmt.Sprint(load),
		"-time", o.time.String(), "-dir", o.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return measure.Result{}, err
	}
	var r measure.Result
	return r, json.Unmarshal(out.Bytes(), &r)
}

// child measures one side and writes the result as JSON.
func (o *options) child(ctx context.Context, out io.Writer) error {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) // as cmd/tidings does
	}
	dir, err := os.MkdirTemp(o.dir, "engine-")
	if err != nil {
		return err
	}
	l := &loads[o.load]
	log, err := open(ctx, o.side, dir, l.partitions)
	if err != nil {
		return err
	}
	r, err := l.measure(ctx, log, o.time)
	r.Server = o.side
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}
