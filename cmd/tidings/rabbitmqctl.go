package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// asRabbitmqctl are names under which the program acts as rabbitmqctl: scripts and suites of
// RabbitMQ call it by a path, which may be a link to tidings.
var asRabbitmqctl = []string{"rabbitmqctl", "rabbitmq-diagnostics"}

// arguments are those of a command line. One whose program is called rabbitmqctl is a command
// line of that.
func arguments(line []string) []string {
	name := line[0][strings.LastIndexAny(line[0], `/\`)+1:]
	if slices.Contains(asRabbitmqctl, strings.TrimSuffix(name, ".exe")) {
		return append([]string{"rabbitmqctl"}, line[1:]...)
	}
	return line[1:]
}

// ctlCommand is one command of rabbitmqctl. Names, arguments, what is written and exit codes are
// those of RabbitMQ 4.0's.
type ctlCommand struct {
	name, usage string // usage is what follows the name
	about       string
	min, max    int // arguments; max -1: any number
	flags       func(*ctl, *pflag.FlagSet)
	check       func(*ctl) error // of arguments, before anything is written; nil: none
	banner      func(*ctl) string
	run         func(context.Context, *ctl) error
	patience    time.Duration // without --timeout; 0: ctlPatience
}

// ctlPatience is how long a command may take that does not say otherwise.
const ctlPatience = time.Minute

// ctl is one run of one command of rabbitmqctl.
type ctl struct {
	a    *app
	cmd  *ctlCommand
	args []string
	api  *manageClient

	url, node, vhost, formatter string
	quiet, silent, noHeaders    bool
	timeout                     int // seconds; 0: the command's own
	ignored                     struct {
		longnames, dryRun bool
		cookie            string
	}
	own ctlFlags
}

// ctlFlags are the flags that only some commands have.
type ctlFlags struct {
	description, tags, queueType string
	applyTo, format, unit        string
	priority, limit, delay       int
	ifEmpty, ifUnused, global    bool
	hashed                       bool
	local, online, offline       bool
}

// ctlCommands are all commands, in the order of help.
func ctlCommands() []*ctlCommand {
	return slices.Concat(ctlNodeCommands, ctlUserCommands, ctlAccessCommands, ctlVhostCommands,
		ctlListCommands, ctlPolicyCommands, ctlQueueCommands, ctlDefinitionCommands)
}

func (a *app) rabbitmqctlCommand() *cobra.Command {
	c := &ctl{a: a}
	root := &cobra.Command{
		Use:   "rabbitmqctl COMMAND",
		Short: "Speak to this broker or a RabbitMQ as rabbitmqctl does",
		Long: `The commands of RabbitMQ's rabbitmqctl, with the same output and exit codes, spoken
over the management HTTP API: for scripts, operators and test suites. It needs neither Erlang nor
a cookie, and works with a RabbitMQ that has its management plugin as well. A link or copy of
tidings that is called rabbitmqctl acts as this command.`,
		Example: `  tidings rabbitmqctl list_queues name messages consumers
  tidings rabbitmqctl --url http://admin:secret@rabbit.example.org:15672 list_connections
  ln -s $(command -v tidings) rabbitmqctl`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return noCtlCommand(cmd, args) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return c.wrongFlag(cmd, err)
	})
	c.addFlags(root.PersistentFlags())
	for _, cmd := range ctlCommands() {
		root.AddCommand(c.cobra(cmd))
	}
	for name, why := range ctlRefused {
		root.AddCommand(refusedCommand(name, why))
	}
	root.AddCommand(ctlHelp(root))
	return root
}

func (c *ctl) addFlags(f *pflag.FlagSet) {
	f.StringVar(&c.url, "url", "", "management API to speak to\n"+
		"(default $TIDINGS_MANAGEMENT_URL or "+defaultManagement+")")
	f.StringVarP(&c.node, "node", "n", "", "must name the node that is spoken to, or its machine")
	f.StringVarP(&c.vhost, "vhost", "p", "/", "virtual host")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no line that says what is done")
	f.BoolVarP(&c.silent, "silent", "s", false, "nor headers of tables")
	f.Var(&choice{&c.formatter, ctlFormatters}, "formatter", "table, json or csv (default table)")
	f.BoolVar(&c.noHeaders, "no-table-headers", false, "tables without headers")
	f.IntVarP(&c.timeout, "timeout", "t", 0, "seconds that the command may take (default 60)")
	f.BoolVarP(&c.ignored.longnames, "longnames", "l", false, "ignored")
	f.StringVar(&c.ignored.cookie, "erlang-cookie", "", "ignored")
	f.BoolVar(&c.ignored.dryRun, "dry-run", false, "check arguments, and do nothing")
	for _, name := range []string{"longnames", "erlang-cookie"} {
		_ = f.MarkHidden(name)
	}
}

// cobra makes a command known to the command line.
func (c *ctl) cobra(cmd *ctlCommand) *cobra.Command {
	child := &cobra.Command{
		Use:                   strings.TrimSpace(cmd.name + " " + cmd.usage),
		Short:                 cmd.about,
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
		RunE: func(child *cobra.Command, args []string) error {
			c.cmd, c.args = cmd, args
			return c.run(child.Context())
		},
	}
	if cmd.flags != nil {
		cmd.flags(c, child.Flags())
	}
	return child
}

// run checks the arguments, says what will be done, and does it within its time.
func (c *ctl) run(ctx context.Context) error {
	if err := c.checkArguments(); err != nil {
		return err
	}
	if c.ignored.dryRun {
		return nil
	}
	var err error
	if c.api, err = newManageClient(c.managementURL()); err != nil {
		return err
	}
	defer c.api.close()
	patience := c.patience()
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err = c.checkNode(within); err == nil {
		c.say(c.cmd.banner)
		err = c.cmd.run(within, c)
	}
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return ctlFailed(ctlTempFail, "operation %s timed out. Timeout value used: %d", c.cmd.name,
			patience.Milliseconds())
	}
	return err
}

func (c *ctl) checkArguments() error {
	n := len(c.args)
	switch {
	case n < c.cmd.min:
		return c.wrong(ctlUsage, "not enough arguments.")
	case c.cmd.max >= 0 && n > c.cmd.max:
		return c.wrong(ctlUsage, "too many arguments.")
	case c.cmd.check != nil:
		return c.cmd.check(c)
	}
	return nil
}

func (c *ctl) patience() time.Duration {
	switch {
	case c.timeout > 0:
		return time.Duration(c.timeout) * time.Second
	case c.cmd.patience > 0:
		return c.cmd.patience
	}
	return ctlPatience
}

// managementURL is where the API is, as the flag or the environment say.
func (c *ctl) managementURL() string {
	for _, url := range []string{c.url, c.a.env("TIDINGS_MANAGEMENT_URL")} {
		if url != "" {
			return url
		}
	}
	return defaultManagement
}

// checkNode refuses a node that was named and is another. Names of nodes of this machine, or of
// the one that is spoken to, will do: scripts say rabbit@host.
func (c *ctl) checkNode(ctx context.Context) error {
	_, host, ok := strings.Cut(c.node, "@")
	if !ok {
		return nil
	}
	here, _ := os.Hostname()
	short, _, _ := strings.Cut(here, ".")
	if slices.Contains([]string{"localhost", here, short, c.api.base.Hostname()}, host) {
		return nil
	}
	node, err := c.nodeName(ctx)
	if err != nil || node == c.node {
		return err
	}
	return &ctlFailure{ctlUnavailable, fmt.Sprintf("Error: unable to perform an operation on node '%s'. "+
		"The node at %s is '%s': name another with --url.", c.node, c.api.shown(), node)}
}

// nodeName is what the node calls itself.
func (c *ctl) nodeName(ctx context.Context) (string, error) {
	var doc struct {
		Node string `json:"node"`
	}
	err := c.api.get(ctx, &doc, "overview")
	return doc.Node, err
}

// Exit codes of rabbitmqctl, which are those of sysexits.h.
const (
	ctlUsage       = 64
	ctlDataErr     = 65
	ctlNoUser      = 67
	ctlUnavailable = 69
	ctlSoftware    = 70
	ctlTempFail    = 75
)

// ctlFailure is an error as rabbitmqctl tells it; an empty text is no line.
type ctlFailure struct {
	exit int
	text string
}

func (f *ctlFailure) Error() string { return f.text }

func ctlFailed(exit int, format string, args ...any) error {
	return &ctlFailure{exit, "Error:\n" + fmt.Sprintf(format, args...)}
}

// wrong is wrong usage: with what was given, and what would be right.
func (c *ctl) wrong(exit int, format string, args ...any) error {
	return c.wrongUsage(exit, fmt.Sprintf(format, args...), c.cmd.name+" "+c.cmd.usage)
}

func (c *ctl) wrongUsage(exit int, why, usage string) error {
	given := slices.Clone(c.a.args[slices.Index(c.a.args, "rabbitmqctl")+1:])
	for i := range given {
		given[i] = withoutPassword(given[i])
	}
	return &ctlFailure{exit, fmt.Sprintf("Error (argument validation): %s\nArguments given:\n\t%s\n\n"+
		"Usage\n\nrabbitmqctl [--node <node>] [--quiet] %s", why, strings.Join(given, " "),
		strings.TrimSpace(usage))}
}

func (c *ctl) wrongFlag(cmd *cobra.Command, err error) error {
	return c.wrongUsage(ctlUsage, "Invalid options for this command:\n"+err.Error(),
		strings.TrimPrefix(cmd.UseLine(), "tidings rabbitmqctl "))
}

// noCtlCommand is the answer to a command that there is not.
func noCtlCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &ctlFailure{ctlUsage, strings.TrimSpace(cmd.UsageString())}
	}
	text := fmt.Sprintf("\nCommand '%s' not found.", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("\nDid you mean '%s'?", near[0])
	} else {
		text += "\nUse 'rabbitmqctl help' to see all commands"
	}
	return &ctlFailure{ctlUsage, text}
}

func ctlHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [<command>]", Short: "Say how a command is used",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return noCtlCommand(root, args)
			}
			return cmd.Help()
		},
	}
}

// ctlRefused are commands of RabbitMQ that are not served, with the reason.
var ctlRefused = func() map[string]string {
	all := map[string]string{}
	for _, r := range []struct{ why, names string }{
		{"it evaluates Erlang, and there is none", "eval eval_file exec environment force_gc"},
		{"there is one node, and no cluster", "cluster_status join_cluster forget_cluster_node " +
			"rename_cluster_node update_cluster_nodes change_cluster_node_type await_online_nodes " +
			"force_boot force_standalone_khepri_boot sync_queue cancel_sync_queue set_cluster_name"},
		{"the broker is one process: end it with SIGTERM, and start it with tidings serve",
			"stop stop_app start_app shutdown wait restart_vhost"},
		{"remove its data directory instead", "reset force_reset"},
		{"log and disk limits are settings of tidings serve", "set_log_level rotate_logs set_disk_free_limit"},
		{"listeners stay open", "suspend_listeners resume_listeners"},
		{"limits of users and virtual hosts are not built", "set_user_limits clear_user_limits " +
			"list_user_limits set_vhost_limits clear_vhost_limits list_vhost_limits"},
		{"runtime parameters are not built, other than policies", "set_parameter clear_parameter " +
			"list_parameters set_global_parameter clear_global_parameter list_global_parameters"},
		{"there are no feature flags", "list_feature_flags enable_feature_flag list_deprecated_features"},
		{"nothing is published to the firehose: bind a queue instead", "trace_on trace_off"},
		{"configuration files hold no secrets", "encode decode list_ciphers list_hashes"},
		{"use status and the list commands", "report list_unresponsive_queues node_health_check"},
	} {
		for _, name := range strings.Fields(r.names) {
			all[name] = r.why
		}
	}
	return all
}()

func refusedCommand(name, why string) *cobra.Command {
	return &cobra.Command{Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return ctlFailed(ctlUnavailable, "%s is not served: %s", name, why)
		}}
}

// printCtlFailure says what failed, and returns the exit code.
func (a *app) printCtlFailure(f *ctlFailure) int {
	if f.text != "" {
		fmt.Fprintln(a.errOut, f.text)
	}
	return f.exit
}

// asCtlFailure is an error that rabbitmqctl tells in its own way.
func asCtlFailure(err error) (f *ctlFailure, ok bool) {
	ok = errors.As(err, &f)
	return f, ok
}
