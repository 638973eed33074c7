package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeTimeout bounds a completion: a shell that hangs on Tab is worse than
// no completion.
const completeTimeout = 500 * time.Millisecond

// completions asks the server for names; it offers nothing if none answers.
func (a *app) completions(
	cmd *cobra.Command, prefix string, list func(context.Context, client) []string,
) ([]string, cobra.ShellCompDirective) {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completeTimeout)
	defer cancel()
	c, err := a.connect(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	var names []string
	for _, n := range list(ctx, c) {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func topicNames(ctx context.Context, c client) []string {
	topics, _ := c.Topics(ctx) // no server, no names
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	return names
}

func groupNames(ctx context.Context, c client) []string {
	groups, _ := c.Groups(ctx) // no server, no names
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names
}

// completeTopics completes --topic.
func (a *app) completeTopics(
	cmd *cobra.Command, _ []string, prefix string,
) ([]string, cobra.ShellCompDirective) {
	return a.completions(cmd, prefix, topicNames)
}

// completeTargets completes the first argument of pub and sub.
func (a *app) completeTargets(
	cmd *cobra.Command, args []string, prefix string,
) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.completeNames(cmd, args, prefix)
}

func (a *app) completeGroups(
	cmd *cobra.Command, _ []string, prefix string,
) ([]string, cobra.ShellCompDirective) {
	return a.completions(cmd, prefix, groupNames)
}

// completeLag completes what lag measures: all but topics and exchanges.
func (a *app) completeLag(
	cmd *cobra.Command, args []string, prefix string,
) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeKinds(cmd, prefix, "group", "queue", "sns")
}

// completeQueues completes the name of a queue, without its kind.
func (a *app) completeQueues(
	cmd *cobra.Command, _ []string, prefix string,
) ([]string, cobra.ShellCompDirective) {
	return a.completions(cmd, prefix, func(ctx context.Context, c client) (names []string) {
		if api, err := queuesOf(c); err == nil {
			queues, _ := api.Queues(ctx) // no server, no names
			for _, q := range queues {
				names = append(names, q.Name)
			}
		}
		return names
	})
}

func (a *app) completeGroupThenTopic(
	cmd *cobra.Command, args []string, prefix string,
) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.completeGroups(cmd, args, prefix)
	case 1:
		return a.completions(cmd, prefix, topicNames)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeNames completes names of everything, with its kind where a plain name means
// another.
func (a *app) completeNames(
	cmd *cobra.Command, _ []string, prefix string,
) ([]string, cobra.ShellCompDirective) {
	return a.completeKinds(cmd, prefix, kinds...)
}

func (a *app) completeKinds(
	cmd *cobra.Command, prefix string, wanted ...string,
) ([]string, cobra.ShellCompDirective) {
	return a.completions(cmd, prefix, func(ctx context.Context, c client) []string {
		all, _ := listAll(ctx, c) // no server, no names
		rows := all.things()
		name := uniqueNames(rows)
		var names []string
		for _, r := range rows {
			if !slices.Contains(wanted, r.Kind) {
				continue
			}
			if strings.HasPrefix(prefix, r.Kind+"/") {
				names = append(names, r.Kind+"/"+r.Name)
				continue
			}
			names = append(names, name(r))
		}
		return names
	})
}
