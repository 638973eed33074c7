package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/tidings-io/tidings/console"
)

func (a *app) showSNS(ctx context.Context, c client, d snsDetail) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	if d.Tags, err = actions(api.AWS).snsTags(ctx, d.ARN); err != nil {
		return err
	}
	if d.Subscriptions, err = api.Subscriptions(ctx, d.Name); err != nil {
		return err
	}
	if a.form() == "table" && !a.quiet {
		a.snsHead(d)
	}
	return render(a, listing[subscription]{
		columns: subscriptionColumns, rows: d.Subscriptions, doc: d, name: func(s subscription) string { return s.To },
	})
}

func (a *app) snsHead(d snsDetail) {
	sep := a.term.glyph(" · ", ", ")
	holds := []string{d.Type, plural(d.Confirmed, "subscription")}
	if d.Pending > 0 {
		holds = append(holds, count(d.Pending)+" pending")
	}
	title := kindTitle("sns") + " " + printable(d.Name)
	fmt.Fprintf(a.out, "%s  %s\n", a.term.out.paint(bold, title), strings.Join(holds, sep))
	fmt.Fprintf(a.out, "  arn       %s\n", printable(d.ARN))
	a.argsLine(d.args)
	if len(d.Subscriptions) > 0 {
		fmt.Fprintln(a.out)
	}
}

var subscriptionColumns = []column[subscription]{
	{title: "TO", show: func(s subscription) string { return s.To }},
	{title: "PROTOCOL", show: func(s subscription) string { return s.Protocol }},
	{title: "STATE", show: subscription.state},
	{title: "RAW", show: func(s subscription) string { return yesNo(s.Raw) }},
	{title: "WAITING", right: true, show: func(s subscription) string { return count(s.Ready) },
		raw: func(s subscription) string { return known(s.Ready) }},
	{title: "OLDEST", right: true, show: func(s subscription) string { return seconds(s.OldestSeconds) },
		raw: func(s subscription) string { return rawSeconds(s.OldestSeconds) }},
	{title: "DEAD LETTERS", show: func(s subscription) string { return orDash(s.DeadLetterQueue) }},
	{title: "FILTER", show: subscription.filter},
}

// state is confirmed or pending, or that there is no queue: then what it gets is a dead letter, or lost.
func (s subscription) state() string {
	switch {
	case s.Pending:
		return "pending"
	case s.Queue != "" && s.Ready < 0:
		return "no queue"
	}
	return "confirmed"
}

// filter is the policy; one of the body says so.
func (s subscription) filter() string {
	if s.Filter != "" && s.FilterScope == scopeBody {
		return "body " + s.Filter
	}
	return orDash(s.Filter)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// outboxLine says what a queue of SNS's own waits for.
func (a *app) outboxLine(ctx context.Context, c client, q console.QueueDetail) {
	api, err := queuesOf(c)
	if err != nil {
		return // Kafka has no queues
	}
	if waits := api.outboxes(ctx, []string{q.Name})[q.Name]; waits != "" {
		fmt.Fprintf(a.out, "  waits for %s\n", printable(waits))
	}
}

// scopeBody is the scope of filter policies about bodies.
const scopeBody = "MessageBody"
