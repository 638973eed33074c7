package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// bindFlags say which records a binding leads on, or a link.
type bindFlags struct {
	key     string
	given   bool // the key
	args    []string
	fromAll bool
}

func (a *app) bindCommand() *cobra.Command {
	return a.bindingCommand(&cobra.Command{
		Use:   "bind FROM TO",
		Short: "Lead records of an exchange or a topic to a queue, a topic or an exchange",
		Long: `Lead records of an exchange to a queue, a topic (topic/NAME) or another exchange
(exchange/NAME). Which ones the type of the exchange decides: by --key, or by --arg for headers.

From a topic (topic/NAME) every record is led to a queue or an exchange, once, in the order of its
partition, from now on or --from-start. --key is the routing key in place of the record's. How far
that has come is the lag of a group, see tidings lag.`,
		Example: "  tidings bind shop mail --key 'order.*'\n" +
			"  tidings bind shop topic/audit --key '#'\n" +
			"  tidings bind amq.headers mail --arg x-match=any --arg source=shop\n" +
			"  tidings bind topic/orders mail --from-start",
	}, "bound", ways{(*apiClient).Bind, (*apiClient).Link})
}

func (a *app) unbindCommand() *cobra.Command {
	return a.bindingCommand(&cobra.Command{
		Use:     "unbind FROM TO",
		Short:   "End a binding",
		Long:    `End what was bound with the same names, --key and --arg.`,
		Example: "  tidings unbind shop mail --key 'order.*'\n  tidings unbind topic/orders mail",
	}, "unbound", ways{(*apiClient).Unbind, (*apiClient).Unlink})
}

// ways are what a command does with the binding of an exchange, and the link of a topic.
type ways struct {
	binding func(*apiClient, context.Context, console.Binding) error
	link    func(*apiClient, context.Context, console.Link) error
}

func (a *app) bindingCommand(cmd *cobra.Command, done string, do ways) *cobra.Command {
	var f bindFlags
	cmd.Args = between(2, 2)
	cmd.ValidArgsFunction = a.completeNames
	cmd.RunE = a.with(func(ctx context.Context, c client, args []string) error {
		api, err := queuesOf(c)
		if err != nil {
			return err
		}
		f.given = cmd.Flags().Changed("key")
		if kind, topic := splitKind(args[0]); kind == "topic" {
			return a.linkTopic(ctx, api, f, topic, args[1], done, do)
		}
		b, err := f.binding(args[0], args[1])
		if err != nil {
			return err
		}
		if err := do.binding(api, ctx, b); err != nil {
			return err
		}
		a.note("%s %s and %s%s", done, b.Source, bindingTarget(b), keyNote(b.Key))
		return nil
	})
	cmd.Flags().StringVarP(&f.key, "key", "k", "", "routing key, or pattern of a topic exchange")
	cmd.Flags().StringArrayVar(&f.args, "arg", nil, "argument, NAME=VALUE; repeatable")
	if done == "bound" {
		cmd.Flags().BoolVar(&f.fromAll, "from-start", false, "all records that the topic has, too")
	}
	a.addTarget(cmd)
	return cmd
}

func (a *app) linkTopic(
	ctx context.Context, api *apiClient, f bindFlags, topic, to, done string, do ways,
) error {
	l, err := f.link(topic, to)
	if err != nil {
		return err
	}
	if err := do.link(api, ctx, l); err != nil {
		return err
	}
	target := bindingTarget(console.Binding{Queue: l.Queue, ToExchange: l.ToExchange})
	a.note("%s topic/%s and %s%s", done, topic, target, keyNote(f.key))
	return nil
}

func (f bindFlags) link(topic, to string) (l console.Link, err error) {
	l = console.Link{Topic: topic}
	switch kind, name := splitKind(to); kind {
	case "", "queue":
		l.Queue = name
	case "exchange":
		l.ToExchange = name
	default:
		return l, usage("a topic leads to a queue or an exchange, not to a " + kind)
	}
	if len(f.args) > 0 {
		return l, usage("a topic has no --arg: it leads every record")
	}
	if f.given {
		l.Key = &f.key
	}
	if f.fromAll {
		l.From = "start"
	}
	return l, nil
}

func keyNote(key string) string {
	if key == "" {
		return ""
	}
	return " by key " + quote(key)
}

func (f bindFlags) binding(from, to string) (b console.Binding, err error) {
	if f.fromAll {
		return b, usage("--from-start is for topics: an exchange keeps no records")
	}
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
