package main

import (
	"context"
	"strings"

	"github.com/tidings-io/tidings/console"
)

// bindFlags say which records a bond leads on, and as what.
type bindFlags struct {
	key     string
	keyed   bool // a key was given
	args    []string
	fromAll bool
	sub     subscribeFlags
}

// bond is what bind and the configuration file make: one of three things that lead from one place to another.
type bond struct {
	from, to string // for people
	key      string

	binding   *console.Binding // from an exchange
	link      *console.Link    // from a topic
	subscribe *subscribing     // from a topic of SNS
	sns       string           // the topic of SNS that it leads to; "": to something else
}

// binder makes bonds: over the admin API, or in this process.
type binder interface {
	Bind(ctx context.Context, b console.Binding) error
	Link(ctx context.Context, l console.Link) error
	// SNS is not found where no topic of SNS has the name.
	SNS(ctx context.Context, name string) error
	AWS(ctx context.Context, service, action string, in, out any) error
}

// apiBinder is the admin API as a binder.
type apiBinder struct{ *apiClient }

// SNS looks for a topic of SNS.
func (b apiBinder) SNS(ctx context.Context, name string) error {
	_, err := b.SNSTopic(ctx, name)
	return err
}

// bond reads what is to lead where.
func (f *bindFlags) bond(from, to string) (b bond, err error) {
	kind, name := splitKind(from)
	if kind != "sns" && f.sub != (subscribeFlags{}) {
		return b, usage("--raw, --filter, --filter-scope and --dead-letter-queue are for topics of SNS")
	}
	switch kind {
	case "topic":
		return f.fromTopic(name, to)
	case "sns":
		return f.fromSNS(name, to)
	}
	return f.fromExchange(nameOf("exchange", from), to)
}

func (f *bindFlags) fromTopic(topic, to string) (b bond, err error) {
	b = bond{from: "topic/" + topic, key: f.key, link: &console.Link{Topic: topic}}
	kind, name := splitKind(to)
	switch b.to = placeName(kind, name); kind {
	case "", "queue":
		b.link.Queue = name
	case "exchange":
		b.link.ToExchange = name
	case "sns":
		b.link.ToExchange, b.sns = name, name
	default:
		return b, usage("a topic leads to a queue or an exchange, not to a " + kind)
	}
	if len(f.args) > 0 {
		return b, usage("a topic has no --arg: it leads every record")
	}
	if f.keyed {
		b.link.Key = &f.key
	}
	if f.fromAll {
		b.link.From = "start"
	}
	return b, nil
}

// placeName is what a binding leads to, for people.
func placeName(kind, name string) string {
	if kind == "" {
		kind = "queue"
	}
	return kind + "/" + name
}

func (f *bindFlags) fromExchange(exchange, to string) (b bond, err error) {
	if f.fromAll {
		return b, usage("--from-start is for topics: an exchange keeps no records")
	}
	b = bond{from: exchange, key: f.key,
		binding: &console.Binding{Source: exchange, Key: f.key, Args: map[string]any{}}}
	kind, name := splitKind(to)
	switch b.to = placeName(kind, name); kind {
	case "", "queue":
		b.binding.Queue = name
	case "topic":
		b.binding.Topic = name
	case "exchange":
		b.binding.ToExchange = name
	case "sns":
		b.binding.ToExchange, b.sns = name, name
	default:
		return b, usage("a binding leads to a queue, a topic or an exchange, not to a " + kind)
	}
	return b, addArgs(b.binding.Args, f.args)
}

func (f *bindFlags) fromSNS(topic, to string) (b bond, err error) {
	switch {
	case f.fromAll:
		return b, usage("--from-start: a topic of SNS keeps no messages")
	case len(f.args) > 0:
		return b, usage("a topic of SNS has no --arg").hint("by attributes", `--filter '{"NAME":["VALUE"]}'`)
	}
	s := &subscribing{topic: topic, flags: f.sub}
	b = bond{from: "sns/" + topic, subscribe: s}
	scheme, _, isURL := strings.Cut(to, "://")
	kind, name := splitKind(to)
	switch {
	case isURL:
		s.protocol, s.endpoint, b.to = scheme, to, shownURL(scheme, to)
	case kind == "" || kind == "queue":
		s.protocol, s.endpoint, b.to = protocolSQS, name, "queue/"+name
	case kind == "topic":
		s.protocol, s.endpoint, b.to = protocolKafka, name, to
	case kind == "exchange":
		if f.keyed {
			name, to = name+"#"+f.key, to+"#"+f.key
		}
		s.protocol, s.endpoint, b.to = protocolAMQP, name, to
	default:
		return b, usage("a topic of SNS leads to a queue, a topic, an exchange or a URL, not to a " + kindTitle(kind))
	}
	if f.keyed && kind != "exchange" {
		return b, usage("--key is for exchanges: nothing else takes one")
	}
	return b, nil
}

// make makes it; pending says that what it leads to must still confirm it.
func (b bond) make(ctx context.Context, on binder) (pending bool, err error) {
	if b.sns != "" {
		if err := on.SNS(ctx, b.sns); err != nil {
			return false, err
		}
	}
	switch {
	case b.link != nil:
		return false, on.Link(ctx, *b.link)
	case b.binding != nil:
		return false, on.Bind(ctx, *b.binding)
	}
	return b.subscribe.make(ctx, on.AWS)
}

// end ends it.
func (b bond) end(ctx context.Context, api *apiClient) error {
	switch {
	case b.link != nil:
		return api.Unlink(ctx, *b.link)
	case b.binding != nil:
		return api.Unbind(ctx, *b.binding)
	}
	found, err := b.subscribe.find(ctx, api.AWS)
	switch {
	case err != nil:
		return err
	case found == nil:
		return (&failure{exit: exitNotFound, code: "not_found", msg: b.from + " does not lead to " + b.to}).
			hint("see all", "tidings show "+b.from)
	}
	in := map[string]any{"SubscriptionArn": found.SubscriptionArn}
	return actions(api.AWS).sns(ctx, "Unsubscribe", in, &struct{}{})
}
