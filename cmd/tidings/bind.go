package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) bindCommand() *cobra.Command {
	var f bindFlags
	cmd := a.bindingCommand(&f, &cobra.Command{
		Use:   "bind FROM TO",
		Short: "Lead records of an exchange or a topic to a queue, a topic or an exchange",
		Long: `Lead records of an exchange to a queue, a topic (topic/NAME), another exchange (exchange/NAME)
or a topic of SNS (sns/NAME). Which ones the type of the exchange decides: by --key, or by --arg for
headers.

From a topic (topic/NAME) every record is led to a queue, an exchange or a topic of SNS, once, in
the order of its partition, from now on or --from-start. --key is the routing key in place of the
record's. How far that has come is the lag of a group, see tidings lag.

From a topic of SNS (sns/NAME) messages are led to a queue of SQS, a topic (topic/NAME), an exchange
(exchange/NAME, with --key, else the key is the name of the topic of SNS) or an http:// or https://
URL: what Subscribe of SNS does. Each gets what --filter lets pass, as a signed document or --raw.`,
		Example: "  tidings bind shop mail --key 'order.*'\n" +
			"  tidings bind shop topic/audit --key '#'\n" +
			"  tidings bind amq.headers mail --arg x-match=any --arg source=shop\n" +
			"  tidings bind topic/orders mail --from-start\n" +
			"  tidings bind sns/alerts jobs --raw --filter '{\"level\":[\"high\"]}'\n" +
			"  tidings bind sns/alerts https://example.org/hook --dead-letter-queue dead",
	}, a.bind)
	fs := cmd.Flags()
	fs.BoolVar(&f.fromAll, "from-start", false, "all records that the topic has, too")
	f.sub.add(fs)
	fs.StringVar(&f.sub.deadQueue, "dead-letter-queue", "", "of SNS: what cannot be delivered goes to this queue of SQS")
	_ = cmd.RegisterFlagCompletionFunc("dead-letter-queue", a.completeQueues)
	completeScopes(cmd)
	return cmd
}

func (a *app) unbindCommand() *cobra.Command {
	return a.bindingCommand(new(bindFlags), &cobra.Command{
		Use:   "unbind FROM TO",
		Short: "End a binding",
		Long:  `End what was bound with the same names, --key and --arg.`,
		Example: "  tidings unbind shop mail --key 'order.*'\n  tidings unbind topic/orders mail\n" +
			"  tidings unbind sns/alerts https://example.org/hook",
	}, a.unbind)
}

func (a *app) bindingCommand(
	f *bindFlags, cmd *cobra.Command, do func(context.Context, *apiClient, bond) error,
) *cobra.Command {
	cmd.Args = between(2, 2)
	cmd.ValidArgsFunction = a.completeNames
	cmd.RunE = a.with(func(ctx context.Context, c client, args []string) error {
		api, err := queuesOf(c)
		if err != nil {
			return err
		}
		f.keyed = cmd.Flags().Changed("key")
		b, err := f.bond(api.from(ctx, args[0]), args[1])
		if err != nil {
			return err
		}
		return do(ctx, api, b)
	})
	cmd.Flags().StringVarP(&f.key, "key", "k", "", "routing key, or pattern of a topic exchange")
	cmd.Flags().StringArrayVar(&f.args, "arg", nil, "argument, NAME=VALUE; repeatable")
	a.addTarget(cmd)
	return cmd
}

// from is the name of what a binding leads from: a plain one is an exchange's, or that of a topic of SNS.
func (c *apiClient) from(ctx context.Context, name string) string {
	if kind, _ := splitKind(name); kind == "" && c.isSNS(ctx, name) {
		return "sns/" + name
	}
	return name
}

func (a *app) bind(ctx context.Context, api *apiClient, b bond) error {
	pending, err := b.make(ctx, apiBinder{api})
	if err != nil {
		return err
	}
	a.note("bound %s and %s%s", b.from, b.to, keyNote(b.key))
	if pending {
		a.note("%s gets nothing before it has confirmed that by a GET of the SubscribeURL which it was sent", b.to)
	}
	return nil
}

func (a *app) unbind(ctx context.Context, api *apiClient, b bond) error {
	if err := b.end(ctx, api); err != nil {
		return err
	}
	a.note("unbound %s and %s%s", b.from, b.to, keyNote(b.key))
	return nil
}

func keyNote(key string) string {
	if key == "" {
		return ""
	}
	return " by key " + quote(key)
}
