package measure

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
)

// Bench is a benchmark of servers: a command whose flags are Options.
type Bench struct {
	Name string // of the command and of its directory
	// Servers says what is compared, ours first. What must be compiled goes into the directory bin.
	Servers   func(ctx context.Context, o *Options, bin string) ([]Program, error)
	Scenarios func(quick bool) []Scenario
}

// Options are the flags.
type Options struct {
	Rounds   int
	Quick    bool
	Output   string
	Run      *regexp.Regexp
	Server   string
	Profile  string
	Dir      string
	Only     string
	Exact    string
	Against  string
	Patience time.Duration
}

// Main is the main function of a benchmark. It ends the process if something fails.
func (b *Bench) Main() {
	o, err := b.parse(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = b.run(ctx, o, os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, b.Name+":", err)
		os.Exit(1)
	}
}

func (b *Bench) parse(args []string) (*Options, error) {
	var o Options
	var run string
	f := flag.NewFlagSet(b.Name, flag.ContinueOnError)
	f.IntVar(&o.Rounds, "rounds", 5, "how often every load meets every server")
	f.BoolVar(&o.Quick, "quick", false, "a tenth of the records: for trying things out")
	f.StringVar(&o.Output, "o", "markdown", "output: markdown or json")
	f.StringVar(&run, "run", "", "only the scenarios that match this expression")
	f.StringVar(&o.Server, "server", "tidings", "what is compared: tidings, the program, or "+
		"embedded, the same with profiles")
	f.StringVar(&o.Profile, "profile", "", "directory for processor profiles of -server embedded")
	f.StringVar(&o.Dir, "dir", os.TempDir(), "where data directories are made: a real disk")
	f.StringVar(&o.Only, "only", "", "ours, peer or the name of one: leaves the others out")
	f.StringVar(&o.Exact, "exact", "", "path of a tidings program, instead of building one")
	f.StringVar(&o.Against, "against", "", "path of a tidings program as the peer: for changes")
	f.DurationVar(&o.Patience, "patience", 0, "how long to wait, before each round, for "+
		"others to leave the processors alone")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if o.Run, err = regexp.Compile(run); err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	if o.Output != "markdown" && o.Output != "json" {
		return nil, fmt.Errorf("-o: %q is neither markdown nor json", o.Output)
	}
	return &o, nil
}

func (b *Bench) run(ctx context.Context, o *Options, out io.Writer) error {
	bin, err := os.MkdirTemp("", "tidings-bench-bin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	programs, err := b.Servers(ctx, o, bin)
	if err != nil {
		return err
	}
	if programs, err = o.chosen(programs); err != nil {
		return err
	}
	report := Report{
		Command: strings.TrimSpace("go run ./" + b.Name + " " + strings.Join(os.Args[1:], " ")),
		Machine: ThisMachine(o.Dir), Rounds: o.Rounds, Ours: programs[0].Name,
	}
	for _, p := range programs[min(1, len(programs)-1):] { // one alone is its own peer
		report.Peers = append(report.Peers, p.Name)
	}
	if report.Results, err = o.all(ctx, programs, b.Scenarios(o.Quick)); err != nil {
		return err
	}
	report.Pairs = Compare(report.Results, report.Ours, report.Peers...)
	if o.Output == "json" {
		return report.WriteJSON(out)
	}
	return report.WriteMarkdown(out)
}

// chosen leaves out what -only does not name.
func (o *Options) chosen(programs []Program) ([]Program, error) {
	switch o.Only {
	case "":
		return programs, nil
	case "ours":
		return programs[:1], nil
	case "peer":
		return programs[1:], nil
	}
	for _, p := range programs {
		if p.Name == o.Only {
			return []Program{p}, nil
		}
	}
	return nil, fmt.Errorf("-only: no server is called %q", o.Only)
}

// ours is what Tidings is called in the tables.
const ours = "tidings"

// Ours is the program to measure: the real one, or with -server embedded that of bench/server.
// The arguments are for the one and for the other.
func (o *Options) Ours(
	ctx context.Context, bin string, serve, embedded func(Place) []string,
) (Program, error) {
	if o.Server == "embedded" {
		here, err := ModuleDir(ctx, "github.com/tidings-io/tidings/bench")
		if err != nil {
			return Program{}, err
		}
		path, err := Build(ctx, here, "./server", bin)
		return Program{Name: ours, Path: path, Args: embedded, Profiled: true}, err
	}
	p := Program{Name: ours, Path: o.Exact, Args: serve}
	if p.Path != "" {
		return p, nil
	}
	root, err := ModuleDir(ctx, "github.com/tidings-io/tidings")
	if err == nil {
		p.Path, err = Build(ctx, root, "./cmd/tidings", bin)
	}
	return p, err
}

// Other is the program that -against names, called as the real one is.
func (o *Options) Other(serve func(Place) []string) Program {
	return Program{Name: "the other", Path: o.Against, Args: serve}
}
