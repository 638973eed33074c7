package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-io/tidings/console"
)

// destination is where records go to or come from.
type destination struct {
	kind, name string
	aws        bool // it is a queue of SQS
}

func (d destination) String() string { return d.kind + "/" + d.name }

// target is what pub's flags and first argument name, and what is left.
func (f pubFlags) target(ctx context.Context, c client, args []string) (destination, []string, error) {
	if f.exchange != "" {
		_, err := queuesOf(c)
		return destination{kind: "exchange", name: nameOf("exchange", f.exchange)}, args, err
	}
	d, err := resolveTarget(ctx, c, args[0], "topic", "queue", "exchange", "sns")
	return d, args[1:], err
}

// resolveTarget finds which of a few kinds a name means. One that nothing has is a
// topic: pub may create it.
func resolveTarget(ctx context.Context, c client, name string, among ...string) (destination, error) {
	if kind, _ := splitKind(name); !isOfQueues(kind) && !hasQueues(c) {
		return destination{kind: "topic", name: nameOf("topic", name)}, nil
	}
	n, err := resolveAmong(ctx, c, name, among)
	if kind, _ := splitKind(name); kind == "" && isNotFound(err) {
		return destination{kind: "topic", name: name}, nil
	}
	if kind, rest := splitKind(name); kind == "topic" && isNotFound(err) {
		return destination{kind: kind, name: rest}, nil
	}
	if err != nil {
		return destination{}, err
	}
	kind, rest := splitKind(n.String())
	return destination{kind: kind, name: rest, aws: n.queue != nil && n.queue.Args["sqs"] != nil}, nil
}

func hasQueues(c client) bool {
	_, err := queuesOf(c)
	return err == nil
}

// routed is one published record, for the rows that pub writes.
type routed struct {
	To  string `json:"to"`
	Key string `json:"key"`
	console.RoutedRecord
}

// queuePub is a publish to a queue or exchange.
type queuePub struct {
	a     *app
	api   *apiClient
	to    destination
	path  string
	flags pubFlags

	total, nowhere int64
}

func (a *app) pubQueue(ctx context.Context, c client, to destination, values []string, f pubFlags) error {
	api, err := queuesOf(c)
	if err != nil {
		return err
	}
	p := &queuePub{a: a, api: api, to: to, path: queuePath(to.name, "/records"), flags: f}
	if to.kind == "exchange" {
		p.path = exchangePath(to.name, "/records")
	}
	if err := p.check(); err != nil {
		return err
	}
	given, err := f.given(values)
	if err != nil {
		return err
	}
	if len(given) == 0 {
		err = p.input(ctx)
	} else {
		err = p.arguments(ctx, given)
	}
	if p.nowhere > 0 && err == nil {
		err = p.unrouted()
	}
	return err
}

func (p *queuePub) check() error {
	f := p.flags
	switch {
	case f.timeout <= 0:
		return usage("--timeout: must be more than 0")
	case f.partition != -1:
		return usage("--partition: a " + p.to.kind + " has none")
	case f.null:
		return usage("--null: tombstones are for topics")
	case p.to.kind == "queue" && (f.key != "" || f.keySep != ""):
		return usage("a queue takes no key").hint("by key", "tidings pub --exchange NAME --key "+f.key)
	case f.priority < 0 || f.priority > 255:
		return usage("--priority: 0 to 255")
	case f.ttl < 0:
		return usage("--ttl: must not be negative")
	}
	return nil
}

func (p *queuePub) arguments(ctx context.Context, given []console.NewRecord) error {
	var rows []routed
	for _, recs := range requests(given) {
		done, err := p.publish(ctx, recs)
		if rows = append(rows, done...); err != nil {
			return errors.Join(err, p.write(rows))
		}
	}
	return p.write(rows)
}

// input publishes standard input as it comes.
func (p *queuePub) input(ctx context.Context) error {
	a := p.a
	if a.term.in.tty {
		a.note("publishing each line you type; Ctrl-D ends")
	}
	start := a.now()
	err := p.flags.chunks(ctx, a.in, func(recs []console.NewRecord) error {
		rows, err := p.publish(ctx, recs)
		if err != nil || a.output == "" || a.quiet {
			return err
		}
		return p.write(rows)
	})
	if err == nil || p.total > 0 {
		a.note("published %s to %s in %s", plural(p.total, "record"), p.to,
			a.now().Sub(start).Round(time.Millisecond))
	}
	return err
}

// publish stores records within the time limit. One that a full queue has refused is a
// failure; what went elsewhere in the same request is there.
func (p *queuePub) publish(ctx context.Context, recs []console.NewRecord) ([]routed, error) {
	docs := make([]console.NewQueueRecord, len(recs))
	for i, r := range recs {
		docs[i] = p.record(r)
	}
	limited, cancel := context.WithTimeout(ctx, p.flags.timeout)
	defer cancel()
	got, err := p.api.PublishTo(limited, p.path, docs)
	if err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			err = &failure{exit: exitUnmet, code: "timeout", msg: fmt.Sprintf(
				"%s did not acknowledge within %s: records may be stored, or not", p.to, p.flags.timeout)}
		}
		return nil, err
	}
	rows := make([]routed, len(got))
	refused := int64(0)
	for i, r := range got {
		rows[i] = routed{To: p.to.String(), Key: docs[i].Key, RoutedRecord: r}
		switch {
		case r.Refused:
			refused++
		case r.Queues == 0:
			p.nowhere++
		}
	}
	p.total += int64(len(got)) - refused
	if refused > 0 {
		return rows, (&failure{exit: exitFailed, code: "full", msg: fmt.Sprintf(
			"a full queue refused %s", plural(refused, "record"))}).hint("what waits", "tidings lag")
	}
	return rows, nil
}

// record turns a record with what the flags say into one of a queue.
func (p *queuePub) record(r console.NewRecord) console.NewQueueRecord {
	properties := map[string]any{}
	if len(r.Headers) > 0 {
		headers := map[string]any{}
		for _, h := range r.Headers {
			headers[h.Key] = textOf(h.Value, h.ValueBase64)
		}
		properties["headers"] = headers
	}
	if p.flags.priority > 0 {
		properties["priority"] = p.flags.priority
	}
	if p.flags.ttl > 0 {
		properties["expiration"] = plain(int64(p.flags.ttl / time.Millisecond))
	}
	if p.flags.transient {
		properties["delivery_mode"] = 1
	}
	doc := console.NewQueueRecord{Value: r.Value, ValueBase64: r.ValueBase64, Properties: properties}
	if p.to.kind == "exchange" {
		doc.Key = keyText(console.Record{Key: r.Key, KeyBase64: r.KeyBase64})
	}
	return doc
}

// unrouted says that records are gone: nobody was bound who wanted them.
func (p *queuePub) unrouted() error {
	text := fmt.Sprintf("%s reached no queue: nothing is bound to %s for it",
		plural(p.nowhere, "record"), p.to)
	if !p.flags.mandatory {
		p.a.note("%s", text)
		return nil
	}
	return (&failure{exit: exitUnmet, code: "unmet", msg: text}).
		hint("see", "tidings show "+p.to.String())
}

func (p *queuePub) write(rows []routed) error {
	if p.a.form() == "table" && !p.a.quiet {
		for _, r := range rows {
			fmt.Fprintf(p.a.out, "%s%s  %s\n", printable(r.To), printable(keyNote(r.Key)),
				plural(int64(r.Queues), "queue"))
		}
		return nil
	}
	doc := console.QueuePublished{Records: []console.RoutedRecord{}}
	for _, r := range rows {
		doc.Records = append(doc.Records, r.RoutedRecord)
	}
	return render(p.a, listing[routed]{columns: routedColumns, rows: rows, doc: doc,
		name: func(r routed) string { return plain(r.Queues) }})
}

var routedColumns = []column[routed]{
	{title: "TO", show: func(r routed) string { return r.To }},
	{title: "KEY", show: func(r routed) string { return r.Key }},
	{title: "QUEUES", show: func(r routed) string { return plain(r.Queues) }},
}

// headersOf are the headers among a record's properties, as a topic's record has them.
func headersOf(properties map[string]any) (all []console.Header) {
	headers, _ := properties["headers"].(map[string]any)
	for _, name := range sortedKeys(headers) {
		text, ok := headers[name].(string)
		if !ok {
			b, _ := json.Marshal(headers[name]) // it came as JSON
			text = string(b)
		}
		all = append(all, console.Header{Key: name, Value: &text})
	}
	return all
}
