package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidings-io/tidings/console"
)

func (a *app) showQueue(ctx context.Context, c client, q console.QueueDetail) error {
	if a.form() == "table" && !a.quiet {
		a.queueHead(q)
		a.outboxLine(ctx, c, q)
		if len(q.Bindings) > 0 {
			fmt.Fprintln(a.out)
		}
	}
	return render(a, listing[console.Binding]{
		columns: bindingColumns, rows: q.Bindings, doc: q,
		name: func(b console.Binding) string { return b.Source },
	})
}

func (a *app) queueHead(q console.QueueDetail) {
	sep := a.term.glyph(" · ", ", ")
	holds := []string{count(q.Ready) + " ready", count(q.Leased) + " leased"}
	if q.Delayed > 0 {
		holds = append(holds, count(q.Delayed)+" delayed")
	}
	fmt.Fprintf(a.out, "%s  %s\n", a.term.out.paint(bold, "queue "+printable(q.Name)),
		strings.Join(append(holds, plural(int64(q.Subscriptions), "consumer"), size(q.Bytes)), sep))
	if q.Ready > 0 {
		fmt.Fprintf(a.out, "  oldest    %s\n", seconds(q.OldestSeconds))
	}
	fmt.Fprintf(a.out, "  kept      %s\n", strings.Join(queueTraits(q.Queue), sep))
	if does := queueSettings(q.Settings); len(does) > 0 {
		fmt.Fprintf(a.out, "  does      %s\n", printable(strings.Join(does, sep)))
	}
	if len(q.Policies) > 0 {
		fmt.Fprintf(a.out, "  policies  %s\n", printable(strings.Join(q.Policies, ", ")))
	}
	a.argsLine(q.Args)
	n := q.Counts
	fmt.Fprintf(a.out, "  so far    %d published%s%d delivered%s%d redelivered%s%d accepted%s%d rejected%s"+
		"%d expired%s%d dropped\n", n.Published, sep, n.Delivered, sep, n.Redelivered, sep, n.Accepted, sep,
		n.Rejected, sep, n.Expired, sep, n.Dropped)
	fmt.Fprintf(a.out, "  id        %s\n", q.ID)
}

func queueTraits(q console.Queue) []string {
	all := []string{"over a restart"}
	if !q.Durable {
		all[0] = "until a restart"
	}
	if q.AutoDelete {
		all = append(all, "until its last consumer has gone")
	}
	if q.Exclusive {
		all = append(all, "for one connection alone")
	}
	return all
}

// queueSettings says what a queue does, in words.
func queueSettings(s console.QueueSettings) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if s.TTLSeconds != nil {
		add("records expire after %s", seconds(*s.TTLSeconds))
	}
	if s.ExpiresSeconds != nil {
		add("the queue goes %s after its last use", seconds(*s.ExpiresSeconds))
	}
	if s.MaxLength != nil {
		add("at most %s (%s)", plural(*s.MaxLength, "record"), s.Overflow)
	}
	if s.MaxBytes != nil {
		add("at most %d bytes of bodies (%s)", *s.MaxBytes, s.Overflow)
	}
	if s.DeadLetterTo != nil {
		to := "dead letters to " + *s.DeadLetterTo
		if s.DeadLetterKey != nil {
			to += " with key " + *s.DeadLetterKey
		}
		add("%s", to)
	}
	if s.MaxPriority > 0 {
		add("priorities up to %d", s.MaxPriority)
	}
	if s.SingleActive {
		add("one consumer at a time")
	}
	if s.DeliveryLimit != nil {
		add("at most %d redeliveries", *s.DeliveryLimit)
	}
	if s.MaxReceives != nil {
		add("at most %d receives", *s.MaxReceives)
	}
	if s.DelaySeconds != nil {
		add("ready after %s", seconds(*s.DelaySeconds))
	}
	if s.RetentionSeconds != nil {
		add("kept for %s", seconds(*s.RetentionSeconds))
	}
	return all
}

// argsLine shows arguments, and those that SQS and SNS keep of theirs as they name them.
func (a *app) argsLine(args map[string]any) {
	rest := maps.Clone(args)
	for _, face := range []string{"sqs", "sns"} {
		own, _ := rest[face].(map[string]any)
		for _, of := range []string{"attributes", "tags"} {
			if set, _ := own[of].(map[string]any); len(set) > 0 {
				fmt.Fprintf(a.out, "  %-8s  %s\n", face, printable(of+": "+argsText(set)))
			}
		}
		delete(rest, face)
	}
	if len(rest) > 0 {
		fmt.Fprintf(a.out, "  args      %s\n", printable(argsText(rest)))
	}
}

func argsText(args map[string]any) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		value, ok := args[name].(string)
		if !ok {
			b, _ := json.Marshal(args[name]) // it came as JSON
			value = string(b)
		}
		all = append(all, name+"="+value)
	}
	return strings.Join(all, " ")
}

var bindingColumns = []column[console.Binding]{
	{title: "FROM", show: func(b console.Binding) string { return b.Source }},
	{title: "TO", show: bindingTarget},
	{title: "KEY", show: func(b console.Binding) string { return b.Key }},
	{title: "ARGS", show: func(b console.Binding) string { return argsText(b.Args) }},
}

func bindingTarget(b console.Binding) string {
	switch {
	case b.Queue != "":
		return "queue/" + b.Queue
	case b.Topic != "":
		return "topic/" + b.Topic
	}
	return "exchange/" + b.ToExchange
}

func (a *app) showExchange(x console.ExchangeDetail) error {
	if a.form() == "table" && !a.quiet {
		a.exchangeHead(x)
	}
	return render(a, listing[console.Binding]{
		columns: bindingColumns, rows: x.Bindings, doc: x, name: bindingTarget,
	})
}

func (a *app) exchangeHead(x console.ExchangeDetail) {
	sep := a.term.glyph(" · ", ", ")
	fmt.Fprintf(a.out, "%s  %s%s%s\n", a.term.out.paint(bold, "exchange "+printable(x.Name)), printable(x.Type),
		sep, plural(int64(x.BoundTo), "binding"))
	traits := []string{"over a restart"}
	switch {
	case x.BuiltIn:
		traits[0] = "always there"
	case !x.Durable:
		traits[0] = "until a restart"
	}
	if x.AutoDelete {
		traits = append(traits, "until its last binding has gone")
	}
	if x.Internal {
		traits = append(traits, "for other exchanges only")
	}
	fmt.Fprintf(a.out, "  kept      %s\n", strings.Join(traits, sep))
	if x.Alternate != "" {
		fmt.Fprintf(a.out, "  else to   %s\n", printable(x.Alternate))
	}
	a.argsLine(x.Args)
	if len(x.Bindings) > 0 {
		fmt.Fprintln(a.out)
	}
}
