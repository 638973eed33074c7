// Command library compares the library with Watermill on the same running broker: Tidings over
// Kafka and over AMQP, and RabbitMQ where it is installed. The library with its broker in the
// process has no peer that keeps the same promise; beside it stands the broker alone, so that the
// ratio says what envelopes, policies, retries and the order of keys leave of it.
//
// Events are of 1 KiB in JSON, which is encoded and decoded on both sides. In every round each
// load meets one side, then the other, with topics and queues of its own; who begins changes from
// round to round. A publish is one event in a call and counts when the broker has it.
//
//	go run ./library                     # about seven minutes; prints Markdown tables
//	go run ./library -quick -rounds 1
//	go run ./library -run 'process.*handle' -only tidings -profile /tmp/profiles
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/tidings-io/tidings/bench/internal/measure"
)

type options struct {
	rounds   int
	quick    bool
	output   string
	run      *regexp.Regexp
	only     string
	dir      string
	profile  string
	patience time.Duration
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = o.main(ctx, os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "library:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	var o options
	var run string
	f := flag.NewFlagSet("library", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 3, "how often every load meets every side")
	f.BoolVar(&o.quick, "quick", false, "small loads: for trying things out")
	f.StringVar(&o.output, "o", "markdown", "output: markdown or json")
	f.StringVar(&run, "run", "", "only the loads whose place and name match this expression")
	f.StringVar(&o.only, "only", "", "only the side of this name")
	f.StringVar(&o.dir, "dir", os.TempDir(), "where data directories are made: a real disk")
	f.StringVar(&o.profile, "profile", "", "directory for profiles of this process")
	f.DurationVar(&o.patience, "patience", 0, "how long to wait, before each round, for "+
		"others to leave the processors alone")
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
	bin, err := os.MkdirTemp("", "tidings-bench-bin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	r := report{
		Command: strings.TrimSpace("go run ./library " + strings.Join(os.Args[1:], " ")),
		Machine: measure.ThisMachine(o.dir), Rounds: o.rounds,
	}
	for _, p := range places(o.quick) {
		at := tested{place: p, Name: p.name}
		if at.Results, err = o.at(ctx, &p, bin); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if len(at.Results) > 0 {
			r.Places = append(r.Places, at)
		}
	}
	if o.output == "json" {
		return r.writeJSON(out)
	}
	return r.writeMarkdown(out)
}
