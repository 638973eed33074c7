package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// app is one run of the command line: everything it touches of the world, so
// that tests can run commands in-process.
type app struct {
	in          io.Reader
	out, errOut io.Writer
	env         func(string) string
	now         func() time.Time
	started     time.Time
	term        terminal
	args        []string // as given

	output string // table, tsv, json, jsonl; "" is table on a terminal, else tsv
	quiet  bool
	target target
}

// target says which server a command speaks to.
type target struct {
	server string // admin API, host:port
	kafka  string // any Kafka, host:port[,host:port]; goes before server
}

// run executes one command and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	a.args = args
	root := a.root()
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if f, ok := asCtlFailure(err); ok {
		return a.printCtlFailure(f)
	}
	f := asFailure(ctx, err)
	if f.exit != exitInterrupted {
		a.printFailure(f, wantsJSON(args))
	}
	return f.exit
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidings",
		Short: "A durable broker for Kafka clients, in one binary",
		Long: `Tidings is a durable broker that Kafka clients connect to unchanged: one binary, and
every acknowledged record is on disk.`,
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          a.bare,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err.Error()).hint("help", cmd.CommandPath()+" --help")
	})
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run a broker:"},
		&cobra.Group{ID: "use", Title: "Topics, queues and records:"},
		&cobra.Group{ID: "groups", Title: "Consumer groups:"},
		&cobra.Group{ID: "care", Title: "Look after it:"},
	)
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommandGroupID("care")
	root.SetCompletionCommandGroupID("care")
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", a.devCommand(), a.serveCommand())
	add("use", a.pubCommand(), a.subCommand(), a.lsCommand(), a.showCommand(),
		a.createCommand(), a.bindCommand(), a.unbindCommand(), a.rmCommand(), a.dlqCommand())
	add("groups", a.lagCommand(), a.resetCommand())
	add("care", a.benchCommand(), a.doctorCommand(), a.repairCommand(), a.backupCommand(),
		a.versionCommand(), a.rabbitmqctlCommand())
	root.SetVersionTemplate(versionLine() + "\n")
	shellNeeded(root)
	return root
}

// shellNeeded makes completion without a shell that it knows wrong usage; the
// command itself is cobra's.
func shellNeeded(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		f := usage("SHELL is missing")
		if len(args) > 0 {
			f = usage("no completion for " + quote(args[0]))
		}
		return f.hint("there are", "bash, zsh, fish, powershell").
			hint("help", "tidings completion bash --help")
	}
}

// unknownCommand refuses a first word that is no command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := usage("no command named " + quote(args[0]))
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		f = f.hint(didYouMean, "tidings "+strings.Join(near, ", tidings ")+"?")
	}
	return f.hint("see all", "tidings help")
}

// addTarget gives a command the flags that choose a server.
func (a *app) addTarget(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.target.server, "server", "",
		"admin API to speak to, host:port (default $TIDINGS_SERVER or 127.0.0.1:7070)")
	f.StringVar(&a.target.kafka, "kafka", "",
		"speak to any Kafka instead, host:port (default $TIDINGS_KAFKA)")
	_ = cmd.RegisterFlagCompletionFunc("server", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("kafka", cobra.NoFileCompletions)
}

// addOutput gives a command the flags that choose how results are written.
func (a *app) addOutput(cmd *cobra.Command) {
	f := cmd.Flags()
	f.VarP(&choice{&a.output, outputs}, "output", "o",
		"table, tsv, json (one document) or jsonl (one per line)\n"+
			"(default table on a terminal, else tsv without header)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "names only")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp))
}

var outputs = []string{"table", "tsv", "json", "jsonl"}

// choice is a flag that takes one of a few words.
type choice struct {
	value *string
	words []string
}

func (c *choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

func (c *choice) Type() string { return "word" }

func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return usage("must be one of " + strings.Join(c.words, ", "))
	}
	*c.value = word
	return nil
}

// wantsJSON looks for -o json in arguments that may not have been parsed.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		switch arg {
		case "--":
			return false
		case "-ojson", "-o=json", "--output=json", "-ojsonl", "-o=jsonl", "--output=jsonl":
			return true
		case "-o", "--output":
			if i+1 < len(args) && (args[i+1] == "json" || args[i+1] == "jsonl") {
				return true
			}
		}
	}
	return false
}
