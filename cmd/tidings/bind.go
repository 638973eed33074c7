package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// bindFlags say which records a binding leads on.
type bindFlags struct {
	key  string
	args []string
}

func (a *app) bindCommand() *cobra.Command {
	return a.bindingCommand(&cobra.Command{
		Use:   "bind EXCHANGE QUEUE",
		Short: "Lead records of an exchange to a queue, a topic or another exchange",
		Long: `Lead records of an exchange to a queue, a topic (topic/NAME) or another exchange
(exchange/NAME). Which ones the type of the exchange decides: by --key, or by --arg for headers.`,
		Example: "  tidings bind shop mail --key 'order.*'\n" +
			"  tidings bind shop topic/audit --key '#'\n" +
			"  tidings bind amq.headers mail --arg x-match=any --arg source=shop",
	}, "bound", (*apiClient).Bind)
}

func (a *app) unbindCommand() *cobra.Command {
	return a.bindingCommand(&cobra.Command{
		Use:     "unbind EXCHANGE QUEUE",
		Short:   "End a binding",
		Long:    `End the binding that was made with the same names, --key and --arg.`,
		Example: "  tidings unbind shop mail --key 'order.*'",
	}, "unbound", (*apiClient).Unbind)
}

func (a *app) bindingCommand(
	cmd *cobra.Command, done string, do func(*apiClient, context.Context, console.Binding) error,
) *cobra.Command {
	var f bindFlags
	cmd.Args = between(2, 2)
	cmd.ValidArgsFunction = a.completeNames
	cmd.RunE = a.with(func(ctx context.Context, c client, args []string) error {
		api, err := queuesOf(c)
		if err != nil {
			return err
		}
		b, err := f.binding(args[0], args[1])
		if err != nil {
			return err
		}
		if err := do(api, ctx, b); err != nil {
			return err
		}
		a.note("%s %s and %s%s", done, b.Source, bindingTarget(b), keyNote(b.Key))
		return nil
	})
	cmd.Flags().StringVarP(&f.key, "key", "k", "", "routing key, or pattern of a topic exchange")
	cmd.Flags().StringArrayVar(&f.args, "arg", nil, "argument, NAME=VALUE; repeatable")
	a.addTarget(cmd)
	return cmd
}

func keyNote(key string) string {
	if key == "" {
		return ""
	}
	return " by key " + quote(key)
}

func (f bindFlags) binding(from, to string) (b console.Binding, err error) {
	b = console.Binding{Source: nameOf("exchange", from), Key: f.key, Args: map[string]any{}}
	switch kind, name := splitKind(to); kind {
	case "", "queue":
		b.Queue = name
	case "topic":
		b.Topic = name
	case "exchange":
		b.ToExchange = name
	default:
		return b, usage("a binding leads to a queue, a topic or an exchange, not to a " + kind)
	}
	return b, addArgs(b.Args, f.args)
}
