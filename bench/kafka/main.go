// Command kafka compares the tidings server with franz-go's kfake through Kafka's protocol.
// Both keep their data on disk and sync it before they acknowledge.
//
// In every round each load meets one server, then the other, each as a new process on an empty
// directory; who begins changes from round to round. Client and servers share the machine's
// cores, so the rates say what a pair of client and server does together; the servers' own
// share is in the column of processor time.
//
//	go run ./kafka                    # about ten minutes; prints a Markdown table
//	go run ./kafka -quick -o json
//	go run ./kafka -run 'produce' -server embedded -profile /tmp/profiles
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

// options are the flags.
type options struct {
	rounds   int
	quick    bool
	output   string
	run      *regexp.Regexp
	server   string
	profile  string
	dir      string
	only     string
	exact    string
	against  string
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
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	var o options
	var run string
	f := flag.NewFlagSet("kafka", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 5, "how often every load meets every server")
	f.BoolVar(&o.quick, "quick", false, "a tenth of the records: for trying things out")
	f.StringVar(&o.output, "o", "markdown", "output: markdown or json")
	f.StringVar(&run, "run", "", "only the scenarios that match this expression")
	f.StringVar(&o.server, "server", "tidings", "what is compared: tidings, the program, or "+
		"embedded, the same with profiles")
	f.StringVar(&o.profile, "profile", "", "directory for processor profiles of -server embedded")
	f.StringVar(&o.dir, "dir", os.TempDir(), "where data directories are made: a real disk")
	f.StringVar(&o.only, "only", "", "ours or peer: leaves the other one out")
	f.StringVar(&o.exact, "exact", "", "path of a tidings program, instead of building one")
	f.StringVar(&o.against, "against", "", "path of a tidings program as the peer: for changes")
	f.DurationVar(&o.patience, "patience", 0, "how long to wait, before each pair of servers, for "+
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
	programs, err := o.programs(ctx, bin)
	if err != nil {
		return err
	}
	report := measure.Report{
		Command: strings.TrimSpace("go run ./kafka " + strings.Join(os.Args[1:], " ")),
		Machine: measure.ThisMachine(o.dir), Rounds: o.rounds,
		Ours: programs[0].Name, Peer: programs[len(programs)-1].Name,
	}
	if report.Results, err = o.all(ctx, programs); err != nil {
		return err
	}
	report.Pairs = measure.Compare(report.Results, report.Ours, report.Peer)
	if o.output == "json" {
		return report.WriteJSON(out)
	}
	return report.WriteMarkdown(out)
}

// Names of the servers, as the tables show them.
const (
	ours    = "tidings"
	peer    = "kfake -sync"
	another = "the other"
)

// programs compiles what is compared.
func (o *options) programs(ctx context.Context, bin string) ([]measure.Program, error) {
	here, err := measure.ModuleDir(ctx, "github.com/tidings-io/tidings/bench")
	if err != nil {
		return nil, err
	}
	first, err := o.ours(ctx, here, bin)
	if err != nil {
		return nil, err
	}
	second, err := o.peer(ctx, here, bin)
	switch o.only {
	case "ours":
		return []measure.Program{first}, err
	case "peer":
		return []measure.Program{second}, err
	}
	return []measure.Program{first, second}, err
}

func (o *options) peer(ctx context.Context, here, bin string) (measure.Program, error) {
	if o.against != "" {
		return measure.Program{Name: another, Path: o.against, Args: serveArgs}, nil
	}
	path, err := measure.Build(ctx, here, "./peer", bin)
	return measure.Program{Name: peer, Path: path, Args: func(dir string) []string {
		return []string{"-data", dir}
	}}, err
}

func (o *options) ours(ctx context.Context, here, bin string) (measure.Program, error) {
	if o.server == "embedded" {
		path, err := measure.Build(ctx, here, "./server", bin)
		return measure.Program{Name: ours, Path: path, Args: func(dir string) []string {
			return []string{"-data", dir, "-pprof", profiles}
		}}, err
	}
	p := measure.Program{Name: ours, Path: o.exact, Args: serveArgs}
	if p.Path != "" {
		return p, nil
	}
	root, err := measure.ModuleDir(ctx, "github.com/tidings-io/tidings")
	if err == nil {
		p.Path, err = measure.Build(ctx, root, "./cmd/tidings", bin)
	}
	return p, err
}

// serveArgs run a tidings program on free ports.
func serveArgs(dir string) []string {
	return []string{"serve", "--data", dir, "--kafka", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--log", "error"}
}
