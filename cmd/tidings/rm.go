package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidings-io/tidings/console"
)

func (a *app) rmCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm NAME...",
		Short: "Delete topics, queues, exchanges, topics of SNS or consumer groups",
		Long: `Delete topics and queues with all their records, exchanges with their bindings,
topics of SNS with their subscriptions, or groups with their cursors. What is not empty or in
use needs --yes. A name that several have is written topic/NAME, queue/NAME, exchange/NAME,
sns/NAME or group/NAME.`,
		Example:           "  tidings rm orders --yes\n  tidings rm queue/mail\n  tidings rm group/billing",
		Args:              between(1, -1),
		ValidArgsFunction: a.completeNames,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			return a.rm(ctx, c, args, yes)
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "delete although there is something in it, or someone uses it")
	a.addTarget(cmd)
	return cmd
}

// rm checks all names before it deletes the first.
func (a *app) rm(ctx context.Context, c client, names []string, yes bool) error {
	var all []named
	for _, name := range names {
		found, err := resolveName(ctx, c, name)
		if err != nil {
			return err
		}
		if full := found.content(); full != "" && !yes {
			return conflict("%s; nothing was deleted", full).
				hint("delete it all", fmt.Sprintf("tidings rm %s --yes", name))
		}
		if slices.ContainsFunc(all, found.same) {
			return usage(quote(name) + " is named twice; nothing was deleted")
		}
		all = append(all, found)
	}
	for _, n := range all {
		if err := a.rmOne(ctx, c, n, yes); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether both mean the same thing.
func (n named) same(o named) bool { return n.String() == o.String() }

// content says what would be lost; "" if nothing.
func (n named) content() string {
	switch {
	case n.topic != nil && n.topic.Records > 0:
		return fmt.Sprintf("topic %s holds %s", n.topic.Name, plural(n.topic.Records, "record"))
	case n.queue != nil && n.queue.Ready+n.queue.Leased > 0:
		return fmt.Sprintf("queue %s holds %s", n.queue.Name, plural(n.queue.Ready+n.queue.Leased, "record"))
	case n.queue != nil && n.queue.Subscriptions > 0:
		return fmt.Sprintf("queue %s has %s", n.queue.Name, plural(int64(n.queue.Subscriptions), "consumer"))
	case n.exchange != nil && n.exchange.BoundTo > 0:
		return fmt.Sprintf("exchange %s has %s", n.exchange.Name, plural(int64(n.exchange.BoundTo), "binding"))
	case n.sns != nil && n.sns.Confirmed+n.sns.Pending > 0:
		return fmt.Sprintf("%s %s has %s", kindTitle("sns"), n.sns.Name,
			plural(n.sns.Confirmed+n.sns.Pending, "subscription"))
	case n.group != nil && cursors(n.group.Cursors) > 0:
		return fmt.Sprintf("group %s has %s", n.group.Name,
			plural(cursors(n.group.Cursors), "cursor"))
	}
	return ""
}

// cursors counts those that are there: a row without one is at offset -1.
func cursors(rows []console.Cursor) (n int64) {
	for _, c := range rows {
		if c.Offset >= 0 {
			n++
		}
	}
	return n
}

func (a *app) rmOne(ctx context.Context, c client, n named, sure bool) error {
	if err := n.remove(ctx, c, sure); err != nil {
		return err
	}
	kind, name := splitKind(n.String())
	a.note("deleted %s %s", kindTitle(kind), name)
	return nil
}

// remove deletes it. Unless sure, the server looks once more whether a queue or exchange
// is empty and unused: somebody may have come meanwhile.
func (n named) remove(ctx context.Context, c client, sure bool) error {
	switch {
	case n.topic != nil:
		return c.DeleteTopic(ctx, n.topic.Name)
	case n.group != nil:
		return c.DeleteGroup(ctx, n.group.Name)
	}
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	switch {
	case n.queue != nil:
		return api.DeleteQueue(ctx, n.queue.Name, sure)
	case n.sns != nil:
		return actions(api.AWS).sns(ctx, "DeleteTopic", map[string]any{"TopicArn": n.sns.ARN}, &struct{}{})
	}
	return api.DeleteExchange(ctx, n.exchange.Name, sure)
}
