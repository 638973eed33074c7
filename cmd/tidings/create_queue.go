package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

// queueFlags are the arguments of a queue as flags.
type queueFlags struct {
	transient, autoDelete, ifMissing bool

	ttl, expires          string
	maxLength, maxBytes   int64
	overflow              string
	deadExchange, deadKey string
	deadQueue             string
	priority              int
	deliveryLimit         int64
	singleActive          bool
	args                  []string
	given                 func(flag string) bool
}

func (a *app) createQueueCommand() *cobra.Command {
	var f queueFlags
	cmd := &cobra.Command{
		Use:   "queue NAME",
		Short: "Create a queue",
		Long: `Create a queue: each of its records goes to one consumer. The flags stand for the
arguments of an AMQP client, which may declare the queue again with the same; --arg
gives any of them.`,
		Example: "  tidings create queue mail\n" +
			"  tidings create queue mail --ttl 1h --max-length 10000 --dead-letter-queue dead\n" +
			"  tidings create queue jobs --priority 5 --arg x-queue-type=quorum",
		Args:              between(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.given = cmd.Flags().Changed
			return a.with(func(ctx context.Context, c client, args []string) error {
				return a.createQueue(ctx, c, args[0], f)
			})(cmd, args)
		},
	}
	f.add(cmd)
	a.addTarget(cmd)
	return cmd
}

var overflowWords = []string{"drop-head", "reject-publish", "reject-publish-dlx"}

func (f *queueFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&f.transient, "transient", false, "the queue and its records are gone after a restart")
	fs.BoolVar(&f.autoDelete, "auto-delete", false, "delete it when its last consumer has gone")
	fs.StringVar(&f.ttl, "ttl", "", "records expire after this time: 500ms, 36h, 7d (x-message-ttl)")
	fs.StringVar(&f.expires, "expires", "", "delete it after this time without use (x-expires)")
	fs.Int64Var(&f.maxLength, "max-length", 0, "most records that wait (x-max-length)")
	fs.Int64Var(&f.maxBytes, "max-length-bytes", 0, "most bytes of bodies that wait (x-max-length-bytes)")
	fs.Var(&choice{&f.overflow, overflowWords}, "overflow",
		"what becomes of more: drop-head, reject-publish or reject-publish-dlx (x-overflow)")
	fs.StringVar(&f.deadExchange, "dead-letter-exchange", "",
		"what is rejected, expires or is too much goes there (x-dead-letter-exchange)")
	fs.StringVar(&f.deadKey, "dead-letter-key", "", "with this routing key (x-dead-letter-routing-key)")
	fs.StringVar(&f.deadQueue, "dead-letter-queue", "",
		"or straight to this queue: the default exchange and its name for a key")
	fs.IntVar(&f.priority, "priority", 0, "greatest priority that is told apart (x-max-priority)")
	fs.Int64Var(&f.deliveryLimit, "delivery-limit", 0,
		"how often a record may come back before it is a dead letter (x-delivery-limit)")
	fs.BoolVar(&f.singleActive, "single-active", false, "one consumer at a time (x-single-active-consumer)")
	fs.StringArrayVar(&f.args, "arg", nil, "any argument, NAME=VALUE; repeatable")
	fs.BoolVar(&f.ifMissing, "if-missing", false, "leave a queue that exists as it is")
	_ = cmd.RegisterFlagCompletionFunc("overflow",
		cobra.FixedCompletions(overflowWords, cobra.ShellCompDirectiveNoFileComp))
}

func (a *app) createQueue(ctx context.Context, c client, name string, f queueFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	q := console.NewQueue{Name: nameOf("queue", name), AutoDelete: f.autoDelete}
	if f.transient {
		q.Durable = new(bool)
	}
	if q.Args, err = f.arguments(); err != nil {
		return err
	}
	return a.created("queue", q.Name, f.ifMissing, api.CreateQueue(ctx, q))
}

// nameOf takes KIND/NAME for NAME where only that kind can be meant.
func nameOf(kind, name string) string {
	if k, rest := splitKind(name); k == kind {
		return rest
	}
	return name
}

func (a *app) created(kind, name string, ifMissing bool, err error) error {
	var known *failure
	switch {
	case errors.As(err, &known) && known.code == "exists" && ifMissing:
		a.note("%s %s exists already", kind, name)
		return nil
	case errors.As(err, &known) && known.code == "exists":
		return known.hint("see it", "tidings show "+kind+"/"+name).hint("no matter", "--if-missing")
	case err == nil:
		a.note("created %s %s", kind, name)
	}
	return err
}

// arguments are what the flags stand for. --arg goes before a flag.
func (f *queueFlags) arguments() (map[string]any, error) {
	args := map[string]any{}
	if f.deadQueue != "" {
		if f.given("dead-letter-exchange") || f.given("dead-letter-key") {
			return nil, usage("--dead-letter-queue says exchange and key: leave out the other two")
		}
		args["x-dead-letter-exchange"], args["x-dead-letter-routing-key"] = "", nameOf("queue", f.deadQueue)
	}
	for _, t := range []struct{ flag, text, arg string }{
		{"ttl", f.ttl, "x-message-ttl"}, {"expires", f.expires, "x-expires"},
	} {
		if !f.given(t.flag) {
			continue
		}
		d, err := console.ParseAge(t.text)
		if err != nil {
			return nil, usage("--" + t.flag + ": " + quote(t.text) + " is no time: 500ms, 36h, 7d")
		}
		args[t.arg] = int64(d / time.Millisecond)
	}
	for _, v := range []struct {
		flag, arg string
		value     any
	}{
		{"max-length", "x-max-length", f.maxLength}, {"max-length-bytes", "x-max-length-bytes", f.maxBytes},
		{"overflow", "x-overflow", f.overflow},
		{"dead-letter-exchange", "x-dead-letter-exchange", f.deadExchange},
		{"dead-letter-key", "x-dead-letter-routing-key", f.deadKey}, {"priority", "x-max-priority", f.priority},
		{"delivery-limit", "x-delivery-limit", f.deliveryLimit},
		{"single-active", "x-single-active-consumer", f.singleActive},
	} {
		if f.given(v.flag) {
			args[v.arg] = v.value
		}
	}
	return args, addArgs(args, f.args)
}

// addArgs reads NAME=VALUE: whole numbers, true and false are such, all else is text.
func addArgs(args map[string]any, given []string) error {
	for _, arg := range given {
		name, text, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return usage(quote(arg)+" is no argument").hint("like this", "--arg x-message-ttl=60000")
		}
		var value any = text
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			value = n
		} else if text == "true" || text == "false" {
			value = text == "true"
		}
		args[name] = value
	}
	return nil
}

// exchangeFlags say what an exchange is.
type exchangeFlags struct {
	kind                                       string
	alternate                                  string
	transient, autoDelete, internal, ifMissing bool
	args                                       []string
}

func (a *app) createExchangeCommand() *cobra.Command {
	f := exchangeFlags{kind: "direct"}
	cmd := &cobra.Command{
		Use:   "exchange NAME",
		Short: "Create an exchange",
		Long: `Create an exchange: it leads records to the queues that are bound to it, by type:
direct (equal keys), topic (patterns: order.*, #), fanout (all), headers (by properties).`,
		Example: "  tidings create exchange shop --type topic\n" +
			"  tidings bind shop mail --key 'order.*'\n" +
			"  tidings pub --exchange shop --key order.created hello",
		Args:              between(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			return a.createExchange(ctx, c, args[0], f)
		}),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.kind, "type", f.kind, "direct, topic, fanout, headers, x-consistent-hash, ...")
	fs.StringVar(&f.alternate, "alternate", "", "the exchange for what leads nowhere (alternate-exchange)")
	fs.BoolVar(&f.transient, "transient", false, "it is gone after a restart")
	fs.BoolVar(&f.autoDelete, "auto-delete", false, "delete it when its last binding has gone")
	fs.BoolVar(&f.internal, "internal", false, "it takes records of other exchanges only")
	fs.StringArrayVar(&f.args, "arg", nil, "any argument, NAME=VALUE; repeatable")
	fs.BoolVar(&f.ifMissing, "if-missing", false, "leave an exchange that exists as it is")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(
		[]string{"direct", "topic", "fanout", "headers"}, cobra.ShellCompDirectiveNoFileComp))
	a.addTarget(cmd)
	return cmd
}

func (a *app) createExchange(ctx context.Context, c client, name string, f exchangeFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	x := console.NewExchange{Name: nameOf("exchange", name), Type: f.kind, AutoDelete: f.autoDelete,
		Internal: f.internal, Args: map[string]any{}}
	if f.transient {
		x.Durable = new(bool)
	}
	if f.alternate != "" {
		x.Args["alternate-exchange"] = nameOf("exchange", f.alternate)
	}
	if err := addArgs(x.Args, f.args); err != nil {
		return err
	}
	return a.created("exchange", x.Name, f.ifMissing, api.CreateExchange(ctx, x))
}
