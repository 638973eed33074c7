package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/console"
)

// named is what a name means: one of these is not nil.
type named struct {
	topic    *console.TopicDetail
	queue    *console.QueueDetail
	exchange *console.ExchangeDetail
	sns      *snsDetail // without its subscriptions
	group    *console.GroupDetail
}

// kinds are the words before the slash of a name, in the order of looking.
var kinds = []string{"topic", "queue", "exchange", "sns", "group"}

// kindTitle is what a kind is called in a sentence.
func kindTitle(kind string) string {
	if kind == "sns" {
		return "topic of SNS"
	}
	return kind
}

func kindTitles(kinds []string) []string {
	all := make([]string, len(kinds))
	for i := range kinds {
		all[i] = kindTitle(kinds[i])
	}
	return all
}

// splitKind takes the kind from KIND/NAME; "" where there is none.
func splitKind(name string) (kind, rest string) {
	kind, rest, ok := strings.Cut(name, "/")
	if ok && slices.Contains(kinds, kind) {
		return kind, rest
	}
	return "", name
}

// resolveName finds what NAME means, if only one thing has it, or KIND/NAME.
func resolveName(ctx context.Context, c client, name string) (named, error) {
	return resolveAmong(ctx, c, name, kinds)
}

func resolveAmong(ctx context.Context, c client, name string, among []string) (found named, err error) {
	kind, rest := splitKind(name)
	if kind != "" {
		if !slices.Contains(among, kind) {
			return found, usage("a " + kindTitle(kind) + " is none of " + strings.Join(kindTitles(among), ", "))
		}
		return lookUp(ctx, c, kind, rest)
	}
	if _, err := queuesOf(c); err != nil {
		among = slices.DeleteFunc(slices.Clone(among), isOfQueues)
	}
	var has []string
	var near []hint
	for _, kind := range among {
		one, err := lookUp(ctx, c, kind, rest)
		switch {
		case err == nil:
			found, has = one, append(has, kind)
		case !isNotFound(err):
			return found, err
		default:
			near = append(near, meantHints(err)...)
		}
	}
	switch len(has) {
	case 0:
		return found, nothingNamed(rest, among, near)
	case 1:
		return found, nil
	}
	return found, ambiguous(rest, has)
}

func isOfQueues(kind string) bool { return kind == "queue" || kind == "exchange" || kind == "sns" }

// lookUp asks for one kind. The default exchange has no name of its own to find, and the exchange that is a topic
// of SNS is that topic.
func lookUp(ctx context.Context, c client, kind, name string) (n named, err error) {
	if name == "" {
		return n, usage(kind + "/: a name is missing")
	}
	switch kind {
	case "topic":
		t, err := c.Topic(ctx, name)
		return named{topic: &t}, err
	case "group":
		g, err := c.Group(ctx, name)
		return named{group: &g}, err
	}
	api, err := queuesOf(c)
	if err != nil {
		return n, err
	}
	switch kind {
	case "queue":
		q, err := api.Queue(ctx, name)
		return named{queue: &q}, err
	case "sns":
		d, err := api.SNSTopic(ctx, name)
		return named{sns: &d}, err
	}
	x, err := api.Exchange(ctx, name)
	if err == nil && x.Type == snsType {
		err = notFound("exchange", name).hint("a topic of SNS", "sns/"+name)
	}
	return named{exchange: &x}, err
}

func isNotFound(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.exit == exitNotFound
}

func meantHints(err error) (all []hint) {
	var f *failure
	if !errors.As(err, &f) {
		return nil
	}
	for _, h := range f.hints {
		if h.label == didYouMean {
			all = append(all, h)
		}
	}
	return all
}

func nothingNamed(name string, among []string, near []hint) *failure {
	among = kindTitles(among)
	f := notFound(strings.Join(among[:len(among)-1], ", ")+" or "+among[len(among)-1], name)
	for i, h := range near {
		if !slices.Contains(near[:i], h) {
			f = f.hint(h.label, h.text)
		}
	}
	return f.hint("see all", "tidings ls")
}

func ambiguous(name string, has []string) *failure {
	f := conflict("%s are named %q", withArticles(kindTitles(has)), name)
	for _, kind := range has {
		f = f.hint("the "+kindTitle(kind), kind+"/"+name)
	}
	return f
}

// withArticles writes "a topic, an exchange and a group".
func withArticles(words []string) string {
	var all []string
	for _, w := range words {
		article := "a "
		if strings.ContainsAny(w[:1], "aeiou") {
			article = "an "
		}
		all = append(all, article+w)
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// String is the name as every command takes it, whatever else has the same.
func (n named) String() string {
	switch {
	case n.topic != nil:
		return "topic/" + n.topic.Name
	case n.queue != nil:
		return "queue/" + n.queue.Name
	case n.exchange != nil:
		return "exchange/" + n.exchange.Name
	case n.sns != nil:
		return "sns/" + n.sns.Name
	}
	return "group/" + n.group.Name
}
