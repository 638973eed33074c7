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
		Short: "Delete topics or consumer groups",
		Long: `Delete topics with all their records, or groups with their cursors. What is not
empty needs --yes. A name that both have is written topic:NAME or group:NAME.`,
		Example:           "  tidings rm orders --yes\n  tidings rm group:billing",
		Args:              between(1, -1),
		ValidArgsFunction: a.completeNames,
		RunE: a.with(func(ctx context.Context, c client, args []string) error {
			return a.rm(ctx, c, args, yes)
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "delete although there is something in it")
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
		if err := a.rmOne(ctx, c, n); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether both mean the same topic or group.
func (n named) same(o named) bool {
	switch {
	case n.topic != nil && o.topic != nil:
		return n.topic.Name == o.topic.Name
	case n.group != nil && o.group != nil:
		return n.group.Name == o.group.Name
	}
	return false
}

// content says what would be lost; "" if nothing.
func (n named) content() string {
	switch {
	case n.topic != nil && n.topic.Records > 0:
		return fmt.Sprintf("topic %s holds %s", n.topic.Name, plural(n.topic.Records, "record"))
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

func (a *app) rmOne(ctx context.Context, c client, n named) error {
	if n.topic != nil {
		if err := c.DeleteTopic(ctx, n.topic.Name); err != nil {
			return err
		}
		a.note("deleted topic %s", n.topic.Name)
		return nil
	}
	if err := c.DeleteGroup(ctx, n.group.Name); err != nil {
		return err
	}
	a.note("deleted group %s", n.group.Name)
	return nil
}
